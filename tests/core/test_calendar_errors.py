"""Bad questions: each has its own clear error, and "closed" is never the answer to "unknown"."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from prometheus.core.errors import UserError
from prometheus.core.time import (
    CalendarArgumentError,
    CalendarRangeError,
    CalendarTypeError,
    NotATradingDayError,
    TradingCalendar,
    UnknownMarketError,
    get_market_state,
)

CALENDAR = TradingCalendar("US_EQ")
HOLIDAY = date(2024, 7, 4)
NAIVE = datetime(2024, 7, 5, 15)  # noqa: DTZ001 - a naive datetime is what must be refused
BY_DAY: list[Callable[[Any], object]] = [
    CALENDAR.is_trading_day,
    CALENDAR.next_trading_day,
    CALENDAR.previous_trading_day,
    CALENDAR.session_open,
    CALENDAR.session_close,
    CALENDAR.open_us,
    CALENDAR.close_us,
    CALENDAR.breaks,
    CALENDAR.members_open,
    lambda day: CALENDAR.sessions(day, date(2024, 7, 5)),
    lambda day: CALENDAR.sessions(date(2000, 1, 3), day),
]
BY_INSTANT: list[Callable[[Any], object]] = [
    CALENDAR.is_open,
    CALENDAR.session_at,
    CALENDAR.latest_closed_session,
    CALENDAR.next_transition,
    CALENDAR.state_at,
    CALENDAR.is_in_break,
    CALENDAR.local_offset,
    lambda at: get_market_state("US_EQ", at),
    lambda at: TradingCalendar("US_EQ", known_at=at),
]


def assert_says(error: UserError, *words: str) -> None:
    assert isinstance(error, UserError)
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize("market", ["XLONDON", "us_eq", "", "US_EQ "])
def test_an_unknown_market_lists_what_exists(market: str) -> None:
    for ask in (TradingCalendar, lambda market: get_market_state(market, datetime(2024, 7, 5, tzinfo=UTC))):
        with pytest.raises(UnknownMarketError) as error:
            ask(market)
        assert isinstance(error.value, ValueError)
        assert_says(
            error.value,
            repr(market),
            "US_EQ, XNAS, US_FUT, EU_EQ, JP_EQ, ASIA_EQ, FX_GLOB, XNYS, CMES",
            "prometheus.toml",
        )


def test_a_market_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(CalendarTypeError, match="None"):
        TradingCalendar(None)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("ask", BY_DAY)
@pytest.mark.parametrize("value", [NAIVE, NAIVE.replace(tzinfo=UTC)])
def test_a_datetime_is_no_session_label(ask: Callable[[Any], object], value: datetime) -> None:
    with pytest.raises(CalendarTypeError) as error:
        ask(value)
    assert isinstance(error.value, TypeError)
    assert_says(error.value, "US_EQ", repr(value), "datetime.date", "session_at")


@pytest.mark.parametrize("ask", BY_DAY)
@pytest.mark.parametrize("value", ["2024-07-05", 20240705, None, [2024, 7, 5]])
def test_what_is_no_date_is_a_type_error(ask: Callable[[Any], object], value: object) -> None:
    with pytest.raises(CalendarTypeError) as error:
        ask(value)
    assert_says(error.value, "US_EQ", repr(value))


@pytest.mark.parametrize("ask", BY_DAY)
@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2029, 1, 1), date.min, date.max])
def test_days_outside_of_the_bounds_are_refused(ask: Callable[[Any], object], day: date) -> None:
    with pytest.raises(CalendarRangeError) as error:
        ask(day)
    assert_says(error.value, "US_EQ", str(day), "2000-01-01 to 2028-12-31", "projected=True")


@pytest.mark.parametrize("ask", BY_INSTANT)
def test_a_naive_datetime_is_refused(ask: Callable[[Any], object]) -> None:
    with pytest.raises(CalendarArgumentError) as error:
        ask(NAIVE)
    assert isinstance(error.value, ValueError)
    assert_says(error.value, "US_EQ", "no time zone", "datetime.UTC")


@pytest.mark.parametrize("ask", BY_INSTANT)
@pytest.mark.parametrize("value", [HOLIDAY, "2024-07-05T15:00Z", 1_720_000_000, timedelta(days=1)])
def test_what_is_no_instant_is_a_type_error(ask: Callable[[Any], object], value: object) -> None:
    with pytest.raises(CalendarTypeError) as error:
        ask(value)
    assert_says(error.value, "US_EQ", repr(value), "aware datetime")


@pytest.mark.parametrize("ask", BY_INSTANT[:-1])
@pytest.mark.parametrize("at", [datetime(1999, 12, 31, tzinfo=UTC), datetime(2029, 1, 2, tzinfo=UTC)])
def test_instants_outside_of_the_bounds_are_refused(ask: Callable[[Any], object], at: datetime) -> None:
    with pytest.raises(CalendarRangeError):
        ask(at)


def test_the_last_known_hours_answer_and_the_first_unknown_ones_do_not() -> None:
    assert CALENDAR.latest_closed_session(datetime(2028, 12, 31, 23, tzinfo=UTC)) == date(2028, 12, 29)
    assert CALENDAR.next_transition(datetime(2028, 12, 29, 22, tzinfo=UTC)) == datetime(
        2028, 12, 29, 23, tzinfo=UTC
    )
    with pytest.raises(CalendarRangeError):
        CALENDAR.next_transition(datetime(2028, 12, 31, 12, tzinfo=UTC))
    with pytest.raises(CalendarRangeError):
        CALENDAR.latest_closed_session(datetime(2000, 1, 3, 15, tzinfo=UTC))
    assert CALENDAR.latest_closed_session(datetime(2000, 1, 3, 21, tzinfo=UTC)) == date(2000, 1, 3)


@pytest.mark.parametrize("ask", [CALENDAR.next_trading_day, CALENDAR.previous_trading_day])
def test_n_must_be_a_whole_number_from_one(ask: Callable[..., date]) -> None:
    for n in (0, -1):
        with pytest.raises(CalendarArgumentError, match=rf"US_EQ: n is {n}\. Allowed: n >= 1"):
            ask(HOLIDAY, n)
    for odd in ("2", 2.5, None):
        with pytest.raises(CalendarTypeError):
            ask(HOLIDAY, odd)
    with pytest.raises(CalendarRangeError, match="100000 trading days"):
        ask(HOLIDAY, 100_000)


def test_a_neighbour_beyond_the_bounds_is_refused_and_not_invented() -> None:
    with pytest.raises(CalendarRangeError, match="1 trading day after 2028-12-29"):
        CALENDAR.next_trading_day(date(2028, 12, 29))
    with pytest.raises(CalendarRangeError, match="1 trading day before 2000-01-03"):
        CALENDAR.previous_trading_day(date(2000, 1, 3))


@pytest.mark.parametrize(
    "ask", [CALENDAR.session_open, CALENDAR.session_close, CALENDAR.breaks, CALENDAR.close_us]
)
def test_hours_of_a_closed_day_name_the_day_and_the_market(ask: Callable[[date], object]) -> None:
    for day in (HOLIDAY, date(2024, 7, 6)):
        with pytest.raises(NotATradingDayError) as error:
            ask(day)
        assert isinstance(error.value, ValueError)
        assert_says(error.value, "US_EQ", str(day), "next_trading_day")


@pytest.mark.parametrize("ask", [CALENDAR.holidays, CALENDAR.early_closes, CALENDAR.late_opens])
def test_years_are_whole_numbers_inside_of_the_bounds(ask: Callable[[Any], list[date]]) -> None:
    for year in (1999, 2029, 0, 12_345):
        with pytest.raises(CalendarRangeError):
            ask(year)
    for odd in ("2024", 2024.0, True, HOLIDAY):
        with pytest.raises(CalendarTypeError):
            ask(odd)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(CalendarArgumentError, match="ends before it begins"):
        CALENDAR.sessions(date(2024, 7, 5), date(2024, 7, 4))


def test_an_error_is_raised_without_an_older_one_behind_it() -> None:
    with pytest.raises(CalendarRangeError) as error:
        CALENDAR.is_trading_day(date(1999, 1, 1))
    assert error.value.__context__ is None


def test_a_refused_question_leaves_no_answer_behind() -> None:
    for _ in range(2):
        with pytest.raises(CalendarTypeError):
            CALENDAR.is_trading_day(NAIVE)
        with pytest.raises(CalendarRangeError):
            CALENDAR.next_trading_day(date(2029, 1, 1))


def test_calendars_can_be_copied_and_sent_to_workers() -> None:
    for twin in (copy.copy(CALENDAR), pickle.loads(pickle.dumps(CALENDAR))):
        assert twin.market_id == "US_EQ"
        assert twin.session_close(date(2024, 11, 29)) == CALENDAR.session_close(date(2024, 11, 29))
