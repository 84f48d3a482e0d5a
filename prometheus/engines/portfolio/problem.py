"""The optimisation as values: what goes into a solver and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from prometheus.core.errors import UserError
from prometheus.engines.portfolio.costs import Prices
from prometheus.stores.wide import BoolArray, FloatArray

Limit: TypeAlias = Literal["min_invested", "sector_band", "max_fragility", "turnover", "max_volatility"]

# The loosest value of each limit that may be relaxed: there it forbids nothing that the others allow.
LOOSEST: Mapping[Limit, float] = {
    "min_invested": 0.0,
    "sector_band": 1.0,
    "max_fragility": 1.0,
    "turnover": 1.0,
    "max_volatility": 10.0,
}


class NoPortfolioError(UserError):
    """No portfolio satisfies the limits, even with all that may be relaxed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the weights. `turnover` is None for a first portfolio; volatility is annualised; None = no such limit."""

    max_weight: float
    max_gross: float
    min_invested: float
    turnover: float | None
    max_volatility: float
    max_fragility: float | None = None
    sector_band: float | None = None
    max_exposures: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        found: float | None = getattr(self, name)
        return found

    def with_value(self, name: Limit, value: float) -> Limits:
        change: dict[str, Any] = {name: value}
        return replace(self, **change)

    def inward(self, guard: float) -> Limits:
        """The limits drawn in by `guard`, where the others leave room for that."""
        return replace(
            self,
            min_invested=max(min(self.min_invested + guard, self.max_gross), self.min_invested),
            turnover=None if self.turnover is None else max(self.turnover - guard, 0.0),
            max_volatility=self.max_volatility - guard,
            max_fragility=None if self.max_fragility is None else max(self.max_fragility - guard, 0.0),
            sector_band=None if self.sector_band is None else max(self.sector_band - guard, 0.0),
            max_exposures={name: bound - guard for name, bound in self.max_exposures.items()},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sectors:
    """Who is in which sector: `member` (sectors, n) is 0 or 1, `share` each sector's part of an equal-weight universe."""

    names: tuple[str, ...]
    member: FloatArray
    share: FloatArray

    def active(self, weights: FloatArray) -> FloatArray:
        """Each sector's weight beyond its share of what is invested."""
        found: FloatArray = self.member @ weights - self.share * weights.sum()
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Choose weights (n) that maximise expected return - risk aversion / 2 x variance - costs of trading.

    All over one horizon of `horizon` sessions. Covariance of daily returns = exposures @ exposures.T + diag(specific).
    `held` are the weights before; `sold` is the weight of what is held and may not be: it is sold whatever is decided.
    What is `leaving` may not be bought and is sold before all else, as fast as the limits allow.
    """

    expected: FloatArray
    exposures: FloatArray
    specific_var: FloatArray
    held: FloatArray
    sold: float
    risk_aversion: float
    prices: Prices
    horizon: int
    leaving: BoolArray
    fragility: FloatArray | None = None
    sectors: Sectors | None = None
    styles: Mapping[str, FloatArray] = field(default_factory=dict)

    def variance(self, weights: FloatArray) -> float:
        """Daily variance of the portfolio."""
        factors = self.exposures.T @ weights
        return float(factors @ factors + self.specific_var @ weights**2)

    def turnover(self, weights: FloatArray) -> float:
        """One-way: half of all that changes hands, cash included."""
        traded = float(np.abs(weights - self.held).sum()) + self.sold
        cash = abs(float(weights.sum()) - float(self.held.sum()) - self.sold)
        return 0.5 * (traded + cash)

    def ceiling(self, limits: Limits) -> FloatArray:
        """The largest weight of each instrument."""
        return np.where(self.leaving, np.minimum(self.held, limits.max_weight), limits.max_weight)

    def excess(self, limits: Limits, weights: FloatArray, sessions_per_year: int) -> float:
        """By how much the weights break the limit that they break most; 0 or less if they break none."""
        invested = float(weights.sum())
        over = [
            invested - limits.max_gross,
            limits.min_invested - invested,
            float(np.sqrt(self.variance(weights) * sessions_per_year)) - limits.max_volatility,
            float(np.max(weights - self.ceiling(limits), initial=0.0)),
            float(np.max(-weights, initial=0.0)),
        ]
        if limits.turnover is not None:
            over.append(self.turnover(weights) - limits.turnover)
        if self.fragility is not None and limits.max_fragility is not None:
            over.append(float(self.fragility @ weights) - limits.max_fragility)
        if self.sectors is not None and limits.sector_band is not None:
            over.append(float(np.max(np.abs(self.sectors.active(weights)))) - limits.sector_band)
        over += [
            abs(float(self.styles[name] @ weights)) - bound for name, bound in limits.max_exposures.items()
        ]
        return max(over)


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A limit that had to give way, and why."""

    limit: str
    declared: float
    used: float
    why: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that holds the portfolio back: what one more unit of it would be worth (shadow price, per horizon)."""

    limit: str
    value: float
    shadow_price: float
    instruments: tuple[int, ...] = ()  # positions, for limits on single weights
    groups: tuple[str, ...] = ()  # sectors or styles, for limits on those


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Weights (n), the limits they obey, which of them bind, and which were relaxed.

    `conflict` names limits no portfolio meets together while any of them could be dropped (empty: all could be met).
    `lacking` (n) is how much more an instrument with no weight would have to be expected to return, per horizon, to be
    bought. `solver` is the one whose answer was taken.
    """

    weights: FloatArray
    limits: Limits
    relaxed: tuple[Relaxation, ...]
    binding: tuple[Binding, ...]
    conflict: tuple[str, ...]
    lacking: FloatArray
    solver: str
