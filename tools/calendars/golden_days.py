"""Write tests/markets/golden/<MIC>.csv for the exchanges beside XNYS: their closed weekdays and short sessions.

    python -m tools.calendars.golden_days

Days come from libraries that the table of that exchange is *not* compiled from; `SAID` are single days for which a
person looked elsewhere, each with its source. Run it by hand, read the difference before it is committed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent.parent.parent / "tests" / "markets" / "golden"
LAST = date(2027, 12, 31)
FRIDAY = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an exchange's golden days come from: `library:name`, from which day on."""

    code: str
    days: str
    since: date
    halves: str = ""  # library:name of short sessions
    zone: str = ""


ORIGINS = (
    Origin("XLON", "pmc:LSE", date(2000, 1, 1), "pmc:LSE", "Europe/London"),
    Origin("XETR", "holidays:XETR", date(2016, 1, 1)),
    Origin("XPAR", "holidays:XPAR", date(2019, 1, 1)),
    Origin("XAMS", "holidays:XAMS", date(2019, 1, 1)),
    Origin("XTKS", "pmc:JPX", date(2000, 1, 1)),
    Origin("XHKG", "holidays:XHKG", date(2014, 1, 1)),
    Origin("XSES", "holidays:XSES", date(2000, 1, 1), "holidays:XSES"),
    Origin("CMES", "xc:CMES", date(2000, 1, 1)),
)

# Single days on which the library is known to be wrong: (what the day was, who says so).
SAID: Mapping[str, Mapping[date, tuple[str, str]]] = {
    "XHKG": {
        date(2023, 9, 1): ("closed", "HKEX notice 2309012news: typhoon Saola"),
        date(2023, 9, 8): ("closed", "HKEX notice 2309083news: black rainstorm"),
    },
    "XSES": {
        date(2009, 11, 16): ("open", "Ministry of Manpower 2009: Deepavali moved to 17 October"),
        date(2003, 10, 23): (
            "open",
            "exchange_calendars and pandas_market_calendars; python-holidays has the 23rd",
        ),
        date(2003, 10, 24): ("closed", "exchange_calendars and pandas_market_calendars: Deepavali"),
    },
    # Short days count as sessions here; their hours are held to truth_markets.csv.
    "CMES": {
        **{
            date.fromisoformat(day): (
                "open",
                "Good Friday with payrolls: equity index trades to 8:15 Central",
            )
            for day in ("2010-04-02", "2012-04-06", "2015-04-03", "2021-04-02", "2023-04-07", "2026-04-03")
        },
        **{
            date.fromisoformat(day): ("closed", "CME releases of 2001-09-12 and 13")
            for day in ("2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14")
        },
        date(2004, 6, 11): ("open", "CME release of June 2004: Globex closes at 8:00 Central"),
        date(2018, 12, 5): ("open", "day of mourning: equity index to 8:30 Central"),
        date(2025, 1, 9): ("open", "CME Group release 2024-12-30: equity index to 8:30 Central"),
        date(2007, 1, 2): ("closed", "CNBC 2007-01-02: CME equity markets closed"),
    },
}


def rows(origin: Origin) -> list[tuple[str, str, str]]:
    """(date, "closed" or the local close, note) of every weekday that is no usual session."""
    library, _, name = origin.days.partition(":")
    closed, halves = _closed(library, name, origin.since), _halves(origin)
    said = SAID.get(origin.code, {})
    found = []
    for offset in range((LAST - origin.since).days + 1):
        day = origin.since + timedelta(days=offset)
        if day.weekday() > FRIDAY:
            continue
        if day in said:
            what, note = said[day]
            if what != "open":
                found.append((day.isoformat(), what, note))
        elif day in closed:
            found.append((day.isoformat(), "closed", closed[day]))
        elif day in halves:
            found.append((day.isoformat(), halves[day], "short session"))
    return found


def _closed(library: str, name: str, since: date) -> dict[date, str]:
    if library == "holidays":
        import holidays

        named = holidays.financial_holidays(name, years=range(since.year, LAST.year + 1))
        return {day: str(reason) for day, reason in named.items()}
    sessions = {stamp.date() for stamp in _schedule(library, name, since).index}
    days = (since + timedelta(days=offset) for offset in range((LAST - since).days + 1))
    return {day: "no session" for day in days if day not in sessions}


def _halves(origin: Origin) -> dict[date, str]:
    if not origin.halves:
        return {}
    library, _, name = origin.halves.partition(":")
    if library == "holidays":
        import holidays

        years = range(origin.since.year, LAST.year + 1)
        named = holidays.financial_holidays(name, years=years, categories=("half_day",))
        # The library says when; that it was 12:30 while there was a lunch break at 12:30, SGX's hours say.
        return {day: "12:30" if day < date(2011, 8, 1) else "12:00" for day in named}
    closing = _schedule(library, name, origin.since)["market_close"]
    closes = {
        stamp.date(): close.tz_convert(origin.zone).strftime("%H:%M") for stamp, close in closing.items()
    }
    usual = max(set(closes.values()), key=list(closes.values()).count)
    return {day: close for day, close in closes.items() if close != usual}


def _schedule(library: str, name: str, since: date) -> Any:
    if library == "pmc":
        import pandas_market_calendars

        return pandas_market_calendars.get_calendar(name).schedule(since.isoformat(), LAST.isoformat())
    import exchange_calendars

    return exchange_calendars.get_calendar(name, start=since.isoformat(), end=LAST.isoformat()).schedule


def main() -> None:
    """Write the files."""
    for origin in ORIGINS:
        with (GOLDEN / f"{origin.code}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("date", "day", "note"))
            writer.writerows(rows(origin))
    print(f"{GOLDEN}: written; read the difference before you commit it")


if __name__ == "__main__":
    main()
