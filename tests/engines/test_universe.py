from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.engines.universe.config import UniverseConfig
from prometheus.engines.universe.rules import Candidate, choose, refusal, turnover

CONFIG = UniverseConfig(core_size=3, satellite_size=2, buffer=0.5)
GOOD = Candidate("A", True, 252, 1e8, None, 0.5, "neutral", True)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"quarantined": "unadjusted_action on 2011-07-01"}, "quarantined: unadjusted_action on 2011-07-01"),
        ({"traded": False}, "no clean price on the session"),
        ({"sessions": 239}, "history: 239 of the last 252 sessions, 239 needed"),
        ({"dollar_volume": 4_999_999.0}, "traded dollars: median 4,999,999 a session, 5,000,000 needed"),
        ({"modelled": False}, "no place in the factor model"),
        ({"score": None}, "not assessed"),
    ],
)
def test_each_hard_filter_refuses_with_its_reason(fault: dict[str, Any], reason: str) -> None:
    assert refusal(GOOD, CONFIG) is None
    assert refusal(replace(GOOD, **fault), CONFIG) == reason


def candidates(*volumes_and_scores: tuple[str, float, float]) -> list[Candidate]:
    return [
        replace(GOOD, instrument_id=name, dollar_volume=volume * 1e7, score=score)
        for name, volume, score in volumes_and_scores
    ]


MARKET = candidates(
    ("A", 9, 0), ("B", 8, 0), ("C", 7, -2), ("D", 6, 1), ("E", 5, 3), ("F", 4, 2), ("G", 3, -1)
)


def roles(chosen: list[Any]) -> dict[str, str]:
    return {one.instrument_id: one.membership for one in chosen}


def test_the_core_is_the_most_traded_and_satellites_the_best_scored_of_the_rest() -> None:
    found = roles(choose(MARKET, {}, CONFIG))
    assert {name for name, role in found.items() if role == "core"} == {"A", "B", "C"}
    assert {name for name, role in found.items() if role == "satellite"} == {"E", "F"}
    assert {name for name, role in found.items() if role == "excluded"} == {"D", "G"}


def test_a_member_keeps_its_place_within_the_buffer_and_loses_it_beyond() -> None:
    before = {"D": "core", "A": "core", "B": "core", "F": "core"}  # reach of the core: ranks 1 to 4
    found = roles(choose(MARKET, before, CONFIG))
    assert {name for name, role in found.items() if role == "core"} == {"A", "B", "D"}
    assert found["F"] == "satellite"


def test_everyone_left_out_is_told_why() -> None:
    found = {one.instrument_id: one for one in choose(MARKET, {}, CONFIG)}
    assert found["D"].reason == "neutral: rank 3 by score outside the core, for 2 seats"
    assert all(one.reason for one in found.values())


def test_turnover_is_the_share_of_members_that_changed() -> None:
    before = {"A": "core", "B": "core", "C": "satellite", "X": "excluded"}
    assert turnover(before, {"A": "core", "B": "satellite", "C": "core"}) == 0
    assert turnover(before, {"D": "core", "E": "core", "F": "core"}) == 1
    assert turnover(before, {"A": "core", "B": "core", "D": "core"}) == pytest.approx(1 / 3)
    assert turnover({}, {"A": "core"}) is None


@given(st.integers(0, 10_000), st.integers(0, 30))
def test_sizes_are_kept_everyone_is_judged_once_and_the_order_given_does_not_matter(
    seed: int, count: int
) -> None:
    import random

    rng = random.Random(seed)
    market = [
        replace(
            GOOD,
            instrument_id=f"T{number:02d}",
            dollar_volume=rng.uniform(1e6, 1e8),
            score=rng.gauss(0, 1),
            traded=rng.random() > 0.1,
        )
        for number in range(count)
    ]
    before = {one.instrument_id: rng.choice(["core", "satellite", "excluded"]) for one in market}
    chosen = choose(market, before, CONFIG)
    assert [one.instrument_id for one in chosen] == sorted(one.instrument_id for one in market)
    passed = sum(refusal(one, CONFIG) is None for one in market)
    count_of = [one.membership for one in chosen].count
    assert count_of("core") == min(passed, 3)
    assert count_of("satellite") == min(passed - count_of("core"), 2)
    assert choose(market[::-1], before, CONFIG) == chosen


def test_the_universe_of_a_night_refuses_the_young_the_illiquid_and_the_quarantined(
    new_home: Any, prices: pl.DataFrame, days: list[Any]
) -> None:
    home = new_home(
        "night", prices.filter(~((pl.col("date") == days[359]) & (pl.col("instrument_id") == "T55")))
    )
    session = days[359]
    aside = {"date": [days[356]], "instrument_id": ["T50"], "rule": ["outlier"], "reason": ["too far"]}
    home.load("quarantine", pl.DataFrame(aside))
    for name in ("returns", "volatility", "correlations", "regime", "assessment", "universe"):
        home.job(name, session)
    rows = {row["instrument_id"]: row for row in home.runtime.universe(session, "US_EQ")}
    assert set(rows) == set(prices["instrument_id"])
    assert rows["T50"]["reason"] == f"quarantined: outlier on {days[356]}"
    assert rows["T55"]["reason"] == "no clean price on the session"
    assert rows["T40"]["reason"].startswith("history: 1")
    assert rows["T00"]["reason"].startswith("traded dollars: median 3,")
    roles = [row["membership"] for row in rows.values()]
    assert (roles.count("core"), roles.count("satellite")) == (20, 8)
