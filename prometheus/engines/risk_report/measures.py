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


@dataclass(frozen=True, slots=True)
class Backtest:
    """How often a loss exceeded its value at risk, how often it should have, and how likely such a difference is."""

    observations: int
    exceedances: int
    expected: float
    statistic: float
    p_value: float


def kupiec(exceedances: int, observations: int, level: float) -> Backtest:
    """The proportion-of-failures test (Kupiec, "Techniques for verifying the accuracy of risk measurement models", 1995).

    The likelihood ratio of the share observed against 1 - `level` is chi-squared with one degree of freedom if the value
    at risk is right; a small p-value says that it is not. Exceedances that come in clusters escape it.
    """
    assert 0 <= exceedances <= observations, "exceedances are some of the observations"
    wanted = 1.0 - level
    if observations == 0:
        return Backtest(0, 0, 0.0, 0.0, 1.0)
    share = exceedances / observations
    statistic = 2.0 * (
        _log_likelihood(share, exceedances, observations) - _log_likelihood(wanted, exceedances, observations)
    )
    statistic = max(statistic, 0.0)
    return Backtest(
        observations, exceedances, wanted * observations, statistic, math.erfc(math.sqrt(statistic / 2.0))
    )


def _log_likelihood(share: float, hits: int, of: int) -> float:
    """Of `hits` among `of` independent draws, each a hit with probability `share`; 0 log 0 is 0."""
    found = hits * math.log(share) if hits else 0.0
    return found + ((of - hits) * math.log1p(-share) if of > hits else 0.0)
