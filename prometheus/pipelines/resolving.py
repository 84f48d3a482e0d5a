"""From a moment of the language to an instant: pure, given the calendars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from prometheus.core.errors import UserError
from prometheus.core.instants import from_us, to_us
from prometheus.core.session_algebra import WEEKDAYS, bounds_of, weekday_of_month
from prometheus.pipelines.moments import Clock, Edge, Every, Moment, Session, TradingDayOf
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


class StatefulCalendar(SessionCalendar, Protocol):
    """What `occurrences` asks beside that."""

    def state_at(self, at: datetime, /) -> object: ...
    def next_transition(self, at: datetime, /) -> datetime: ...


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


def occurrences(every: Every, label: date, calendar: StatefulCalendar) -> list[int]:
    """The instants of `every` for the run labelled `label`, microseconds since the epoch, ascending.

    Counted from the start of each stretch in which the market is in that state; a break is part of the session. To a
    label belong the stretches that begin between the close of the session before it and its own close, and the one
    that begins at its close (POST_CLOSE). Raises the calendar's own errors, also where `label` is no session.
    """
    close_us = calendar.close_us(label)
    before_us = calendar.close_us(calendar.previous_trading_day(label, 1))
    found: list[int] = []
    at_us, started_us = before_us, before_us
    state = _state(calendar, before_us)
    while started_us <= close_us:
        at_us = to_us(calendar.next_transition(from_us(at_us)))
        following = _state(calendar, at_us)
        if following == state:  # only a break began or ended
            continue
        if state == every.during and (started_us == close_us) == (state == "POST_CLOSE"):
            found += range(started_us, at_us, every.interval_us)
        started_us, state = at_us, following
    return found


def _state(calendar: StatefulCalendar, at_us: int) -> str:
    return str(calendar.state_at(from_us(at_us)))


def _market_of(moment: Edge, market: str) -> str:
    if isinstance(moment.of, Session) and moment.of.market_id is not None:
        return moment.of.market_id
    return market


def _day_after(label: date, days: int) -> date:
    try:
        return label + timedelta(days=days)
    except OverflowError:
        raise UserError(f"{days} days from {label} is no date", allowed="years 1 to 9999") from None
