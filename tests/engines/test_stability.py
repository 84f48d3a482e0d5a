"""Fragility, losses in storms and classes: worked out another way, and kept by whole nights."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.engines.outcome import ShortHistoryError
from prometheus.engines.stability import market, scenarios
from prometheus.engines.stability.classes import NONE, SEVERITY, SOFT_TARGET, WATCHLIST, Standing, classify
from prometheus.engines.stability.config import StabilityConfig
from prometheus.engines.stability.engine import fragility_of

CONFIG = StabilityConfig()
NAN = float("nan")
PARTS = {"contagion": 0.9, "volatility": 0.95, "drawdown": 0.4}


def standing(fragility: float, more_fragile: float | None = 0.05) -> Standing:
    return Standing(fragility, PARTS, more_fragile)


# Classes.


def test_a_class_needs_the_level_and_the_rank() -> None:
    assert classify(standing(0.70), None, CONFIG)[0] == SOFT_TARGET
    assert classify(standing(0.69), None, CONFIG)[0] == WATCHLIST
    assert classify(standing(0.95, more_fragile=0.10), None, CONFIG)[0] == WATCHLIST
    assert classify(standing(0.95, more_fragile=0.30), None, CONFIG)[0] == NONE
    assert classify(standing(0.54), None, CONFIG)[0] == NONE


def test_a_market_has_no_rank_and_its_level_decides() -> None:
    assert classify(standing(0.70, None), None, CONFIG)[0] == SOFT_TARGET
    assert classify(standing(0.54, None), None, CONFIG)[0] == NONE


def test_a_class_holds_within_its_margin_and_buffer_and_no_longer() -> None:
    assert classify(standing(0.66), SOFT_TARGET, CONFIG)[0] == SOFT_TARGET
    assert classify(standing(0.66), WATCHLIST, CONFIG)[0] == WATCHLIST
    assert classify(standing(0.64), SOFT_TARGET, CONFIG)[0] == WATCHLIST
    assert classify(standing(0.90, more_fragile=0.14), SOFT_TARGET, CONFIG)[0] == SOFT_TARGET
    assert classify(standing(0.90, more_fragile=0.16), SOFT_TARGET, CONFIG)[0] == WATCHLIST
    assert classify(standing(0.51), SOFT_TARGET, CONFIG)[0] == WATCHLIST  # who was worse was on the list too
    assert classify(standing(0.51), NONE, CONFIG)[0] == NONE


def test_the_reason_says_what_and_how_much() -> None:
    label, reason = classify(standing(0.823, 0.031), None, CONFIG)
    assert label == SOFT_TARGET
    assert reason == (
        "fragility 0.82, 3% of the market is more so, most in volatility 0.95 and contagion 0.90; "
        "soft targets begin at 0.70 within the most fragile 10%"
    )
    assert (
        "kept from the last session: it ends below 0.65" in classify(standing(0.66), SOFT_TARGET, CONFIG)[1]
    )
    assert classify(standing(0.2, None), None, CONFIG)[1].endswith("the watchlist begins at 0.55")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.999), st.sampled_from([None, *SEVERITY]))
def test_more_fragility_never_makes_a_class_milder(
    low: float, high: float, rank: float, before: str | None
) -> None:
    low, high = sorted((low, high))
    milder, harder = (classify(standing(value, rank), before, CONFIG)[0] for value in (low, high))
    assert SEVERITY.index(milder) <= SEVERITY.index(harder)


# Components.


def test_fragility_is_the_weighted_mean_of_what_is_known() -> None:
    parts = [
        np.array(values) for values in ([0.2, NAN, NAN], [0.4, 0.4, NAN], [0.6, 0.6, 0.6], [1.0, 1.0, 0.8])
    ]
    found = fragility_of(parts, [1.0, 1.0, 2.0, 0.0], CONFIG)
    assert found[0] == pytest.approx((0.2 + 0.4 + 1.2) / 4)
    assert found[1] == pytest.approx((0.4 + 1.2) / 3)
    assert math.isnan(found[2])


def test_the_last_value_is_ranked_within_its_own_past() -> None:
    values = np.arange(600.0)
    assert market.rank_of_last(values) == 1.0
    values[-1] = 300.5  # of the 503 before it, those from 96 to 300 lie below
    assert market.rank_of_last(values) == pytest.approx((300 - 96 + 1) / 503)
    assert market.rank_of_last(values[:100]) is None


def test_the_shift_is_how_far_the_recent_mean_stands_out() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.01, 252)
    values[-15:] += 0.03
    shift = (values[-15:].mean() - values.mean()) / values.std(ddof=1)
    found = market.shift_of_last(values)
    assert found == pytest.approx(0.5 * (1 + math.erf(shift / math.sqrt(2))))
    assert found > 0.97
    assert market.shift_of_last(np.full(252, 0.8)) is None


def test_a_market_without_a_year_of_absorption_is_judged_by_the_rest() -> None:
    panel = pl.DataFrame(
        {"absorption_ratio": [None] * 300, "mean_correlation_63d": np.linspace(0.1, 0.5, 300)},
        schema={"absorption_ratio": pl.Float64, "mean_correlation_63d": pl.Float64},
    )
    found = market.components(panel, {"calm": 0.1, "normal": 0.2, "stressed": 0.7}, 0.6)
    assert found == {"regime": pytest.approx(0.8), "correlation": 1.0, "breadth": 0.6}


# Losses.


def test_betas_are_slopes_drawn_to_their_mean_by_their_imprecision() -> None:
    rng = np.random.default_rng(2)
    moves = rng.normal(0, 0.01, 252)
    true = np.array([0.5, 1.0, 1.5, 1.0])
    noise = np.array([0.001, 0.001, 0.001, 0.05])
    returns = moves[:, None] * true + rng.normal(size=(252, 4)) * noise
    slopes = np.array([np.polyfit(moves, returns[:, place], 1)[0] for place in range(4)])
    found = scenarios.betas(returns, moves)
    np.testing.assert_allclose(found[:3], slopes[:3], atol=0.02)
    mean = slopes.mean()
    assert abs(found[3] - mean) < 0.75 * abs(slopes[3] - mean)
    returns[:60, 0] = NAN
    returns[:, 1] = NAN
    again = scenarios.betas(returns, moves)
    assert math.isnan(again[1])
    assert math.isnan(again[0])  # under four fifths known


def test_a_month_at_twice_the_volatility_loses_what_one_in_twenty_exceeds() -> None:
    found = scenarios.in_a_month(np.array([0.20, 5.0]), 2.0)
    np.testing.assert_allclose(found, [1.644854 * 0.40 / math.sqrt(12), 1.0], rtol=1e-6)


def test_selling_into_a_quarter_of_the_trade_costs_four_times_the_impact() -> None:
    returns = np.full((21, 2), -0.02)
    dollars = np.tile([2e8, 0.0], (21, 1))
    impact = scenarios.price_impact(returns, dollars)
    assert impact[0] == pytest.approx(1e-10)
    assert math.isnan(impact[1])
    assert scenarios.selling(impact, 10e6, 0.25)[0] == pytest.approx(0.004)


def test_an_episode_is_the_own_loss_where_it_traded_and_beta_times_the_markets_elsewhere() -> None:
    returns = np.full((40, 3), -0.01)
    returns[5:, 1] = NAN
    returns[:, 2] = 0.01
    found = scenarios.through(returns, 0.3, np.array([9.0, 1.5, 9.0]))
    np.testing.assert_allclose(found, [1 - 0.99**40, 0.45, 1 - 1.01**40])


# Nights.


def kept(home: Any, session: date) -> dict[tuple[str, str], dict[str, Any]]:
    tables = ("stability_vectors", "fragility_measures", "soft_target_classes")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for table in tables:
        for row in home.runtime.rows(table, as_of_date=session, market_id="US_EQ"):
            found.setdefault((row["entity_type"], row["entity_id"]), {}).update(row)
    return found


def test_a_first_night_judges_instruments_and_the_market_and_says_what_it_could_not(one_night: Any) -> None:
    home, session, outputs = one_night
    rows = kept(home, session)
    kinds = [kind for kind, _ in rows]
    assert kinds.count("market") == 1
    assert 55 <= kinds.count("instrument") < 60  # the young one has no year behind it
    assert ("instrument", "T40") not in rows
    assert outputs["stability"]["absent"] == {
        "episode_2008": "returns begin on 2009-01-02, after it had begun on 2008-09-02",
        "portfolio": "no targets were decided before tonight",
    }
    whole = rows["market", "US_EQ"]
    assert whole["components"]["regime"] > 0.9  # the night lies in the storm
    assert whole["soft_target"] == SOFT_TARGET
    assert whole["scenario_losses"]["market_down_10"] == 0.1
    for row in rows.values():
        assert row["stability"] == pytest.approx(1.0 - row["fragility"])
        assert row["fragility"] == pytest.approx(np.mean(list(row["components"].values())))
        assert all(0.0 <= value <= 1.0 for value in row["components"].values())
        assert set(row["scenario_losses"]) == {
            "market_down_5",
            "market_down_10",
            "market_down_20",
            "volatility_rises",
            "liquidity_dries_up",
        }
    losses = [row["scenario_losses"] for (kind, _), row in rows.items() if kind == "instrument"]
    assert np.mean([one["market_down_10"] for one in losses]) == pytest.approx(0.1, abs=0.01)  # betas are 1


def test_no_more_than_their_share_are_soft_targets_even_in_a_storm(one_night: Any) -> None:
    home, session, outputs = one_night
    counts = outputs["stability"]["instruments"]
    judged = sum(counts.values())
    assert 0 < counts[SOFT_TARGET] <= 0.1 * judged + 1
    assert 0 < counts[WATCHLIST] <= 0.2 * judged + 1
    rows = kept(home, session)
    by_class = {
        label: [
            row["fragility"]
            for row in rows.values()
            if row["soft_target"] == label and row["entity_type"] == "instrument"
        ]
        for label in SEVERITY
    }
    assert min(by_class[SOFT_TARGET]) > max(by_class[WATCHLIST]) > np.mean(by_class[NONE])


def test_the_second_night_judges_what_the_first_decided_to_hold_and_remembers_its_classes(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("two", prices)
    first, second = days[340], days[341]
    home.night(first)
    home.night(second)
    rows = kept(home, second)
    portfolio = rows["portfolio", "main"]
    weights = {row["instrument_id"]: row["weight"] for row in home.runtime.target_portfolio(first, "US_EQ")}
    known = {name: rows["instrument", name] for name in weights if ("instrument", name) in rows}
    expected = sum(weights[name] * row["components"]["volatility"] for name, row in known.items())
    assert portfolio["components"]["volatility"] == pytest.approx(
        expected / sum(weights[name] for name in known), rel=1e-6
    )
    down = sum(weights[name] * row["scenario_losses"]["market_down_20"] for name, row in known.items())
    assert portfolio["scenario_losses"]["market_down_20"] == pytest.approx(down, rel=1e-6)
    alone = sum(weights[name] * row["scenario_losses"]["volatility_rises"] for name, row in known.items())
    assert 0.0 < portfolio["scenario_losses"]["volatility_rises"] < alone  # what moves apart cancels
    decision = next(row for row in home.runtime.decisions(second, "US_EQ") if row["engine"] == "stability")
    earlier = {ref["table"]: ref["as_of_date"] for ref in decision["input_refs"] if "as_of_date" in ref}
    assert earlier == {"target_portfolios": first.isoformat(), "soft_target_classes": first.isoformat()}


def test_classes_of_last_week_are_forgotten(new_home: Any, prices: pl.DataFrame, days: list[date]) -> None:
    home, alone = new_home("gap", prices), new_home("alone", prices)
    last = days[352]
    jobs = ("returns", "volatility", "correlations", "stability_components", "regime", "stability")
    for session in (days[345], last):
        for name in jobs:
            home.job(name, session)
    for name in jobs:
        alone.job(name, last)
    assert kept(home, last) == kept(alone, last)
    assert home.runtime.rows("soft_target_classes", as_of_date=days[345])


def test_targets_that_are_too_old_are_not_what_is_held(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("old", prices)
    last = days[352]
    for name in ("returns", "volatility", "correlations", "stability_components", "regime"):
        home.job(name, last)
    row = {"as_of_date": days[346], "market_id": "US_EQ", "portfolio_id": "main", "instrument_id": "T30"}
    row |= {"target_session": days[347], "weight": 0.9, "previous_weight": 0.0, "expected_return": 0.0}
    with home.runtime.commit(home.runtime.claim("test", 1)) as connection:
        home.runtime.put(connection, "target_portfolios", [{**row, "config_id": "c", "run_id": "r"}])
    told = home.job("stability", last)
    assert told["absent"]["portfolio"] == f"the last targets are of {days[346]}, over 5 sessions ago"
    assert ("portfolio", "main") not in kept(home, last)
    home.job("stability", last, memory_sessions=6)
    assert (
        kept(home, last)["portfolio", "main"]["fragility"]
        == kept(home, last)["instrument", "T30"]["fragility"]
    )


def test_weights_and_levels_are_the_desks_to_set(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("set", prices)
    session = days[350]
    for name in ("returns", "volatility", "correlations", "stability_components", "regime"):
        home.job(name, session)
    told = home.job("stability", session, soft_target={"level": 1.0, "share": 1.0}, episodes=[])
    assert told["instruments"][SOFT_TARGET] == 0
    assert "episode_2008" not in told["absent"]
    weights = {"illiquidity": 0, "volatility": 0, "contagion": 0, "drawdown": 1}
    home.job("stability", session, attempt=2, instrument=weights)
    for (kind, _), row in kept(home, session).items():
        if kind == "instrument":
            assert row["fragility"] == row["components"]["drawdown"]


def test_a_night_too_early_to_judge_anybody_says_so(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("early", prices)
    session = days[200]
    for name in ("returns", "volatility", "correlations", "stability_components"):
        home.job(name, session)
    with pytest.raises(Exception, match="the regime engine has not decided"):
        home.job("stability", session)
    later = days[280]
    for name in ("returns", "volatility", "correlations", "regime"):
        home.job(name, later)
    with pytest.raises(ShortHistoryError, match=f"stability_components_daily {session}"):
        home.job("stability", later)
