"""What each upstream says of an exchange: its sessions, and the regular hours of any day.

Hours are local and come from eras.csv where it has the exchange, else from upstream; early closes and late opens are
upstream's days. Nothing here is corrected: that is `build`'s part.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus.markets.table import EARLY_CLOSE, LATE_OPEN, Pattern
from tools.calendars.sources import BEGIN, Source

ERAS = Path(__file__).parent / "eras.csv"
FRIDAY = 4


@dataclass(frozen=True, slots=True)
class Era:
    """Regular local hours from a day on, in minutes from 00:00 of the label; an evening before is negative.

    `open_after_gap` is the open when the day before had no regular session (a weekend, a holiday, an early halt).
    """

    exchange: str
    since: date
    open: int
    open_after_gap: int
    close: int
    breaks: tuple[tuple[int, int], ...]
    half_close: int | None


@dataclass(frozen=True, slots=True)
class Upstream:
    """`sessions`: what upstream and the eras say. `regular(day)`: the usual session of that day, if it were one."""

    sessions: dict[date, Pattern]
    regular: Callable[[date], Pattern]


def read_eras(path: Path = ERAS) -> dict[str, list[Era]]:
    """The eras of each exchange in order; ValueError names a line that cannot be used."""
    found: dict[str, list[Era]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            where = f"{path.name} line {number}"
            if not row["why"] or not row["source"] or row["confidence"] not in ("high", "medium"):
                raise ValueError(f"{where}: why, source and confidence (high, medium) are needed")
            opens = clock_minutes(row["open"])
            eras = found.setdefault(row["exchange"], [])
            era = Era(
                exchange=row["exchange"],
                since=date.fromisoformat(row["from"]),
                open=opens,
                open_after_gap=clock_minutes(row["open_after_gap"]) if row["open_after_gap"] else opens,
                close=clock_minutes(row["close"]),
                breaks=tuple(_span(text) for text in row["breaks"].split()),
                half_close=clock_minutes(row["half_close"]) if row["half_close"] else None,
            )
            if eras and era.since <= eras[-1].since:
                raise ValueError(f"{where}: eras are in order of time")
            eras.append(era)
    return found


def clock_minutes(text: str) -> int:
    """Minutes of "HH:MM"; a leading "-" means the evening before ("-15:30" is 15:30 of the day before)."""
    hours, minutes = text.lstrip("-").split(":")
    return int(hours) * 60 + int(minutes) - (1440 if text.startswith("-") else 0)


def read_upstream(source: Source, eras: list[Era]) -> Upstream:
    """Every session of the exchange between its bounds."""
    reader, _, name = source.upstream.partition(":")
    if reader == "xc":
        return _by_exchange_calendars(source, name, eras)
    if reader == "cme":
        return _by_cme(source, name, eras)
    return _by_fx_week(source)


def pattern_of(day: date, edges: list[int], zone: ZoneInfo, flags: int = 0) -> Pattern:
    """Local minutes of alternating opens and closes as a pattern of UTC minutes."""
    minutes = [_utc_minute(day, edge, zone) for edge in edges]
    return Pattern(tuple(zip(minutes[::2], minutes[1::2], strict=True)), flags)


def _by_exchange_calendars(source: Source, name: str, eras: list[Era]) -> Upstream:
    import exchange_calendars

    zone = ZoneInfo(source.zone)
    end = source.upstream_ends or source.last
    calendar = exchange_calendars.get_calendar(name, start=BEGIN.isoformat(), end=end.isoformat())
    early = {stamp.date() for stamp in calendar.early_closes}
    late = {stamp.date() for stamp in calendar.late_opens}

    def regular(day: date) -> Pattern:
        if eras:
            return pattern_of(day, _edges(_era_of(eras, day)), zone)
        return _library_hours(calendar, day, zone)

    sessions = {}
    for row in calendar.schedule.itertuples():
        day = row.Index.date()
        flags = EARLY_CLOSE * (day in early) | LATE_OPEN * (day in late)
        if eras and not flags:
            sessions[day] = regular(day)
        elif eras and flags == EARLY_CLOSE and (half := _era_of(eras, day).half_close) is not None:
            sessions[day] = pattern_of(day, _edges(_era_of(eras, day), half), zone, flags)
        else:
            known = [edge for edge in (row.open, row.break_start, row.break_end, row.close) if edge == edge]
            minutes = [_minute(edge.to_pydatetime(), day) for edge in known]  # NaT is not equal to itself
            sessions[day] = Pattern(tuple(zip(minutes[::2], minutes[1::2], strict=True)), flags)
    if source.holidays is not None:
        sessions |= _by_holidays(source, eras, end + timedelta(days=1))
    return Upstream(sessions, regular)


def _by_holidays(source: Source, eras: list[Era], first: date) -> dict[date, Pattern]:
    """Sessions from `first` on: weekdays that python-holidays does not name, short where it says half day."""
    import holidays

    assert source.holidays is not None
    zone, years = ZoneInfo(source.zone), range(first.year, source.last.year + 1)
    closed = holidays.financial_holidays(source.holidays, years=years)
    halves = holidays.financial_holidays(source.holidays, years=years, categories=("half_day",))
    found = {}
    for day in _weekdays(first, source.last):
        if day not in closed:
            era = _era_of(eras, day)
            short = era.half_close if day in halves else None
            found[day] = pattern_of(day, _edges(era, short), zone, EARLY_CLOSE if short else 0)
    return found


def _by_cme(source: Source, name: str, eras: list[Era]) -> Upstream:
    """Days and holiday halts by pandas_market_calendars, the usual hours by eras.csv.

    A session opens in the afternoon before, if that day had a regular close, else in the evening.
    """
    import pandas_market_calendars

    zone = ZoneInfo(source.zone)
    calendar = pandas_market_calendars.get_calendar(name)
    schedule = calendar.schedule(BEGIN.isoformat(), source.last.isoformat())
    closes = {
        row.Index.date(): row.market_close.tz_convert(source.zone).time() for row in schedule.itertuples()
    }
    usual = time(16)  # the library knows one close for all years; any other is a halt of that day

    def edges(day: date, halt: int | None = None) -> list[int]:
        before = day - timedelta(days=1)
        return _edges(_era_of(eras, day), halt, after_gap=closes.get(before) != usual)

    sessions = {}
    for day, close in closes.items():
        halt = None if close == usual else close.hour * 60 + close.minute
        sessions[day] = pattern_of(day, edges(day, halt), zone, 0 if halt is None else EARLY_CLOSE)
    return Upstream(sessions, lambda day: pattern_of(day, edges(day), zone))


def _by_fx_week(source: Source) -> Upstream:
    """Monday to Friday, 17:00 in New York the day before to 17:00; none on 25 December and 1 January."""
    zone = ZoneInfo(source.zone)

    def regular(day: date) -> Pattern:
        return pattern_of(day, [17 * 60 - 1440, 17 * 60], zone)

    shut = {(12, 25), (1, 1)}
    days = (day for day in _weekdays(BEGIN, source.last) if (day.month, day.day) not in shut)
    return Upstream({day: regular(day) for day in days}, regular)


def _era_of(eras: list[Era], day: date) -> Era:
    return [era for era in eras if era.since <= day][-1]


def _edges(era: Era, closes: int | None = None, *, after_gap: bool = False) -> list[int]:
    """Opens and closes in turn; breaks that do not lie inside the session are left out."""
    begin = era.open_after_gap if after_gap else era.open
    end = era.close if closes is None else closes
    inside = [pause for pause in era.breaks if begin < pause[0] and pause[1] < end]
    return [begin, *(edge for pause in inside for edge in pause), end]


def _library_hours(calendar: Any, day: date, zone: ZoneInfo) -> Pattern:
    """The usual session of that day's era by exchange_calendars, whether or not the day is one."""
    opens = _of_library_era(calendar.open_times, day)
    closes = _of_library_era(calendar.close_times, day)
    edges = [
        datetime.combine(day, opens, zone) + timedelta(days=calendar.open_offset),
        datetime.combine(day, closes, zone) + timedelta(days=calendar.close_offset),
    ]
    if calendar.break_start_times:
        pause = [
            _of_library_era(calendar.break_start_times, day),
            _of_library_era(calendar.break_end_times, day),
        ]
        edges[1:1] = [datetime.combine(day, at, zone) for at in pause if at is not None]
    minutes = [_minute(edge, day) for edge in edges]
    return Pattern(tuple(zip(minutes[::2], minutes[1::2], strict=True)))


def _of_library_era(eras: Any, day: date) -> Any:
    """The last entry of ((since, time), ...) that had begun on `day`; the library's shape of eras."""
    return [at for since, at in eras if since is None or since.date() <= day][-1]


def _weekdays(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    return [day for day in days if day.weekday() <= FRIDAY]


def _span(text: str) -> tuple[int, int]:
    begin, end = text.split("/")
    return clock_minutes(begin), clock_minutes(end)


def _utc_minute(day: date, local: int, zone: ZoneInfo) -> int:
    """Minutes from 00:00 UTC of the label of a wall-clock time of it (or of the evening before)."""
    at = datetime.combine(day + timedelta(days=local // 1440), time(local % 1440 // 60, local % 60), zone)
    return _minute(at, day)


def _minute(edge: datetime, day: date) -> int:
    """Minutes from 00:00 UTC of the label; whole ones, or the source is not what we think it is."""
    minutes, rest = divmod(edge - datetime(day.year, day.month, day.day, tzinfo=UTC), timedelta(minutes=1))
    if rest:
        raise ValueError(f"{edge} of session {day} is not a whole minute")
    return minutes
