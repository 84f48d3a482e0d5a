"""The rules on ten real years: the known faults are found, the days of real crashes are believed, night equals bulk."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.validation.judge import Verdict, judge
from prometheus.data_ingestion.validation.measures import WINDOW_SESSIONS
from prometheus.data_ingestion.validation.rules import Limits

LAST = date(2016, 12, 30)
US = TradingCalendar("US_EQ")

# Price jumps of spin-offs and splits that the vendor did not adjust (company news of those days, from memory).
UNADJUSTED = {
    (date(2008, 7, 3), "FIS"),  # Lender Processing Services spun off
    (date(2008, 9, 19), "DISCA"),  # Discovery Holding became Discovery Communications
    (date(2011, 3, 31), "NOC"),  # Huntington Ingalls
    (date(2011, 7, 1), "MRO"),  # Marathon Petroleum
    (date(2011, 12, 21), "EXPE"),  # TripAdvisor, and a reverse split
    (date(2012, 5, 1), "COP"),  # Phillips 66
    (date(2013, 5, 2), "VLO"),  # CST Brands
    (date(2014, 6, 2), "NOV"),  # NOW Inc.
    (date(2014, 6, 9), "TWX"),  # Time Inc.
}
ZERO_VOLUME = {(date(2007, 5, 17), "WYN"), (date(2011, 4, 28), "VRTX")}


@pytest.fixture(scope="module")
def frames(panel: ReferencePanel) -> tuple[pl.DataFrame, pl.DataFrame]:
    sessions = panel.sessions("prices", LAST)
    prices, volumes = (
        panel.read(dataset, LAST, sessions).select(pl.col("row_date").alias("date"), pl.all())
        for dataset in ("prices", "volumes")
    )
    return prices, volumes


@pytest.fixture(scope="module")
def bulk(frames: tuple[pl.DataFrame, pl.DataFrame]) -> Verdict:
    sessions = US.sessions(date(2007, 1, 4), LAST)
    return judge(*frames, days=sessions, session=LAST, sessions=sessions, limits=Limits())


def found(verdict: Verdict, rule: str) -> set[tuple[date, str]]:
    rows = verdict.quarantine.filter(pl.col("rule") == rule)
    return set(rows.select("date", "instrument_id").iter_rows())


def test_the_known_faults_are_found_and_nothing_else(bulk: Verdict) -> None:
    assert found(bulk, "unadjusted_action") == UNADJUSTED
    assert found(bulk, "zero_volume") == ZERO_VOLUME
    assert found(bulk, "price_without_volume") == ZERO_VOLUME
    assert bulk.counts == {"unadjusted_action": 9, "zero_volume": 2, "price_without_volume": 2}
    assert bulk.findings == ()
    assert bulk.clean.height == 2517 * 431 - 11


@pytest.mark.parametrize(
    ("day", "name", "move"),
    [  # real: Mitsubishi's investment; the rescue of Citigroup; Nvidia's and Netflix's warnings; Vertex's trial results
        (date(2008, 10, 13), "MS", 0.8698),
        (date(2008, 11, 24), "C", 0.5782),
        (date(2008, 7, 3), "NVDA", -0.3073),
        (date(2011, 10, 25), "NFLX", -0.349),
        (date(2013, 4, 19), "VRTX", 0.6191),
    ],
)
def test_the_great_moves_that_happened_are_believed(bulk: Verdict, day: date, name: str, move: float) -> None:
    row = bulk.clean.filter((pl.col("date") == day) & (pl.col("instrument_id") == name))
    assert row["ret_1d"].to_list() == [move]


SOME_DAYS = sorted(
    {day for day, _ in UNADJUSTED | ZERO_VOLUME} | {date(2008, 10, 13), date(2007, 2, 5), LAST}
)


@pytest.mark.parametrize("day", SOME_DAYS)
def test_a_night_judges_as_the_bulk_load_does(
    bulk: Verdict, frames: tuple[pl.DataFrame, pl.DataFrame], day: date
) -> None:
    begin = max(US.previous_trading_day(day, WINDOW_SESSIONS), date(2007, 1, 4))
    near = pl.col("date").is_between(begin, day)
    prices, volumes = (frame.filter(near) for frame in frames)
    night = judge(prices, volumes, days=[day], session=day, sessions=US.sessions(begin, day), limits=Limits())
    assert night.clean.equals(bulk.clean.filter(pl.col("date") == day))
    assert night.quarantine.equals(bulk.quarantine.filter(pl.col("date") == day))
