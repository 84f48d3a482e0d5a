"""Facts of SEC filings (XBRL company facts, files of edgar-ratios): AAPL, GOOGL, JPM, MSFT, NVDA, filed 2018 to 2026.

The day of filing decides. A later filing that repeats or corrects a figure is a row of its own (another accession), so
what was believed on any day can be told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.packs.reading import as_dataset
from prometheus.data_ingestion.reference import ReferenceFiles

FILES: Mapping[str, str] = {
    "AAPL": "aapl.json",
    "GOOGL": "googl.json",
    "JPM": "jpm.json",
    "MSFT": "msft.json",
    "NVDA": "nvda.json",
}
NOTES = (
    "a filing may carry a day's date until 17:30 in New York: the night of that day can see it an hour early",
)


def parse_facts(edgar: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `facts`: concept as in the taxonomy (`Assets`), value in `unit`."""
    rows = [fact for ticker, name in FILES.items() for fact in _facts(ticker, edgar.path(name))]
    dates = ("row_date", "period_start", "period_end")
    text = ("instrument_id", "concept", "unit", "form", "accession")
    schema = {**dict.fromkeys((*dates, *text), pl.String()), "value": pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema)
    return as_dataset("facts", frame.with_columns(pl.col(*dates).str.to_date("%Y-%m-%d")))


def _facts(ticker: str, file: Path) -> list[dict[str, Any]]:
    try:
        told: Any = json.loads(file.read_text(encoding="utf-8"))
        return [
            {
                "row_date": fact["filed"],
                "instrument_id": ticker,
                "concept": concept,
                "period_start": fact.get("start"),  # a balance on one day has none
                "period_end": fact["end"],
                "value": float(fact["val"]),
                "unit": unit,
                "form": fact["form"],
                "accession": fact["accn"],
            }
            for concepts in told["facts"].values()
            for concept, entry in concepts.items()
            for unit, facts in entry["units"].items()
            for fact in facts
        ]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"the reference file {file} cannot be read: {type(error).__name__} {error}",
            allowed="company facts as the SEC's interface gives them",
            hint="remove it from the cache, so that it is fetched again",
        ) from None
