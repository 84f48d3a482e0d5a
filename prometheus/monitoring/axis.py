"""From instants to pixels, and which instants deserve a tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US, SECOND_US, from_us

_STEPS = (
    *(SECOND_US * n // 10 for n in (1, 2, 5)),
    *(SECOND_US * n for n in (1, 2, 5, 10, 15, 30)),
    *(MINUTE_US * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR_US * n for n in (1, 2, 3, 4, 6, 12)),
    *(DAY_US * n for n in (1, 2, 7, 14, 28, 91, 182, 364, 3640, 36400, 364000)),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time laid over `width` pixels from `left`."""

    start_us: int
    end_us: int  # after `start_us`
    left: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width

    def x(self, at_us: int) -> float:
        """The pixel of an instant; instants outside lie on the nearer edge."""
        inside = min(max(at_us, self.start_us), self.end_us)
        return self.left + self.width * (inside - self.start_us) / (self.end_us - self.start_us)

    def shows(self, at_us: int) -> bool:
        return self.start_us <= at_us <= self.end_us

    def step_us(self, gap: float) -> int:
        """The finest round step whose ticks lie at least `gap` pixels apart."""
        least = (self.end_us - self.start_us) * gap / self.width
        return next((step for step in _STEPS if step >= least), _STEPS[-1])

    def ticks(self, gap: float) -> list[tuple[int, str]]:
        """(instant, label) at round instants, at least `gap` pixels apart."""
        step = self.step_us(gap)
        first = -(-self.start_us // step) * step
        return [(at, tick_label(at, step)) for at in range(first, self.end_us + 1, step)]


def tick_label(at_us: int, step_us: int) -> str:
    """What a tick says: a day, or a time as fine as its step; midnight names the new day."""
    at = from_us(at_us)
    if step_us >= DAY_US or (at_us % DAY_US == 0 and step_us >= HOUR_US):
        return f"{at:%a} {at.day}" if step_us < 28 * DAY_US else f"{at.day} {at:%b %y}"
    if step_us >= MINUTE_US:
        return f"{at:%H:%M}"
    if step_us >= SECOND_US:
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M:%S}.{at.microsecond // 100_000}"


def columns(spans: Sequence[tuple[int, int]], axis: Axis) -> list[tuple[float, float]]:
    """The pixel columns that spans touch, merged: at most `axis.width` intervals, however many spans there are."""
    count = max(1, round(axis.width))
    touched = bytearray(count)
    scale = count / (axis.end_us - axis.start_us)
    for start, end in spans:
        if end < axis.start_us or start > axis.end_us:
            continue
        first = max(0, min(count - 1, int((start - axis.start_us) * scale)))
        last = max(first, min(count - 1, int((end - axis.start_us) * scale)))
        touched[first : last + 1] = b"\x01" * (last + 1 - first)
    merged, begin = [], None
    for column in [*range(count), None]:
        on = column is not None and touched[column]
        if on and begin is None:
            begin = column
        elif not on and begin is not None:
            until = count if column is None else column
            merged.append((axis.left + begin * axis.width / count, axis.left + until * axis.width / count))
            begin = None
    return merged


def load(spans: Sequence[tuple[int, int]], axis: Axis, buckets: int) -> list[float]:
    """How many spans run at once, on average, in each of `buckets` equal parts of the axis."""
    size = (axis.end_us - axis.start_us) / buckets
    # Differences first, one sum afterwards: the cost is per span, not per span and column.
    partial = [0.0] * (buckets + 1)
    whole = [0] * (buckets + 2)
    for start, end in spans:
        low = (max(start, axis.start_us) - axis.start_us) / size
        high = (min(end, axis.end_us) - axis.start_us) / size
        if high <= low:
            continue
        first, last = int(low), min(int(high), buckets)
        if first == last:
            partial[first] += high - low
            continue
        partial[first] += first + 1 - low
        partial[last] += high - last
        whole[first + 1] += 1
        whole[last] -= 1
    result, running = [], 0
    for bucket in range(buckets):
        running += whole[bucket]
        result.append(running + partial[bucket])
    return result


def span_words(value_us: int) -> str:
    """A stretch of time for people: "0.42 s", "12.3 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"."""
    value_us = abs(value_us)
    if value_us < 10 * SECOND_US:
        return f"{value_us / SECOND_US:.2f} s"
    if value_us < 100 * SECOND_US:
        return f"{value_us / SECOND_US:.1f} s"
    seconds = round(value_us / SECOND_US)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    minutes = round(value_us / MINUTE_US)
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(value_us / HOUR_US)
    return f"{hours // 24} d {hours % 24} h"


def clock_words(at_us: int, near_us: int, *, seconds: bool = False) -> str:
    """HH:MM (or HH:MM:SS) in UTC, with the weekday when it is not on the UTC day of `near_us`."""
    at = from_us(at_us)
    text = f"{at:%H:%M:%S}" if seconds else f"{at:%H:%M}"
    return text if at_us // DAY_US == near_us // DAY_US else f"{at:%a} {text}"
