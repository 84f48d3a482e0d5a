"""Nothing starves: who gets a window, who keeps out of it, and who makes room when it begins. State, event, decisions."""

from __future__ import annotations

from nights import tid
from tiers import LATE, begun, due_with, made_room, night, opens, refused, started, stopped, timed, turn

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.scheduler.decisions import StopAttempt
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    Event,
    Failure,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import RESERVED_ONLY


def test_a_wide_task_that_has_waited_three_hours_gets_a_window_that_smaller_ones_keep_out_of() -> None:
    """Two cores are busy until 04:00; the wide task gets a window from then, and what would end later is refused."""
    scheduler = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", minutes=60, tier=3, cpu=4))
    turn(scheduler, *begun("busy"))
    after_us = 181 * MINUTE_US
    for job, minutes, is_admitted in (("short", 40, True), ("long", 120, False)):
        run = f"{job}.2026-03-02"
        decisions = opens(scheduler, timed(job, minutes=minutes, tier=3, run=run), at_us=after_us, run=run)
        assert bool(started(decisions)) is is_admitted, job
    early = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", minutes=60, tier=3, cpu=4))
    late = timed("long", minutes=120, tier=3, run="late.2026-03-02")
    assert started(opens(early, late, at_us=120 * MINUTE_US)) == ["long"], (
        "before three hours nobody keeps out"
    )


def test_an_open_window_keeps_out_what_can_checkpoint_too_and_closes_when_its_task_leaves() -> None:
    scheduler = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", minutes=60, tier=3, cpu=4))
    turn(scheduler, *begun("busy"))
    late_us = 241 * MINUTE_US  # busy runs longer than was promised to it, in what is the wide task's window
    small = timed("small", tier=3, checkpoint_every_us=MINUTE_US, run="late.2026-03-02")
    assert "small" in refused(opens(scheduler, small, at_us=late_us))
    gone = turn(scheduler, TaskAsked(late_us, tid("wide"), Verb.CANCEL, "no more", "ann"))
    assert started(gone) == ["small"]


def saving(job: str, cpu: float = 4, **fields: object) -> TaskPlan:
    """A Tier 3 task of ten hours that saves its work every quarter of an hour."""
    return timed(job, minutes=600, tier=3, cpu=cpu, checkpoint_every_us=15 * MINUTE_US, **fields)  # type: ignore[arg-type]


def test_when_a_window_begins_what_checkpoints_makes_room_just_after_it_has_saved() -> None:
    scheduler = night(saving("low"), timed("waits", minutes=60, tier=3, cpu=2))
    turn(scheduler, *begun("low"))
    turn(scheduler, AttemptCheckpointed(170 * MINUTE_US, tid("low"), 1, "null"))
    assert stopped(turn(scheduler, TimePassed(181 * MINUTE_US))) == [], "it saved eleven minutes ago"
    decisions = turn(scheduler, AttemptCheckpointed(185 * MINUTE_US, tid("low"), 1, "null"))
    (stop,) = [d for d in decisions if isinstance(d, StopAttempt)]
    assert (stop.task_id, stop.reason) == (
        tid("low"),
        f"makes room for {tid('waits')}, whose window has begun",
    )
    assert started(made_room(scheduler, decisions, 185 * MINUTE_US)) == ["waits"]


def test_who_has_not_saved_since_it_began_and_tier_2_and_what_cannot_checkpoint_make_no_room_for_a_window() -> (
    None
):
    for low, saves in (
        (saving("low"), False),
        (timed("low", minutes=600, tier=2, cpu=4, checkpoint_every_us=15 * MINUTE_US), True),
        (timed("low", minutes=600, tier=3, cpu=4), False),
    ):
        scheduler = night(low, timed("waits", minutes=60, tier=3, cpu=2, release_us=1))
        turn(scheduler, *begun("low"), TimePassed(1))
        turn(scheduler, TimePassed(181 * MINUTE_US))
        facts: list[Event] = [TimePassed(185 * MINUTE_US)]
        if saves:
            facts.append(AttemptCheckpointed(185 * MINUTE_US, tid("low"), 1, "null"))
        assert stopped(turn(scheduler, *facts)) == []


def test_of_two_that_checkpoint_one_runs_an_hour_before_it_makes_room_for_the_other() -> None:
    scheduler = night(saving("first"), saving("second", release_us=1))
    turn(scheduler, *begun("first"), TimePassed(1))
    turn(scheduler, TimePassed(181 * MINUTE_US))
    saved = turn(scheduler, AttemptCheckpointed(185 * MINUTE_US, tid("first"), 1, "null"))
    assert stopped(saved) == ["first"]
    assert started(made_room(scheduler, saved, 185 * MINUTE_US)) == ["second"]
    turn(scheduler, AttemptStarted(185 * MINUTE_US, tid("second"), 1))
    # "first" waits anew, for it had its turn; three hours later it has a window, and "second" has had its hour.
    quiet = turn(scheduler, AttemptCheckpointed(200 * MINUTE_US, tid("second"), 1, "null"))
    assert stopped(quiet) == []
    turn(scheduler, TimePassed(366 * MINUTE_US))
    assert stopped(turn(scheduler, AttemptCheckpointed(380 * MINUTE_US, tid("second"), 1, "null"))) == [
        "second"
    ]


def test_a_policy_without_preemption_makes_no_room_for_windows() -> None:
    scheduler = night(saving("low"), timed("waits", minutes=60, tier=3, cpu=2), policy=RESERVED_ONLY)
    turn(scheduler, *begun("low"))
    turn(scheduler, TimePassed(181 * MINUTE_US))
    assert stopped(turn(scheduler, AttemptCheckpointed(185 * MINUTE_US, tid("low"), 1, "null"))) == []


def test_a_window_is_given_also_to_one_that_stands_behind_an_equal_that_does_not_fit_any() -> None:
    """The first of them needs four hours beside Tier 1, which comes in three; the second needs one."""
    close = timed("close", cpu=4, release_us=6 * HOUR_US, deadline_us=8 * HOUR_US)
    scheduler = night(
        close,
        timed("busy", minutes=200, tier=2, cpu=4),
        timed("long", minutes=235, tier=3, cpu=4),
        timed("short", minutes=130, tier=3, cpu=4, release_us=1),
    )
    turn(scheduler, *begun("busy"))
    turn(scheduler, TimePassed(181 * MINUTE_US))
    ended = turn(scheduler, AttemptFailed(200 * MINUTE_US, tid("busy"), 1, Failure.REFUSED, "gone"))
    assert started(ended) == ["short"]


def test_tier_2_goes_before_windows() -> None:
    scheduler = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", minutes=60, tier=3, cpu=4))
    turn(scheduler, *begun("busy"))
    late_us = 181 * MINUTE_US
    assert started(opens(scheduler, timed("report", minutes=120, tier=2, run=LATE), at_us=late_us)) == [
        "report"
    ]


def test_who_made_room_before_it_saved_anything_keeps_its_age_and_others_wait_anew() -> None:
    """Ready at 0, it makes room at 100 minutes. At 181 it has a window only if it had saved nothing until then."""
    for saves in (False, True):
        scheduler = night(saving("low"))
        turn(scheduler, *begun("low"))
        if saves:
            turn(scheduler, AttemptCheckpointed(15 * MINUTE_US, tid("low"), 1, "null"))
        at_us = 100 * MINUTE_US
        decisions = opens(scheduler, due_with("urgent", 10, at_us, cpu=3, run=LATE), at_us=at_us)
        assert stopped(decisions) == ["low"]
        assert started(made_room(scheduler, decisions, at_us)) == ["urgent"]
        turn(scheduler, AttemptStarted(at_us, f"{LATE}.urgent", 1))
        small = timed("small", minutes=120, tier=3, run="more.2026-03-02")
        decisions = opens(scheduler, small, at_us=181 * MINUTE_US, run="more.2026-03-02")
        assert started(decisions) == (["small"] if saves else [])
