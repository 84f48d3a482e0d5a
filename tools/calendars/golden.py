"""Write tests/markets/golden/XNYS.csv from sources that the table is *not* compiled from.

    python -m tools.calendars.golden

Hours come from pandas_market_calendars ("NYSE"), the reasons of closed weekdays from python-holidays
("XNYS"); exchange_calendars, which the table is compiled from, is not asked. Where the two disagree on a day, or the
hours differ by something not listed in `KEPT`, this stops: a person must look. Run it by hand, read the difference.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

FIRST, LAST = date(2000, 1, 1), date(2028, 12, 31)
GOLDEN = Path(__file__).parent.parent.parent / "tests" / "markets" / "golden" / "XNYS.csv"

# Minutes of silence and one system fault: trading began or ended a few minutes off, the session's hours stood.
KEPT = {
    date(2001, 9, 17): "usual hours; three minutes of ceremony at the reopening",
    date(2001, 10, 8): "usual hours; a minute of silence",
    date(2003, 3, 20): "usual hours; two minutes of silence",
    date(2004, 6, 7): "usual hours; two minutes of silence",
    date(2005, 6, 1): "usual hours; trading stopped four minutes early by a system fault",
    date(2006, 12, 27): "usual hours; two minutes of silence",
}


def rows() -> list[tuple[str, str, str, str]]:
    """(date, open, close, note) of every session and of every weekday without one."""
    import holidays
    import pandas_market_calendars

    schedule = pandas_market_calendars.get_calendar("NYSE").schedule(FIRST.isoformat(), LAST.isoformat())
    hours = {row.Index.date(): (row.market_open, row.market_close) for row in schedule.itertuples()}
    names = holidays.financial_holidays("XNYS", years=range(FIRST.year, LAST.year + 1))
    found = []
    for offset in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=offset)
        if day not in hours:
            if day.weekday() < 5:
                if day not in names:
                    raise SystemExit(f"{day}: closed by one source, not by the other")
                found.append((day.isoformat(), "", "", str(names[day])))
            continue
        if day in names:
            raise SystemExit(f"{day}: open by one source, not by the other")
        opens, closes, note = *hours[day], KEPT.get(day, "")
        local = [edge.tz_convert("America/New_York") for edge in (opens, closes)]
        clock = tuple(edge.strftime("%H:%M") for edge in local)
        if note:
            utc_offset = local[0].utcoffset()
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - utc_offset
            opens, closes = midnight + timedelta(hours=9, minutes=30), midnight + timedelta(hours=16)
        elif clock == ("09:30", "13:00"):
            note = "early close"
        elif clock == ("12:00", "16:00"):
            note = "late open"
        elif clock != ("09:30", "16:00"):
            raise SystemExit(f"{day}: unexpected hours {clock}")
        found.append((day.isoformat(), f"{opens:%Y-%m-%dT%H:%MZ}", f"{closes:%Y-%m-%dT%H:%MZ}", note))
    return found


def main() -> None:
    """Write the file."""
    with GOLDEN.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("date", "open_utc", "close_utc", "note"))
        writer.writerows(rows())
    print(f"{GOLDEN}: written; read the difference before you commit it")


if __name__ == "__main__":
    main()
