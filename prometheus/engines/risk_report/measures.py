"""Value at risk, expected shortfall and where the risk comes from, of a portfolio over one session.

Losses are positive shares of capital. Parametric figures take the factor model's volatility and a normal distribution;
historical ones take the returns that tonight's weights would have had (McNeil, Frey and Embrechts, "Quantitative Risk
Management", 2015, sections 2.2 and 2.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from prometheus.stores.wide import FloatArray


@dataclass(frozen=True, slots=True)
class Loss:
    """Value at risk and expected shortfall at one confidence level."""

    var: float
    es: float


def parametric(daily_volatility: float, level: float) -> Loss:
    """Of a normal distribution with mean zero."""
    normal = NormalDist()
    quantile = normal.inv_cdf(level)
    return Loss(daily_volatility * quantile, daily_volatility * normal.pdf(quantile) / (1.0 - level))


def historical(returns: FloatArray, level: float) -> Loss:
    """Of the empirical distribution: VaR is the smallest loss exceeded with probability at most 1 - level.

    ES is the mean over the worst 1 - level of the distribution, the last observation counted by the part that is in it.
    """
    losses = np.sort(-returns)[::-1]
    tail = (1.0 - level) * len(losses)
    whole = math.floor(tail + 1e-9)
    part = max(tail - whole, 0.0)
    at = min(whole, len(losses) - 1)
    total = float(losses[:whole].sum()) + part * float(losses[at])
    return Loss(float(losses[at]), total / tail)


def risk_shares(weights: FloatArray, exposures: FloatArray, specific_var: FloatArray) -> FloatArray:
    """Each position's share of the portfolio's variance (Euler); sums to 1, or is all 0 for no risk at all."""
    marginal = exposures @ (exposures.T @ weights) + specific_var * weights
    parts = weights * marginal
    total = float(parts.sum())
    shares: FloatArray = parts / total if total > 0.0 else np.zeros_like(parts)
    return shares
