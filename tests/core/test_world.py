"""The world at an instant, and the order in which a day ends."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from prometheus.core.calendar_overrides import UserMarket
from prometheus.core.time import CalendarBook, MarketState, TradingCalendar, UnknownMarketError
from prometheus.core.world import MARKETS, follow_the_sun, world


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_world_at_one_instant() -> None:
    found = {one.market_id: one for one in world(at("2024-07-03T03:45"))}
    assert list(found) == list(MARKETS)
    assert found["JP_EQ"].state is MarketState.SESSION
    assert found["JP_EQ"].session == date(2024, 7, 3)
    assert found["ASIA_EQ"].state is MarketState.SESSION
    assert found["EU_EQ"].state is MarketState.OVERNIGHT
    assert found["US_FUT"].session == date(2024, 7, 3)
    assert found["FX_GLOB"].until == at("2024-07-05T21:00")


@pytest.mark.parametrize("market", MARKETS)
def test_the_world_agrees_with_each_calendar(market: str) -> None:
    calendar = TradingCalendar(market)
    for text in (
        "2024-03-10T07:00",
        "2024-12-24T12:30",
        "2024-12-25T12:00",
        "2020-10-01T03:00",
        "2023-05-03T02:00",
    ):
        (one,) = world(at(text), [market])
        assert one.state is calendar.state_at(at(text))
        assert one.until == calendar.next_transition(at(text))
        assert one.session == calendar.session_at(at(text))


def test_beyond_what_is_known_the_world_says_so() -> None:
    (one,) = world(at("2031-06-02T12:00"), ["US_EQ"])
    assert one.state is None
    assert "2028-12-31" in one.why


def test_the_sun_sets_from_tokyo_to_new_york() -> None:
    order = [one.market_id for one in follow_the_sun(date(2024, 7, 3))]
    assert order == ["JP_EQ", "ASIA_EQ", "EU_EQ", "US_EQ", "US_FUT", "FX_GLOB"]


def test_markets_without_a_session_come_last_with_their_reason() -> None:
    found = follow_the_sun(date(2024, 12, 25))
    assert [one.market_id for one in found] == ["JP_EQ", "ASIA_EQ", "EU_EQ", "US_EQ", "US_FUT", "FX_GLOB"]
    assert [one.close is None for one in found] == [False, True, True, True, True, True]
    assert found[-1].why == "no session on this day"


def test_a_thanksgiving_has_futures_and_no_shares() -> None:
    found = {one.market_id: one for one in follow_the_sun(date(2024, 11, 28))}
    assert found["US_EQ"].close is None
    assert found["US_FUT"].close == at("2024-11-28T18:00")


def test_a_desk_s_own_market_takes_part() -> None:
    book = CalendarBook(markets=[UserMarket("EU_CORE", ("XETR", "XPAR"), "all")])
    (one,) = follow_the_sun(date(2024, 5, 6), ["EU_CORE"], book=book)
    assert one.members == ("XETR", "XPAR")


def test_an_unknown_market_is_named() -> None:
    with pytest.raises(UnknownMarketError, match="MOON"):
        world(at("2024-07-03T12:00"), ["MOON"])
