"""Market time: is the market open, when does it close, which session comes next.

    cal = TradingCalendar("US_EQ")
    cal.is_trading_day(date(2025, 1, 9))         # False: a day of mourning
    cal.session_close(date(2024, 11, 29))        # 2024-11-29 18:00 UTC: an early close
    get_market_state("US_EQ", datetime.now(UTC))

A session is a `date` label; its open and close are aware UTC instants and it holds [open, close). Days outside of what
is known raise `CalendarRangeError`, never False. Nothing here reads a clock, a file but the shipped table, or the
environment; importing it loads neither numpy nor pandas nor zone data (docs/calendars.md).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from prometheus.core.calendar_book import EPOCH, EPOCH_ORDINAL, CalendarBook
from prometheus.core.calendar_errors import (
    CalendarArgumentError,
    CalendarBookError,
    CalendarError,
    CalendarRangeError,
    CalendarTableError,
    CalendarTypeError,
    NotATradingDayError,
    UnknownMarketError,
)
from prometheus.markets.schedule import DAY_US, Hours, Schedule

TYPE_CHECKING = False  # `typing` takes longer to import than a calendar; type checkers know this name
if TYPE_CHECKING:
    from prometheus.markets.moments import MarketState

__all__ = [
    "CalendarArgumentError",
    "CalendarBook",
    "CalendarBookError",
    "CalendarError",
    "CalendarRangeError",
    "CalendarTableError",
    "CalendarTypeError",
    "MarketState",
    "NotATradingDayError",
    "TradingCalendar",
    "UnknownMarketError",
    "current_book",
    "get_market_state",
    "install_book",
]

_FRIDAY = 4
_MARGIN_DAYS = (
    4  # no session or buffer reaches this far from its label; nearer to the bounds it is worked out
)
_installed: CalendarBook | None = None
_shared: dict[str, TradingCalendar] = {}  # calendars of the installed book that `get_market_state` made


def __getattr__(name: str) -> object:
    """`MarketState` on first use: `enum` would be a third of this module's import time, and most ask for days."""
    if name == "MarketState":
        from prometheus.markets.moments import MarketState

        return MarketState
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def current_book() -> CalendarBook:
    """The process's book: the installed one, or the shipped table alone. May raise `CalendarTableError`."""
    global _installed
    if _installed is None:
        _installed = CalendarBook()
    return _installed


def install_book(book: CalendarBook | None) -> None:
    """Make `book` the one that calendars without their own see from now on; None goes back to the shipped table.

    Calendars that already exist keep the book they were made with.
    """
    global _installed
    _installed = book
    _shared.clear()


def get_market_state(market: str, at: datetime) -> MarketState:
    """What the market is doing at an aware instant, by the installed book; see `TradingCalendar.state_at`."""
    book = current_book()
    calendar = _shared.get(market)
    if calendar is None:
        calendar = _shared[market] = TradingCalendar(market, book=book)
    return calendar.state_at(at)


class TradingCalendar:
    """The sessions of a market (`US_EQ`) or an exchange by its MIC (`XNYS`).

    `known_at` (aware) hides closures, hours and overrides that had not been announced by then. `book` is what to look
    into, by default the installed one. `projected=True` also answers past the published holidays, from today's rules,
    and for hours before those that were verified. Raises `UnknownMarketError`.
    """

    __slots__ = (
        "_closes",
        "_is_trading",
        "_next_days",
        "_opens",
        "_previous_days",
        "book",
        "known_at",
        "market_id",
        "projected",
        "schedule",
    )

    def __init__(
        self,
        market_id: str,
        known_at: datetime | None = None,
        book: CalendarBook | None = None,
        projected: bool = False,
    ) -> None:
        if not isinstance(market_id, str):
            raise CalendarTypeError(f"a market id is {market_id!r}.", allowed='text such as "US_EQ"')
        self.market_id = market_id
        self.known_at = known_at
        self.book = current_book() if book is None else book
        self.projected = projected
        known_at_us = None if known_at is None else _instant_us(known_at, market_id)
        # What the answers are read from; time_bulk reads it too.
        self.schedule: Schedule = self.book.schedule(market_id, known_at_us, projected)
        # Answers already given; the schedule owns them, so all calendars of a book share them.
        self._is_trading = self.schedule.is_trading
        self._next_days = self.schedule.next_days
        self._previous_days = self.schedule.previous_days
        self._opens = self.schedule.opens
        self._closes = self.schedule.closes

    def __repr__(self) -> str:
        known = "" if self.known_at is None else f", known_at={self.known_at.isoformat()}"
        return f"TradingCalendar({self.market_id!r}{known}{', projected=True' if self.projected else ''})"

    # Bounds

    @property
    def valid_from(self) -> date:
        """The first day that can be asked for."""
        return _date(self.schedule.first_day)

    @property
    def hours_verified_from(self) -> date:
        """The first day whose hours were verified; before it only `projected=True` gives hours."""
        return _date(self.schedule.hours_verified_from)

    @property
    def verified_through(self) -> date:
        """The last day of the holidays that the exchange has published (for a composite, of all its members)."""
        return _date(self.schedule.verified_through)

    @property
    def last_day(self) -> date:
        """The last day that can be asked for: `verified_through`, or the end of the table when projected."""
        return _date(self.schedule.last_day)

    # Days

    def is_trading_day(self, d: date) -> bool:
        """Whether `d` is a session label. Raises `CalendarRangeError`, and `CalendarTypeError` for a datetime."""
        try:
            return self._is_trading[d]
        except (KeyError, TypeError):
            pass  # not asked before; what is wrong with `d`, if anything, is said below
        answer = self._is_trading[d] = self.schedule.is_session(self._day(d))
        return answer

    def next_trading_day(self, d: date, n: int = 1) -> date:
        """The nth session label strictly after `d`, which need not be one itself. Raises `CalendarRangeError`."""
        if n == 1:
            try:
                return self._next_days[d]
            except (KeyError, TypeError):
                pass
            answer = self._next_days[d] = self._step(d, 1)
            return answer
        return self._step(d, _count(n, self.market_id))

    def previous_trading_day(self, d: date, n: int = 1) -> date:
        """The nth session label strictly before `d`, which need not be one itself. Raises `CalendarRangeError`."""
        if n == 1:
            try:
                return self._previous_days[d]
            except (KeyError, TypeError):
                pass
            answer = self._previous_days[d] = self._step(d, -1)
            return answer
        return self._step(d, -_count(n, self.market_id))

    def sessions(self, start: date, end: date) -> list[date]:
        """The session labels from `start` to `end`, both included."""
        first, last = self._day(start), self._day(end)
        if first > last:
            raise CalendarArgumentError(
                f"{self.market_id}: the range {start} to {end} ends before it begins.",
                allowed="start <= end",
                hint="swap the two",
            )
        return [_date(day) for day in self.schedule.sessions_between(first, last)]

    def holidays(self, year: int) -> list[date]:
        """The weekdays (Monday to Friday) of `year` without a session, whatever the reason."""
        first, last = self._year(year)
        labels = set(self.schedule.sessions_between(first, last))
        days = (_date(day) for day in range(first, last + 1) if day not in labels)
        return [day for day in days if day.weekday() <= _FRIDAY]

    def early_closes(self, year: int) -> list[date]:
        """The sessions of `year` that close before their usual time."""
        return [_date(day) for day, hours in self._hours_of_year(year) if hours.is_early_close]

    def late_opens(self, year: int) -> list[date]:
        """The sessions of `year` that open after their usual time."""
        return [_date(day) for day, hours in self._hours_of_year(year) if hours.is_late_open]

    def members_open(self, d: date) -> list[str]:
        """The members of the market that trade on `d` (the exchange itself when it is asked for by its MIC)."""
        day = self._day(d)
        members = self.schedule.members or (self.schedule,)
        for member in members:
            if not member.covers(day):
                raise self._outside(d, member)
        return [member.market_id for member in members if member.is_session(day)]

    # Hours of a session

    def session_open(self, d: date) -> datetime:
        """The open of session `d`, aware UTC. Raises `NotATradingDayError`, `CalendarRangeError`."""
        try:
            return self._opens[d]
        except (KeyError, TypeError):
            pass
        answer = self._opens[d] = _datetime(self.open_us(d))
        return answer

    def session_close(self, d: date) -> datetime:
        """The end of continuous trading of session `d`, aware UTC. Raises `NotATradingDayError`, `CalendarRangeError`."""
        try:
            return self._closes[d]
        except (KeyError, TypeError):
            pass
        answer = self._closes[d] = _datetime(self.close_us(d))
        return answer

    def open_us(self, d: date) -> int:
        """`session_open` in microseconds since the epoch."""
        return self._hours(d).open_us

    def close_us(self, d: date) -> int:
        """`session_close` in microseconds since the epoch."""
        return self._hours(d).close_us

    def breaks(self, d: date) -> list[tuple[datetime, datetime]]:
        """The pauses inside session `d` as (start, end), aware UTC; mostly none, or lunch."""
        return [(_datetime(start), _datetime(end)) for start, end in self._hours(d).breaks_us]

    # Instants

    def is_open(self, at: datetime) -> bool:
        """Whether the market trades at the aware instant: inside a session and not in a break."""
        return self.schedule.is_open(self._instant(at))

    def session_at(self, at: datetime) -> date | None:
        """The session whose [open, close) holds the instant, breaks included; None between sessions."""
        day = self.schedule.session_at(self._instant(at))
        return None if day is None else _date(day)

    def latest_closed_session(self, at: datetime) -> date:
        """The last session that had closed at the instant (a close counts at its own instant)."""
        day = self.schedule.latest_closed_session(self._instant(at))
        if day is None:
            raise self._outside(at)
        return _date(day)

    def state_at(self, at: datetime) -> MarketState:
        """What the market is doing at the instant; a break is part of SESSION (`is_in_break` tells)."""
        from prometheus.markets.moments import moment_at

        return moment_at(self.schedule, self._instant(at)).state

    def is_in_break(self, at: datetime) -> bool:
        """Whether a session is on and pauses at the instant."""
        from prometheus.markets.moments import moment_at

        return moment_at(self.schedule, self._instant(at)).is_in_break

    def next_transition(self, at: datetime) -> datetime:
        """The first instant strictly after `at` at which the state or being in a break changes, aware UTC."""
        from prometheus.markets.moments import next_transition_us

        after_us = next_transition_us(self.schedule, self._instant(at))
        if after_us is None:
            raise self._outside(at)
        return _datetime(after_us)

    def local_offset(self, at: datetime) -> timedelta:
        """What to add to UTC for the exchange's wall clock at the instant (a composite's first member)."""
        return timedelta(minutes=self.schedule.offset_minutes(self._instant(at)))

    # From the caller's values to the schedule's integers

    def _day(self, d: date) -> int:
        if isinstance(d, datetime):
            raise CalendarTypeError(
                f"{self.market_id}: the datetime {d!r} is not a session label.",
                allowed="a plain datetime.date",
                hint="which session an instant belongs to is session_at(instant)",
            )
        if not isinstance(d, date):
            raise CalendarTypeError(f"{self.market_id}: {d!r} is not a date.", allowed="a datetime.date")
        day = d.toordinal() - EPOCH_ORDINAL
        if not self.schedule.covers(day):
            raise self._outside(d)
        return day

    def _instant(self, at: datetime) -> int:
        """Microseconds of `at`, checked to lie where the market's state is known."""
        at_us = _instant_us(at, self.market_id)
        schedule = self.schedule
        if schedule.first_day + _MARGIN_DAYS < at_us // DAY_US < schedule.last_day - _MARGIN_DAYS:
            return at_us
        first, last = schedule.needed_days(at_us)
        if not (schedule.covers(first) and schedule.covers(last)):
            raise self._outside(at)
        return at_us

    def _step(self, d: date, n: int) -> date:
        day = self._day(d)
        found = self.schedule.next_session(day, n) if n > 0 else self.schedule.previous_session(day, -n)
        if found is None:
            count, way = abs(n), "after" if n > 0 else "before"
            raise self._outside(d, what=f"{count} trading day{'s' * (count > 1)} {way} {d}")
        return _date(found)

    def _hours(self, d: date) -> Hours:
        day = self._day(d)
        hours = self.schedule.hours(day)
        if hours is None:
            raise NotATradingDayError(
                f"{self.market_id} has no session on {d}.",
                allowed="trading days",
                hint="next_trading_day and previous_trading_day find the neighbours",
            )
        if day < self.schedule.hours_verified_from and not self.projected:
            raise CalendarRangeError(
                f"{self.market_id}: the hours of {d} were never verified.",
                allowed=f"hours from {self.hours_verified_from} on",
                hint="projected=True gives the unverified ones",
            )
        return hours

    def _year(self, year: int) -> tuple[int, int]:
        if isinstance(year, bool) or not isinstance(year, int):
            raise CalendarTypeError(
                f"{self.market_id}: {year!r} is not a year.", allowed="a whole number such as 2026"
            )
        if not 1 <= year <= 9999:
            raise self._outside(year)
        first, last = (
            date(year, 1, 1).toordinal() - EPOCH_ORDINAL,
            date(year, 12, 31).toordinal() - EPOCH_ORDINAL,
        )
        if not (self.schedule.covers(first) and self.schedule.covers(last)):
            raise self._outside(year)
        return first, last

    def _hours_of_year(self, year: int) -> list[tuple[int, Hours]]:
        first, last = self._year(year)
        labels = self.schedule.sessions_between(first, last)
        return [(day, hours) for day in labels if (hours := self.schedule.hours(day)) is not None]

    def _outside(
        self, value: object, schedule: Schedule | None = None, what: str | None = None
    ) -> CalendarRangeError:
        schedule = self.schedule if schedule is None else schedule
        hint = None
        if not self.projected and schedule.last_day == schedule.verified_through:
            hint = f"holidays are published through {_date(schedule.verified_through)}; projected=True goes further"
        return CalendarRangeError(
            f"{self.market_id}: {what or value} is outside of what is known of {schedule.market_id}.",
            allowed=f"{_date(schedule.first_day)} to {_date(schedule.last_day)}",
            hint=hint,
        )


def _instant_us(at: datetime, market_id: str) -> int:
    try:
        since = at - EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    except (TypeError, AttributeError):
        if isinstance(at, datetime):
            raise CalendarArgumentError(
                f"{market_id}: the datetime {at!r} has no time zone.",
                allowed="aware datetimes",
                hint="pass tzinfo=datetime.UTC",
            ) from None
        raise CalendarTypeError(
            f"{market_id}: {at!r} is not an instant.", allowed="an aware datetime"
        ) from None


def _count(n: int, market_id: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise CalendarTypeError(f"{market_id}: n is {n!r}.", allowed="a whole number of trading days")
    if n < 1:
        raise CalendarArgumentError(
            f"{market_id}: n is {n}.",
            allowed="n >= 1",
            hint="previous_trading_day goes back, next_trading_day forward",
        )
    return n


def _date(day: int) -> date:
    return date.fromordinal(day + EPOCH_ORDINAL)


def _datetime(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC)
