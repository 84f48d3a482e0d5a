"""Published tables of numbers as frames, and the source that hands a dataset's rows over as they became known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from prometheus.core.errors import DataError
from prometheus.data_ingestion.datasets import DATASETS

# As far back as the calendars go: an older row has no session to stand under. Such rows stay in the files.
SINCE = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class PackSource:
    """The rows of one dataset that published files hold. They are published once: nothing is ever added."""

    name: str
    dataset: str
    notes: tuple[str, ...]
    rows: pl.DataFrame
    synthetic: bool = False
    closed: bool = True

    @property
    def datasets(self) -> frozenset[str]:
        return frozenset({self.dataset})

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset == self.dataset
        return self.rows.filter(pl.col("row_date") <= known_at)["row_date"].unique().sort().to_list()

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        assert dataset == self.dataset
        wanted = pl.Series(sorted(day for day in days if day <= known_at), dtype=pl.Date)
        return self.rows.filter(pl.col("row_date").is_in(wanted.implode()))


def as_dataset(dataset: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` since `SINCE` with exactly the columns of `dataset`, ordered by its key."""
    spec = DATASETS[dataset]
    typed = rows.select(pl.col(name).cast(kind) for name, kind in spec.columns.items())
    return typed.filter(pl.col("row_date") >= SINCE).sort("row_date", *spec.key)


def read_table(file: Path, columns: Mapping[str, pl.DataType], content: bytes | None = None) -> pl.DataFrame:
    """The named columns of a CSV file (`content`: what was found inside it); empty, "." and "N/A" are no value.

    Raises `DataError` that names the file if it is absent, or has another layout.
    """
    try:
        return pl.read_csv(
            file if content is None else BytesIO(content),
            columns=list(columns),
            schema_overrides=dict(columns),
            null_values=["", ".", "N/A"],
        ).select(list(columns))
    except (OSError, PolarsError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"the reference file {file} cannot be read: {first}",
            allowed=f"a table with the columns {', '.join(columns)}",
            hint="remove it from the cache, so that it is fetched again",
        ) from None
