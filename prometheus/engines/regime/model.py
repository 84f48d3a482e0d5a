"""The regime model: what it must answer, and the filter that turns it into probabilities of tonight.

Hamilton, "A new approach to the economic analysis of nonstationary time series and the business cycle", Econometrica
1989: hidden states that follow a Markov chain. The probabilities are *filtered*: P(state at t | observations to t).
Smoothed ones (what libraries give as posteriors) use later observations and would look ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from prometheus.stores.wide import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class GaussianStates:
    """A fitted chain: `start` (k), `transition` (k, k; rows sum to 1), `means` and `variances` (k, features)."""

    start: FloatArray
    transition: FloatArray
    means: FloatArray
    variances: FloatArray
    log_likelihood: float
    seed: int

    def ordered(self) -> GaussianStates:
        """The same chain with its states in ascending order of the first feature's mean."""
        order = np.argsort(self.means[:, 0], kind="stable")
        return GaussianStates(
            self.start[order],
            self.transition[order][:, order],
            self.means[order],
            self.variances[order],
            self.log_likelihood,
            self.seed,
        )


class RegimeModel(Protocol):
    """Fits hidden Gaussian states to observations (sessions, features), deterministically."""

    def fit(self, observations: FloatArray) -> GaussianStates: ...


def filtered(states: GaussianStates, observations: FloatArray) -> FloatArray:
    """P(state | observations up to and including the row), shape (sessions, states): the forward recursion."""
    emission = _log_density(states, observations)
    with np.errstate(divide="ignore"):  # a state that cannot be entered has log probability -inf
        prior, transition = np.log(states.start), np.log(states.transition)
    found = np.empty_like(emission)
    for row, density in enumerate(emission):
        joint = prior + density
        belief = joint - np.logaddexp.reduce(joint)
        found[row] = np.exp(belief)
        prior = np.logaddexp.reduce(belief[:, None] + transition, axis=0)
    found /= found.sum(axis=1, keepdims=True)
    return found


def _log_density(states: GaussianStates, observations: FloatArray) -> FloatArray:
    """Log density of each row under each state's Gaussian of independent features."""
    apart = observations[:, None, :] - states.means[None, :, :]
    terms = apart**2 / states.variances + np.log(states.variances) + math.log(2 * math.pi)
    density: FloatArray = -0.5 * terms.sum(axis=2)
    return density
