"""State, forecast, expected decisions: what Tiers 2 and 3 give up when Tier 1 is likely to be late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nights import RUN, machine, run_of, task, tid

from prometheus.core.demand import Demand
from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import (
    Decision,
    JudgeSlo,
    RefuseStart,
    SetPressure,
    SetTask,
    StartAttempt,
)
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Failure,
    ForecastMade,
    RunOpened,
    SloForecast,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.policies import STRICT, Policy
from prometheus.scheduler.states import RunState, SloState, TaskState
from prometheus.scheduler.verbs import what_forbids

LATE_US = 5 * HOUR_US
LADDER = ("reduced", "skip")
PROMISED = SloPlan(f"{RUN}.slo", RUN, "prices", (tid("prices"),), LATE_US)
# Tier 1 runs on the one core that it needs; the others come when that is over.
TIER_1 = task("prices", deadline_us=LATE_US, cautious_us=HOUR_US)
RESEARCH = task("research", tier=3, release_us=MINUTE_US)
RISK = task(
    "risk", tier=2, ladder=LADDER, release_us=MINUTE_US, deadline_us=2 * MINUTE_US, cautious_us=HOUR_US
)
# Elsewhere Tier 1 waits for the only unit of a pool, which another of Tier 1 holds: nothing lower can give it.
FEEDS = "feeds.2026-03-02"
HOLDER, BEHIND = (task(job, run=FEEDS, demand=Demand(0, pools=(("feed", 1),))) for job in ("first", "second"))


def begun(
    *tasks: TaskPlan, cpu: float = 4, policy: Policy | None = None, waits_in_vain: bool = True
) -> Scheduler:
    scheduler = Scheduler() if policy is None else Scheduler(policy=policy)
    run = run_of(TIER_1, *tasks, slos=(PROMISED,))
    events = [
        CapacityChanged(0, machine(cpu, feed=1)),
        RunOpened(0, run),
        AttemptStarted(0, TIER_1.task_id, 1),
    ]
    feeds = [HOLDER, BEHIND] if waits_in_vain else [HOLDER]
    scheduler.handle([*events, RunOpened(0, run_of(*feeds, run=FEEDS))])
    return scheduler


def forecast(at_us: int, miss: float, age_us: int = 0, slo: str = PROMISED.slo_id) -> ForecastMade:
    return ForecastMade(at_us, at_us - age_us, 20, (SloForecast(slo, miss, None, None, None),))


def test_a_forecast_that_knows_the_past_of_few_tasks_presses_nobody() -> None:
    scheduler = begun(RISK)
    for known, expected in ((0.4, []), (0.5, [1])):
        at_us = scheduler.now_us + 60_000_000
        said = SloForecast(PROMISED.slo_id, 0.6, None, None, None, (), known)
        assert levels(scheduler.handle([ForecastMade(at_us, at_us, 20, (said,))])) == expected


def levels(decisions: Sequence[Decision]) -> list[int]:
    return [d.level for d in decisions if isinstance(d, SetPressure)]


def modes(decisions: Sequence[Decision]) -> dict[str, str]:
    return {d.task_id.rsplit(".", 1)[1]: d.mode for d in decisions if isinstance(d, StartAttempt)}


def states(decisions: Sequence[Decision]) -> dict[str, TaskState]:
    return {d.task_id.rsplit(".", 1)[1]: d.state for d in decisions if isinstance(d, SetTask)}


def pressed(scheduler: Scheduler, level: int) -> Scheduler:
    """Forecasts that bring it there, each later than the one before."""
    for number in range(1, level + 1):
        assert levels(scheduler.handle([forecast(number, 0.5)])) == [number]
    return scheduler


def test_a_likely_miss_presses_the_lower_tiers_and_says_why() -> None:
    scheduler = begun(RISK)
    said = scheduler.handle([forecast(30_000_000, 0.41, 9_000_000)])
    said += scheduler.handle([forecast(90_000_000, 0.41, 30_000_000)])
    words = f"'prices' of {RUN} is missed with P 0.41 by a forecast of 20 samples, "
    vain = "and nothing lower can make room"
    assert [d for d in said if isinstance(d, SetPressure)] == [
        SetPressure(
            30_000_000,
            1,
            PROMISED.slo_id,
            0.41,
            21_000_000,
            f"{words}9s old, {vain}: Tier 3 is held, Tier 2 on rung 1 of its ladders",
        ),
        SetPressure(
            90_000_000,
            2,
            PROMISED.slo_id,
            0.41,
            60_000_000,
            f"{words}30s old, {vain}: Tier 3 is held, Tier 2 on rung 2 of its ladders",
        ),
    ]


def test_nothing_is_pressed_while_tier_1_waits_for_no_room() -> None:
    scheduler = begun(RISK, RESEARCH, waits_in_vain=False)
    assert levels(scheduler.handle([forecast(1, 0.9)])) == []
    assert modes(scheduler.handle([TimePassed(MINUTE_US)])) == {"risk": "full", "research": "full"}


def test_nothing_is_pressed_for_what_the_machine_could_never_hold() -> None:
    scheduler = begun(RISK, task("huge", cpu=9, deadline_us=LATE_US), waits_in_vain=False)
    assert levels(scheduler.handle([forecast(1, 0.9)])) == []


def test_tier_2_that_would_be_in_time_in_full_is_not_degraded() -> None:
    scheduler = pressed(begun(RISK, replace(RISK, task_id=tid("calm"), job="calm", deadline_us=LATE_US)), 1)
    assert modes(scheduler.handle([TimePassed(MINUTE_US)])) == {"risk": "reduced", "calm": "full"}


def test_tier_2_then_starts_on_its_rung_and_its_output_and_what_follows_are_marked() -> None:
    scheduler = pressed(begun(RISK, task("report", "risk", tier=2)), 1)
    assert modes(scheduler.handle([TimePassed(MINUTE_US)])) == {"risk": "reduced"}
    done = scheduler.handle([AttemptSucceeded(2 * MINUTE_US, tid("risk"), 1)])
    assert states(done)["risk"] is TaskState.DEGRADED
    assert modes(done) == {"report": "full"}, "it declares no ladder"
    assert states(scheduler.handle([AttemptSucceeded(3 * MINUTE_US, tid("report"), 1)])) == {
        "report": TaskState.DEGRADED
    }


def test_each_forecast_climbs_one_rung_and_the_last_one_skips_what_would_start() -> None:
    scheduler = pressed(begun(RISK, task("report", "risk", tier=2)), 1)
    assert levels(scheduler.handle([forecast(1, 0.5)])) == [], "the same forecast told again"
    assert levels(scheduler.handle([forecast(2, 0.5)])) == [2]
    assert levels(scheduler.handle([forecast(3, 0.9)])) == [], "there is no further rung"
    decisions = scheduler.handle([TimePassed(MINUTE_US)])
    assert states(decisions)["risk"] is TaskState.SKIPPED
    assert modes(decisions) == {"report": "full"}, "what follows it starts in the same turn"


def test_tier_3_is_held_but_for_what_tier_1_waits_for() -> None:
    scheduler = begun(
        RESEARCH, task("feed", tier=3, release_us=MINUTE_US), task("book", "feed", deadline_us=LATE_US)
    )
    scheduler.handle([forecast(1, 0.5)])
    decisions = scheduler.handle([TimePassed(MINUTE_US)])
    assert modes(decisions) == {"feed": "full"}
    (refused,) = [d for d in decisions if isinstance(d, RefuseStart)]
    assert refused.task_id == tid("research")
    assert refused.reason == (
        f"Tier 3 is held: 'prices' of {RUN} is missed with P 0.50 by the forecast of 00:00:00 UTC"
    )


def test_while_a_lower_task_can_still_make_room_nothing_is_degraded() -> None:
    at_us = 10 * MINUTE_US
    for cores, climbed in ((4, []), (5, [1])):
        wide = task("wide", cpu=cores, release_us=at_us, deadline_us=LATE_US, cautious_us=HOUR_US)
        running = task("now", tier=3, cpu=2, checkpoint_every_us=MINUTE_US)
        scheduler = begun(running, wide, RISK, cpu=5)
        scheduler.handle([AttemptStarted(1, running.task_id, 1)])
        assert levels(scheduler.handle([forecast(at_us, 0.5)])) == climbed


def test_between_the_bounds_nothing_changes_and_below_the_lower_one_all_is_released() -> None:
    scheduler = begun(RISK, RESEARCH)
    scheduler.handle([forecast(1, 0.5)])
    for at_us, miss in ((2, 0.19), (3, 0.1), (4, 0.05)):
        assert levels(scheduler.handle([forecast(at_us, miss)])) == []
    assert levels(scheduler.handle([forecast(5, 0.04)])) == [0]
    assert modes(scheduler.handle([TimePassed(MINUTE_US)])) == {"risk": "full", "research": "full"}


def test_a_forecast_from_too_long_ago_neither_climbs_nor_releases() -> None:
    scheduler = begun(RISK)
    assert levels(scheduler.handle([forecast(HOUR_US, 0.9, 11 * MINUTE_US)])) == []
    assert levels(scheduler.handle([forecast(HOUR_US + 1, 0.9, 9 * MINUTE_US)])) == [1]
    assert levels(scheduler.handle([forecast(2 * HOUR_US, 0.0, 11 * MINUTE_US)])) == []


def test_what_no_room_can_help_presses_nobody() -> None:
    scheduler = begun(RISK)
    scheduler.handle([AttemptFailed(1, TIER_1.task_id, 1, Failure.ERROR, "no")])
    assert levels(scheduler.handle([forecast(2, 1.0)])) == [], "it has failed"
    assert levels(begun(RISK).handle([forecast(2, 1.0, slo="unknown")])) == []
    assert levels(begun(RISK, policy=STRICT).handle([forecast(2, 1.0)])) == []


def test_a_promise_of_tier_2_presses_nobody() -> None:
    slo = SloPlan("slo.risk", RUN, "risk", (tid("risk"),), LATE_US)
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(0, machine(4)), RunOpened(0, run_of(RISK, slos=(slo,)))])
    assert levels(scheduler.handle([forecast(2, 1.0, slo="slo.risk")])) == []


def test_pressure_ends_with_the_last_promise_that_it_could_serve() -> None:
    """Else Tier 3 would be held for ever where no forecast comes any more."""
    scheduler = begun(RESEARCH)
    scheduler.handle([forecast(1, 0.9)])
    decisions = scheduler.handle([AttemptSucceeded(2 * MINUTE_US, TIER_1.task_id, 1)])
    assert levels(decisions) == [0]
    assert modes(decisions) == {"research": "full"}


def test_a_failure_under_pressure_climbs_on_from_the_rung_that_is_further() -> None:
    scheduler = begun(task("risk", tier=2, ladder=("reduced", "last_good"), retries=0, backoff_us=0))
    scheduler.handle([AttemptFailed(1, tid("risk"), 1, Failure.ERROR, "no")])
    scheduler.handle([AttemptFailed(2, tid("risk"), 2, Failure.LOST, "gone")])
    pressed(scheduler, 2)
    decisions = scheduler.handle([AttemptFailed(4, tid("risk"), 3, Failure.ERROR, "no")])
    assert modes(decisions) == {"risk": "last_good"}


def repaired(*jobs: str, at_us: int = HOUR_US) -> list[TaskAsked]:
    return [TaskAsked(at_us, tid(job), Verb.RETRY, "the full report is wanted", "ann") for job in jobs]


def test_what_was_degraded_is_run_again_in_full_when_asked_and_so_is_what_followed() -> None:
    scheduler = pressed(begun(RISK, task("report", "risk", tier=2)), 1)
    scheduler.handle([TimePassed(MINUTE_US)])
    scheduler.handle([AttemptSucceeded(2 * MINUTE_US, tid("risk"), 1)])
    scheduler.handle([AttemptSucceeded(3 * MINUTE_US, tid("report"), 1)])
    scheduler.handle([AttemptSucceeded(4 * MINUTE_US, TIER_1.task_id, 1)])
    assert scheduler.run_state(RUN) is RunState.DEGRADED
    decisions = scheduler.handle(repaired("risk", "report"))
    assert modes(decisions) == {"risk": "full"}
    assert states(decisions)["report"] is TaskState.WAITING
    assert not [d for d in decisions if isinstance(d, JudgeSlo)], "what was promised was kept"
    assert modes(scheduler.handle([AttemptSucceeded(HOUR_US, tid("risk"), 2)])) == {"report": "full"}
    done = scheduler.handle([AttemptSucceeded(HOUR_US + 1, tid("report"), 2)])
    assert states(done) == {"report": TaskState.SUCCEEDED}
    assert scheduler.run_state(RUN) is RunState.SUCCEEDED


def test_a_kept_promise_stays_kept_while_what_it_needs_is_repaired_and_after() -> None:
    slo = SloPlan(f"{RUN}.slo2", RUN, "risk too", (TIER_1.task_id, tid("risk")), LATE_US)
    scheduler = Scheduler()
    scheduler.handle(
        [
            CapacityChanged(0, machine(4, feed=1)),
            RunOpened(0, run_of(TIER_1, RISK, slos=(PROMISED, slo))),
            RunOpened(0, run_of(HOLDER, BEHIND, run=FEEDS)),
        ]
    )
    pressed(scheduler, 1)
    scheduler.handle([TimePassed(MINUTE_US)])
    scheduler.handle([AttemptSucceeded(2 * MINUTE_US, tid("risk"), 1)])
    said = scheduler.handle([AttemptSucceeded(3 * MINUTE_US, TIER_1.task_id, 1)])
    assert {d.state for d in said if isinstance(d, JudgeSlo)} == {SloState.MET}
    scheduler.handle(repaired("risk"))
    later = scheduler.handle([TimePassed(LATE_US + 1)])
    later += scheduler.handle([AttemptSucceeded(LATE_US + 2, tid("risk"), 2)])
    assert not [d for d in later if isinstance(d, JudgeSlo)]


def test_nothing_is_repaired_under_the_feet_of_what_reads_it() -> None:
    scheduler = pressed(begun(RISK, task("report", "risk", tier=2)), 1)
    scheduler.handle([TimePassed(MINUTE_US)])
    scheduler.handle([AttemptSucceeded(2 * MINUTE_US, tid("risk"), 1)])
    assert states(scheduler.handle(repaired("risk", at_us=3 * MINUTE_US))) == {}
    said = what_forbids(Verb.RETRY, scheduler.task_state(tid("risk")), [tid("report")])
    assert said is not None
    assert f"is being read by {tid('report')}: ask again when that has ended" in said
    ended = [AttemptSucceeded(4 * MINUTE_US, task_id, 1) for task_id in (tid("report"), TIER_1.task_id)]
    scheduler.handle(ended)
    assert what_forbids(Verb.RETRY, scheduler.task_state(tid("risk"))) is None
    assert modes(scheduler.handle(repaired("risk", at_us=5 * MINUTE_US))) == {"risk": "full"}


def test_a_repair_of_a_run_that_was_left_while_a_follower_ran_takes_both_up_again() -> None:
    scheduler = pressed(begun(RISK, task("report", "risk", tier=2)), 1)
    scheduler.handle([TimePassed(MINUTE_US)])
    scheduler.handle([AttemptSucceeded(2 * MINUTE_US, tid("risk"), 1)])
    scheduler.handle([AttemptSucceeded(3 * MINUTE_US, TIER_1.task_id, 1)])
    left = AttemptFailed(HOUR_US, tid("report"), 1, Failure.LOST, "the program that ran it is gone")
    decisions = scheduler.handle([left, *repaired("risk")])  # as a new leader tells it
    assert modes(decisions) == {"risk": "full"}
    assert modes(scheduler.handle([AttemptSucceeded(HOUR_US + 1, tid("risk"), 2)])) == {"report": "full"}


def test_a_forecast_that_was_overtaken_by_a_later_one_says_nothing_any_more() -> None:
    scheduler = begun(RISK)
    minute = 60_000_000
    scheduler.handle([forecast(5 * minute, 0.02, age_us=minute)])
    assert scheduler.handle([forecast(6 * minute, 0.95, age_us=5 * minute)]) == []
    assert levels(scheduler.handle([forecast(7 * minute, 0.95)])) == [1]
    assert levels(scheduler.handle([forecast(8 * minute, 0.95, age_us=minute)])) == []  # told again
