"""Sums over the last so many sessions, made so that a night's value is bit for bit the bulk load's.

Each sum adds one session after the other, newest first, for all cells at once. IEEE addition of two numbers does not
depend on what stands beside them, so the result of a session does not depend on how many others are computed with it.
(A running sum, a prefix sum or a matrix product would be faster and would differ in the last digits.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl

from prometheus.stores.wide import FloatArray

SESSIONS_PER_YEAR = 252

# A window whose sessions are known to at least this share has a value; below, it has none.
COVERAGE = 0.8


# Wide histories are worked through in slabs of columns that stay in the processor's cache; columns are independent.
SLAB = 64


def compounded(returns: FloatArray, window: int) -> FloatArray:
    """The simple return over the last `window` sessions.

    None for a session without its own return or with a window known to less than `COVERAGE`; a missing session inside
    the window counts as no move.
    """
    return _by_slab(_compounded, returns, window)


def deviation(returns: FloatArray, window: int) -> FloatArray:
    """Sample standard deviation of the last `window` sessions (divisor n - 1), with the coverage rule."""
    return _by_slab(_deviation, returns, window)


def ewma_deviation(returns: FloatArray, decay: float, window: int, minimum: int) -> FloatArray:
    """Exponentially weighted root mean square: weights `decay`**lag over the last `window` sessions, summing to 1.

    Missing sessions have no weight. None for a session without its own return or with fewer than `minimum` known.
    """
    return _by_slab(_ewma_deviation, returns, decay, window, minimum)


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of the values known in the last `window` sessions, with the coverage rule."""
    return _by_slab(_rolling_mean, values, window)


def rolling_median(values: FloatArray, window: int) -> FloatArray:
    """Median of the values known in the last `window` sessions, with the coverage rule.

    A median is one or two of its values, so the order in which they are looked at has no say in its digits.
    """
    if not values.size:
        return values.copy()
    known = pl.from_numpy(values).fill_nan(None)
    found = known.select(pl.all().rolling_median(window, min_samples=math.ceil(COVERAGE * window)))
    return np.where(np.isnan(values), np.nan, found.fill_null(float("nan")).to_numpy())


def slope(returns: FloatArray, market: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Least squares slope of each column on `market` (days,) over the last `window` sessions, and its error variance.

    Over the sessions in which both are known, with the coverage rule; none where the market did not move.
    """
    found, error = np.empty_like(returns), np.empty_like(returns)
    for first in range(0, returns.shape[1], SLAB):
        part = slice(first, first + SLAB)
        found[:, part], error[:, part] = _slope(np.ascontiguousarray(returns[:, part]), market, window)
    return found, error


def below_high(returns: FloatArray, window: int) -> FloatArray:
    """The loss from the highest price of the last `window` sessions, as a share in [0, 1]; with the coverage rule.

    A missing session counts as no move.
    """
    return _by_slab(_below_high, returns, window)


def _compounded(returns: FloatArray, window: int) -> FloatArray:
    known = ~np.isnan(returns)
    growth = np.where(known, 1.0 + returns, 1.0)
    product, count = growth.copy(), known.astype(np.float64)
    for lag in range(1, min(window, len(returns))):
        product[lag:] *= growth[:-lag]
        count[lag:] += known[:-lag]
    return np.where(known & (count >= COVERAGE * window), product - 1.0, np.nan)


def _deviation(returns: FloatArray, window: int) -> FloatArray:
    known = ~np.isnan(returns)
    filled = np.where(known, returns, 0.0)
    total, count = _sum(filled, window), _sum(known.astype(np.float64), window)
    enough = known & (count >= max(COVERAGE * window, 2.0))
    mean = total / np.maximum(count, 1.0)
    squares = known * (filled - mean) ** 2
    for lag in range(1, min(window, len(returns))):
        apart = filled[:-lag] - mean[lag:]
        apart *= apart
        apart *= known[:-lag]
        squares[lag:] += apart
    return np.where(enough, np.sqrt(squares / np.maximum(count - 1.0, 1.0)), np.nan)


def _ewma_deviation(returns: FloatArray, decay: float, window: int, minimum: int) -> FloatArray:
    known = ~np.isnan(returns)
    squared = np.where(known, returns, 0.0) ** 2
    total, count = squared.copy(), known.astype(np.float64)
    mass = count.copy()
    weight = 1.0
    for lag in range(1, min(window, len(returns))):
        weight *= decay
        total[lag:] += weight * squared[:-lag]
        mass[lag:] += weight * known[:-lag]
        count[lag:] += known[:-lag]
    enough = known & (count >= minimum)
    return np.where(enough, np.sqrt(total / np.where(mass > 0.0, mass, 1.0)), np.nan)


def _rolling_mean(values: FloatArray, window: int) -> FloatArray:
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    total, count = _sum(filled, window), _sum(known.astype(np.float64), window)
    return np.where(known & (count >= COVERAGE * window), total / np.maximum(count, 1.0), np.nan)


def _slope(returns: FloatArray, market: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    known = ~np.isnan(returns) & ~np.isnan(market)[:, None]
    across = np.where(known, market[:, None], 0.0)
    own = np.where(known, returns, 0.0)
    count = _sum(known.astype(np.float64), window)
    enough = known & (count >= max(COVERAGE * window, 3.0))
    count = np.maximum(count, 3.0)
    own_sum, across_sum = _sum(own, window), _sum(across, window)
    moved = _sum(across * across, window) - across_sum * across_sum / count
    together = _sum(own * across, window) - own_sum * across_sum / count
    alone = _sum(own * own, window) - own_sum * own_sum / count
    enough &= moved > 0.0
    moved = np.where(enough, moved, 1.0)
    found = together / moved
    left = np.maximum(alone - found * together, 0.0)
    return np.where(enough, found, np.nan), np.where(enough, left / (count - 2.0) / moved, np.nan)


def _sum(values: FloatArray, window: int) -> FloatArray:
    total = values.copy()
    for lag in range(1, min(window, len(values))):
        total[lag:] += values[:-lag]
    return total


def _below_high(returns: FloatArray, window: int) -> FloatArray:
    known = ~np.isnan(returns)
    growth = np.where(known, 1.0 + returns, 1.0)
    since, count = np.ones_like(growth), known.astype(np.float64)
    lowest = np.ones_like(growth)  # of the price now over an earlier one: the earlier one was the high
    for lag in range(1, min(window, len(returns))):
        since[lag:] *= growth[1 : len(growth) - lag + 1]
        lowest[lag:] = np.minimum(lowest[lag:], since[lag:])
        count[lag:] += known[:-lag]
    return np.where(known & (count >= COVERAGE * window), 1.0 - lowest, np.nan)


def _by_slab(function: Callable[..., FloatArray], returns: FloatArray, *arguments: float) -> FloatArray:
    out = np.empty_like(returns)
    for first in range(0, returns.shape[1], SLAB):
        block = np.ascontiguousarray(returns[:, first : first + SLAB])
        out[:, first : first + SLAB] = function(block, *arguments)
    return out
