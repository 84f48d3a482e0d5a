"""What the portfolio engine may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from prometheus.engines.portfolio.problem import Limit

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class PortfolioConfig:
    """Long-only limits and prices of a portfolio held for about a month. Weights are shares of capital."""

    portfolio_id: str = "main"
    universe_id: str = "main"
    capital: Positive = 1e8  # USD: market impact and days to liquidate depend on it
    risk_aversion: Positive = 5.0
    # Of each dollar traded: fees, then half the spread by the median traded dollars of a session (at least this much:
    # half spread, the largest first), and what is charged below all of them. Round numbers of ours for US large caps.
    cost: Annotated[float, Field(ge=0)] = 0.0005
    half_spreads: tuple[tuple[Positive, Share], ...] = ((1e8, 0.0002), (2.5e7, 0.0005), (5e6, 0.001))
    widest_half_spread: Share = 0.0025
    impact: Annotated[float, Field(ge=0)] = 1.0  # of the square-root law, see `costs`
    max_weight: Annotated[float, Field(gt=0, le=1)] = 0.03
    max_gross: Share = 1.0
    min_invested: Share = 0.95
    turnover: Share = 0.15  # one-way, a night; not applied to the first portfolio
    max_volatility: Positive = 0.20  # annualised
    max_fragility: Share | None = 0.60  # the sum of weight x fragility; None: no budget
    sector_band: Share | None = (
        0.05  # |sector - its equal-weight share of the universe x invested|; None: no limit
    )
    # Net exposure to a column of factor_exposures_daily, as in {"beta": 1.1, "momentum": 0.5}; empty: no limit.
    max_exposures: Mapping[str, Positive] = field(default_factory=dict)
    # If no portfolio meets all limits, the first of these gives way, by as little as possible; then the next as well.
    relax: tuple[Limit, ...] = ("min_invested", "sector_band", "max_fragility", "turnover", "max_volatility")
    # A portfolio older than this many sessions is not what is held tonight.
    memory_sessions: Annotated[int, Field(ge=1)] = 5
