"""Which sessions does a feature table lack, and what must be read to compute them?

The first night finds an empty table and computes all history at once; later ones compute the night's session, and any
that lies between. The night's own session is always computed anew, so that a re-run after a correction is a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from prometheus.core.errors import DataError
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import Wide, widen


@dataclass(frozen=True, slots=True)
class Gap:
    """`missing` sessions (ascending, the last is the night's) and `since`, the first session to read for them."""

    missing: tuple[date, ...]
    since: date


def gap(view: HistoricalView, source: str, table: str, lookback: int) -> Gap:
    """What `table` lacks of the sessions that `source` holds; `lookback` = sessions before each that it depends on.

    Raises `DataError` if the source has no rows for the night's session.
    """
    known = view.dates(source)
    session = view.as_of_date
    if not known or known[-1] != session:
        raise DataError(
            f"{source} has no rows for {session}" + (f"; the last are of {known[-1]}" if known else ""),
            hint="the job that writes it must succeed for this session first",
        )
    present = set(view.dates(table)) - {session}
    missing = tuple(day for day in known if day not in present)
    return Gap(missing, known[max(known.index(missing[0]) - lookback, 0)])


def read_wide(view: HistoricalView, table: str, column: str, since: date) -> Wide:
    """One column of a table since a date, as a matrix."""
    return widen(view.read(table, since=since, columns=["date", "instrument_id", column]), [column])
