"""What windows look like, what is near what, that numbers keep their meaning, and the job on the real stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prometheus.core.time import TradingCalendar
from prometheus.features import jobs
from prometheus.features import numeric_embeddings as embedding
from prometheus.features.correlations import market_returns
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.wide import Wide

NAN = float("nan")
DAYS = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2010, 12, 31))[:420]


@pytest.fixture(scope="module")
def market() -> tuple[np.ndarray, np.ndarray]:
    """420 sessions of 25 instruments."""
    rng = np.random.default_rng(19660301)
    daily = rng.normal(0, 0.01, (420, 1)) + rng.normal(0, 0.01, (420, 25)) * rng.uniform(0.5, 3, 25)
    return daily, np.exp(rng.normal(0, 0.4, (420, 25)) + np.linspace(14, 19, 25))


def numbers(daily: np.ndarray, dollars: np.ndarray, row: int) -> np.ndarray:
    """(instruments, 16) of one session."""
    found = embedding.compute(daily, dollars, DAYS, [row])
    return np.column_stack([found[name][0] for name in embedding.NAMES])


def test_a_window_is_three_paths_each_on_its_own_scale(market: tuple[np.ndarray, np.ndarray]) -> None:
    daily, dollars = market
    relative = daily - market_returns(daily)[:, None]
    windows = embedding.windows_at((daily, relative, np.log(dollars)), 300)
    own, above, volume = (windows.paths[part][:, 7] for part in range(3))
    returns = daily[238:301, 7]
    np.testing.assert_allclose(own, np.cumsum(returns / np.sqrt((returns**2).mean())) / 63)
    beyond = relative[238:301, 7]
    np.testing.assert_allclose(above, np.cumsum(beyond / np.sqrt((beyond**2).mean())) / 63)
    level = np.log(dollars[238:301, 7])
    np.testing.assert_allclose(volume, (level - level.mean()) / level.std() / np.sqrt(63))


def test_windows_of_one_course_are_near_whatever_their_volatility_and_others_are_far(
    market: tuple[np.ndarray, np.ndarray],
) -> None:
    daily, dollars = market[0].copy(), market[1].copy()
    daily[:, 1] = 3.0 * daily[:, 0] + np.random.default_rng(5).normal(0, 0.0005, 420)
    dollars[:, 1] = dollars[:, 0] * 40.0
    found = numbers(daily, dollars, 400)
    apart = np.linalg.norm(found - found[0], axis=1)
    assert apart[1] < 0.5 * apart[2:].min()


def test_the_first_number_is_the_trend(market: tuple[np.ndarray, np.ndarray]) -> None:
    found = numbers(*market, 400)
    trend = (market[0][338:401] / np.sqrt((market[0][338:401] ** 2).mean(axis=0))).sum(axis=0)
    assert np.corrcoef(found[:, 0], trend)[0, 1] > 0.8


def test_directions_are_orthonormal_and_turned_towards_waves(market: tuple[np.ndarray, np.ndarray]) -> None:
    daily, dollars = market
    panel = (daily, daily - market_returns(daily)[:, None], np.log(dollars))
    basis = embedding.fit(panel, DAYS, 311, {})
    assert basis is not None
    for directions, wave in zip(basis.directions, embedding.waves(), strict=True):
        np.testing.assert_allclose(directions.T @ directions, np.eye(wave.shape[1]), atol=1e-12)
        towards = directions.T @ wave
        # The best turn leaves a symmetric, positive product: no further turn brings them nearer.
        np.testing.assert_allclose(towards, towards.T, atol=1e-9)
        assert np.linalg.eigvalsh(towards).min() > 0.0


def test_a_basis_knows_nothing_of_its_own_quarter(market: tuple[np.ndarray, np.ndarray]) -> None:
    daily, dollars = market
    row = DAYS.index(date(2010, 4, 15))
    first = embedding.last_refit(DAYS, row)
    assert first == DAYS.index(date(2010, 4, 1))
    later = daily.copy()
    later[first:] *= -2.0
    earlier = daily.copy()
    earlier[first - 5] *= -2.0  # in the last week that had ended before
    found = [
        embedding.fit((each, each - market_returns(each)[:, None], np.log(dollars)), DAYS, first, {})
        for each in (daily, later, earlier)
    ]
    assert all(basis is not None for basis in found)
    original, same, other = (basis.directions[0] for basis in found if basis is not None)
    np.testing.assert_array_equal(same, original)
    assert not np.array_equal(other, original)


def test_half_a_year_of_windows_comes_first(market: tuple[np.ndarray, np.ndarray]) -> None:
    assert np.isnan(numbers(*market, DAYS.index(date(2009, 9, 30)))).all()
    assert not np.isnan(numbers(*market, DAYS.index(date(2009, 10, 1)))).any()


def test_an_instrument_known_in_less_than_four_fifths_of_its_window_has_no_numbers(
    market: tuple[np.ndarray, np.ndarray],
) -> None:
    daily, dollars = market[0].copy(), market[1].copy()
    daily[350:363, 3] = NAN
    daily[400, 4] = NAN
    dollars[350:363, 5] = 0.0
    daily[350:362, 6] = NAN
    found = numbers(daily, dollars, 400)
    assert np.isnan(found[[3, 4, 5]]).all()
    assert not np.isnan(np.delete(found, [3, 4, 5], axis=0)).any()


def test_a_price_that_never_moved_has_a_flat_path(market: tuple[np.ndarray, np.ndarray]) -> None:
    daily = market[0].copy()
    daily[:, 8] = 0.0
    panel = (daily, daily - market_returns(daily)[:, None], np.log(market[1]))
    assert (embedding.windows_at(panel, 400).paths[0][:, 8] == 0.0).all()
    assert not np.isnan(numbers(daily, market[1], 400)).any()


def test_on_the_real_panel_a_number_means_the_same_after_a_refit(real_market: Wide) -> None:
    daily, dollars = real_market["ret_1d"], real_market["dollar_volume"]
    logs = np.log(np.where(dollars > 0.0, dollars, np.nan))
    panel = (daily, daily - market_returns(daily)[:, None], logs)
    days = real_market.days
    refits = [days.index(date(2009, 4, 1)), days.index(date(2009, 7, 1))]
    old, new = (embedding.fit(panel, days, refit, {}) for refit in refits)
    assert old is not None
    assert new is not None
    windows = embedding.windows_at(panel, refits[1] + 20)
    held = windows.paths[0] - new.means[0][:, None]
    assert ((new.directions[0].T @ held) ** 2).sum() / (held**2).sum() > 0.9
    pairs = zip(old.project(windows), new.project(windows), strict=True)
    assert min(np.corrcoef(one, other)[0, 1] for one, other in pairs) > 0.9


def home_of(folder: Path, prices: pl.DataFrame, monkeypatch: Any) -> HistoricalDb:
    monkeypatch.setenv("PROMETHEUS_HOME", str(folder / ".prometheus"))
    store = HistoricalDb(folder / ".prometheus" / "historical")
    store.write_days("prices_daily", prices, WriteId("load", "validate", "p", 1, "0" * 64), market="US_EQ")
    return store


def test_nights_after_a_bulk_load_give_its_bits_and_later_prices_change_none(
    longer_prices: pl.DataFrame, task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    days = longer_prices["date"].unique().sort().to_list()

    def kept(store: HistoricalDb, day: date) -> pl.DataFrame:
        return store.as_of(day, market="US_EQ").read(embedding.TABLE)

    nightly = home_of(tmp_path / "nightly", longer_prices, monkeypatch)
    for session in (days[-40], days[-39], days[-1]):  # over the beginning of a quarter
        jobs.numeric_embeddings(task_for(session, "numeric_embeddings"))
    cut = home_of(tmp_path / "cut", longer_prices.filter(pl.col("date") <= days[-39]), monkeypatch)
    jobs.numeric_embeddings(task_for(days[-39], "numeric_embeddings"))
    bulk = home_of(tmp_path / "bulk", longer_prices, monkeypatch)
    told = jobs.numeric_embeddings(task_for(days[-1], "numeric_embeddings"))
    assert told == {"sessions": len(days), "rows": longer_prices.height, "write": "created"}
    assert_frame_equal(kept(nightly, days[-1]), kept(bulk, days[-1]), check_exact=True)
    assert_frame_equal(kept(cut, days[-1]), kept(bulk, days[-39]), check_exact=True)
    rows = kept(bulk, days[-1])
    assert rows.columns == ["date", "instrument_id", *embedding.NAMES]
    assert rows.filter(pl.col("date") == days[-1])["e16"].null_count() == 0
