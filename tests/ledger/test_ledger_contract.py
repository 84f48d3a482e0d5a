"""What every ledger promises, asked of each kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from prometheus.core.calendar_overrides import Override
from prometheus.ledger.contract import LeaseHeldError, LeaseLostError, Ledger, StaleRevisionError, Turn
from prometheus.scheduler.decisions import CloseRun, SetPressure, SetTask
from prometheus.scheduler.events import AttemptSucceeded, Failure, RunOpened, TimePassed
from prometheus.scheduler.states import AttemptState, RunState, SloState, StopCause, TaskState
from tests.ledger.records import LAPTOP, SMALL, Said, a_short_night, plan_of
from tests.ledger.shelves import Opener

KNOWN = datetime(2027, 1, 4, 12, tzinfo=UTC)


def commit_all(ledger: Ledger, epoch: int, said: list[Said]) -> None:
    for turn in said:
        ledger.commit(epoch, ledger.revision() + 1, turn.at_us, turn.events, turn.decisions)


@pytest.fixture
def night(opener: Opener) -> Ledger:
    ledger = opener()
    commit_all(ledger, ledger.acquire("tests", 1), a_short_night())
    return ledger


def test_a_fresh_ledger_is_empty(opener: Opener) -> None:
    ledger = opener()
    assert ledger.revision() == 0
    snapshot = ledger.load()
    assert (snapshot.at_us, snapshot.capacity, snapshot.runs, snapshot.tasks) == (0, None, (), ())
    assert list(ledger.turns()) == ledger.runs() == ledger.tasks("no") == ledger.attempts("no") == []
    assert ledger.slos("no") == ledger.check() == []


def test_calendar_overrides_are_appended_in_order_by_anyone(opener: Opener) -> None:
    leading, other = opener(), opener()
    leading.acquire("leader", 1)
    closed = Override("XNYS", date(2027, 1, 5), "closed", "mourning — a day", "NYSE", KNOWN)
    hours = Override(
        "XLON", date(2027, 1, 6), "hours", "fault", "LSE", KNOWN, KNOWN, KNOWN + timedelta(hours=3)
    )
    assert other.overrides() == []
    first = other.record_override(closed, 5, "ann")
    second = leading.record_override(hours, 7, "bob")
    assert [first.number, second.number] == [1, 2]
    assert leading.overrides() == other.overrides() == [first, second]
    assert [kept.override for kept in opener().overrides()] == [closed, hours]
    assert leading.check() == []


def test_epochs_rise_with_every_leader(opener: Opener) -> None:
    first = opener()
    one = first.acquire("first", 1)
    assert first.acquire("first", 2) > one
    first.close()
    second = opener()
    two = second.acquire("second", 3)
    second.release(two)
    assert opener().acquire("third", 4) > two > one


def test_a_second_leader_is_told_who_leads(opener: Opener) -> None:
    opener().acquire("ann's laptop", 1_000_000)
    with pytest.raises(LeaseHeldError, match="ann's laptop"):
        opener().acquire("another", 2)


def test_everybody_reads_while_one_leads(night: Ledger, opener: Opener) -> None:
    reader = opener()
    assert reader.load() == night.load()
    assert reader.check() == []
    assert reader.revision() == night.revision() == len(a_short_night())


def test_turns_come_back_in_order_as_they_were_said(night: Ledger) -> None:
    expected = [
        Turn(n, 1, said.at_us, said.events, said.decisions) for n, said in enumerate(a_short_night(), 1)
    ]
    assert list(night.turns()) == expected
    assert list(night.turns(after=3)) == expected[3:]
    assert list(night.turns(after=3, limit=2)) == expected[3:5]
    assert list(night.turns(limit=0)) == []


def test_the_rows_say_what_the_turns_said(night: Ledger) -> None:
    plan = plan_of()
    run_id = plan.run_id
    (run,) = night.runs()
    assert (run.plan, run.state, run.opened_us, run.ended_us) == (plan, RunState.CANCELLED, 1_000, 1_140)
    c, a, b = night.tasks(run_id)
    assert [task.task_id for task in (c, a, b)] == [task.task_id for task in plan.tasks]
    assert (c.state, c.checkpoint, c.output, c.attempts) == (
        TaskState.SUCCEEDED,
        '{"done":1}',
        '{"rows":500}',
        1,
    )
    assert (c.ready_us, c.started_us, c.ended_us) == (1_000, 1_010, 1_030)
    assert (a.state, a.attempts, a.ready_us, a.started_us) == (TaskState.SUCCEEDED, 2, 1_100, 1_050)
    assert (a.not_before_us, a.refusal) == (None, None)
    assert (b.state, b.reason) == (TaskState.CANCELLED, "cancel by ann: not tonight")
    first, second = night.attempts(a.task_id)
    assert (first.state, first.failure, first.tail) == (AttemptState.FAILED, Failure.ERROR, "line 1\nline 2")
    assert (first.cpu_us, first.peak_mib, first.devices) == (5, 6, (0, 2))
    assert (second.state, second.attempt, second.ended_us) == (AttemptState.SUCCEEDED, 2, 1_120)
    (stopped,) = night.attempts(b.task_id)
    assert (stopped.stop_cause, stopped.failure) == (StopCause.CANCELLED, Failure.CANCELLED)
    (slo,) = night.slos(run_id)
    assert (slo.state, slo.deadline_us) == (SloState.WILL_MISS, 9_000)
    assert night.load().pressure == SetPressure(
        1_040, 1, slo.slo_id, 0.25, 1_035, "slo 1 is missed with P 0.25"
    )


def test_a_snapshot_holds_everything_in_the_order_of_the_plans(opener: Opener) -> None:
    ledger = opener()
    epoch = ledger.acquire("tests", 1)
    plans = [plan_of("z", jobs="ba"), plan_of("a", jobs="dc", slos=2)]
    commit_all(ledger, epoch, a_short_night(plan_of("m")))
    commit_all(
        ledger,
        epoch,
        [Said(2_000, (RunOpened(2_000, plans[0]),)), Said(2_000, (RunOpened(2_000, plans[1]),))],
    )
    snapshot = ledger.load()
    assert (snapshot.at_us, snapshot.capacity, snapshot.coming) == (2_000, LAPTOP, ((9_000, SMALL),))
    assert [run.plan.pipeline for run in snapshot.runs] == ["m", "a", "z"]
    assert [task.job for task in snapshot.tasks] == list("cabdcba")
    assert [(row.task_id[-1], row.attempt) for row in snapshot.attempts] == [
        ("c", 1),
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]
    assert [slo.name for slo in snapshot.slos] == ["slo 1", "slo 2", "slo 1", "slo 1"]
    own = ledger.load(plans[1].run_id)
    assert (own.at_us, own.capacity, own.coming) == (2_000, LAPTOP, ((9_000, SMALL),))
    assert [run.plan.pipeline for run in own.runs] == ["a"]
    assert [task.job for task in own.tasks] == list("dc")
    assert [slo.name for slo in own.slos] == ["slo 2", "slo 1"]
    assert ledger.load("nobody").runs == ()


def test_the_newest_runs_come_first(opener: Opener) -> None:
    ledger = opener()
    epoch = ledger.acquire("tests", 1)
    for at_us, (pipeline, day) in enumerate([("x", 24), ("y", 27), ("x", 27), ("x", 23)]):
        plan = plan_of(pipeline, date(2016, 6, day), jobs="a")
        commit_all(ledger, epoch, [Said(at_us, (RunOpened(at_us, plan),))])
    assert [run.run_id for run in ledger.runs()] == [
        "x.2016-06-27",
        "y.2016-06-27",
        "x.2016-06-24",
        "x.2016-06-23",
    ]
    assert [run.run_id for run in ledger.runs("x", limit=2)] == ["x.2016-06-27", "x.2016-06-24"]
    assert ledger.runs("nobody") == []


def test_a_turn_committed_again_changes_nothing(night: Ledger) -> None:
    before = night.load()
    for revision in (night.revision(), 3):
        said = a_short_night()[revision - 1]
        night.commit(1, revision, said.at_us, said.events, said.decisions)
    assert night.load() == before
    assert night.revision() == len(a_short_night())
    assert night.check() == []


@pytest.mark.parametrize("revision", [-1, 0, 4, 10, 12])
def test_another_turn_of_a_number_that_is_taken_or_too_high_is_stale(night: Ledger, revision: int) -> None:
    before = night.load()
    with pytest.raises(StaleRevisionError, match=f"turn {revision} cannot be written.* 10"):
        night.commit(1, revision, 9_999, (TimePassed(9_999),), ())
    assert night.load() == before


def test_the_same_turn_of_another_instant_is_another_turn(night: Ledger) -> None:
    said = a_short_night()[-1]
    with pytest.raises(StaleRevisionError):
        night.commit(1, 10, said.at_us + 1, said.events, said.decisions)


def test_a_leader_that_was_succeeded_writes_nothing_any_more(night: Ledger) -> None:
    night.acquire("again", 2)
    with pytest.raises(LeaseLostError, match="epoch 1 does not lead"):
        night.commit(1, 11, 9_999, (), ())
    assert night.revision() == 10


def test_nobody_commits_without_leading(opener: Opener) -> None:
    ledger = opener()
    for epoch in (0, 1):
        with pytest.raises(LeaseLostError):
            ledger.commit(epoch, 1, 1, (), ())
    epoch = ledger.acquire("tests", 1)
    ledger.release(epoch)
    with pytest.raises(LeaseLostError):
        ledger.commit(epoch, 1, 1, (), ())


def test_another_handle_carries_on_where_the_first_one_stopped(opener: Opener) -> None:
    first = opener()
    turns = a_short_night()
    commit_all(first, first.acquire("first", 1), turns[:5])
    first.close()
    second = opener()
    commit_all(second, second.acquire("second", 2), turns[5:])
    assert second.check() == []
    oracle = opener()
    assert oracle.load() == second.load()
    assert [turn.epoch for turn in second.turns()] == [1] * 5 + [2] * 5


def test_a_decision_about_what_does_not_exist_is_a_fault_and_writes_nothing(night: Ledger) -> None:
    before = night.load()
    for decision in (
        SetTask(9_999, "no.such.task", TaskState.READY, ""),
        CloseRun(9_999, "no.such", RunState.FAILED, ""),
    ):
        with pytest.raises(AssertionError, match=r"no\.such"):
            night.commit(
                1, 11, 9_999, (), (SetTask(9_999, plan_of().tasks[0].task_id, TaskState.HELD, ""), decision)
            )
    assert night.load() == before
    assert night.revision() == 10
    night.commit(1, 11, 9_999, (TimePassed(9_999),), ())
    assert night.check() == []


def test_a_task_taken_up_again_opens_its_run_again_and_forgives_old_attempts(night: Ledger) -> None:
    b = plan_of().tasks[2].task_id
    night.commit(1, 11, 2_000, (), (SetTask(2_000, b, TaskState.READY, "retry by ann"),))
    task = night.tasks(plan_of().run_id)[2]
    (run,) = night.runs()
    assert (task.state, task.counted_from, task.ended_us, task.ready_us) == (TaskState.READY, 1, None, 2_000)
    assert (run.state, run.ended_us) == (RunState.RUNNING, None)
    assert night.check() == []


def test_a_repair_throws_away_what_earlier_attempts_saved(night: Ledger) -> None:
    c = plan_of().tasks[0].task_id
    assert night.attempts(c)[0].saved_us == 1_020
    night.commit(1, 11, 2_000, (), (SetTask(2_000, c, TaskState.READY, "retry by ann"),))
    assert night.attempts(c)[0].saved_us is None
    assert night.tasks(plan_of().run_id)[0].checkpoint is None
    assert night.check() == []


def test_a_run_stays_closed_when_an_ended_task_ends_differently(night: Ledger) -> None:
    b = plan_of().tasks[2].task_id
    night.commit(1, 11, 2_000, (), (SetTask(2_000, b, TaskState.SKIPPED, "skip by ann"),))
    assert night.runs()[0].state is RunState.CANCELLED
    assert night.tasks(plan_of().run_id)[2].ended_us == 2_000


def test_rubbish_that_a_job_prints_does_not_stop_a_turn(opener: Opener) -> None:
    ledger = opener()
    epoch = ledger.acquire("tests", 1)
    turns = a_short_night()
    commit_all(ledger, epoch, turns[:3])
    task_id = plan_of().tasks[0].task_id
    ledger.commit(epoch, 4, 2_000, (AttemptSucceeded(2_000, task_id, 1, '"\0 \udc80 \U0001f600"'),), ())
    assert ledger.tasks(plan_of().run_id)[0].output == '"\ufffd \ufffd \U0001f600"'
    assert ledger.check() == []


def test_an_instant_before_the_last_one_moves_nothing_back(opener: Opener) -> None:
    ledger = opener()
    epoch = ledger.acquire("tests", 1)
    turns = a_short_night()
    commit_all(ledger, epoch, turns[:3])
    c = plan_of().tasks[0].task_id
    ledger.commit(epoch, 4, 1_020, (AttemptSucceeded(500, c, 1),), ())
    assert ledger.attempts(c)[0].ended_us == 1_020


def test_many_closed_runs_do_not_confuse_the_leader(opener: Opener) -> None:
    ledger = opener()
    epoch = ledger.acquire("tests", 1)
    plans = [plan_of(f"p{n}", jobs="cab") for n in range(40)]
    for plan in plans:
        commit_all(ledger, epoch, a_short_night(plan))
    b = plans[0].tasks[2].task_id
    commit_all(ledger, epoch, [Said(9_000, (), (SetTask(9_000, b, TaskState.READY, "retry"),))])
    assert ledger.tasks(plans[0].run_id)[2].counted_from == 1
    assert ledger.check() == []


def test_closing_twice_is_harmless(opener: Opener) -> None:
    ledger = opener()
    ledger.acquire("tests", 1)
    ledger.close()
    ledger.close()
