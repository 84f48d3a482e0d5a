"""The optimisation as values: what goes into a solver and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from prometheus.core.errors import UserError
from prometheus.stores.wide import FloatArray

Limit = Literal["min_invested", "turnover", "max_volatility"]

# The loosest value of each limit that may be relaxed: there it forbids nothing that the others allow.
LOOSEST: Mapping[Limit, float] = {"min_invested": 0.0, "turnover": 1.0, "max_volatility": 10.0}


class NoPortfolioError(UserError):
    """No portfolio satisfies the limits, even with all that may be relaxed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the weights. `turnover` is None for a first portfolio; volatility is annualised."""

    max_weight: float
    max_gross: float
    min_invested: float
    turnover: float | None
    max_volatility: float

    def value(self, name: Limit) -> float | None:
        return {
            "min_invested": self.min_invested,
            "turnover": self.turnover,
            "max_volatility": self.max_volatility,
        }[name]

    def with_value(self, name: Limit, value: float) -> Limits:
        if name == "min_invested":
            return replace(self, min_invested=value)
        if name == "turnover":
            return replace(self, turnover=value)
        return replace(self, max_volatility=value)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Choose weights (n) that maximise expected return - risk aversion / 2 x variance - cost x traded.

    All over one horizon of `horizon` sessions. Covariance of daily returns = exposures @ exposures.T + diag(specific).
    `held` are the weights before; `sold` is the weight of what is held and may not be: it is sold whatever is decided.
    """

    expected: FloatArray
    exposures: FloatArray
    specific_var: FloatArray
    held: FloatArray
    sold: float
    risk_aversion: float
    cost: float
    horizon: int

    def variance(self, weights: FloatArray) -> float:
        """Daily variance of the portfolio."""
        factors = self.exposures.T @ weights
        return float(factors @ factors + self.specific_var @ weights**2)

    def turnover(self, weights: FloatArray) -> float:
        """One-way: half of all that changes hands, cash included."""
        traded = float(np.abs(weights - self.held).sum()) + self.sold
        cash = abs(float(weights.sum()) - float(self.held.sum()) - self.sold)
        return 0.5 * (traded + cash)


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


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Weights (n), the limits they obey, which of them bind, and which were relaxed."""

    weights: FloatArray
    limits: Limits
    relaxed: tuple[Relaxation, ...]
    binding: tuple[Binding, ...]
