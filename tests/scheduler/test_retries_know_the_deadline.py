"""State, failure, expected decisions: what a retry is worth when time runs out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from nights import RUN, machine, run_of, task, tid

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, JudgeSlo, SetTask, StartAttempt
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
    TimePassed,
)
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.states import SloState, TaskState

DUE_US = 60 * MINUTE_US
LENGTHS: dict[str, object] = {
    "deadline_us": DUE_US,
    "typical_us": 10 * MINUTE_US,
    "cautious_us": 20 * MINUTE_US,
    "late_us": 30 * MINUTE_US,
    "backoff_us": 4 * MINUTE_US,
    "retries": 3,
}
IN_TIME_US, TIGHT_US, TOO_LATE_US = 30 * MINUTE_US, 45 * MINUTE_US, 55 * MINUTE_US


def opened(plan: TaskPlan, *others: TaskPlan) -> Scheduler:
    slo = SloPlan(f"{RUN}.slo", RUN, "done", (plan.task_id,), DUE_US)
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(4)), RunOpened(0, run_of(plan, *others, slos=(slo,)))])
    scheduler.handle([AttemptStarted(0, plan.task_id, 1)])
    return scheduler


def fail(at_us: int, failure: Failure = Failure.ERROR, attempt: int = 1) -> AttemptFailed:
    return AttemptFailed(at_us, tid("a"), attempt, failure, "no")


def said(decisions: Sequence[Decision]) -> SetTask:
    return next(d for d in decisions if isinstance(d, SetTask) and d.task_id == tid("a"))


def modes(decisions: Sequence[Decision]) -> list[str]:
    return [d.mode for d in decisions if isinstance(d, StartAttempt)]


def waits(scheduler: Scheduler, event: AttemptFailed) -> int:
    decision = said(scheduler.handle([event]))
    assert decision.state is TaskState.BACKING_OFF
    assert decision.not_before_us is not None
    return decision.not_before_us - event.at_us


def test_with_time_left_a_retry_waits_as_it_was_declared() -> None:
    wait_us = waits(opened(task("a", **LENGTHS)), fail(IN_TIME_US))
    assert 3 * MINUTE_US <= wait_us <= 5 * MINUTE_US


def test_no_wait_runs_past_the_latest_start_whatever_the_jitter() -> None:
    latest_us = DUE_US - 20 * MINUTE_US
    for seconds in range(1, 200, 7):
        at_us = latest_us - seconds * 1_000_000
        assert waits(opened(task("a", **LENGTHS)), fail(at_us)) <= latest_us - at_us


def test_tier_1_is_tried_at_once_while_that_can_still_help() -> None:
    scheduler = opened(task("a", **LENGTHS))
    decisions = scheduler.handle([fail(TIGHT_US)])
    assert said(decisions).not_before_us == TIGHT_US
    assert "due" not in said(decisions).reason
    assert modes(decisions) == ["full"], "in the same turn"


def test_tier_1_that_cannot_be_in_time_is_still_tried_and_says_so() -> None:
    scheduler = opened(task("a", **LENGTHS))
    decision = said(scheduler.handle([fail(TOO_LATE_US)]))
    assert decision.state is TaskState.BACKING_OFF
    assert decision.reason == (
        "attempt 1: no; retry 1 of 3; even at once it would end after it is due, 1970-01-01 01:00 UTC"
    )
    assert decision.not_before_us is not None
    assert decision.not_before_us >= TOO_LATE_US + 3 * MINUTE_US, "hurrying would help nobody"


def test_what_it_is_needed_for_counts_as_its_own_deadline() -> None:
    lengths = {**LENGTHS, "deadline_us": None}
    after = task("b", "a", deadline_us=DUE_US + 20 * MINUTE_US, cautious_us=20 * MINUTE_US)
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(4)), RunOpened(0, run_of(task("a", **lengths), after))])
    assert "due, 1970-01-01 01:00 UTC" in said(scheduler.handle([fail(TOO_LATE_US)])).reason


@pytest.mark.parametrize("at_us", [IN_TIME_US, TIGHT_US, TOO_LATE_US])
def test_what_asked_to_be_tried_again_later_is_not_hurried_and_keeps_its_own_limit(at_us: int) -> None:
    for tier, ladder in ((1, ()), (2, ("reduced",))):
        scheduler = opened(task("a", tier=tier, ladder=ladder, **LENGTHS))
        for attempt in range(1, 4):
            wait_us = waits(scheduler, fail(at_us, Failure.TRY_AGAIN, attempt))
            assert wait_us > 0
            at_us += wait_us
            assert modes(scheduler.handle([TimePassed(at_us)])) == ["full"]
        last = scheduler.handle([fail(at_us, Failure.TRY_AGAIN, 4)])
        assert said(last).state is (TaskState.FAILED if tier == 1 else TaskState.BACKING_OFF)


@pytest.mark.parametrize("at_us", [IN_TIME_US, TIGHT_US, TOO_LATE_US])
def test_what_cannot_begin_is_never_tried_again(at_us: int) -> None:
    assert said(opened(task("a", **LENGTHS)).handle([fail(at_us, Failure.REFUSED)])).state is TaskState.FAILED


def test_tier_2_that_would_be_late_in_full_goes_on_in_its_shorter_mode_though_it_had_retries() -> None:
    scheduler = opened(task("a", tier=2, ladder=("reduced", "skip"), **LENGTHS))
    at_us = TOO_LATE_US + waits(scheduler, fail(TOO_LATE_US))
    (start,) = [d for d in scheduler.handle([TimePassed(at_us)]) if isinstance(d, StartAttempt)]
    assert start.mode == "reduced"
    assert "in full it would end after it is due" in start.reason


def test_or_is_skipped_where_that_is_what_it_declares_and_what_follows_goes_on() -> None:
    scheduler = opened(task("a", tier=3, ladder=("skip",), **LENGTHS), task("b", "a", tier=3))
    at_us = TOO_LATE_US + waits(scheduler, fail(TOO_LATE_US))
    decisions = scheduler.handle([TimePassed(at_us)])
    states = [d.state for d in decisions if isinstance(d, SetTask) and d.task_id == tid("a")]
    assert states == [TaskState.READY, TaskState.SKIPPED]
    assert [d.task_id for d in decisions if isinstance(d, StartAttempt)] == [tid("b")]


def test_a_task_without_a_ladder_is_late_rather_than_never() -> None:
    scheduler = opened(task("a", tier=2, **LENGTHS))
    at_us = TOO_LATE_US + waits(scheduler, fail(TOO_LATE_US))
    assert modes(scheduler.handle([TimePassed(at_us)])) == ["full"]


def test_what_is_late_for_want_of_room_and_has_not_failed_runs_in_full() -> None:
    plan = task("a", tier=2, ladder=("skip",), **{**LENGTHS, "release_us": 2 * HOUR_US})
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(4)), RunOpened(0, run_of(plan))])
    assert modes(scheduler.handle([TimePassed(2 * HOUR_US)])) == ["full"]


def test_tier_1_that_has_no_retry_left_stops_what_follows_and_its_promise_will_be_missed() -> None:
    scheduler = opened(task("a", **{**LENGTHS, "retries": 0}), task("b", "a"))
    decisions = scheduler.handle([fail(IN_TIME_US)])
    states = {d.task_id: d.state for d in decisions if isinstance(d, SetTask)}
    assert states == {tid("a"): TaskState.FAILED, tid("b"): TaskState.BLOCKED}
    assert [d.state for d in decisions if isinstance(d, JudgeSlo)] == [SloState.WILL_MISS]


def test_a_scheduler_that_is_rebuilt_between_failure_and_retry_hurries_as_much() -> None:
    core, ledger = Scheduler(), MemoryLedger()
    epoch = ledger.acquire("test", 0)
    plan = task("a", tier=2, ladder=("reduced",), **LENGTHS)
    turns: list[list[Event]] = [
        [CapacityChanged(0, machine(4)), RunOpened(0, run_of(plan))],
        [fail(TOO_LATE_US)],
    ]
    for number, events in enumerate(turns, 1):
        ledger.commit(epoch, number, events[0].at_us, events, core.handle(events))
    rebuilt = Scheduler.restore(ledger.load())
    assert rebuilt.fingerprint() == core.fingerprint()
    assert modes(rebuilt.handle([TimePassed(2 * HOUR_US)])) == ["reduced"]
