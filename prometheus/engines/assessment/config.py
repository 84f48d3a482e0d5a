"""What the assessment engine may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class FamilyWeights:
    """How much each family counts before any evidence; only the proportions matter. 0 = never."""

    momentum: Share = 0.2
    reversal: Share = 0.2
    low_volatility: Share = 0.2
    illiquidity: Share = 0.2
    fragility: Share = 0.2


@dataclass(frozen=True, slots=True)
class AssessmentConfig:
    """Equal weights, but in stress: momentum has none there, since it crashes when a panic ends, and fragility two.

    (Momentum: Daniel and Moskowitz, "Momentum crashes", JFE 2016. Fragility: our own choice.) The regime's weights are the
    mean of the three sets under tonight's probabilities; evidence multiplies them (`learning`).
    """

    calm: FamilyWeights = field(default_factory=FamilyWeights)
    normal: FamilyWeights = field(default_factory=FamilyWeights)
    stressed: FamilyWeights = field(default_factory=lambda: FamilyWeights(momentum=0.0, fragility=0.4))
    # Expected information coefficient before any evidence, of each family and of the score, and how many months of
    # evidence it outweighs.
    prior_ic: Annotated[float, Field(gt=0, le=1)] = 0.02
    prior_months: Annotated[int, Field(ge=1)] = 60
    evidence_months: Annotated[int, Field(ge=0, le=120)] = 60
    winsorise: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    minimum_families: Annotated[int, Field(ge=1, le=5)] = 2
    label_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
