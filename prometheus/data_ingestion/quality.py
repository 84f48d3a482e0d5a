"""Before the open: is the last session's data there, whole, and clean enough to trade on?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.cleaning import PRICES, QUARANTINED
from prometheus.stores.historical import HistoricalView

LOOKBACK_SESSIONS = 21  # a month: gaps older than that were answered for


@dataclass(frozen=True, slots=True)
class Quality:
    """The state of one session's data; `faults` are sentences, empty if it may be used."""

    session: date
    rows: int
    rows_before: int  # of the session before it
    missing: tuple[str, ...]  # instruments of the session before that have no clean row
    quarantined: dict[str, int]  # by rule
    gaps: tuple[date, ...]  # trading days of the last month without data
    synthetic: bool
    faults: tuple[str, ...]

    def as_json(self) -> Json:
        return {
            "checked_session": self.session.isoformat(),
            "rows": self.rows,
            "rows_before": self.rows_before,
            "missing": list(self.missing),
            "quarantined": self.quarantined,
            "gaps": [day.isoformat() for day in self.gaps],
            "synthetic": self.synthetic,
            "faults": list(self.faults),
        }


def check_quality(
    view: HistoricalView, session: date, calendar: TradingCalendar, missing_share: float
) -> Quality:
    """The quality of `session`'s data, as it stands in the store."""
    begin = calendar.previous_trading_day(session, LOOKBACK_SESSIONS)
    if view.last_date(PRICES) is None:
        fault = f"there is no data at all, so none for {session}; run the nightly pipeline for it first"
        return Quality(session, 0, 0, (), {}, (), synthetic=False, faults=(fault,))
    rows = view.read(PRICES, since=begin, columns=["date", "instrument_id", "synthetic"])
    on_session = rows.filter(pl.col("date") == session)
    before = rows.filter(pl.col("date") == calendar.previous_trading_day(session))
    present = set(rows["date"].unique())
    first = min(view.dates(PRICES))
    gaps = tuple(day for day in calendar.sessions(max(begin, first), session) if day not in present)
    missing = tuple(sorted(set(before["instrument_id"]).difference(on_session["instrument_id"])))
    faults = []
    if on_session.is_empty():
        faults.append(f"{session} has no data; run the nightly pipeline for it")
    elif len(missing) > missing_share * before.height:
        faults.append(f"{len(missing)} of {before.height} instruments have no clean row on {session}")
    if earlier := [day for day in gaps if day != session]:
        faults.append(f"{len(earlier)} earlier trading days have no data, the first is {earlier[0]}")
    return Quality(
        session=session,
        rows=on_session.height,
        rows_before=before.height,
        missing=missing,
        quarantined=_quarantined(view, session),
        gaps=gaps,
        synthetic=bool(rows["synthetic"].any()),
        faults=tuple(faults),
    )


def _quarantined(view: HistoricalView, session: date) -> dict[str, int]:
    if view.version(QUARANTINED) is None:
        return {}
    rows = view.read(QUARANTINED, since=session, columns=["date", "rule"])
    return dict(rows.group_by("rule").len().sort("rule").iter_rows())
