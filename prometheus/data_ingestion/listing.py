"""Who stands behind the instruments of the desk: issuers in the runtime tables, from what was staged of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from prometheus.core.ids import Json
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.stores.desk import Desk


@dataclass(frozen=True, slots=True)
class Listed:
    """What was put into the runtime tables: new or changed issuers, and instruments that got another one."""

    issuers: int
    instruments: int
    without_issuer: int  # instruments of the market of whom nobody knows one

    def as_json(self) -> Json:
        return {
            "issuers": self.issuers,
            "instruments": self.instruments,
            "without_issuer": self.without_issuer,
        }


def list_issuers(desk: Desk, session: date) -> Listed:
    """Put the issuers known at `session` into `issuers`, and their ids into `instruments`; one commit, repeatable.

    The last row of an instrument counts. Instruments come from validation of prices, so this is for after it.
    """
    known = _known(desk, session)
    held = {row["issuer_id"]: row for row in desk.runtime.rows("issuers")}
    issuers = [row for row in _issuers(known) if held.get(row["issuer_id"]) != row]
    behind = dict(known.select("instrument_id", "issuer_id").iter_rows())
    instruments = desk.runtime.rows("instruments", market_id=desk.writer.market)
    linked = [
        {**row, "issuer_id": behind[row["instrument_id"]]}
        for row in instruments
        if behind.get(row["instrument_id"], row["issuer_id"]) != row["issuer_id"]
    ]
    if issuers or linked:
        with desk.writer.commit() as connection:
            desk.runtime.put(connection, "issuers", issuers)
            desk.runtime.put(connection, "instruments", linked)
    without = sum(row["issuer_id"] is None and row["instrument_id"] not in behind for row in instruments)
    return Listed(len(issuers), len(linked), without)


def _known(desk: Desk, session: date) -> pl.DataFrame:
    view, table = desk.as_of(session), DATASETS["issuers"].staged
    columns = ["instrument_id", "issuer_id", "name", "sector", "industry", "source", "synthetic"]
    if view.last_date(table) is None:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    rows = view.read(table, columns=["row_date", *columns]).drop_nulls(["instrument_id", "issuer_id"])
    # What claims a later day is staged too, for validation to find; it names nobody yet.
    ordered = rows.filter(pl.col("row_date") <= session).sort(
        "instrument_id", "row_date", maintain_order=True
    )
    return ordered.unique("instrument_id", keep="last", maintain_order=True)


def _issuers(known: pl.DataFrame) -> list[dict[str, Any]]:
    """One row an issuer; of several instruments of one, the first by id speaks for it."""
    first = known.unique("issuer_id", keep="first", maintain_order=True)
    return [
        {
            "issuer_id": row["issuer_id"],
            "name": row["name"],
            "attributes": {name: row[name] for name in ("sector", "industry", "source", "synthetic")},
        }
        for row in first.sort("issuer_id").iter_rows(named=True)
    ]
