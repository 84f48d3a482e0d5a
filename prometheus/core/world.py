"""The world's markets at one instant, and in the order in which a day ends around the globe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from prometheus.core.calendar_errors import CalendarRangeError
from prometheus.core.time import CalendarBook, MarketState, TradingCalendar

# The markets of the desk, from east to west by their usual close.
MARKETS = ("JP_EQ", "ASIA_EQ", "EU_EQ", "US_EQ", "US_FUT", "FX_GLOB")


@dataclass(frozen=True, slots=True)
class MarketNow:
    """What one market is doing. `session` is running, or else None; `until` is when that changes.

    Past what is known of the market, `state` is None and `why` says so.
    """

    market_id: str
    state: MarketState | None
    is_in_break: bool
    session: date | None
    until: datetime | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """One market's session of a day, as the sun passes; `close` is None where there is none, and `why` says why."""

    market_id: str
    session: date
    open: datetime | None
    close: datetime | None
    members: tuple[str, ...]
    why: str = ""


def world(
    at: datetime, markets: Sequence[str] = MARKETS, *, book: CalendarBook | None = None
) -> list[MarketNow]:
    """Every market at one aware instant, in the order given. Raises `UnknownMarketError`."""
    return [_now(TradingCalendar(market, book=book), at) for market in markets]


def follow_the_sun(
    day: date,
    markets: Sequence[str] = MARKETS,
    *,
    known_at: datetime | None = None,
    book: CalendarBook | None = None,
) -> list[Close]:
    """The sessions labelled `day` in the order of their closes; markets without one come last, in the order given."""
    found = [_close(TradingCalendar(market, known_at=known_at, book=book), day) for market in markets]
    closing = [one for one in found if one.close is not None]
    return sorted(closing, key=lambda one: (str(one.close), one.market_id)) + [
        one for one in found if one.close is None
    ]


def _now(calendar: TradingCalendar, at: datetime) -> MarketNow:
    try:
        return MarketNow(
            calendar.market_id,
            calendar.state_at(at),
            calendar.is_in_break(at),
            calendar.session_at(at),
            calendar.next_transition(at),
        )
    except CalendarRangeError as error:
        return MarketNow(
            calendar.market_id, None, is_in_break=False, session=None, until=None, why=str(error)
        )


def _close(calendar: TradingCalendar, day: date) -> Close:
    market = calendar.market_id
    try:
        if not calendar.is_trading_day(day):
            return Close(market, day, None, None, (), "no session on this day")
        return Close(
            market,
            day,
            calendar.session_open(day),
            calendar.session_close(day),
            tuple(calendar.members_open(day)),
        )
    except CalendarRangeError as error:
        return Close(market, day, None, None, (), str(error))
