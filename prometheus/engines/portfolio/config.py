"""What the portfolio engine may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Relaxable = Literal["min_invested", "turnover", "max_volatility"]


@dataclass(frozen=True, slots=True)
class PortfolioConfig:
    """Long-only limits and prices of a portfolio held for about a month. Weights are shares of capital."""

    portfolio_id: str = "main"
    universe_id: str = "main"
    risk_aversion: Annotated[float, Field(gt=0)] = 5.0
    cost: Annotated[float, Field(ge=0)] = 0.001  # of each dollar traded: half spread and fees
    max_weight: Annotated[float, Field(gt=0, le=1)] = 0.03
    max_gross: Share = 1.0
    min_invested: Share = 0.95
    turnover: Share = 0.15  # one-way, a night; not applied to the first portfolio
    max_volatility: Annotated[float, Field(gt=0)] = 0.20  # annualised
    # If no portfolio meets all limits, the first of these gives way, by as little as possible; then the next as well.
    relax: tuple[Relaxable, ...] = ("min_invested", "turnover", "max_volatility")
    # A portfolio older than this many sessions is not what is held tonight.
    memory_sessions: Annotated[int, Field(ge=1)] = 5
