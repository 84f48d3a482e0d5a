"""What samples say of a share, and how sure that is: a promise missed in 3 of 200 nights."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum, lgamma, log, sqrt

TWO_SIDED = 1.959964  # standard deviations of the normal distribution: 95 % lie within
SURE = 0.05  # a chance so small is taken for none: one-sided, 95 % sure


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many samples."""

    count: int
    samples: int  # at least 1

    @property
    def value(self) -> float:
        return self.count / self.samples

    def interval(self, deviations: float = TWO_SIDED) -> tuple[float, float]:
        """Wilson's interval (JASA 1927): honest near 0 and 1, where promises are; 95 % with the default."""
        n, p = self.samples, self.value
        spread = deviations**2 / n
        middle = p + spread / 2
        half = deviations * sqrt((p * (1 - p) + spread / 4) / n)
        return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def at_most(count: int, samples: int, share: float) -> float:
    """The binomial chance that no more than `count` of the samples have what a `share` of all (between 0 and 1) have."""
    if count >= samples:
        return 1.0
    per, other = log(share), log(1 - share)
    chances = (
        lgamma(samples + 1)
        - lgamma(hits + 1)
        - lgamma(samples - hits + 1)
        + hits * per
        + (samples - hits) * other
        for hits in range(count + 1)
    )
    return min(1.0, fsum(map(exp, chances)))
