"""What a Tier 1 task may wait: on a machine that is too small for its part, less than its own path says."""

from __future__ import annotations

from nights import machine, run_of, task, tid

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StopAttempt
from prometheus.scheduler.events import AttemptStarted, CapacityChanged, RunOpened, TimePassed
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.windows import can_wait

DUE_US = 5 * HOUR_US
BACKTEST = task("backtest", run="study.2026-03-02", tier=3, cpu=2, typical_us=HOUR_US, late_us=2 * HOUR_US)


def half_past(wide: int) -> tuple[Scheduler, list[str]]:
    """Half an hour in, as so many tasks of an hour on all four cores come: why a backtest that cannot save is stopped."""
    jobs: list[TaskPlan] = [
        task(
            f"model{number}",
            cpu=4,
            release_us=30 * MINUTE_US,
            deadline_us=DUE_US,
            typical_us=HOUR_US,
            cautious_us=HOUR_US,
        )
        for number in range(wide)
    ]
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(4)), RunOpened(0, run_of(BACKTEST, run="study.2026-03-02"))])
    scheduler.handle([AttemptStarted(0, BACKTEST.task_id, 1)])
    # They hang together by their last one, which is due when they are.
    last = task("report", *(job.job for job in jobs), cpu=1, deadline_us=DUE_US + MINUTE_US, cautious_us=0)
    scheduler.handle([RunOpened(MINUTE_US, run_of(*jobs, last))])
    said = scheduler.handle([TimePassed(30 * MINUTE_US)])
    return scheduler, [one.reason for one in said if isinstance(one, StopAttempt)]


def test_with_hours_to_its_latest_start_and_time_enough_by_the_plan_a_task_waits() -> None:
    scheduler, stopped = half_past(3)
    assert stopped == [], "three hours of work, four and a half of time"
    assert can_wait(scheduler._books, scheduler._books.tasks[tid("model0")])


def test_when_the_plan_leaves_less_than_it_should_the_same_task_takes_room_at_once() -> None:
    scheduler, stopped = half_past(4)
    assert stopped == [f"makes room for {tid('model0')}"], "half an hour is left, by the plan"
    assert not can_wait(scheduler._books, scheduler._books.tasks[tid("model0")]), (
        "nor lets first turns go first"
    )
