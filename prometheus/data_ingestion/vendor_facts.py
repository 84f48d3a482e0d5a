"""What vendors did that they should not have: a file that was late, rows that are absent, values that they took back.

Facts, not failures: they stand in the runtime table `vendor_facts`, a row a session, dataset and kind, and in the
ingest job's output. A night that is run again writes its facts anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from prometheus.data_ingestion.datasets import Dataset
from prometheus.data_ingestion.revisions import Changes
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalView

NO_SOURCE = "none"
THIN_SHARE = (
    0.8  # fewer instruments than this share of those of the session before: the file may not be whole
)
_WAITED = "after waiting:"


@dataclass(frozen=True, slots=True)
class Fact:
    """`kind` is its key in `vendor_facts`: gap, late, revised, withdrawn or thin."""

    kind: str
    detail: str  # a sentence
    rows: int


def no_source(dataset: str, session: date) -> Fact:
    """There is nothing to ask."""
    return Fact("gap", f"there is no source of {dataset} for {session}", 0)


def unreadable(dataset: str, session: date, why: str) -> Fact:
    """What its vendor sent cannot be used."""
    return Fact("gap", f"no {dataset} for {session}, they cannot be read: {why}", 0)


def nothing_new(source: str, dataset: str, session: date) -> Fact:
    """A dataset that comes when it comes did not come."""
    return Fact("gap", f"{source} has no {dataset} that became known at {session}", 0)


def nothing_yet(source: str, dataset: str, session: date, attempt: int) -> Fact:
    """A dataset that every session must have is not there."""
    return Fact("gap", f"{source} had no {dataset} for {session} when asked at attempt {attempt}", 0)


def said_otherwise(desk: Desk, source: str, dataset: str, session: date, found: Changes) -> Iterator[Fact]:
    """Late, revised and withdrawn rows of earlier days. What was withdrawn is kept, and told once."""
    about = f"of {found.days[0]} to {found.days[-1]}" if found.days else ""
    if found.late:
        yield Fact("late", f"{source} brought {found.late} rows of {dataset} {about} late", found.late)
    if found.revised:
        yield Fact("revised", f"{source} revised {found.revised} rows of {dataset} {about}", found.revised)
    if found.withdrawn:
        detail = f"{source} has {found.withdrawn} rows of {dataset} no more that it had before; they are kept"
        told = desk.runtime.rows("vendor_facts", market_id=desk.writer.market, dataset=dataset, detail=detail)
        if all(row["as_of_date"] >= session for row in told):
            yield Fact("withdrawn", detail, found.withdrawn)


def came_late(desk: Desk, dataset: str, session: date, rows: pl.DataFrame) -> Iterator[Fact]:
    """Tonight's rows, if an earlier attempt of the night had found none."""
    key = {"as_of_date": session, "market_id": desk.writer.market, "dataset": dataset}
    before = desk.runtime.rows("vendor_facts", **key)
    if any(row["fact"] == "gap" or row["detail"].startswith(_WAITED) for row in before):
        yield Fact("late", f"{_WAITED} the {dataset} of {session} were not there at first", rows.height)


def thin(view: HistoricalView, spec: Dataset, rows: pl.DataFrame, session: date) -> Iterator[Fact]:
    """Tonight's rows, if there are far fewer instruments than on the session before."""
    last = max((day for day in view.dates(spec.staged) if day < session), default=None)
    if last is None:
        return
    earlier = view.read(spec.staged, since=last, columns=["row_date", "instrument_id"])
    before = earlier.filter(pl.col("row_date") == last)["instrument_id"].n_unique()
    tonight = rows.filter(pl.col("row_date") == session)["instrument_id"].n_unique()
    if tonight < THIN_SHARE * before:
        detail = f"{tonight} instruments have {spec.name} on {session}, {before} had on {last}"
        yield Fact("thin", detail, tonight)


def asked_through(desk: Desk, dataset: str, session: date, held: Collection[date]) -> date | None:
    """The last earlier session at which a source was asked for everything up to it; None if none ever was.

    `held` are the sessions that have rows; a session without any was asked for if its gap was noted.
    """
    gaps = desk.runtime.rows("vendor_facts", market_id=desk.writer.market, dataset=dataset, fact="gap")
    noted = (row["as_of_date"] for row in gaps if row["source"] != NO_SOURCE)
    return max((day for day in (*held, *noted) if day < session), default=None)


def note(desk: Desk, source: str, dataset: str, session: date, facts: Sequence[Fact]) -> None:
    """Put the night's facts into `vendor_facts`, in place of what an earlier attempt had put there."""
    key = {"as_of_date": session, "market_id": desk.writer.market, "dataset": dataset}
    rows: list[dict[str, Any]] = [
        {
            "fact": fact.kind,
            "source": source,
            "detail": fact.detail,
            "rows": fact.rows,
            "run_id": desk.writer.run_id,
        }
        for fact in facts
    ]
    with desk.writer.commit() as connection:
        desk.runtime.replace(connection, "vendor_facts", key, rows)
