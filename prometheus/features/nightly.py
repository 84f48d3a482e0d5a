"""Which sessions does a feature table lack, and what must be read to compute them?

The first night finds an empty table and computes all history at once; later ones compute the night's session, and any
that lies between. The night's own session is always computed anew, so that a re-run after a correction is a real one.
A session whose rows were computed from values that have since been corrected is computed anew too: each keeps a stamp of
all that it was computed from (docs/adr/0007-sources-and-corrections.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalView, WriteResult
from prometheus.stores.stamps import day_stamps, unsettled, window_stamps
from prometheus.stores.wide import Wide, widen


@dataclass(frozen=True, slots=True)
class Gap:
    """`missing` sessions (ascending, the last is the night's) and `since`, the first session to read for them."""

    missing: tuple[date, ...]
    since: date
    stamps: Mapping[date, int]  # of all that each missing session is computed from
    gone: tuple[date, ...] = ()  # sessions of the table that the source has no more


def content(view: HistoricalView, source: str, columns: Sequence[str] | None = None) -> dict[date, int]:
    """The stamp of each session's rows of `source`, by `columns` alone (None = all).

    Raises `DataError` if the source has no rows for the night's session.
    """
    session = view.as_of_date
    last = view.last_date(source)
    if last != session:
        raise DataError(
            f"{source} has no rows for {session}" + (f"; the last are of {last}" if last else ""),
            hint="the job that writes it must succeed for this session first",
        )
    wanted = None if columns is None else list(dict.fromkeys(["date", "instrument_id", *columns]))
    return day_stamps(view.read(source, columns=wanted))


def gap(
    view: HistoricalView, source: str, table: str, lookback: int, *, columns: Sequence[str] | None = None
) -> Gap:
    """What `table` lacks of the sessions that `source` holds; `lookback` = sessions before each that it depends on.

    `columns` are those of `source` that the table is computed from (None = all). Raises `DataError` if the source
    has no rows for the night's session.
    """
    return gap_of(view, content(view, source, columns), table, lookback)


def gap_of(view: HistoricalView, held: Mapping[date, int], table: str, lookback: int) -> Gap:
    """As `gap`, from the `content` of the source, for jobs that keep several tables of one source."""
    known = sorted(held)
    stamps = window_stamps(held, known, lookback)
    missing, gone = unsettled(stamps, view.stamps(table), view.as_of_date)
    since = known[max(known.index(missing[0]) - lookback, 0)]
    return Gap(missing, since, {day: stamps[day] for day in missing}, gone)


def keep(desk: Desk, table: str, frame: pl.DataFrame, gap: Gap) -> WriteResult:
    """Write what was computed for `gap`: the rows of its missing sessions, and what they were computed from."""
    return desk.writer.write_days(table, frame, days=[*gap.missing, *gap.gone], stamps=gap.stamps)


def read_wide(view: HistoricalView, table: str, column: str, since: date) -> Wide:
    """One column of a table since a date, as a matrix."""
    return widen(view.read(table, since=since, columns=["date", "instrument_id", column]), [column])
