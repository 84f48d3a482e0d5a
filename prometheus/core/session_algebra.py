"""Counting in sessions: the nth of a week, month or quarter, so many from here, how many between, expiry days.

Everything is a pure function of a calendar. Weeks run from Monday to Sunday; a period without enough sessions has no
such day, and that is an error, never a neighbour.
"""

from __future__ import annotations

from datetime import date, timedelta

from prometheus.core.calendar_errors import CalendarArgumentError, CalendarTypeError, NotATradingDayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Protocol

    from prometheus.core.time import TradingCalendar

    class Sessions(Protocol):
        """What `weekday_of_month` asks of a calendar."""

        def is_trading_day(self, d: date, /) -> bool: ...
        def previous_trading_day(self, d: date, n: int = 1, /) -> date: ...
        def next_trading_day(self, d: date, n: int = 1, /) -> date: ...
        def sessions(self, start: date, end: date, /) -> Sequence[date]: ...

    Period = Literal["week", "month", "quarter", "year"]
    Roll = Literal["previous", "next"]

PERIODS = ("week", "month", "quarter", "year")
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
FRIDAY = 4


def bounds_of(period: str, day: date) -> tuple[date, date]:
    """First and last calendar day of the week (Monday to Sunday), month, quarter or year that holds `day`."""
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    if period not in PERIODS:
        raise CalendarArgumentError(f"a period is {period!r}.", allowed=", ".join(PERIODS))
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    after = first.month + months
    following = date(first.year + 1, 1, 1) if after > 12 else date(first.year, after, 1)
    return first, following - timedelta(days=1)


def nth_session(calendar: TradingCalendar, period: Period, n: int, of: date) -> date:
    """The nth session of the period that holds `of`: 1 is the first, -1 the last.

    Raises `NotATradingDayError` where the period has fewer sessions, `CalendarArgumentError` for n = 0.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise CalendarTypeError(f"{calendar.market_id}: n is {n!r}.", allowed="a whole number")
    if n == 0:
        raise CalendarArgumentError(f"{calendar.market_id}: n is 0.", allowed="1, 2, ... or -1, -2, ...")
    sessions = calendar.sessions(*bounds_of(period, of))
    if abs(n) > len(sessions):
        raise NotATradingDayError(
            f"{calendar.market_id}: the {period} of {of} has {len(sessions)} sessions, so there is no number {n}.",
            allowed=f"1 to {len(sessions)}, or -1 to -{len(sessions)}" if sessions else "no number at all",
        )
    return sessions[n - 1 if n > 0 else n]


def first_session(calendar: TradingCalendar, period: Period, of: date) -> date:
    """The first session of the period that holds `of`."""
    return nth_session(calendar, period, 1, of)


def last_session(calendar: TradingCalendar, period: Period, of: date) -> date:
    """The last session of the period that holds `of`."""
    return nth_session(calendar, period, -1, of)


def is_last_session(calendar: TradingCalendar, period: Period, day: date) -> bool:
    """Whether `day` is a session and the last of its period."""
    if not calendar.is_trading_day(day):
        return False
    return calendar.next_trading_day(day) > bounds_of(period, day)[1]


def count_sessions(calendar: TradingCalendar, start: date, end: date) -> int:
    """How many sessions lie between `start` and `end`, both included; 0 if none does."""
    return len(calendar.sessions(start, end))


def shifted(calendar: TradingCalendar, day: date, n: int) -> date:
    """The session `n` sessions from `day`, which need not be one.

    0 is `day` itself or, where it is no session, the next one; negative numbers count strictly back from `day`:
    shifted(-1) < day <= shifted(0) < shifted(1). The session language counts the same way.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise CalendarTypeError(f"{calendar.market_id}: n is {n!r}.", allowed="a whole number of sessions")
    if n < 0:
        return calendar.previous_trading_day(day, -n)
    base = day if calendar.is_trading_day(day) else calendar.next_trading_day(day)
    return calendar.next_trading_day(base, n) if n else base


def weekday_of_month(
    calendar: Sessions,
    year: int,
    month: int,
    n: int = 3,
    weekday: int = FRIDAY,
    roll: Roll = "previous",
) -> date:
    """The nth given weekday (Monday = 0) of a month; where it is no session, the session before it (or the next).

    The third Friday is the expiry of US and European index options and futures; when it is a holiday (Good Friday)
    they expire on the Thursday before. n = -1 is the last such weekday.
    """
    if roll not in ("previous", "next"):
        raise CalendarArgumentError(f"roll is {roll!r}.", allowed="previous, next")
    if not 0 <= weekday <= 6:
        raise CalendarArgumentError(f"a weekday is {weekday!r}.", allowed="0 (Monday) to 6 (Sunday)")
    if not 1 <= abs(n) <= 4:
        raise CalendarArgumentError(f"n is {n!r}.", allowed="1 to 4, or -1 to -4: every month has those")
    first, last = bounds_of("month", date(year, month, 1))
    if n > 0:
        day = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))
    else:
        day = last - timedelta(days=(last.weekday() - weekday) % 7 + 7 * (-n - 1))
    if calendar.is_trading_day(day):
        return day
    return calendar.previous_trading_day(day) if roll == "previous" else calendar.next_trading_day(day)
