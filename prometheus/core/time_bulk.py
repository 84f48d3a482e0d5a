"""Calendars over arrays: a million dates in a few milliseconds. The one module of core that imports numpy.

Days are `datetime64[D]` arrays of any shape, instants `datetime64[s]` in UTC; answers have the shape of the question.
`market` is a market id, an exchange's MIC, or a `TradingCalendar` (which carries `known_at`, `book`, `projected`).
Errors are those of `prometheus.core.time` and name the first value that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from prometheus.core.time import (
    CalendarArgumentError,
    CalendarRangeError,
    CalendarTypeError,
    TradingCalendar,
)
from prometheus.markets.schedule import Schedule
from prometheus.markets.table import DAY_MINUTES

Days = npt.NDArray[np.datetime64]
Instants = npt.NDArray[np.datetime64]
_Integers = npt.NDArray[np.int64]

_NAT = np.iinfo(np.int64).min
_NAT_SECONDS = np.datetime64("NaT", "s")


class _Columns:
    """A schedule as arrays by position (day - first_day); made on first use and forgotten with the schedule.

    NaT stands where there is no answer: closed days, unverified hours, a next session beyond the schedule.
    """

    __slots__ = ("closes", "is_trading", "next_days", "opens", "previous_days", "ranks", "sessions")

    def __init__(self, schedule: Schedule, hours_from: int) -> None:
        numbers = np.array(list(schedule.days), dtype=np.intp)
        self.is_trading = numbers > 0
        self.sessions = np.array(schedule.sessions, dtype=np.int64).astype("datetime64[D]")
        # ranks[i] counts the sessions up to and with day first_day + i.
        self.ranks = np.cumsum(self.is_trading, dtype=np.int64)
        self.next_days = self.nth(self.ranks)
        self.previous_days = self.nth(self.ranks - self.is_trading - 1)
        days = np.arange(schedule.first_day, schedule.last_day + 1)
        without = ~self.is_trading | (days < hours_from)
        minutes = days * DAY_MINUTES
        patterns = schedule.patterns
        opens = np.array([0, *(pattern.open_minute for pattern in patterns)])[numbers] + minutes
        closes = np.array([0, *(pattern.close_minute for pattern in patterns)])[numbers] + minutes
        self.opens = np.where(without, _NAT_SECONDS, opens.astype("datetime64[m]").astype("datetime64[s]"))
        self.closes = np.where(without, _NAT_SECONDS, closes.astype("datetime64[m]").astype("datetime64[s]"))

    def nth(self, ranks: _Integers) -> Days:
        """The session labels of these ranks (0 is the first), NaT where there is none."""
        found = self.sessions.take(ranks, mode="clip")
        found[(ranks < 0) | (ranks >= len(self.sessions))] = np.datetime64("NaT", "D")
        return found


_columns_of: WeakKeyDictionary[Schedule, dict[bool, _Columns]] = WeakKeyDictionary()


def is_trading_day(market: str | TradingCalendar, days: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each day is a session label. Raises `CalendarRangeError`."""
    _, columns, positions = _asked(market, days)
    return columns.is_trading.take(positions)


def next_trading_day(market: str | TradingCalendar, days: npt.ArrayLike, n: int = 1) -> Days:
    """For each day the nth session label strictly after it. Raises `CalendarRangeError`."""
    calendar, columns, positions = _asked(market, days)
    if _count(n) == 1:
        return _known(calendar, positions, columns.next_days.take(positions), _beyond)
    return _known(calendar, positions, columns.nth(columns.ranks.take(positions) + (n - 1)), _beyond)


def previous_trading_day(market: str | TradingCalendar, days: npt.ArrayLike, n: int = 1) -> Days:
    """For each day the nth session label strictly before it. Raises `CalendarRangeError`."""
    calendar, columns, positions = _asked(market, days)
    if _count(n) == 1:
        return _known(calendar, positions, columns.previous_days.take(positions), _beyond)
    before = columns.ranks.take(positions) - columns.is_trading.take(positions)
    return _known(calendar, positions, columns.nth(before - n), _beyond)


def session_open(market: str | TradingCalendar, days: npt.ArrayLike) -> Instants:
    """The open of each session in UTC. Raises `NotATradingDayError`, `CalendarRangeError`."""
    calendar, columns, positions = _asked(market, days)
    return _known(calendar, positions, columns.opens.take(positions), _without_hours)


def session_close(market: str | TradingCalendar, days: npt.ArrayLike) -> Instants:
    """The close of each session in UTC. Raises `NotATradingDayError`, `CalendarRangeError`."""
    calendar, columns, positions = _asked(market, days)
    return _known(calendar, positions, columns.closes.take(positions), _without_hours)


def _asked(market: str | TradingCalendar, days: npt.ArrayLike) -> tuple[TradingCalendar, _Columns, _Integers]:
    """The calendar, its arrays, and each day's position in them."""
    calendar = market if isinstance(market, TradingCalendar) else TradingCalendar(market)
    schedule = calendar.schedule
    made = _columns_of.setdefault(schedule, {})
    columns = made.get(calendar.projected)
    if columns is None:
        hours_from = schedule.first_day if calendar.projected else schedule.hours_verified_from
        columns = made[calendar.projected] = _Columns(schedule, hours_from)
    array = np.asarray(days)
    if array.dtype != np.dtype("datetime64[D]"):
        array = _as_days(calendar, days, array)
    positions = array.view(np.int64) - schedule.first_day
    # As unsigned numbers, days before the first are huge: one comparison holds both bounds (and NaT).
    unsigned = positions.view(np.uint64)
    if positions.size and unsigned.max() >= len(columns.ranks):
        _refuse_range(calendar, str(array[unsigned >= len(columns.ranks)].flat[0]))
    return calendar, columns, positions


def _as_days(calendar: TradingCalendar, days: Any, array: npt.NDArray[Any]) -> Days:
    """Lists of plain dates are welcome; times of day are not, because they would be cut off silently."""
    items = array.ravel().tolist() if array.dtype == object else None
    if array.size == 0 or (items is not None and all(type(item) is date for item in items)):
        return array.astype("datetime64[D]")
    raise CalendarTypeError(
        f"{calendar.market_id}: days have the type {array.dtype}.",
        allowed="datetime64[D] arrays, or lists of datetime.date",
        hint="convert instants on purpose: instants.astype('datetime64[D]')",
    )


def _known(
    calendar: TradingCalendar,
    positions: _Integers,
    answers: npt.NDArray[np.datetime64],
    refuse: Callable[[TradingCalendar, date], NoReturn],
) -> npt.NDArray[np.datetime64]:
    """The answers when each is one; NaT is the smallest integer, so a single pass tells."""
    if answers.size and answers.view(np.int64).min() == _NAT:
        position = int(positions[np.isnat(answers)].flat[0])
        refuse(calendar, calendar.valid_from + timedelta(days=position))
    return answers


def _beyond(calendar: TradingCalendar, day: date) -> NoReturn:
    _refuse_range(calendar, f"the session asked for from {day}")


def _without_hours(calendar: TradingCalendar, day: date) -> NoReturn:
    calendar.open_us(day)  # raises what is wrong with the day, in the words of a single question
    raise AssertionError(f"{calendar!r} has hours for {day} that its arrays lack")


def _refuse_range(calendar: TradingCalendar, what: str) -> NoReturn:
    raise CalendarRangeError(
        f"{calendar.market_id}: {what} is outside of what is known of it.",
        allowed=f"{calendar.valid_from} to {calendar.last_day}",
        hint=f"holidays are published through {calendar.verified_through}; projected=True goes further",
    )


def _count(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise CalendarTypeError(f"n is {n!r}.", allowed="a whole number of trading days")
    if n < 1:
        raise CalendarArgumentError(f"n is {n}.", allowed="n >= 1")
    return n
