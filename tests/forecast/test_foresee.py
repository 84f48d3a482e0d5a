"""State, outlook, expected forecast: small cases that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.forecast.ahead import Told
from prometheus.forecast.arrivals import Arrival, Arrivals
from prometheus.forecast.calibration import Calibration
from prometheus.forecast.foresee import Outlook, foresee
from prometheus.forecast.world import Truth, World
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    CapacityChanged,
    Failure,
    RunOpened,
    TimePassed,
)
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.policies import RESERVING, STRICT, Policy

HOUR_S = 3600


def night(*tasks: dict[str, object], cpu: int = 1, policy: Policy = RESERVING) -> Scheduler:
    """A scheduler at the first instant of a workload."""
    given = [{"duration_s": 1, "demand": {"cpu": 1}, **task} for task in tasks]
    made = make_workload(
        {"capacity": {"cpu": cpu}, "start": "2026-03-02T12:00:00Z", "horizon_s": 9 * HOUR_S, "tasks": given}
    )
    scheduler = Scheduler(0, policy)
    scheduler.handle([CapacityChanged(made.start_us, made.capacity), RunOpened(made.start_us, made.plan)])
    return scheduler


def takes(**seconds: int) -> dict[str, tuple[int, ...]]:
    """Histories of one value, which are taken at their word."""
    return {task_id: (taken * SECOND_US,) for task_id, taken in seconds.items()}


def test_a_promise_that_half_of_the_past_would_keep_is_missed_in_about_half_of_the_samples() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 142, "history_s": [100, 200]})
    at_us = scheduler.now_us
    history = {"a": (100_000_000, 200_000_000)}
    made = foresee(scheduler, Outlook(history), until_us=at_us + 60 * MINUTE_US, samples=400)
    slo = made.slos[0]
    assert 0.45 < slo.miss < 0.55
    assert slo.p50_us is not None
    assert slo.p99_us is not None
    assert slo.p50_us == pytest.approx(at_us + 141_000_000, abs=10_000_000)
    assert slo.p99_us > at_us + 200_000_000, "of two past durations the longer is not the longest that can be"


def test_what_has_run_longer_than_the_short_half_is_one_of_the_long() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 150, "history_s": [100, 200]})
    at_us = scheduler.now_us
    outlook = Outlook({"a": (100_000_000, 200_000_000)})
    before = foresee(scheduler, outlook, until_us=at_us + 60 * MINUTE_US, samples=200).slos[0].miss
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([TimePassed(at_us + 120_000_000)])
    after = foresee(scheduler, outlook, until_us=at_us + 60 * MINUTE_US, samples=200).slos[0].miss
    assert before < 0.5
    assert after > 1.5 * before


def test_a_task_that_runs_longer_than_ever_ends_some_day_but_not_at_once() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 8 * HOUR_S})
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([TimePassed(at_us + 100 * MINUTE_US)])
    past = tuple(seconds * SECOND_US for seconds in range(240, 360, 4))
    made = foresee(scheduler, Outlook({"a": past}), until_us=at_us + 8 * 60 * MINUTE_US)
    end_us = made.tasks["a"].end_p50_us
    assert end_us is not None
    assert at_us + 102 * MINUTE_US < end_us < at_us + 120 * MINUTE_US


def test_a_task_that_runs_longer_than_its_only_past_is_given_more_time_too() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 8 * HOUR_S})
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([TimePassed(at_us + 100 * MINUTE_US)])
    made = foresee(scheduler, Outlook({"a": (5 * MINUTE_US,)}), until_us=at_us + 8 * 60 * MINUTE_US)
    end_us = made.tasks["a"].end_p50_us
    assert end_us is not None
    assert at_us + 102 * MINUTE_US < end_us < at_us + 120 * MINUTE_US


def test_a_forecast_changes_nothing_and_the_same_seed_says_the_same() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    before = scheduler.fingerprint()
    until_us = scheduler.now_us + 60 * MINUTE_US
    made = foresee(scheduler, Outlook(), until_us=until_us, samples=20, seed=3)
    assert scheduler.fingerprint() == before
    assert foresee(scheduler, Outlook(), until_us=until_us, samples=20, seed=3) == made


def test_a_larger_machine_is_seen_in_the_promise_of_the_second_task() -> None:
    """On one core the second waits for the first."""
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    until_us = scheduler.now_us + 60 * MINUTE_US
    outlook = Outlook(takes(a=60, b=60))
    alone = foresee(scheduler, outlook, until_us=until_us, samples=5)
    assert sorted(one.miss for one in alone.slos) == [0, 1]
    wider = CapacityChanged(scheduler.now_us, Capacity((Bin("machine", 2000, 1_000_000),)))
    both = foresee(scheduler, outlook, until_us=until_us, samples=5, first=[wider])
    assert [one.miss for one in both.slos] == [0, 0]


def test_samples_that_several_share_are_those_that_one_would_draw() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    until_us = scheduler.now_us + 60 * MINUTE_US
    seen: list[tuple[int, int | None]] = []
    together: list[tuple[int, int | None]] = []
    foresee(scheduler, Outlook(), until_us=until_us, samples=4, skip=0, watch=_ends_of(seen))
    foresee(scheduler, Outlook(), until_us=until_us, samples=4, skip=4, watch=_ends_of(seen))
    foresee(scheduler, Outlook(), until_us=until_us, samples=8, watch=_ends_of(together))
    assert seen == together
    assert [number for number, _ in seen] == list(range(8))


def _ends_of(into: list[tuple[int, int | None]]) -> Callable[[int, World, Told], None]:
    return lambda number, world, told: into.append((number, world.lives["b"].end_us))


def test_work_that_an_earlier_attempt_saved_is_not_done_again() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 5400, "checkpoint_every_s": 600})
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([AttemptCheckpointed(at_us + 40 * MINUTE_US, "a", 1, "null")])
    scheduler.handle([AttemptFailed(at_us + 45 * MINUTE_US, "a", 1, Failure.LOST, "its worker was lost")])
    outlook = Outlook(takes(a=HOUR_S), overhead_us=MINUTE_US)
    made = foresee(scheduler, outlook, until_us=at_us + 9 * HOUR_S * SECOND_US, samples=3)
    assert made.tasks["a"].end_p50_us == at_us + (45 + 1 + 20) * MINUTE_US
    scheduler.handle([AttemptStarted(at_us + 45 * MINUTE_US, "a", 2)])
    scheduler.handle([TimePassed(at_us + 50 * MINUTE_US)])
    again = foresee(scheduler, outlook, until_us=at_us + 9 * HOUR_S * SECOND_US, samples=3)
    assert again.tasks["a"].end_p50_us == at_us + (45 + 1 + 20) * MINUTE_US


def test_what_fails_as_often_as_it_did_is_late_as_often() -> None:
    """A failed attempt costs its time and a retry: more than the second to spare."""
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 61})
    outlook = Outlook(takes(a=60), failing={"a": 0.25})
    made = foresee(scheduler, outlook, until_us=scheduler.now_us + 60 * MINUTE_US, samples=400)
    assert 0.2 < made.slos[0].miss < 0.3


def test_tasks_of_a_group_that_is_slow_tonight_are_expected_to_be_slow() -> None:
    past = tuple(round(60e6 * factor) for factor in (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.4))
    scheduler = night({"id": "b", "tier": 1, "deadline_s": 90, "history_s": [1]})
    until_us = scheduler.now_us + 60 * MINUTE_US
    ended = [f"a{number}" for number in range(12)]
    known = Outlook(
        histories=dict.fromkeys([*ended, "b"], past),
        groups=dict.fromkeys([*ended, "b"], "m"),
        shared={"m": 0.2},
    )
    slow = replace(known, tonight=dict.fromkeys(ended, 90 * SECOND_US))
    fast = replace(known, tonight=dict.fromkeys(ended, 45 * SECOND_US))
    as_usual, slower, faster = (
        foresee(scheduler, outlook, until_us=until_us, samples=200).slos[0].miss
        for outlook in (known, slow, fast)
    )
    assert faster < as_usual < slower
    assert slower > 0.3


def test_expected_lower_work_is_in_the_way_of_what_waits_for_room() -> None:
    """Nobody is stopped under `strict`: a backtest that comes a minute before the task's release holds its core."""
    scheduler = night({"id": "a", "tier": 1, "release_s": 600, "deadline_s": 900}, policy=STRICT)
    start_us = scheduler.now_us
    backtest = Arrival(
        9 * MINUTE_US,
        TaskPlan("x", "x", "x", 3, Demand(1000, 0)),
        Truth(60 * MINUTE_US),
    )
    until_us = start_us + 3 * 60 * MINUTE_US
    outlook = Outlook(takes(a=60))
    assert foresee(scheduler, outlook, until_us=until_us, samples=4).slos[0].miss == 0
    some_nights = replace(outlook, arrivals=Arrivals(start_us, ((backtest,), ())))
    made = foresee(scheduler, some_nights, until_us=until_us, samples=40)
    assert made.slos[0].miss == 0.5
    assert made.tasks.keys() == {"a"}, "what is only expected has no forecast of its own"
    assert made.slos[0].critical == (("a", 1.0),)


def test_critical_is_what_the_last_task_waited_for_and_who_gave_it_room() -> None:
    """On one core: b waits for a; c, of a lower tier, holds the core that a waits for."""
    scheduler = night(
        {"id": "c", "tier": 3, "history_s": [600]},
        {"id": "a", "tier": 1, "release_s": 60},
        {"id": "b", "tier": 1, "release_s": 60, "after": ["a"], "deadline_s": 3000},
        {"id": "d", "tier": 1, "release_s": 3600, "deadline_s": 7000},
        policy=STRICT,
    )
    scheduler.handle([AttemptStarted(scheduler.now_us, "c", 1)])
    outlook = Outlook(takes(a=60, b=60, c=600, d=60))
    made = foresee(scheduler, outlook, until_us=scheduler.now_us + 3 * 60 * MINUTE_US, samples=3)
    critical = {slo.slo_id: dict(slo.critical) for slo in made.slos}
    assert critical == {"slo.b": {"a": 1.0, "b": 1.0, "c": 1.0}, "slo.d": {"d": 1.0}}


def test_only_what_it_concerns_is_judged_and_a_sample_ends_when_that_is_known() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 9000})
    ended: list[bool] = []
    made = foresee(
        scheduler,
        Outlook(takes(a=60, b=60)),
        until_us=scheduler.now_us + 9000 * SECOND_US,
        samples=2,
        concerning=["slo.a"],
        watch=lambda _, world, told: ended.append("b" in world.lives and world.lives["b"].end_us is not None),
    )
    assert [slo.slo_id for slo in made.slos] == ["slo.a"]
    assert ended == [False, False]


def test_a_recalibrated_forecast_says_what_its_share_has_meant_and_keeps_what_was_drawn() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 142})
    outlook = Outlook({"a": (100_000_000, 200_000_000)}, calibration=Calibration(1.0, -1.0, 500))
    made = foresee(scheduler, outlook, until_us=scheduler.now_us + 60 * MINUTE_US, samples=200)
    assert 0.45 < made.drawn["slo.a"] < 0.55
    assert 0.2 < made.slos[0].miss < 0.35


def test_an_attempt_that_would_run_longer_than_it_may_is_stopped_when_it_may_not_any_longer() -> None:
    """Told late that it began, the scheduler would stop it late. The second attempt takes as long, and ends alike."""
    started_us = 1_000 * SECOND_US
    slow = TaskPlan(
        "r.a",
        "r",
        "a",
        1,
        Demand(1000, 0),
        release_us=started_us,
        timeout_us=60 * SECOND_US,
        retries=1,
        backoff_us=0,
    )
    promise = SloPlan("s", "r", "s", ("r.a",), started_us + 3600 * SECOND_US)
    scheduler = Scheduler()
    run = RunPlan("r", "r", "US_EQ", date(2026, 3, 2), "0", started_us, (slow,), (promise,))
    capacity = Capacity((Bin("machine", 1000, 1000),))
    scheduler.handle([CapacityChanged(0, capacity), RunOpened(0, run)])
    ends: list[list[int]] = []
    made = foresee(
        scheduler,
        Outlook({"r.a": (61 * SECOND_US,)}),
        until_us=started_us + 7200 * SECOND_US,
        samples=1,
        watch=lambda _, world, __: ends.append([at_us for at_us, _ in world.freed]),
    )
    assert made.slos[0].miss == 1
    assert ends == [[started_us + 60 * SECOND_US, started_us + 120 * SECOND_US]]


def test_a_duration_that_is_guessed_is_no_longer_than_the_timeout_allows() -> None:
    """Declared with a timeout of one minute, and expected as long as any job of which nothing is known: ten minutes."""
    started_us = 1_000 * SECOND_US

    def task(job: str, *after: str) -> TaskPlan:
        return TaskPlan(
            f"r.{job}",
            "r",
            job,
            1,
            Demand(1000, 0),
            after,
            release_us=started_us,
            timeout_us=MINUTE_US,
            typical_us=10 * MINUTE_US,
            cautious_us=20 * MINUTE_US,
            late_us=30 * MINUTE_US,
        )

    promise = SloPlan("s", "r", "s", ("r.b",), started_us + 150 * MINUTE_US)
    scheduler = Scheduler()
    tasks = (task("a"), task("b", "r.a"))
    run = RunPlan("r", "r", "US_EQ", date(2026, 3, 2), "0", started_us, tasks, (promise,))
    machine = Capacity((Bin("machine", 1000, 1000),))
    scheduler.handle([CapacityChanged(started_us, machine), RunOpened(started_us, run)])

    def missed(outlook: Outlook) -> float:
        until_us = started_us + 300 * MINUTE_US
        return foresee(scheduler, outlook, until_us=until_us, samples=20).slos[0].miss

    assert missed(Outlook()) == 0
    assert missed(Outlook(slower={"r.b": 2.0})) == 1, "what is assumed to slow it down is no guess"
    assert missed(Outlook(takes(**{"r.a": 30, "r.b": 61}))) == 1, "what was seen is believed"
    scheduler.handle([AttemptStarted(started_us, "r.a", 1)])
    scheduler.handle([TimePassed(started_us + 50 * SECOND_US)])
    assert missed(Outlook()) == 0, "nor what is guessed of an attempt that runs"


def test_a_forecast_says_of_how_many_tasks_before_a_promise_it_knows_the_past() -> None:
    scheduler = night(
        {"id": "a", "tier": 1},
        {"id": "b", "tier": 1, "after": ["a"], "deadline_s": 900},
        {"id": "c", "tier": 3},
    )
    until_us = scheduler.now_us + 60 * MINUTE_US
    made = foresee(scheduler, Outlook({"b": (60_000_000,)}), until_us=until_us, samples=2)
    assert [one.known for one in made.slos] == [0.5]


def test_an_attempt_that_got_so_far_without_failing_does_not_fail_at_this_very_instant() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 9000, "history_s": [6000]})
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([TimePassed(at_us + 90 * MINUTE_US)])
    freed = []
    past = tuple(minutes * MINUTE_US for minutes in (95, 98, 100, 103, 105))
    foresee(
        scheduler,
        Outlook({"a": past}, failing={"a": 0.3}),
        until_us=at_us + 600 * MINUTE_US,
        samples=200,
        watch=lambda number, world, told: freed.extend(at for at, _ in world.freed),
    )
    assert at_us + 90 * MINUTE_US not in freed


def test_what_is_told_to_stop_goes_on_from_what_its_attempt_has_saved() -> None:
    scheduler = night(
        {"id": "low", "tier": 3, "history_s": [6000], "checkpoint_every_s": 600},
        {"id": "must", "tier": 1, "release_s": 4860, "deadline_s": 5580, "history_s": [600]},
    )
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "low", 1)])
    scheduler.handle([AttemptCheckpointed(at_us + 80 * MINUTE_US, "low", 1, "1")])
    scheduler.handle([TimePassed(at_us + 81 * MINUTE_US)])
    made = foresee(
        scheduler,
        Outlook({"low": (100 * MINUTE_US,) * 3, "must": (10 * MINUTE_US,) * 3}),
        until_us=at_us + 900 * MINUTE_US,
        samples=4,
    )
    assert made.tasks["low"].end_p50_us == at_us + (91 + 1 + 20) * MINUTE_US
