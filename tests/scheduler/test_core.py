"""State, event, expected decisions."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from nights import RUN, machine, run_of, task, tid

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import (
    CloseRun,
    Decision,
    JudgeSlo,
    RefuseStart,
    SetTask,
    StartAttempt,
    StopAttempt,
)
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import RunPlan, SloPlan
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState


def opened(*events: Event | RunPlan, cpu: float = 2, **pools: int) -> tuple[Scheduler, list[Decision]]:
    scheduler = Scheduler()
    first: list[Event] = [CapacityChanged(0, machine(cpu, **pools))]
    return scheduler, scheduler.handle(
        first + [RunOpened(0, e) if isinstance(e, RunPlan) else e for e in events]
    )


def started(decisions: Iterable[Decision]) -> list[str]:
    return [d.task_id.rsplit(".", 1)[1] for d in decisions if isinstance(d, StartAttempt)]


def states(decisions: Iterable[Decision]) -> dict[str, TaskState]:
    return {d.task_id.rsplit(".", 1)[1]: d.state for d in decisions if isinstance(d, SetTask)}


def done(job: str, at_us: int = 1, attempt: int = 1) -> AttemptSucceeded:
    return AttemptSucceeded(at_us, tid(job), attempt)


def failed(job: str, at_us: int = 1, attempt: int = 1, failure: Failure = Failure.ERROR) -> AttemptFailed:
    return AttemptFailed(at_us, tid(job), attempt, failure, "ValueError: no")


def asked(verb: Verb, job: str, at_us: int = 5) -> TaskAsked:
    return TaskAsked(at_us, tid(job), verb, "because", "ann")


def test_a_task_starts_when_all_before_it_is_done() -> None:
    scheduler, first = opened(run_of(task("a"), task("b"), task("c", "a", "b")))
    assert started(first) == ["a", "b"]
    assert started(scheduler.handle([done("a")])) == []
    assert started(scheduler.handle([done("b")])) == ["c"]


def test_a_task_waits_for_its_release_and_names_the_instant_it_waits_for() -> None:
    scheduler, first = opened(run_of(task("a", release_us=10 * MINUTE_US)))
    assert started(first) == []
    assert scheduler.next_wakeup_us() == 10 * MINUTE_US
    assert started(scheduler.handle([TimePassed(10 * MINUTE_US - 1)])) == []
    assert started(scheduler.handle([TimePassed(10 * MINUTE_US)])) == ["a"]


def test_a_run_closes_with_its_last_task_and_says_how_it_went() -> None:
    scheduler, _ = opened(run_of(task("a")))
    (closed,) = [d for d in scheduler.handle([done("a", 7)]) if isinstance(d, CloseRun)]
    assert closed == CloseRun(7, RUN, RunState.SUCCEEDED, "all 1 tasks are done")


def test_three_retries_are_four_attempts_with_doubling_waits() -> None:
    scheduler, _ = opened(run_of(task("a", retries=3)))
    at_us, waits = 1, []
    for attempt in (1, 2, 3):
        (decision,) = [d for d in scheduler.handle([failed("a", at_us, attempt)]) if isinstance(d, SetTask)]
        assert decision.state is TaskState.BACKING_OFF
        assert decision.not_before_us is not None
        waits.append(decision.not_before_us - at_us)
        at_us = decision.not_before_us
        assert scheduler.next_wakeup_us() == at_us
        assert started(scheduler.handle([TimePassed(at_us)])) == ["a"]
    last = scheduler.handle([failed("a", at_us, 4)])
    assert states(last) == {"a": TaskState.FAILED}
    for wait, nominal in zip(waits, (1, 2, 4), strict=True):
        assert 0.75 * nominal * MINUTE_US <= wait <= 1.25 * nominal * MINUTE_US


def test_a_wait_before_a_retry_never_runs_past_the_latest_start() -> None:
    due_us = 5 * MINUTE_US
    scheduler, _ = opened(
        run_of(task("a", retries=1, backoff_us=60 * MINUTE_US, deadline_us=due_us, cautious_us=MINUTE_US))
    )
    (decision,) = [d for d in scheduler.handle([failed("a", MINUTE_US)]) if isinstance(d, SetTask)]
    assert decision.not_before_us is not None
    assert decision.not_before_us <= due_us - MINUTE_US


def test_what_follows_a_failed_task_is_blocked_and_the_rest_goes_on() -> None:
    scheduler, _ = opened(run_of(task("a"), task("b", "a"), task("c", "b"), task("d")))
    decisions = scheduler.handle([failed("a")])
    assert states(decisions) == {"a": TaskState.FAILED, "b": TaskState.BLOCKED, "c": TaskState.BLOCKED}
    assert (
        next(d.reason for d in decisions if isinstance(d, SetTask) and d.task_id == tid("b"))
        == f"{tid('a')} is failed"
    )
    (closed,) = [d for d in scheduler.handle([done("d", 2)]) if isinstance(d, CloseRun)]
    assert closed.state is RunState.FAILED


def test_a_retried_task_frees_what_it_blocked() -> None:
    scheduler, _ = opened(run_of(task("a"), task("b", "a")))
    scheduler.handle([failed("a")])
    decisions = scheduler.handle([asked(Verb.RETRY, "a")])
    assert started(decisions) == ["a"]
    assert states(decisions)["b"] is TaskState.WAITING
    assert started(scheduler.handle([done("a", 6, attempt=2)])) == ["b"]
    closed = scheduler.handle([done("b", 7)])
    assert [d.state for d in closed if isinstance(d, CloseRun)] == [RunState.SUCCEEDED]


def test_a_lost_attempt_is_run_again_at_once_and_costs_no_retry() -> None:
    scheduler, _ = opened(run_of(task("a", retries=0)))
    for attempt in range(1, 5):
        assert started(scheduler.handle([failed("a", attempt, attempt, Failure.LOST)])) == ["a"]
    assert states(scheduler.handle([failed("a", 5, 5, Failure.LOST)])) == {"a": TaskState.FAILED}


def test_an_attempt_that_cannot_begin_is_not_retried() -> None:
    scheduler, _ = opened(run_of(task("a", retries=3)))
    assert states(scheduler.handle([failed("a", failure=Failure.REFUSED)])) == {"a": TaskState.FAILED}


def test_a_failing_task_climbs_its_ladder_and_marks_what_follows() -> None:
    scheduler, _ = opened(run_of(task("a", tier=2, ladder=("reduced", "skip"), backoff_us=0), task("b", "a")))
    (again,) = [d for d in scheduler.handle([failed("a")]) if isinstance(d, StartAttempt)]
    assert again.mode == "reduced"
    decisions = scheduler.handle([failed("a", 2, 2)])
    assert states(decisions)["a"] is TaskState.SKIPPED
    assert started(decisions) == ["b"]
    closed = scheduler.handle([done("b", 3)])
    assert states(closed) == {"b": TaskState.DEGRADED}
    assert [d.state for d in closed if isinstance(d, CloseRun)] == [RunState.DEGRADED]


def test_an_attempt_that_runs_too_long_is_told_to_stop_and_holds_its_room_until_it_has() -> None:
    scheduler, _ = opened(run_of(task("a", timeout_us=SECOND_US), task("b")), cpu=1)
    scheduler.handle([AttemptStarted(100, tid("a"), 1)])
    assert scheduler.next_wakeup_us() == 100 + SECOND_US
    decisions = scheduler.handle([TimePassed(100 + SECOND_US)])
    assert decisions == [
        StopAttempt(100 + SECOND_US, tid("a"), 1, StopCause.TIMEOUT, "ran longer than its timeout of 1s")
    ]
    after = scheduler.handle([failed("a", 200 + SECOND_US, failure=Failure.TIMEOUT)])
    assert states(after)["a"] is TaskState.FAILED
    assert started(after) == ["b"]


def test_success_that_arrives_while_it_is_being_stopped_counts() -> None:
    scheduler, _ = opened(run_of(task("a", timeout_us=SECOND_US)))
    scheduler.handle([AttemptStarted(0, tid("a"), 1)])
    scheduler.handle([TimePassed(SECOND_US)])
    assert states(scheduler.handle([done("a", SECOND_US + 1)])) == {"a": TaskState.SUCCEEDED}


def test_facts_about_earlier_attempts_are_stale() -> None:
    scheduler, _ = opened(run_of(task("a", retries=1, backoff_us=0)))
    scheduler.handle([failed("a")])
    assert scheduler.handle([done("a", 2, attempt=1), failed("a", 2, attempt=1)]) == []
    assert scheduler.handle([done("a", 3, attempt=7), done("nobody", 3)]) == []


def test_facts_may_be_repeated() -> None:
    scheduler, _ = opened(run_of(task("a"), task("b", "a")))
    assert started(scheduler.handle([done("a"), done("a")])) == ["b"]
    assert scheduler.handle([done("a", 2)]) == []
    assert scheduler.handle([RunOpened(3, run_of(task("a")))]) == []


def test_higher_tiers_start_first_and_lower_ones_are_told_for_whom_they_wait() -> None:
    scheduler, first = opened(run_of(task("c", tier=3), task("b", tier=2), task("a", cpu=2)))
    assert started(first) == ["a"]
    assert [d.reason.split(":")[0] for d in first if isinstance(d, RefuseStart)] == [
        "needs 1 core",
        "Tier 2 goes first",
    ]
    assert started(scheduler.handle([done("a")])) == ["b", "c"]


def test_nothing_of_a_lower_tier_starts_while_a_higher_one_waits_for_room() -> None:
    scheduler, first = opened(run_of(task("small"), task("wide", cpu=2), task("low", tier=3)))
    assert started(first) == ["small"]
    refusals = {d.task_id: d.reason for d in first if isinstance(d, RefuseStart)}
    assert refusals[tid("wide")] == f"needs 2 cores: 1 core free; in use by {tid('small')}"
    assert refusals[tid("low")] == f"Tier 1 goes first: it waits for room ({tid('wide')} was next)"
    assert started(scheduler.handle([done("small")])) == ["wide"]


def test_a_task_that_fits_no_machine_says_so_and_holds_nobody_back() -> None:
    _, first = opened(run_of(task("huge", cpu=64), task("low", tier=3)))
    assert started(first) == ["low"]
    (refusal,) = [d for d in first if isinstance(d, RefuseStart)]
    assert refusal.reason == "needs 64 cores, but the largest bin has 2 cores"


def test_one_that_waits_for_a_pool_holds_back_only_those_who_need_the_same_pool() -> None:
    db = Demand(1000, 0, 0, (("db", 1),))
    _, first = opened(
        run_of(task("a", demand=db), task("b", demand=db), task("c", tier=2, demand=db), task("d", tier=2)),
        cpu=8,
        db=1,
    )
    assert started(first) == ["a", "d"]
    reasons = [d.reason for d in first if isinstance(d, RefuseStart)]
    assert reasons[0] == f"needs 1 of pool 'db': 0 of 1 free; in use by {tid('a')}"


def test_a_refusal_is_said_once_while_its_cause_is_the_same() -> None:
    scheduler, first = opened(run_of(task("a"), task("b"), task("c")))
    assert len([d for d in first if isinstance(d, RefuseStart)]) == 1
    assert scheduler.handle([TimePassed(1), AttemptStarted(1, tid("a"), 1)]) == []


def test_a_tier_that_is_walled_off_is_told_once_however_many_of_the_higher_one_start_meanwhile() -> None:
    wides = [task(f"wide{n}", cpu=2) for n in range(3)]
    scheduler, first = opened(run_of(task("small"), *wides, task("low", tier=3)))
    said = f"Tier 1 goes first: it waits for room ({tid('wide0')} was next)"
    assert [d.reason for d in first if isinstance(d, RefuseStart) and d.task_id == tid("low")] == [said]
    for ended in ("small", "wide0"):  # "wide2" waits on
        decisions = scheduler.handle([done(ended)])
        assert not [d for d in decisions if isinstance(d, RefuseStart) and d.task_id == tid("low")]
    scheduler.handle([done("wide1")])
    assert started(scheduler.handle([done("wide2")])) == ["low"]


def test_the_task_with_the_earliest_latest_start_goes_first_and_inherits_it_from_downstream() -> None:
    due = task("due", "feeder", deadline_us=60 * MINUTE_US)
    _, first = opened(run_of(task("aaa", deadline_us=90 * MINUTE_US), task("feeder"), due), cpu=1)
    assert started(first) == ["feeder"]


def test_deadlines_are_inherited_across_runs_also_by_what_is_queued_already() -> None:
    other = "other.2026-03-02"
    scheduler, _ = opened(run_of(task("now"), task("a"), task("z")), cpu=1)
    urgent = run_of(task("end", tid("z"), run=other, deadline_us=30 * MINUTE_US), run=other)
    scheduler.handle([RunOpened(1, urgent)])
    assert started(scheduler.handle([done("a", 2)])) == ["z"] or started(
        scheduler.handle([done("now", 2)])
    ) == ["z"]


def test_a_task_may_wait_for_a_run_that_is_not_open_yet() -> None:
    other = "other.2026-03-02"
    scheduler, first = opened(run_of(task("b", f"{other}.a")))
    assert started(first) == []
    assert started(scheduler.handle([RunOpened(1, run_of(task("a", run=other), run=other))])) == ["a"]
    assert started(scheduler.handle([AttemptSucceeded(2, f"{other}.a", 1)])) == ["b"]


def test_a_promise_is_met_at_the_deadline_itself_and_missed_one_microsecond_later() -> None:
    slo = SloPlan("s", RUN, "ready", (tid("a"),), 1000)
    for at_us, state in ((1000, SloState.MET), (1001, SloState.MISSED)):
        scheduler, _ = opened(run_of(task("a"), slos=(slo,)))
        verdicts = [d for d in scheduler.handle([done("a", at_us)]) if isinstance(d, JudgeSlo)]
        assert (verdicts[-1].state, verdicts[-1].finished_us) == (state, at_us)


def test_a_missed_promise_is_said_when_the_deadline_passes_and_again_when_the_work_is_done() -> None:
    slo = SloPlan("s", RUN, "ready", (tid("a"),), 1000)
    scheduler, _ = opened(run_of(task("a"), slos=(slo,)))
    assert scheduler.next_wakeup_us() == 1001
    (missed,) = scheduler.handle([TimePassed(1001)])
    assert isinstance(missed, JudgeSlo)
    assert (missed.state, missed.finished_us) == (SloState.MISSED, None)
    late = [d for d in scheduler.handle([done("a", 2000)]) if isinstance(d, JudgeSlo)]
    assert [(d.state, d.finished_us) for d in late] == [(SloState.MISSED, 2000)]


def test_a_promise_whose_task_failed_will_be_missed_until_it_is_retried() -> None:
    slo = SloPlan("s", RUN, "ready", (tid("b"),), MINUTE_US)
    scheduler, _ = opened(run_of(task("a"), task("b", "a"), slos=(slo,)))
    assert [d.state for d in scheduler.handle([failed("a")]) if isinstance(d, JudgeSlo)] == [
        SloState.WILL_MISS
    ]
    again = scheduler.handle([asked(Verb.RETRY, "a")])
    assert [d.state for d in again if isinstance(d, JudgeSlo)] == [SloState.ON_TRACK]


@pytest.mark.parametrize(
    ("verb", "state"),
    [(Verb.SKIP, TaskState.SKIPPED), (Verb.MARK_DONE, TaskState.SUCCEEDED)],
)
def test_operators_may_let_what_follows_a_failed_task_go_on(verb: Verb, state: TaskState) -> None:
    scheduler, _ = opened(run_of(task("a"), task("b", "a")))
    scheduler.handle([failed("a")])
    decisions = scheduler.handle([asked(verb, "a")])
    assert states(decisions)["a"] is state
    assert started(decisions) == ["b"]


def test_a_held_task_does_not_start_until_it_is_released() -> None:
    scheduler, _ = opened(run_of(task("a"), task("b", "a")))
    scheduler.handle([asked(Verb.HOLD, "b")])
    assert started(scheduler.handle([done("a", 6)])) == []
    assert started(scheduler.handle([asked(Verb.RELEASE, "b", 7)])) == ["b"]


def test_a_cancelled_task_stays_cancelled_also_when_its_worker_is_lost_meanwhile() -> None:
    scheduler, _ = opened(run_of(task("a", retries=3)))
    stops = [d for d in scheduler.handle([asked(Verb.CANCEL, "a")]) if isinstance(d, StopAttempt)]
    assert [d.cause for d in stops] == [StopCause.CANCELLED]
    assert states(scheduler.handle([failed("a", 6, failure=Failure.LOST)])) == {"a": TaskState.CANCELLED}


def test_a_verb_that_makes_no_sense_changes_nothing() -> None:
    scheduler, _ = opened(run_of(task("a")))
    scheduler.handle([done("a")])
    before = scheduler.fingerprint()
    for verb in Verb:
        assert scheduler.handle([asked(verb, "a", 1)]) == []
    assert scheduler.fingerprint() == before


def test_capacity_may_shrink_below_its_use_and_nothing_starts_until_it_is_paid_back() -> None:
    scheduler, first = opened(run_of(*(task(j) for j in "abcdef")), cpu=4)
    assert started(first) == ["a", "b", "c", "d"]
    assert started(scheduler.handle([CapacityChanged(1, machine(2))])) == []
    assert started(scheduler.handle([done("a", 2), done("b", 2)])) == []
    assert started(scheduler.handle([done("c", 3)])) == ["e"]
    assert started(scheduler.handle([CapacityChanged(4, machine(3))])) == ["f"]


def test_a_node_that_goes_keeps_its_use_booked_until_its_work_has_ended() -> None:
    scheduler = Scheduler()
    two = Capacity((Bin("x", 1000, 0), Bin("y", 1000, 0)))
    assert started(
        scheduler.handle([CapacityChanged(0, two), RunOpened(0, run_of(*(task(j) for j in "abc")))])
    ) == ["a", "b"]
    scheduler.handle([CapacityChanged(1, Capacity((Bin("x", 1000, 0),)))])
    assert started(scheduler.handle([failed("b", 2, failure=Failure.LOST)])) == []
    assert started(scheduler.handle([done("a", 3)])) == ["b"]


def test_a_share_of_a_gpu_is_taken_on_one_device_and_never_summed_over_several() -> None:
    scheduler = Scheduler()
    capacity = Capacity((Bin("x", 9000, 0, (1000, 1000)),))
    share = Demand(100, 0, 600)
    decisions = scheduler.handle(
        [CapacityChanged(0, capacity), RunOpened(0, run_of(*(task(j, demand=share) for j in "abc")))]
    )
    assert [d.devices for d in decisions if isinstance(d, StartAttempt)] == [(0,), (1,)]
    assert [d.reason.split(";")[0] for d in decisions if isinstance(d, RefuseStart)] == [
        "needs 0.6 GPUs: 0.4 GPUs free"
    ]


def test_whole_gpus_come_from_empty_devices() -> None:
    scheduler = Scheduler()
    capacity = Capacity((Bin("x", 9000, 0, (1000, 1000, 1000)),))
    run = run_of(task("a", demand=Demand(100, 0, 300)), task("b", demand=Demand(100, 0, 2000)))
    decisions = scheduler.handle([CapacityChanged(0, capacity), RunOpened(0, run)])
    assert {d.task_id: d.devices for d in decisions if isinstance(d, StartAttempt)} == {
        tid("a"): (0,),
        tid("b"): (1, 2),
    }


def test_a_chain_of_twenty_thousand_tasks_fails_without_recursion() -> None:
    tasks = [task("t0"), *(task(f"t{i}", f"t{i - 1}") for i in range(1, 20_000))]
    scheduler, _ = opened(run_of(*tasks))
    decisions = scheduler.handle([failed("t0")])
    assert sum(isinstance(d, SetTask) and d.state is TaskState.BLOCKED for d in decisions) == 19_999
    again = scheduler.handle([asked(Verb.RETRY, "t0")])
    assert sum(isinstance(d, SetTask) and d.state is TaskState.WAITING for d in again) == 19_999


def test_the_clock_of_the_scheduler_never_goes_back() -> None:
    scheduler, _ = opened(run_of(task("a", release_us=100)))
    scheduler.handle([TimePassed(50)])
    scheduler.handle([TimePassed(10)])
    assert scheduler.now_us == 50


def test_the_same_facts_give_the_same_decisions() -> None:
    def night() -> list[list[Decision]]:
        scheduler, first = opened(run_of(*(task(j, retries=2) for j in "abcdef"), task("z", *"abcdef")))
        return [
            first,
            scheduler.handle([failed("a"), done("b", 2)]),
            scheduler.handle([TimePassed(5 * MINUTE_US)]),
        ]

    assert night() == night()
