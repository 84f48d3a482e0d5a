"""Calendar, session, expected kind of day: real days of US_EQ and XLON."""

from datetime import date

import pytest

from prometheus.core.day_type import DayType, day_type
from prometheus.core.time import NotATradingDayError, TradingCalendar


@pytest.mark.parametrize(
    ("market", "session", "expected"),
    [
        ("US_EQ", date(2024, 11, 13), DayType.NORMAL),
        ("US_EQ", date(2024, 11, 15), DayType.EXPIRY),
        ("US_EQ", date(2024, 10, 31), DayType.MONTH_END),
        ("US_EQ", date(2024, 7, 5), DayType.AFTER_HOLIDAY),
        ("US_EQ", date(2024, 7, 8), DayType.NORMAL),  # a weekend is no holiday
        ("XLON", date(2024, 12, 24), DayType.HALF_DAY),
        ("XLON", date(2024, 12, 27), DayType.AFTER_HOLIDAY),
    ],
)
def test_a_session_is_of_the_kind_that_the_calendar_makes_it(
    market: str, session: date, expected: DayType
) -> None:
    assert day_type(TradingCalendar(market), session) is expected


def test_an_early_close_that_ends_the_month_is_called_a_half_day() -> None:
    assert day_type(TradingCalendar("US_EQ"), date(2024, 11, 29)) is DayType.HALF_DAY


def test_where_good_friday_is_the_third_friday_the_thursday_before_is_the_expiry() -> None:
    assert day_type(TradingCalendar("US_EQ"), date(2025, 4, 17)) is DayType.EXPIRY


def test_what_is_no_session_has_no_kind() -> None:
    with pytest.raises(NotATradingDayError):
        day_type(TradingCalendar("US_EQ"), date(2024, 7, 4))
