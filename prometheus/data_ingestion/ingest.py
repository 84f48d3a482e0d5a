"""Bring a session's rows of one dataset into its staging table, and all history before it if that is missing.

Staging keeps what was received, faults and all. A row stands under the session at which it was received (`date`) and
keeps the date its vendor gave it (`row_date`): rows that claim a later date are staged too, for validation to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.sources import Source, check_frame
from prometheus.stores.desk import Desk

STAGED = {"prices": "prices_staged", "volumes": "volumes_staged"}


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest job did, as its small JSON output says it."""

    source: Source
    table: str
    rows: int
    days: int
    session_rows: int
    first_day: date
    action: str

    def as_json(self) -> Json:
        return {
            "source": self.source.name,
            "synthetic": self.source.synthetic,
            "notes": list(self.source.notes),
            "table": self.table,
            "rows": self.rows,
            "days": self.days,
            "session_rows": self.session_rows,
            "first_day": self.first_day.isoformat(),
            "action": self.action,
        }


def ingest(desk: Desk, source: Source, dataset: str, session: date, calendar: TradingCalendar) -> Ingested:
    """Stage `session` and every earlier session of the source that is not yet staged, in one commit.

    Raises `DataError` if `session` is no trading day, or the source has no rows for it.
    """
    sessions = _sessions(source, session, calendar)
    table = STAGED[dataset]
    staged = set(desk.as_of(session).dates(table))
    wanted = [day for day in sessions if day not in staged or day == session]
    received = check_frame(source.name, dataset, source.read(dataset, session, wanted))
    rows = received.select(
        pl.when(pl.col("row_date") <= session).then("row_date").otherwise(pl.lit(session)).alias("date"),
        pl.all(),
        pl.lit(source.name).alias("source"),
        pl.lit(source.synthetic).alias("synthetic"),
    ).filter(pl.col("date").is_in(wanted))
    on_session = rows.filter(pl.col("date") == session).height
    if on_session == 0:
        raise DataError(
            f"the source {source.name!r} has no {dataset} for the session {session}",
            hint="see whether the vendor's file for that day is complete; then retry the task",
        )
    result = desk.writer.write_days(
        table, rows.sort("date", "instrument_id", maintain_order=True), days=wanted
    )
    return Ingested(source, table, rows.height, len(wanted), on_session, wanted[0], result.action)


def _sessions(source: Source, session: date, calendar: TradingCalendar) -> list[date]:
    if not calendar.is_trading_day(session):
        raise DataError(
            f"{session} is not a trading day of the calendar",
            allowed=f"trading days, such as {calendar.previous_trading_day(session)}",
        )
    sessions = source.sessions(session)
    if not sessions or sessions[-1] != session:
        have = f"{sessions[0]} to {sessions[-1]}" if sessions else "sessions after it only"
        raise DataError(
            f"the source {source.name!r} has no session {session}",
            allowed=f"up to that day it has {have}",
            hint="choose a session that the source covers, or give the desk a source of your own",
        )
    return sessions
