"""A statistical factor model of one session: fifteen principal components and each instrument's own variance.

Asymptotic principal components (Connor and Korajczyk, "Performance measurement with the arbitrage pricing theory", JFE
1986): with more instruments than sessions the components come from the sessions' cross-product matrix. Sessions are
weighted exponentially (half-life 126 of 504 sessions), so that the covariance is that of about the last year.
Covariance of daily returns = exposures @ exposures.T + diag(specific_var): factors have unit variance, and specific
variances are raised by n / (n - factors), n being the effective number of sessions, for what the components overfit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from prometheus.stores.wide import FloatArray

TABLE = "factor_models"
FACTORS = 15
WINDOW = 504
MINIMUM = 252
HALF_LIFE = 126

# An instrument enters the model if it is known in this share of the window; what is missing counts as its mean.
COVERAGE = 0.95

# No instrument is less risky on its own than 0.1 % a day: a constant price must not look like a safe asset.
SPECIFIC_FLOOR = 1e-6

LOOKBACK = WINDOW - 1


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Exposures (instruments, factors) and specific variances, in daily return units."""

    instruments: tuple[str, ...]
    exposures: FloatArray
    specific_var: FloatArray

    def columns(self) -> dict[str, FloatArray]:
        """One column a factor, `f01` on, and `specific_var`."""
        found = {f"f{number:02d}": self.exposures[:, number - 1] for number in range(1, FACTORS + 1)}
        return {**found, "specific_var": self.specific_var}


def fit(daily: FloatArray, instruments: Sequence[str]) -> FactorModel | None:
    """The model of the window `daily` (sessions, instruments; at most `WINDOW`, oldest first).

    None if there are fewer than `MINIMUM` sessions. Components are signed so that their exposures sum above zero.
    """
    daily = daily[-WINDOW:]
    sessions = len(daily)
    if sessions < MINIMUM:
        return None
    known = ~np.isnan(daily)
    covered = known.mean(axis=0) >= COVERAGE
    known = np.ascontiguousarray(known[:, covered])
    block = np.ascontiguousarray(np.where(known, daily[:, covered], 0.0))
    weight = 0.5 ** (np.arange(sessions - 1, -1, -1) / HALF_LIFE)
    weight /= weight.sum()
    mass = weight @ known
    centred = np.where(known, block - (weight @ block) / mass, 0.0) * np.sqrt(weight)[:, None]
    # The largest components only: a quarter less time than all of them.
    _, vectors = linalg.eigh(centred @ centred.T, subset_by_index=[sessions - FACTORS, sessions - 1])
    # With centred = U S V', exposures V S = centred' U for the largest components.
    exposures = centred.T @ np.ascontiguousarray(vectors[:, ::-1])
    exposures *= np.where(exposures.sum(axis=0) < 0.0, -1.0, 1.0)
    effective = 1.0 / float((weight**2).sum())
    total = np.einsum("ij,ij->j", centred, centred)
    own = (total - (exposures**2).sum(axis=1)) * effective / max(effective - FACTORS, 1.0)
    names = tuple(name for name, keep in zip(instruments, covered, strict=True) if keep)
    return FactorModel(names, exposures, np.maximum(own, SPECIFIC_FLOOR))
