"""Datasets without a row a session: what is known when, and what becomes of a night without any."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion import jobs
from prometheus.data_ingestion.choose import choose_source
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.ingest import ingest
from prometheus.data_ingestion.sources import Provenance, read_provenance, write_provenance
from prometheus.stores.desk import Desk
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
FRIDAY, SATURDAY, MONDAY, TUESDAY = (
    date(2008, 10, 10),
    date(2008, 10, 11),
    date(2008, 10, 13),
    date(2008, 10, 14),
)
MakeDesk = Callable[..., Desk]
MakeSource = Callable[..., Any]


def macro(*row_dates: date) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row_date": row_dates,
            "series_id": ["BAA"] * len(row_dates),
            "period": row_dates,
            "value": [float(place) for place in range(len(row_dates))],
        },
        schema=dict(DATASETS["macro"].columns),
    )


def staged(desk: Desk, day: date = TUESDAY, table: str = "macro_staged") -> list[tuple[date, date]]:
    rows = desk.as_of(day).read(table, columns=["date", "row_date"])
    return [(known, row_date) for known, row_date in rows.iter_rows()]


def facts(desk: Desk, **equals: object) -> list[tuple[date, str, str]]:
    found = desk.runtime.rows("vendor_facts", **equals)
    return [(row["as_of_date"], row["dataset"], row["fact"]) for row in found]


def test_what_was_published_on_a_day_without_a_session_is_known_at_the_next(
    make_desk: MakeDesk, make_source: MakeSource
) -> None:
    source = make_source(others={"macro": macro(date(1919, 1, 31), FRIDAY, SATURDAY, MONDAY)})
    desk = make_desk(FRIDAY, "ingest_macro")
    first = ingest(desk, source, "macro", FRIDAY, US)
    assert (first.rows, first.days, first.session_rows) == (2, 2, 1)
    assert staged(desk, FRIDAY) == [
        (US.sessions(US.valid_from, FRIDAY)[0], date(1919, 1, 31)),
        (FRIDAY, FRIDAY),
    ]
    assert ingest(make_desk(MONDAY, "ingest_macro"), source, "macro", MONDAY, US).rows == 2
    assert staged(desk)[-2:] == [(MONDAY, SATURDAY), (MONDAY, MONDAY)]


def test_nights_one_after_the_other_and_all_at_once_stage_the_same_rows(
    make_desk: MakeDesk, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    source = make_source(others={"macro": macro(date(2008, 10, 4), FRIDAY, SATURDAY, MONDAY)})
    for session in (FRIDAY, MONDAY, TUESDAY):
        desk = make_desk(session, "ingest_macro")
        ingest(desk, source, "macro", session, US)
    nightly = desk.as_of(TUESDAY).read("macro_staged")
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "another"))
    bulk = make_desk(TUESDAY, "ingest_macro")
    ingest(bulk, source, "macro", TUESDAY, US)
    assert bulk.as_of(TUESDAY).read("macro_staged").equals(nightly)


def test_a_night_without_rows_is_a_noted_gap_and_no_failure(
    make_desk: MakeDesk, make_source: MakeSource
) -> None:
    source = make_source(others={"macro": macro(FRIDAY)}, closed=False)
    desk = make_desk(MONDAY, "ingest_macro")
    done = ingest(desk, source, "macro", MONDAY, US)
    assert done.as_json()["gap"] is True
    assert facts(desk) == [(MONDAY, "macro", "gap")]
    source.others = {"macro": macro(FRIDAY, MONDAY)}
    again = ingest(make_desk(MONDAY, "ingest_macro", attempt=2), source, "macro", MONDAY, US)
    assert again.as_json()["gap"] is False
    assert facts(desk) == []


def test_an_archive_owes_no_row_and_warns_of_itself_only_where_it_gave_some(
    make_desk: MakeDesk, make_source: MakeSource
) -> None:
    source = make_source(others={"macro": macro(FRIDAY)}, notes=("of one vintage",))
    told = {}
    for session in (FRIDAY, MONDAY):
        desk = make_desk(session, "ingest_macro")
        done = ingest(desk, source, "macro", session, US).as_json()
        assert isinstance(done, dict)
        told[session] = (done["gap"], done["facts"], done["notes"], done["session_rows"])
    assert told == {FRIDAY: (False, [], ["of one vintage"], 1), MONDAY: (False, [], [], 0)}
    assert facts(desk) == []


@pytest.mark.parametrize(
    ("job", "dataset"),
    [("ingest_ohlcv", "ohlcv"), ("ingest_actions", "corporate_actions"), ("ingest_facts", "facts")],
)
def test_a_market_without_a_source_notes_the_gap_and_goes_on(
    make_task: Callable[..., Any], job: str, dataset: str
) -> None:
    task = make_task(FRIDAY, job, market="XNYS")
    done = getattr(jobs, job)(task)
    assert (done["source"], done["gap"], done["rows"]) == (None, True, 0)
    assert done["facts"] == [f"there is no source of {dataset} for {FRIDAY}"]
    rows = RuntimeDb(load_settings().runtime_url).rows("vendor_facts")
    assert [(row["dataset"], row["fact"], row["market_id"]) for row in rows] == [(dataset, "gap", "XNYS")]


def test_every_dataset_has_its_job() -> None:
    names = {"corporate_actions": "actions"}
    assert all(hasattr(jobs, f"ingest_{names.get(dataset, dataset)}") for dataset in DATASETS)


@pytest.mark.usefixtures("home")
def test_each_dataset_of_a_store_keeps_its_own_source() -> None:
    settings = load_settings()
    settings.historical_path.mkdir(parents=True)
    kept = Provenance("a file", False, "asked for")
    write_provenance(settings.historical_path, "US_EQ", "macro", kept)
    source = choose_source(settings, US, "US_EQ", "prices", "synthetic")
    assert source is not None
    assert read_provenance(settings.historical_path, "US_EQ", "macro") == kept
    assert read_provenance(settings.historical_path, "US_EQ", "prices") == Provenance(
        source.name, True, "asked for"
    )
    assert read_provenance(settings.historical_path, "US_EQ", "volumes") is None
    assert read_provenance(settings.historical_path, "EU_EQ", "macro") is None


@pytest.mark.usefixtures("home")
def test_a_store_of_before_there_were_many_datasets_keeps_its_source() -> None:
    settings = load_settings()
    settings.historical_path.mkdir(parents=True)
    (settings.historical_path / "source.json").write_text(
        '{"US_EQ": {"source": "synthetic:US_EQ:7", "synthetic": true, "reason": "asked for"}}'
    )
    for dataset in ("prices", "volumes"):
        source = choose_source(settings, US, "US_EQ", dataset)
        assert source is not None
        assert source.name == "synthetic:US_EQ:7"
