"""US_EQ: checked days, what was known when, and every question of the API."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from prometheus.core.time import MarketState, TradingCalendar, get_market_state

TRUTH = Path(__file__).parent.parent / "markets" / "golden" / "truth_us_eq.csv"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def truth_rows() -> list[dict[str, str]]:
    with TRUTH.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", truth_rows(), ids=lambda row: row["date"])
@pytest.mark.parametrize("market", ["US_EQ", "XNYS", "XNAS"])
def test_checked_days_are_right_to_the_minute(row: dict[str, str], market: str) -> None:
    calendar, day = TradingCalendar(market), date.fromisoformat(row["date"])
    assert calendar.is_trading_day(day) == (row["is_open"] == "1")
    if row["is_open"] == "1":
        assert calendar.session_open(day) == datetime.fromisoformat(row["open_utc"])
        assert calendar.session_close(day) == datetime.fromisoformat(row["close_utc"])


@pytest.mark.parametrize(
    ("day", "before", "after"),
    [
        ("2001-09-11", "2001-09-11T12:00", "2001-09-11T15:00"),
        ("2004-06-11", "2004-06-07T12:00", "2004-06-08T12:00"),
        ("2007-01-02", "2006-12-29T12:00", "2006-12-30T12:00"),
        ("2012-10-29", "2012-10-28T20:00", "2012-10-29T04:00"),
        ("2012-10-30", "2012-10-29T12:00", "2012-10-29T20:00"),
        ("2018-12-05", "2018-11-30T12:00", "2018-12-02T12:00"),
        ("2025-01-09", "2024-12-01T00:00", "2024-12-31T12:00"),
    ],
)
def test_a_closure_is_unknown_until_it_is_announced(day: str, before: str, after: str) -> None:
    label = date.fromisoformat(day)
    unaware = TradingCalendar("US_EQ", known_at=utc(before))
    aware = TradingCalendar("US_EQ", known_at=utc(after))
    assert unaware.is_trading_day(label)
    assert unaware.session_close(label) - unaware.session_open(label) == timedelta(hours=6, minutes=30)
    assert not aware.is_trading_day(label)
    assert not TradingCalendar("US_EQ").is_trading_day(label)
    assert unaware.previous_trading_day(unaware.next_trading_day(label)) == label
    assert label in aware.holidays(label.year)
    assert label not in unaware.holidays(label.year)


def test_the_late_open_of_2002_was_planned_for_eleven_and_came_at_noon() -> None:
    day = date(2002, 9, 11)
    seen = [
        TradingCalendar("US_EQ", known_at=utc(known)).session_open(day)
        for known in ("2002-08-01", "2002-09-01", "2002-09-12")
    ]
    assert seen == [utc("2002-09-11T13:30"), utc("2002-09-11T15:00"), utc("2002-09-11T16:00")]
    assert TradingCalendar("US_EQ").late_opens(2002) == [day]


def test_the_year_2024_has_its_ten_holidays_and_three_early_closes() -> None:
    calendar = TradingCalendar("US_EQ")
    days = ["01-01", "01-15", "02-19", "03-29", "05-27", "06-19", "07-04", "09-02", "11-28", "12-25"]
    assert calendar.holidays(2024) == [date.fromisoformat(f"2024-{day}") for day in days]
    assert calendar.early_closes(2024) == [date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)]
    assert calendar.session_close(date(2024, 11, 29)) == utc("2024-11-29T18:00")


def test_the_published_calendar_of_2028_has_no_new_year_and_an_early_third_of_july() -> None:
    # NYSE Group, 2025-12-23.
    calendar = TradingCalendar("US_EQ")
    days = ["01-17", "02-21", "04-14", "05-29", "06-19", "07-04", "09-04", "11-23", "12-25"]
    assert calendar.holidays(2028) == [date.fromisoformat(f"2028-{day}") for day in days]
    assert calendar.early_closes(2028) == [date(2028, 7, 3), date(2028, 11, 24)]


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        ("2024-03-08", "14:30"),
        ("2024-03-11", "13:30"),
        ("2024-11-01", "13:30"),
        ("2024-11-04", "14:30"),
        ("2006-04-03", "13:30"),
        ("2006-10-30", "14:30"),
        ("2007-03-12", "13:30"),
        ("2007-11-05", "14:30"),
    ],
)
def test_the_weeks_in_which_clocks_change_open_at_half_past_nine_in_new_york(day: str, opens: str) -> None:
    calendar, label = TradingCalendar("US_EQ"), date.fromisoformat(day)
    assert calendar.session_open(label) == utc(f"{day}T{opens}")
    local = calendar.session_open(label) + calendar.local_offset(calendar.session_open(label))
    assert (local.hour, local.minute) == (9, 30)


def test_neighbours_are_strictly_before_and_after_from_any_date() -> None:
    calendar = TradingCalendar("US_EQ")
    assert calendar.next_trading_day(date(2024, 7, 3)) == date(2024, 7, 5)
    assert calendar.next_trading_day(date(2024, 7, 4)) == date(2024, 7, 5)
    assert calendar.next_trading_day(date(2024, 7, 3), 2) == date(2024, 7, 8)
    assert calendar.previous_trading_day(date(2024, 7, 5)) == date(2024, 7, 3)
    assert calendar.previous_trading_day(date(2024, 7, 7), n=3) == date(2024, 7, 2)
    assert calendar.next_trading_day(date(2001, 9, 10)) == date(2001, 9, 17)


def test_sessions_include_both_ends() -> None:
    calendar = TradingCalendar("US_EQ")
    assert calendar.sessions(date(2024, 7, 3), date(2024, 7, 8)) == [
        date(2024, 7, 3),
        date(2024, 7, 5),
        date(2024, 7, 8),
    ]
    assert calendar.sessions(date(2024, 7, 4), date(2024, 7, 4)) == []


def test_integer_forms_equal_the_datetimes() -> None:
    calendar, day = TradingCalendar("US_EQ"), date(2024, 11, 29)
    assert calendar.open_us(day) == 1_732_890_600_000_000
    assert calendar.close_us(day) == 1_732_903_200_000_000
    assert calendar.session_open(day).timestamp() * 1e6 == calendar.open_us(day)
    assert calendar.breaks(day) == []
    assert calendar.members_open(day) == ["XNYS"]
    assert calendar.members_open(date(2024, 11, 28)) == []


def test_a_session_holds_its_open_and_not_its_close() -> None:
    calendar, day = TradingCalendar("US_EQ"), date(2024, 7, 5)
    opens, closes, instant = (
        calendar.session_open(day),
        calendar.session_close(day),
        timedelta(microseconds=1),
    )
    assert [calendar.is_open(at) for at in (opens - instant, opens, closes - instant, closes)] == [
        False,
        True,
        True,
        False,
    ]
    assert calendar.session_at(opens) == calendar.session_at(closes - instant) == day
    assert calendar.session_at(closes) is None
    assert calendar.latest_closed_session(closes - instant) == date(2024, 7, 3)
    assert calendar.latest_closed_session(closes) == day


def test_instants_in_any_zone_mean_the_same() -> None:
    from zoneinfo import ZoneInfo

    at = datetime(2024, 7, 5, 9, 30, tzinfo=ZoneInfo("America/New_York"))
    assert TradingCalendar("US_EQ").is_open(at)
    assert not TradingCalendar("US_EQ").is_open(at - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2024-07-03T08:00", "OVERNIGHT"),
        ("2024-07-03T11:29", "OVERNIGHT"),
        ("2024-07-03T11:30", "PRE_OPEN"),
        ("2024-07-03T13:30", "SESSION"),
        ("2024-07-03T17:00", "POST_CLOSE"),
        ("2024-07-03T19:00", "OVERNIGHT"),
        ("2024-07-04T03:59", "OVERNIGHT"),
        ("2024-07-04T04:00", "HOLIDAY"),
        ("2024-07-04T15:00", "HOLIDAY"),
        ("2024-07-05T04:00", "OVERNIGHT"),
        ("2024-07-06T15:00", "HOLIDAY"),
    ],
)
def test_the_state_around_an_early_close_and_a_holiday(at: str, state: str) -> None:
    assert get_market_state("US_EQ", utc(at)) is MarketState[state]


def test_transitions_walk_through_a_day_and_over_a_holiday() -> None:
    calendar, at, seen = TradingCalendar("US_EQ"), utc("2024-07-03T12:00"), []
    for _ in range(7):
        at = calendar.next_transition(at)
        seen.append(f"{at:%m-%dT%H:%M} {calendar.state_at(at)}")
    assert seen == [
        "07-03T13:30 SESSION",
        "07-03T17:00 POST_CLOSE",
        "07-03T19:00 OVERNIGHT",
        "07-04T04:00 HOLIDAY",
        "07-05T04:00 OVERNIGHT",
        "07-05T11:30 PRE_OPEN",
        "07-05T13:30 SESSION",
    ]


def test_bounds_are_stated() -> None:
    calendar = TradingCalendar("US_EQ")
    assert calendar.valid_from == calendar.hours_verified_from == date(2000, 1, 1)
    assert calendar.verified_through == calendar.last_day == date(2028, 12, 31)
    projected = TradingCalendar("US_EQ", projected=True)
    assert projected.last_day == date(2035, 12, 31)
    assert date(2029, 7, 4) in projected.holidays(2029)
