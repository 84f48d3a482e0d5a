"""What the scheduler is asked to do: runs and their tasks, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from prometheus.core.demand import Demand


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One job of one run, with every rule that the scheduler applies to it."""

    task_id: str
    run_id: str
    job: str
    tier: int  # 1 must, 2 may degrade, 3 takes what is left
    demand: Demand
    after: tuple[str, ...] = ()  # task ids, in this or another run
    release_us: int = 0  # not before this instant
    deadline_us: int | None = None
    timeout_us: int | None = None  # of running time, counted from the start of an attempt
    retries: int = 0  # further attempts after the first
    backoff_us: int = 10_000_000  # wait before the first retry; doubles with each
    typical_us: int = 60_000_000  # q50 of the duration
    cautious_us: int = 120_000_000  # q80 of the duration
    late_us: int = 180_000_000  # q90 of the duration
    checkpoint_every_us: int | None = None  # None = cannot checkpoint
    ladder: tuple[str, ...] = ()  # degraded modes to climb when it fails or must make room; "skip" closes it


@dataclass(frozen=True, slots=True)
class SloPlan:
    """A promise: these tasks are done by this instant."""

    slo_id: str
    run_id: str
    name: str
    task_ids: tuple[str, ...]
    deadline_us: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One pipeline for one session, pinned to the content it was declared with."""

    run_id: str
    pipeline: str
    market: str
    session: date
    pin: str  # content hash of declaration, sources and environment
    release_us: int  # first release of any task
    tasks: tuple[TaskPlan, ...]
    slos: tuple[SloPlan, ...] = ()
    replayed: bool = False  # a past session on the replay clock
    share: float | None = (
        None  # of a backfill: the part of the machine's core time that it is to have over seven days
    )
