"""Arrays answer as single questions do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core import time_bulk
from prometheus.core.calendar_book import CalendarBook
from prometheus.core.time import (
    CalendarArgumentError,
    CalendarRangeError,
    CalendarTypeError,
    NotATradingDayError,
    TradingCalendar,
)
from tests.markets.small_tables import MONDAY, exchange, hours, table

CALENDAR = TradingCalendar("US_EQ")
EVERY_DAY = [
    CALENDAR.valid_from + timedelta(days=n) for n in range((CALENDAR.last_day - CALENDAR.valid_from).days + 1)
]
SESSIONS = CALENDAR.sessions(CALENDAR.valid_from, CALENDAR.last_day)


def days(values: list[date]) -> Any:
    return np.array(values, dtype="datetime64[D]")


def test_every_day_answers_like_the_calendar() -> None:
    trading = time_bulk.is_trading_day("US_EQ", days(EVERY_DAY))
    assert trading.dtype == np.bool_
    assert trading.tolist() == [CALENDAR.is_trading_day(day) for day in EVERY_DAY]


def test_every_session_has_the_hours_of_the_calendar() -> None:
    for bulk, single in (
        (time_bulk.session_open, CALENDAR.session_open),
        (time_bulk.session_close, CALENDAR.session_close),
    ):
        answers = bulk("XNYS", days(SESSIONS))
        assert answers.dtype == np.dtype("datetime64[s]")
        assert [at.replace(tzinfo=UTC) for at in answers.tolist()] == [single(day) for day in SESSIONS]


@pytest.mark.parametrize("n", [1, 2, 250])
def test_neighbours_of_every_day_are_those_of_the_calendar(n: int) -> None:
    inner = EVERY_DAY[400:-400]
    answers = time_bulk.next_trading_day("US_EQ", days(inner), n)
    assert answers.dtype == np.dtype("datetime64[D]")
    assert answers.tolist() == [CALENDAR.next_trading_day(day, n) for day in inner]
    back = time_bulk.previous_trading_day("US_EQ", days(inner), n)
    assert back.tolist() == [CALENDAR.previous_trading_day(day, n) for day in inner]


@given(st.lists(st.sampled_from(SESSIONS[1:-1]), max_size=20))
def test_next_and_previous_undo_each_other(labels: list[date]) -> None:
    asked = days(labels)
    there = time_bulk.next_trading_day("US_EQ", asked)
    assert time_bulk.previous_trading_day("US_EQ", there).tolist() == labels


def test_the_shape_of_the_question_is_the_shape_of_the_answer() -> None:
    square = days(SESSIONS[:6]).reshape(2, 3)
    assert time_bulk.next_trading_day("US_EQ", square).shape == (2, 3)
    assert time_bulk.session_close("US_EQ", square[:, ::2]).shape == (2, 2)
    assert time_bulk.is_trading_day("US_EQ", days([])).shape == (0,)
    assert time_bulk.next_trading_day("US_EQ", days([])).shape == (0,)
    assert time_bulk.is_trading_day("US_EQ", np.datetime64("2024-07-05")).item() is True


def test_lists_of_dates_are_welcome_and_instants_are_not() -> None:
    assert time_bulk.is_trading_day("US_EQ", [date(2024, 7, 4), date(2024, 7, 5)]).tolist() == [False, True]
    for odd in (
        np.array(["2024-07-05T15:00"], dtype="datetime64[s]"),
        [datetime(2024, 7, 5, tzinfo=UTC)],
        ["2024-07-05"],
        [20240705],
    ):
        with pytest.raises(CalendarTypeError, match="US_EQ: days have the type"):
            time_bulk.is_trading_day("US_EQ", odd)


@pytest.mark.parametrize("wrong", ["1999-12-31", "2029-01-01", "NaT", "-200000-01-01"])
def test_the_first_day_outside_of_the_bounds_is_named(wrong: str) -> None:
    asked = np.array(["2024-07-05", wrong, "1990-01-01"], dtype="datetime64[D]")
    for ask in (time_bulk.is_trading_day, time_bulk.next_trading_day, time_bulk.session_close):
        with pytest.raises(CalendarRangeError) as error:
            ask("US_EQ", asked)
        assert f"US_EQ: {wrong} " in str(error.value)


def test_neighbours_beyond_the_bounds_are_refused() -> None:
    with pytest.raises(CalendarRangeError, match="from 2028-12-29"):
        time_bulk.next_trading_day("US_EQ", days([date(2024, 7, 5), date(2028, 12, 29)]))
    with pytest.raises(CalendarRangeError, match="from 2000-01-10"):
        time_bulk.previous_trading_day("US_EQ", days([date(2000, 1, 10)]), 6)
    with pytest.raises(CalendarArgumentError):
        time_bulk.next_trading_day("US_EQ", days([date(2024, 7, 5)]), 0)


def test_hours_of_a_closed_day_are_refused() -> None:
    with pytest.raises(NotATradingDayError, match="US_EQ has no session on 2024-07-04"):
        time_bulk.session_open("US_EQ", days([date(2024, 7, 3), date(2024, 7, 4)]))


def test_a_calendar_brings_what_it_knows_and_what_it_verified() -> None:
    believed = TradingCalendar("US_EQ", known_at=datetime(2024, 12, 1, tzinfo=UTC))
    carter = days([date(2025, 1, 9)])
    assert time_bulk.is_trading_day(believed, carter).tolist() == [True]
    assert time_bulk.is_trading_day("US_EQ", carter).tolist() == [False]
    book = CalendarBook(
        table([exchange("XEVE", (hours("-22:00 21:00"),), hours_verified_from=MONDAY + timedelta(days=1))])
    )
    asked = days([MONDAY, MONDAY + timedelta(days=1)])
    with pytest.raises(CalendarRangeError, match="never verified"):
        time_bulk.session_open(TradingCalendar("XEVE", book=book), asked)
    evening = time_bulk.session_open(TradingCalendar("XEVE", book=book, projected=True), asked)
    assert evening.tolist() == [datetime(2024, 3, 3, 22), datetime(2024, 3, 4, 22)]  # noqa: DTZ001 - numpy's own form
