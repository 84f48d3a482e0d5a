"""Compile the calendar table: upstream's sessions, our eras of hours and corrections, into prometheus/markets/calendars.bin.

    python tools/calendars/build.py            writes the table
    python tools/calendars/build.py --check    exits 1 when the shipped table is not what the sources give

Equal sources give equal bytes. A line of corrections.csv settles one day of one exchange (`closed`, or `hours` in UTC).
With `known_at` it is an announcement: before that instant the day was what the line above it said, or else the regular
session. Without `known_at` it mends the upstream and was always so. A line that changes nothing is refused.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from prometheus.markets.table import (
    EARLY_CLOSE,
    LATE_OPEN,
    Exchange,
    Pattern,
    TableException,
    encode,
)
from tools.calendars.sources import BEGIN, MARKETS, RELEASE, SOURCES, Source
from tools.calendars.upstream import Upstream, clock_minutes, read_eras, read_upstream

HERE = Path(__file__).parent
CORRECTIONS = HERE / "corrections.csv"
TABLE = HERE.parent.parent / "prometheus" / "markets" / "calendars.bin"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Correction:
    """A line of corrections.csv; `pattern_minutes` is None for a closed day."""

    exchange: str
    day: date
    minutes: tuple[int, int] | None
    known_at: datetime | None
    why: str
    source: str


def read_corrections(path: Path = CORRECTIONS) -> list[Correction]:
    """The corrections in the file's order; ValueError names a line that cannot be used."""
    corrections = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            where = f"{path.name} line {number}"
            if row["kind"] not in ("closed", "hours") or (row["kind"] == "hours") != bool(row["open_utc"]):
                raise ValueError(f"{where}: kind is closed (without hours) or hours (with them), not {row}")
            if not row["why"] or not row["source"] or row["confidence"] not in ("high", "medium"):
                raise ValueError(f"{where}: why, source and confidence (high, medium) are needed, not {row}")
            day = date.fromisoformat(row["date"])
            hours = (
                [clock_minutes(row["open_utc"]), clock_minutes(row["close_utc"])] if row["open_utc"] else None
            )
            corrections.append(
                Correction(
                    exchange=row["exchange"],
                    day=day,
                    minutes=None if hours is None else (hours[0], hours[1]),
                    known_at=datetime.fromisoformat(row["known_at"]) if row["known_at"] else None,
                    why=row["why"],
                    source=row["source"],
                )
            )
    return corrections


def compile_exchange(source: Source, upstream: Upstream, corrections: list[Correction]) -> Exchange:
    """The exchange's block: upstream sessions, corrected, with what was believed before each announcement."""
    zone = ZoneInfo(source.zone)
    final = dict(upstream.sessions)
    believed: list[tuple[Correction, Pattern | None]] = []
    for correction in sorted(corrections, key=lambda item: (item.day, item.known_at or _EPOCH)):
        regular = upstream.regular(correction.day)
        earlier = [before for before, _ in believed if before.day == correction.day]
        if correction.known_at is not None:
            believed.append((correction, _settled(earlier[-1], regular) if earlier else regular))
        result = _settled(correction, regular)
        before = upstream.sessions.get(correction.day) if correction.known_at is None else believed[-1][1]
        if result == before:
            raise ValueError(
                f"the correction of {source.code} {correction.day} changes nothing; delete the line"
            )
        if result is None:
            final.pop(correction.day, None)
        else:
            final[correction.day] = result
    numbers: dict[Pattern, int] = {}
    first, last = _ordinal(BEGIN), _ordinal(source.last)
    days = bytearray(last - first + 1)
    for day in sorted(final):
        days[_ordinal(day) - first] = numbers.setdefault(final[day], len(numbers) + 1)
    exceptions = []
    for correction, before in believed:
        assert correction.known_at is not None
        number = 0 if before is None else numbers.setdefault(before, len(numbers) + 1)
        known_us = (correction.known_at - _EPOCH) // timedelta(microseconds=1)
        exceptions.append(
            TableException(_ordinal(correction.day), known_us, number, correction.why, correction.source)
        )
    return Exchange(
        code=source.code,
        name=source.name,
        zone=source.zone,
        source=source.published,
        valid_from=first,
        hours_verified_from=_ordinal(source.hours_verified_from),
        verified_through=_ordinal(source.verified_through),
        is_verified=source.is_verified,
        days=bytes(days),
        patterns=tuple(numbers),
        offsets=_offsets(zone, first, last),
        exceptions=tuple(exceptions),
    )


def compile_table() -> bytes:
    """The whole table, from the sources of this folder."""
    corrections, eras = read_corrections(), read_eras()
    unknown = ({item.exchange for item in corrections} | eras.keys()) - {source.code for source in SOURCES}
    if unknown:
        raise ValueError(
            f"corrections.csv or eras.csv name exchanges that are not compiled: {sorted(unknown)}"
        )
    exchanges = [
        compile_exchange(
            source,
            read_upstream(source, eras.get(source.code, [])),
            [item for item in corrections if item.exchange == source.code],
        )
        for source in SOURCES
    ]
    return encode(RELEASE, exchanges, MARKETS)


def _settled(correction: Correction, regular: Pattern) -> Pattern | None:
    """The day after a correction; early and late by the day's regular hours, whose breaks stay where they lie inside."""
    if correction.minutes is None:
        return None
    opens, closes = correction.minutes
    early, late = closes < regular.close_minute, opens > regular.open_minute
    inside = [(max(a, opens), min(b, closes)) for a, b in regular.segments if a < closes and b > opens]
    if len(inside) > 1:
        segments = ((opens, inside[0][1]), *inside[1:-1], (inside[-1][0], closes))
    else:
        segments = ((opens, closes),)
    return Pattern(segments, EARLY_CLOSE * early | LATE_OPEN * late)


def _offsets(zone: ZoneInfo, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Each UTC offset of the zone in minutes and the minute since the epoch from which it holds."""

    def offset(minute: int) -> int:
        at = (_EPOCH + timedelta(minutes=minute)).astimezone(zone)
        return int((at.utcoffset() or timedelta()) / timedelta(minutes=1))

    low, high = (first - 2) * 1440, (last + 2) * 1440
    found = [(low, offset(low))]
    for begin in range(low, high, 1440):
        left, right = begin, begin + 1440
        if offset(left) != offset(right):
            while right - left > 1:
                middle = (left + right) // 2
                left, right = (middle, right) if offset(middle) == offset(left) else (left, middle)
            found.append((right, offset(right)))
    return tuple(found)


def _ordinal(day: date) -> int:
    return day.toordinal() - _EPOCH.toordinal()


def main() -> int:
    """Write or check the table."""
    parser = argparse.ArgumentParser(description="Compile the calendar table.")
    parser.add_argument(
        "--check", action="store_true", help="compare with the shipped table instead of writing it"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write here: a table to install apart from the code"
    )
    arguments = parser.parse_args()
    data = compile_table()
    if arguments.out is not None:
        arguments.out.write_bytes(data)
        print(f"{arguments.out}: {len(data)} bytes, release {RELEASE}")
        return 0
    if not arguments.check:
        TABLE.write_bytes(data)
        print(f"{TABLE}: {len(data)} bytes")
        return 0
    if TABLE.exists() and TABLE.read_bytes() == data:
        print(f"{TABLE} is what the sources give")
        return 0
    print(f"{TABLE} is not what the sources give; run this again without --check and read the difference")
    return 1


if __name__ == "__main__":
    sys.exit(main())
