"""Sessions as an iCalendar stream (RFC 5545): one event a session, one whole-day event a closed weekday.

Pure: equal calendars give equal bytes. Lines end in CRLF and are folded at 75 octets, as the RFC asks; DTSTAMP is the
first day asked for, since no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from prometheus.core.time import TradingCalendar

FRIDAY = 4
FOLD_OCTETS = 75


def icalendar(calendar: TradingCalendar, first: date, last: date, *, odd_days_only: bool = False) -> str:
    """The stream of `calendar` from `first` to `last`; with `odd_days_only` just holidays, short and late sessions.

    Raises `CalendarRangeError` for days that are not known.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//prometheus-desk//sessions//EN",
        "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{_text(calendar.market_id)} sessions",
    ]
    stamp = f"{first:%Y%m%d}T000000Z"
    sessions = set(calendar.sessions(first, last))
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if day in sessions:
            lines += _session(calendar, day, stamp, odd_days_only)
        elif day.weekday() <= FRIDAY:
            lines += _event(calendar, day, stamp, f"{calendar.market_id} closed", None)
    lines.append("END:VCALENDAR")
    return "".join(piece for line in lines for piece in _folded(line))


def _session(calendar: TradingCalendar, day: date, stamp: str, odd_days_only: bool) -> list[str]:
    hours = calendar.schedule.hours(day.toordinal() - date(1970, 1, 1).toordinal())
    assert hours is not None, "a session has hours"
    notes = [
        text
        for text, holds in (("early close", hours.is_early_close), ("late open", hours.is_late_open))
        if holds
    ]
    if odd_days_only and not notes:
        return []
    title = f"{calendar.market_id} session" + (f" ({', '.join(notes)})" if notes else "")
    return _event(calendar, day, stamp, title, (calendar.session_open(day), calendar.session_close(day)))


def _event(
    calendar: TradingCalendar, day: date, stamp: str, title: str, hours: tuple[datetime, datetime] | None
) -> list[str]:
    if hours is None:
        following = day + timedelta(days=1)
        times = [f"DTSTART;VALUE=DATE:{day:%Y%m%d}", f"DTEND;VALUE=DATE:{following:%Y%m%d}"]
    else:
        times = [f"DTSTART:{hours[0]:%Y%m%dT%H%M%SZ}", f"DTEND:{hours[1]:%Y%m%dT%H%M%SZ}"]
    return [
        "BEGIN:VEVENT",
        f"UID:{calendar.market_id}-{day:%Y%m%d}@sessions.prometheus-desk",
        f"DTSTAMP:{stamp}",
        *times,
        f"SUMMARY:{_text(title)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def _text(value: str) -> str:
    for mark, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        value = value.replace(mark, escaped)
    return value


def _folded(line: str) -> Iterator[str]:
    raw = line.encode()
    while len(raw) > FOLD_OCTETS:
        cut = FOLD_OCTETS
        while raw[cut] & 0xC0 == 0x80:  # not in the middle of a character
            cut -= 1
        yield raw[:cut].decode() + "\r\n"
        raw = b" " + raw[cut:]
    yield raw.decode() + "\r\n"
