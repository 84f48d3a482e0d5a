"""The datasets a desk takes in, as a table: columns, keys, and what a session without rows means.

Every row has a `row_date`: the first date on which its vendor lets it be known. For prices that is the session itself;
for a filing the day it was filed, for a macro series the day of its publication. What a row is *about* stands in
columns of its own (`period`, `period_end`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Dataset:
    """`key` identifies a row among those of its `row_date`.

    `daily`: every session must have rows; a session without is late or lost, and the night waits or stops. Other
    datasets come when they come: a session without rows is noted, never a failure.
    """

    name: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    table: str  # where clean rows go
    daily: bool = False

    @property
    def staged(self) -> str:
        """Where rows go as they were received, faults and all."""
        return f"{self.name}_staged"


def _dataset(
    name: str, key: tuple[str, ...], table: str, columns: Mapping[str, pl.DataType], *, daily: bool = False
) -> Dataset:
    return Dataset(name, {"row_date": pl.Date(), **columns}, key, table, daily)


_TEXT, _NUMBER, _DATE = pl.String(), pl.Float64(), pl.Date()

DATASETS: Mapping[str, Dataset] = {
    each.name: each
    for each in (
        _dataset(
            "prices",
            ("instrument_id",),
            "prices_daily",
            {
                "instrument_id": _TEXT,
                "ret_1d": _NUMBER,  # close to close, adjusted as the vendor does it, as a fraction
                "abs_log_open_close": _NUMBER,  # |ln(open/close)| of the day
            },
            daily=True,
        ),
        _dataset(
            "volumes",
            ("instrument_id",),
            "prices_daily",
            {"instrument_id": _TEXT, "dollar_volume": _NUMBER},  # USD traded
            daily=True,
        ),
        # Raw bars: prices as they were paid, shares as they were traded, nothing adjusted.
        _dataset(
            "ohlcv",
            ("instrument_id",),
            "ohlcv_daily",
            {
                "instrument_id": _TEXT,
                "open": _NUMBER,
                "high": _NUMBER,
                "low": _NUMBER,
                "close": _NUMBER,
                "volume": _NUMBER,
            },
        ),
        _dataset(
            "corporate_actions",
            ("instrument_id", "action"),
            "corporate_actions",
            {
                "instrument_id": _TEXT,
                "action": _TEXT,  # split, dividend, spin_off, merger, ticker_change
                "ratio": _NUMBER,  # new shares for an old one; null where it does not apply
                "amount": _NUMBER,  # cash a share; null where it does not apply
            },
        ),
        _dataset(
            "macro",
            ("series_id", "period"),
            "macro_daily",
            {"series_id": _TEXT, "period": _DATE, "value": _NUMBER},  # period: the day or month it is about
        ),
        _dataset(
            "indices",
            ("instrument_id",),
            "indices_daily",
            {
                "instrument_id": _TEXT,
                "open": _NUMBER,
                "high": _NUMBER,
                "low": _NUMBER,
                "close": _NUMBER,
                "volume": _NUMBER,
            },
        ),
        # "EURUSD": dollars for one euro.
        _dataset("fx", ("instrument_id",), "fx_daily", {"instrument_id": _TEXT, "rate": _NUMBER}),
        # `row_date` is the day the filing was filed: that day decides, never the period's end.
        _dataset(
            "facts",
            ("instrument_id", "concept", "period_start", "period_end", "unit", "accession"),
            "facts",
            {
                "instrument_id": _TEXT,
                "concept": _TEXT,
                "period_start": _DATE,  # null for a balance on one day
                "period_end": _DATE,
                "value": _NUMBER,
                "unit": _TEXT,
                "form": _TEXT,
                "accession": _TEXT,
            },
        ),
        _dataset(
            "texts",
            ("text_id",),
            "texts",
            {
                "text_id": _TEXT,
                "instrument_id": _TEXT,  # null for a text about no single company
                "kind": _TEXT,  # news, filing, call
                "title": _TEXT,
                "body": _TEXT,
            },
        ),
        # Who stands behind an instrument, from the day on which that was known.
        _dataset(
            "issuers",
            ("instrument_id",),
            "issuers",
            {
                "instrument_id": _TEXT,
                "issuer_id": _TEXT,
                "name": _TEXT,
                "sector": _TEXT,
                "industry": _TEXT,
            },
        ),
        # Settlement prices of futures: labels of contracts, continuous by their root ("ES1").
        _dataset(
            "futures",
            ("instrument_id",),
            "futures_daily",
            {"instrument_id": _TEXT, "settle": _NUMBER, "ret_1d": _NUMBER, "volume": _NUMBER},
        ),
    )
}
