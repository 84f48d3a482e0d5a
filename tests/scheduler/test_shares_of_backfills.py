"""State, event, expected decisions: a backfill gets its share of the machine, and Tier 1 does not notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from nights import machine, run_of, task

from prometheus.core.errors import UserError
from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, StartAttempt
from prometheus.scheduler.events import AttemptSucceeded, CapacityChanged, Event, RunOpened, TimePassed
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.planning import backfill_of
from prometheus.scheduler.shares import WINDOW_US, Account

PAST, OTHER = "past.2020-01-02", "other.2026-03-02"
HOURLY: dict[str, object] = {"typical_us": HOUR_US, "cautious_us": HOUR_US, "late_us": HOUR_US}


def jobs(run: str, count: int, **fields: object) -> tuple[TaskPlan, ...]:
    return tuple(task(f"j{n:03}", run=run, tier=3, **{**HOURLY, **fields}) for n in range(count))  # type: ignore[arg-type]


def backfill(count: int, share: float | None = 0.25) -> RunPlan:
    return replace(run_of(*jobs(PAST, count), run=PAST), share=share)


def started(decisions: Sequence[Decision]) -> list[tuple[str, int]]:
    """Starts by run: how many of it."""
    runs = [d.task_id.split(".", 1)[0] for d in decisions if isinstance(d, StartAttempt)]
    return [(run, runs.count(run)) for run in dict.fromkeys(runs)]


def hour_after_hour(scheduler: Scheduler, first: Sequence[Event], hours: int) -> dict[str, int]:
    """Every attempt takes an hour; how many of each run ended in so many hours."""
    ended: dict[str, int] = {}
    decisions = scheduler.handle(first)
    for hour in range(1, hours + 1):
        running = [d for d in decisions if isinstance(d, StartAttempt)]
        for order in running:
            ended[order.task_id.split(".", 1)[0]] = ended.get(order.task_id.split(".", 1)[0], 0) + 1
        facts: list[Event] = [AttemptSucceeded(hour * HOUR_US, d.task_id, d.attempt) for d in running]
        decisions = scheduler.handle(facts or [TimePassed(hour * HOUR_US)])
    return ended


def test_against_endless_other_work_a_backfill_gets_its_share_and_not_the_machine() -> None:
    runs = [RunOpened(0, run_of(*jobs(OTHER, 400), run=OTHER)), RunOpened(0, backfill(400))]
    ended = hour_after_hour(Scheduler(), [CapacityChanged(0, machine(4)), *runs], 48)
    assert ended["past"] / 48 / 4 == pytest.approx(0.25, abs=0.02)
    assert sum(ended.values()) == 48 * 4, "no core was idle"


def test_without_a_share_it_waits_behind_what_came_before_it() -> None:
    runs = [RunOpened(0, run_of(*jobs(OTHER, 400), run=OTHER)), RunOpened(0, backfill(400, None))]
    assert "past" not in hour_after_hour(Scheduler(), [CapacityChanged(0, machine(4)), *runs], 24)


def test_what_others_leave_it_may_have_beyond_its_share() -> None:
    first = [CapacityChanged(0, machine(4)), RunOpened(0, backfill(100))]
    assert hour_after_hour(Scheduler(), first, 10) == {"past": 40}


def test_what_it_had_too_much_it_waits_for_until_the_window_has_passed() -> None:
    scheduler = Scheduler()
    hour_after_hour(scheduler, [CapacityChanged(0, machine(4)), RunOpened(0, backfill(8))], 2)
    more = replace(run_of(*jobs("past2.2020", 40), run="past2.2020"), share=0.25)
    assert started(scheduler.handle([RunOpened(2 * HOUR_US, more)])) == [("past2", 4)]


def test_tier_1_goes_before_it_and_what_is_kept_for_tier_1_is_not_its() -> None:
    soon = task("soon", cpu=4, release_us=30 * MINUTE_US, deadline_us=3 * HOUR_US, cautious_us=HOUR_US)
    slo = SloPlan("slo", soon.run_id, "soon", (soon.task_id,), 3 * HOUR_US)
    scheduler = Scheduler()
    decisions = scheduler.handle(
        [
            CapacityChanged(0, machine(4)),
            RunOpened(0, backfill(40, 1.0)),
            RunOpened(0, run_of(soon, slos=(slo,))),
        ]
    )
    assert started(decisions) == [], "an hour would not be over when Tier 1 begins"
    assert started(scheduler.handle([TimePassed(30 * MINUTE_US)])) == [("night", 1)]


def test_a_wide_task_that_is_owed_gets_a_window_at_once() -> None:
    """The small ones would else for ever take what it needs."""
    owed = replace(run_of(*jobs(PAST, 1, cpu=4), run=PAST), share=0.5)
    small = run_of(*jobs(OTHER, 40), run=OTHER)
    first = [CapacityChanged(0, machine(4)), RunOpened(0, small), RunOpened(MINUTE_US, owed)]
    scheduler = Scheduler()
    running = [d for d in scheduler.handle(first[:2]) if isinstance(d, StartAttempt)]
    scheduler.handle(first[2:])
    orders: list[StartAttempt] = []
    for number, order in enumerate(running):
        at_us = HOUR_US + number * MINUTE_US
        found = scheduler.handle([AttemptSucceeded(at_us, order.task_id, order.attempt)])
        orders += [d for d in found if isinstance(d, StartAttempt)]
    assert [d.task_id for d in orders] == [f"{PAST}.j000"]


def test_the_account_is_small_and_forgets_what_is_older_than_a_week() -> None:
    account = Account(0.1, 4)
    for hour in range(24 * 30):
        account.charge(hour * HOUR_US, (hour + 1) * HOUR_US, 1_000, (hour + 1) * HOUR_US)
    assert len(account.spent) <= 24 * 7 + 1
    assert sum(account.standing(30 * DAY_US).values()) == 1_000 * WINDOW_US
    account.charge(0, 30 * DAY_US, 1_000, 30 * DAY_US)
    assert sum(account.standing(30 * DAY_US).values()) == 2 * 1_000 * WINDOW_US


def test_a_rebuilt_scheduler_and_a_fork_have_the_same_accounts() -> None:
    core, ledger = Scheduler(), MemoryLedger()
    epoch = ledger.acquire("test", 0)
    last: list[Event] = [
        CapacityChanged(0, machine(2)),
        RunOpened(0, run_of(*jobs(OTHER, 9), run=OTHER)),
        RunOpened(0, backfill(9)),
    ]
    for number in range(1, 12):
        decisions = core.handle(last)
        ledger.commit(epoch, number, core.now_us, last, decisions)
        rebuilt = Scheduler.restore(ledger.load())
        assert rebuilt.fingerprint() == core.fingerprint()
        assert core.fork().fingerprint() == core.fingerprint()
        at_us = number * 40 * MINUTE_US
        ends = [d for d in decisions if isinstance(d, StartAttempt)][:1]
        last = [AttemptSucceeded(at_us, d.task_id, d.attempt) for d in ends] or [TimePassed(at_us)]
    assert core.fingerprint()["accounts"][PAST][1]


def test_a_run_of_a_past_session_carries_no_deadlines_and_is_tier_3_throughout() -> None:
    slo = SloPlan("slo", PAST, "prices", (f"{PAST}.a",), HOUR_US)
    plan = run_of(
        task("a", run=PAST, deadline_us=HOUR_US), task("b", run=PAST, tier=2), run=PAST, slos=(slo,)
    )
    found = backfill_of(plan, 0.1)
    assert [(one.tier, one.deadline_us) for one in found.tasks] == [(3, None), (3, None)]
    assert (found.slos, found.share) == ((), 0.1)
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(UserError, match=f"a share of {share} is not possible"):
            backfill_of(plan, share)
