"""The one module that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where `now` comes from, and whether idle time may be skipped."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""

    def skip_to(self, at_us: int) -> bool:
        """Jump to a later instant, because nothing happens before it; False if this clock cannot."""


class LiveClock:
    """The clock on the wall."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def skip_to(self, at_us: int) -> bool:
        return False


class ReplayClock:
    """A past night's clock: starts at an instant, advances by real durations, and jumps over idle gaps."""

    def __init__(self, start_us: int) -> None:
        self._start_us = start_us
        self._begun_ns = time.monotonic_ns()

    def now_us(self) -> int:
        return self._start_us + (time.monotonic_ns() - self._begun_ns) // 1_000

    def skip_to(self, at_us: int) -> bool:
        self._start_us += max(0, at_us - self.now_us())
        return True


def monotonic_us() -> int:
    """For durations: never goes back, means nothing by itself."""
    return time.monotonic_ns() // 1_000


def pause(duration_us: int) -> None:
    """Wait, while a store that cannot be reached comes back."""
    time.sleep(duration_us / 1_000_000)
