"""A small made-up market with a bulk-loaded desk over it, and a task that can be stopped and taken up again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from night_task import NightTask
from stopping_task import ResearchTask

from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.engines import jobs as engine_jobs
from prometheus.features import jobs as feature_jobs
from prometheus.research import jobs as research_jobs
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.runtime import Row, RuntimeDb
from prometheus.stores.wide import lengthen

SESSIONS, INSTRUMENTS = 420, 40
STORM = slice(330, 365)
SMALL: Mapping[str, Mapping[str, Json]] = {
    "universe": {"core_size": 16, "satellite_size": 6},
    "portfolio": {"max_weight": 0.1},
}
FEATURES = (
    feature_jobs.returns,
    feature_jobs.volatility,
    feature_jobs.correlations,
    feature_jobs.stability_components,
)
ENGINES = (
    engine_jobs.regime,
    engine_jobs.stability,
    engine_jobs.assessment,
    engine_jobs.universe,
    engine_jobs.portfolio,
    engine_jobs.risk_report,
)


@dataclass(frozen=True, slots=True)
class Home:
    """A desk's stores in a folder of their own."""

    path: Path

    @property
    def historical(self) -> HistoricalDb:
        return HistoricalDb(self.path / "historical")

    @property
    def runtime(self) -> RuntimeDb:
        return RuntimeDb(f"sqlite:///{self.path / 'runtime.db'}")

    def known(self, day: date) -> HistoricalView:
        return self.historical.as_of(day, market="US_EQ")

    def load(self, frame: pl.DataFrame, run: str = "load") -> None:
        write = WriteId(run, "validate", "prices_daily", 1, "0" * 64)
        self.historical.write_days("prices_daily", frame, write, market="US_EQ")

    def job(self, job: Callable[..., dict[str, Json]], task: NightTask) -> dict[str, Json]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROMETHEUS_HOME", str(self.path))
            patch.chdir(self.path)
            return job(task)

    def features(self, session: date, attempt: int = 1) -> None:
        for job in FEATURES:
            self.job(job, NightTask(session, job.__name__, attempt))

    def engines(self, session: date, attempt: int = 1) -> None:
        for job in ENGINES:
            params: dict[str, Json] = {"config": dict(SMALL.get(job.__name__, {}))}
            self.job(job, NightTask(session, job.__name__, attempt, params=params))

    def decided(self, session: date) -> list[Row]:
        return self.runtime.decisions(session, "US_EQ")

    def backtest(self, task: ResearchTask) -> dict[str, Json]:
        return self.job(research_jobs.backtest, task)

    def reports(self, session: date) -> dict[str, Json]:
        rows = self.runtime.rows("research_reports", as_of_date=session)
        return {row["kind"]: row["report"] for row in rows}


@pytest.fixture(scope="session")
def prices() -> pl.DataFrame:
    """prices_daily: one factor whose volatility trebles in the storm, a drift a name, illiquid names."""
    rng = np.random.default_rng(20081013)
    sessions = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2011, 12, 30))[:SESSIONS]
    market = rng.standard_t(5, size=(SESSIONS, 1)) * 0.006
    own = rng.normal(0, 0.012, (SESSIONS, INSTRUMENTS))
    market[STORM] *= 4.0
    daily = market * rng.uniform(0.6, 1.4, INSTRUMENTS) + own + rng.normal(0.0003, 0.0005, INSTRUMENTS)
    dollars = np.exp(rng.normal(0, 0.3, (SESSIONS, INSTRUMENTS)) + np.linspace(17, 20, INSTRUMENTS))
    names = [f"T{number:02d}" for number in range(INSTRUMENTS)]
    present = np.ones((SESSIONS, INSTRUMENTS), dtype=np.bool_)
    long = lengthen(sessions, names, {"ret_1d": daily, "dollar_volume": dollars}, present)
    return long.with_columns(pl.lit(value=True).alias("synthetic"))


@pytest.fixture(scope="session")
def days(prices: pl.DataFrame) -> list[date]:
    return prices["date"].unique().sort().to_list()


@pytest.fixture(scope="session")
def loaded(prices: pl.DataFrame, days: list[date], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A desk with all features of all sessions; copied by `desk`, changed by nobody."""
    home = Home(tmp_path_factory.mktemp("loaded"))
    home.load(prices)
    home.features(days[-1])
    return home


@pytest.fixture
def desk(loaded: Home, tmp_path: Path) -> Home:
    shutil.copytree(loaded.path, tmp_path / "desk")
    return Home(tmp_path / "desk")


@pytest.fixture
def new_task(days: list[date]) -> Callable[..., ResearchTask]:
    """Makes the task of a backtest that decides at the last four ends of months."""

    def make(session: date = days[-1], **fields: object) -> ResearchTask:
        params: dict[str, Json] = {"history_sessions": 320, "config": {k: dict(v) for k, v in SMALL.items()}}
        return ResearchTask(session, "backtest", params=params, **fields)  # type: ignore[arg-type]

    return make
