"""Nothing starves: who gets a window, who keeps out of it, and who makes room when it begins. State, event, decisions."""

from __future__ import annotations

import pytest
from nights import tid
from tiers import LATE, begun, due_with, made_room, night, opens, refused, started, stopped, timed, turn

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.scheduler.decisions import StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
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


def saving(job: str, cpu: float = 4, **fields: object) -> TaskPlan:
    """A Tier 3 task of ten hours that saves its work every quarter of an hour."""
    return timed(job, minutes=600, tier=3, cpu=cpu, checkpoint_every_us=15 * MINUTE_US, **fields)  # type: ignore[arg-type]


def saves(job: str, at_min: int) -> AttemptCheckpointed:
    return AttemptCheckpointed(at_min * MINUTE_US, tid(job), 1, "null")


def test_an_open_window_keeps_out_what_can_checkpoint_too_and_closes_when_its_task_leaves() -> None:
    scheduler = night(saving("low", cpu=2), timed("wide", minutes=60, tier=3, cpu=4, release_us=1))
    turn(scheduler, *begun("low"), TimePassed(1))
    turn(scheduler, saves("low", 169))
    turn(scheduler, TimePassed(182 * MINUTE_US))  # the window begins, and "low" will save in two minutes
    small = timed("small", tier=3, checkpoint_every_us=MINUTE_US, run="late.2026-03-02")
    assert "small" in refused(opens(scheduler, small, at_us=183 * MINUTE_US))
    gone = turn(scheduler, TaskAsked(183 * MINUTE_US, tid("wide"), Verb.CANCEL, "no more", "ann"))
    assert started(gone) == ["small"]


def test_a_window_does_not_begin_while_one_that_outruns_what_was_promised_to_it_holds_the_room() -> None:
    """Meanwhile who can make room uses what is free, and who cannot keeps out of the window that comes."""
    scheduler = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", minutes=60, tier=3, cpu=4))
    turn(scheduler, *begun("busy"))
    turn(scheduler, TimePassed(236 * MINUTE_US))
    assert scheduler.windows_begun() == []
    late_us = 241 * MINUTE_US
    long = timed("long", tier=3, run="late.2026-03-02")
    small = timed("small", tier=3, checkpoint_every_us=MINUTE_US, run="late.2026-03-02")
    decisions = opens(scheduler, long, small, at_us=late_us)
    assert (started(decisions), list(refused(decisions))) == (["small"], ["long"])
    assert scheduler.windows_begun() == []


def test_for_a_first_turn_what_checkpoints_makes_room_at_once_or_when_it_saves_within_five_minutes() -> None:
    for saved_min, is_stopped_at_once in ((None, True), (171, True), (169, False)):
        scheduler = night(saving("low"), timed("waits", minutes=60, tier=3, cpu=2, release_us=1))
        turn(scheduler, *begun("low"), TimePassed(1))
        if saved_min is not None:
            turn(scheduler, saves("low", saved_min))
        at_us = 182 * MINUTE_US
        decisions = turn(scheduler, TimePassed(at_us))
        assert stopped(decisions) == (["low"] if is_stopped_at_once else [])
        if not is_stopped_at_once:
            at_us = 184 * MINUTE_US
            decisions = turn(scheduler, saves("low", 184))
        (stop,) = [d for d in decisions if isinstance(d, StopAttempt)]
        assert stop.reason == f"makes room for {tid('waits')}, whose window has begun"
        (start,) = [d for d in made_room(scheduler, decisions, at_us) if isinstance(d, StartAttempt)]
        assert (start.task_id, start.reason) == (tid("waits"), "Tier 3, its window has begun, and it fits")


def test_for_a_first_turn_makes_room_also_who_has_just_begun() -> None:
    """There is one first turn to a task, so nobody is stopped for ever; and the next plan may take the window."""
    scheduler = night(timed("busy", minutes=240, tier=2, cpu=2), timed("waits", tier=3, cpu=4))
    turn(scheduler, *begun("busy"))
    at_us = 237 * MINUTE_US
    assert started(opens(scheduler, saving("low", cpu=2, run=LATE), at_us=at_us)) == ["low"]
    turn(scheduler, AttemptStarted(at_us, f"{LATE}.low", 1), AttemptSucceeded(at_us, tid("busy"), 1))
    another = timed("another", tier=3, cpu=4, run="third.2026-03-02")  # now windows are looked for again
    assert stopped(opens(scheduler, another, at_us=239 * MINUTE_US, run="third.2026-03-02")) == ["low"]


@pytest.mark.parametrize(
    ("gap_min", "window"), [(65, (48, 60)), (55, (48, 54)), (20, (48, 51)), (10, (110, 122))]
)
def test_a_first_turn_that_would_come_too_late_is_half_or_a_quarter_as_long(
    gap_min: int, window: tuple[int, int]
) -> None:
    """The machine is free from 04:00 until Tier 1 needs all of it for five hours: for so many minutes."""
    close_us = (240 + gap_min) * MINUTE_US
    close = timed(
        "close", minutes=300, cpu=4, release_us=close_us, deadline_us=close_us + 5 * HOUR_US + MINUTE_US
    )
    scheduler = night(timed("busy", minutes=239, tier=2, cpu=4), saving("wide"), close)
    turn(scheduler, *begun("busy"))
    turn(scheduler, TimePassed(182 * MINUTE_US))
    _, *found = scheduler._books.reservation.windows[tid("wide")]
    assert tuple(found) == window


def test_tier_2_and_what_cannot_checkpoint_make_no_room_for_a_window() -> None:
    for low in (
        timed("low", minutes=600, tier=2, cpu=4, checkpoint_every_us=15 * MINUTE_US),
        timed("low", minutes=600, tier=3, cpu=4),
    ):
        scheduler = night(low, timed("waits", minutes=60, tier=3, cpu=2, release_us=1))
        turn(scheduler, *begun("low"), TimePassed(1))
        facts: list[Event] = [TimePassed(182 * MINUTE_US)]
        if low.checkpoint_every_us is not None:
            facts.append(saves("low", 182))
        assert stopped(turn(scheduler, *facts)) == []


def test_for_a_later_turn_one_runs_an_hour_and_makes_room_just_after_it_has_saved() -> None:
    scheduler = night(saving("first"), saving("second", release_us=1))
    turn(scheduler, *begun("first"), TimePassed(1))
    turn(scheduler, saves("first", 171))
    at_us = 182 * MINUTE_US
    assert started(made_room(scheduler, turn(scheduler, TimePassed(at_us)), at_us)) == ["second"]
    turn(scheduler, AttemptStarted(at_us, tid("second"), 1))
    # "first" waits anew, for it had its turn; three hours later it has a window, and "second" has had its hour.
    assert stopped(turn(scheduler, saves("second", 200))) == []
    assert stopped(turn(scheduler, TimePassed(366 * MINUTE_US))) == [], "it saved long ago"
    assert stopped(turn(scheduler, saves("second", 380))) == ["second"]


@pytest.mark.parametrize("has_deadline", [True, False])
def test_tier_1_that_can_wait_keeps_to_its_plan_in_the_window_of_a_first_turn(has_deadline: bool) -> None:
    """Eight hours of Tier 1 in 24, planned one after the other. Of one without a deadline nobody knows that it can wait."""
    deadline_us = 24 * HOUR_US if has_deadline else None
    closes = [timed(f"close{i}", cpu=1, deadline_us=deadline_us, run=LATE) for i in range(8)]
    scheduler = night(timed("busy", minutes=235, tier=2, cpu=2), timed("wide", tier=3, cpu=3))
    turn(scheduler, *begun("busy"))
    for hour in (0, 1):
        at_us = (100 + 60 * hour) * MINUTE_US
        ended = [AttemptSucceeded(at_us, f"{LATE}.close{2 * hour - 2 + i}", 1) for i in range(2) if hour]
        decisions = turn(scheduler, *ended) if hour else opens(scheduler, *closes, at_us=at_us)
        assert started(decisions) == [f"close{2 * hour}", f"close{2 * hour + 1}"], "whatever fits starts"
        turn(scheduler, *[AttemptStarted(at_us, f"{LATE}.close{2 * hour + i}", 1) for i in range(2)])
    turn(scheduler, TimePassed(182 * MINUTE_US))
    at_us = 220 * MINUTE_US
    decisions = turn(scheduler, *[AttemptSucceeded(at_us, f"{LATE}.close{i}", 1) for i in (2, 3)])
    if not has_deadline:
        assert started(decisions) == ["close4", "close5"]
        return
    assert started(decisions) == ["close4"]
    assert {job: why for job, why in refused(decisions).items() if job != "wide"} == {
        "close5": f"fits and can wait, and would take what the plan leaves for the first turn of {tid('wide')}"
    }
    turn(scheduler, AttemptStarted(at_us, f"{LATE}.close4", 1))
    assert started(turn(scheduler, AttemptSucceeded(235 * MINUTE_US, tid("busy"), 1))) == ["wide"]


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


@pytest.mark.parametrize("slack_min", [None, 44, 46])
@pytest.mark.parametrize("has_begun", [True, False])
def test_tier_2_that_can_wait_keeps_out_of_a_first_turn_that_has_begun(
    slack_min: int | None, has_begun: bool
) -> None:
    """Two cores are free, and "low" makes room for the wide one when it has saved. What has no deadline does not wait."""
    scheduler = night(saving("low", cpu=2), timed("wide", tier=3, cpu=4, release_us=1))
    turn(scheduler, *begun("low"), TimePassed(1))
    turn(scheduler, saves("low", 169))
    late_us = (183 if has_begun else 179) * MINUTE_US
    deadline_us = None if slack_min is None else late_us + (30 + slack_min) * MINUTE_US
    report = timed("report", minutes=30, tier=2, run=LATE, deadline_us=deadline_us)
    decisions = opens(scheduler, report, at_us=late_us)
    if slack_min == 46 and has_begun:
        said = "fits now, but cpu is kept for Tier 1 and earlier promises now"
        assert refused(decisions)["report"] == said
    else:
        assert started(decisions) == ["report"]


def test_a_window_begins_only_if_what_was_to_have_ended_by_then_has() -> None:
    """The plan from which it was found is younger than five minutes, and would not be made anew for that alone."""
    for runs_on in (False, True):
        scheduler = night(timed("busy", minutes=170, tier=2), timed("wide", minutes=60, tier=3, cpu=4))
        turn(scheduler, *begun("busy"))
        close = timed("close", minutes=13, cpu=3, run=LATE)
        assert started(opens(scheduler, close, at_us=170 * MINUTE_US)) == ["close"]
        turn(scheduler, AttemptStarted(170 * MINUTE_US, f"{LATE}.close", 1))
        turn(scheduler, AttemptSucceeded(171 * MINUTE_US, tid("busy"), 1))
        turn(scheduler, TimePassed(181 * MINUTE_US))
        assert scheduler.next_wakeup_us() == 185 * MINUTE_US
        ended = [] if runs_on else [AttemptSucceeded(184 * MINUTE_US, f"{LATE}.close", 1)]
        decisions = turn(scheduler, *ended, TimePassed(185 * MINUTE_US))
        assert (started(decisions), scheduler.windows_begun()) == ([] if runs_on else ["wide"], [])


@pytest.mark.parametrize(("saved_min", "is_stopped_at_once"), [(341, False), (343, True)])
def test_no_save_is_waited_for_that_comes_when_a_first_turn_is_six_hours_late(
    saved_min: int, is_stopped_at_once: bool
) -> None:
    """Both save within five minutes of the window's beginning, at 355; whoever stops may take two of them to end."""
    scheduler = night(
        timed("busy", minutes=354, tier=2, cpu=2), saving("low", cpu=2), timed("waits", tier=3, cpu=4)
    )
    turn(scheduler, *begun("busy", "low"))
    turn(scheduler, saves("low", saved_min))
    decisions = turn(scheduler, AttemptSucceeded(355 * MINUTE_US, tid("busy"), 1))
    assert stopped(decisions) == (["low"] if is_stopped_at_once else [])


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
