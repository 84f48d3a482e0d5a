"""What holds for every market and every exchange, verified or taken over, alone or composed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core import time_bulk
from prometheus.core.time import MarketState, TradingCalendar, current_book

MARKETS = current_book().market_ids
NAMED = ("US_EQ", "US_FUT", "EU_EQ", "JP_EQ", "ASIA_EQ", "FX_GLOB")
INSTANTS = st.datetimes(datetime(2000, 2, 1), datetime(2026, 11, 1), timezones=st.just(UTC))  # noqa: DTZ001
DAYS = st.dates(date(2000, 2, 1), date(2026, 11, 1))


def all_sessions(market: str) -> tuple[TradingCalendar, list[date]]:
    calendar = TradingCalendar(market)
    return calendar, calendar.sessions(calendar.valid_from, calendar.last_day)


@pytest.mark.parametrize("market", MARKETS)
def test_sessions_open_after_the_one_before_closed(market: str) -> None:
    calendar, sessions = all_sessions(market)
    assert len(sessions) > 6_400
    for before, day in pairwise(sessions):
        assert calendar.close_us(before) <= calendar.open_us(day) < calendar.close_us(day)
        for pause in calendar.breaks(day):
            assert calendar.session_open(day) < pause[0] < pause[1] < calendar.session_close(day)


@pytest.mark.parametrize("market", NAMED)
def test_arrays_answer_like_single_questions(market: str) -> None:
    calendar, sessions = all_sessions(market)
    every_day = [calendar.valid_from + timedelta(days=n) for n in range(40, 9_800)]
    days: Any = np.array(every_day, dtype="datetime64[D]")
    assert time_bulk.is_trading_day(market, days).tolist() == [
        calendar.is_trading_day(day) for day in every_day
    ]
    assert time_bulk.next_trading_day(market, days).tolist() == [
        calendar.next_trading_day(day) for day in every_day
    ]
    closes = time_bulk.session_close(market, np.array(sessions, dtype="datetime64[D]"))
    assert [at.replace(tzinfo=UTC) for at in closes.tolist()] == [
        calendar.session_close(day) for day in sessions
    ]


@given(INSTANTS, st.sampled_from(MARKETS))
def test_a_market_is_open_inside_of_a_session_and_outside_of_its_breaks(at: datetime, market: str) -> None:
    calendar = TradingCalendar(market)
    session = calendar.session_at(at)
    assert (calendar.state_at(at) is MarketState.SESSION) == (session is not None)
    if session is None:
        assert not calendar.is_open(at)
        return
    assert calendar.session_open(session) <= at < calendar.session_close(session)
    in_break = any(start <= at < end for start, end in calendar.breaks(session))
    assert calendar.is_in_break(at) == in_break
    assert calendar.is_open(at) == (not in_break)


@given(INSTANTS, st.sampled_from(MARKETS))
def test_the_next_transition_changes_something_and_nothing_changes_before_it(
    at: datetime, market: str
) -> None:
    calendar = TradingCalendar(market)
    then, instant = calendar.next_transition(at), timedelta(microseconds=1)

    def seen(moment: datetime) -> tuple[MarketState, bool]:
        return calendar.state_at(moment), calendar.is_in_break(moment)

    assert then > at
    assert seen(then) != seen(then - instant)
    assert seen(then - instant) == seen(at)
    for share in range(1, 6):
        assert seen(at + (then - at) // 6 * share) == seen(at)


@given(DAYS, st.sampled_from(("EU_EQ", "ASIA_EQ")))
def test_a_composite_runs_from_the_first_open_to_the_last_close_of_those_that_trade(
    day: date, market: str
) -> None:
    calendar = TradingCalendar(market)
    members = [TradingCalendar(member) for member in calendar.members_open(day)]
    assert calendar.is_trading_day(day) == bool(members)
    if members:
        assert calendar.session_open(day) == min(member.session_open(day) for member in members)
        assert calendar.session_close(day) == max(member.session_close(day) for member in members)


@given(DAYS, INSTANTS, st.sampled_from(MARKETS))
def test_what_is_known_later_only_ever_closes_or_moves_what_was_scheduled(
    day: date, known_at: datetime, market: str
) -> None:
    now, believed = TradingCalendar(market), TradingCalendar(market, known_at=known_at)
    if believed.is_trading_day(day) != now.is_trading_day(day):
        assert believed.is_trading_day(day)
        assert known_at.date() <= day + timedelta(days=1)
