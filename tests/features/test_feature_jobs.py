"""The jobs on the real stores: bulk equals nightly bit for bit, and nothing later than the session is seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prometheus.core.errors import DataError
from prometheus.features import jobs
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId

TABLES = ("returns_daily", "volatility_daily", "correlation_panels", "factor_models")
ORDER = (jobs.returns, jobs.volatility, jobs.correlations)

TaskFor = Callable[..., Any]  # NightTask of conftest.py, which importlib mode keeps from being imported


def db(home: Path) -> HistoricalDb:
    return HistoricalDb(home / ".prometheus" / "historical")


def known(home: Path, day: date) -> HistoricalView:
    return db(home).as_of(day, market="US_EQ")


def night(task_for: TaskFor, session: date, attempt: int = 1) -> list[dict[str, Any]]:
    return [job(task_for(session, job.__name__, attempt)) for job in ORDER]


def contents(home: Path, last: date, tables: tuple[str, ...] = TABLES) -> dict[str, pl.DataFrame]:
    view = known(home, last)
    return {table: view.read(table) for table in tables}


def load(home: Path, frame: pl.DataFrame, run: str = "load") -> None:
    db(home).write_days(
        "prices_daily", frame, WriteId(run, "validate", "prices", 1, "0" * 64), market="US_EQ"
    )


def test_a_night_after_the_bulk_load_gives_the_same_bits_as_one_bulk_load(
    home: Path,
    prices: pl.DataFrame,
    task_for: TaskFor,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: Any,
) -> None:
    days = prices["date"].unique().sort().to_list()
    for session in (
        days[-6],
        days[-5],
        days[-4],
        days[-1],
    ):  # the last night fills two sessions that had none
        night(task_for, session)
    nightly = contents(home, days[-1], TABLES[:3])
    nightly_model = known(home, days[-1]).read("factor_models", since=days[-1])

    elsewhere = tmp_path_factory.mktemp("bulk")
    monkeypatch.setenv("PROMETHEUS_HOME", str(elsewhere / ".prometheus"))
    load(elsewhere, prices)
    assert night(task_for, days[-1])[0]["sessions"] == len(days)
    bulk = contents(elsewhere, days[-1], TABLES[:3])
    for table, frame in bulk.items():
        assert_frame_equal(frame, nightly[table], check_exact=True)
    assert_frame_equal(known(elsewhere, days[-1]).read("factor_models"), nightly_model, check_exact=True)


def test_prices_after_the_session_change_nothing(
    home: Path,
    prices: pl.DataFrame,
    task_for: TaskFor,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: Any,
) -> None:
    session = prices["date"].unique().sort()[-20]
    night(task_for, session)
    truncated = tmp_path_factory.mktemp("truncated")
    monkeypatch.setenv("PROMETHEUS_HOME", str(truncated / ".prometheus"))
    load(truncated, prices.filter(pl.col("date") <= session))
    night(task_for, session)
    with_future, without = contents(home, prices["date"].max()), contents(truncated, prices["date"].max())
    for table in TABLES:
        assert_frame_equal(with_future[table], without[table], check_exact=True)
        assert with_future[table]["date"].max() == session


def test_a_second_night_computes_one_session_and_a_repeated_attempt_writes_nothing(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    assert [out["sessions"] for out in night(task_for, days[-2])] == [len(days) - 1] * 3
    assert [out["sessions"] for out in night(task_for, days[-1])] == [1] * 3
    before = db(home).versions()
    assert {out["write"] for out in night(task_for, days[-1])} == {"skipped"}
    again = night(task_for, days[-1], attempt=2)
    assert [out["sessions"] for out in again] == [1] * 3
    after = known(home, days[-1]).read("returns_daily")
    assert after.group_by("date", "instrument_id").len()["len"].max() == 1
    assert set(before) == set(db(home).versions())


def test_a_re_run_after_a_correction_replaces_the_session(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    session = prices["date"].max()
    night(task_for, session)
    doubled = prices.filter(pl.col("date") == session).with_columns(pl.col("ret_1d") * 2)
    load(home, doubled, run="correction")
    night(task_for, session, attempt=2)
    kept = known(home, session).read("returns_daily", since=session)
    assert kept["ret_1d"].to_list() == doubled.sort("instrument_id")["ret_1d"].to_list()


def test_a_session_without_prices_is_named(home: Path, task_for: TaskFor) -> None:
    with pytest.raises(DataError, match="prices_daily has no rows for 2015-06-01"):
        jobs.returns(task_for(date(2015, 6, 1), "returns"))


def test_every_row_had_a_price_and_short_history_is_null(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    session = prices["date"].max()
    outputs = night(task_for, session)
    tables = contents(home, session)
    assert tables["returns_daily"].height == tables["volatility_daily"].height == prices.height
    assert outputs[0]["rows"] == prices.height
    first = tables["volatility_daily"].head(11)
    assert first["vol_63d"].null_count() == 11
    panel = tables["correlation_panels"]
    assert panel["absorption_ratio"].null_count() == 251
    assert panel["mean_correlation_63d"].drop_nulls().is_between(-1, 1).all()
    assert set(tables["factor_models"]["instrument_id"]) == set(prices["instrument_id"]) - {"T03"}
