"""A corrected price reaches every feature that was computed from it, and no other; the bits are those of a bulk load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prometheus.features import jobs, volatility
from prometheus.features import returns as return_feature
from prometheus.stores.historical import HistoricalDb, WriteId

TABLES = ("returns_daily", "volatility_daily", "correlation_panels", "stability_components_daily")
JOBS = (jobs.returns, jobs.volatility, jobs.correlations, jobs.stability_components)

TaskFor = Callable[..., Any]


def store(home: Path) -> HistoricalDb:
    return HistoricalDb(home / ".prometheus" / "historical")


def load(home: Path, frame: pl.DataFrame, run: str) -> None:
    write = WriteId(run, "validate", "prices", 1, "0" * 64)
    days = frame["date"].unique().to_list()
    store(home).write_days("prices_daily", frame, write, market="US_EQ", days=days)


def corrected(prices: pl.DataFrame, day: date, name: str = "T00") -> pl.DataFrame:
    wrong = (pl.col("date") == day) & (pl.col("instrument_id") == name)
    return prices.with_columns(pl.when(wrong).then(-0.25).otherwise("ret_1d").alias("ret_1d"))


def night(task_for: TaskFor, session: date) -> dict[str, int]:
    return {job.__name__: job(task_for(session, job.__name__))["sessions"] for job in JOBS}


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bulk")


@pytest.mark.parametrize("back", [1, 30, 300])
def test_nights_with_a_correction_and_a_bulk_load_of_the_corrected_history_give_the_same_bits(
    home: Path, prices: pl.DataFrame, task_for: TaskFor, elsewhere: Path, monkeypatch: Any, back: int
) -> None:
    days = prices["date"].unique().sort().to_list()
    night(task_for, days[-3])
    night(task_for, days[-2])
    right = corrected(prices, days[-1 - back])
    load(home, right.filter(pl.col("date").is_in([days[-1 - back], days[-1]])), "correction")
    night(task_for, days[-1])
    monkeypatch.setenv("PROMETHEUS_HOME", str(elsewhere / ".prometheus"))
    load(elsewhere, right, "bulk")
    night(task_for, days[-1])
    for table in TABLES:
        views = [store(where).as_of(days[-1], market="US_EQ") for where in (home, elsewhere)]
        assert_frame_equal(views[0].read(table), views[1].read(table), check_exact=True)
        assert views[0].stamps(table) == views[1].stamps(table)


def test_only_what_reaches_back_to_the_correction_is_computed_anew(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    night(task_for, days[-1])
    load(home, corrected(prices, days[100]).filter(pl.col("date") == days[100]), "correction")
    done = night(task_for, days[-1])
    tonight = 1
    assert done["returns"] == return_feature.LOOKBACK + 1 + tonight
    assert done["volatility"] == volatility.LOOKBACK + 1 + tonight
    assert night(task_for, days[-1]) == dict.fromkeys(done, 1)


def test_a_correction_of_another_column_leaves_the_returns_alone(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    night(task_for, days[-1])
    doubled = prices.filter(pl.col("date") == days[-9]).with_columns(pl.col("dollar_volume") * 2)
    load(home, doubled, "correction")
    done = night(task_for, days[-1])
    assert (done["returns"], done["volatility"], done["correlations"]) == (1, 1, 1)
    assert done["stability_components"] > 1


def test_a_session_that_lost_its_prices_loses_its_features(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    night(task_for, days[-1])
    write = WriteId("withdrawal", "validate", "prices", 1, "0" * 64)
    store(home).write_days("prices_daily", prices.clear(), write, market="US_EQ", days=[days[-2]])
    night(task_for, days[-1])
    view = store(home).as_of(days[-1], market="US_EQ")
    assert all(days[-2] not in view.dates(table) for table in TABLES)


def test_features_of_a_store_from_before_there_were_stamps_stay_as_they_are(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    old = prices.filter(pl.col("date") <= days[-2]).select(
        "date", "instrument_id", *(pl.lit(0.5).alias(name) for name in ("ret_1d", "ret_5d", "ret_21d"))
    )
    write = WriteId("before", "returns", "returns_daily", 1, "0" * 64)
    store(home).write_days("returns_daily", old, write, market="US_EQ")
    assert jobs.returns(task_for(days[-1], "returns"))["sessions"] == 1
    view = store(home).as_of(days[-1], market="US_EQ")
    kept = view.read("returns_daily")
    assert (kept.filter(pl.col("date") < days[-1])["ret_1d"] == 0.5).all()
    assert {day for day, stamp in view.stamps("returns_daily").items() if stamp is not None} == {days[-1]}
