"""The scheduler's state as values: what a ledger keeps as rows and what a scheduler is rebuilt from."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.core.demand import Capacity
from prometheus.scheduler.decisions import SetPressure
from prometheus.scheduler.events import Failure, SloForecast
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import AttemptState, RunState, SloState, StopCause, TaskState


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a task."""

    task_id: str
    attempt: int
    state: AttemptState
    bin_id: str
    devices: tuple[int, ...]
    mode: str
    ordered_us: int
    started_us: int | None = None
    ended_us: int | None = None
    stop_cause: StopCause | None = None  # why it was told to stop, if it was
    failure: Failure | None = None
    message: str = ""
    tail: str = ""
    cpu_us: int | None = None
    peak_mib: int | None = None
    saved_us: int | None = (
        None  # instant of its last checkpoint; None also once a repair has thrown that away
    )


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Where a task stands."""

    task_id: str
    run_id: str
    job: str
    tier: int
    state: TaskState
    reason: str
    attempts: int = 0  # number of the last attempt
    counted_from: int = (
        0  # attempts up to this number no longer count against the retries (an operator asked again)
    )
    not_before_us: int | None = None
    ready_us: int | None = None  # since when it waits for its turn, or waited for the last one
    started_us: int | None = None  # start of the first attempt
    ended_us: int | None = None
    refusal: str | None = None  # why it could not start when last looked at; None once it starts
    mode: str = "full"
    checkpoint: str | None = None  # JSON text that the next attempt resumes from
    output: str | None = None  # JSON text


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the latest forecast said of one promise, and how it was made."""

    made_us: int  # it stands on what was known then
    samples: int
    said: SloForecast


@dataclass(frozen=True, slots=True)
class SloRow:
    """Where a promise stands."""

    slo_id: str
    run_id: str
    name: str
    deadline_us: int
    state: SloState
    finished_us: int | None
    reason: str
    foreseen: Foreseen | None = None  # None = nobody has looked ahead yet


@dataclass(frozen=True, slots=True)
class RunRow:
    """Where a run stands, with its plan."""

    run_id: str
    plan: RunPlan
    state: RunState
    opened_us: int
    ended_us: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a scheduler needs to go on; attempts of closed tasks included, in order."""

    at_us: int  # instant of the last turn
    capacity: Capacity | None  # as it was last told; of `coming`, what is due by `at_us` has come since
    runs: tuple[RunRow, ...]
    tasks: tuple[TaskRow, ...]
    attempts: tuple[AttemptRow, ...]
    slos: tuple[SloRow, ...]
    pressure: SetPressure | None = None  # what was last said of it
    coming: tuple[tuple[int, Capacity], ...] = ()  # the changes that were announced with the capacity
