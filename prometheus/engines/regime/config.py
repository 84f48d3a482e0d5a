"""What the regime engine may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

# In the order of volatility; as many states as names.
LABELS = ("calm", "normal", "stressed")


@dataclass(frozen=True, slots=True)
class RegimeConfig:
    """Settings of the hidden Markov model. The seeds are where each fit starts; the likeliest fit is taken."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=50)] = (0, 1, 2, 3, 4)
    minimum_sessions: Annotated[int, Field(ge=100)] = 252
    # Pseudo-counts added to each state's stay: regimes last weeks, not days.
    stickiness: Annotated[float, Field(ge=0)] = 50.0
    iterations: Annotated[int, Field(ge=1, le=1000)] = 60
    tolerance: Annotated[float, Field(gt=0)] = 1e-2
