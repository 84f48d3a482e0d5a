"""How long may a task still take, after what it took before?

A history of thirty values ends at the thirtieth, and a task that has run longer than all of them still ends some day. So
the past is smoothed: the logarithms of the durations are laid over the normal scores of their ranks, half the way to the
straight line that a lognormal task would show, and beyond the second score the tail falls off by the power of what has
passed (Pareto): whoever has run longer than ever seen is given in proportion, never nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, fsum, log, sqrt
from statistics import NormalDist

from prometheus.core.day_type import DayType

_NORMAL = NormalDist()
_TAIL = 2.0  # normal score from which on the tail is a power
_TAIL_SHARE = _NORMAL.cdf(-_TAIL)
_TAIL_RATE = _NORMAL.pdf(_TAIL) / _TAIL_SHARE
_STRAIGHT = 0.5  # how far the line of scores is drawn to the straight one
_USUAL_SPREAD = 0.4  # of log durations, while few are known
_USUAL_WEIGHT = 2  # in values
_EFFECT_WEIGHT = 4  # values of a kind of day that weigh as much as "it makes no difference"


@dataclass(frozen=True, slots=True)
class Past:
    """One duration of a job, and the kind of day it was."""

    duration_us: int
    day_type: DayType


def conditioned(history: Sequence[Past], today: DayType) -> tuple[int, ...]:
    """The past durations as they would have been on a day of today's kind, ascending.

    Each kind's effect is the mean of its logarithms against that of all, drawn to nothing while few days of it are known.
    """
    if not history:
        return ()
    logs = [log(max(1, past.duration_us)) for past in history]
    mean = fsum(logs) / len(logs)
    effects = dict.fromkeys(DayType, 0.0)
    for kind in DayType:
        own = [value - mean for value, past in zip(logs, history, strict=True) if past.day_type is kind]
        effects[kind] = fsum(own) / (len(own) + _EFFECT_WEIGHT)
    moved = (
        value - effects[past.day_type] + effects[today] for value, past in zip(logs, history, strict=True)
    )
    return tuple(sorted(round(exp(value)) for value in moved))


class Curve:
    """The smoothed distribution of a task's durations, in logarithms of microseconds."""

    __slots__ = ("_heights", "_scores", "count", "mean", "spread")

    def __init__(self, durations_us: Sequence[int]) -> None:
        """From past durations. One alone, or all alike, are taken at their word: no spread is made up for them."""
        logs = sorted(log(max(1, duration)) for duration in durations_us)
        self.count = count = len(logs)
        assert count, "a task without any past has no curve"
        self.mean = mean = fsum(logs) / count
        squares = fsum((value - mean) ** 2 for value in logs)
        self.spread = 0.0
        self._heights: list[float] = []
        self._scores: tuple[float, ...] = ()
        if squares < 1e-12:
            return
        self.spread = spread = sqrt(
            (squares + _USUAL_WEIGHT * _USUAL_SPREAD**2) / (count - 1 + _USUAL_WEIGHT)
        )
        self._scores = _scores(count)
        straight = [mean + spread * score for score in self._scores]
        self._heights = [
            value + _STRAIGHT * (line - value) for value, line in zip(logs, straight, strict=True)
        ]

    def deviation(self, left: float) -> float:
        """The log duration, from the mean, that the share `left` of all exceeds; 0 < left <= 1."""
        if not self.spread:
            return 0.0
        if left < _TAIL_SHARE:
            return self._at(_TAIL) + self.spread / _TAIL_RATE * log(_TAIL_SHARE / left)
        return self._at(-_NORMAL.inv_cdf(min(left, 1 - 1e-9)))

    def beyond(self, deviation: float, left: float) -> float:
        """The log duration, from the mean, that the share `left` of those longer than `deviation` exceeds; 0 < left <= 1.

        Where none was ever longer and no spread is known, it is the usual one from there on: its word did not hold.
        """
        if not self.spread:
            return 0.0 if deviation < 0 else deviation + _USUAL_SPREAD / _TAIL_RATE * log(1 / left)
        return self.deviation(left * max(self.exceeding(deviation), 1e-280))

    def exceeding(self, deviation: float) -> float:
        """The share of durations whose logarithm lies further above the mean."""
        if not self.spread:
            return 1.0 if deviation < 0 else 0.0
        tail = self._at(_TAIL)
        if deviation > tail:
            return _TAIL_SHARE * exp(-_TAIL_RATE * (deviation - tail) / self.spread)
        return _NORMAL.cdf(-self._score_of(deviation + self.mean))

    def _at(self, score: float) -> float:
        """Deviation at a score, by the broken line; its ends go on in the direction of the straight one."""
        scores, heights = self._scores, self._heights
        above = bisect_left(scores, score)
        if above == 0:
            return heights[0] + self.spread * (score - scores[0]) - self.mean
        if above == len(scores):
            return heights[-1] + self.spread * (score - scores[-1]) - self.mean
        low, high = scores[above - 1], scores[above]
        share = (score - low) / (high - low)
        return heights[above - 1] + share * (heights[above] - heights[above - 1]) - self.mean

    def _score_of(self, height: float) -> float:
        scores, heights = self._scores, self._heights
        above = bisect_left(heights, height)
        if above == 0:
            return scores[0] + (height - heights[0]) / self.spread
        if above == len(scores):
            return scores[-1] + (height - heights[-1]) / self.spread
        low, high = heights[above - 1], heights[above]
        return scores[above - 1] + (height - low) / (high - low) * (scores[above] - scores[above - 1])


@cache
def _scores(count: int) -> tuple[float, ...]:
    """Normal scores of the ranks (Blom, 1958)."""
    return tuple(_NORMAL.inv_cdf((rank - 0.375) / (count + 0.25)) for rank in range(1, count + 1))
