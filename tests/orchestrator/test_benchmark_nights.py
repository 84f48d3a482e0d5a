"""The family of nights that policies are compared on, and the first goals on it, small enough for every test run."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from statistics import fmean

import pytest

from bench.nights import Score, alone, make_night, score
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.policies import POLICIES

SEEDS = range(5)


@pytest.mark.parametrize(
    ("seed", "load", "checksum"),
    [
        (7, 1.0, "0c89dd86b51cffb259ee84ce6c6af650d56bac2f33558e1fa2425998fd399a27"),
        (11, 0.7, "c456fca6e8946663c9a15d35df38415aa8e4397c2b24ad059292502bcce96265"),
    ],
)
def test_a_seed_gives_the_night_that_it_gave_when_the_family_was_defined(
    seed: int, load: float, checksum: str
) -> None:
    text = json.dumps(make_night(seed, load), sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == checksum


@cache
def scores(policy: str) -> list[Score]:
    found = []
    for seed in SEEDS:
        night = make_night(seed, 1.0)
        night = alone(night) if policy == "alone" else night
        rule = POLICIES["reserving" if policy == "alone" else policy]
        found.append(score(night, simulate(make_workload(night), policy=rule).as_json()))
    return found


def mean(policy: str, what: str) -> float:
    return fmean(getattr(one, what) for one in scores(policy))


def test_tier_1_keeps_its_deadlines_as_if_it_had_the_machine_for_itself() -> None:
    assert mean("reserving", "slo") >= mean("alone", "slo") - 0.3
    assert mean("strict", "slo") < 95, "on these nights it takes more than strict tiers"


def test_tier_3_keeps_three_quarters_of_what_it_has_when_tier_1_waits_for_it() -> None:
    assert mean("reserving", "useful") >= 0.75 * mean("strict", "useful")


def test_little_work_is_thrown_away_where_eager_preemption_throws_away_much() -> None:
    assert mean("reserving", "wasted") <= 6
    assert mean("eager", "wasted") > 4 * mean("reserving", "wasted")
    assert mean("eager", "slo") >= mean("alone", "slo") - 0.3
