"""The family of nights that policies are compared on, and the first goals on it, small enough for every test run."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from statistics import fmean

import pytest

from bench.comparing import ALONE, Kind, Played, play
from bench.mixes import MIXES, mixed
from bench.nights import make_night

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


def test_a_mix_adds_demands_and_changes_nothing_else() -> None:
    base = make_night(7, 1.0)
    assert mixed(base, "", 7) == base
    for mix in MIXES:
        night = mixed(base, mix, 7)
        assert night == mixed(base, mix, 7), "the same seed gives the same"
        assert base == make_night(7, 1.0), "the base is left as it was"
        for task, other in zip(base["tasks"], night["tasks"], strict=True):
            assert {**other, "demand": {}} == {**task, "demand": {}}
            assert other["demand"]["cpu"] == task["demand"]["cpu"]


@cache
def scores(policy: str, mix: str = "") -> list[Played]:
    return [play(Kind(mix=mix), seed, policy) for seed in SEEDS]


def mean(policy: str, what: str, mix: str = "") -> float:
    return fmean(getattr(one, what) for one in scores(policy, mix))


def test_tier_1_keeps_its_deadlines_as_if_it_had_the_machine_for_itself() -> None:
    assert mean("reserving", "slo") >= mean(ALONE, "slo") - 0.3
    assert mean("strict", "slo") < 95, "on these nights it takes more than strict tiers"


def test_tier_3_keeps_three_quarters_of_what_it_has_when_tier_1_waits_for_it() -> None:
    assert mean("reserving", "useful") >= 0.78 * mean("strict", "useful")


def test_little_work_is_thrown_away_where_eager_preemption_throws_away_much() -> None:
    assert mean("reserving", "wasted") <= 6
    assert mean("eager", "wasted") > 4 * mean("reserving", "wasted")
    assert mean("eager", "slo") >= mean(ALONE, "slo") - 0.3


def test_with_memory_gpus_and_pools_it_is_as_good_as_the_better_of_its_halves() -> None:
    """Five nights: the means of Tier 3's work lie within ten per cent of each other by chance."""
    halves = ("eager", "reserved-only")
    assert mean("reserving", "slo", "all") >= max(mean(half, "slo", "all") for half in halves) - 0.6
    assert mean("reserving", "useful", "all") >= 0.9 * max(mean(half, "useful", "all") for half in halves)
