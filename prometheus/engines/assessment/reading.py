"""The evidence as it lies in historical_db: four tables, as matrices on the axes of the returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.engines.assessment.families import Evidence
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import aligned, widen

RETURNS, FRAGILITY = "returns_daily", "stability_components_daily"
TABLES: Mapping[str, str] = {
    RETURNS: "ret_1d",
    "volatility_daily": "vol_63d",
    "prices_daily": "dollar_volume",
}
# Read if it is there: a desk may do without it, and the family is absent then.
OPTIONAL: Mapping[str, str] = {FRAGILITY: "fragility"}


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """`frames` are the long tables read, by name; `evidence` holds the same as matrices over `instruments`."""

    frames: Mapping[str, pl.DataFrame]
    evidence: Evidence
    instruments: tuple[str, ...]


def read(view: HistoricalView, since: date) -> Reading:
    """What the view shows from `since` on. Raises `StoreError` if a table that is not optional does not exist."""
    wanted = {
        **TABLES,
        **{name: column for name, column in OPTIONAL.items() if view.version(name) is not None},
    }
    frames = {
        table: view.read(table, since=since, columns=["date", "instrument_id", column])
        for table, column in wanted.items()
    }
    axes = widen(frames[RETURNS], [TABLES[RETURNS]])
    found = {RETURNS: axes[TABLES[RETURNS]]}
    for table, column in wanted.items():
        if table != RETURNS:
            found[table] = aligned(widen(frames[table], [column]), axes)[column]
    nothing = np.full_like(found[RETURNS], np.nan)
    evidence = Evidence(
        axes.days,
        found[RETURNS],
        found["volatility_daily"],
        found["prices_daily"],
        found.get(FRAGILITY, nothing),
    )
    return Reading(frames, evidence, axes.instruments)
