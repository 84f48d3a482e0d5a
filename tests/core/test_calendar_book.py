"""The book: overrides and markets of a desk, as one value that a worker can rebuild."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.calendar_errors import CalendarError
from prometheus.core.calendar_overrides import Override, UserMarket
from prometheus.core.errors import UserError
from prometheus.core.time import (
    CalendarBook,
    CalendarBookError,
    CalendarRangeError,
    MarketState,
    TradingCalendar,
    UnknownMarketError,
    current_book,
    get_market_state,
    install_book,
)
from tests.markets.small_tables import exchange, hours, table

DAY = date(2027, 1, 5)
KNOWN = datetime(2027, 1, 4, 18, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def _no_book_stays_installed() -> Iterator[None]:
    yield
    install_book(None)


def closed(day: date = DAY, exchange: str = "XNYS", known_at: datetime = KNOWN) -> Override:
    return Override(exchange, day, "closed", "mourning", "NYSE notice", known_at)


def short_day(closes: int = 17, known_at: datetime = KNOWN) -> Override:
    opens = datetime(2027, 1, 5, 14, 30, tzinfo=UTC)
    return Override(
        "XNYS", DAY, "hours", "snow", "NYSE notice", known_at, open=opens, close=opens.replace(hour=closes)
    )


def test_a_closed_override_cancels_the_session_for_every_market_above() -> None:
    book = CalendarBook().with_overrides(closed())
    for market in ("US_EQ", "XNYS", "XNAS"):
        calendar = TradingCalendar(market, book=book)
        assert not calendar.is_trading_day(DAY)
        assert calendar.next_trading_day(date(2027, 1, 4)) == date(2027, 1, 6)
        assert DAY in calendar.holidays(2027)
    assert TradingCalendar("US_EQ").is_trading_day(DAY), "the shipped book is another value"


def test_an_override_is_not_seen_before_it_was_known() -> None:
    book = CalendarBook(overrides=[closed()])
    assert TradingCalendar("US_EQ", known_at=KNOWN - INSTANT, book=book).is_trading_day(DAY)
    assert not TradingCalendar("US_EQ", known_at=KNOWN, book=book).is_trading_day(DAY)


def test_new_hours_are_early_or_late_by_what_was_scheduled() -> None:
    calendar = TradingCalendar("US_EQ", book=CalendarBook(overrides=[short_day()]))
    assert calendar.session_close(DAY) == datetime(2027, 1, 5, 17, 30, tzinfo=UTC)
    assert calendar.early_closes(2027) == [DAY, date(2027, 11, 26)]
    assert calendar.late_opens(2027) == []
    assert get_market_state("US_EQ", datetime(2027, 1, 5, 18, tzinfo=UTC)) is MarketState.SESSION
    install_book(calendar.book)
    assert get_market_state("US_EQ", datetime(2027, 1, 5, 18, tzinfo=UTC)) is MarketState.POST_CLOSE


def test_of_several_overrides_of_a_day_the_latest_known_one_counts_in_any_order() -> None:
    later = KNOWN + timedelta(hours=2)
    last = KNOWN + timedelta(hours=4)
    taken_back = Override("XNYS", DAY, "scheduled", "storm turned away", "NYSE notice", last)
    for order in (
        [closed(), short_day(known_at=later), taken_back],
        [taken_back, short_day(known_at=later), closed()],
    ):
        book = CalendarBook(overrides=order)

        def close_at(known_at: datetime | None, book: CalendarBook = book) -> datetime | None:
            calendar = TradingCalendar("US_EQ", known_at=known_at, book=book)
            return calendar.session_close(DAY) if calendar.is_trading_day(DAY) else None

        assert close_at(KNOWN - INSTANT) == datetime(2027, 1, 5, 21, tzinfo=UTC)
        assert close_at(KNOWN) is None
        assert close_at(later) == datetime(2027, 1, 5, 17, 30, tzinfo=UTC)
        assert close_at(last) == close_at(None) == datetime(2027, 1, 5, 21, tzinfo=UTC)


def test_a_saturday_can_be_made_a_session() -> None:
    saturday = date(2027, 1, 9)
    opens = datetime(2027, 1, 9, 15, tzinfo=UTC)
    test_day = Override(
        "XNYS", saturday, "hours", "test session", "notice", KNOWN, opens, opens.replace(hour=17)
    )
    calendar = TradingCalendar("US_EQ", book=CalendarBook(overrides=[test_day]))
    assert calendar.is_open(opens)
    assert calendar.next_trading_day(date(2027, 1, 8)) == saturday


def test_a_break_inside_of_new_hours_stays_and_one_outside_goes() -> None:
    monday = date(2024, 3, 4)
    lunch = table([exchange("XLUN", (hours("01:30 04:00", "05:00 08:00"),))])

    def breaks(opens: int, closes: int) -> int:
        override = Override(
            "XLUN",
            monday,
            "hours",
            "storm",
            "notice",
            datetime(2024, 3, 1, tzinfo=UTC),
            datetime(2024, 3, 4, opens, tzinfo=UTC),
            datetime(2024, 3, 4, closes, tzinfo=UTC),
        )
        calendar = TradingCalendar("XLUN", book=CalendarBook(lunch, overrides=[override]))
        assert calendar.session_open(monday).hour == opens
        assert calendar.session_close(monday).hour == closes
        return len(calendar.breaks(monday))

    assert [breaks(2, 9), breaks(5, 9), breaks(2, 4), breaks(9, 10)] == [1, 0, 0, 0]


def test_a_market_of_the_desk_is_asked_like_a_shipped_one() -> None:
    book = CalendarBook(markets=[UserMarket("MINE", ("US_EQ", "XNAS"), "all", 30, 15)])
    calendar = TradingCalendar("MINE", book=book)
    day = date(2024, 7, 5)
    assert calendar.members_open(day) == ["US_EQ", "XNAS"]
    assert calendar.state_at(datetime(2024, 7, 5, 12, 59, tzinfo=UTC)) is MarketState.OVERNIGHT
    assert calendar.state_at(datetime(2024, 7, 5, 13, 0, tzinfo=UTC)) is MarketState.PRE_OPEN
    assert calendar.state_at(datetime(2024, 7, 5, 20, 15, tzinfo=UTC)) is MarketState.OVERNIGHT


def test_buffers_of_a_shipped_market_can_be_set_without_naming_its_members() -> None:
    book = CalendarBook(markets=[UserMarket("US_EQ", pre_open_minutes=330, post_close_minutes=240)])
    calendar = TradingCalendar("US_EQ", book=book)
    assert calendar.members_open(date(2024, 7, 5)) == ["XNYS"]
    assert calendar.state_at(datetime(2024, 7, 5, 8, tzinfo=UTC)) is MarketState.PRE_OPEN
    assert calendar.state_at(datetime(2024, 7, 5, 23, 59, tzinfo=UTC)) is MarketState.POST_CLOSE


def test_installing_a_book_changes_new_calendars_and_leaves_old_ones() -> None:
    before = TradingCalendar("US_EQ")
    install_book(CalendarBook(overrides=[closed()]))
    assert before.is_trading_day(DAY)
    assert not TradingCalendar("US_EQ").is_trading_day(DAY)
    assert current_book().overrides == (closed(),)
    install_book(None)
    assert current_book() == CalendarBook()


def test_books_are_values() -> None:
    one, two = CalendarBook(overrides=[closed()]), CalendarBook().with_overrides(closed())
    assert one == two
    assert hash(one) == hash(two)
    assert one != CalendarBook()
    assert one != CalendarBook(overrides=[closed(date(2027, 1, 6))])
    assert CalendarBook().overrides == ()
    replaced = CalendarBook(markets=[UserMarket("M", ("XNYS",))]).with_markets(UserMarket("M", ("XNAS",)))
    assert replaced.markets == (UserMarket("M", ("XNAS",)),)


def test_a_worker_rebuilds_an_equal_book_from_text() -> None:
    book = CalendarBook(
        markets=[UserMarket("MINE", ("US_EQ",), "primary", 10, 20), UserMarket("US_EQ", pre_open_minutes=0)],
        overrides=[closed(), short_day()],
    )
    text = book.to_json()
    assert isinstance(json.loads(text)["overrides"][0]["known_at"], str)
    assert CalendarBook.from_json(text) == book


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2027, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 - zones are drawn
    st.text(min_size=1).filter(str.strip),
    st.sampled_from(["closed", "hours", "scheduled"]),
    st.integers(0, 900),
)
def test_any_override_survives_its_text(known_at: datetime, words: str, kind: Any, opens: int) -> None:
    start = datetime(2027, 1, 5, tzinfo=UTC) + timedelta(minutes=opens)
    edges = (start, start + timedelta(minutes=1)) if kind == "hours" else (None, None)
    override = Override("XNYS", DAY, kind, words, words, known_at, *edges)
    assert Override.from_plain(json.loads(json.dumps(override.to_plain()))) == override


def test_a_book_over_another_table_is_refused() -> None:
    other = CalendarBook(table([exchange("XLUN", (hours("01:30 04:00"),))]))
    with pytest.raises(CalendarBookError, match="install the same version"):
        CalendarBook.from_json(other.to_json())
    assert CalendarBook.from_json(other.to_json(), other.table) == other


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"table": 1, "release": 2, "markets": 3, "overrides": []}']
)
def test_text_that_is_no_book_is_refused(text: str) -> None:
    with pytest.raises(CalendarBookError, match="no calendar book"):
        CalendarBook.from_json(text)


OPENS = datetime(2027, 1, 5, 15, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "exchange": "XNYS",
    "day": DAY,
    "kind": "hours",
    "reason": "snow",
    "source": "notice",
    "known_at": KNOWN,
    "open": OPENS,
    "close": OPENS + timedelta(hours=2),
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"day": OPENS}, "is not a date"),
        ({"kind": "half"}, "kind 'half'"),
        ({"reason": " "}, "reason or source is empty"),
        ({"known_at": KNOWN.replace(tzinfo=None)}, "known_at"),
        ({"known_at": DAY}, "known_at"),
        ({"close": None}, "open or close is missing"),
        ({"close": OPENS}, "is not before"),
        ({"open": OPENS.replace(second=1)}, "has seconds"),
        ({"open": OPENS.replace(tzinfo=None)}, "open"),
        ({"close": OPENS + timedelta(days=3)}, "far from the day"),
        ({"kind": "closed"}, "takes no hours"),
    ],
)
def test_an_override_that_means_nothing_is_refused(wrong: dict[str, Any], says: str) -> None:
    assert Override(**GOOD).close is not None
    with pytest.raises(CalendarBookError, match=says) as error:
        Override(**(GOOD | wrong))
    assert isinstance(error.value, UserError)
    assert "XNYS" in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"market_id": ""}, "id"),
        ({"market_id": " M"}, "id"),
        ({"mode": "most"}, "mode 'most'"),
        ({"members": ("XNYS", "XNYS")}, "twice"),
        ({"pre_open_minutes": -1}, "buffer is -1"),
        ({"post_close_minutes": 721}, "buffer is 721"),
        ({"post_close_minutes": 1.5}, "buffer is 1.5"),
    ],
)
def test_a_market_that_means_nothing_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(CalendarBookError, match=says):
        UserMarket(**({"market_id": "M", "members": ("XNYS",)} | wrong))


@pytest.mark.parametrize(
    ("markets", "says"),
    [
        ([UserMarket("M")], "has no members"),
        ([UserMarket("M", ("XLONDON",))], "unknown member 'XLONDON'"),
        ([UserMarket("M", ("M",))], "contains itself: M -> M"),
        ([UserMarket("A", ("B",)), UserMarket("B", ("XNYS", "A"))], "contains itself: A -> B -> A"),
        ([UserMarket("XNYS", ("XNAS",))], "name of an exchange"),
    ],
)
def test_a_book_refuses_markets_without_ground(markets: list[UserMarket], says: str) -> None:
    with pytest.raises(CalendarBookError, match=says):
        CalendarBook(markets=markets)


def test_a_book_refuses_overrides_of_what_it_does_not_have() -> None:
    with pytest.raises(UnknownMarketError, match="XLONDON"):
        CalendarBook(overrides=[closed(exchange="XLONDON")])
    with pytest.raises(CalendarRangeError, match="2000-01-01 to 2035-12-31"):
        CalendarBook(overrides=[closed(date(2040, 1, 5))])
    two = table([exchange("XA", (hours("08:00 09:00"),)), exchange("XB", (hours("08:00 09:00"),))])
    with pytest.raises(CalendarBookError, match="several exchanges") as error:
        CalendarBook(two, [UserMarket("AB", ("XA", "XB"))], [closed(date(2024, 3, 5), "AB")])
    assert "XA, XB" in str(error.value)
    assert isinstance(error.value, CalendarError)


def test_an_override_on_a_market_of_one_exchange_is_that_exchanges() -> None:
    book = CalendarBook(overrides=[closed(exchange="US_EQ")])
    assert not TradingCalendar("XNYS", book=book).is_trading_day(DAY)


def test_hours_that_would_run_into_the_next_session_are_refused() -> None:
    evening = table([exchange("XFUT", (hours("-23:00 22:00"),))])
    monday, opens = date(2024, 3, 4), datetime(2024, 3, 3, 23, tzinfo=UTC)

    def until(closes: datetime) -> CalendarBook:
        known_at = datetime(2024, 3, 1, tzinfo=UTC)
        return CalendarBook(
            evening, overrides=[Override("XFUT", monday, "hours", "test", "notice", known_at, opens, closes)]
        )

    last = datetime(2024, 3, 4, 23, tzinfo=UTC)
    assert TradingCalendar("XFUT", book=until(last)).session_close(monday) == last
    with pytest.raises(CalendarBookError, match=r"XFUT on 2024-03-04 overlap a neighbouring session"):
        until(last + timedelta(minutes=1))
