"""What can be wrong with a question to a calendar: each error names the value, the market, what was allowed, a hint."""

from __future__ import annotations

from prometheus.core.errors import UserError


class CalendarError(UserError, ValueError):
    """A calendar cannot answer; the kinds below say why."""


class UnknownMarketError(CalendarError):
    """No market and no exchange has this id."""


class NotATradingDayError(CalendarError):
    """Hours were asked of a day on which the market has no session."""


class CalendarRangeError(CalendarError):
    """The day lies outside of what is known of the market; this is never answered with "closed"."""


class CalendarArgumentError(CalendarError):
    """An argument has the right type and no meaning: a naive datetime, n < 1, a range that ends before it begins."""


class CalendarTypeError(UserError, TypeError):
    """A datetime where a date is meant, or a date where an instant is meant."""


class CalendarTableError(CalendarError):
    """The compiled calendar table is missing, truncated, altered, or of another version."""


class CalendarBookError(CalendarError):
    """A user's market or override cannot be used as written."""
