"""What is each instrument exposed to? Six styles, each from the instrument's own past and the session's cross-section.

- beta: slope on the equal-weighted market over 252 sessions, drawn to the session's mean beta by as much as it is
  uncertain (Vasicek, "A note on using cross-sectional information in Bayesian estimation of security betas", JF 1973)
- size: log of the median traded dollars of 63 sessions. A proxy: the panel knows no shares outstanding, so this ranks
  by how much is traded, which goes with market value without being it
- momentum: the return of the last 252 sessions without the last 21 (Jegadeesh and Titman, JF 1993)
- reversal: minus the return of the last 21 sessions (Jegadeesh, JF 1990): high = has lost
- volatility: log of the 63-session deviation of returns (Ang, Hodrick, Xing and Zhang, JF 2006)
- illiquidity: log of the mean |return| / traded dollars over 63 sessions (Amihud, JFM 2002), of which only what size and
  volatility do not already say: by construction it is nearly volatility / size (measured correlation with size -0.95),
  and two columns that say the same have no returns of their own

All but beta are winsorised (one in a hundred at each end) and standardised across the instruments of the session:
mean 0, deviation 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prometheus.features.correlations import market_returns
from prometheus.features.rolling import compounded, deviation, rolling_mean, rolling_median, slope
from prometheus.stores.wide import FloatArray

TABLE = "factor_exposures_daily"
STYLES = ("beta", "size", "momentum", "reversal", "volatility", "illiquidity")

MONTH, QUARTER, YEAR = 21, 63, 252
WINSORISED = 0.01  # of the instruments at each end
MINIMUM = 10  # instruments, to compare one with the others

# What is left of an exposure after others were taken out counts as nothing below this: it is rounding.
NOTHING = 1e-9

LOOKBACK = YEAR - 1


def compute(daily: FloatArray, dollars: FloatArray, wanted: Sequence[int]) -> dict[str, FloatArray]:
    """`STYLES`, each of shape (len(wanted), instruments), for the sessions at the positions `wanted`; NaN = not known.

    `daily` are simple returns and `dollars` traded dollars, both (days, instruments).
    """
    beta, error = slope(daily, market_returns(daily), YEAR)
    raw = _measured(daily, dollars)
    found = {name: np.full((len(wanted), daily.shape[1]), np.nan) for name in STYLES}
    for place, row in enumerate(wanted):
        session = {name: standardised(values[row]) for name, values in raw.items()}
        session["illiquidity"] = without(session["illiquidity"], [session["size"], session["volatility"]])
        session["beta"] = shrunk(beta[row], error[row])
        for name in STYLES:
            found[name][place] = session[name]
    return found


def shrunk(beta: FloatArray, error: FloatArray) -> FloatArray:
    """Betas weighted with their mean by precision: the variance across instruments against each one's own error."""
    known = ~np.isnan(beta)
    if np.count_nonzero(known) < MINIMUM:
        return np.full_like(beta, np.nan)
    mean, spread = beta[known].mean(), beta[known].var(ddof=1)
    weight = np.divide(spread, spread + error, out=np.ones_like(beta), where=known & (spread + error > 0.0))
    return np.where(known, mean + weight * (beta - mean), np.nan)


def standardised(values: FloatArray) -> FloatArray:
    """The values known, winsorised, with mean 0 and deviation 1; all 0 if they are all alike, NaN if they are few."""
    known = ~np.isnan(values)
    held = values[known]
    found = np.full_like(values, np.nan)
    if len(held) < MINIMUM:
        return found
    ordered = np.sort(held)
    cut = int(WINSORISED * len(held))
    low, high = ordered[cut], ordered[-1 - cut]
    if low == high:
        found[known] = 0.0
        return found
    held = np.clip(held, low, high)
    held -= held.mean()
    found[known] = held / np.sqrt((held * held).mean())
    return found


def without(values: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
    """What `others` do not explain of `values` (least squares across instruments), standardised anew."""
    known = ~np.isnan(values)
    for each in others:
        known &= ~np.isnan(each)
    found = np.full_like(values, np.nan)
    if np.count_nonzero(known) < MINIMUM:
        return found
    design = np.column_stack([np.ones(np.count_nonzero(known)), *(each[known] for each in others)])
    left = values[known] - design @ np.linalg.lstsq(design, values[known], rcond=None)[0]
    found[known] = np.where(np.abs(left).max() > NOTHING, left, 0.0)
    return standardised(found)


def _measured(daily: FloatArray, dollars: FloatArray) -> Mapping[str, FloatArray]:
    """The styles but beta as they are measured, before instruments are compared."""
    dollars = np.where(dollars > 0.0, dollars, np.nan)
    month = compounded(daily, MONTH)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "size": np.log(rolling_median(dollars, QUARTER)),
            "momentum": (1.0 + compounded(daily, YEAR)) / (1.0 + month) - 1.0,
            "reversal": -month,
            "volatility": np.log(deviation(daily, QUARTER)),
            "illiquidity": np.log(rolling_mean(np.abs(daily) / dollars, QUARTER)),
        }
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}
