"""From families to one score, and from the score to an expected return.

Expected return = information coefficient x volatility x score (Grinold, "Alpha is volatility times IC times score",
JPM 1994). The coefficient is measured walk-forward: the rank correlation of this same score, at ends of earlier months,
with the month that followed, as far as that month had ended by tonight; the mean is drawn towards a prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from prometheus.engines.assessment.families import (
    MONTH,
    YEAR,
    Evidence,
    forward_return,
    raw,
    standardised,
)
from prometheus.stores.wide import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """`total` (instruments) is the sum of `parts` (families, instruments); mean 0, deviation 1; NaN = not scored.

    `agreement` in [0, 1]: how far the families of an instrument pull the same way, times the share of them known.
    """

    total: FloatArray
    parts: FloatArray
    agreement: FloatArray


@dataclass(frozen=True, slots=True)
class InformationCoefficient:
    """Mean rank correlation of score and next month's return over `months` earlier months, and drawn to the prior."""

    measured: float | None
    months: int
    used: float


def combine(scores: FloatArray, weights: FloatArray, minimum_families: int) -> Score:
    """Weighted sum of the families' z-scores (families, instruments), standardised again; a missing family counts 0."""
    known = ~np.isnan(scores)
    counted = known[weights > 0.0].sum(axis=0)
    scored: BoolArray = counted >= min(minimum_families, int((weights > 0.0).sum()))
    parts = np.where(known, scores, 0.0) * (weights / weights.sum())[:, None]
    total = parts.sum(axis=0)
    strength = np.abs(parts).sum(axis=0)
    share = counted / max(int((weights > 0.0).sum()), 1)
    agreement = np.where(strength > 0.0, np.abs(total) / np.where(strength > 0.0, strength, 1.0), 0.0) * share
    # Each family is centred on the instruments scored, so that the parts still sum to the total.
    if scored.sum() < 3:
        nothing = np.full_like(total, np.nan)
        return Score(nothing, np.full_like(parts, np.nan), nothing)
    parts = parts - parts[:, scored].mean(axis=1, keepdims=True)
    spread = float(parts[:, scored].sum(axis=0).std())
    if spread > 0.0:
        parts = parts / spread
    parts = np.where(scored, parts, np.nan)
    return Score(parts.sum(axis=0), parts, np.where(scored, agreement, np.nan))


def information_coefficient(
    evidence: Evidence,
    weights: FloatArray,
    *,
    months: int,
    prior: float,
    prior_months: int,
    winsorise: float,
    minimum_families: int,
) -> InformationCoefficient:
    """How well this score ranked the months that have ended, newest first, up to `months` of them."""
    found = []
    last = len(evidence.returns) - 1
    for row in range(last - MONTH, max(last - MONTH * months, YEAR - 1) - 1, -MONTH):
        score = combine(standardised(raw(evidence, row), winsorise), weights, minimum_families)
        correlation = rank_correlation(score.total, forward_return(evidence, row))
        if correlation is not None:
            found.append(correlation)
    count = len(found)
    if count + prior_months == 0:
        return InformationCoefficient(None, 0, 0.0)
    used = (math.fsum(found) + prior_months * prior) / (count + prior_months)
    return InformationCoefficient(math.fsum(found) / count if found else None, count, used)


def rank_correlation(left: FloatArray, right: FloatArray) -> float | None:
    """Spearman's correlation over the pairs known; ties take their order. None for fewer than ten pairs."""
    known = ~(np.isnan(left) | np.isnan(right))
    count = int(known.sum())
    if count < 10:
        return None
    ranks = [np.argsort(np.argsort(side[known], kind="stable"), kind="stable") for side in (left, right)]
    apart = (ranks[0] - ranks[1]).astype(np.float64)
    return 1.0 - 6.0 * float(apart @ apart) / (count * (count**2 - 1))
