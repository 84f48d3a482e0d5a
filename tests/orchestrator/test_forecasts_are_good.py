"""What forecasts are worth on the family of nights, small enough for every test run; docs/forecast.md has the rest."""

from __future__ import annotations

from functools import cache

from bench.forecasts import FIRST_LEARNED, Night, Row, Setting, foretold, learned, play
from bench.nights import make_night
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.scoring import Score, alarms, score
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened
from prometheus.scheduler.policies import POLICIES

SETTING = Setting(load=1.0, policy=POLICIES["strict"])
SEEDS = (1, 4, 8)


@cache
def rows() -> list[Row]:
    """Half an hour, an hour, and an hour and a half after each close; of a third of the promises that are missed."""
    outlook = learned(SETTING, nights=6)
    return [row for seed in SEEDS for row in play(SETTING, outlook, seed, samples=20, minutes=(30, 60, 90))]


def of(way: str) -> Score:
    return score(foretold(rows(), way))


def area(way: str) -> float:
    found = of(way).auc
    assert found is not None
    return found


def test_promises_in_danger_are_told_from_the_others_long_before_their_deadlines() -> None:
    assert area("forecast") >= 0.8
    assert of("forecast").brier < 0.75 * of("forecast").brier_of_base_rate


def test_those_who_look_at_the_graph_alone_tell_them_apart_much_less() -> None:
    for way in ("path", "pert"):
        assert area("forecast") > area(way) + 0.1
        assert of("forecast").brier < of(way).brier


def test_of_alarms_at_a_half_most_are_right_and_come_in_time() -> None:
    said = alarms(foretold(rows(), "forecast"), 0.5, 60 * MINUTE_US)
    assert said.recall is not None
    assert said.false_alarms is not None
    assert said.recall >= 0.8
    assert said.false_alarms <= 0.3


def test_other_nights_teach_what_the_family_of_nights_was_made_with() -> None:
    outlook = learned(SETTING, nights=12)
    assert 0.015 < outlook.failing_share < 0.025
    assert 0.08 < outlook.shared["m0"] < 0.2
    assert all(seed < FIRST_LEARNED for seed in SEEDS)


def test_that_lower_work_is_unknown_until_it_is_submitted_changes_no_decision() -> None:
    night: Night = SETTING.night(2)
    workload = night.workload
    scheduler = Scheduler(0, SETTING.policy)
    world = World(workload.truths, workload.start_us, workload.checkpoint_overhead_us)
    opening: dict[int, list[Event]] = {
        workload.start_us: [CapacityChanged(workload.start_us, workload.capacity)]
    }
    for run in night.runs():
        opening.setdefault(run.release_us, []).append(RunOpened(run.release_us, run))
    for at_us in sorted(opening):
        run_ahead(scheduler, world, (), at_us)
        run_ahead(scheduler, world, opening[at_us], at_us)
    run_ahead(scheduler, world, (), workload.horizon_us)
    known = simulate(make_workload(make_night(2, 1.0)), policy=SETTING.policy).lives
    assert {i: life.end_us for i, life in world.lives.items()} == {
        i: life.end_us for i, life in known.items()
    }
