"""Markets of every shape that the format must carry, built small: evenings, lunches, half days, composites, FX weeks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from prometheus.core.calendar_book import CalendarBook
from prometheus.core.calendar_overrides import UserMarket
from prometheus.core.time import CalendarRangeError, MarketState, TradingCalendar
from prometheus.markets.table import EARLY_CLOSE, LATE_OPEN, Market, TableException
from tests.markets.small_tables import MONDAY, exchange, hours, ordinal, table

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY = (MONDAY + timedelta(days=n) for n in range(1, 6))


def at(day: date, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}:00+00:00")


FUTURES = exchange(
    "XFUT",
    (hours("-23:00 22:00"), hours("-23:00 18:00", flags=EARLY_CLOSE)),
    {WEDNESDAY: 2},
    offset_minutes=-360,
)
LUNCH = exchange(
    "XLUN",
    (
        hours("01:30 04:00", "05:00 08:00"),
        hours("05:00 08:00", flags=LATE_OPEN),
        hours("01:30 04:00", flags=EARLY_CLOSE),
    ),
    {TUESDAY: 2, WEDNESDAY: 3, THURSDAY: 0},
    offset_minutes=480,
)
PLAIN = exchange("XPLN", (hours("01:00 09:00"),), {WEDNESDAY: 0, FRIDAY: 0}, offset_minutes=480)
SPOT = exchange("XSPT", (hours("-22:00 22:00"),), offset_minutes=-300)
BOOK = CalendarBook(
    table(
        [FUTURES, LUNCH, PLAIN, SPOT],
        [
            Market("ASIA", ("XLUN", "XPLN"), "any", 60, 30),
            Market("BOTH", ("XLUN", "XPLN"), "all", 60, 30),
            Market("FIRST", ("XLUN", "XPLN"), "primary", 60, 30),
        ],
    )
)


def calendar(market: str) -> TradingCalendar:
    return TradingCalendar(market, book=BOOK)


def test_an_evening_open_belongs_to_the_next_label() -> None:
    futures = calendar("XFUT")
    assert futures.session_open(TUESDAY) == at(MONDAY, "23:00")
    assert futures.session_close(TUESDAY) == at(TUESDAY, "22:00")
    assert futures.session_at(at(MONDAY, "22:30")) is None
    assert futures.session_at(at(MONDAY, "23:00")) == TUESDAY
    assert futures.session_at(at(TUESDAY, "21:59")) == TUESDAY
    assert futures.session_at(at(TUESDAY, "22:00")) is None
    assert futures.latest_closed_session(at(TUESDAY, "21:59")) == MONDAY
    assert futures.latest_closed_session(at(TUESDAY, "22:00")) == TUESDAY
    assert futures.latest_closed_session(at(WEDNESDAY, "18:00")) == WEDNESDAY


def test_a_sunday_evening_is_a_session_although_sunday_is_no_label() -> None:
    futures = calendar("XFUT")
    sunday = MONDAY + timedelta(days=6)
    assert not futures.is_trading_day(sunday)
    assert futures.state_at(at(sunday, "15:00")) is MarketState.HOLIDAY
    assert futures.state_at(at(sunday, "21:30")) is MarketState.PRE_OPEN
    assert futures.state_at(at(sunday, "23:30")) is MarketState.SESSION
    assert futures.next_transition(at(sunday, "15:00")) == at(sunday, "21:00")


def test_a_lunch_break_is_part_of_the_session_and_not_open() -> None:
    lunch = calendar("XLUN")
    assert lunch.breaks(MONDAY) == [(at(MONDAY, "04:00"), at(MONDAY, "05:00"))]
    assert lunch.is_open(at(MONDAY, "03:59"))
    assert not lunch.is_open(at(MONDAY, "04:00"))
    assert lunch.session_at(at(MONDAY, "04:30")) == MONDAY
    assert lunch.state_at(at(MONDAY, "04:30")) is MarketState.SESSION
    assert lunch.is_in_break(at(MONDAY, "04:30"))
    assert not lunch.is_in_break(at(MONDAY, "05:00"))
    assert lunch.next_transition(at(MONDAY, "03:00")) == at(MONDAY, "04:00")
    assert lunch.next_transition(at(MONDAY, "04:00")) == at(MONDAY, "05:00")


def test_a_cancelled_morning_leaves_an_afternoon_without_a_break() -> None:
    lunch = calendar("XLUN")
    assert lunch.session_open(TUESDAY) == at(TUESDAY, "05:00")
    assert lunch.session_close(TUESDAY) == at(TUESDAY, "08:00")
    assert lunch.breaks(TUESDAY) == []
    assert not lunch.is_open(at(TUESDAY, "02:00"))


def test_a_half_day_closes_at_noon() -> None:
    lunch = calendar("XLUN")
    assert lunch.session_close(WEDNESDAY) == at(WEDNESDAY, "04:00")
    assert lunch.breaks(WEDNESDAY) == []


def test_a_composite_trades_when_any_member_does_from_the_earliest_open_to_the_latest_close() -> None:
    asia = calendar("ASIA")
    assert [asia.is_trading_day(day) for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)] == [True] * 5
    assert asia.members_open(MONDAY) == ["XLUN", "XPLN"]
    assert asia.members_open(WEDNESDAY) == ["XLUN"]
    assert asia.members_open(THURSDAY) == ["XPLN"]
    assert asia.members_open(SATURDAY) == []
    assert (asia.session_open(MONDAY), asia.session_close(MONDAY)) == (
        at(MONDAY, "01:00"),
        at(MONDAY, "09:00"),
    )
    assert asia.breaks(MONDAY) == [], "the other member trades through lunch"
    assert asia.breaks(FRIDAY) == [(at(FRIDAY, "04:00"), at(FRIDAY, "05:00"))]
    assert asia.session_close(WEDNESDAY) == at(WEDNESDAY, "04:00"), "only the half day trades"


def test_a_composite_closes_early_when_all_that_close_last_close_early() -> None:
    year = date(2024, 1, 1), date(2024, 12, 31)
    first = exchange(
        "XA",
        (hours("08:00 16:00"), hours("08:00 12:00", flags=EARLY_CLOSE)),
        {TUESDAY: 2, WEDNESDAY: 2},
        first=year[0],
        last=year[1],
    )
    second = exchange(
        "XB",
        (hours("08:00 16:30"), hours("08:00 12:00", flags=EARLY_CLOSE)),
        {TUESDAY: 2},
        first=year[0],
        last=year[1],
    )
    book = CalendarBook(table([first, second], [Market("AB", ("XA", "XB"), "any", 0, 0)]))
    assert TradingCalendar("AB", book=book).early_closes(2024) == [TUESDAY]
    assert TradingCalendar("XA", book=book).early_closes(2024) == [TUESDAY, WEDNESDAY]


def test_only_the_members_that_close_last_say_whether_a_composite_closes_early() -> None:
    year = date(2024, 1, 1), date(2024, 12, 31)
    long = hours("08:00 16:00"), hours("08:00 12:00", flags=EARLY_CLOSE)
    first = exchange("XA", long, {TUESDAY: 2}, first=year[0], last=year[1])
    mornings = exchange("XM", (hours("08:00 11:00"),), first=year[0], last=year[1])
    book = CalendarBook(table([first, mornings], [Market("AM", ("XA", "XM"), "any", 0, 0)]))
    assert TradingCalendar("AM", book=book).early_closes(2024) == [TUESDAY]


def test_the_local_day_begins_in_the_offset_of_that_midnight_on_the_day_clocks_change() -> None:
    # Sydney, 2024-04-07: from 11 to 10 hours ahead at 16:00 UTC of the day before; its Sunday began at 13:00 UTC.
    change = int(at(date(2024, 4, 6), "16:00").timestamp()) // 60
    sydney = exchange(
        "XSYD",
        (hours("00:00 06:00"),),
        weekdays=(5,),
        first=date(2024, 4, 1),
        last=date(2024, 4, 14),
        offsets=((0, 660), (change, 600)),
    )
    saturdays = TradingCalendar("XSYD", book=CalendarBook(table([sydney])))
    evening = at(date(2024, 4, 6), "09:00")
    assert saturdays.state_at(evening) is MarketState.OVERNIGHT
    assert saturdays.next_transition(evening) == at(date(2024, 4, 6), "13:00")
    assert saturdays.state_at(at(date(2024, 4, 6), "13:00")) is MarketState.HOLIDAY


def test_mode_all_needs_every_member_and_mode_primary_only_the_first() -> None:
    days = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
    assert [calendar("BOTH").is_trading_day(day) for day in days] == [True, True, False, False, False]
    assert [calendar("FIRST").is_trading_day(day) for day in days] == [True, True, True, False, True]
    assert calendar("FIRST").session_open(MONDAY) == at(MONDAY, "01:30")
    assert calendar("FIRST").members_open(THURSDAY) == ["XPLN"]


def test_an_fx_week_is_one_stretch_of_session_from_sunday_to_friday() -> None:
    spot = calendar("XSPT")
    assert spot.next_transition(at(MONDAY, "12:00")) == at(FRIDAY, "22:00")
    assert spot.session_at(at(TUESDAY, "21:59")) == TUESDAY
    assert spot.session_at(at(TUESDAY, "22:00")) == WEDNESDAY
    assert spot.latest_closed_session(at(TUESDAY, "22:00")) == TUESDAY
    assert spot.state_at(at(SATURDAY, "12:00")) is MarketState.HOLIDAY


def test_markets_of_markets_bound_and_combine_all_below() -> None:
    book = BOOK.with_markets(UserMarket("WORLD", ("ASIA", "XFUT")))
    world = TradingCalendar("WORLD", book=book)
    assert world.members_open(THURSDAY) == ["ASIA", "XFUT"]
    assert world.session_open(TUESDAY) == at(MONDAY, "23:00")
    assert book.exchanges_of("WORLD") == ("XLUN", "XPLN", "XFUT")


def test_a_composite_is_bounded_by_the_days_that_all_members_share() -> None:
    short = exchange("XSHT", (hours("08:00 09:00"),), first=TUESDAY, last=FRIDAY)
    book = CalendarBook(table([LUNCH, short], [Market("M", ("XLUN", "XSHT"), "any", 0, 0)]))
    both = TradingCalendar("M", book=book)
    assert (both.valid_from, both.last_day) == (TUESDAY, FRIDAY)
    with pytest.raises(CalendarRangeError):
        both.is_trading_day(MONDAY)


def test_projected_days_and_unverified_hours_are_given_only_on_request() -> None:
    known = exchange("XPRJ", (hours("08:00 09:00"),), verified_through=WEDNESDAY, hours_verified_from=TUESDAY)
    book = CalendarBook(table([known]))
    strict, projected = TradingCalendar("XPRJ", book=book), TradingCalendar("XPRJ", book=book, projected=True)
    assert strict.is_trading_day(MONDAY)
    with pytest.raises(CalendarRangeError, match="never verified"):
        strict.session_open(MONDAY)
    with pytest.raises(CalendarRangeError, match="projected=True"):
        strict.is_trading_day(THURSDAY)
    assert projected.session_open(MONDAY) == at(MONDAY, "08:00")
    assert projected.is_trading_day(THURSDAY)


def test_a_day_changed_twice_is_seen_as_it_was_believed_at_each_instant() -> None:
    usual, late, later = (
        hours("08:00 16:00"),
        hours("10:00 16:00", flags=LATE_OPEN),
        hours("12:00 16:00", flags=LATE_OPEN),
    )
    first, second, third = (datetime(2024, 3, n, tzinfo=UTC) for n in (1, 2, 3))
    steps = tuple(
        TableException(ordinal(TUESDAY), int(known.timestamp()) * 1_000_000, before, "ceremony", "notice")
        for known, before in ((first, 1), (second, 2), (third, 0))
    )
    book = CalendarBook(table([exchange("XCHG", (usual, late, later), {TUESDAY: 3}, exceptions=steps)]))

    def opens(known_at: datetime | None) -> datetime | None:
        believed = TradingCalendar("XCHG", known_at=known_at, book=book)
        return believed.session_open(TUESDAY) if believed.is_trading_day(TUESDAY) else None

    instant = timedelta(microseconds=1)
    assert opens(first - instant) == at(TUESDAY, "08:00")
    assert opens(first) == opens(second - instant) == at(TUESDAY, "10:00")
    assert opens(second) == opens(third - instant) is None
    assert opens(third) == opens(None) == at(TUESDAY, "12:00")


def test_more_than_255_patterns_of_a_composite_are_carried() -> None:
    first = date(2024, 1, 1)
    days = [first + timedelta(days=n) for n in range(400)]
    one = exchange(
        "XA",
        tuple(hours(f"08:{n % 60:02d} 12:{n // 60:02d}") for n in range(250)),
        {day: 1 + n % 250 for n, day in enumerate(days)},
        first=first,
        last=days[-1],
    )
    two = exchange(
        "XB",
        tuple(hours(f"09:{n % 60:02d} 13:{n // 60:02d}") for n in range(249)),
        {day: 1 + n % 249 for n, day in enumerate(days)},
        first=first,
        last=days[-1],
    )
    book = CalendarBook(table([one, two], [Market("M", ("XA", "XB"), "any", 0, 0)]))
    both = TradingCalendar("M", book=book)
    for day in days:
        assert both.session_open(day) == TradingCalendar("XA", book=book).session_open(day)
        assert both.session_close(day) == TradingCalendar("XB", book=book).session_close(day)
