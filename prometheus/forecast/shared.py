"""Are tonight's tasks of one market slow together?

What slows one task of a night (a late vendor, a volatile day, a busy disk) often slows its neighbours. So the tasks of a
group share a factor of the night. How much nights differ is learned from past ones; tonight's factor is inferred from the
tasks that have ended, and from those that run longer than they use to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, fsum, log, sqrt
from statistics import NormalDist

from prometheus.forecast.durations import Curve

_NORMAL = NormalDist()
_STEPS = 24  # of the grid on which a factor is inferred
_WIDTH = 3.0  # of the grid, in spreads to either side


@dataclass(frozen=True, slots=True)
class Factor:
    """What is known of a group's factor tonight: values of its logarithm and how much lies up to each."""

    values: tuple[float, ...]
    cumulated: tuple[float, ...]

    def at(self, share: float) -> float:
        """The `share` quantile, between neighbours in proportion."""
        place = bisect_left(self.cumulated, share)
        if place == 0 or place == len(self.cumulated):
            return self.values[min(place, len(self.values) - 1)]
        low, high = self.cumulated[place - 1], self.cumulated[place]
        return self.values[place - 1] + (share - low) / (high - low) * (
            self.values[place] - self.values[place - 1]
        )


def own_spread(curve: Curve, shared: float) -> float:
    """What a task's log durations spread by themselves, without what its group shares (at least half of all)."""
    return sqrt(max(curve.spread**2 - shared**2, curve.spread**2 / 4))


def infer(shared: float, ended: Iterable[tuple[Curve, int]], running: Iterable[tuple[Curve, int]]) -> Factor:
    """The factor of a group whose nights spread by `shared`.

    From the tasks that have ended with what they took, and those that run with what they have run so far.
    """
    step = 2 * _WIDTH * shared / _STEPS
    grid = [(place - _STEPS / 2) * step for place in range(_STEPS + 1)]
    found = [-0.5 * (value / shared) ** 2 for value in grid]
    for curve, duration_us in ended:
        spread = _telling(curve, shared)
        if spread:
            apart = log(max(1, duration_us)) - curve.mean
            found = [
                known - 0.5 * ((apart - value) / spread) ** 2
                for known, value in zip(found, grid, strict=True)
            ]
    for curve, elapsed_us in running:
        spread = _telling(curve, shared)
        if spread and elapsed_us > 0:
            apart = log(elapsed_us) - curve.mean
            found = [
                known + log(max(1e-12, _NORMAL.cdf((value - apart) / spread)))
                for known, value in zip(found, grid, strict=True)
            ]
    most = max(found)
    weights = [exp(value - most) for value in found]
    total = fsum(weights)
    # A weight lies about its value, not beyond it: half of it counts before.
    cumulated = tuple(
        (up_to - weight / 2) / total for up_to, weight in zip(accumulate(weights), weights, strict=True)
    )
    return Factor(tuple(grid), cumulated)


def learned_spread(nights: Iterable[Sequence[tuple[Curve, int]]]) -> float:
    """How much nights differ, from the tasks of past nights with what they took: the component of variance between.

    By the method of moments, with each night weighted alike. Nights of fewer than two tasks say nothing; 0 without any.
    """
    between, noise, count = [], [], 0
    for night in nights:
        apart = [log(max(1, duration_us)) - curve.mean for curve, duration_us in night if curve.spread]
        if len(apart) < 2:
            continue
        mean = fsum(apart) / len(apart)
        between.append(mean)
        noise.append(fsum((value - mean) ** 2 for value in apart) / (len(apart) - 1) / len(apart))
        count += 1
    if count < 2:
        return 0.0
    centre = fsum(between) / count
    variance = fsum((value - centre) ** 2 for value in between) / (count - 1)
    return sqrt(max(0.0, variance - fsum(noise) / count))


def _telling(curve: Curve, shared: float) -> float:
    """How exactly one duration tells the factor: the task's own spread, and how well its mean is known."""
    if not curve.spread:
        return 0.0
    return sqrt(own_spread(curve, shared) ** 2 + curve.spread**2 / curve.count)
