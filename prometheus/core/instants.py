"""Instants as integers: microseconds since the Unix epoch, UTC.

The deciding rooms compare and add instants a million times a night; an `int` does that without time zones to get
wrong. Names of such values end in `_us`. Faces convert at the border.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from prometheus.core.errors import UserError

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ONE_US = timedelta(microseconds=1)
_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "sec": SECOND_US,
    "min": MINUTE_US,
    "m": MINUTE_US,
    "h": HOUR_US,
    "d": DAY_US,
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|sec|s|min|m|h|d)\s*")


def to_us(at: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; a naive one raises `UserError`."""
    if at.tzinfo is None:
        raise UserError(
            f"the datetime {at!r} has no time zone",
            allowed="aware datetimes",
            hint="pass tzinfo=datetime.UTC",
        )
    return (at - _EPOCH) // _ONE_US


def from_us(at_us: int) -> datetime:
    """The aware UTC datetime of `at_us` microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=at_us)


def midnight_us(day: date) -> int:
    """00:00 UTC of `day`, in microseconds since the epoch."""
    return (day.toordinal() - _EPOCH_ORDINAL) * DAY_US


def iso(at_us: int | None) -> str | None:
    """ISO 8601 text in UTC with `Z`, to the microsecond where there is a fraction; None stays None."""
    return None if at_us is None else from_us(at_us).isoformat().replace("+00:00", "Z")


def parse_duration(text: str | int | float | timedelta) -> int:
    """Microseconds of a duration: "90min", "1h30min", "45s", "2d", a timedelta, or a number of seconds.

    Raises `UserError` for anything else, for a negative one and for one that is not finite.
    """
    if isinstance(text, timedelta):
        value_us = text // _ONE_US
    elif isinstance(text, bool) or not isinstance(text, str | int | float):
        raise _bad_duration(text)
    elif isinstance(text, int | float):
        if not -1e12 < text < 1e12:
            raise _bad_duration(text)
        value_us = round(text * SECOND_US)
    else:
        value_us = _parse_duration_text(text)
    if value_us < 0:
        raise _bad_duration(text)
    return value_us


def _parse_duration_text(text: str) -> int:
    position, total = 0, 0.0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            raise _bad_duration(text)
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if position == 0:
        raise _bad_duration(text)
    return round(total)


def _bad_duration(value: object) -> UserError:
    return UserError(
        f"{value!r} is not a duration",
        allowed='text such as "30min", "1h30min", "45s", "2d", a timedelta, or seconds as a number, not negative',
    )


def format_duration(value_us: int) -> str:
    """Text that `parse_duration` reads back to the same value: "1h30min", "45s", "0s"."""
    if value_us == 0:
        return "0s"
    parts, rest = [], value_us
    for unit, size in (
        ("d", DAY_US),
        ("h", HOUR_US),
        ("min", MINUTE_US),
        ("s", SECOND_US),
        ("ms", 1_000),
        ("us", 1),
    ):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
