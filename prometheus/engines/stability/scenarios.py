"""How much would be lost in a storm? Losses are shares of value, positive; NaN = not known.

- the market falls: beta times the fall. Beta is the slope on the equal-weighted market over 252 sessions, drawn
  towards the cross-section's mean by its own imprecision (Vasicek, "A note on using cross-sectional information in
  Bayesian estimation of security betas", JF 1973)
- volatility multiplies: the loss of a month that one in twenty exceeds, if returns were normal with that volatility
- liquidity dries up: what selling a position in one session moves the price, by Amihud's return per dollar (JFM 2002),
  when the dollars traded fall to a share of what they were
- an episode of the past: the own return over its sessions where it traded in nearly all of them, else beta times the
  market's
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from prometheus.stores.wide import FloatArray

COVERAGE = 0.8  # of the sessions of a window
MONTH_OF_YEAR = 21 / 252
ONE_IN_TWENTY = NormalDist().inv_cdf(0.95)


def betas(returns: FloatArray, market: FloatArray) -> FloatArray:
    """Shrunk slopes of each column of `returns` (sessions, instruments) on `market` (sessions)."""
    known = ~np.isnan(returns) & ~np.isnan(market)[:, None]
    count = known.sum(axis=0)
    enough = count >= max(COVERAGE * len(returns), 3)
    held = np.maximum(count, 3)
    own = np.where(known, returns, 0.0)
    moved = np.where(known, market[:, None], 0.0)
    apart = np.where(known, moved - moved.sum(axis=0) / held, 0.0)
    own = np.where(known, own - own.sum(axis=0) / held, 0.0)
    spread = (apart * apart).sum(axis=0)
    usable = enough & (spread > 0.0)
    slope = (apart * own).sum(axis=0) / np.where(spread > 0.0, spread, 1.0)
    rest = own - slope * apart
    error = (rest * rest).sum(axis=0) / (held - 2) / np.where(spread > 0.0, spread, 1.0)
    if usable.sum() < 3:
        return np.where(usable, slope, np.nan)
    mean, across = float(slope[usable].mean()), float(slope[usable].var())
    weight = across / np.maximum(across + error, 1e-12)
    return np.where(usable, weight * slope + (1.0 - weight) * mean, np.nan)


def in_a_month(volatility: FloatArray, factor: float) -> FloatArray:
    """Loss of a month which one in twenty exceeds, at `factor` times the annualised `volatility`; at most all."""
    return np.minimum(ONE_IN_TWENTY * factor * volatility * math.sqrt(MONTH_OF_YEAR), 1.0)


def price_impact(returns: FloatArray, dollars: FloatArray) -> FloatArray:
    """Amihud's mean of |return| per dollar traded over the sessions given."""
    impact = np.abs(returns) / np.where(dollars > 0.0, dollars, np.nan)
    known = ~np.isnan(impact)
    count = known.sum(axis=0)
    mean = np.where(known, impact, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(count >= COVERAGE * len(returns), mean, np.nan)


def selling(impact: FloatArray, dollars: FloatArray | float, dry_up: float) -> FloatArray:
    """What selling `dollars` in one session costs, the dollars traded being `dry_up` of what they were; at most all."""
    return np.minimum(impact * dollars / dry_up, 1.0)


def through(returns: FloatArray, market_loss: float, beta: FloatArray) -> FloatArray:
    """Losses over the sessions of an episode (sessions, instruments); where unknown, beta times the market's."""
    known = ~np.isnan(returns)
    traded = known.mean(axis=0) >= 0.95
    own = 1.0 - np.prod(np.where(known, 1.0 + returns, 1.0), axis=0)
    return np.where(traded, own, np.minimum(beta * market_loss, 1.0))
