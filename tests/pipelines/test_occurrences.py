"""Every so often while a market is in a state, as instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.instants import MINUTE_US, from_us, to_us
from prometheus.core.time import NotATradingDayError, TradingCalendar
from prometheus.pipelines import every
from prometheus.pipelines.resolving import occurrences

MARKETS = ("US_EQ", "US_FUT", "EU_EQ", "JP_EQ", "ASIA_EQ", "XHKG")
STATES = ("SESSION", "PRE_OPEN", "POST_CLOSE", "OVERNIGHT", "HOLIDAY")


def clocks(market: str, label: date, interval: str, during: str) -> list[str]:
    found = occurrences(every(interval, during=during), label, TradingCalendar(market))
    return [f"{from_us(at):%d %H:%M}" for at in found]


def test_a_session_from_its_open_to_before_its_close() -> None:
    assert clocks("US_EQ", date(2024, 7, 3), "60min", "SESSION") == [
        "03 13:30",
        "03 14:30",
        "03 15:30",
        "03 16:30",
    ]


def test_a_lunch_break_is_part_of_the_session() -> None:
    found = clocks("JP_EQ", date(2024, 7, 3), "90min", "SESSION")
    assert found == ["03 00:00", "03 01:30", "03 03:00", "03 04:30"]


def test_buffers_and_nights_belong_to_the_session_that_they_come_before_or_after() -> None:
    assert clocks("US_EQ", date(2024, 7, 5), "60min", "PRE_OPEN") == ["05 11:30", "05 12:30"]
    assert clocks("US_EQ", date(2024, 7, 5), "60min", "POST_CLOSE") == ["05 20:00", "05 21:00"]
    assert clocks("US_EQ", date(2024, 7, 5), "12h", "HOLIDAY") == ["04 04:00", "04 16:00"]
    assert clocks("US_EQ", date(2024, 7, 5), "6h", "OVERNIGHT") == [
        "03 19:00",
        "04 01:00",
        "05 04:00",
        "05 10:00",
    ]


def test_an_evening_open_and_the_hour_that_a_clock_gains() -> None:
    usual = occurrences(every("1h", during="SESSION"), date(2024, 11, 1), TradingCalendar("US_FUT"))
    over_the_change = occurrences(every("1h", during="SESSION"), date(2024, 11, 4), TradingCalendar("US_FUT"))
    assert len(usual) == len(over_the_change) == 23
    assert from_us(over_the_change[0]) == datetime(2024, 11, 3, 23, tzinfo=UTC)


def test_a_day_without_a_session_has_no_run() -> None:
    with pytest.raises(NotATradingDayError):
        clocks("US_EQ", date(2024, 7, 4), "1h", "SESSION")


@given(
    st.dates(date(2001, 1, 1), date(2026, 6, 30)),
    st.sampled_from(MARKETS),
    st.sampled_from(STATES),
    st.integers(5, 300),
)
def test_each_instant_is_in_its_state_and_no_stretch_is_left_out(
    day: date, market: str, during: str, minutes: int
) -> None:
    calendar = TradingCalendar(market)
    label = calendar.next_trading_day(day)
    step_us = minutes * MINUTE_US
    found = occurrences(every(f"{minutes}min", during=during), label, calendar)
    assert all(str(calendar.state_at(from_us(at))) == during for at in found)
    assert all(
        later - earlier >= step_us or _leaves(calendar, earlier, later, during)
        for earlier, later in pairwise(found)
    )
    following = occurrences(every(f"{minutes}min", during=during), calendar.next_trading_day(label), calendar)
    assert not set(found) & set(following)
    if during == "SESSION":
        assert found == list(range(calendar.open_us(label), calendar.close_us(label), step_us))


def _leaves(calendar: TradingCalendar, earlier: int, later: int, during: str) -> bool:
    """Whether the market leaves the state between two instants."""
    at = from_us(earlier)
    while to_us(at) < later:
        at = calendar.next_transition(at)
        if to_us(at) < later and str(calendar.state_at(at)) != during:
            return True
    return False
