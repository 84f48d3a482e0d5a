"""Invented texts say that they are, never change, and differ from each other; issuers reach the runtime tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.choose import choose_source
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.jobs import ingest_issuers, ingest_texts
from prometheus.data_ingestion.listing import list_issuers
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.synthetic_texts import COMPANIES, FEWEST, MOST, SyntheticTexts
from prometheus.stores.desk import Desk
from tests.data_ingestion.conftest import MakeTask

DAY = date(2016, 6, 24)


@pytest.fixture(scope="module")
def texts() -> SyntheticTexts:
    return SyntheticTexts(TradingCalendar("US_EQ"), "US_EQ", 0)


def test_every_session_has_a_few_and_each_says_what_it_is(texts: SyntheticTexts) -> None:
    days = texts.sessions("texts", DAY)
    year = [day for day in days if day.year == 2015]
    rows = texts.read("texts", DAY, year)
    assert dict(rows.schema) == dict(DATASETS["texts"].columns)
    counts = rows.group_by("row_date").len()["len"]
    assert (counts.len(), counts.min(), counts.max()) == (252, FEWEST, MOST)
    assert rows["text_id"].str.starts_with("SYN_TXT_US_EQ_2015").all()
    assert rows["title"].str.starts_with("SYNTHETIC: ").all()
    assert rows["text_id"].is_unique().all()
    assert rows["body"].is_unique().all()
    assert texts.synthetic


def test_they_are_varied_and_about_many_companies_and_sometimes_none(texts: SyntheticTexts) -> None:
    rows = texts.read("texts", DAY, texts.sessions("texts", DAY)[-250:])
    assert rows["title"].n_unique() == 15
    assert set(rows["kind"].unique()) == {"news", "filing", "call"}
    assert set(rows["instrument_id"].drop_nulls()) == set(COMPANIES)
    assert 0.05 < rows["instrument_id"].is_null().mean() < 0.25


def test_a_day_is_the_same_however_it_is_asked_for(texts: SyntheticTexts) -> None:
    days = texts.sessions("texts", DAY)[-30:]
    together = texts.read("texts", DAY, days)
    assert pl.concat([texts.read("texts", day, [day]) for day in days]).equals(together)
    again = SyntheticTexts(TradingCalendar("US_EQ"), "US_EQ", 0).read("texts", DAY, days)
    assert again.equals(together)
    other = SyntheticTexts(TradingCalendar("US_EQ"), "US_EQ", 1).read("texts", DAY, days)
    assert not other["body"].equals(together["body"])


def test_nothing_is_told_of_the_future_or_of_days_without_a_session(texts: SyntheticTexts) -> None:
    assert texts.read("texts", DAY, [date(2016, 6, 25), date(2016, 6, 27)]).is_empty()


def test_the_companies_are_of_the_panel(panel: ReferencePanel) -> None:
    assert set(COMPANIES) <= set(panel.read("prices", DAY, [DAY])["instrument_id"])


def test_in_an_invented_market_they_are_about_its_companies(
    make_task: MakeTask, make_desk: Callable[..., Desk]
) -> None:
    desk = make_desk(DAY, "ingest_prices")
    choose_source(desk.settings, TradingCalendar("US_EQ"), "US_EQ", "prices", "synthetic")
    ingest_texts(make_task(DAY, "ingest_texts"))
    rows = desk.as_of(DAY).read("texts_staged")
    assert rows["instrument_id"].drop_nulls().str.starts_with("SYN_US_EQ_").all()
    assert rows["synthetic"].all()


def test_real_texts_are_had_by_asking_and_never_mix_with_invented_ones(
    make_task: MakeTask, packs: object
) -> None:
    asked = ingest_texts(make_task(date(2025, 11, 3), "ingest_texts", params={"source": "reference"}))
    assert isinstance(asked, dict)
    assert (asked["synthetic"], asked["session_rows"]) == (False, 3)
    later = ingest_texts(make_task(date(2025, 11, 4), "ingest_texts"))  # the store keeps to its source
    assert isinstance(later, dict)
    assert (later["source"], later["session_rows"]) == (asked["source"], 0)


def test_instruments_learn_their_issuers_and_learn_nothing_twice(
    make_task: MakeTask, make_desk: Callable[..., Desk], packs: object
) -> None:
    desk = make_desk(DAY)
    instrument = {
        "market_id": "US_EQ",
        "issuer_id": None,
        "source": "test",
        "synthetic": False,
        "first_date": DAY,
        "attributes": {},
    }
    with desk.writer.commit() as connection:
        desk.runtime.put(connection, "markets", [{"market_id": "US_EQ", "name": "US_EQ"}])
        names = ("AAPL", "GOOGL", "UNHEARD")
        rows = [{"instrument_id": name, "symbol": name, **instrument} for name in names]
        desk.runtime.put(connection, "instruments", rows)
    done = ingest_issuers(make_task(DAY, "ingest_issuers"))
    assert isinstance(done, dict)
    assert done["listed"] == {"issuers": 496, "instruments": 2, "without_issuer": 1}
    behind = {row["instrument_id"]: row["issuer_id"] for row in desk.runtime.rows("instruments")}
    assert behind == {"AAPL": "US:AAPL", "GOOGL": "US:GOOG", "UNHEARD": None}
    (apple,) = desk.runtime.rows("issuers", issuer_id="US:AAPL")
    assert apple["name"] == "Apple Inc."
    assert apple["attributes"]["sector"] == "Information Technology"
    again = ingest_issuers(make_task(date(2016, 6, 27), "ingest_issuers"))
    assert isinstance(again, dict)
    assert again["listed"] == {"issuers": 0, "instruments": 0, "without_issuer": 1}


def test_who_is_named_for_tomorrow_stands_behind_nothing_today(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(DAY, "ingest_issuers")
    days = {"today": DAY, "tomorrow": DAY + timedelta(days=3)}
    rows = pl.DataFrame(
        [
            {"date": DAY, "row_date": day, "instrument_id": "A", "issuer_id": name, "name": name}
            | {"sector": "Energy", "industry": None, "source": "frames", "synthetic": False}
            for name, day in days.items()
        ],
        schema_overrides={"industry": pl.String},
    )
    desk.writer.write_days("issuers_staged", rows)
    assert list_issuers(desk, DAY).issuers == 1
    assert [row["issuer_id"] for row in desk.runtime.rows("issuers")] == ["today"]
