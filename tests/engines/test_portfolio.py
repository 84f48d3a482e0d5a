from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.time import TradingCalendar
from prometheus.engines.portfolio.costs import Prices
from prometheus.engines.portfolio.problem import Limits, NoPortfolioError, Problem
from prometheus.engines.portfolio.solve import solve

ORDER = ("min_invested", "sector_band", "max_fragility", "turnover", "max_volatility")
FREE = Limits(max_weight=1.0, max_gross=1.0, min_invested=0.0, turnover=None, max_volatility=10.0)

# What a limit that gave way is moved beyond the least that is needed.
ROUNDING = 1e-4


def prices(count: int = 20, cost: float = 0.001, impact: float = 0.0) -> Prices:
    return Prices(cost, np.zeros(count), np.full(count, impact))


def problem(
    seed: int = 1, count: int = 20, cost: float = 0.001, impact: float = 0.0, **changes: Any
) -> Problem:
    rng = np.random.default_rng(seed)
    made = Problem(
        expected=rng.normal(0, 0.004, count),
        exposures=rng.normal(0.008, 0.004, (count, 3)),
        specific_var=rng.uniform(0.008, 0.02, count) ** 2,
        held=np.zeros(count),
        sold=0.0,
        risk_aversion=5.0,
        prices=prices(count, cost, impact),
        horizon=21,
        leaving=np.zeros(count, dtype=np.bool_),
    )
    return replace(made, **changes)


def volatility(of: Problem, weights: Any) -> float:
    return math.sqrt(252 * of.variance(weights))


def test_without_costs_and_limits_the_optimum_is_markowitz_s() -> None:
    of = problem(count=3, cost=0.0, risk_aversion=40.0, expected=np.array([0.02, 0.025, 0.03]))
    of = replace(of, exposures=np.array([[0.005, 0.0, 0.0], [0.004, 0.003, 0.0], [0.003, 0.0, 0.002]]))
    covariance = of.exposures @ of.exposures.T + np.diag(of.specific_var)
    expected = np.linalg.solve(40.0 * 21 * covariance, of.expected)
    assert (expected > 0).all()
    assert expected.sum() < 1
    np.testing.assert_allclose(solve(of, FREE, ()).weights, expected, atol=2e-6)


def test_a_trade_that_earns_less_than_it_costs_is_not_made() -> None:
    held = np.full(20, 0.04)
    of = problem(held=held, expected=np.full(20, 1e-4), risk_aversion=1e-3, cost=0.01)
    solution = solve(of, replace(FREE, turnover=1.0), ())
    np.testing.assert_allclose(solution.weights, held, atol=1e-5)


@settings(max_examples=settings().max_examples // 2)
@given(st.integers(0, 10_000), st.floats(0.05, 0.3), st.floats(0.08, 0.4))
def test_every_limit_holds_or_is_named_as_relaxed(seed: int, turnover: float, max_volatility: float) -> None:
    rng = np.random.default_rng(seed)
    held = rng.dirichlet(np.ones(21))[:20] * rng.uniform(0.5, 1.0)
    of = problem(seed, held=np.minimum(held, 0.1), sold=float(rng.uniform(0, 0.1)))
    declared = Limits(0.1, 1.0, 0.9, turnover, max_volatility)
    solution = solve(of, declared, ORDER)
    weights, used = solution.weights, solution.limits
    assert (weights >= 0).all()
    assert weights.max() <= 0.1
    assert weights.sum() <= 1 + ROUNDING
    assert weights.sum() >= used.min_invested - ROUNDING
    assert of.turnover(weights) <= used.turnover + ROUNDING
    assert volatility(of, weights) <= used.max_volatility + ROUNDING
    relaxed = {one.limit for one in solution.relaxed}
    for name in ORDER:
        assert (used.value(name) != declared.value(name)) == (name in relaxed)
    # In order: what stands later gives way only if what stands earlier has given way too, or could not help.
    if "max_volatility" in relaxed:
        assert used.turnover is not None
        assert of.turnover(weights) >= declared.turnover - ROUNDING


def test_the_first_limit_of_the_order_gives_way_first_and_by_no_more_than_needed() -> None:
    of = problem()
    tight = Limits(0.1, 1.0, 0.95, None, 0.10)
    solution = solve(of, tight, ORDER)
    assert [one.limit for one in solution.relaxed] == ["min_invested"]
    used = solution.relaxed[0].used
    assert used < 0.95
    assert volatility(of, solution.weights) == pytest.approx(0.10, abs=2e-4)
    with pytest.raises(NoPortfolioError):
        solve(of, replace(tight, min_invested=used + 1e-3), ())
    other = solve(of, tight, ("max_volatility", "min_invested"))
    assert [one.limit for one in other.relaxed] == ["max_volatility"]
    assert other.weights.sum() >= 0.95 - ROUNDING


def test_forced_sales_beyond_the_turnover_limit_relax_it_and_say_why() -> None:
    held = np.full(20, 0.03)
    of = problem(held=held, sold=0.4)
    solution = solve(of, Limits(0.1, 1.0, 0.0, 0.15, 10.0), ORDER)
    (relaxed,) = solution.relaxed
    assert relaxed.limit == "turnover"
    assert relaxed.used == pytest.approx(0.4, abs=2e-4)  # the sale itself; the money stays in cash
    assert relaxed.why == "40.0% of capital must be sold because it may no longer be held"


def test_two_limits_give_way_together_when_one_is_not_enough() -> None:
    of = problem(held=np.full(20, 0.05), sold=0.0)
    calm = Limits(0.1, 1.0, 0.95, 0.05, 0.06)  # half must be sold to be this calm: turnover 0.05 forbids it
    solution = solve(of, calm, ORDER)
    assert [one.limit for one in solution.relaxed] == ["min_invested", "turnover"]
    assert volatility(of, solution.weights) <= 0.06 + ROUNDING


def test_what_cannot_be_relaxed_is_refused_with_a_hint() -> None:
    with pytest.raises(NoPortfolioError, match=r"no portfolio satisfies the limits.*raise max_weight"):
        solve(problem(), Limits(0.01, 1.0, 0.95, None, 10.0), ())


def test_an_empty_universe_is_all_cash_when_that_may_be() -> None:
    of = problem(count=0)
    solution = solve(of, Limits(0.1, 1.0, 0.95, None, 0.2), ORDER)
    assert len(solution.weights) == 0
    assert [one.limit for one in solution.relaxed] == ["min_invested"]


def test_binding_limits_are_named_with_their_shadow_price() -> None:
    of = problem(expected=np.concatenate([np.full(2, 0.05), np.full(18, -0.05)]))
    solution = solve(of, Limits(0.1, 1.0, 0.0, None, 10.0), ())
    (bound,) = solution.binding
    assert (bound.limit, bound.value, bound.instruments) == ("max_weight", 0.1, (0, 1))
    assert bound.shadow_price > 0
    richer = solve(of, Limits(0.101, 1.0, 0.0, None, 10.0), ())
    gained = of.expected @ (richer.weights - solution.weights)
    assert 0 < bound.shadow_price * 0.002 < gained + 1e-4


def test_the_same_problem_gives_the_same_bits() -> None:
    limits = Limits(0.1, 1.0, 0.95, None, 0.25)
    np.testing.assert_array_equal(
        solve(problem(3), limits, ORDER).weights, solve(problem(3), limits, ORDER).weights
    )


def test_the_targets_of_a_night_are_for_the_next_session_and_within_the_limits(one_night: Any) -> None:
    home, session, outputs = one_night
    rows = home.runtime.target_portfolio(session, "US_EQ")
    members = {
        row["instrument_id"]
        for row in home.runtime.universe(session, "US_EQ")
        if row["membership"] != "excluded"
    }
    assert rows
    assert {row["instrument_id"] for row in rows} <= members
    assert {row["target_session"] for row in rows} == {TradingCalendar("US_EQ").next_trading_day(session)}
    assert max(row["weight"] for row in rows) <= 0.08
    told = outputs["portfolio"]
    assert told["invested"] == pytest.approx(sum(row["weight"] for row in rows))
    assert told["volatility"] <= 0.20 + ROUNDING
    (decision,) = home.runtime.decisions(session, "US_EQ", "portfolio")
    assert decision["proposed_action"]["targets"] == {row["instrument_id"]: row["weight"] for row in rows}
    assert decision["proposed_action"]["before"] is None


def test_the_next_night_starts_from_what_the_last_one_left_carried_forward_by_returns(
    new_home: Any, prices: Any, days: list[Any]
) -> None:
    home = new_home("two", prices)
    home.night(days[300])
    outputs = home.night(days[301])
    first = {row["instrument_id"]: row["weight"] for row in home.runtime.target_portfolio(days[300], "US_EQ")}
    moved = dict(
        home.known(days[301])
        .read("returns_daily", since=days[301], columns=["instrument_id", "ret_1d"])
        .iter_rows()
    )
    grown = {name: weight * (1 + (moved.get(name) or 0.0)) for name, weight in first.items()}
    capital = sum(grown.values()) + 1 - sum(first.values())
    rows = home.runtime.target_portfolio(days[301], "US_EQ")
    before = {row["instrument_id"]: row["previous_weight"] for row in rows if row["previous_weight"]}
    assert before == pytest.approx({name: value / capital for name, value in grown.items()}, rel=1e-8)
    told = outputs["portfolio"]
    allowed = next((one["used"] for one in told["relaxed"] if one["limit"] == "turnover"), 0.15)
    assert told["turnover"] <= allowed + ROUNDING
    assert outputs["universe"]["since"] == days[300].isoformat()
    refs = home.runtime.decisions(days[301], "US_EQ", "portfolio")[0]["input_refs"]
    assert refs[-1]["table"] == "target_portfolios"


def test_a_portfolio_older_than_the_memory_is_not_what_is_held(
    new_home: Any, prices: Any, days: list[Any]
) -> None:
    home = new_home("gap", prices)
    home.night(days[300])
    told = home.night(days[306])
    assert told["portfolio"]["turnover"] is None
    assert told["universe"]["since"] is None
    assert all(row["previous_weight"] == 0 for row in home.runtime.target_portfolio(days[306], "US_EQ"))
