"""What did each factor earn on a session? One regression across instruments a session.

After Fama and MacBeth ("Risk, return, and equilibrium: empirical tests", JPE 1973): the returns of a session are
regressed on the exposures of the session before, so nothing that explains a return was learnt from it:

    return = market + (beta - 1) * f_beta + size * f_size + ... + what is the instrument's own

`market` is what an instrument of beta 1 and average styles earned; each other factor is what one unit of exposure earned
beside it. Ordinary least squares: every instrument counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from prometheus.features.exposures import LOOKBACK as EXPOSURES_LOOKBACK
from prometheus.features.exposures import STYLES
from prometheus.stores.wide import FloatArray

TABLE = "factors_daily"
FACTORS = ("market", *STYLES)
MINIMUM = 3 * len(FACTORS)  # instruments: three observations a coefficient

LOOKBACK = EXPOSURES_LOOKBACK + 1  # the exposures of the session before


def compute(exposures: Mapping[str, FloatArray], returns: FloatArray) -> FloatArray:
    """Factor returns (sessions, `FACTORS`) from exposures known before each session and returns of it.

    All arguments are of shape (sessions, instruments). NaN for a session with fewer than `MINIMUM` instruments whose
    exposures and return are all known.
    """
    found = np.full((len(returns), len(FACTORS)), np.nan)
    for place, earned in enumerate(returns):
        design = np.column_stack(
            [
                np.ones_like(earned),
                exposures["beta"][place] - 1.0,
                *(exposures[name][place] for name in STYLES[1:]),
            ]
        )
        known = ~np.isnan(design).any(axis=1) & ~np.isnan(earned)
        if np.count_nonzero(known) >= MINIMUM:
            found[place] = np.linalg.lstsq(design[known], earned[known], rcond=None)[0]
    return found
