"""A small market of random prices, and a task that feature jobs accept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from night_task import NightTask

from prometheus.core.time import TradingCalendar
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.wide import lengthen

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
