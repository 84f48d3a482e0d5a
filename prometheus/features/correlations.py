"""How closely the market moves together: one row a session.

- mean pairwise correlation over 21 and 63 sessions, from the variance of the sum of standardised returns:
  var(sum z) = n + n (n - 1) rho. Costs one pass, not n squared pairs.
- absorption ratio (Kritzman, Li, Page and Rigobon, "Principal components as a measure of systemic risk", 2011) over 252
  sessions: the share of variance in the largest fifth of the eigenvalues. Of standardised returns, so that one wild
  instrument is not a component of its own, and a fifth of the eigenvalues that can differ from zero, since there
  are more instruments than sessions. Eigenvalues come from the smaller (Gram) matrix.
- the equal-weighted market: return, RiskMetrics EWMA volatility, 21-session volatility.

Each value is computed from its own window of the instruments known in 95 % of it (a missing return counts as the
mean), in the same way whether one session is asked for or ten years.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prometheus.features import volatility
from prometheus.stores.wide import FloatArray

TABLE = "correlation_panels"
MEAN_WINDOWS = (21, 63)
ABSORPTION_WINDOW = 252
ABSORBED_SHARE = 5  # the largest one in five
COVERAGE = 0.95  # of a window; instruments known in less of it are left out

# The market's EWMA reaches back further than one window, each of its days being a mean of that day alone.
LOOKBACK = max(ABSORPTION_WINDOW, volatility.EWMA_WINDOW) - 1

COLUMNS = (
    "instruments",
    "market_return",
    "market_vol_ewma",
    "market_vol_21d",
    *(f"mean_correlation_{window}d" for window in MEAN_WINDOWS),
    "absorption_ratio",
)


def compute(daily: FloatArray, wanted: Sequence[int]) -> dict[str, FloatArray]:
    """`COLUMNS` for the sessions at the positions `wanted` of `daily` (days, instruments); NaN = short history."""
    market = market_returns(daily)
    vol = volatility.compute(market[:, None])
    rows = np.asarray(wanted, dtype=np.intp)
    found = {
        "instruments": (~np.isnan(daily)).sum(axis=1).astype(np.float64)[rows],
        "market_return": market[rows],
        "market_vol_ewma": vol["vol_ewma"][rows, 0],
        "market_vol_21d": vol["vol_21d"][rows, 0],
    }
    for window in MEAN_WINDOWS:
        found[f"mean_correlation_{window}d"] = np.array(
            [mean_correlation(_standardised(daily, row, window)) for row in wanted]
        )
    found["absorption_ratio"] = np.array(
        [absorption_ratio(_standardised(daily, row, ABSORPTION_WINDOW)) for row in wanted]
    )
    return found


def market_returns(daily: FloatArray) -> FloatArray:
    """The mean return of the instruments known in each session; NaN where none is."""
    return np.array([row[known].mean() if (known := ~np.isnan(row)).any() else np.nan for row in daily])


def mean_correlation(standardised: FloatArray | None) -> float:
    """Mean correlation over all pairs of columns of mean 0 and variance 1 (divisor n - 1); NaN without a pair."""
    if standardised is None or standardised.shape[1] < 2:
        return float("nan")
    count = standardised.shape[1]
    return float((standardised.sum(axis=1).var(ddof=1) - count) / (count * (count - 1)))


def absorption_ratio(standardised: FloatArray | None) -> float:
    """Share of the variance that the largest fifth of the non-zero eigenvalues holds; NaN without a pair."""
    if standardised is None or standardised.shape[1] < 2:
        return float("nan")
    rank = min(standardised.shape[0] - 1, standardised.shape[1])
    wide = standardised.shape[1] > standardised.shape[0]
    gram = standardised @ standardised.T if wide else standardised.T @ standardised
    top = max(round(rank / ABSORBED_SHARE), 1)
    # All eigenvalues at once: LAPACK's divide and conquer is twice as fast here as asking for the largest only.
    return float(np.linalg.eigvalsh(gram)[-top:].sum() / np.trace(gram))


def _standardised(daily: FloatArray, row: int, window: int) -> FloatArray | None:
    """The window that ends at `row`, of the instruments known and moving in it; None if history is shorter."""
    if row + 1 < window:
        return None
    block = daily[row + 1 - window : row + 1]
    holes = np.isnan(block)
    missing = holes.sum(axis=0)
    if missing.any():
        covered = missing <= (1.0 - COVERAGE) * window
        block, holes, missing = block[:, covered], holes[:, covered], missing[covered]
    count = window - missing
    # The order in memory decides the order of the sums below, and so their last digits: it is always by rows.
    block = np.ascontiguousarray(np.where(holes, 0.0, block))
    block -= block.sum(axis=0) / count
    block[holes] = 0.0
    spread = np.sqrt(np.einsum("ij,ij->j", block, block) / (window - 1))
    moving = spread > 0.0
    if not moving.all():
        block, spread = np.ascontiguousarray(block[:, moving]), spread[moving]
    block /= spread
    return block
