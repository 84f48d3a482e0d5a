"""What has a forecast of 30 % meant so far?

A straight line on log odds (Platt, 1999), fitted on forecasts whose outcome is known: it corrects what is too sure or too
timid everywhere, never changes which of two promises is in more danger, and with little to learn from stays near what
was drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log

from prometheus.forecast.scoring import Foretold

_LEAST = 0.002  # shares nearer to 0 or 1 than this are not told apart
_PRIOR = 16.0  # weight of "as drawn": the inverse variance of slope - 1 and of shift; few nights are to change little
_ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Calibration:
    """log odds of a miss = shift + slope * log odds of what was drawn. `count` = promises that it was learned from."""

    slope: float = 1.0
    shift: float = 0.0
    count: int = 0

    def of(self, share: float) -> float:
        """The probability that a share of samples has meant."""
        if not self.count:
            return share
        return _logistic(self.shift + self.slope * _odds(share))


AS_DRAWN = Calibration()


def learn(foretold: Sequence[Foretold]) -> Calibration:
    """From past forecasts as drawn, whose outcome is known; Newton's method, held near `AS_DRAWN` while they are few.

    The forecasts of one promise share its outcome, so each promise counts once, however often it was forecast.
    """
    if not foretold:
        return AS_DRAWN
    times = Counter(one.slo_id for one in foretold)
    counts = [1 / times[one.slo_id] for one in foretold]
    known = [(_odds(one.miss), float(one.missed)) for one in foretold]
    slope, shift = 1.0, 0.0
    for _ in range(_ROUNDS):
        fitted = [_logistic(shift + slope * odds) for odds, _ in known]
        weights = [
            count * max(1e-9, value * (1 - value)) for value, count in zip(fitted, counts, strict=True)
        ]
        apart = [
            count * (value - missed) for value, (_, missed), count in zip(fitted, known, counts, strict=True)
        ]
        g0 = fsum(apart) + _PRIOR * shift
        g1 = fsum(a * odds for a, (odds, _) in zip(apart, known, strict=True)) + _PRIOR * (slope - 1)
        h00 = fsum(weights) + _PRIOR
        h01 = fsum(w * odds for w, (odds, _) in zip(weights, known, strict=True))
        h11 = fsum(w * odds * odds for w, (odds, _) in zip(weights, known, strict=True)) + _PRIOR
        scale = h00 * h11 - h01 * h01
        step0, step1 = (h11 * g0 - h01 * g1) / scale, (h00 * g1 - h01 * g0) / scale
        shift, slope = shift - step0, slope - step1
        if abs(step0) + abs(step1) < 1e-9:
            break
    return Calibration(max(slope, 0.05), shift, len(times))


def _odds(share: float) -> float:
    kept = min(max(share, _LEAST), 1 - _LEAST)
    return log(kept / (1 - kept))


def _logistic(value: float) -> float:
    if value >= 0:
        return 1 / (1 + exp(-value))
    return exp(value) / (1 + exp(value))
