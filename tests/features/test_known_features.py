"""Each feature against a figure worked out another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.features import correlations, factor_model, returns, rolling, volatility

NAN = float("nan")


def column(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(values)[:, None]


def test_a_five_session_return_compounds_five_daily_ones() -> None:
    daily = column(0.10, -0.05, 0.02, 0.03, -0.01, 0.04)
    week = returns.compute(daily)["ret_5d"][:, 0]
    assert math.isnan(week[2])
    assert week[4] == pytest.approx(1.10 * 0.95 * 1.02 * 1.03 * 0.99 - 1)
    assert week[5] == pytest.approx(0.95 * 1.02 * 1.03 * 0.99 * 1.04 - 1)


def test_one_missing_session_in_five_counts_as_no_move_and_two_leave_no_return() -> None:
    daily = column(0.10, NAN, 0.02, 0.03, -0.01, 0.01, NAN, NAN, 0.05)
    week = returns.compute(daily)["ret_5d"][:, 0]
    assert week[4] == pytest.approx(1.10 * 1.02 * 1.03 * 0.99 - 1)
    assert math.isnan(week[6])
    assert math.isnan(week[8])


def test_realised_volatility_is_the_sample_deviation_of_its_window() -> None:
    daily = np.random.default_rng(1).normal(0, 0.02, (80, 3))
    found = volatility.compute(daily)
    for window in (21, 63):
        expected = daily[-window:].std(axis=0, ddof=1) * math.sqrt(252)
        np.testing.assert_allclose(found[f"vol_{window}d"][-1], expected, rtol=1e-12)
    assert np.isnan(found["vol_63d"][40]).all()


def test_ewma_follows_the_riskmetrics_recursion() -> None:
    daily = np.random.default_rng(2).normal(0, 0.02, 600)
    variance = daily[0] ** 2
    for value in daily[1:]:
        variance = 0.94 * variance + 0.06 * value**2
    found = volatility.ewma(daily[:, None])[-1, 0]
    assert found == pytest.approx(math.sqrt(variance * 252), rel=1e-3)  # the cut leaves out 0.01 % of weight


def test_ewma_of_a_constant_move_is_that_move() -> None:
    daily = np.full((40, 1), 0.01)
    found = volatility.ewma(daily)[:, 0]
    assert np.isnan(found[:20]).all()
    np.testing.assert_allclose(found[20:], 0.01 * math.sqrt(252), rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.integers(25, 40))
def test_mean_correlation_is_the_mean_over_all_pairs(seed: int, count: int, sessions: int) -> None:
    rng = np.random.default_rng(seed)
    daily = rng.normal(size=(sessions, count)) + rng.normal(size=(sessions, 1))
    found = correlations.compute(daily, [sessions - 1])["mean_correlation_21d"][0]
    matrix = np.corrcoef(daily[-21:], rowvar=False)
    assert found == pytest.approx(matrix[np.triu_indices(count, 1)].mean(), abs=1e-10)


def test_absorption_ratio_is_the_share_of_the_largest_fifth_of_eigenvalues() -> None:
    daily = np.random.default_rng(3).normal(size=(252, 40)) * np.linspace(0.5, 3, 40)
    found = correlations.compute(daily, [251])["absorption_ratio"][0]
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(daily, rowvar=False))
    assert found == pytest.approx(eigenvalues[-8:].sum() / eigenvalues.sum(), rel=1e-10)


def test_absorption_of_a_market_that_is_one_thing_is_total_and_of_noise_is_small() -> None:
    rng = np.random.default_rng(4)
    one = rng.normal(size=(252, 1)) * np.linspace(0.5, 2, 300)
    noise = rng.normal(size=(252, 300))
    assert correlations.compute(one, [251])["absorption_ratio"][0] == pytest.approx(1.0)
    assert correlations.compute(noise, [251])["absorption_ratio"][0] < 0.55


def test_absorption_needs_a_year_and_leaves_out_instruments_with_many_holes() -> None:
    daily = np.random.default_rng(5).normal(size=(260, 6))
    daily[100:113, 2] = NAN
    found = correlations.compute(daily, [200, 259])["absorption_ratio"]
    assert math.isnan(found[0])
    without = correlations.compute(np.delete(daily, 2, axis=1), [259])["absorption_ratio"]
    assert found[1] == without[0]


def test_a_missing_return_counts_as_the_mean() -> None:
    daily = np.random.default_rng(10).normal(size=(63, 5))
    daily[30, 2] = NAN
    filled = daily.copy()
    filled[30, 2] = np.nanmean(daily[:, 2])
    key = "mean_correlation_63d"
    found, expected = (correlations.compute(values, [62])[key][0] for values in (daily, filled))
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_factor_model_recovers_a_known_covariance() -> None:
    rng = np.random.default_rng(6)
    exposures = rng.normal(0.01, 0.004, (60, 2))
    daily = rng.normal(size=(504, 2)) @ exposures.T + rng.normal(0, 0.02, (504, 60))
    model = factor_model.fit(daily, [f"T{number:02d}" for number in range(60)])
    assert model is not None
    fitted = model.exposures @ model.exposures.T + np.diag(model.specific_var)
    true = exposures @ exposures.T + np.eye(60) * 0.02**2
    weights = np.full(60, 1 / 60)
    assert weights @ fitted @ weights == pytest.approx(weights @ true @ weights, rel=0.15)
    np.testing.assert_allclose(np.diag(fitted), np.diag(true), rtol=0.35)


def test_the_factor_model_is_the_weighted_covariance_when_factors_explain_all() -> None:
    rng = np.random.default_rng(7)
    daily = rng.normal(size=(504, 5)) @ rng.normal(0, 0.01, (5, 40))
    model = factor_model.fit(daily, [str(number) for number in range(40)])
    assert model is not None
    weight = 0.5 ** (np.arange(503, -1, -1) / 126)
    expected = np.cov(daily, rowvar=False, aweights=weight, ddof=0)
    np.testing.assert_allclose(model.exposures @ model.exposures.T, expected, atol=1e-12)
    assert (model.specific_var == factor_model.SPECIFIC_FLOOR).all()
    assert (model.exposures.sum(axis=0) >= -1e-9).all()


def test_an_instrument_with_too_many_holes_has_no_place_in_the_model_and_a_short_history_has_no_model() -> (
    None
):
    daily = np.random.default_rng(8).normal(size=(504, 20))
    daily[:40, 7] = NAN
    model = factor_model.fit(daily, [str(number) for number in range(20)])
    assert model is not None
    assert "7" not in model.instruments
    assert len(model.instruments) == 19
    assert factor_model.fit(daily[:251], [str(number) for number in range(20)]) is None


def test_columns_beyond_one_slab_are_computed_alike() -> None:
    daily = np.random.default_rng(9).normal(size=(90, 2 * rolling.SLAB + 3))
    whole = rolling.deviation(daily, 63)
    alone = rolling.deviation(daily[:, -1:], 63)
    np.testing.assert_array_equal(whole[:, -1:], alone)
