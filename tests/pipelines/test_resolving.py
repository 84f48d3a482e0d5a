"""From moments to instants: on the shipped calendar where there is one, on tiny ones for what crosses markets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import UserError
from prometheus.core.instants import DAY_US, HOUR_US, from_us, midnight_us, to_us
from prometheus.core.session_algebra import bounds_of
from prometheus.core.time import TradingCalendar, UnknownMarketError
from prometheus.pipelines import at, market, session, trading_day_of
from prometheus.pipelines.moments import Fold, Gap, Moment
from prometheus.pipelines.reading import parse
from prometheus.pipelines.resolving import NoMomentError, SessionCalendar, resolve, session_of
from prometheus.pipelines.wallclock import local_us

FRIDAY = date(2016, 6, 24)


class TinyCalendar:
    """A market whose sessions are listed; it opens at one and closes at another hour, UTC."""

    def __init__(self, days: list[date], opens: int, closes: int) -> None:
        self.days, self.opens, self.closes = sorted(days), opens, closes

    def is_trading_day(self, d: date, /) -> bool:
        return d in self.days

    def previous_trading_day(self, d: date, n: int = 1, /) -> date:
        return [day for day in self.days if day < d][-n]

    def next_trading_day(self, d: date, n: int = 1, /) -> date:
        return [day for day in self.days if day > d][n - 1]

    def sessions(self, start: date, end: date, /) -> list[date]:
        return [day for day in self.days if start <= day <= end]

    def open_us(self, d: date, /) -> int:
        assert d in self.days
        return midnight_us(d) + self.opens * HOUR_US

    def close_us(self, d: date, /) -> int:
        assert d in self.days
        return midnight_us(d) + self.closes * HOUR_US


def weekdays(first: date, count: int, without: tuple[date, ...] = ()) -> list[date]:
    days = [first + timedelta(days=n) for n in range(count)]
    return [day for day in days if day.weekday() < 5 and day not in without]


# Tokyo is shut on Monday 27 and Tuesday 28 June here.
TINY: dict[str, SessionCalendar] = {
    "XTKS": TinyCalendar(weekdays(date(2016, 6, 1), 60, (date(2016, 6, 27), date(2016, 6, 28))), 0, 6),
    "XLON": TinyCalendar(weekdays(date(2016, 6, 1), 60), 7, 16),
}


def calendars(market_id: str) -> SessionCalendar:
    return TINY[market_id] if market_id in TINY else TradingCalendar(market_id)


def instant(moment: Moment, label: date = FRIDAY, market_id: str = "US_EQ") -> str:
    return from_us(resolve(moment, label, market_id, calendars)).strftime("%Y-%m-%d %H:%M")


def test_moments_of_the_own_session_follow_daylight_saving_and_half_days() -> None:
    assert instant(session.close + "30min") == "2016-06-24 20:30"
    assert instant(session.close + "30min", date(2016, 1, 5)) == "2016-01-05 21:30"
    assert instant(session.close + "30min", date(2016, 11, 25)) == "2016-11-25 18:30"
    assert instant(session.open - "90min") == "2016-06-24 12:00"
    assert instant(session.next.open - "60min") == "2016-06-27 12:30"
    assert instant(session.previous.close) == "2016-06-23 20:00"
    assert instant(session(-5).open) == "2016-06-17 13:30"


def test_day_clocks_count_calendar_days_from_the_label() -> None:
    assert instant(at("D+1 00:00", "UTC")) == "2016-06-25 00:00"
    assert instant(at("T+1 00:00 UTC") + "15min") == "2016-06-25 00:15"
    assert instant(at("D-1 23:00", "America/New_York")) == "2016-06-24 03:00"


def test_another_market_s_session_is_that_of_the_label_or_the_next() -> None:
    monday = date(2016, 6, 27)
    assert instant(market("XTKS").close) == "2016-06-24 06:00"
    assert instant(market("XTKS").close, monday) == "2016-06-29 06:00"
    assert instant(market("XTKS").session(-1).close) == "2016-06-23 06:00"
    assert instant(market("XTKS").session(-1).close, monday) == "2016-06-24 06:00"
    assert instant(market("XTKS").session(1).close, monday) == "2016-06-30 06:00"
    assert instant(market("XLON").open - "90min", monday) == "2016-06-27 05:30"


@given(st.integers(0, 20), st.integers(-3, 3))
def test_numbered_sessions_of_another_market_never_repeat_and_straddle_the_label(days: int, n: int) -> None:
    label = date(2016, 6, 15) + timedelta(days=days)
    here = resolve(market("XTKS").session(n).open, label, "US_EQ", calendars)
    after = resolve(market("XTKS").session(n + 1).open, label, "US_EQ", calendars)
    assert here < after
    assert (here < midnight_us(label)) == (n < 0)


def test_trading_days_of_a_period_are_found_around_holidays() -> None:
    # Independence Day 2016 is a Monday; Good Friday is 25 March, the last weekday but four of the quarter.
    assert instant(trading_day_of("week", 1).open, date(2016, 7, 7)) == "2016-07-05 13:30"
    assert instant(trading_day_of("week", -1).close + "4h", date(2016, 3, 22)) == "2016-03-25 00:00"
    assert instant(trading_day_of("month", -1).close, date(2016, 12, 1)) == "2016-12-30 21:00"
    assert instant(trading_day_of("quarter", 1).open, date(2016, 9, 9)) == "2016-07-01 13:30"
    with pytest.raises(NoMomentError, match="has 4 sessions"):
        instant(trading_day_of("week", 5).close, date(2016, 7, 7))


@given(st.dates(date(1990, 1, 1), date(2040, 12, 31)))
def test_periods_hold_their_day_and_touch_their_neighbours(day: date) -> None:
    for period, longest in (("week", 7), ("month", 31), ("quarter", 92)):
        first, last = bounds_of(period, day)  # type: ignore[arg-type]
        assert first <= day <= last
        assert (last - first).days < longest
        assert bounds_of(period, last + timedelta(days=1))[0] == last + timedelta(days=1)  # type: ignore[arg-type]


def test_calendars_errors_come_through() -> None:
    with pytest.raises(UnknownMarketError):
        instant(market("XXXX").open)
    with pytest.raises(UserError):
        instant(at("D+999 00:00", "UTC"), date(9999, 1, 1))


# New York: 2016-03-13 02:00 jumps to 03:00, 2016-11-06 02:00 falls back to 01:00.
@pytest.mark.parametrize(
    ("gap", "expected"), [("after", "2016-03-13 07:30"), ("before", "2016-03-13 06:30"), ("skip", None)]
)
def test_a_time_that_the_clock_jumps_over_follows_the_policy(gap: Gap, expected: str | None) -> None:
    moment = at("02:30", "America/New_York", gap=gap)
    if expected is None:
        with pytest.raises(NoMomentError, match="jumps over"):
            instant(moment, date(2016, 3, 13))
    else:
        assert instant(moment, date(2016, 3, 13)) == expected


@pytest.mark.parametrize(
    ("fold", "expected"), [("first", "2016-11-06 05:30"), ("second", "2016-11-06 06:30")]
)
def test_a_time_that_the_clock_shows_twice_follows_the_policy(fold: Fold, expected: str) -> None:
    assert instant(at("01:30", "America/New_York", fold=fold), date(2016, 11, 6)) == expected


# The zones of the table's exchanges (one of those that change their clocks alike), and the oddest that there is.
ZONES = [
    "America/New_York",
    "America/Chicago",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Tokyo",
    "Asia/Hong_Kong",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]


@pytest.mark.parametrize(
    ("label", "expected"),
    [(date(2025, 4, 1), date(2025, 4, 17)), (date(2024, 3, 28), date(2024, 3, 15))],
)
def test_the_expiry_friday_rolls_back_before_a_holiday(label: date, expected: date) -> None:
    friday = trading_day_of("month", 3, weekday="FRI")
    assert session_of(friday, label, TradingCalendar("US_EQ")) == expected
    assert parse(str(friday)) == friday


@given(
    st.sampled_from(ZONES),
    st.dates(date(2000, 1, 2), date(2035, 12, 30)),
    st.integers(0, 47),
    st.sampled_from(["first", "second"]),
)
def test_a_local_time_is_the_instant_at_which_that_clock_shows_it(
    zone: str, day: date, half_hour: int, fold: Fold
) -> None:
    check_against_all_instants(zone, day, half_hour, fold)


@pytest.mark.parametrize("zone", ZONES)
def test_the_same_on_every_day_on_which_a_clock_is_changed(zone: str) -> None:
    days = [date(2000, 1, 2) + timedelta(days=n) for n in range(36 * 365)]
    for day in days:
        noons = [
            datetime(d.year, d.month, d.day, 12, tzinfo=ZoneInfo(zone))
            for d in (day, day + timedelta(days=1))
        ]
        if noons[0].utcoffset() != noons[1].utcoffset():
            for half_hour in range(48):
                for fold in ("first", "second"):
                    check_against_all_instants(zone, day + timedelta(days=1), half_hour, fold)  # type: ignore[arg-type]


def check_against_all_instants(zone: str, day: date, half_hour: int, fold: Fold) -> None:
    """Compare with a search over every half hour at which the zone's clock could show that time."""
    naive = datetime.combine(day, clock.min) + timedelta(minutes=30 * half_hour)
    around = [naive.replace(tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(-30, 31)]
    showing = [to_us(utc) for utc in around if utc.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive]
    found = local_us(day, half_hour * 1800, zone, "skip", fold)
    assert found == ((showing[0] if fold == "first" else showing[-1]) if showing else None)
    if not showing:
        before = local_us(day, half_hour * 1800, zone, "before", fold)
        after = local_us(day, half_hour * 1800, zone, "after", fold)
        assert before is not None
        assert after is not None
        assert 0 < after - before <= DAY_US // 12
