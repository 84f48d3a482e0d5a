"""A small market of random prices, and a task that feature jobs accept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from night_task import NightTask

from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import fetch_reference
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.wide import Wide, lengthen, widen

SESSIONS = 330
INSTRUMENTS = 12


@pytest.fixture(scope="session")
def prices() -> pl.DataFrame:
    """prices_daily of 330 sessions and 12 instruments: one factor, fat tails, a late listing, a few holes."""
    rng = np.random.default_rng(20070103)
    calendar = TradingCalendar("US_EQ")
    days = calendar.sessions(date(2009, 1, 2), date(2010, 12, 31))[:SESSIONS]
    market = rng.standard_t(4, size=(SESSIONS, 1)) * 0.008
    daily = market * rng.uniform(0.5, 1.5, INSTRUMENTS) + rng.normal(0, 0.012, (SESSIONS, INSTRUMENTS))
    present = rng.random((SESSIONS, INSTRUMENTS)) > 0.004
    present[:100, 3] = False
    present[:, 0] = True
    volume = np.exp(rng.normal(17, 1, (SESSIONS, INSTRUMENTS)))
    names = [f"T{number:02d}" for number in range(INSTRUMENTS)]
    return lengthen(list(days), names, {"ret_1d": daily, "dollar_volume": volume}, present)


@pytest.fixture
def home(own_home: Path, prices: pl.DataFrame) -> Path:
    """A home whose historical_db holds `prices`."""
    load_prices(own_home, prices)
    return own_home


def store(home: Path) -> HistoricalDb:
    return HistoricalDb(home / ".prometheus" / "historical")


def load_prices(home: Path, frame: pl.DataFrame) -> None:
    write = WriteId("load", "validate", "prices", 1, "0" * 64)
    store(home).write_days("prices_daily", frame, write, market="US_EQ")


@pytest.fixture
def task_for() -> Callable[..., NightTask]:
    return NightTask


@pytest.fixture(scope="session")
def real_panel() -> ReferencePanel:
    """The reference panel, from the cache or mirror of whoever runs the tests."""
    settings = load_settings()
    return ReferencePanel(fetch_reference(settings.cache, settings.data_mirror))


@pytest.fixture(scope="session")
def real_market(real_panel: ReferencePanel) -> Wide:
    """Returns and traded dollars of the real panel from 2007 to August 2009."""
    last = date(2009, 8, 31)
    days = real_panel.sessions("prices", last)
    both = [real_panel.read(dataset, last, days) for dataset in ("prices", "volumes")]
    joined = both[0].join(both[1], on=["row_date", "instrument_id"]).rename({"row_date": "date"})
    return widen(joined, ["ret_1d", "dollar_volume"])


@pytest.fixture(scope="session")
def many_prices() -> pl.DataFrame:
    """prices_daily of 420 sessions and 40 instruments, with holes, a late listing and days without trade."""
    return _random_prices(420, 40)


@pytest.fixture(scope="session")
def longer_prices() -> pl.DataFrame:
    """The same of 700 sessions and 12 instruments: longer than anything looks back."""
    return _random_prices(700, 12)


def _random_prices(sessions: int, count: int) -> pl.DataFrame:
    rng = np.random.default_rng(19730615)
    days = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2012, 12, 31))[:sessions]
    market = rng.standard_t(4, size=(sessions, 1)) * 0.008
    daily = market * rng.uniform(0.5, 1.5, count) + rng.normal(0, 0.012, (sessions, count))
    present = rng.random((sessions, count)) > 0.004
    present[:250, 3] = False
    dollars = np.exp(rng.normal(0, 0.4, (sessions, count)) + np.linspace(15, 20, count))
    dollars[rng.random((sessions, count)) < 0.002] = 0.0
    names = [f"T{number:02d}" for number in range(count)]
    return lengthen(days, names, {"ret_1d": daily, "dollar_volume": dollars}, present)
