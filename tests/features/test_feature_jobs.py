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
    bulk_model = known(elsewhere, days[-1]).read("factor_models", since=days[-1])
    assert_frame_equal(bulk_model, nightly_model, check_exact=True)


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


def model_days(home: Path, last: date) -> list[date]:
    return known(home, last).dates("factor_models")


def test_a_bulk_load_keeps_the_models_of_month_ends_and_they_are_those_of_their_nights(
    home: Path,
    prices: pl.DataFrame,
    task_for: TaskFor,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: Any,
) -> None:
    night(task_for, prices["date"].max())  # 2010-04-26: the 330th session
    ends = [date(2009, 12, 31), date(2010, 1, 29), date(2010, 2, 26), date(2010, 3, 31)]
    assert model_days(home, prices["date"].max()) == [*ends, date(2010, 4, 26)]
    bulk = known(home, date(2010, 2, 26)).read("factor_models", since=date(2010, 2, 26))

    elsewhere = tmp_path_factory.mktemp("nightly")
    monkeypatch.setenv("PROMETHEUS_HOME", str(elsewhere / ".prometheus"))
    load(elsewhere, prices)
    for session in (date(2010, 2, 24), date(2010, 2, 26), date(2010, 3, 2)):
        night(task_for, session)
    assert model_days(elsewhere, date(2010, 3, 2)) == [
        *ends[:2],
        date(2010, 2, 24),
        date(2010, 2, 26),
        date(2010, 3, 2),
    ]
    nightly = known(elsewhere, date(2010, 2, 26)).read("factor_models", since=date(2010, 2, 26))
    assert_frame_equal(nightly, bulk, check_exact=True)


def test_models_of_every_session_are_kept_for_whoever_says_so_even_later(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    days = prices["date"].unique().sort().to_list()
    night(task_for, days[-1])
    few = known(home, days[-1]).read("factor_models")
    task = task_for(days[-1], "correlations", 2, params={"models": "all"})
    told = jobs.correlations(task)
    assert model_days(home, days[-1]) == days[251:]
    assert told["factor_model"]["models"] == len(days) - 251 - 4  # the four month ends were there
    every = known(home, days[-1]).read("factor_models")
    assert_frame_equal(every.filter(pl.col("date").is_in(few["date"].implode())), few, check_exact=True)
    with pytest.raises(DataError, match=r"models of the correlations job is 'some'.*month_ends or all"):
        jobs.correlations(task_for(days[-1], "correlations", 3, params={"models": "some"}))


def test_a_kept_model_is_fitted_anew_when_a_return_in_its_window_was_corrected(
    home: Path, prices: pl.DataFrame, task_for: TaskFor
) -> None:
    before, session = prices["date"].unique().sort()[-2], prices["date"].max()
    night(task_for, before)
    night(task_for, session)
    old = known(home, before).read("factor_models", since=before)
    corrected = prices.filter(pl.col("date") == date(2010, 1, 15)).with_columns(pl.col("ret_1d") * 2)
    load(home, corrected, run="correction")
    told = night(task_for, session, attempt=2)[2]
    # January's end and later ones, the night before and this one; December's knows nothing of it.
    assert told["factor_model"]["models"] == 3 + 2
    assert not known(home, before).read("factor_models", since=before).equals(old)
