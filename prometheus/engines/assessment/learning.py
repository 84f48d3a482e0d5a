"""What have the months that ended taught about each family? Weights drawn to a prior, and how well the score ranked.

One month is one cross-section: the families' z-scores at the end of a calendar month, and the ranks of the returns of
the next one. It counts once that next month has ended, which is when a session of a still later month is seen; so
the weights change on the first session of a month and stay until the next.

The families' coefficients are one ridge regression over the newest months (Hoerl and Kennard, "Ridge regression", 1970),
with its centre at the prior instead of zero: b = (sum G + k I)^-1 (sum c + k b0), where G are the families'
correlations in a month, c their correlations with the ranks that followed, b0 the same small coefficient for each
family, and k the months that this prior is worth. A family's factor is b / b0, kept within 0 and `MOST`, and
multiplies the weight that the regime gives it. So no evidence turns a family round: one that ranked wrongly
counts nothing (the restriction of Campbell and Thompson, "Predicting excess stock returns out of sample", RFS 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from prometheus.engines.assessment.combination import combine
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.families import (
    FAMILIES,
    YEAR,
    Evidence,
    cross_section,
    forward_return,
    month_ends,
)
from prometheus.stores.wide import FloatArray

# No family counts more than this many times what the regime gives it, however good its record.
MOST = 3.0
FEWEST_PAIRS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """One cross-section. `row` and `until` are the sessions at its two ends; `scores` has shape (families, instruments).

    `gram` and `pull` are means over the instruments whose return is known: of products of two families, and of a family and
    the standardised rank; a missing score counts 0.
    """

    row: int
    until: int
    scores: FloatArray
    ahead: FloatArray
    gram: FloatArray
    pull: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """`factors` in [0, `MOST`] multiply the families' weights; `prior_share` in [0, 1] says how much is belief."""

    factors: FloatArray
    months: int
    prior_share: float


@dataclass(frozen=True, slots=True)
class InformationCoefficient:
    """Mean rank correlation of score and next month's return over `months` earlier months, and drawn to the prior."""

    measured: float | None
    months: int
    used: float


def months_of(evidence: Evidence, winsorise: float) -> tuple[Month, ...]:
    """Every month that has ended by the last session of `evidence` and had a year of sessions before it, oldest first."""
    ends = month_ends(evidence.days)
    found = []
    for row, until in pairwise(ends):
        if row + 1 < YEAR:
            continue
        scores = cross_section(evidence, row, winsorise)
        ahead = forward_return(evidence, row, until)
        known = ~np.isnan(ahead) & ~np.isnan(scores).all(axis=0)
        if known.sum() < FEWEST_PAIRS:
            continue
        held = np.where(np.isnan(scores), 0.0, scores)[:, known]
        placed = _standard_ranks(ahead[known])
        count = int(known.sum())
        found.append(Month(row, until, scores, ahead, held @ held.T / count, held @ placed / count))
    return tuple(found)


def learn(months: Sequence[Month], config: AssessmentConfig) -> Learnt:
    """What the newest `evidence_months` of `months` say about each family, drawn to the prior."""
    newest = months[max(len(months) - config.evidence_months, 0) :]
    share = config.prior_months / (config.prior_months + len(newest))
    if not newest:
        return Learnt(np.ones(len(FAMILIES)), 0, share)
    gram = np.sum([month.gram for month in newest], axis=0)
    pull = np.sum([month.pull for month in newest], axis=0)
    belief = config.prior_months
    coefficients = np.linalg.solve(gram + belief * np.eye(len(pull)), pull + belief * config.prior_ic)
    return Learnt(np.clip(coefficients / config.prior_ic, 0.0, MOST), len(newest), share)


def weighted(regime_weights: FloatArray, learnt: Learnt) -> FloatArray:
    """The weights in force, summing to 1; those of the regime if no family has ranked rightly."""
    weights = regime_weights * learnt.factors
    total = float(weights.sum())
    return weights / total if total > 0.0 else regime_weights


def information_coefficient(
    months: Sequence[Month], regime_weights: FloatArray, config: AssessmentConfig
) -> InformationCoefficient:
    """How well this score ranked the newest months, each scored with what had been learnt before it began."""
    newest = months[max(len(months) - config.evidence_months, 0) :]
    found = []
    for place, month in enumerate(newest):
        before = [one for one in newest[:place] if one.until < month.row]
        weights = weighted(regime_weights, learn(before, config))
        correlation = rank_correlation(
            combine(month.scores, weights, config.minimum_families).total, month.ahead
        )
        if correlation is not None:
            found.append(correlation)
    count = len(found)
    used = (math.fsum(found) + config.prior_months * config.prior_ic) / (count + config.prior_months)
    return InformationCoefficient(math.fsum(found) / count if found else None, count, used)


def rank_correlation(left: FloatArray, right: FloatArray) -> float | None:
    """Spearman's correlation over the pairs known; ties take their order. None for fewer than ten pairs."""
    known = ~(np.isnan(left) | np.isnan(right))
    count = int(known.sum())
    if count < FEWEST_PAIRS:
        return None
    apart = ranks(left[known]) - ranks(right[known])
    return 1.0 - 6.0 * float(apart @ apart) / (count * (count**2 - 1))


def ranks(values: FloatArray) -> FloatArray:
    """0 for the lowest value, and so on; ties take their order."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def _standard_ranks(values: FloatArray) -> FloatArray:
    placed = ranks(values)
    standard: FloatArray = (placed - placed.mean()) / placed.std()
    return standard
