"""Bring a session's rows of one dataset into its staging table, and all history before it if that is missing.

Staging keeps what was received, faults and all. A row stands under the session at which it was known (`date`) and
keeps the date its vendor gave it (`row_date`). A row of a day without a session (a filing of a Saturday, a macro
series on a holiday) is known at the next session; one that claims a later date than tonight's is staged tonight, for
validation to find. A row that came late or was revised is staged on the night that learns of it: what earlier nights
knew stays as it was, and `vendor_facts` says what the vendor did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.core.outcomes import TryAgain
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion import vendor_facts
from prometheus.data_ingestion.datasets import DATASETS, Dataset
from prometheus.data_ingestion.revisions import Changes, changes, settled
from prometheus.data_ingestion.sources import Source, check_frame
from prometheus.data_ingestion.vendor_facts import Fact
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalView

PATIENCE = 3  # attempts that may find nothing yet; an ingestion job has one more (retries=3)


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
    warnings: tuple[str, ...] = ()  # for whoever reads the night's results, beside those of the source

    def as_json(self) -> Json:
        return {
            "source": None if self.source is None else self.source.name,
            "synthetic": self.source is not None and self.source.synthetic,
            "notes": [*self.warnings, *(self.source.notes if self.source is not None and self.rows else ())],
            "table": DATASETS[self.dataset].staged,
            "rows": self.rows,
            "days": self.days,
            "session_rows": self.session_rows,
            "first_day": None if self.first_day is None else self.first_day.isoformat(),
            "action": self.action,
            "gap": any(fact.kind == "gap" for fact in self.facts),
            "facts": [fact.detail for fact in self.facts],
        }


def ingest(
    desk: Desk,
    source: Source | None,
    dataset: str,
    session: date,
    calendar: TradingCalendar,
    *,
    patience: int = PATIENCE,
) -> Ingested:
    """Stage `session`, every earlier one that is not yet staged, and what is said otherwise now; in one commit.

    A dataset that comes when it comes may have nothing for the session, or no source at all: that is noted in
    `vendor_facts`, unless the source is closed: an archive without a row for a day owes none. A daily one that has
    nothing yet raises `TryAgain` in the first `patience` attempts. Raises `DataError` after that, at once if nothing can
    come any more, and if `session` is no trading day.
    """
    _check_session(session, calendar)
    if source is None:
        nothing = vendor_facts.no_source(dataset, session)
        vendor_facts.note(desk, vendor_facts.NO_SOURCE, dataset, session, [nothing])
        return Ingested(None, dataset, facts=(nothing,))
    spec, view = DATASETS[dataset], desk.as_of(session)
    row_dates = source.sessions(dataset, session)
    if spec.daily and (not row_dates or row_dates[-1] != session):
        raise _nothing_yet(desk, source, dataset, session, row_dates, patience)
    known = _known_at(row_dates, session, calendar)
    held = set(view.dates(spec.staged)) - {session}
    asked = None if source.closed else vendor_facts.asked_through(desk, dataset, session, held)
    unasked = ~pl.col("date").is_in(list(held)) if asked is None else pl.col("date") > asked
    fresh = known.filter(unasked)
    rows, found = _received(source, dataset, session, fresh), None
    if asked is not None:
        found = _said_otherwise(view, source, dataset, session, known.filter(~unasked)["row_date"].to_list())
        otherwise = found.rows.with_columns(pl.lit(session).alias("date"))
        rows = pl.concat([rows, _marked(otherwise, source, dataset)])
    tonight = rows.filter(pl.col("date") == session)
    if spec.daily and tonight.filter(pl.col("row_date") >= session).is_empty():
        raise _nothing_yet(desk, source, dataset, session, row_dates, patience)
    facts = _facts(desk, view, source, spec, session, tonight, found)
    days = sorted({*fresh["date"], session})
    ordered = rows.sort(["date", *spec.key], maintain_order=True)
    result = desk.writer.write_days(spec.staged, ordered, days=days)
    vendor_facts.note(desk, source.name, dataset, session, facts)
    return Ingested(source, dataset, rows.height, len(days), tonight.height, days[0], result.action, facts)


def go_without(desk: Desk, dataset: str, session: date, fault: DataError) -> Ingested:
    """Note that a dataset which the night can do without cannot be read, and why.

    It does not count as asked for, so the night that can read it stages what was missed.
    """
    gap = vendor_facts.unreadable(dataset, session, fault.message)
    vendor_facts.note(desk, vendor_facts.NO_SOURCE, dataset, session, [gap])
    return Ingested(None, dataset, facts=(gap,), warnings=(gap.detail,))


def _facts(
    desk: Desk,
    view: HistoricalView,
    source: Source,
    spec: Dataset,
    session: date,
    tonight: pl.DataFrame,
    found: Changes | None,
) -> tuple[Fact, ...]:
    facts = (
        [] if found is None else [*vendor_facts.said_otherwise(desk, source.name, spec.name, session, found)]
    )
    if spec.daily:
        facts += vendor_facts.thin(view, spec, tonight, session)
        if not any(fact.kind == "late" for fact in facts):
            facts += vendor_facts.came_late(desk, spec.name, session, tonight)
    elif tonight.is_empty() and not source.closed:
        facts.append(vendor_facts.nothing_new(source.name, spec.name, session))
    return tuple(facts)


def _check_session(session: date, calendar: TradingCalendar) -> None:
    if not calendar.is_trading_day(session):
        raise DataError(
            f"{session} is not a trading day of the calendar",
            allowed=f"trading days, such as {calendar.previous_trading_day(session)}",
        )


def _nothing_yet(
    desk: Desk, source: Source, dataset: str, session: date, sessions: Sequence[date], patience: int
) -> Exception:
    """What to raise when a daily dataset has no rows for the session; the gap is noted, so that it can end as late."""
    have = f"{sessions[0]} to {sessions[-1]}" if sessions else "sessions after it only"
    if source.closed:
        return DataError(
            f"the source {source.name!r} has no session {session}",
            allowed=f"up to that day it has {have}",
            hint="choose a session that the source covers, or give the desk a source of your own (docs/sources.md)",
        )
    attempt = desk.writer.claim.attempt
    gap = vendor_facts.nothing_yet(source.name, dataset, session, attempt)
    vendor_facts.note(desk, source.name, dataset, session, [gap])
    if attempt <= patience:
        return TryAgain(f"the source {source.name!r} has no {dataset} for {session} yet; it has {have}")
    return DataError(
        f"the source {source.name!r} still has no {dataset} for the session {session} at attempt {attempt}; it has {have}",
        hint="see whether the vendor's file for that day has come and is complete; then retry the task",
    )


def _said_otherwise(
    view: HistoricalView, source: Source, dataset: str, session: date, asked_before: Sequence[date]
) -> Changes:
    """What the source says now of days for which it was asked on an earlier night."""
    spec = DATASETS[dataset]
    received = check_frame(source.name, dataset, source.read(dataset, session, asked_before))
    received = received.filter(pl.col("row_date").is_in(list(asked_before)))
    held = received.clear()
    if view.version(spec.staged) is not None:
        staged = view.read(spec.staged).filter(pl.col("date") < session, pl.col("row_date") <= session)
        held = settled(staged, spec.key).select(received.columns)
    return changes(held, received, spec.key)


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
    placed = received.join(missing, on="row_date", how="left", maintain_order="left")
    tomorrow = pl.when(pl.col("row_date") > session).then(pl.lit(session))
    placed = placed.with_columns(tomorrow.otherwise("date").alias("date"))
    # Days that were not asked for stay as they were staged.
    return _marked(placed.filter(pl.col("date").is_not_null()), source, dataset)


def _marked(rows: pl.DataFrame, source: Source, dataset: str) -> pl.DataFrame:
    return rows.select(
        "date",
        *DATASETS[dataset].columns,
        pl.lit(source.name).alias("source"),
        pl.lit(source.synthetic).alias("synthetic"),
    )
