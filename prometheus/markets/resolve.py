"""From facts to one market's schedule: what was known when, corrections laid over it, members put together."""

from __future__ import annotations

from itertools import pairwise

from prometheus.markets.schedule import DAY_US, MINUTE_US, Schedule
from prometheus.markets.table import DAY_MINUTES, EARLY_CLOSE, LATE_OPEN, Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from prometheus.markets.table import Exchange

_NEAR_DAYS = 3  # sessions farther away than this cannot meet: hours lie within 36 hours of their label
_BYTE_PATTERNS = 255  # more patterns than this and a day's number no longer fits a byte


class OverlapError(ValueError):
    """Corrected hours of `day` run into a neighbouring session."""

    def __init__(self, day: int) -> None:
        super().__init__(day)
        self.day = day


class Correction:
    """A desk's override of one exchange's day, as facts.

    `kind` is "closed", "hours" (then `open_us` and `close_us` are set) or "scheduled" (what the table says again).
    """

    __slots__ = ("close_us", "day", "kind", "known_at_us", "open_us")

    def __init__(self, day: int, kind: str, known_at_us: int, open_us: int = 0, close_us: int = 0) -> None:
        self.day = day
        self.kind = kind
        self.known_at_us = known_at_us
        self.open_us = open_us
        self.close_us = close_us


class _Palette:
    """The patterns of a schedule in the making: equal hours share a number, 0 is closed."""

    def __init__(self, patterns: Sequence[Pattern] = ()) -> None:
        self.patterns = list(patterns)
        self._numbers: dict[Pattern, int] = {pattern: number for number, pattern in enumerate(patterns, 1)}

    def number(self, pattern: Pattern | None) -> int:
        if pattern is None:
            return 0
        if pattern not in self._numbers:
            self.patterns.append(pattern)
            self._numbers[pattern] = len(self.patterns)
        return self._numbers[pattern]


def resolve_exchange(
    exchange: Exchange,
    *,
    known_at_us: int | None = None,
    projected: bool = False,
    corrections: Sequence[Correction] = (),
) -> Schedule:
    """The exchange as someone at `known_at_us` knew it (None: all that is on record).

    Changes not yet known are undone; then the corrections already known are laid over, the latest known last. With
    `projected` the days after `verified_through` are included, else the schedule ends there.
    """
    last = exchange.last if projected else exchange.verified_through
    days: Sequence[int] = exchange.days[: last - exchange.valid_from + 1]
    patterns: tuple[Pattern, ...] = exchange.patterns
    # Latest first, so that of several changes of a day the earliest unknown one decides what was believed.
    unknown = [
        item
        for item in sorted(exchange.exceptions, key=lambda item: -item.known_at_us)
        if known_at_us is not None and item.known_at_us > known_at_us and item.day <= last
    ]
    known = [
        item
        for item in sorted(corrections, key=lambda item: item.known_at_us)
        if (known_at_us is None or item.known_at_us <= known_at_us)
        and exchange.valid_from <= item.day <= last
    ]
    if unknown or known:
        from array import array

        numbers = array("H", list(days))  # of the values: array reads bytes as memory
        palette = _Palette(patterns)
        for item in unknown:
            numbers[item.day - exchange.valid_from] = item.before
        scheduled = numbers[:]
        for correction in known:
            position = correction.day - exchange.valid_from
            numbers[position] = _corrected(correction, palette, scheduled[position])
        patterns = tuple(palette.patterns)
        days = _narrow(numbers, patterns)
        _refuse_overlaps(exchange, known, days, patterns)
    return Schedule(
        market_id=exchange.code,
        members=(),
        first_day=exchange.valid_from,
        hours_verified_from=exchange.hours_verified_from,
        verified_through=exchange.verified_through,
        days=days,
        patterns=patterns,
        offsets=exchange.offsets,
    )


def _refuse_overlaps(
    exchange: Exchange, corrections: Sequence[Correction], days: Sequence[int], patterns: tuple[Pattern, ...]
) -> None:
    """Corrected hours must not run into the sessions around them."""
    for day in sorted({item.day for item in corrections}):
        here = range(max(day - _NEAR_DAYS, exchange.valid_from), day + _NEAR_DAYS + 1)
        positions = [near - exchange.valid_from for near in here if near - exchange.valid_from < len(days)]
        labels = [position for position in positions if days[position]]
        for earlier, later in pairwise(labels):
            closes = earlier * DAY_MINUTES + patterns[days[earlier] - 1].close_minute
            if later * DAY_MINUTES + patterns[days[later] - 1].open_minute < closes:
                raise OverlapError(day)


def _corrected(correction: Correction, palette: _Palette, scheduled: int) -> int:
    """The number of the day's pattern after the correction; hours are early or late by what was scheduled."""
    if correction.kind == "closed":
        return 0
    if correction.kind == "scheduled":
        return scheduled
    base = correction.day * DAY_US
    opens, closes = (correction.open_us - base) // MINUTE_US, (correction.close_us - base) // MINUTE_US
    flags = 0
    segments: tuple[tuple[int, int], ...] = ((opens, closes),)
    if scheduled:
        usual = palette.patterns[scheduled - 1]
        flags |= EARLY_CLOSE if closes < usual.close_minute else 0
        flags |= LATE_OPEN if opens > usual.open_minute else 0
        clipped = tuple(
            (max(a, opens), min(b, closes)) for a, b in usual.segments if a < closes and b > opens
        )
        if len(clipped) > 1:  # a break that lies inside the new hours stays
            segments = ((opens, clipped[0][1]), *clipped[1:-1], (clipped[-1][0], closes))
    return palette.number(Pattern(segments, flags))


def combine(
    market_id: str,
    members: tuple[Schedule, ...],
    mode: str,
    *,
    pre_open_us: int,
    post_close_us: int,
) -> Schedule:
    """The market made of its members: a day is a session when any (`any`) or every (`all`) member trades.

    Its hours run from the earliest open to the latest close of the members that trade; it is in a break only while all
    of them are closed. Its close is early when each member that closes last closes early (opens alike). `primary` is
    the first member alone; the others only answer for `members_open`. Bounds are those that all members share.
    """
    shaping = members[:1] if mode == "primary" else members
    first = max(member.first_day for member in shaping)
    last = min(member.last_day for member in shaping)
    if len(shaping) == 1:
        days: Sequence[int] = shaping[0].days
        patterns = shaping[0].patterns
    else:
        days, patterns = _combined_days(shaping, mode, first, max(first, last))
    return Schedule(
        market_id=market_id,
        members=members,
        first_day=first,
        hours_verified_from=max(member.hours_verified_from for member in shaping),
        verified_through=min(member.verified_through for member in shaping),
        days=days,
        patterns=patterns,
        offsets=members[0].offsets,
        pre_open_us=pre_open_us,
        post_close_us=post_close_us,
    )


def _combined_days(
    members: tuple[Schedule, ...], mode: str, first: int, last: int
) -> tuple[Sequence[int], tuple[Pattern, ...]]:
    """Each day's number and the patterns; a combination of the members' hours is put together once."""
    from array import array

    palette = _Palette()
    known: dict[tuple[int, ...], int] = {}
    numbers = array("H")
    columns = [member.days[first - member.first_day : last - member.first_day + 1] for member in members]
    for row in zip(*columns, strict=True):
        if row not in known:
            trading = [
                member.patterns[number - 1] for member, number in zip(members, row, strict=True) if number
            ]
            meets = len(trading) == len(members) if mode == "all" else bool(trading)
            known[row] = palette.number(_union(trading) if meets else None)
        numbers.append(known[row])
    patterns = tuple(palette.patterns)
    return _narrow(numbers, patterns), patterns


def _narrow(numbers: array[int], patterns: tuple[Pattern, ...]) -> Sequence[int]:
    """A byte a day where the patterns allow it."""
    return bytes(list(numbers)) if len(patterns) <= _BYTE_PATTERNS else numbers


def _union(patterns: list[Pattern]) -> Pattern:
    merged: list[tuple[int, int]] = []
    for opens, closes in sorted(segment for pattern in patterns for segment in pattern.segments):
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closes))
        else:
            merged.append((opens, closes))
    opens, closes = merged[0][0], merged[-1][1]
    flags = 0
    if all(pattern.flags & EARLY_CLOSE for pattern in patterns if pattern.close_minute == closes):
        flags |= EARLY_CLOSE
    if all(pattern.flags & LATE_OPEN for pattern in patterns if pattern.open_minute == opens):
        flags |= LATE_OPEN
    return Pattern(tuple(merged), flags)
