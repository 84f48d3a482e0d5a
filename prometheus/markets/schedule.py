"""One market's sessions over all its days, as plain integers.

A *day* is the number of a session label since 1970-01-01; an instant is microseconds since the epoch. A `Schedule` is
what remains when everything that bears on a market (table, what was known when, overrides, members) has been settled;
`resolve` makes them, calendars ask them. Days stay one small number each; the list of sessions is made on first need.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import compress, pairwise

from prometheus.markets.table import DAY_MINUTES, EARLY_CLOSE, LATE_OPEN, Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from datetime import date, datetime

MINUTE_US = 60_000_000
DAY_US = DAY_MINUTES * MINUTE_US
_SCAN_DAYS = 16  # a neighbour this near is found by looking; farther ones by bisection


class Hours:
    """A session's hours as instants: `open_us`, `close_us`, and its breaks as (start, end) pairs."""

    __slots__ = ("breaks_us", "close_us", "flags", "open_us")

    def __init__(self, day: int, pattern: Pattern) -> None:
        base = day * DAY_US
        segments = pattern.segments
        self.open_us = base + pattern.open_minute * MINUTE_US
        self.close_us = base + pattern.close_minute * MINUTE_US
        self.flags = pattern.flags
        self.breaks_us = tuple(
            (base + before[1] * MINUTE_US, base + after[0] * MINUTE_US)
            for before, after in pairwise(segments)
        )

    @property
    def is_early_close(self) -> bool:
        return bool(self.flags & EARLY_CLOSE)

    @property
    def is_late_open(self) -> bool:
        return bool(self.flags & LATE_OPEN)

    def is_in_break(self, at_us: int) -> bool:
        return any(start <= at_us < end for start, end in self.breaks_us)


class Schedule:
    """The settled sessions of one market between `first_day` and `last_day` (both included).

    The dictionaries are answers already given, keyed by `date`; each holds at most one entry a day of the schedule.
    """

    __slots__ = (
        "__weakref__",
        "_sessions",
        "closes",
        "days",
        "first_day",
        "hours_verified_from",
        "is_trading",
        "last_day",
        "latest_close_minute",
        "market_id",
        "members",
        "next_days",
        "offsets",
        "opens",
        "patterns",
        "post_close_us",
        "pre_open_us",
        "previous_days",
        "soonest_open_minute",
        "verified_through",
    )

    def __init__(
        self,
        *,
        market_id: str,
        members: tuple[Schedule, ...],
        first_day: int,
        hours_verified_from: int,
        verified_through: int,
        days: Sequence[int],
        patterns: tuple[Pattern, ...],
        offsets: tuple[tuple[int, int], ...],
        pre_open_us: int = 0,
        post_close_us: int = 0,
    ) -> None:
        self.market_id = market_id
        self.members = members
        self.first_day = first_day
        self.last_day = first_day + len(days) - 1
        self.hours_verified_from = hours_verified_from
        self.verified_through = verified_through
        self.days = days
        self.patterns = patterns
        self.offsets = offsets
        self.pre_open_us = pre_open_us
        self.post_close_us = post_close_us
        self.soonest_open_minute = min((pattern.open_minute for pattern in patterns), default=0)
        self.latest_close_minute = max((pattern.close_minute for pattern in patterns), default=DAY_MINUTES)
        self._sessions: array[int] | None = None
        self.is_trading: dict[date, bool] = {}
        self.next_days: dict[date, date] = {}
        self.previous_days: dict[date, date] = {}
        self.opens: dict[date, datetime] = {}
        self.closes: dict[date, datetime] = {}

    def covers(self, day: int) -> bool:
        return self.first_day <= day <= self.last_day

    def is_session(self, day: int) -> bool:
        """Whether the covered `day` is a session label."""
        return self.days[day - self.first_day] != 0

    def pattern(self, day: int) -> Pattern | None:
        """The hours of the covered `day` in minutes from its midnight, None when there is no session."""
        number = self.days[day - self.first_day]
        return self.patterns[number - 1] if number else None

    def hours(self, day: int) -> Hours | None:
        """The hours of the covered `day`, None when there is no session."""
        pattern = self.pattern(day)
        return None if pattern is None else Hours(day, pattern)

    @property
    def sessions(self) -> array[int]:
        """Every session label in order."""
        if self._sessions is None:
            from array import array  # brings `collections`: a millisecond that most first answers do without

            self._sessions = array("i", compress(range(self.first_day, self.last_day + 1), self.days))
        return self._sessions

    def sessions_between(self, start: int, end: int) -> array[int]:
        """The session labels from `start` to `end`, both included."""
        labels = self.sessions
        return labels[bisect_left(labels, start) : bisect_right(labels, end)]

    def next_session(self, day: int, n: int = 1) -> int | None:
        """The nth session label strictly after `day`, None when it lies beyond the schedule."""
        if n == 1:
            begin = max(day + 1, self.first_day)
            for candidate in range(begin, min(begin + _SCAN_DAYS, self.last_day + 1)):
                if self.days[candidate - self.first_day]:
                    return candidate
        labels = self.sessions
        position = bisect_right(labels, day) + n - 1
        return labels[position] if position < len(labels) else None

    def previous_session(self, day: int, n: int = 1) -> int | None:
        """The nth session label strictly before `day`, None when it lies before the schedule."""
        if n == 1:
            begin = min(day - 1, self.last_day)
            for candidate in range(begin, max(begin - _SCAN_DAYS, self.first_day - 1), -1):
                if self.days[candidate - self.first_day]:
                    return candidate
        labels = self.sessions
        position = bisect_left(labels, day) - n
        return labels[position] if position >= 0 else None

    def labels_near(self, at_us: int, before_us: int = 0, after_us: int = 0) -> range:
        """The labels whose [open - before, close + after) could hold the instant, going by the market's widest hours."""
        first = (at_us - after_us - self.latest_close_minute * MINUTE_US) // DAY_US + 1
        last = (at_us + before_us - self.soonest_open_minute * MINUTE_US) // DAY_US
        return range(first, last + 1)

    def needed_days(self, at_us: int) -> tuple[int, int]:
        """The first and the last label that must be known to tell the market's state at the instant."""
        near = self.labels_near(at_us, self.pre_open_us, self.post_close_us)
        local_day = self.local_day(at_us)
        return min(near.start, local_day), max(near.stop - 1, local_day)

    def session_at(self, at_us: int) -> int | None:
        """The label whose [open, close) holds the instant, breaks included; None outside of sessions."""
        for day in self.labels_near(at_us):
            if self.covers(day):
                pattern = self.pattern(day)
                if pattern is not None:
                    minute = (at_us - day * DAY_US) // MINUTE_US
                    if pattern.open_minute <= minute < pattern.close_minute:
                        return day
        return None

    def is_open(self, at_us: int) -> bool:
        """Whether the instant lies in a session and not in one of its breaks."""
        first_day, last_day, days = self.first_day, self.last_day, self.days
        for day in self.labels_near(at_us):
            if first_day <= day <= last_day and (number := days[day - first_day]):
                minute = (at_us - day * DAY_US) // MINUTE_US
                for opens, closes in self.patterns[number - 1].segments:
                    if opens <= minute < closes:
                        return True
        return False

    def latest_closed_session(self, at_us: int) -> int | None:
        """The last label whose session had closed at the instant, None when that lies before the schedule."""
        day = self.previous_session(self.labels_near(at_us).stop)
        while day is not None:
            pattern = self.pattern(day)
            if pattern is not None and day * DAY_US + pattern.close_minute * MINUTE_US <= at_us:
                return day
            day = self.previous_session(day)
        return None

    def local_day(self, at_us: int) -> int:
        """The number of the calendar day at the exchange (a composite's first member) at the instant."""
        return (at_us // MINUTE_US + self.offset_minutes(at_us)) // DAY_MINUTES

    def offset_minutes(self, at_us: int) -> int:
        """Minutes to add to UTC for the exchange's wall clock at the instant."""
        position = bisect_right(self.offsets, (at_us // MINUTE_US, DAY_MINUTES)) - 1
        return self.offsets[max(position, 0)][1]

    def local_midnight_us(self, day: int) -> int:
        """The instant at which the exchange's calendar day `day` begins.

        The day begins in the offset in force at about that time; clocks change at night after midnight or on Sundays,
        so the offset of the guess is asked once more at the guess itself.
        """
        guess = day * DAY_US - self.offset_minutes(day * DAY_US) * MINUTE_US
        return day * DAY_US - self.offset_minutes(guess) * MINUTE_US
