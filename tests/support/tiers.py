"""A scheduler in the middle of a night, and what a turn of it says: for tests of the rules between tiers."""

from __future__ import annotations

from nights import machine, run_of, task, tid

from prometheus.core.demand import Capacity
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, RefuseStart, StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
)
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import Policy

LATE = "late.2026-03-02"


def timed(job: str, *after: str, minutes: int = 60, **fields: object) -> TaskPlan:
    """A task that takes `minutes`, and is known to take just that."""
    us = minutes * MINUTE_US
    values: dict[str, object] = {"typical_us": us, "cautious_us": us, "late_us": us}
    return task(job, *after, **{**values, **fields})  # type: ignore[arg-type]  # fields of the dataclass by name


def due_with(job: str, slack_min: int, at_us: int = 0, **fields: object) -> TaskPlan:
    """A Tier 1 task of ten minutes that at `at_us` has so much slack."""
    deadline_us = at_us + (slack_min + 10) * MINUTE_US
    return timed(job, minutes=10, deadline_us=deadline_us, **fields)  # type: ignore[arg-type]


def night(
    *tasks: TaskPlan, at_us: int = 0, capacity: Capacity | None = None, policy: Policy | None = None
) -> Scheduler:
    scheduler = Scheduler() if policy is None else Scheduler(policy=policy)
    scheduler.handle([CapacityChanged(at_us, capacity or machine(4)), RunOpened(at_us, run_of(*tasks))])
    return scheduler


def opens(scheduler: Scheduler, *tasks: TaskPlan, at_us: int, run: str = "late.2026-03-02") -> list[Decision]:
    return turn(scheduler, RunOpened(at_us, run_of(*tasks, run=run)))


def turn(scheduler: Scheduler, *events: Event) -> list[Decision]:
    decisions = scheduler.handle(list(events))
    scheduler.check_invariants(is_thorough=True)
    return decisions


def begun(*jobs: str, at_us: int = 0) -> list[Event]:
    return [AttemptStarted(at_us, tid(job), 1) for job in jobs]


def made_room(scheduler: Scheduler, decisions: list[Decision], at_us: int) -> list[Decision]:
    """What follows when every attempt that was told to stop has ended."""
    facts = [
        AttemptFailed(at_us, d.task_id, d.attempt, Failure.PREEMPTED, "made room")
        for d in decisions
        if isinstance(d, StopAttempt)
    ]
    return turn(scheduler, *facts)


def started(decisions: list[Decision]) -> list[str]:
    return [d.task_id.rsplit(".", 1)[1] for d in decisions if isinstance(d, StartAttempt)]


def stopped(decisions: list[Decision]) -> list[str]:
    return [d.task_id.rsplit(".", 1)[1] for d in decisions if isinstance(d, StopAttempt)]


def refused(decisions: list[Decision]) -> dict[str, str]:
    return {d.task_id.rsplit(".", 1)[1]: d.reason for d in decisions if isinstance(d, RefuseStart)}
