"""What Tier 1 still has to do is laid out once, and again only when a run may change it."""

from __future__ import annotations

from nights import machine, run_of, task

from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, RunOpened
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.unfinished import frame_of

OTHER = "other.2026-03-02"


def a_night() -> Scheduler:
    tasks = task("a", deadline_us=90 * MINUTE_US), task("b", "a", deadline_us=120 * MINUTE_US)
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(1)), RunOpened(0, run_of(*tasks))])
    frame_of(scheduler._books)
    return scheduler


def opened(scheduler: Scheduler, run: RunPlan) -> bool:
    """Whether the frame has stayed."""
    before = scheduler._books.reservation.frame
    scheduler.handle([RunOpened(1, run)])
    return before is not None and scheduler._books.reservation.frame is before


def test_lower_tasks_that_wait_for_nobody_leave_it_as_it_is() -> None:
    assert opened(a_night(), run_of(task("x", run=OTHER, tier=3), run=OTHER))


def test_a_lower_task_that_comes_after_tier_1_may_hurry_it() -> None:
    scheduler = a_night()
    first = next(iter(scheduler._books.tasks))
    hurried = task("x", first, run=OTHER, tier=2, deadline_us=30 * MINUTE_US)
    assert not opened(scheduler, run_of(hurried, run=OTHER))


def test_more_of_tier_1_is_laid_out_anew() -> None:
    assert not opened(a_night(), run_of(task("x", run=OTHER), run=OTHER))
