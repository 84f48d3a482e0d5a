"""Each component against a figure worked out another way, and the job on the real stores."""

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

from prometheus.core.time import TradingCalendar
from prometheus.features import jobs, rolling
from prometheus.features import stability_components as stability
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.wide import lengthen

NAN = float("nan")


def test_an_own_rank_is_the_share_of_the_other_values_below() -> None:
    values = np.arange(400.0)[:, None]
    values[399] = 99.5  # a hundred of the other 399 lie below
    found = stability.own_rank(values, [250, 251, 399])[:, 0]
    assert math.isnan(found[0])  # 251 values are too few
    assert found[1] == 1.0  # the highest so far
    assert found[2] == pytest.approx(100 / 399)


def test_an_own_rank_forgets_what_is_older_than_its_window_and_counts_ties_half() -> None:
    values = np.full((stability.RANKED_WITHIN + 100, 1), 5.0)
    values[:100] = 9.0
    last = len(values) - 1
    assert stability.own_rank(values, [last])[0, 0] == 0.5
    values[last] = 5.5
    assert stability.own_rank(values, [last])[0, 0] == 1.0


def test_a_drawdown_is_measured_from_the_highest_price_of_the_window() -> None:
    daily = np.array([0.10, 0.05, -0.20, 0.0, 0.02, NAN, -0.10])[:, None]
    found = rolling.below_high(daily, 7)[:, 0]
    assert np.isnan(found[:5]).all()  # the window is not known to four fifths yet
    price = 0.8 * 1.02 * 0.9
    assert found[6] == pytest.approx(1.0 - price)
    assert rolling.below_high(daily, 2)[6, 0] != found[6]


def test_the_high_itself_has_no_drawdown_and_a_halved_price_is_as_fragile_as_the_scale_goes() -> None:
    rng = np.random.default_rng(11)
    daily = rng.normal(0, 0.01, (600, 3))
    daily[-1, 0] = 3.0
    daily[-1, 1] = -0.9
    found = stability.compute(daily, np.full((600, 3), 1e6), [599])["drawdown"][0]
    assert found[0] == 0.0
    assert found[1] == 1.0
    price = np.cumprod(1.0 + daily[:, 2])[-252:]
    assert found[2] == pytest.approx(2.0 * (1.0 - price[-1] / price.max()))


def test_contagion_ranks_the_mean_return_on_the_markets_worst_sessions() -> None:
    rng = np.random.default_rng(12)
    daily = rng.normal(0, 0.01, (300, 1)) * np.linspace(0.2, 2.0, 9) + rng.normal(0, 0.002, (300, 9))
    window = daily[-252:]
    worst = np.argsort(window.mean(axis=1))[:13]
    order = np.argsort(np.argsort(-window[worst].mean(axis=0)))
    np.testing.assert_allclose(stability.contagion(daily, [299])[0], order / 8)


def test_illiquidity_ranks_price_moved_by_a_dollar() -> None:
    daily = np.full((300, 2), 0.01)
    dollars = np.full((300, 2), 1e6)
    dollars[-5:, 0] = 1e5  # the same move on a tenth of the trade
    dollars[-5:, 1] = 1e7
    found = stability.compute(daily, dollars, [299])["illiquidity"][0]
    assert found[0] > 0.99
    assert found[1] < 0.01


def test_a_session_without_trade_has_no_price_impact_and_two_components_make_no_fragility() -> None:
    daily = np.random.default_rng(13).normal(0, 0.01, (300, 4))
    dollars = np.zeros((300, 4))
    found = stability.compute(daily, dollars, [299, 210])
    assert np.isnan(found["illiquidity"]).all()
    known = [found[name][0] for name in ("volatility", "contagion", "drawdown")]
    np.testing.assert_allclose(found["fragility"][0], np.mean(known, axis=0))
    assert not np.isnan(found["drawdown"][1]).any()  # 211 sessions: over four fifths of a year
    assert np.isnan(found["fragility"][1]).all()


@given(st.integers(0, 2**32 - 1))
def test_components_lie_between_none_and_all_and_scale_with_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    daily = rng.standard_t(3, (290, 6)) * 0.02
    daily = np.clip(daily, -0.9, None)
    daily[rng.random(daily.shape) < 0.02] = NAN
    dollars = np.exp(rng.normal(15, 2, daily.shape))
    found = stability.compute(daily, dollars, [289])
    for values in found.values():
        held = values[~np.isnan(values)]
        assert ((held >= 0.0) & (held <= 1.0)).all()
    again = stability.compute(daily, dollars * 4.0, [289])  # another currency
    np.testing.assert_array_equal(again["fragility"], found["fragility"])


# The job.

SESSIONS = 640


@pytest.fixture(scope="module")
def long_prices() -> pl.DataFrame:
    rng = np.random.default_rng(20080915)
    days = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2012, 12, 31))[:SESSIONS]
    market = rng.standard_t(4, size=(SESSIONS, 1)) * 0.01
    daily = market * rng.uniform(0.5, 1.5, 8) + rng.normal(0, 0.01, (SESSIONS, 8))
    present = rng.random((SESSIONS, 8)) > 0.01
    present[:200, 3] = False
    dollars = np.where(rng.random((SESSIONS, 8)) > 0.01, np.exp(rng.normal(16, 1, (SESSIONS, 8))), 0.0)
    names = [f"T{number}" for number in range(8)]
    return lengthen(days, names, {"ret_1d": daily, "dollar_volume": dollars}, present)


def home_of(folder: Path, prices: pl.DataFrame, monkeypatch: Any) -> HistoricalDb:
    monkeypatch.setenv("PROMETHEUS_HOME", str(folder / ".prometheus"))
    store = HistoricalDb(folder / ".prometheus" / "historical")
    store.write_days("prices_daily", prices, WriteId("load", "validate", "p", 1, "0" * 64), market="US_EQ")
    return store


def kept(store: HistoricalDb, day: date) -> pl.DataFrame:
    return store.as_of(day, market="US_EQ").read(stability.TABLE)


def test_nights_after_a_bulk_load_give_its_bits_and_later_prices_change_none(
    long_prices: pl.DataFrame, task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    days = long_prices["date"].unique().sort().to_list()
    nightly = home_of(tmp_path / "nightly", long_prices, monkeypatch)
    for session in (days[-5], days[-4], days[-1]):
        jobs.stability_components(task_for(session, "stability_components"))
    cut = home_of(tmp_path / "cut", long_prices.filter(pl.col("date") <= days[-4]), monkeypatch)
    jobs.stability_components(task_for(days[-4], "stability_components"))
    bulk = home_of(tmp_path / "bulk", long_prices, monkeypatch)
    told = jobs.stability_components(task_for(days[-1], "stability_components"))
    assert told == {"sessions": SESSIONS, "rows": long_prices.height, "write": "created"}
    assert_frame_equal(kept(nightly, days[-1]), kept(bulk, days[-1]), check_exact=True)
    assert_frame_equal(kept(cut, days[-1]), kept(bulk, days[-4]), check_exact=True)
    last = kept(bulk, days[-1]).filter(pl.col("date") == days[-1])
    assert last.columns == ["date", "instrument_id", *stability.COMPONENTS, "fragility"]
    assert last["fragility"].null_count() == 0
