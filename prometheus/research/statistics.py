"""What a series of daily returns says, and how little: each figure with its error where one is known.

Annual figures take 252 sessions. Sharpe ratios are over a cash return of zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np

from prometheus.stores.wide import FloatArray

SESSIONS_PER_YEAR = 252
EULER_MASCHERONI = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Sharpe:
    """Annual Sharpe ratio and its standard error."""

    ratio: float
    error: float


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The largest loss from a high, as a share of it: from the close of `high` to the close of `low`."""

    loss: float
    high: date | None  # None: it began at the start
    low: date | None  # None: there was no loss


def annual_return(returns: FloatArray) -> float:
    """Compounded, a year."""
    return math.pow(float(np.prod(1.0 + returns)), SESSIONS_PER_YEAR / len(returns)) - 1.0


def annual_volatility(returns: FloatArray) -> float:
    """Sample standard deviation, a year."""
    return float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sharpe(returns: FloatArray) -> Sharpe | None:
    """Ratio and standard error if returns are independent (Lo, "The statistics of Sharpe ratios", FAJ 2002, eq. 9).

    None for fewer than two returns or returns that do not vary.
    """
    if len(returns) < 2 or not (spread := float(returns.std(ddof=1))) > 0.0:
        return None
    daily = float(returns.mean()) / spread
    year = math.sqrt(SESSIONS_PER_YEAR)
    return Sharpe(daily * year, math.sqrt((1.0 + 0.5 * daily**2) / len(returns)) * year)


def drawdown(days: tuple[date, ...], returns: FloatArray) -> Drawdown:
    """The worst of all losses from a high; returns of `days`."""
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    losses = 1.0 - wealth / np.maximum.accumulate(wealth)
    low = int(np.argmax(losses))
    if losses[low] <= 0.0:
        return Drawdown(0.0, None, None)
    high = int(np.argmax(wealth[: low + 1]))
    return Drawdown(float(losses[low]), days[high - 1] if high else None, days[low - 1])


def deflated_sharpe(returns: FloatArray, trials: int) -> float | None:
    """Probability that the true Sharpe ratio is above what the best of `trials` worthless strategies would show.

    Bailey and Lopez de Prado, "The deflated Sharpe ratio" (JPM 2014). The variance of the trials' ratios is taken as that
    of estimates of zero from as many returns: 1 / (n - 1). None where there is no ratio.
    """
    if sharpe(returns) is None:
        return None
    daily = float(returns.mean() / returns.std(ddof=1))
    centred = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((centred**3).mean()), float((centred**4).mean())
    count = len(returns)
    return exceeds(daily, luck(trials, 1.0 / (count - 1)), count, skew, kurtosis)


def luck(trials: int, variance: float) -> float:
    """The expected largest Sharpe ratio of `trials` independent ones of mean zero and that variance; 0 for one."""
    if trials < 2:
        return 0.0
    normal = NormalDist()
    first = normal.inv_cdf(1.0 - 1.0 / trials)
    second = normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def exceeds(ratio: float, benchmark: float, count: int, skew: float, kurtosis: float) -> float:
    """Probability that the true ratio (a period) is above `benchmark`, given skewness and kurtosis (3 = normal)."""
    spread = math.sqrt(max(1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2, 1e-12))
    return NormalDist().cdf((ratio - benchmark) * math.sqrt(count - 1) / spread)
