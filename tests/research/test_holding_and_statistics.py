"""What a backtest is counted with, against numbers worked out by hand or printed in the papers."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.research.holding import Targets, hold
from prometheus.research.statistics import (
    annual_return,
    annual_volatility,
    deflated_sharpe,
    drawdown,
    exceeds,
    luck,
    sharpe,
)
from prometheus.stores.wide import Wide

DAYS = tuple(date(2010, 1, 1) + timedelta(days=n) for n in range(6))


def wide(*columns: list[float]) -> Wide:
    names = tuple("ABC"[: len(columns)])
    return Wide(DAYS[: len(columns[0])], names, {"ret_1d": np.array(columns).T})


def test_targets_earn_from_the_next_session_on_and_drift_until_the_next_ones() -> None:
    returns = wide([0.5, 0.10, 0.0, 0.2], [0.5, 0.00, 0.1, 0.0])
    held = hold(returns, [Targets(DAYS[0], {"A": 0.5, "B": 0.5})], cost=0.0)
    assert held.days == DAYS[1:4]
    # 0.5 and 0.5; then 0.55 and 0.5; then 0.55 and 0.55
    assert held.gross == pytest.approx([0.05, 0.05 / 1.05, 0.11 / 1.10])
    assert held.net == pytest.approx(held.gross)
    assert held.turnover.tolist() == [1.0]


def test_costs_are_of_what_is_traded_from_the_drifted_weights() -> None:
    returns = wide([0.0, 0.20, 0.0], [0.0, 0.0, 0.0])
    held = hold(
        returns,
        [Targets(DAYS[0], {"A": 0.5, "B": 0.5}), Targets(DAYS[1], {"A": 0.5, "B": 0.5})],
        cost=0.01,
    )
    drifted = 0.6 / 1.1
    assert held.costs == pytest.approx([0.01, 0.01 * 2 * (drifted - 0.5)])
    assert held.turnover == pytest.approx([1.0, drifted - 0.5])
    assert held.net == pytest.approx([0.99 * 1.1 - 1, -0.01 * 2 * (drifted - 0.5)])
    assert held.of == (0, 1)


def test_a_bill_that_was_told_is_what_is_paid() -> None:
    returns = wide([0.0, 0.20, 0.0], [0.0, 0.0, 0.0])
    held = hold(returns, [Targets(DAYS[0], {"A": 1.0}, bill=0.03)], cost=0.01)
    assert held.costs.tolist() == [0.03]
    assert held.net == pytest.approx([0.97 * 1.2 - 1, 0.0])


def test_cash_earns_nothing_and_a_missing_return_is_no_move() -> None:
    returns = wide([0.0, math.nan, 0.10], [0.0, 0.0, 0.5])
    held = hold(returns, [Targets(DAYS[0], {"A": 0.4})], cost=0.0)
    assert held.gross == pytest.approx([0.0, 0.04])


@given(
    st.lists(
        st.lists(st.floats(-0.2, 0.2), min_size=6, max_size=6),
        min_size=2,
        max_size=3,
    )
)
def test_rebalancing_to_what_is_held_anyway_changes_nothing(columns: list[list[float]]) -> None:
    returns = wide(*columns)
    weights = {"A": 0.5, "B": 0.3}
    once = hold(returns, [Targets(DAYS[0], weights)], cost=0.01)
    grown = {
        name: weights[name] * float(np.prod(1 + returns["ret_1d"][1:4, "ABC".index(name)])) for name in "AB"
    }
    total = sum(grown.values()) + 0.2
    again = {name: value / total for name, value in grown.items()}
    twice = hold(returns, [Targets(DAYS[0], weights), Targets(DAYS[3], again)], cost=0.01)
    assert twice.net == pytest.approx(once.net)
    assert twice.turnover[1] == pytest.approx(0.0, abs=1e-12)


def test_annual_figures_of_a_year() -> None:
    returns = np.tile([0.01, -0.005], 126)
    assert annual_return(returns) == pytest.approx((1.01 * 0.995) ** 126 - 1)
    assert annual_volatility(returns) == pytest.approx(0.0075 * math.sqrt(252 / 251) * math.sqrt(252))
    found = sharpe(returns)
    assert found is not None
    daily = 0.0025 / (0.0075 * math.sqrt(252 / 251))
    assert found.ratio == pytest.approx(daily * math.sqrt(252))
    assert found.error == pytest.approx(math.sqrt((1 + daily**2 / 2) / 252 * 252))
    assert sharpe(np.zeros(10)) is None


def test_the_worst_drawdown_is_from_its_high_to_its_low() -> None:
    found = drawdown(DAYS[:5], np.array([0.1, -0.1, -0.1, 0.3, -0.05]))
    assert found.loss == pytest.approx(0.19)
    assert (found.high, found.low) == (DAYS[0], DAYS[2])
    first = drawdown(DAYS[:2], np.array([-0.2, 0.1]))
    assert (first.loss, first.high, first.low) == (pytest.approx(0.2), None, DAYS[0])
    assert drawdown(DAYS[:2], np.array([0.1, 0.1])).low is None


def test_the_deflated_sharpe_ratio_is_the_one_of_its_paper() -> None:
    """Bailey and Lopez de Prado 2014: ratio 2.5 a year, 1,250 days, 100 trials of variance 1/2, skew -3, kurtosis 10."""
    benchmark = luck(100, 0.5 / 250)
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    assert exceeds(2.5 / math.sqrt(250), benchmark, 1250, -3, 10) == pytest.approx(0.9004, abs=5e-5)


def test_more_trials_make_the_same_ratio_less_likely() -> None:
    returns = np.random.default_rng(7).normal(0.0005, 0.01, 1000)
    one, ten, hundred = (deflated_sharpe(returns, trials) or 0.0 for trials in (1, 10, 100))
    assert 1 > one > ten > hundred > 0
