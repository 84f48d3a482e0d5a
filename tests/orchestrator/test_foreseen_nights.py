"""Nights in which forecasts are made in virtual time and heeded, and machines of which it is known what they will be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prometheus.core.errors import UserError
from prometheus.core.instants import MINUTE_US
from prometheus.orchestrator.simulation.faults import Faults
from prometheus.orchestrator.simulation.foreseeing import Forecasts
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload

EVERY_5_MIN = Forecasts(5 * MINUTE_US, 10)


def night_of(*tasks: dict[str, Any], cpu: float = 4, **fields: object) -> dict[str, Any]:
    return {
        "capacity": {"cpu": cpu},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 40_000,
        "tasks": [{"demand": {"cpu": 1}, "duration_s": 600, **task} for task in tasks],
        **fields,
    }


def wide(name: str, release_s: int, deadline_s: int, **fields: object) -> dict[str, Any]:
    """Tier 1: an hour on the whole machine, in four tasks that go one after the other."""
    return {
        "id": name,
        "tier": 1,
        "release_s": release_s,
        "deadline_s": deadline_s,
        "demand": {"cpu": 4},
        "duration_s": 3600,
        "history_s": [3300, 3600, 3900],
        **fields,
    }


RISK = {
    "id": "risk",
    "tier": 2,
    "release_s": 12_000,
    "duration_s": 1200,
    "history_s": [1200],
    "deadline_s": 12_500,
    "degrade": ["reduced", "skip"],
    "degraded_s": {"reduced": 300},
}
# Two hours of work in less than two hours: the second is late on most draws, whatever anybody does.
LATE = (wide("first", 3000, 20_000), wide("second", 3000, 9_900), wide("third", 11_000, 14_700))
RESEARCH = {"id": "research", "tier": 3, "release_s": 11_500, "duration_s": 900, "history_s": [900]}


def test_a_night_goes_from_forecast_to_pressure_to_ladder_to_release() -> None:
    told = simulate(make_workload(night_of(*LATE, RISK, RESEARCH)), forecasts=EVERY_5_MIN).as_json()
    levels = [one["level"] for one in told["forecasts"]["pressure"]]
    assert levels[0] == 1
    assert max(levels) > 1, "Tier 2 went up its ladder"
    assert levels[-1] == 0, "and what was pressed was released"
    assert told["forecasts"]["made"] > 10
    assert "by a forecast of 10 samples, 0s old" in told["forecasts"]["pressure"][0]["reason"]


# Two of three draws need more than the 8,900 seconds that there are. What waits for its pool waits in vain.
TIGHT = wide(
    "tight",
    11_000,
    19_900,
    demand={"cpu": 3, "pools": {"feed": 1}},
    duration_s=9_000,
    history_s=[8_800, 9_000, 9_200],
)
AFTER_IT = {"id": "next", "tier": 1, "release_s": 11_000, "demand": {"pools": {"feed": 1}}}
FEED = {"cpu": 4, "pools": {"feed": 1}}


def test_the_degraded_mode_takes_the_time_that_the_file_says_and_is_told_as_such() -> None:
    tasks = (TIGHT, AFTER_IT, {**RISK, "degrade": ["reduced"]})
    risk = simulate(make_workload(night_of(*tasks, capacity=FEED)), forecasts=EVERY_5_MIN).as_json()["tasks"][
        "risk"
    ]
    assert (risk["state"], risk["first_start_s"], risk["end_s"]) == ("degraded", 12_000, 12_300)
    assert (risk["useful_cpu_s"], risk["wasted_cpu_s"]) == (300, 0)


def test_what_is_skipped_takes_no_room() -> None:
    tasks = (TIGHT, AFTER_IT, {**RISK, "degrade": ["skip"], "degraded_s": {}})
    risk = simulate(make_workload(night_of(*tasks, capacity=FEED)), forecasts=EVERY_5_MIN).as_json()["tasks"][
        "risk"
    ]
    assert (risk["state"], risk["attempts"], risk["end_s"]) == ("skipped", 0, None)


def test_the_same_night_with_forecasts_is_the_same_twice_and_without_them_it_is_not_pressed() -> None:
    workload = make_workload(night_of(*LATE, RISK, RESEARCH))
    first, second = (simulate(workload, forecasts=EVERY_5_MIN).as_json() for _ in range(2))
    assert {**first, "wall_s": None} == {**second, "wall_s": None}
    assert "forecasts" not in simulate(workload).as_json()


def test_a_forecast_never_sees_what_is_the_worlds_secret() -> None:
    """The same histories with other truths: what was forecast before the first of them shows is the same."""
    fast = make_workload(night_of(*LATE, RISK))
    slow = replace(
        fast,
        truths={
            task_id: replace(truth, duration_us=truth.duration_us * 5)
            for task_id, truth in fast.truths.items()
        },
    )
    first, second = (simulate(one, forecasts=EVERY_5_MIN).as_json()["forecasts"] for one in (fast, slow))
    assert first["pressure"][0] == second["pressure"][0]


def test_forecasts_and_faults_do_not_go_together() -> None:
    with pytest.raises(UserError, match="not made in a night with faults"):
        simulate(make_workload(night_of(RISK)), faults=Faults(), forecasts=EVERY_5_MIN)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"degraded_s": {"quick": 5}}, r"task 'risk': degraded_s 'quick', which is no working mode"),
        ({"degraded_s": {"skip": 5}}, r"task 'risk': degraded_s 'skip', which is no working mode"),
        ({"degraded_s": {"reduced": -1}}, r"task 'risk' degraded_s\.reduced: -1"),
        ({"degrade": ["skip", "reduced"]}, r"'skip' can only be the last rung"),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make_workload(night_of({**RISK, **changes}))


def test_a_schedule_of_capacity_is_known_beforehand_and_a_change_is_a_surprise() -> None:
    """A job of three hours that cannot checkpoint, and a machine that shrinks after one."""
    job = {"id": "job", "tier": 3, "duration_s": 10_800, "history_s": [10_800], "demand": {"cpu": 4}}
    shrinks = [{"at_s": 3600, "capacity": {"cpu": 1}}, {"at_s": 18_000, "capacity": {"cpu": 4}}]
    announced = simulate(make_workload(night_of(job, capacity_schedule=shrinks))).as_json()["tasks"]["job"]
    surprised = simulate(make_workload(night_of(job, capacity_changes=shrinks))).as_json()["tasks"]["job"]
    assert announced["first_start_s"] == 18_000
    assert surprised["first_start_s"] == 0


def test_a_surprise_does_not_take_back_what_is_announced() -> None:
    job = {"id": "job", "tier": 1, "release_s": 4000, "demand": {"cpu": 8}, "history_s": [600]}
    night = night_of(
        job,
        capacity_changes=[{"at_s": 1000, "capacity": {"cpu": 2}}],
        capacity_schedule=[{"at_s": 500, "capacity": {"cpu": 3}}, {"at_s": 5000, "capacity": {"cpu": 8}}],
    )
    assert simulate(make_workload(night)).as_json()["tasks"]["job"]["first_start_s"] == 5000
    faulty = simulate(make_workload(night), faults=Faults())
    assert faulty.as_json()["tasks"]["job"]["first_start_s"] == 5000
