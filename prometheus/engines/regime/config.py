"""What the regime engine may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

# In the order of volatility; as many states as names.
LABELS = ("calm", "normal", "stressed")


@dataclass(frozen=True, slots=True)
class GlobeConfig:
    """What the regime of the whole world is judged from; only the market GLOBAL reads it."""

    regions: Annotated[tuple[str, ...], Field(min_length=1)] = ("US_EQ", "EU_EQ", "JP_EQ", "ASIA_EQ")
    # Fewer regions with data than this, and nothing is said about the world.
    quorum: Annotated[int, Field(ge=1)] = 1
    # A region whose last session is older than this has nothing to say about tonight: holidays, not outages.
    stale_days: Annotated[int, Field(ge=1)] = 7
    currencies: tuple[str, ...] = ("EURUSD", "EURGBP", "EURJPY", "EURCHF")
    # A series of macro or currencies counts if it is known on this share of the sessions.
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.9


@dataclass(frozen=True, slots=True)
class RegimeConfig:
    """Settings of the hidden Markov model. The seeds are where each fit starts; the likeliest fit is taken."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=50)] = (0, 1, 2, 3, 4)
    minimum_sessions: Annotated[int, Field(ge=100)] = 252
    # Pseudo-counts added to each state's stay: regimes last weeks, not days.
    stickiness: Annotated[float, Field(ge=0)] = 50.0
    iterations: Annotated[int, Field(ge=1, le=1000)] = 60
    tolerance: Annotated[float, Field(gt=0)] = 1e-2
    # A state becomes the official regime after so many sessions in a row...
    minimum_duration: Annotated[int, Field(ge=1, le=63)] = 5
    # ... or at once, if the market is more volatile than the regime says with at least this probability.
    alarm_probability: Annotated[float, Field(gt=0.5, le=1)] = 0.9
    globe: GlobeConfig = field(default_factory=GlobeConfig)
