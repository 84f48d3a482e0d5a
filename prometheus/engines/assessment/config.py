"""What the assessment engine may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class FamilyWeights:
    """How much each family counts; only the proportions matter."""

    momentum: Share = 0.25
    reversal: Share = 0.25
    low_volatility: Share = 0.25
    illiquidity: Share = 0.25


@dataclass(frozen=True, slots=True)
class AssessmentConfig:
    """Equal weights, but for momentum in stress: it crashes when a panic ends.

    (Daniel and Moskowitz, "Momentum crashes", JFE 2016.) The weights in force are the mean of the three sets under
    tonight's regime probabilities.
    """

    calm: FamilyWeights = field(default_factory=FamilyWeights)
    normal: FamilyWeights = field(default_factory=FamilyWeights)
    stressed: FamilyWeights = field(default_factory=lambda: FamilyWeights(momentum=0.0))
    # Expected information coefficient before any evidence, worth so many months of it.
    prior_ic: Annotated[float, Field(ge=-1, le=1)] = 0.02
    prior_months: Annotated[int, Field(ge=0)] = 24
    evidence_months: Annotated[int, Field(ge=0, le=120)] = 24
    winsorise: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    minimum_families: Annotated[int, Field(ge=1, le=4)] = 2
    label_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
