"""Shared by the tests of data: a task, a source made of frames, and the real panel."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from prometheus.core.ids import Json
from prometheus.core.settings import Settings, load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.packs import shelf
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import ReferenceFiles, fetch_reference
from prometheus.stores.desk import Desk, open_desk

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

MakeTask = Callable[..., "NightTask"]


@dataclass
class NightTask:
    """One attempt of one job, as a worker would hand it over."""

    session: date
    name: str
    attempt: int = 1
    market: str = "US_EQ"
    pin: str = "pin"
    pipeline: str = "us_eq_daily"
    mode: str = "full"
    resume: Json = None
    params: Mapping[str, Json] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return f"{self.pipeline}.{self.session}"

    @property
    def task_id(self) -> str:
        return f"{self.run_id}.{self.name}"

    def calendar(self, market: str | None = None) -> TradingCalendar:
        return TradingCalendar(market or self.market)

    def output(self, job: object) -> Json:
        raise AssertionError(f"no job of this room reads the output of {job}")

    def checkpoint(self, state: Json) -> None:
        raise AssertionError(f"no job of this room saves {state}")


@dataclass
class FramesSource:
    """A source of given frames: what a vendor sent, faults and all."""

    prices: pl.DataFrame | None = None
    volumes: pl.DataFrame | None = None
    others: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # of further datasets
    name: str = "frames"
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    sends_everything: bool = False  # as a vendor does whose file is not for one day
    closed: bool = True

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        panel = {"prices": self.prices, "volumes": self.volumes}
        return {**{name: frame for name, frame in panel.items() if frame is not None}, **self.others}

    @property
    def datasets(self) -> frozenset[str]:
        return frozenset(self.frames)

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        days = self.frames[dataset]["row_date"].unique().sort().to_list()
        return [day for day in days if day <= known_at]

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        frame = self.frames[dataset]
        if self.sends_everything:
            return frame
        tomorrow = (pl.col("row_date") > known_at) & pl.lit(dataset not in self.others)
        return frame.filter(pl.col("row_date").is_in(list(days)) | tomorrow)


@pytest.fixture(scope="session")
def user_settings() -> Settings:
    """The settings of whoever runs the tests: their cache and mirror hold the real panel."""
    return load_settings()


@pytest.fixture(scope="session")
def reference_files(user_settings: Settings) -> ReferenceFiles:
    return fetch_reference(user_settings.cache, user_settings.data_mirror)


@pytest.fixture(scope="session")
def packs(user_settings: Settings) -> Mapping[str, ReferenceFiles]:
    """Package -> its real files, for every pack beside the panel."""
    return {
        pack.package: fetch_reference(user_settings.cache, user_settings.data_mirror, pack=pack)
        for pack in shelf.ALL
    }


@pytest.fixture(scope="session")
def panel(reference_files: ReferenceFiles) -> ReferencePanel:
    return ReferencePanel(reference_files)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_settings: Settings) -> Path:
    """A desk of its own, with the user's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(user_settings.cache))
    for variable in ("PROMETHEUS_HISTORICAL_PATH", "PROMETHEUS_RUNTIME_URL", "PROMETHEUS_DATA_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def make_task(home: Path) -> MakeTask:
    return NightTask


@pytest.fixture
def make_desk(make_task: MakeTask) -> Callable[..., Desk]:
    def make(session: date, name: str = "validate", **others: object) -> Desk:
        return open_desk(make_task(session, name, **others))

    return make


@pytest.fixture
def make_source() -> Callable[..., FramesSource]:
    return FramesSource
