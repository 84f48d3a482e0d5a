"""How fragile is the market as a whole? Five components in [0, 1] from what binds its parts together.

- regime: probability of stress, and half of that of a normal regime
- absorption: the absorption ratio (Kritzman, Li, Page and Rigobon, "Principal components as a measure of systemic
  risk", JPM 2011), ranked within its last 504 sessions
- absorption_shift: their standardised shift, the mean of the last 15 sessions less that of the last 252 over the
  deviation of these, as a normal probability: one deviation up, their alarm, is 0.84
- correlation: the mean pairwise correlation over 63 sessions, ranked within its last 504 sessions
- breadth: the mean fragility of the instruments
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import polars as pl

from prometheus.stores.wide import FloatArray

RANKED_WITHIN = 504
RANKED_AT_LEAST = 126
RECENT, YEAR = 15, 252
SAME = 1e-9  # a smaller deviation of ratios is rounding


def components(panel: pl.DataFrame, probabilities: Mapping[str, float], breadth: float) -> dict[str, float]:
    """Those that are known. `panel` holds correlation_panels up to tonight, `RANKED_WITHIN` sessions are enough."""
    absorption = panel["absorption_ratio"].fill_null(float("nan")).to_numpy()
    correlation = panel["mean_correlation_63d"].fill_null(float("nan")).to_numpy()
    found = {
        "regime": probabilities["stressed"] + 0.5 * probabilities["normal"],
        "absorption": rank_of_last(absorption),
        "absorption_shift": shift_of_last(absorption),
        "correlation": rank_of_last(correlation),
        "breadth": breadth,
    }
    return {name: value for name, value in found.items() if value is not None}


def rank_of_last(values: FloatArray) -> float | None:
    """Share of the other known values that lie below the last one, ties counted half; None if too few are known."""
    window = values[-RANKED_WITHIN:]
    held = window[~np.isnan(window)]
    if len(held) < RANKED_AT_LEAST or np.isnan(window[-1]):
        return None
    below, level = int((held < window[-1]).sum()), int((held <= window[-1]).sum())
    return (below + level - 1) / (2 * (len(held) - 1))


def shift_of_last(values: FloatArray) -> float | None:
    """The standardised shift as a normal probability; None if too few values are known or they do not vary."""
    window = values[-YEAR:]
    held = window[~np.isnan(window)]
    if len(held) < RANKED_AT_LEAST or np.isnan(window[-1]):
        return None
    spread = float(held.std(ddof=1))
    if spread < SAME:
        return None
    return NormalDist().cdf((float(held[-RECENT:].mean()) - float(held.mean())) / spread)
