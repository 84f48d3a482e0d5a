"""The rules between tiers: what is kept for Tier 1, who makes room for it, and what does not starve. State, event,
expected decisions; the close is the release of the night's Tier 1 work."""

from __future__ import annotations

from nights import machine, run_of, tid
from tiers import begun, due_with, made_room, night, opens, refused, started, stopped, timed, turn

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    RunOpened,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import STRICT
from prometheus.scheduler.states import StopCause, TaskState

CLOSE_US = 1_000 * MINUTE_US


def the_close(cores: float = 4) -> TaskPlan:
    """Tier 1's work after the close: it needs `cores` for an hour, and there is little time for it."""
    return timed("close", cpu=cores, release_us=CLOSE_US, deadline_us=CLOSE_US + 85 * MINUTE_US)


# --- what is kept for Tier 1 ---


def test_a_backtest_of_three_hours_that_cannot_checkpoint_is_refused_ten_minutes_before_the_close() -> None:
    before_us = CLOSE_US - 10 * MINUTE_US
    scheduler = night(the_close(), at_us=before_us)
    decisions = opens(
        scheduler, timed("backtest", minutes=180, tier=3, run="late.2026-03-02"), at_us=before_us
    )
    assert started(decisions) == []
    assert refused(decisions) == {
        "backtest": "fits now, but cpu is kept for Tier 1 and earlier promises from 16:40 UTC, and it cannot checkpoint"
    }


def test_one_that_can_checkpoint_needs_only_the_present_and_is_admitted() -> None:
    before_us = CLOSE_US - 10 * MINUTE_US
    scheduler = night(the_close(), at_us=before_us)
    late = timed("backtest", minutes=180, tier=3, checkpoint_every_us=15 * MINUTE_US, run="late.2026-03-02")
    assert started(opens(scheduler, late, at_us=before_us)) == ["backtest"]


def test_one_that_will_have_ended_before_the_close_or_leaves_room_enough_is_admitted() -> None:
    for minutes, cores, is_admitted in ((9, 1, True), (180, 1, True), (180, 2, False), (9, 2, True)):
        before_us = CLOSE_US - 20 * MINUTE_US
        scheduler = night(the_close(3), at_us=before_us)
        late = timed("backtest", minutes=minutes, cpu=cores, tier=3, run="late.2026-03-02")
        assert bool(started(opens(scheduler, late, at_us=before_us))) is is_admitted, (minutes, cores)


def test_what_has_been_promised_is_not_promised_again() -> None:
    before_us = CLOSE_US - 20 * MINUTE_US
    scheduler = night(the_close(3), at_us=before_us)
    late = [timed(job, minutes=180, tier=3, run="late.2026-03-02") for job in "ab"]
    decisions = opens(scheduler, *late, at_us=before_us)
    assert started(decisions) == ["a"]
    assert "b" in refused(decisions)


def test_what_was_kept_waiting_starts_when_tier_1_is_done() -> None:
    scheduler = night(the_close(), at_us=CLOSE_US)
    assert "backtest" in refused(
        opens(scheduler, timed("backtest", minutes=180, tier=3, run="late.2026-03-02"), at_us=CLOSE_US)
    )
    done = AttemptSucceeded(CLOSE_US + MINUTE_US, tid("close"), 1)
    assert started(turn(scheduler, done)) == ["backtest"]


def test_the_smallest_cap_that_meets_the_deadlines_is_kept_and_no_more() -> None:
    """Four tasks of one core and an hour take two hours on two cores: enough, if an hour is to spare after that."""
    for due_min, is_admitted in ((24 * 60, True), (180, True), (179, False), (121, False)):
        work = [timed(job, release_us=CLOSE_US, deadline_us=CLOSE_US + due_min * MINUTE_US) for job in "abcd"]
        before_us = CLOSE_US - 10 * MINUTE_US
        scheduler = night(*work, at_us=before_us)
        late = timed("backtest", minutes=180, cpu=2, tier=3, run="late.2026-03-02")
        assert bool(started(opens(scheduler, late, at_us=before_us))) is is_admitted, due_min


def test_nothing_is_kept_for_tier_1_work_that_may_never_start() -> None:
    never = (
        timed("awaited", "other.2026-03-02.x", cpu=4),  # of a run that nobody has opened
        timed("huge", cpu=5),
        timed("slow", minutes=30, tier=3, cpu=2),
        timed("after_slow", "slow", cpu=4),  # or it would keep its own upstream from starting
    )
    assert started(turn(night(*never, at_us=5), TimePassed(5))) == []
    scheduler = Scheduler()
    decisions = turn(scheduler, CapacityChanged(5, machine(4)), RunOpened(5, run_of(*never)))
    assert started(decisions) == ["slow"]


def test_nothing_is_kept_for_what_is_held_or_fits_no_bin_though_it_would_fit_their_sum() -> None:
    two_bins = Capacity((Bin("left", 4000, 4096), Bin("right", 4000, 4096)))
    for number, must in enumerate((timed("must", cpu=6), timed("must", cpu=4, release_us=10 * MINUTE_US))):
        capacity = machine(4) if number else two_bins
        scheduler = night(must, capacity=capacity)
        if number:
            turn(scheduler, TaskAsked(0, tid("must"), Verb.HOLD, "not now", "ann"))
        late = timed("backtest", cpu=4, minutes=180, tier=3, run="late.2026-03-02")
        assert started(opens(scheduler, late, at_us=0)) == ["backtest"], number


def test_pools_are_kept_as_cores_are() -> None:
    before_us = CLOSE_US - 10 * MINUTE_US
    with_db = {"demand": Demand(1000, 0, 0, (("db", 2),))}
    close = timed("close", release_us=CLOSE_US, deadline_us=CLOSE_US + 85 * MINUTE_US, **with_db)
    scheduler = night(close, at_us=before_us, capacity=machine(8, db=2))
    late = (
        timed("reader", minutes=180, tier=3, run="late.2026-03-02", demand=Demand(1000, 0, 0, (("db", 1),))),
        timed("other", minutes=180, tier=3, run="late.2026-03-02"),
    )
    decisions = opens(scheduler, *late, at_us=before_us)
    assert started(decisions) == ["other"]
    assert refused(decisions)["reader"].startswith("fits now, but pool 'db' is kept for Tier 1")


# --- who makes room ---


def test_a_blocked_task_takes_room_from_what_checkpoints_at_two_hours_of_slack_and_from_others_at_45_minutes() -> (
    None
):
    """What checkpoints saves only every two hours, and there is no time to wait for that."""
    for every_us, limit_min in ((120 * MINUTE_US, 120), (None, 45)):
        low = timed("low", minutes=600, tier=3, cpu=4, checkpoint_every_us=every_us)
        scheduler = night(low)
        turn(scheduler, *begun("low"))
        urgent = due_with("urgent", slack_min=limit_min + 5, run="late.2026-03-02")
        assert stopped(opens(scheduler, urgent, at_us=0)) == []
        assert stopped(turn(scheduler, TimePassed(5 * MINUTE_US))) == []
        wakeup_us = scheduler.next_wakeup_us()
        at_us = 5 * MINUTE_US + 1  # the first instant at which the slack is under the limit
        while wakeup_us is not None and wakeup_us < at_us:  # other alarms only look again
            assert stopped(turn(scheduler, TimePassed(wakeup_us))) == []
            wakeup_us = scheduler.next_wakeup_us()
        assert wakeup_us == at_us, "it wakes by itself when it may preempt"
        (stop,) = [d for d in turn(scheduler, TimePassed(at_us)) if isinstance(d, StopAttempt)]
        assert (stop.cause, stop.reason) == (StopCause.PREEMPTED, "makes room for late.2026-03-02.urgent")
        assert started(made_room(scheduler, [stop], at_us + 1)) == ["urgent"]


def test_one_that_checkpoints_is_stopped_just_after_it_has_saved_if_it_saves_in_time() -> None:
    """It began at 0 and saves after 20 minutes. With 70 minutes of slack there are 25 until 45 are left; with 60, 15."""
    for slack_min, is_waited_for in ((70, True), (60, False), (44, False)):
        scheduler = night(timed("low", minutes=600, tier=3, cpu=4, checkpoint_every_us=20 * MINUTE_US))
        turn(scheduler, *begun("low"))
        decisions = opens(scheduler, due_with("urgent", slack_min, run="late.2026-03-02"), at_us=0)
        assert stopped(decisions) == ([] if is_waited_for else ["low"]), slack_min
        if is_waited_for:
            saved = AttemptCheckpointed(20 * MINUTE_US, tid("low"), 1, "null")
            assert stopped(turn(scheduler, TimePassed(19 * MINUTE_US))) == []
            assert stopped(turn(scheduler, saved)) == ["low"]


def test_one_that_does_not_save_when_it_should_is_not_waited_for() -> None:
    scheduler = night(timed("low", minutes=600, tier=3, cpu=4, checkpoint_every_us=20 * MINUTE_US))
    turn(scheduler, *begun("low"))
    assert stopped(opens(scheduler, due_with("urgent", 70, run="late.2026-03-02"), at_us=0)) == []
    assert stopped(turn(scheduler, TimePassed(22 * MINUTE_US))) == []
    assert stopped(turn(scheduler, TimePassed(22 * MINUTE_US + 1))) == ["low"]


def test_the_least_work_is_lost_counted_from_the_last_checkpoint_times_cores() -> None:
    every = {"tier": 3, "minutes": 600, "checkpoint_every_us": 15 * MINUTE_US}
    old, young, wide, saved = (
        timed("old", **every),  # type: ignore[arg-type]
        timed("young", release_us=20 * MINUTE_US, **every),  # type: ignore[arg-type]
        timed("wide", cpu=2, release_us=15 * MINUTE_US, **every),  # type: ignore[arg-type]
        timed("saved", **every),  # type: ignore[arg-type]
    )
    scheduler = night(old, young, wide, saved, capacity=machine(5))
    turn(scheduler, *begun("old", "saved"))
    for job, at_us in (("wide", 15 * MINUTE_US), ("young", 20 * MINUTE_US)):
        assert started(turn(scheduler, TimePassed(at_us))) == [job]
        turn(scheduler, *begun(job, at_us=at_us))
    turn(scheduler, AttemptCheckpointed(29 * MINUTE_US, tid("saved"), 1, "null"))
    at_us = 30 * MINUTE_US  # lost: old 30, young 10, wide 2 * 15, saved 1
    for job in ("saved", "young", "old"):
        urgent = due_with(f"for_{job}", 20, at_us, run=f"for_{job}.2026-03-02")
        decisions = opens(scheduler, urgent, at_us=at_us, run=f"for_{job}.2026-03-02")
        assert stopped(decisions) == [job]
        assert started(made_room(scheduler, decisions, at_us))[0] == f"for_{job}"


def test_tier_3_makes_room_before_tier_2_whatever_it_loses() -> None:
    scheduler = night(
        timed("report", tier=2, cpu=2, checkpoint_every_us=MINUTE_US),
        timed("backtest", tier=3, cpu=2, checkpoint_every_us=MINUTE_US),
    )
    turn(scheduler, *begun("backtest"))
    turn(scheduler, *begun("report", at_us=9 * MINUTE_US))
    decisions = opens(scheduler, due_with("urgent", 20, cpu=2, run="late.2026-03-02"), at_us=10 * MINUTE_US)
    assert stopped(decisions) == ["backtest"]


def test_victims_that_turn_out_superfluous_are_dropped() -> None:
    """Cheapest first takes one core, then three: the three alone are enough, so the one goes on."""
    every = {"tier": 3, "minutes": 600, "checkpoint_every_us": 15 * MINUTE_US}
    scheduler = night(timed("small", cpu=1, **every), timed("large", cpu=3, **every))  # type: ignore[arg-type]
    turn(scheduler, *begun("small", "large"))
    decisions = opens(scheduler, due_with("urgent", 20, cpu=3, run="late.2026-03-02"), at_us=10 * MINUTE_US)
    assert stopped(decisions) == ["large"]


def test_nobody_is_stopped_for_what_would_not_fit_even_then() -> None:
    scheduler = night(timed("low", tier=3, cpu=2, checkpoint_every_us=MINUTE_US), timed("high", cpu=2))
    turn(scheduler, *begun("low", "high"))
    assert (
        stopped(opens(scheduler, due_with("wide", 20, cpu=3, run="late.2026-03-02"), at_us=MINUTE_US)) == []
    )


def test_a_run_of_a_past_session_hurries_nobody() -> None:
    """Its deadline had passed when it was opened: it is Tier 1 and goes first, and stops nobody."""
    at_us = 600 * MINUTE_US
    scheduler = night(timed("low", minutes=900, tier=3, cpu=4, checkpoint_every_us=MINUTE_US), at_us=at_us)
    turn(scheduler, *begun("low", at_us=at_us))
    past = timed("past", minutes=10, deadline_us=at_us, run="late.2026-03-02")
    assert stopped(opens(scheduler, past, at_us=at_us)) == []
    assert stopped(turn(scheduler, TimePassed(at_us + 300 * MINUTE_US))) == []
    tonight = timed("tonight", minutes=10, deadline_us=at_us + 320 * MINUTE_US, run="now.2026-03-02")
    late_us = at_us + 310 * MINUTE_US
    assert stopped(opens(scheduler, tonight, at_us=late_us, run="now.2026-03-02")) == ["low"]


def test_a_task_that_made_room_three_times_is_spared_unless_slack_is_under_a_quarter_of_an_hour() -> None:
    scheduler = night(timed("low", minutes=600, tier=3, cpu=4, checkpoint_every_us=MINUTE_US))
    for number in range(3):
        at_us = (1 + 10 * number) * MINUTE_US
        run = f"u{number}.2026-03-02"
        turn(scheduler, AttemptStarted(at_us, tid("low"), number + 1))
        decisions = opens(scheduler, due_with("urgent", 20, at_us, run=run), at_us=at_us, run=run)
        assert stopped(decisions) == ["low"], number
        assert "urgent" in started(made_room(scheduler, decisions, at_us))
        assert "low" in started(turn(scheduler, AttemptSucceeded(at_us + 1, f"{run}.urgent", 1)))
    at_us = 40 * MINUTE_US
    turn(scheduler, AttemptStarted(at_us, tid("low"), 4))
    last = due_with("last", 20, at_us, run="last.2026-03-02")
    assert stopped(opens(scheduler, last, at_us=at_us, run="last.2026-03-02")) == []
    assert stopped(turn(scheduler, TimePassed(at_us + 5 * MINUTE_US))) == []
    assert stopped(turn(scheduler, TimePassed(at_us + 5 * MINUTE_US + 1))) == ["low"]


def test_while_tier_1_waits_for_room_nothing_lower_starts() -> None:
    scheduler = night(timed("wide", cpu=4), timed("busy", cpu=1))
    decisions = opens(
        scheduler,
        timed("two", tier=2, run="late.2026-03-02"),
        timed("three", tier=3, run="late.2026-03-02"),
        at_us=1,
    )
    assert started(decisions) == []
    assert set(refused(decisions).values()) == {
        f"Tier 1 goes first: it waits for room ({tid('wide')} was next)"
    }


def test_a_policy_without_preemption_leaves_everyone_alone() -> None:
    scheduler = night(timed("low", tier=3, cpu=4, checkpoint_every_us=MINUTE_US), policy=STRICT)
    turn(scheduler, *begun("low"))
    assert stopped(opens(scheduler, due_with("urgent", -5, run="late.2026-03-02"), at_us=0)) == []


# --- machines ---


def test_capacity_shrinks_below_what_runs_and_grows_back() -> None:
    lower = [timed(job, tier=3, cpu=2) for job in "ab"]
    scheduler = night(*lower)
    turn(scheduler, CapacityChanged(MINUTE_US, machine(1)))
    assert started(opens(scheduler, timed("must", run="late.2026-03-02"), at_us=MINUTE_US)) == []
    assert started(turn(scheduler, AttemptSucceeded(2 * MINUTE_US, tid("a"), 1))) == []
    assert started(turn(scheduler, CapacityChanged(3 * MINUTE_US, machine(4)))) == ["must"]
    assert scheduler.usage()["cpu_milli"] == (3000, 4000)


def test_capacity_that_shrank_makes_a_victim_of_the_cheapest_only() -> None:
    """Two of three cores are gone; one victim does not bring use under what is left, so both must go."""
    scheduler = night(
        *[timed(job, tier=3, minutes=600, checkpoint_every_us=MINUTE_US) for job in "ab"], capacity=machine(3)
    )
    turn(scheduler, *begun("a", "b"))
    turn(scheduler, CapacityChanged(MINUTE_US, machine(1)))
    decisions = opens(scheduler, due_with("urgent", 20, run="late.2026-03-02"), at_us=MINUTE_US)
    assert stopped(decisions) == ["a", "b"]
    assert started(made_room(scheduler, decisions, 2 * MINUTE_US)) == ["urgent"]


def test_a_share_of_a_gpu_is_of_one_device_and_a_victim_must_free_that_much_of_one() -> None:
    two_devices = Capacity((Bin("here", 8000, 4096, (1000, 1000)),))
    share = {"tier": 3, "minutes": 600, "checkpoint_every_us": MINUTE_US}
    lower = [timed(job, demand=Demand(1000, 0, 700), **share) for job in "ab"]  # type: ignore[arg-type]
    scheduler = night(*lower, capacity=two_devices)
    turn(scheduler, *begun("a", "b"))
    half = due_with("half", 20, run="late.2026-03-02", demand=Demand(1000, 0, 600))
    decisions = opens(scheduler, half, at_us=MINUTE_US)  # 300 and 300 are free, which is no 600
    assert stopped(decisions) == ["a"]
    (start,) = [d for d in made_room(scheduler, decisions, MINUTE_US) if isinstance(d, StartAttempt)]
    assert start.devices == (0,)


def test_a_victim_is_sought_in_the_bin_where_least_is_lost() -> None:
    two_bins = Capacity((Bin("left", 2000, 4096), Bin("right", 2000, 4096)))
    every = {"tier": 3, "cpu": 2, "minutes": 600, "checkpoint_every_us": MINUTE_US}
    scheduler = night(timed("a", **every), timed("b", **every), capacity=two_bins)  # type: ignore[arg-type]
    turn(scheduler, *begun("a"))
    turn(scheduler, *begun("b", at_us=5 * MINUTE_US))
    decisions = opens(scheduler, due_with("urgent", 20, cpu=1, run="late.2026-03-02"), at_us=10 * MINUTE_US)
    assert stopped(decisions) == ["b"]


def test_who_holds_the_pool_makes_room_also_from_another_bin() -> None:
    two_bins = Capacity((Bin("left", 1000, 4096), Bin("right", 1000, 4096)), (("db", 1),))
    low = timed(
        "low", tier=3, minutes=600, checkpoint_every_us=MINUTE_US, demand=Demand(1000, 0, 0, (("db", 1),))
    )
    scheduler = night(low, capacity=two_bins)
    turn(scheduler, *begun("low"))
    urgent = due_with("urgent", 20, run="late.2026-03-02", demand=Demand(1000, 0, 0, (("db", 1),)))
    decisions = opens(scheduler, urgent, at_us=MINUTE_US)
    assert stopped(decisions) == ["low"]
    assert started(made_room(scheduler, decisions, 2 * MINUTE_US)) == ["urgent"]


def test_nothing_is_kept_from_a_lower_task_that_tier_1_waits_for() -> None:
    """What Tier 1 was expected to need for four minutes it needs for twenty seconds. Nobody plans anew before five are
    over: until then an unrelated task is kept waiting, but not one without which Tier 1 cannot go on."""
    first = timed("first", minutes=2, cpu=2, deadline_us=60 * MINUTE_US)
    second = timed("second", "first", minutes=2, cpu=4, deadline_us=60 * MINUTE_US)
    needed = timed("needed", "second", minutes=1, tier=2)
    last = timed("last", "needed", minutes=1, deadline_us=60 * MINUTE_US)
    other = timed("other", minutes=1, tier=2, cpu=2)
    scheduler = night(first, second, needed, last, other)
    turn(scheduler, *begun("first"))
    turn(scheduler, AttemptSucceeded(MINUTE_US // 6, tid("first"), 1))
    turn(scheduler, *begun("second", at_us=MINUTE_US // 6))
    decisions = turn(scheduler, AttemptSucceeded(MINUTE_US // 3, tid("second"), 1))
    assert [d.task_id for d in decisions if isinstance(d, StartAttempt)] == [tid("needed")]
    assert scheduler.task_state(tid("other")) is TaskState.READY


def test_a_pool_is_freed_in_one_bin_and_cores_in_another() -> None:
    two_bins = Capacity((Bin("left", 1000, 4096), Bin("right", 3000, 4096)), (("db", 1),))
    saves = {"tier": 3, "minutes": 600, "checkpoint_every_us": MINUTE_US}
    wide = timed("wide", cpu=3, **saves)  # type: ignore[arg-type]
    pool = timed("pool", demand=Demand(1000, 0, 0, (("db", 1),)), **saves)  # type: ignore[arg-type]
    scheduler = night(wide, pool, capacity=two_bins)
    turn(scheduler, *begun("wide", "pool"))
    urgent = due_with("urgent", 20, run="late.2026-03-02", demand=Demand(2000, 0, 0, (("db", 1),)))
    decisions = opens(scheduler, urgent, at_us=MINUTE_US)
    assert sorted(stopped(decisions)) == ["pool", "wide"]
    assert "urgent" in started(made_room(scheduler, decisions, 2 * MINUTE_US))


def test_work_of_no_duration_that_is_due_when_it_begins_is_planned() -> None:
    """An hour to spare is all the time that it has."""
    at_once = timed("at_once", minutes=0, release_us=MINUTE_US, deadline_us=61 * MINUTE_US)
    scheduler = night(timed("busy", tier=2, cpu=4), at_once, timed("low", tier=3))
    turn(scheduler, *begun("busy"))
    assert started(turn(scheduler, AttemptSucceeded(2 * MINUTE_US, tid("busy"), 1))) == ["at_once", "low"]
