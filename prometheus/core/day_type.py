"""What kind of day is a session? Work takes longer at the end of a month than in the middle of one."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus.core.session_algebra import FRIDAY, is_last_session, weekday_of_month

if TYPE_CHECKING:
    from prometheus.core.time import TradingCalendar


class DayType(StrEnum):
    """The kinds, in the order in which one that is two of them is called by the first."""

    HALF_DAY = "half_day"  # the market closes early
    MONTH_END = "month_end"  # the last session of the month
    EXPIRY = "expiry"  # the third Friday, or the session before where that is a holiday
    AFTER_HOLIDAY = "after_holiday"  # at least one weekday without a session lies before it
    NORMAL = "normal"


def day_type(calendar: TradingCalendar, session: date) -> DayType:
    """The kind of a session. Raises `NotATradingDayError` if it is none, `CalendarRangeError` beyond the calendar."""
    before = calendar.previous_trading_day(session)
    calendar.session_close(session)  # says so if it is no session
    if session in calendar.early_closes(session.year):
        return DayType.HALF_DAY
    if is_last_session(calendar, "month", session):
        return DayType.MONTH_END
    if session == weekday_of_month(calendar, session.year, session.month, 3, FRIDAY):
        return DayType.EXPIRY
    between = (before + timedelta(days=days) for days in range(1, (session - before).days))
    if any(day.weekday() <= FRIDAY for day in between):
        return DayType.AFTER_HOLIDAY
    return DayType.NORMAL
