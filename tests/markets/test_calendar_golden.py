"""Every market against days and hours that no code of ours computed."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from prometheus.core.time import TradingCalendar

GOLDEN = Path(__file__).parent / "golden"
LAST = date(2027, 12, 31)
SINCE = {
    "XLON": date(2000, 1, 1),
    "XETR": date(2016, 1, 1),
    "XPAR": date(2019, 1, 1),
    "XAMS": date(2019, 1, 1),
    "XTKS": date(2000, 1, 1),
    "XHKG": date(2014, 1, 1),
    "XSES": date(2000, 1, 1),
    "CMES": date(2000, 1, 1),
}
YEARS = range(2000, 2028)


def rows(name: str) -> list[dict[str, str]]:
    with (GOLDEN / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def local(calendar: TradingCalendar, at: datetime) -> str:
    zone = calendar.book.table.exchange(calendar.book.exchanges_of(calendar.market_id)[0]).zone
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M}"


def weekdays(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5]


@pytest.mark.parametrize("code", SINCE)
def test_the_closed_weekdays_are_those_of_another_library(code: str) -> None:
    calendar = TradingCalendar(code)
    golden = {date.fromisoformat(row["date"]) for row in rows(code) if row["day"] == "closed"}
    ours = {day for day in weekdays(SINCE[code], LAST) if not calendar.is_trading_day(day)}
    assert len(golden) > 40
    assert sorted(ours ^ golden) == []


@pytest.mark.parametrize("code", ["XLON", "XSES"])
def test_the_short_sessions_are_those_of_another_library(code: str) -> None:
    calendar = TradingCalendar(code)
    golden = {row["date"]: row["day"] for row in rows(code) if row["day"] != "closed"}
    ours = {
        day.isoformat(): local(calendar, calendar.session_close(day))
        for year in YEARS
        for day in calendar.early_closes(year)
    }
    assert len(golden) > 50
    assert ours == golden


@pytest.mark.parametrize("row", rows("truth_markets"), ids=lambda row: f"{row['ask']} {row['date']}")
def test_checked_days_of_all_markets_are_right_to_the_minute(row: dict[str, str]) -> None:
    calendar, day = TradingCalendar(row["ask"]), date.fromisoformat(row["date"])
    assert calendar.is_trading_day(day) == (row["is_open"] == "1")
    if row["is_open"] == "1":
        assert calendar.session_open(day) == datetime.fromisoformat(row["open_utc"])
        assert calendar.session_close(day) == datetime.fromisoformat(row["close_utc"])


def test_xetra_ends_each_year_at_two() -> None:
    """Deutsche Boerse: the last trading day of the year is short; 24 and 31 December have no session."""
    calendar = TradingCalendar("XETR")
    for year in range(2010, 2028):
        last = calendar.sessions(date(year, 12, 1), date(year, 12, 31))[-1]
        assert local(calendar, calendar.session_close(last)) == "14:00", year
        assert set(calendar.early_closes(year)) == {last}
        assert not calendar.is_trading_day(date(year, 12, 24))
        assert not calendar.is_trading_day(date(year, 12, 31))


@pytest.mark.parametrize("code", ["XPAR", "XAMS"])
def test_euronext_closes_early_on_the_two_eves(code: str) -> None:
    calendar = TradingCalendar(code)
    for year in range(2010, 2028):
        eves = [day for day in (date(year, 12, 24), date(year, 12, 31)) if day.weekday() < 5]
        assert calendar.early_closes(year) == eves, year
        assert {local(calendar, calendar.session_close(day)) for day in eves} <= {"14:05"}


def test_tokyo_s_first_and_last_sessions_were_mornings_until_2009() -> None:
    calendar = TradingCalendar("XTKS")
    for year in YEARS:
        sessions = calendar.sessions(date(year, 1, 1), date(year, 12, 31))
        first, last = sessions[0], sessions[-1]
        expected = ("11:00" if year <= 2009 else None, "11:00" if year <= 2008 else None)
        for day, close in zip((first, last), expected, strict=True):
            is_short = day in calendar.early_closes(year)
            assert is_short == (close is not None), day
            if close is not None:
                assert local(calendar, calendar.session_close(day)) == close
                assert calendar.breaks(day) == []


def test_hong_kong_closes_early_on_three_eves() -> None:
    """Christmas, New Year, Lunar New Year: 12:00, and 12:30 while the morning ended then. Storms close it early too."""
    calendar = TradingCalendar("XHKG")
    for year in YEARS:
        for day in (date(year, 12, 24), date(year, 12, 31)):
            if day.weekday() < 5:
                noon = "12:30" if day < date(2011, 3, 7) else "12:00"
                assert local(calendar, calendar.session_close(day)) == noon, day


@pytest.mark.parametrize(
    ("code", "day", "opens", "breaks", "closes"),
    [
        ("XTKS", date(2000, 6, 1), "09:00", ["11:00-12:30"], "15:00"),
        ("XTKS", date(2006, 2, 1), "09:00", ["11:00-13:00"], "15:00"),
        ("XTKS", date(2011, 11, 18), "09:00", ["11:00-12:30"], "15:00"),
        ("XTKS", date(2011, 11, 21), "09:00", ["11:30-12:30"], "15:00"),
        ("XTKS", date(2026, 6, 1), "09:00", ["11:30-12:30"], "15:30"),
        ("XHKG", date(2010, 6, 1), "10:00", ["12:30-14:30"], "16:00"),
        ("XHKG", date(2012, 3, 2), "09:30", ["12:00-13:30"], "16:00"),
        ("XHKG", date(2012, 3, 5), "09:30", ["12:00-13:00"], "16:00"),
        ("XSES", date(2011, 7, 29), "09:00", ["12:30-14:00"], "17:00"),
        ("XSES", date(2011, 8, 1), "09:00", [], "17:00"),
        ("XSES", date(2017, 11, 10), "09:00", [], "17:00"),
        ("XSES", date(2017, 11, 13), "09:00", ["12:00-13:00"], "17:00"),
        ("XETR", date(2000, 5, 31), "09:00", [], "17:30"),
        ("XETR", date(2000, 6, 2), "09:00", [], "20:00"),
        ("XLON", date(2000, 6, 1), "08:00", [], "16:30"),
        ("CMES", date(2003, 9, 26), "15:45", ["16:30-17:30"], "15:15"),
        ("CMES", date(2003, 9, 30), "15:30", ["16:30-17:00"], "15:15"),
        ("CMES", date(2012, 11, 20), "17:00", ["15:15-15:30"], "16:15"),
        ("CMES", date(2021, 6, 25), "17:00", ["15:15-15:30"], "16:00"),
        ("CMES", date(2021, 6, 28), "17:00", [], "16:00"),
    ],
)
def test_hours_follow_their_eras(code: str, day: date, opens: str, breaks: list[str], closes: str) -> None:
    calendar = TradingCalendar(code)
    assert local(calendar, calendar.session_open(day)) == opens
    assert ["-".join(local(calendar, at) for at in pause) for pause in calendar.breaks(day)] == breaks
    assert local(calendar, calendar.session_close(day)) == closes


def test_fx_runs_on_new_york_time_from_evening_to_evening() -> None:
    calendar = TradingCalendar("FX_GLOB")
    for day in weekdays(date(2000, 1, 3), date(2030, 12, 31)):
        if (day.month, day.day) in {(12, 25), (1, 1)}:
            assert not calendar.is_trading_day(day)
            continue
        opens, closes = calendar.session_open(day), calendar.session_close(day)
        assert (local(calendar, opens), local(calendar, closes)) == ("17:00", "17:00")
        assert timedelta(hours=23) <= closes - opens <= timedelta(hours=25)


def test_a_us_futures_session_opens_after_the_one_before_closed_and_never_on_a_saturday() -> None:
    calendar = TradingCalendar("US_FUT")
    sessions = calendar.sessions(date(2000, 1, 3), LAST)
    for before, day in pairwise(sessions):
        opens = calendar.session_open(day)
        assert calendar.session_close(before) <= opens
        assert opens.astimezone(ZoneInfo("America/Chicago")).weekday() != 5


@pytest.mark.parametrize(
    ("market", "day", "members"),
    [
        ("EU_EQ", date(2024, 12, 24), ["XLON", "XPAR", "XAMS"]),
        ("EU_EQ", date(2024, 5, 6), ["XETR", "XPAR", "XAMS"]),
        ("ASIA_EQ", date(2024, 8, 9), ["XHKG"]),
        ("ASIA_EQ", date(2023, 9, 8), ["XSES"]),
        ("JP_EQ", date(2024, 12, 30), ["XTKS"]),
    ],
)
def test_a_composite_says_which_members_trade(market: str, day: date, members: list[str]) -> None:
    assert TradingCalendar(market).members_open(day) == members


@pytest.mark.parametrize(
    ("code", "day", "before", "after"),
    [
        ("XHKG", date(2023, 9, 1), "2023-08-31T12:00Z", "2023-09-01T02:00Z"),
        ("XTKS", date(2020, 10, 1), "2020-09-30T12:00Z", "2020-10-01T01:00Z"),
        ("XLON", date(2022, 9, 19), "2022-09-08T12:00Z", "2022-09-11T12:00Z"),
        ("US_FUT", date(2001, 9, 12), "2001-09-11T12:00Z", "2001-09-12T12:00Z"),
    ],
)
def test_an_unscheduled_closure_is_unknown_until_it_is_announced(
    code: str, day: date, before: str, after: str
) -> None:
    assert TradingCalendar(code, known_at=datetime.fromisoformat(before)).is_trading_day(day)
    assert not TradingCalendar(code, known_at=datetime.fromisoformat(after)).is_trading_day(day)


def test_exchanges_that_were_taken_over_say_so() -> None:
    table = TradingCalendar("US_EQ").book.table
    unverified = {code for code in table.codes if not table.exchange(code).is_verified}
    assert unverified == {"XBRU", "XMIL", "XSWX", "XKRX", "XASX", "XTAI", "XBOM", "XSHG", "XTSE", "BVMF"}
    assert all("not verified" in table.exchange(code).source for code in unverified)
