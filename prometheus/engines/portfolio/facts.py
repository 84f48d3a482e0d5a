"""What the limits are about, besides returns and risk: who is in which sector, how fragile, how exposed, how traded.

Each may be absent on a desk; then its limit is off, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.outcome import decision_if_any, decision_ref, digest, historical_ref
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import FloatArray

PRICES, STYLES, ISSUERS = "prices_daily", "factor_exposures_daily", "issuers"
UNKNOWN = "unknown"
SOFT_TARGET = "SOFT_TARGET"
# Traded dollars are the median of a quarter of a year.
VOLUME_SESSIONS = 63


@dataclass(frozen=True, slots=True)
class Fragility:
    """Of the night's instruments, in [0, 1]. An instrument that has none counts as fragile as can be: 1."""

    values: Mapping[str, float]
    soft_targets: frozenset[str]
    refs: tuple[Json, ...]

    def of(self, name: str) -> float:
        return self.values.get(name, 1.0)


def fragility_of(runtime: RuntimeDb, as_of_date: date, market_id: str) -> Fragility:
    """What the stability engine left for the session; empty if it has not decided."""
    wanted = {"as_of_date": as_of_date, "market_id": market_id, "entity_type": "instrument"}
    decided = decision_if_any(runtime, "stability", as_of_date, market_id)
    if decided is None:
        return Fragility({}, frozenset(), ())
    values = {row["entity_id"]: row["fragility"] for row in runtime.rows("fragility_measures", **wanted)}
    soft = runtime.rows("soft_target_classes", **wanted, soft_target=SOFT_TARGET)
    return Fragility(values, frozenset(row["entity_id"] for row in soft), (decision_ref(decided),))


def sectors_of(view: HistoricalView, names: Sequence[str]) -> tuple[dict[str, str], list[Json]]:
    """The sector of each name as it was last known (`UNKNOWN` if it was not); empty if none of them has one."""
    if view.version(ISSUERS) is None:
        return {}, []
    rows = view.read(ISSUERS, columns=["date", "instrument_id", "sector"]).drop_nulls("sector")
    rows = rows.filter(pl.col("instrument_id").is_in(list(names)))
    if rows.is_empty():
        return {}, []
    known = {name: sector for _, name, sector in rows.iter_rows()}  # ascending: the last one stays
    newest = rows["date"].max()
    read: dict[str, Json] = {
        "store": "historical",
        "table": ISSUERS,
        "date": str(newest),
        "rows": rows.height,
        "digest": digest([list(row) for row in rows.rows()]),
    }
    return {name: known.get(name, UNKNOWN) for name in names}, [read]


def styles_of(
    view: HistoricalView, as_of_date: date, wanted: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, dict[str, float]], list[Json]]:
    """Exposure of each name to each of the styles `wanted` (0 if it has none); empty if the session has no such rows."""
    if not wanted or not view.has(STYLES, as_of_date):
        return {}, []
    frame = view.read(STYLES, since=as_of_date)
    inside = frame.filter(pl.col("instrument_id").is_in(list(names)))
    found = {
        style: {
            name: 0.0 if value is None else float(value)
            for name, value in inside.select("instrument_id", style).iter_rows()
        }
        for style in wanted
    }
    return found, [historical_ref(STYLES, frame, as_of_date)]


def dollars_of(view: HistoricalView, names: Sequence[str]) -> tuple[dict[str, float], list[Json]]:
    """Median traded dollars a session of each name (NaN: none), and what they were read from."""
    days = view.dates(PRICES)[-VOLUME_SESSIONS:]
    frame = view.read(PRICES, since=days[0], columns=["date", "instrument_id", "dollar_volume"])
    medians = dict(frame.group_by("instrument_id").agg(pl.col("dollar_volume").median()).iter_rows())
    found = {name: medians.get(name) for name in names}
    told = {name: float("nan") if value is None else float(value) for name, value in found.items()}
    return told, [historical_ref(PRICES, frame, days[-1])]


def array(values: Mapping[str, float], names: Sequence[str], absent: float) -> FloatArray:
    """`values` in the order of `names`."""
    return np.array([values.get(name, absent) for name in names], dtype=np.float64)
