"""Small calendar tables that tests build by hand: shapes that the shipped exchange does not have."""

from __future__ import annotations

from datetime import date, timedelta

from prometheus.core.calendar_book import load_table
from prometheus.markets.table import Exchange, Market, Pattern, Table, TableException, encode

MONDAY = date(2024, 3, 4)
LAST = date(2024, 3, 31)


def ordinal(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def exchange(
    code: str,
    patterns: tuple[Pattern, ...],
    odd: dict[date, int] | None = None,
    *,
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4),
    offset_minutes: int = 0,
    offsets: tuple[tuple[int, int], ...] | None = None,
    first: date = MONDAY,
    last: date = LAST,
    verified_through: date | None = None,
    hours_verified_from: date | None = None,
    exceptions: tuple[TableException, ...] = (),
) -> Exchange:
    """Pattern 1 on the weekdays given, `odd` days otherwise (0 closed, k pattern k)."""
    days = bytearray()
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        days.append((odd or {}).get(day, 1 if day.weekday() in weekdays else 0))
    return Exchange(
        code=code,
        name=f"exchange {code}",
        zone="Etc/Test",
        source="made for a test",
        valid_from=ordinal(first),
        hours_verified_from=ordinal(hours_verified_from or first),
        verified_through=ordinal(verified_through or last),
        days=bytes(days),
        patterns=patterns,
        offsets=offsets or ((0, offset_minutes),),
        exceptions=exceptions,
    )


def table(exchanges: list[Exchange], markets: list[Market] | None = None) -> Table:
    """Through the bytes and back, so that every test also carries the format."""
    return load_table(encode("test", exchanges, markets or []))


def hours(*segments: str, flags: int = 0) -> Pattern:
    """hours("-22:00 22:00") opens at 22:00 UTC the evening before and closes at 22:00 UTC of the label."""
    return Pattern(tuple(_segment(text) for text in segments), flags)


def _segment(text: str) -> tuple[int, int]:
    opens, closes = (_minutes(part) for part in text.split())
    return opens, closes


def _minutes(text: str) -> int:
    hour, minute = text.lstrip("-").split(":")
    return int(hour) * 60 + int(minute) - (1440 if text.startswith("-") else 0)
