from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import UserError
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import Outcome, TableRows
from prometheus.engines.universe.config import UniverseConfig
from prometheus.engines.universe.rules import GONE, Candidate, choose, moves, refusal, rule_counts, turnover

CONFIG = UniverseConfig(core_size=3, satellite_size=2, buffer=0.5)
GOOD = Candidate("A", True, 252, 1e8, None, 0.5, "neutral", True)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"quarantined": "unadjusted_action on 2011-07-01"}, "quarantined: unadjusted_action on 2011-07-01"),
        ({"traded": False}, "no price: none that is clean on the session"),
        ({"sessions": 239}, "history: 239 of the last 252 sessions, 239 needed"),
        ({"dollar_volume": 4_999_999.0}, "traded dollars: median 4,999,999 a session, 5,000,000 needed"),
        ({"modelled": False}, "no model: it has no place in the factor model"),
        ({"score": None}, "not assessed: it has no score"),
        (
            {"soft_target": "SOFT_TARGET", "soft_target_reason": "fragility 0.91"},
            "soft target: fragility 0.91",
        ),
        (
            {"soft_target": "WATCHLIST", "soft_target_reason": "fragility 0.75"},
            "watchlist: a member could stay, a newcomer may not enter; fragility 0.75",
        ),
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
    assert found["D"].reason == "no seat: neutral, rank 3 by score outside the core, for 2 seats"
    assert all(one.reason for one in found.values())


def test_turnover_is_the_share_of_members_that_changed() -> None:
    before = {"A": "core", "B": "core", "C": "satellite", "X": "excluded"}
    assert turnover(before, {"A": "core", "B": "satellite", "C": "core"}) == 0
    assert turnover(before, {"D": "core", "E": "core", "F": "core"}) == 1
    assert turnover(before, {"A": "core", "B": "core", "D": "core"}) == pytest.approx(1 / 3)
    assert turnover({}, {"A": "core"}) is None


def test_on_the_watchlist_a_member_stays_and_a_newcomer_does_not_enter() -> None:
    watched = [
        replace(one, soft_target="WATCHLIST", soft_target_reason="fragile")
        if one.instrument_id in "AE"
        else one
        for one in MARKET
    ]
    found = {one.instrument_id: one for one in choose(watched, {"A": "core"}, CONFIG)}
    assert found["A"].membership == "core"
    assert found["E"].membership == "excluded"
    assert found["E"].reason.startswith("watchlist: ")
    # Having been left out before is no membership.
    assert roles(choose(watched, {"A": "excluded"}, CONFIG))["A"] == "excluded"


def test_a_soft_target_leaves_though_it_was_a_member_and_its_seat_goes_to_the_next() -> None:
    fragile = [
        replace(one, soft_target="SOFT_TARGET", soft_target_reason="fragility 0.9")
        if one.instrument_id == "A"
        else one
        for one in MARKET
    ]
    before = {"A": "core", "B": "core", "C": "core", "E": "satellite", "F": "satellite"}
    chosen = choose(fragile, before, CONFIG)
    assert {name for name, role in roles(chosen).items() if role == "core"} == {"B", "C", "D"}
    moved = moves(before, chosen)
    assert dict(moved.left) == {"A": "soft target: fragility 0.9"}
    assert dict(moved.joined) == {"D": "rank 3 by traded dollars"}


def test_one_whose_prices_ended_left_for_that_reason_and_a_first_universe_has_no_moves() -> None:
    chosen = choose(MARKET, {}, CONFIG)
    assert dict(moves({"A": "core", "Z": "satellite"}, chosen).left) == {"Z": GONE}
    assert moves({}, chosen).joined == {}


def test_each_rule_says_how_many_it_left_out() -> None:
    market = [replace(MARKET[0], traded=False), replace(MARKET[1], traded=False), *MARKET[2:]]
    assert rule_counts(choose(market, {}, CONFIG)) == {"no price": 2}
    assert rule_counts(choose(MARKET, {}, CONFIG)) == {"no seat": 2}


def test_no_sector_has_more_than_its_share_of_the_seats_if_there_is_a_cap() -> None:
    sectors = {"A": "energy", "B": "energy", "C": "energy", "D": "banks", "E": "banks"}
    market = [replace(one, sector=sectors.get(one.instrument_id)) for one in MARKET]
    assert choose(market, {}, CONFIG) == choose(MARKET, {}, CONFIG)  # off, unless asked for
    found = {
        one.instrument_id: one for one in choose(market, {}, replace(CONFIG, core_size=4, sector_cap=0.5))
    }
    # Two of four core seats a sector, one of two satellite seats; F and G have no sector and no limit.
    assert {name for name, one in found.items() if one.membership == "core"} == {"A", "B", "D", "E"}
    assert {name for name, one in found.items() if one.membership == "satellite"} == {"F", "G"}
    assert found["C"].reason == "sector: the seats of energy are taken (50%); rank 3 by score"
    tight = {one.instrument_id: one for one in choose(market, {}, replace(CONFIG, sector_cap=0.4))}
    assert {name for name, one in tight.items() if one.membership == "core"} == {"A", "D", "F"}
    assert tight["C"].reason == "sector: the seats of energy are taken (40%); rank 4 by score"


@given(st.integers(0, 10_000))
def test_one_more_instrument_that_is_refused_changes_nobody_else(seed: int) -> None:
    import random

    rng = random.Random(seed)
    market = [
        replace(
            GOOD, instrument_id=f"T{number:02d}", dollar_volume=rng.uniform(6e6, 1e8), score=rng.gauss(0, 1)
        )
        for number in range(12)
    ]
    before = {one.instrument_id: rng.choice(["core", "satellite", "excluded"]) for one in market}
    refused = replace(
        GOOD, instrument_id="T05x", soft_target="SOFT_TARGET", soft_target_reason="fragile", score=9.0
    )
    chosen = choose([*market, refused], before, CONFIG)
    assert [one for one in chosen if one.instrument_id != "T05x"] == choose(market, before, CONFIG)


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
    assessed: Any, prices: pl.DataFrame
) -> None:
    home, session, aside = assessed
    home.job("universe", session)
    rows = {row["instrument_id"]: row for row in home.runtime.universe(session, "US_EQ")}
    assert set(rows) == set(prices["instrument_id"])
    assert rows["T50"]["reason"] == f"quarantined: outlier on {aside}"
    assert rows["T55"]["reason"] == "no price: none that is clean on the session"
    assert rows["T40"]["reason"].startswith("history: 1")
    assert rows["T00"]["reason"].startswith("traded dollars: median 3,")
    roles = [row["membership"] for row in rows.values()]
    assert (roles.count("core"), roles.count("satellite")) == (20, 8)


def test_a_night_looks_at_soft_targets_if_the_stability_engine_has_decided_and_says_so_if_not(
    assessed: Any,
) -> None:
    home, session, _ = assessed
    without = home.job("universe", session)
    assert without["soft_targets"] == "not looked at: the stability engine has not decided"
    assert "stability" not in engines_referred_to(home, session)
    fragile, watched = home.runtime.decisions(session, "US_EQ", "universe")[0]["proposed_action"]["core"][:2]
    home.decide(fragile_engine({fragile: "SOFT_TARGET", watched: "WATCHLIST"}), session)
    told = home.job("universe", session)
    assert told["soft_targets"] == {"SOFT_TARGET": 1, "WATCHLIST": 1}
    assert told["excluded_by"]["soft target"] == told["excluded_by"]["watchlist"] == 1
    assert "stability" in engines_referred_to(home, session)
    reasons = {row["instrument_id"]: row["reason"] for row in home.runtime.universe(session, "US_EQ")}
    assert reasons[fragile] == "soft target: it looks so"
    # Classes that no decision stands behind are nothing to go by.
    with home.runtime.commit(home.runtime.claim("tamper", 1)) as connection:
        home.runtime.replace(connection, "engine_decisions", {"engine": "stability"}, [])
    again = home.job("universe", session)
    assert again["soft_targets"] == without["soft_targets"]
    assert "soft target" not in again["excluded_by"]


def test_a_sector_cap_needs_sectors_and_takes_those_that_were_known_by_the_session(
    assessed: Any,
) -> None:
    home, session, earlier = assessed
    with pytest.raises(UserError, match="sector_cap needs sectors, and there is no table issuers"):
        home.job("universe", session, core_size=20, satellite_size=8, sector_cap=0.5)
    names = [f"T{number:02d}" for number in range(60)]
    home.load(
        "issuers",
        pl.DataFrame(
            {
                "date": [earlier] * 60 + [session + timedelta(days=9)] * 60,
                "instrument_id": names * 2,
                "sector": ["all"] * 60 + [None] * 60,
            }
        ),
    )
    found = home.job("universe", session, core_size=20, satellite_size=8, sector_cap=0.5)
    assert (found["core"], found["satellite"]) == (10, 4)
    refs = home.runtime.decisions(session, "US_EQ", "universe")[0]["input_refs"]
    assert ["issuers", earlier.isoformat(), 60] in [
        [r.get("table"), r.get("date"), r.get("rows")] for r in refs
    ]
    assert found["excluded_by"]["sector"] > 0


def engines_referred_to(home: Any, session: date) -> set[str]:
    refs = home.runtime.decisions(session, "US_EQ", "universe")[0]["input_refs"]
    return {ref["engine"] for ref in refs if "decision_id" in ref}


@dataclass(frozen=True, slots=True)
class Nothing:
    """A desk's own stability engine that is told nothing."""


def fragile_engine(classes: dict[str, str]) -> Engine:
    """A desk's own stability engine, which has made up its mind."""

    def run(as_of_date: date, inputs: Inputs, config: Nothing) -> Outcome:
        key = {"as_of_date": as_of_date, "market_id": inputs.market_id}
        rows = [
            {"entity_type": "instrument", "entity_id": name, "soft_target": label, "reason": "it looks so"}
            for name, label in classes.items()
        ]
        tables = (TableRows("soft_target_classes", key, rows),)
        action: Any = {"classes": dict(classes)}
        return Outcome("stability", inputs.market_id, as_of_date, {}, tables, (), action, action)

    return Engine("stability", Nothing, run)


@pytest.fixture
def assessed(new_home: Any, prices: pl.DataFrame, days: list[date]) -> tuple[Any, date, date]:
    """A home whose night has been assessed without the stability engine, and a day with a quarantined row."""
    session, aside = days[359], days[356]
    home = new_home(
        "night", prices.filter(~((pl.col("date") == session) & (pl.col("instrument_id") == "T55")))
    )
    quarantined = {"date": [aside], "instrument_id": ["T50"], "rule": ["outlier"], "reason": ["too far"]}
    home.load("quarantine", pl.DataFrame(quarantined))
    for name in ("returns", "volatility", "correlations", "regime", "assessment"):
        home.job(name, session)
    return home, session, aside
