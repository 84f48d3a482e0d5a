"""State, event, expected decisions: a machine that becomes smaller or larger when it was said that it would."""

from __future__ import annotations

from collections.abc import Sequence

from nights import machine, run_of, task, tid

from prometheus.core.demand import Capacity
from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, RefuseStart, StartAttempt
from prometheus.scheduler.events import (
    AttemptSucceeded,
    CapacityChanged,
    Event,
    RunOpened,
    TimePassed,
)
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import STRICT


def begun(*tasks: TaskPlan, cpu: float = 8, coming: Sequence[tuple[int, Capacity]]) -> list[Decision]:
    return Scheduler().handle([CapacityChanged(0, machine(cpu), tuple(coming)), RunOpened(0, run_of(*tasks))])


def started(decisions: Sequence[Decision]) -> list[str]:
    return [d.task_id.rsplit(".", 1)[1] for d in decisions if isinstance(d, StartAttempt)]


def refused(decisions: Sequence[Decision]) -> dict[str, str]:
    return {d.task_id.rsplit(".", 1)[1]: d.reason for d in decisions if isinstance(d, RefuseStart)}


def lasting(job: str, hours: float, tier: int = 3, **fields: object) -> TaskPlan:
    length_us = round(hours * HOUR_US)
    lengths = {"typical_us": length_us, "cautious_us": length_us, "late_us": length_us}
    return task(job, tier=tier, **{**lengths, **fields})  # type: ignore[arg-type]  # fields by name


def test_the_scheduler_changes_the_machine_by_itself_when_the_instant_is_here() -> None:
    scheduler = Scheduler(policy=STRICT)
    jobs = [task(job, cpu=2) for job in "abcd"]
    coming = ((HOUR_US, machine(4)), (2 * HOUR_US, machine(8)))
    first = scheduler.handle([CapacityChanged(0, machine(2), coming), RunOpened(0, run_of(*jobs))])
    assert started(first) == ["a"]
    assert scheduler.next_wakeup_us() == HOUR_US
    assert started(scheduler.handle([TimePassed(HOUR_US)])) == ["b"]
    assert scheduler.next_wakeup_us() == 2 * HOUR_US
    assert started(scheduler.handle([TimePassed(2 * HOUR_US)])) == ["c", "d"]
    assert scheduler.next_wakeup_us() is None


def test_a_long_job_that_cannot_checkpoint_does_not_start_into_a_machine_that_becomes_smaller() -> None:
    coming = [(2 * HOUR_US, machine(2)), (12 * HOUR_US, machine(8))]
    decisions = begun(lasting("long", 3, cpu=4), lasting("short", 1, cpu=4), coming=coming)
    assert started(decisions) == ["short"]
    assert "kept for Tier 1 and earlier promises from 02:00 UTC" in refused(decisions)["long"]
    saved = lasting("saved", 3, cpu=4, checkpoint_every_us=10 * MINUTE_US)
    assert started(begun(saved, coming=coming)) == ["saved"], "it can be stopped at little loss"
    assert started(begun(lasting("narrow", 3, cpu=2), coming=coming)) == ["narrow"]


def test_it_may_run_into_a_machine_that_becomes_larger() -> None:
    coming = [(HOUR_US, machine(8))]
    decisions = begun(lasting("a", 3, cpu=4), lasting("b", 0.5, cpu=4), cpu=4, coming=coming)
    assert started(decisions) == ["a"]


def test_a_task_for_which_the_machine_is_too_small_says_from_when_it_will_not_be() -> None:
    decisions = begun(task("wide", cpu=8), cpu=4, coming=[(HOUR_US, machine(6)), (2 * HOUR_US, machine(8))])
    assert refused(decisions) == {
        "wide": "needs 8 cores, but the largest bin has 4 cores; from 1970-01-01 02:00 UTC the machine is larger"
    }


def test_tier_1_is_planned_before_the_machine_becomes_too_small_for_it() -> None:
    """Eight tasks of an hour on eight cores. Half of them are enough, unless they are gone when the first hour is over."""
    work = [
        lasting(f"w{n}", 1, tier=1, deadline_us=10 * HOUR_US, release_us=30 * MINUTE_US) for n in range(8)
    ]
    backtest = lasting("backtest", 1, cpu=4, tier=2)
    assert started(begun(*work, backtest, coming=())) == ["backtest"]
    small = [(90 * MINUTE_US, machine(0.5))]
    decisions = begun(*work, backtest, coming=small)
    assert started(decisions) == []
    assert "kept for Tier 1" in refused(decisions)["backtest"]


def test_what_is_told_later_replaces_what_was_announced() -> None:
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(2), ((HOUR_US, machine(1)),))])
    scheduler.handle([CapacityChanged(MINUTE_US, machine(3))])
    assert scheduler.next_wakeup_us() is None
    scheduler.handle([TimePassed(HOUR_US)])
    assert scheduler.usage()["cpu_milli"] == (0, 3_000)


def test_changes_that_are_overdue_come_at_once_and_only_the_last_counts() -> None:
    scheduler = Scheduler()
    scheduler.handle([TimePassed(3 * HOUR_US)])
    coming = ((HOUR_US, machine(1)), (2 * HOUR_US, machine(6)), (4 * HOUR_US, machine(7)))
    scheduler.handle([CapacityChanged(3 * HOUR_US, machine(2), coming)])
    assert scheduler.usage()["cpu_milli"] == (0, 6_000)
    assert scheduler.next_wakeup_us() == 4 * HOUR_US


def test_a_scheduler_that_is_rebuilt_knows_what_has_come_and_what_is_still_to_come() -> None:
    core, ledger = Scheduler(), MemoryLedger()
    epoch = ledger.acquire("test", 0)
    coming = ((HOUR_US, machine(1)), (2 * HOUR_US, machine(6)))
    turns: list[list[Event]] = [
        [CapacityChanged(0, machine(8), coming), RunOpened(0, run_of(task("a", cpu=5), task("b", cpu=5)))],
        [TimePassed(HOUR_US)],
        [AttemptSucceeded(HOUR_US + 1, tid("a"), 1)],
    ]
    for number, events in enumerate(turns, 1):
        ledger.commit(epoch, number, events[0].at_us, events, core.handle(events))
        rebuilt = Scheduler.restore(ledger.load())
        assert rebuilt.fingerprint() == core.fingerprint()
        assert rebuilt.fork().fingerprint() == core.fingerprint()
    assert core.usage()["cpu_milli"] == (0, 1_000)
    assert started(core.handle([TimePassed(2 * HOUR_US)])) == ["b"]
    assert ledger.check() == []


def test_what_is_announced_is_kept_once_however_often_the_plan_is_asked_for() -> None:
    """While all of Tier 1 is still to come, or there is none, the plan is not made anew."""
    minute = MINUTE_US
    early = [lasting(f"early{n}", 0.5, cpu=1, release_us=(1 + 6 * n) * minute) for n in range(6)]
    late = lasting("late", 0.5, cpu=3, release_us=100 * minute)
    scheduler = Scheduler()
    lost = CapacityChanged(0, machine(8), ((2 * HOUR_US, machine(6)),))
    scheduler.handle([lost, RunOpened(0, run_of(*early, late))])
    for number in range(6):
        scheduler.fork().handle([TimePassed((1 + 6 * number) * minute)])
        scheduler.handle([TimePassed((1 + 6 * number) * minute)])
    ended: list[Event] = [AttemptSucceeded(41 * minute, tid(f"early{n}"), 1) for n in range(6)]
    scheduler.handle(ended)
    assert started(scheduler.handle([TimePassed(100 * minute)])) == ["late"]
