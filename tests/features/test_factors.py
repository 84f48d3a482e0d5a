"""Exposures against figures worked out another way, planted factors, the real panel, and the job on the real stores."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from prometheus.features import correlations, exposures, factor_returns, jobs, rolling
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.wide import Wide

NAN = float("nan")


def market_of(seed: int, sessions: int = 300, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    market = rng.normal(0, 0.01, (sessions, 1))
    daily = market * rng.uniform(0.3, 1.7, count) + rng.normal(0.0002, 0.01, (sessions, count))
    return daily, np.exp(rng.normal(0, 0.5, (sessions, count)) + np.linspace(14, 19, count))


def z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def test_a_slope_and_its_error_are_those_of_least_squares_over_the_sessions_known_to_both() -> None:
    daily, _ = market_of(1)
    daily[200, 4] = NAN
    market = correlations.market_returns(daily)
    found, error = rolling.slope(daily, market, 252)
    used = np.arange(48, 300) != 200
    design = np.column_stack([np.ones(251), market[48:][used]])
    solution, left, _, _ = np.linalg.lstsq(design, daily[48:, 4][used], rcond=None)
    assert found[299, 4] == pytest.approx(solution[1], rel=1e-9)
    expected = left[0] / 249 * np.linalg.inv(design.T @ design)[1, 1]
    assert error[299, 4] == pytest.approx(expected, rel=1e-9)
    assert math.isnan(found[200, 4])
    assert math.isnan(found[150, 4])


def test_a_rolling_median_is_the_median_of_what_the_window_knows() -> None:
    values = np.exp(np.random.default_rng(2).normal(size=(90, 5)))
    values[70:75, 2] = NAN
    found = rolling.rolling_median(values, 63)
    np.testing.assert_array_equal(found[80], np.nanmedian(values[18:81], axis=0))
    assert math.isnan(found[72, 2])
    assert np.isnan(found[:50]).all()
    assert not np.isnan(found[50]).any()  # four fifths of the window


def test_a_beta_is_drawn_to_the_mean_by_as_much_as_it_is_uncertain() -> None:
    beta = np.array([0.5, 1.5] * 6)
    prior = beta.var(ddof=1)
    error = np.full(12, prior)
    error[0], error[1], error[2] = 0.0, 3 * prior, 1e12
    found = exposures.shrunk(beta, error)
    assert found[0] == 0.5  # certain
    assert found[1] == pytest.approx(1.0 + 0.5 / 4)
    assert found[2] == pytest.approx(1.0)  # knows nothing
    assert found[3] == pytest.approx(1.25)


def test_each_style_is_the_measure_it_says() -> None:
    daily, dollars = market_of(3)
    found = {name: values[0] for name, values in exposures.compute(daily, dollars, [299]).items()}
    np.testing.assert_allclose(found["size"], z(np.log(np.median(dollars[-63:], axis=0))), rtol=1e-9)
    grown = np.prod(
        1 + daily, axis=0, where=(np.arange(300) >= 48)[:, None] & (np.arange(300) < 279)[:, None]
    )
    np.testing.assert_allclose(found["momentum"], z(grown - 1), rtol=1e-9)
    np.testing.assert_allclose(found["reversal"], z(1 - np.prod(1 + daily[-21:], axis=0)), rtol=1e-9)
    np.testing.assert_allclose(found["volatility"], z(np.log(daily[-63:].std(axis=0, ddof=1))), rtol=1e-9)
    impact = np.log((np.abs(daily) / dollars)[-63:].mean(axis=0))
    design = np.column_stack([np.ones(30), found["size"], found["volatility"]])
    left = impact - design @ np.linalg.lstsq(design, impact, rcond=None)[0]
    np.testing.assert_allclose(found["illiquidity"], z(left), rtol=1e-6)


def test_one_wild_instrument_in_a_hundred_does_not_set_the_scale_for_the_others() -> None:
    values = np.linspace(-1, 1, 200)
    wild = values.copy()
    wild[-1] = 1e6
    np.testing.assert_allclose(exposures.standardised(wild), exposures.standardised(values))
    assert exposures.standardised(wild)[-1] == exposures.standardised(values)[-2]


def test_instruments_that_are_all_alike_have_no_exposure_and_a_few_have_none_to_compare_with() -> None:
    assert (exposures.standardised(np.full(20, 0.1)) == 0.0).all()
    assert np.isnan(exposures.standardised(np.arange(9.0))).all()
    size = exposures.standardised(np.arange(20.0))
    assert (exposures.without(size * 2.0, [size]) == 0.0).all()


@given(st.integers(0, 2**32 - 1))
def test_factor_returns_recover_what_was_planted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = {name: rng.normal(size=(3, 60)) for name in exposures.STYLES}
    planted = rng.normal(0, 0.01, (3, 7))
    returns = planted[:, [0]] + (known["beta"] - 1.0) * planted[:, [1]]
    for at, name in enumerate(exposures.STYLES[1:], start=2):
        returns = returns + known[name] * planted[:, [at]]
    returns[1, 5] = NAN
    known["size"][2, 7] = NAN
    np.testing.assert_allclose(factor_returns.compute(known, returns), planted, atol=1e-12)


def test_fewer_than_three_instruments_a_coefficient_have_no_factor_returns() -> None:
    rng = np.random.default_rng(4)
    known = {name: rng.normal(size=(1, 21)) for name in exposures.STYLES}
    returns = rng.normal(size=(1, 21))
    assert not np.isnan(factor_returns.compute(known, returns)).any()
    returns[0, 0] = NAN
    assert np.isnan(factor_returns.compute(known, returns)).all()


@pytest.fixture(scope="module")
def real_factors(real_market: Wide) -> tuple[list[date], dict[str, np.ndarray]]:
    daily = real_market["ret_1d"]
    first = 251
    found = exposures.compute(daily, real_market["dollar_volume"], range(first, len(daily) - 1))
    earned = factor_returns.compute(found, daily[first + 1 :])
    return list(real_market.days[first + 1 :]), dict(zip(factor_returns.FACTORS, earned.T, strict=True))


def test_on_the_real_panel_the_market_factor_is_the_mean_stock(
    real_market: Wide, real_factors: tuple[list[date], dict[str, np.ndarray]]
) -> None:
    days, earned = real_factors
    mean = correlations.market_returns(real_market["ret_1d"])[-len(days) :]
    assert np.corrcoef(earned["market"], mean)[0, 1] > 0.99
    assert earned["market"].std() == pytest.approx(mean.std(), rel=0.05)


def test_on_the_real_panel_momentum_crashed_in_the_spring_of_2009(
    real_factors: tuple[list[date], dict[str, np.ndarray]],
) -> None:
    # Daniel and Moskowitz, "Momentum crashes" (JFE 2016): past losers rose most when the market turned.
    days, earned = real_factors
    months: dict[tuple[int, int], float] = {}
    for day, value in zip(days, earned["momentum"], strict=True):
        months[day.year, day.month] = months.get((day.year, day.month), 0.0) + value
    assert min(months, key=lambda month: months[month]) == (2009, 4)
    assert months[2009, 4] + months[2009, 5] < -0.1


# The job.


def home_of(folder: Path, prices: pl.DataFrame, monkeypatch: Any) -> HistoricalDb:
    monkeypatch.setenv("PROMETHEUS_HOME", str(folder / ".prometheus"))
    store = HistoricalDb(folder / ".prometheus" / "historical")
    store.write_days("prices_daily", prices, WriteId("load", "validate", "p", 1, "0" * 64), market="US_EQ")
    return store


def test_nights_after_a_bulk_load_give_its_bits_and_later_prices_change_none(
    many_prices: pl.DataFrame, task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    days = many_prices["date"].unique().sort().to_list()

    def kept(store: HistoricalDb, table: str, day: date) -> pl.DataFrame:
        return store.as_of(day, market="US_EQ").read(table)

    nightly = home_of(tmp_path / "nightly", many_prices, monkeypatch)
    for session in (days[-5], days[-4], days[-1]):
        jobs.factors(task_for(session, "factors"))
    cut = home_of(tmp_path / "cut", many_prices.filter(pl.col("date") <= days[-4]), monkeypatch)
    jobs.factors(task_for(days[-4], "factors"))
    bulk = home_of(tmp_path / "bulk", many_prices, monkeypatch)
    told = jobs.factors(task_for(days[-1], "factors"))
    assert told == {"sessions": len(days), "rows": many_prices.height, "write": "created"}
    for table in (exposures.TABLE, factor_returns.TABLE):
        assert_frame_equal(kept(nightly, table, days[-1]), kept(bulk, table, days[-1]), check_exact=True)
        assert_frame_equal(kept(cut, table, days[-1]), kept(bulk, table, days[-4]), check_exact=True)
    earned = kept(bulk, factor_returns.TABLE, days[-1])
    assert earned.height == len(days) * len(
        factor_returns.FACTORS
    )  # a session too early for factors has null ones
    assert earned["ret"].tail(7 * 100).null_count() == 0
    rows = kept(bulk, exposures.TABLE, days[-1])
    assert rows.columns == ["date", "instrument_id", *exposures.STYLES]


def test_returns_of_a_session_are_explained_by_the_exposures_of_the_one_before(
    many_prices: pl.DataFrame, task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    days = many_prices["date"].unique().sort().to_list()
    store = home_of(tmp_path, many_prices, monkeypatch)
    jobs.factors(task_for(days[-1], "factors"))
    view = store.as_of(days[-1], market="US_EQ")
    before = view.read(exposures.TABLE).filter(pl.col("date") == days[-2])
    both = before.join(many_prices.filter(pl.col("date") == days[-1]), on="instrument_id").drop_nulls()
    design = both.select(pl.lit(1.0).alias("market"), pl.col("beta") - 1.0, *exposures.STYLES[1:]).to_numpy()
    expected = np.linalg.lstsq(design, both["ret_1d"].to_numpy(), rcond=None)[0]
    earned = view.read(factor_returns.TABLE, since=days[-1])
    assert earned["factor"].to_list() == list(factor_returns.FACTORS)
    np.testing.assert_allclose(earned["ret"].to_numpy(), expected, rtol=1e-9)
