"""What trading costs: fees and half the spread, linear, and the price that one's own trade moves, convex.

Market impact follows the square-root law: trading X dollars of a name that trades V a session, with daily volatility s,
moves its price by c x s x sqrt(X / V) (Grinold and Kahn, "Active Portfolio Management", 2000, chapter 16, with c about 1;
Almgren, Thum, Hauptmann and Li, "Direct estimation of equity market impact", Risk 2005, find the exponent 0.6). The cost
grows with the power 3/2 of the trade. Weights are shares of capital, so for capital C a change of weight d costs

    (fees + half spread) x |d| + c x s x sqrt(C / V) x |d|^(3/2)

of the capital. A spread that widens in a crisis is not modelled; the volatility in the impact is the model's of the night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prometheus.stores.wide import FloatArray

# A name whose traded dollars are not known, or are nearly none, is priced as if it traded this much a session.
LEAST_DOLLARS = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What trading each of n instruments costs, per unit of weight: `linear` x |d|, and `impact` x |d|^(3/2)."""

    fees: float
    half_spread: FloatArray
    impact: FloatArray

    @property
    def linear(self) -> FloatArray:
        return self.fees + self.half_spread

    def of(self, traded: FloatArray) -> Bill:
        """The bill for changes of weight, in shares of capital."""
        size = np.abs(traded)
        return Bill(
            fees=self.fees * float(size.sum()),
            spread=float(self.half_spread @ size),
            impact=float(self.impact @ size**1.5),
        )

    def each(self, traded: FloatArray) -> FloatArray:
        """What each instrument's change of weight costs."""
        size = np.abs(traded)
        found: FloatArray = self.linear * size + self.impact * size**1.5
        return found


@dataclass(frozen=True, slots=True)
class Bill:
    """Costs by their kind, in shares of capital."""

    fees: float
    spread: float
    impact: float

    @property
    def total(self) -> float:
        return self.fees + self.spread + self.impact

    def plus(self, other: Bill) -> Bill:
        return Bill(self.fees + other.fees, self.spread + other.spread, self.impact + other.impact)


def price(
    dollars: FloatArray,
    daily_volatility: FloatArray,
    *,
    fees: float,
    half_spreads: Sequence[tuple[float, float]],
    widest: float,
    impact: float,
    capital: float,
) -> Prices:
    """The prices of n instruments from their median traded dollars (NaN: not known) and daily volatility."""
    traded = np.maximum(np.nan_to_num(dollars, nan=0.0), LEAST_DOLLARS)
    spread = np.full(len(traded), widest)
    for least, half in sorted(half_spreads):
        spread[traded >= least] = half
    return Prices(fees, spread, impact * daily_volatility * np.sqrt(capital / traded))
