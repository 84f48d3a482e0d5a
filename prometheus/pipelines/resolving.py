"""From a moment of the language to an instant: pure, given the calendars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Protocol

from prometheus.core.errors import UserError
from prometheus.core.session_algebra import WEEKDAYS, bounds_of, weekday_of_month
from prometheus.pipelines.moments import Clock, Edge, Moment, Session, TradingDayOf
from prometheus.pipelines.wallclock import local_us


class NoMomentError(UserError):
    """The moment does not exist for this session, by declaration: a skipped clock time, a sixth day of a week."""


class SessionCalendar(Protocol):
    """What this language asks of a calendar; `prometheus.core.time.TradingCalendar` is one."""

    def is_trading_day(self, d: date, /) -> bool: ...
    def previous_trading_day(self, d: date, n: int = 1, /) -> date: ...
    def next_trading_day(self, d: date, n: int = 1, /) -> date: ...
    def sessions(self, start: date, end: date, /) -> Sequence[date]: ...
    def open_us(self, d: date, /) -> int: ...
    def close_us(self, d: date, /) -> int: ...


Calendars = Callable[[str], SessionCalendar]


def resolve(moment: Moment, label: date, market: str, calendars: Calendars) -> int:
    """The instant of `moment`, microseconds since the epoch, for the run of `market` labelled `label`.

    Raises `NoMomentError` where the moment is declared not to exist that day, and the calendars' own errors.
    """
    if isinstance(moment, Clock):
        at_us = local_us(_day_after(label, moment.days), moment.second, moment.zone, moment.gap, moment.fold)
        if at_us is None:
            raise NoMomentError(f"the clock of {moment.zone} jumps over {moment} for the session {label}")
        return at_us + moment.offset_us
    calendar = calendars(_market_of(moment, market))
    day = session_of(moment.of, label, calendar)
    return (calendar.open_us(day) if moment.edge == "open" else calendar.close_us(day)) + moment.offset_us


def session_of(of: Session | TradingDayOf, label: date, calendar: SessionCalendar) -> date:
    """The label of the session that `of` means for a run labelled `label`, in the calendar of its market.

    Raises `NoMomentError` where a week, month or quarter has no such trading day.
    """
    if isinstance(of, TradingDayOf) and of.weekday is not None:
        return weekday_of_month(calendar, label.year, label.month, of.n, WEEKDAYS.index(of.weekday), of.roll)
    if isinstance(of, TradingDayOf):
        days = calendar.sessions(*bounds_of(of.period, label))
        if len(days) < abs(of.n):
            raise NoMomentError(
                f"the {of.period} of {label} has {len(days)} sessions, so {of} is none of them"
            )
        return days[of.n if of.n < 0 else of.n - 1]
    if of.shift < 0:
        return calendar.previous_trading_day(label, -of.shift)
    base = label
    if of.market_id is not None and not calendar.is_trading_day(label):
        base = calendar.next_trading_day(label, 1)
    return calendar.next_trading_day(base, of.shift) if of.shift else base


def _market_of(moment: Edge, market: str) -> str:
    if isinstance(moment.of, Session) and moment.of.market_id is not None:
        return moment.of.market_id
    return market


def _day_after(label: date, days: int) -> date:
    try:
        return label + timedelta(days=days)
    except OverflowError:
        raise UserError(f"{days} days from {label} is no date", allowed="years 1 to 9999") from None
