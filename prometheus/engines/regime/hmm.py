"""`RegimeModel` by hmmlearn, which is in limited maintenance: it is used for the fit alone, behind the protocol."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from hmmlearn.hmm import GaussianHMM

from prometheus.core.errors import DataError
from prometheus.engines.regime.model import GaussianStates
from prometheus.stores.wide import FloatArray

# It logs every fit that stops at the last iteration; the likeliest of several fits is what counts.
logging.getLogger("hmmlearn").setLevel(logging.ERROR)

# Observations are standardised: a state may not shrink to a point.
MINIMUM_VARIANCE = 1e-3


@dataclass(frozen=True, slots=True)
class HmmlearnModel:
    """Baum-Welch from several seeded starts; the likeliest fit, the earliest seed among equals."""

    states: int
    seeds: tuple[int, ...]
    stickiness: float
    iterations: int
    tolerance: float

    def fit(self, observations: FloatArray) -> GaussianStates:
        """Raises `DataError` if no start gives a usable fit (observations that do not vary)."""
        fits = [found for seed in self.seeds if (found := self._fit(observations, seed)) is not None]
        if not fits:
            raise DataError(
                f"the regime model cannot be fitted to {len(observations)} sessions",
                allowed="observations that vary",
                hint="look at correlation_panels for constant columns",
            )
        return max(fits, key=lambda found: found.log_likelihood)

    def _fit(self, observations: FloatArray, seed: int) -> GaussianStates | None:
        model = GaussianHMM(
            n_components=self.states,
            covariance_type="diag",
            min_covar=MINIMUM_VARIANCE,
            transmat_prior=1.0 + self.stickiness * np.eye(self.states),
            random_state=seed,
            n_iter=self.iterations,
            tol=self.tolerance,
        )
        try:
            model.fit(observations)
            likelihood = float(model.score(observations))
        except ValueError:  # a start whose states collapse; the others decide
            return None
        variances = np.stack([np.diag(matrix) for matrix in model.covars_])
        found = GaussianStates(model.startprob_, model.transmat_, model.means_, variances, likelihood, seed)
        return found if np.isfinite(likelihood) and np.isfinite(variances).all() else None
