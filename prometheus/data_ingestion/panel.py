"""The reference panel as a source: 431 US stocks, 2007-01-04 to 2016-12-30.

Read against facts: the row of a date holds the return from the close before to the close of that date (Morgan Stanley
+87 % on 2008-10-13; median stock -8 % on 2008-09-29, -3.6 % on 2016-06-24). Volumes begin a day earlier than returns;
that day is left out, because without a return there is no price row to join.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import date
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from prometheus.core.errors import DataError
from prometheus.data_ingestion.reference import FILES, HOW_TO_GET_IT, ReferenceFiles, sha256_of

CASH = "USDOLLAR"  # a column of the returns file that is the return of cash, no stock
LAYOUT = 1  # raise it when the parsed panel's columns change
SURVIVORSHIP = (
    "the panel holds the S&P 500 members of 2016 with their whole history: companies that left the index or failed "
    "before are absent, so results look better than they could have been (survivorship bias)"
)
_COLUMNS = {
    "returns.csv.gz": "ret_1d",
    "volumes.csv.gz": "dollar_volume",
    "sigmas.csv.gz": "abs_log_open_close",
}


class ReferencePanel:
    """The three files as one parsed panel, kept beside them and bound to their checksums."""

    name = f"reference:{'cvxportfolio-1.5.1'}"
    synthetic = False
    notes = (SURVIVORSHIP,)
    datasets = frozenset({"prices", "volumes"})
    closed = True

    def __init__(self, files: ReferenceFiles) -> None:
        self._panel = _parsed(files.folder)

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset in self.datasets
        days = pl.scan_parquet(self._panel).select(pl.col("row_date").unique())
        return days.filter(pl.col("row_date") <= known_at).collect()["row_date"].sort().to_list()

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        columns = ["ret_1d", "abs_log_open_close"] if dataset == "prices" else ["dollar_volume"]
        wanted = [day for day in days if day <= known_at]
        if not wanted:
            return self._scan().head(0).select("row_date", "instrument_id", *columns).collect()
        between = pl.col("row_date").is_between(min(wanted), max(wanted))
        rows = self._scan().filter(between).select("row_date", "instrument_id", *columns).collect()
        return rows.filter(pl.col("row_date").is_in(wanted))

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self._panel)


def _parsed(folder: Path) -> Path:
    """The parsed panel's file; made if it is absent or damaged. Its name binds it to the files it was parsed from."""
    bound = "-".join(checksum[:8] for checksum in FILES.values())
    panel = folder / f"panel-{LAYOUT}-{bound}.parquet"
    seal = panel.with_suffix(".sha256")
    if panel.is_file() and seal.is_file() and seal.read_text(encoding="utf-8").strip() == sha256_of(panel):
        return panel
    frames = [_parse(folder / name, column) for name, column in _COLUMNS.items()]
    joined = frames[0]
    for frame in frames[1:]:
        joined = joined.join(frame, on=["row_date", "instrument_id"], how="inner")
    temporary = panel.with_suffix(f".{os.getpid()}.tmp")
    ordered = joined.sort("row_date", "instrument_id")
    ordered.write_parquet(temporary, row_group_size=64_000)
    os.replace(temporary, panel)
    sealing = seal.with_suffix(f".{os.getpid()}.tmp")
    sealing.write_text(sha256_of(panel) + "\n", encoding="utf-8")
    os.replace(sealing, seal)
    return panel


def _parse(file: Path, column: str) -> pl.DataFrame:
    if not file.is_file():
        raise DataError(f"the reference file {file} is absent", hint=HOW_TO_GET_IT)
    try:
        wide = pl.read_csv(file, try_parse_dates=True)
        names = [name for name in wide.columns if name not in ("Date", CASH)]
        long = wide.unpivot(on=names, index="Date", variable_name="instrument_id", value_name=column)
        return long.select(
            pl.col("Date").cast(pl.Date).alias("row_date"),
            pl.col("instrument_id").cast(pl.String),
            pl.col(column).cast(pl.Float64),
        )
    except (PolarsError, OSError) as error:
        raise DataError(f"the reference file {file} cannot be read: {error}", hint=HOW_TO_GET_IT) from None
