"""A small made-up market with a storm in it, nights over it, and the real panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from night_task import NightTask

from prometheus.core.ids import Json
from prometheus.core.settings import Settings, load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import fetch_reference
from prometheus.engines import jobs as engine_jobs
from prometheus.engines.engine import Engine
from prometheus.features import jobs as feature_jobs
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.runtime import Row, RuntimeDb
from prometheus.stores.wide import lengthen

SESSIONS = 420
INSTRUMENTS = 60
STORM = slice(330, 365)

JOBS = (
    feature_jobs.returns,
    feature_jobs.volatility,
    feature_jobs.correlations,
    feature_jobs.stability_components,
    engine_jobs.regime,
    engine_jobs.stability,
    engine_jobs.assessment,
    engine_jobs.universe,
    engine_jobs.portfolio,
    engine_jobs.risk_report,
    engine_jobs.decision_log,
)

# A market of 60 needs smaller seats and larger weights than one of 431.
SMALL: Mapping[str, Json] = {
    "universe": {"config": {"core_size": 20, "satellite_size": 8}},
    "portfolio": {"config": {"max_weight": 0.08}},
}


@dataclass(frozen=True, slots=True)
class Home:
    """A desk's stores in a folder of their own."""

    path: Path
    params: Mapping[str, Json] = field(default_factory=dict)

    @property
    def historical(self) -> HistoricalDb:
        return HistoricalDb(self.path / "historical")

    @property
    def runtime(self) -> RuntimeDb:
        return RuntimeDb(f"sqlite:///{self.path / 'runtime.db'}")

    def known(self, day: date) -> HistoricalView:
        return self.historical.as_of(day, market="US_EQ")

    def load(self, table: str, frame: pl.DataFrame, run: str = "load") -> None:
        self.historical.write_days(table, frame, WriteId(run, "validate", table, 1, "0" * 64), market="US_EQ")

    def job(self, name: str, session: date, attempt: int = 1, **config: Any) -> dict[str, Json]:
        """One job of the night; `config` replaces its parameters."""
        params = {"config": config} if config else self.params.get(name, {})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROMETHEUS_HOME", str(self.path))
            job = next(job for job in JOBS if job.__name__ == name)
            return job(NightTask(session, name, attempt, params=params))

    def decide(self, engine: Engine, session: date) -> dict[str, Json]:
        """A night's decision by an engine of the desk's own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROMETHEUS_HOME", str(self.path))
            return engine_jobs.decide(NightTask(session, engine.name), engine)

    def night(self, session: date, attempt: int = 1) -> dict[str, dict[str, Json]]:
        """Every feature and engine job, in order."""
        return {job.__name__: self.job(job.__name__, session, attempt) for job in JOBS}

    def decided(self, session: date) -> dict[str, list[Row]]:
        """All that runtime_db says of a session, as a comparison between homes sees it."""
        tables = (
            "regimes",
            "stability_vectors",
            "fragility_measures",
            "soft_target_classes",
            "instrument_scores",
            "universes",
            "target_portfolios",
            "risk_reports",
        )
        found = {table: self.runtime.rows(table, as_of_date=session) for table in tables}
        return {**found, "engine_decisions": self.runtime.decisions(session, "US_EQ")}


@pytest.fixture(scope="session")
def prices() -> pl.DataFrame:
    """prices_daily: one factor whose volatility trebles in the storm, a drift a name, illiquid and young names."""
    rng = np.random.default_rng(19291024)
    days = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2011, 12, 30))[:SESSIONS]
    market = rng.standard_t(5, size=(SESSIONS, 1)) * 0.006
    own = rng.normal(0, 0.012, (SESSIONS, INSTRUMENTS))
    market[STORM] *= 4.0
    own[STORM] *= 1.3
    daily = market * rng.uniform(0.6, 1.4, INSTRUMENTS) + own + rng.normal(0.0003, 0.0005, INSTRUMENTS)
    dollars = np.exp(rng.normal(0, 0.3, (SESSIONS, INSTRUMENTS)) + np.linspace(15, 20, INSTRUMENTS))
    present = rng.random((SESSIONS, INSTRUMENTS)) > 0.001
    present[:250, 40] = False
    names = [f"T{number:02d}" for number in range(INSTRUMENTS)]
    long = lengthen(days, names, {"ret_1d": daily, "dollar_volume": dollars}, present)
    return long.with_columns(pl.lit(value=True).alias("synthetic"))


@pytest.fixture(scope="session")
def days(prices: pl.DataFrame) -> list[date]:
    return prices["date"].unique().sort().to_list()


@pytest.fixture
def new_home(tmp_path: Path) -> Callable[[str, pl.DataFrame], Home]:
    """Makes a home whose historical_db holds the given prices and nothing else."""

    def make(name: str, frame: pl.DataFrame) -> Home:
        small = frame["instrument_id"].n_unique() <= INSTRUMENTS
        home = Home(tmp_path / name, SMALL if small else {})
        home.load("prices_daily", frame)
        return home

    return make


@pytest.fixture(scope="session")
def home_at() -> Callable[[Path], Home]:
    """The small home that lies in a folder: a copy of a night, which a test may tamper with."""
    return lambda folder: Home(folder, SMALL)


@pytest.fixture(scope="module")
def one_night(
    prices: pl.DataFrame, days: list[date], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, date, dict[str, dict[str, Json]]]:
    """A home after its first night, which lies in the storm; tests read it and change nothing."""
    home = Home(tmp_path_factory.mktemp("night"), SMALL)
    home.load("prices_daily", prices)
    session = days[STORM.stop - 5]
    return home, session, home.night(session)


@pytest.fixture(scope="session")
def user_settings() -> Settings:
    """The settings of whoever runs the tests: their cache and mirror hold the real panel."""
    return load_settings()


@pytest.fixture(scope="session")
def real_panel(user_settings: Settings) -> ReferencePanel:
    return ReferencePanel(fetch_reference(user_settings.cache, user_settings.data_mirror))


@pytest.fixture
def new_real_home(
    real_panel: ReferencePanel, new_home: Callable[[str, pl.DataFrame], Home]
) -> Callable[[date], Home]:
    """Makes a home with the panel's two and a half years up to a session (unvalidated: engines are tested here)."""

    def make(session: date) -> Home:
        days = real_panel.sessions("prices", session)[-640:]
        both = [real_panel.read(dataset, session, days) for dataset in ("prices", "volumes")]
        joined = both[0].join(both[1], on=["row_date", "instrument_id"]).rename({"row_date": "date"})
        return new_home("real", joined.with_columns(pl.lit(value=False).alias("synthetic")))

    return make
