"""What is held tonight: the last targets, carried forward by the returns since."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.engines.outcome import rounded
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb

RETURNS = "returns_daily"


@dataclass(frozen=True, slots=True)
class Held:
    """Weights by instrument. `day` is that of the targets they come from, None if there were none."""

    day: date | None
    weights: Mapping[str, float]
    rows: tuple[Row, ...] = ()


def held_on(
    view: HistoricalView,
    runtime: RuntimeDb,
    as_of_date: date,
    market_id: str,
    portfolio_id: str,
    memory_sessions: int,
) -> Held:
    """What is held at the end of `as_of_date`; nothing if the last targets are over `memory_sessions` sessions old."""
    days = view.dates(RETURNS)
    not_before = days[max(len(days) - 1 - memory_sessions, 0)]
    day = runtime.last_date(
        "target_portfolios", before=as_of_date, market_id=market_id, portfolio_id=portfolio_id
    )
    if day is None or day < not_before:
        return Held(None, {})
    rows = tuple(runtime.target_portfolio(day, market_id, portfolio_id))
    # Targets of `day` are held from the next session on: its return and the later ones move the weights.
    moves = view.read(RETURNS, since=day, columns=["date", "instrument_id", "ret_1d"])
    growth = {
        name: math.prod(1.0 + value for value in values if value is not None)
        for name, values in moves.filter(pl.col("date") > day)
        .group_by("instrument_id", maintain_order=True)
        .agg("ret_1d")
        .iter_rows()
    }
    grown = {
        row["instrument_id"]: row["weight"] * growth.get(row["instrument_id"], 1.0)
        for row in rows
        if row["weight"] > 0.0
    }
    cash = 1.0 - math.fsum(row["weight"] for row in rows)
    capital = math.fsum(grown.values()) + cash
    return Held(day, {name: rounded(value / capital) for name, value in grown.items()}, rows)
