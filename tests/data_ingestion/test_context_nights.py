"""Nights of the context through the job itself: final tables, one quarantine, verdicts, and what a required dataset does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from prometheus.core.errors import DataError
from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion import jobs
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.engines.outcome import degraded
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalDb
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
D1, D2, D3 = date(2008, 10, 9), date(2008, 10, 10), date(2008, 10, 13)
SESSIONS = US.sessions(date(2008, 4, 1), D3)
Night = Callable[..., dict[str, Any]]
MakeDesk = Callable[..., Desk]


def currencies(until: date = D3, **spoilt: float) -> pl.DataFrame:
    """Three rates on every session, with another one for a pair of the last."""
    days = [day for day in SESSIONS if day <= until]
    rows = pl.DataFrame({"date": days}).with_row_index("n").join(
        pl.DataFrame({"instrument_id": ["EURGBP", "EURJPY", "EURUSD"], "base": [0.8, 130.0, 1.4]}), how="cross"
    )  # fmt: skip
    rate = pl.col("base") * (1 + 0.01 * (pl.col("n") * 1.7 + pl.col("base")).sin())
    for pair, value in spoilt.items():
        at = (pl.col("instrument_id") == pair) & (pl.col("date") == until)
        rate = pl.when(at).then(value).otherwise(rate)
    return rows.select("date", pl.col("date").alias("row_date"), "instrument_id", rate.alias("rate"))


def filings(day: date = D2, *, ended: date = date(2008, 9, 30)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [day],
            "row_date": [day],
            "instrument_id": ["MSFT"],
            "concept": ["Assets"],
            "period_start": pl.Series([None], dtype=pl.Date),
            "period_end": [ended],
            "value": [6.6e10],
            "unit": ["USD"],
            "form": ["10-Q"],
            "accession": ["1"],
        }
    )


@pytest.fixture
def staged(make_desk: MakeDesk) -> Callable[..., None]:
    """Puts rows into staging tables, as an ingest job of that session would."""

    def stage(session: date, frames: Mapping[str, pl.DataFrame], attempt: int = 1) -> None:
        for dataset, frame in frames.items():
            desk = make_desk(session, f"ingest_{dataset}", attempt=attempt)
            rows = frame.with_columns(pl.lit("frames").alias("source"), pl.lit(False).alias("synthetic"))
            held = set(desk.as_of(session).dates(DATASETS[dataset].staged)) - {session}
            fresh = rows.filter(~pl.col("date").is_in(list(held)))
            desk.writer.write_days(DATASETS[dataset].staged, fresh)

    return stage


@pytest.fixture
def night(make_task: Callable[..., Any]) -> Night:
    def run(session: date, **others: Any) -> dict[str, Any]:
        done = jobs.validate_context(make_task(session, "validate_context", **others))
        assert isinstance(done, dict)
        json.dumps(done, allow_nan=False)
        return done

    return run


def table(name: str) -> pl.DataFrame:
    return HistoricalDb(load_settings().historical_path).as_of(D3, market="US_EQ").read(name)


def quality(session: date) -> dict[str, str]:
    rows = RuntimeDb(load_settings().runtime_url).rows("data_quality", as_of_date=session)
    return {row["dataset"]: row["verdict"] for row in rows}


def test_the_first_night_judges_all_history_and_the_second_its_day(
    staged: Callable[..., None], night: Night
) -> None:
    staged(D2, {"fx": currencies(D2), "facts": filings()})
    first = night(D2)
    assert (first["datasets"]["fx"]["days"], first["datasets"]["fx"]["verdict"]) == (len(SESSIONS) - 1, "ok")
    assert first["datasets"]["facts"]["clean"] == 1
    assert "macro" in first["absent"]
    staged(D3, {"fx": currencies(D3)})
    second = night(D3)
    assert (second["datasets"]["fx"]["days"], second["datasets"]["fx"]["rows"]) == (1, 3)
    assert table("fx_daily").columns == ["date", "instrument_id", "rate", "row_date", "source", "synthetic"]
    assert table("fx_daily").height == 3 * len(SESSIONS)
    assert quality(D3) == {"fx": "ok", "facts": "ok"}


def test_nights_one_by_one_and_one_bulk_load_give_the_same_rows(
    staged: Callable[..., None],
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    bad = currencies(D2, EURUSD=14.0)
    for session in (D1, D2, D3):
        rows = bad if session == D2 else currencies(session)
        staged(session, {"fx": rows, **({"facts": filings(ended=D3)} if session == D2 else {})})
        night(session)
    nightly = {name: table(name) for name in ("fx_daily", "quarantine_context")}
    nightly_quality = quality(D3)
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "another"))
    whole = pl.concat([bad, currencies(D3).filter(pl.col("date") == D3)])
    staged(D3, {"fx": whole, "facts": filings(ended=D3)})
    night(D3)
    for name, rows in nightly.items():
        assert table(name).equals(rows), name
    assert nightly["quarantine_context"].select("dataset", "rule").rows() == [
        ("facts", "filed_before_its_end"),
        ("fx", "impossible_move"),
    ]
    assert quality(D3) == nightly_quality


def test_a_second_attempt_changes_nothing(staged: Callable[..., None], night: Night) -> None:
    staged(D2, {"fx": currencies(D2, EURUSD=14.0), "facts": filings()})
    night(D2)
    before, rows = table("fx_daily"), table("quarantine_context")
    assert rows.height == 1
    night(D2, attempt=2)
    settled = HistoricalDb(load_settings().historical_path).versions()
    night(D2, attempt=3)
    assert table("fx_daily").equals(before)
    assert table("quarantine_context").equals(rows)
    assert HistoricalDb(load_settings().historical_path).versions() == settled


def test_a_dataset_that_comes_later_does_not_wipe_the_quarantine_of_others(
    staged: Callable[..., None], night: Night
) -> None:
    staged(D2, {"fx": currencies(D2, EURUSD=14.0)})
    night(D2)
    staged(D3, {"fx": currencies(D3), "facts": filings(D2, ended=D3)})
    night(D3)
    assert table("quarantine_context").select("date", "dataset", "rule").rows() == [
        (D2, "facts", "filed_before_its_end"),
        (D2, "fx", "impossible_move"),
    ]


def test_what_is_degraded_is_found_by_the_engines_of_the_night(
    staged: Callable[..., None], night: Night, make_desk: MakeDesk
) -> None:
    staged(D2, {"fx": currencies(D2, EURUSD=14.0)})
    done = night(D2)
    assert done["datasets"]["fx"]["verdict"] == "degraded"
    marks = degraded(make_desk(D2).runtime, D2, "US_EQ")
    assert marks == ["fx: 1 of 3 rows of the session are quarantined: impossible_move 1"]


def test_a_file_that_came_only_in_part_degrades_and_a_required_one_stops_the_night(
    staged: Callable[..., None], night: Night
) -> None:
    whole = currencies(D2)
    staged(D2, {"fx": whole.filter(pl.col("date") < US.previous_trading_day(D2, 4))})
    assert night(D2)["datasets"]["fx"]["verdict"] == "degraded"
    with pytest.raises(
        DataError, match=r"context of 2008-10-10 cannot be used: fx: it has no rows for 5 sessions"
    ):
        night(D2, attempt=2, params={"required": ["fx"]})
    assert quality(D2) == {"fx": "failed"}
    with pytest.raises(DataError, match="macro has never come"):
        night(D2, attempt=3, params={"required": ["macro"]})
    staged(D2, {"fx": whole}, attempt=2)
    assert night(D2, attempt=4, params={"required": ["fx"]})["datasets"]["fx"]["verdict"] == "ok"
    assert quality(D2) == {"fx": "ok"}


def test_parameters_that_cannot_be_used_are_named(night: Night) -> None:
    with pytest.raises(DataError, match=r"no context dataset is named prices.*macro"):
        night(D2, params={"required": ["prices"]})
    with pytest.raises(DataError, match=r"`required` is 'fx'.*a list"):
        night(D2, params={"required": "fx"})


def test_a_night_without_any_context_says_what_is_absent(night: Night) -> None:
    done = night(D2)
    assert done["datasets"] == {}
    assert set(done["absent"]) == set(DATASETS) - {"prices", "volumes"}
    assert timedelta(days=1) + D1 == D2
