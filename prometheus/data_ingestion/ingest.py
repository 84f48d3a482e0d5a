"""Bring a session's rows of one dataset into its staging table, and all history before it if that is missing.

Staging keeps what was received, faults and all. A row stands under the session at which it was known (`date`) and
keeps the date its vendor gave it (`row_date`). A row of a day without a session (a filing of a Saturday, a macro
series on a holiday) is known at the next session; one that claims a later date than tonight's is staged tonight, for
validation to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.sources import Source, check_frame
from prometheus.stores.desk import Desk


@dataclass(frozen=True, slots=True)
class Fact:
    """What a vendor did that it should not have; `kind` is its key in `vendor_facts`."""

    kind: str  # gap
    detail: str  # a sentence
    rows: int


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest job did, as its small JSON output says it."""

    source: Source | None
    dataset: str
    rows: int = 0
    days: int = 0  # sessions that were staged
    session_rows: int = 0
    first_day: date | None = None
    action: str = "nothing"
    facts: tuple[Fact, ...] = ()

    def as_json(self) -> Json:
        return {
            "source": None if self.source is None else self.source.name,
            "synthetic": self.source is not None and self.source.synthetic,
            "notes": [] if self.source is None else list(self.source.notes),
            "table": DATASETS[self.dataset].staged,
            "rows": self.rows,
            "days": self.days,
            "session_rows": self.session_rows,
            "first_day": None if self.first_day is None else self.first_day.isoformat(),
            "action": self.action,
            "gap": self.session_rows == 0,
            "facts": [fact.detail for fact in self.facts],
        }


def ingest(
    desk: Desk, source: Source | None, dataset: str, session: date, calendar: TradingCalendar
) -> Ingested:
    """Stage `session` and every earlier session of the source that is not yet staged, in one commit.

    A dataset that comes when it comes may have nothing for the session, or no source at all: that is noted in
    `vendor_facts`. Raises `DataError` if `session` is no trading day, or a daily dataset has no rows for it.
    """
    _check_session(session, calendar)
    if source is None:
        return _note(desk, Ingested(None, dataset, facts=(_no_source(dataset, session),)), session)
    table = DATASETS[dataset].staged
    row_dates = source.sessions(dataset, session)
    if DATASETS[dataset].daily and (not row_dates or row_dates[-1] != session):
        raise _no_session(source, session, row_dates)
    known = _known_at(row_dates, session, calendar)
    held = set(desk.as_of(session).dates(table)) - {session}
    missing = known.filter(~pl.col("date").is_in(list(held)))
    days = sorted({*missing["date"], session})
    rows = _received(source, dataset, session, missing)
    on_session = rows.filter(pl.col("date") == session).height
    facts: tuple[Fact, ...] = ()
    if on_session == 0:
        if DATASETS[dataset].daily:
            raise DataError(
                f"the source {source.name!r} has no {dataset} for the session {session}",
                hint="see whether the vendor's file for that day is complete; then retry the task",
            )
        facts = (Fact("gap", f"{source.name} has no {dataset} that became known at {session}", 0),)
    order = ["date", *DATASETS[dataset].key]
    result = desk.writer.write_days(table, rows.sort(order, maintain_order=True), days=days)
    done = Ingested(source, dataset, rows.height, len(days), on_session, days[0], result.action, facts)
    return _note(desk, done, session)


def _check_session(session: date, calendar: TradingCalendar) -> None:
    if not calendar.is_trading_day(session):
        raise DataError(
            f"{session} is not a trading day of the calendar",
            allowed=f"trading days, such as {calendar.previous_trading_day(session)}",
        )


def _no_session(source: Source, session: date, sessions: Sequence[date]) -> DataError:
    have = f"{sessions[0]} to {sessions[-1]}" if sessions else "sessions after it only"
    return DataError(
        f"the source {source.name!r} has no session {session}",
        allowed=f"up to that day it has {have}",
        hint="choose a session that the source covers, or give the desk a source of your own",
    )


def _no_source(dataset: str, session: date) -> Fact:
    return Fact("gap", f"there is no source of {dataset} for {session}", 0)


def _known_at(row_dates: Sequence[date], session: date, calendar: TradingCalendar) -> pl.DataFrame:
    """Each `row_date` with the session at which its rows are known (`date`): itself, or the next one.

    What is older than the calendar is known at the calendar's first session.
    """
    sessions = pl.Series("date", calendar.sessions(calendar.valid_from, session), dtype=pl.Date)
    asked = pl.DataFrame({"row_date": pl.Series(sorted(row_dates), dtype=pl.Date)})
    return asked.join_asof(
        pl.DataFrame({"date": sessions}),
        left_on="row_date",
        right_on="date",
        strategy="forward",
        coalesce=False,
    )


def _received(source: Source, dataset: str, session: date, missing: pl.DataFrame) -> pl.DataFrame:
    """The rows of the missing days as they will be staged."""
    received = check_frame(source.name, dataset, source.read(dataset, session, missing["row_date"].to_list()))
    late = pl.col("row_date") > session
    return (
        received.join(missing, on="row_date", how="left", maintain_order="left")
        .with_columns(pl.when(late).then(pl.lit(session)).otherwise("date").alias("date"))
        .filter(pl.col("date").is_not_null())  # days that were not asked for stay as they were staged
        .select(
            "date",
            *DATASETS[dataset].columns,
            pl.lit(source.name).alias("source"),
            pl.lit(source.synthetic).alias("synthetic"),
        )
    )


def _note(desk: Desk, done: Ingested, session: date) -> Ingested:
    """Put the night's facts into `vendor_facts`, in place of what an earlier attempt had put there."""
    market = desk.writer.market
    key = {"as_of_date": session, "market_id": market, "dataset": done.dataset}
    rows: list[dict[str, Any]] = [
        {
            "fact": fact.kind,
            "source": "none" if done.source is None else done.source.name,
            "detail": fact.detail,
            "rows": fact.rows,
            "run_id": desk.writer.run_id,
        }
        for fact in done.facts
    ]
    with desk.writer.commit() as connection:
        desk.runtime.replace(connection, "vendor_facts", key, rows)
    return done
