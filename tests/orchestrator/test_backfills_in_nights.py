"""Nights in which a backfill is owed a share of the machine, beside more other work than there is room for."""

from __future__ import annotations

from typing import Any

import pytest

from bench.nights import make_night, score
from prometheus.core.errors import UserError
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload

SHARE = 0.1


def crowded(seed: int, *, has_share: bool) -> dict[str, Any]:
    """A benchmark night with twice the work that fits, and two days' worth of small past sessions."""
    night = make_night(seed, 2.0)
    past = [
        {
            "id": f"past.{n}",
            "tier": 3,
            "release_s": 1800,
            "demand": {"cpu": 1},
            "duration_s": 1800,
            "history_s": [1800],
        }
        for n in range(200)
    ]
    if has_share:
        night["backfills"] = {"history": SHARE}
        past = [{**task, "backfill": "history"} for task in past]
    night["tasks"] += past
    return night


def core_hours(night: dict[str, Any], told: dict[str, Any], *tiers: int, past: bool) -> float:
    chosen = [t for t in night["tasks"] if t["tier"] in tiers and t["id"].startswith("past.") == past]
    return sum(told["tasks"][t["id"]]["useful_cpu_s"] for t in chosen) / 3600


@pytest.mark.parametrize("seed", [8, 13])
def test_a_backfill_gets_its_share_of_what_tiers_1_and_2_leave_and_tier_1_is_not_late_for_it(
    seed: int,
) -> None:
    """Nights on which it would get about half of that by itself; small tasks find room on most."""
    night, without = crowded(seed, has_share=True), crowded(seed, has_share=False)
    told, before = (simulate(make_workload(one)).as_json() for one in (night, without))
    machine = 16 * night["horizon_s"] / 3600
    left = machine - core_hours(night, told, 1, 2, past=False)
    assert core_hours(night, told, 3, past=True) >= SHARE * left
    assert core_hours(without, before, 3, past=True) < SHARE * left, "it would not without"
    assert score(night, told).slo >= score(without, before).slo


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backfill": "histroy"}, "backfill 'histroy' is none of backfills"),
        ({"backfill": "history", "deadline_s": 50}, "is of tier 3 and has no deadline_s"),
        ({"backfill": "history", "tier": 2}, "is of tier 3 and has no deadline_s"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str) -> None:
    task = {"id": "a", "tier": 3, "demand": {"cpu": 1}, "duration_s": 5, **changes}
    night = {
        "capacity": {"cpu": 1},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 60,
        "backfills": {"history": 0.1},
        "tasks": [task],
    }
    with pytest.raises(UserError, match=says):
        make_workload(night)
