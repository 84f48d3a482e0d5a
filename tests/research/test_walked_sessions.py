"""The engines over past sessions: the same whatever lies after, whoever computed the factor model, and within limits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.errors import DataError
from prometheus.core.settings import EngineSettings, load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import fetch_reference
from prometheus.engines.decision_log import engine as decision_log
from prometheus.engines.portfolio.audit import audit
from prometheus.research.walk import Ground, Walk, Walker

SEED = 20160624  # of the sessions of the real panel that are walked with every change
SMALL = {"universe": {"core_size": 16, "satellite_size": 6}, "portfolio": {"max_weight": 0.1}}


def walk_over(home: Any, folder: Path, small: bool = True) -> Walk:
    engines = {name: EngineSettings(config=config) for name, config in SMALL.items()} if small else {}
    versions = home.historical.versions()
    ground = Ground(home.historical, versions, "US_EQ", TradingCalendar("US_EQ"), engines, {})
    return Walk(ground, folder, Walker("research", "walk", 1, "0" * 64))


def decided(walk: Walk, sessions: Sequence[date]) -> list[dict[str, Any]]:
    for session in sessions:
        walk.step(session)
    return [
        {name: row[name] for name in ("decision_id", "output_refs")}
        for session in sessions
        for row in walk.runtime.decisions(session, "US_EQ")
    ]


@settings(max_examples=max(settings().max_examples // 30, 1))
@given(place=st.integers(300, 417))
def test_truncating_the_future_changes_nothing(
    place: int, loaded: Any, prices: pl.DataFrame, days: list[date], tmp_path_factory: Any
) -> None:
    sessions = days[place : place + 2]
    folder = tmp_path_factory.mktemp("truncated")
    cut = type(loaded)(folder / "cut")
    cut.path.mkdir()
    cut.load(prices.filter(pl.col("date") <= sessions[-1]))
    cut.features(sessions[-1])
    whole = walk_over(loaded, folder / "whole-walk")
    part = walk_over(cut, folder / "cut-walk")
    assert decided(part, sessions) == decided(whole, sessions)


def test_a_walked_session_is_decided_as_its_night_was(desk: Any, days: list[date], tmp_path: Path) -> None:
    """The last session's factor model is the desk's own, the one before it is the walk's: both are the same nights."""
    for session in days[-2:]:
        desk.features(session)
        desk.engines(session)
    walk = walk_over(desk, tmp_path / "walk")
    walked = decided(walk, days[-2:])
    nightly = [row for session in days[-2:] for row in desk.decided(session)]
    assert [one["decision_id"] for one in walked] == [row["decision_id"] for row in nightly]


def test_a_walk_writes_nothing_of_the_desk_s(desk: Any, days: list[date], tmp_path: Path) -> None:
    before = desk.historical.versions()
    walk = walk_over(desk, tmp_path / "walk")
    walk.step(days[350])
    assert walk.has_decided(days[350])
    assert desk.historical.versions() == before
    assert not (desk.path / "runtime.db").exists() or desk.decided(days[350]) == []
    walk.discard()
    assert not (tmp_path / "walk").exists()


def test_a_session_that_cannot_be_walked_says_why(desk: Any, days: list[date], tmp_path: Path) -> None:
    walk = walk_over(desk, tmp_path / "walk")
    with pytest.raises(DataError, match="it has 101 sessions of returns"):
        walk.step(days[100])
    with pytest.raises(DataError, match="returns_daily ends at"):
        walk.step(date(2012, 1, 3))


@pytest.fixture(scope="module", params=[0, 1])
def real_home(request: Any, loaded: Any, tmp_path_factory: Any) -> tuple[Any, list[date]]:
    """Two and a half years of the reference panel with all features, and two neighbouring sessions drawn from its end."""
    found = load_settings()
    panel = ReferencePanel(fetch_reference(found.cache, found.data_mirror))
    every = panel.sessions("prices", date(2016, 12, 30))
    last = random.Random(SEED + request.param).randrange(620, len(every))
    days = every[last - 560 : last + 1]
    both = [panel.read(dataset, days[-1], days) for dataset in ("prices", "volumes")]
    joined = both[0].join(both[1], on=["row_date", "instrument_id"]).rename({"row_date": "date"})
    home = type(loaded)(tmp_path_factory.mktemp("real"))
    home.load(joined.with_columns(pl.lit(value=False).alias("synthetic")))
    home.features(days[-1])
    return home, days[-2:]


def test_on_sessions_drawn_from_nine_years_every_limit_holds_and_the_log_is_consistent(
    real_home: Any, tmp_path: Path
) -> None:
    """The same checks on every session: `make proof`."""
    home, sessions = real_home
    walk = walk_over(home, tmp_path / "walk", small=False)
    for session in sessions:
        told = walk.step(session)
        view = walk.view(session)
        assert audit(session, view, walk.runtime, market_id="US_EQ") == []
        assert decision_log.check(session, view, walk.runtime, market_id="US_EQ")["references"] > 10
        assert told["portfolio"]["positions"] > 20
    assert told["portfolio"]["turnover"] is not None, "the second session starts from the first"
