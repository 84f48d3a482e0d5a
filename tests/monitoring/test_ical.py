"""Sessions as an iCalendar stream."""

from __future__ import annotations

from datetime import date

import pytest

from prometheus.core.time import CalendarRangeError, TradingCalendar
from prometheus.monitoring.ical import icalendar


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream, unfolded: property name without parameters -> value."""
    found: list[dict[str, str]] = []
    for line in text.replace("\r\n ", "").split("\r\n"):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and name not in ("END",):
            found[-1][name.split(";")[0]] = value
    return found


def test_sessions_and_holidays_of_a_week() -> None:
    found = events(icalendar(TradingCalendar("US_EQ"), date(2024, 7, 1), date(2024, 7, 7)))
    assert [one["SUMMARY"] for one in found] == [
        "US_EQ session",
        "US_EQ session",
        "US_EQ session (early close)".replace(",", "\\,"),
        "US_EQ closed",
        "US_EQ session",
    ]
    assert found[2]["DTSTART"] == "20240703T133000Z"
    assert found[2]["DTEND"] == "20240703T170000Z"
    assert found[3]["DTSTART"] == "20240704"
    assert len({one["UID"] for one in found}) == 5


def test_only_the_odd_days() -> None:
    found = events(
        icalendar(TradingCalendar("XHKG"), date(2024, 2, 5), date(2024, 2, 16), odd_days_only=True)
    )
    assert [one["DTSTART"][:8] for one in found] == ["20240209", "20240212", "20240213"]


def test_lines_are_folded_and_end_in_crlf() -> None:
    text = icalendar(TradingCalendar("US_EQ"), date(2024, 7, 1), date(2024, 12, 31))
    assert text.endswith("END:VCALENDAR\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))


def test_what_is_not_known_is_not_exported() -> None:
    with pytest.raises(CalendarRangeError):
        icalendar(TradingCalendar("US_EQ"), date(2028, 12, 1), date(2029, 1, 31))
