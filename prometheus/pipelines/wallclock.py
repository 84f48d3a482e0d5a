"""Wall clocks of time zones, where daylight saving may skip a time or show it twice."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from prometheus.core.errors import UserError
from prometheus.core.instants import to_us

ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,3}")


def check_zone(zone: object) -> str:
    """`zone` if it is "UTC" or an IANA time zone, else `UserError`."""
    if zone == "UTC":
        return "UTC"
    if not isinstance(zone, str) or not ZONE_NAME.fullmatch(zone) or not _is_known(zone):
        raise UserError(
            f"{zone!r} is not a time zone", allowed='"UTC" or an IANA name such as "Europe/London"'
        )
    return zone


def local_us(
    day: date,
    second: int,
    zone: str,
    gap: Literal["after", "before", "skip"],
    fold: Literal["first", "second"],
) -> int | None:
    """The instant, in microseconds, at which the clock of `zone` shows `second` of `day`; None: skipped there.

    The rule for a time that the clock jumps over is that of RFC 5545 and ECMAScript's Temporal: "after" reads it with
    the offset in force before the jump, "before" with the one after it.
    """
    naive = datetime(day.year, day.month, day.day) + timedelta(seconds=second)  # noqa: DTZ001 (zone is next)
    if zone == "UTC":
        return to_us(naive.replace(tzinfo=UTC))
    from zoneinfo import ZoneInfo

    where = ZoneInfo(zone)
    local = naive.replace(tzinfo=where, fold=int(fold == "second"))
    if local.astimezone(UTC).astimezone(where).replace(tzinfo=None) != naive:  # in a gap
        if gap == "skip":
            return None
        local = naive.replace(tzinfo=where, fold=int(gap == "before"))
    return to_us(local.astimezone(UTC))


def _is_known(zone: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # ZoneInfoNotFoundError is a KeyError; a folder's name is an OSError
        return False
    return True
