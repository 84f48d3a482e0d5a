"""What the universe engine may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class UniverseConfig:
    """Hard filters, sizes, and how much better a newcomer must be than a member."""

    universe_id: str = "main"
    history_sessions: Annotated[int, Field(ge=1)] = 252
    history_coverage: Annotated[float, Field(gt=0, le=1)] = 0.95
    volume_sessions: Annotated[int, Field(ge=1)] = 63
    minimum_dollar_volume: Annotated[float, Field(ge=0)] = 5e6  # USD a session, median
    quarantine_sessions: Annotated[int, Field(ge=1)] = 5
    core_size: Annotated[int, Field(ge=1)] = 150
    satellite_size: Annotated[int, Field(ge=0)] = 50
    # A member stays until it ranks below the size by this share (index providers' buffer rule).
    buffer: Annotated[float, Field(ge=0, le=1)] = 0.5
    # No sector may hold more than this share of the core's seats, nor of the satellites'
    # (one seat at least); None = no such limit.
    sector_cap: Annotated[float, Field(gt=0, le=1)] | None = None
    # A universe older than this many sessions says nothing about tonight.
    memory_sessions: Annotated[int, Field(ge=1)] = 5
