"""Counting in sessions."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core import session_algebra as algebra
from prometheus.core.time import (
    CalendarArgumentError,
    CalendarTypeError,
    NotATradingDayError,
    TradingCalendar,
)

US = TradingCalendar("US_EQ")
MARKETS = ("US_EQ", "US_FUT", "EU_EQ", "JP_EQ", "ASIA_EQ", "FX_GLOB", "XLON", "XHKG")
DAYS = st.dates(date(2001, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("period", "n", "of", "expected"),
    [
        ("week", -1, date(2024, 3, 27), date(2024, 3, 28)),  # Good Friday ends the week on Thursday
        ("week", 1, date(2024, 5, 31), date(2024, 5, 28)),  # Memorial Day begins it on Tuesday
        ("month", -1, date(2024, 3, 1), date(2024, 3, 28)),
        ("month", 1, date(2024, 1, 31), date(2024, 1, 2)),
        ("quarter", -1, date(2024, 1, 1), date(2024, 3, 28)),
        ("quarter", 2, date(2024, 9, 30), date(2024, 7, 2)),
        ("year", -1, date(2024, 6, 1), date(2024, 12, 31)),
        (
            "month",
            15,
            date(2025, 1, 1),
            date(2025, 1, 24),
        ),  # New Year, the day of mourning, Martin Luther King
    ],
)
def test_the_nth_session_of_a_period(period: str, n: int, of: date, expected: date) -> None:
    assert algebra.nth_session(US, period, n, of) == expected  # type: ignore[arg-type]  # a text of the table


@given(DAYS, st.sampled_from(MARKETS), st.sampled_from(algebra.PERIODS))
def test_first_and_last_bound_all_sessions_of_the_period(day: date, market: str, period: str) -> None:
    calendar = TradingCalendar(market)
    first, last = algebra.bounds_of(period, day)
    assert first <= day <= last
    sessions = calendar.sessions(first, last)
    if not sessions:  # Golden Week, or a Lunar New Year that fills one
        with pytest.raises(NotATradingDayError):
            algebra.first_session(calendar, period, day)  # type: ignore[arg-type]
        return
    assert algebra.first_session(calendar, period, day) == sessions[0]  # type: ignore[arg-type]
    assert algebra.last_session(calendar, period, day) == sessions[-1]  # type: ignore[arg-type]
    assert algebra.count_sessions(calendar, first, last) == len(sessions)
    lasts = [one for one in sessions if algebra.is_last_session(calendar, period, one)]  # type: ignore[arg-type]
    assert lasts == [sessions[-1]]


@given(DAYS, st.sampled_from(MARKETS), st.integers(-60, 60), st.integers(1, 60))
def test_shifts_count_one_session_a_step(day: date, market: str, n: int, more: int) -> None:
    calendar = TradingCalendar(market)
    steps = [algebra.shifted(calendar, day, k) for k in range(n, n + 3)]
    assert all(a < b for a, b in pairwise(steps))
    assert algebra.shifted(calendar, day, -1) < day <= algebra.shifted(calendar, day, 0)
    far = algebra.shifted(calendar, day, more)
    assert algebra.count_sessions(calendar, algebra.shifted(calendar, day, 0), far) == more + 1


@pytest.mark.parametrize(
    ("year", "month", "expected"),
    [
        (2024, 3, date(2024, 3, 15)),
        (2025, 4, date(2025, 4, 17)),  # Good Friday: Thursday
        (2022, 4, date(2022, 4, 14)),
        (2019, 4, date(2019, 4, 18)),
        (2026, 6, date(2026, 6, 18)),  # Juneteenth is the third Friday
    ],
)
def test_expiry_rolls_back_before_a_holiday(year: int, month: int, expected: date) -> None:
    assert algebra.weekday_of_month(US, year, month) == expected


def test_the_last_weekday_of_a_month_and_the_roll_forward() -> None:
    assert algebra.weekday_of_month(US, 2024, 5, n=-1, weekday=0) == date(2024, 5, 24)
    assert algebra.weekday_of_month(US, 2024, 5, n=-1, weekday=0, roll="next") == date(2024, 5, 28)


@given(
    st.integers(2001, 2026),
    st.integers(1, 12),
    st.sampled_from([-4, -3, -2, -1, 1, 2, 3, 4]),
    st.integers(0, 6),
)
def test_the_nth_weekday_is_in_its_month_unless_it_rolled(
    year: int, month: int, n: int, weekday: int
) -> None:
    every_day = TradingCalendar("FX_GLOB")
    day = algebra.weekday_of_month(every_day, year, month, n, weekday)
    if day.weekday() == weekday:
        assert (day.year, day.month) == (year, month)
        before, after = day - timedelta(days=7 * abs(n)), day + timedelta(days=7 * abs(n))
        assert (before if n > 0 else after).month != month
    else:
        assert not every_day.is_trading_day(day + timedelta(days=1))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: algebra.nth_session(US, "month", 0, date(2024, 1, 1)), CalendarArgumentError),
        (lambda: algebra.nth_session(US, "month", 1.0, date(2024, 1, 1)), CalendarTypeError),  # type: ignore[arg-type]
        (lambda: algebra.nth_session(US, "week", 6, date(2024, 1, 1)), NotATradingDayError),
        (lambda: algebra.nth_session(US, "decade", 1, date(2024, 1, 1)), CalendarArgumentError),  # type: ignore[arg-type]
        (lambda: algebra.shifted(US, date(2024, 1, 1), True), CalendarTypeError),
        (lambda: algebra.weekday_of_month(US, 2024, 1, n=5), CalendarArgumentError),
        (lambda: algebra.weekday_of_month(US, 2024, 1, weekday=7), CalendarArgumentError),
        (lambda: algebra.weekday_of_month(US, 2024, 1, roll="nearest"), CalendarArgumentError),  # type: ignore[arg-type]
    ],
)
def test_questions_without_meaning_are_refused(ask: object, error: type[Exception]) -> None:
    assert callable(ask)
    with pytest.raises(error):
        ask()
