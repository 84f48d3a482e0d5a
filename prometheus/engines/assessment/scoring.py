"""One session's score: its families, under the regime's weights and what the months before had taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from prometheus.core.errors import UserError
from prometheus.engines.assessment.combination import Score, combine
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.families import FAMILIES, Evidence, cross_section
from prometheus.engines.assessment.learning import Learnt, Month, learn, weighted
from prometheus.engines.regime.config import LABELS
from prometheus.stores.wide import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """`given` are the regime's weights over the families that exist, `weights` those in force; both sum to 1.

    `absent` names the families that no instrument has on the session.
    """

    score: Score
    given: FloatArray
    weights: FloatArray
    learnt: Learnt
    absent: tuple[str, ...]


def score_of(
    evidence: Evidence,
    row: int,
    months: Sequence[Month],
    regime_weights: FloatArray,
    config: AssessmentConfig,
) -> Scored:
    """The score of the session at `row`, learnt from those of `months` that had ended by then. Nothing later is read."""
    scores = cross_section(evidence, row, config.winsorise)
    exists = [bool(row.any()) for row in ~np.isnan(scores)]
    given = np.where(exists, regime_weights, 0.0)
    given = given / given.sum() if given.sum() > 0.0 else given
    learnt = learn([month for month in months if month.until < row], config)
    weights = weighted(given, learnt)
    absent = tuple(name for name, there in zip(FAMILIES, exists, strict=True) if not there)
    return Scored(combine(scores, weights, config.minimum_families), given, weights, learnt, absent)


def family_weights(config: AssessmentConfig, probabilities: Mapping[str, float]) -> FloatArray:
    """The families' weights under the regime probabilities, summing to 1; raises `UserError` if a set has none."""
    mixed = np.zeros(len(FAMILIES))
    for label in LABELS:
        weights = np.array(astuple(getattr(config, label)))
        if not weights.any():
            raise UserError(
                f"the assessment's weights in the {label} regime are all 0",
                allowed="at least one above 0",
                hint=f"leave one of {', '.join(FAMILIES)} in",
            )
        mixed += probabilities[label] * weights / weights.sum()
    mixed /= mixed.sum()
    return mixed
