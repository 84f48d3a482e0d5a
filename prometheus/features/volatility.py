"""Volatility of each instrument, annualised (252 sessions): RiskMetrics EWMA and realised.

EWMA after J.P. Morgan/Reuters, RiskMetrics Technical Document (4th ed., 1996): zero mean, decay 0.94 for daily data,
cut after 149 sessions, where the weights left out sum to 0.01 % (0.94**149 = 0.0001). The cut makes a value depend on
a fixed window, not on where history begins.
"""

from __future__ import annotations

import math

from prometheus.features.rolling import SESSIONS_PER_YEAR, deviation, ewma_deviation
from prometheus.stores.wide import FloatArray

TABLE = "volatility_daily"
DECAY = 0.94
EWMA_WINDOW = 149
EWMA_MINIMUM = 21
REALISED = (21, 63)

LOOKBACK = max(EWMA_WINDOW, *REALISED) - 1

_YEAR = math.sqrt(SESSIONS_PER_YEAR)


def compute(daily: FloatArray) -> dict[str, FloatArray]:
    """`vol_ewma`, `vol_21d`, `vol_63d` of daily simple returns (days, instruments); NaN where there is none."""
    values = {"vol_ewma": ewma(daily)}
    for window in REALISED:
        values[f"vol_{window}d"] = deviation(daily, window) * _YEAR
    return values


def ewma(daily: FloatArray) -> FloatArray:
    """RiskMetrics volatility, annualised."""
    return ewma_deviation(daily, DECAY, EWMA_WINDOW, EWMA_MINIMUM) * _YEAR
