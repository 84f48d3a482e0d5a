"""What the stability and soft-target engine may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Dollars = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class InstrumentWeights:
    """How much each component counts in an instrument's, and so a portfolio's, fragility."""

    illiquidity: Weight = 1.0
    volatility: Weight = 1.0
    contagion: Weight = 1.0
    drawdown: Weight = 1.0


@dataclass(frozen=True, slots=True)
class MarketWeights:
    """How much each component counts in the market's fragility."""

    regime: Weight = 1.0
    absorption: Weight = 1.0
    absorption_shift: Weight = 1.0
    correlation: Weight = 1.0
    breadth: Weight = 1.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """A class begins at fragility `level` for an instrument among the most fragile `share` of the market.

    Without the share a crash would make soft targets of everybody, and nobody could be held. Markets and portfolios
    have no others to be ranked among: for them the level decides.
    """

    level: Share
    share: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, slots=True)
class Episode:
    """A crisis of the past: every entity's own return over its sessions, both ends included."""

    name: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class StabilityConfig:
    """Weights, thresholds with what holds a class in place, and the storms that are tried."""

    instrument: InstrumentWeights = field(default_factory=InstrumentWeights)
    market: MarketWeights = field(default_factory=MarketWeights)
    # Components that must be known for an entity to be judged.
    minimum_components: Annotated[int, Field(ge=1, le=4)] = 3
    soft_target: Threshold = field(default_factory=lambda: Threshold(level=0.7, share=0.1))
    watchlist: Threshold = field(default_factory=lambda: Threshold(level=0.55, share=0.3))
    # A class of the last session holds until fragility is lower than its level by this much...
    margin: Share = 0.05
    # ... or the rank is worse than its share by this part of it.
    buffer: Annotated[float, Field(ge=0, le=2)] = 0.5
    # Classes older than this many sessions say nothing about tonight, and targets as old are not what is held.
    memory_sessions: Annotated[int, Field(ge=1)] = 5
    # The market falls by each of these shares of its value.
    shocks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.05, 0.1, 0.2)
    # Volatility is multiplied by this; the loss is that of the month which one in twenty exceeds.
    volatility_factor: Annotated[float, Field(ge=1)] = 2.0
    # Traded dollars fall to this share, and a position of so many dollars must be sold in a session.
    dry_up: Annotated[float, Field(gt=0, le=1)] = 0.25
    position_usd: Dollars = 10e6
    capital_usd: Dollars = 100e6
    episodes: tuple[Episode, ...] = (Episode("episode_2008", date(2008, 9, 2), date(2008, 11, 20)),)
    portfolio_id: str = "main"
