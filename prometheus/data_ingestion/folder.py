"""A user's own files as a source: CSV or Parquet, one file for a dataset or one for each day.

A file named by a day (`2016-06-24.csv`) was received on that day: a row in it of an earlier day is late, or a revision of
what came before. Elsewhere a column may say from which day on a row was known (`known_on`); without one, each row was
known on its `row_date`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from prometheus.core.errors import DataError
from prometheus.core.settings import SourceSettings
from prometheus.data_ingestion.own_rows import FILE_DAY, LINE, NAME, PLACE, OwnRows, conform

SUFFIXES = (".csv", ".csv.gz", ".parquet")


class FolderSource:
    """One dataset of a market in the files that the settings name. Read when first asked for, whole."""

    synthetic = False
    closed = False
    notes: tuple[str, ...] = ()

    def __init__(self, told: SourceSettings, market: str, dataset: str) -> None:
        self.name = told.name or f"folder:{market}"
        self.datasets = frozenset({dataset})
        self._told = told
        self._dataset = dataset

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset == self._dataset
        return self._rows.sessions(known_at)

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        assert dataset == self._dataset
        return self._rows.read(known_at, days)

    @cached_property
    def _rows(self) -> OwnRows:
        assert self._told.path is not None, "settings of kind folder have a path"
        files = files_of(self._told.path, self._dataset)
        return conform(_read_all(files, self._told), self._dataset, self._told, str(self._told.path))


def place_of(path: Path, dataset: str) -> Path | None:
    """Where the files of `dataset` lie in a folder of several datasets; None if it has none of it."""
    places = [path / dataset, *(path / f"{dataset}{suffix}" for suffix in SUFFIXES)]
    return next((place for place in places if place.exists()), None)


def files_of(path: Path, dataset: str) -> list[Path]:
    """The files at `path`: itself, or those in it, by name. `DataError` if there is none."""
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    else:
        raise DataError(
            f"the {dataset} should be at {path}, where there is nothing",
            allowed=f"a file, or a folder of files, {', '.join(SUFFIXES)}",
            hint="correct the `path` under [sources] in prometheus.toml",
        )
    fit = [file for file in files if _suffix(file)]
    if not fit:
        raise DataError(
            f"the {dataset} should be at {path}, which holds "
            + (f"{len(files)} files of other kinds, such as {files[0].name}" if files else "no file"),
            allowed=f"files that end in {', '.join(SUFFIXES)}",
        )
    return fit


def _suffix(file: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if file.name.lower().endswith(suffix)), None)


def _stem(file: Path) -> str:
    return file.name[: -len(_suffix(file) or "")]


def _first_line(file: Path) -> int:
    """The number of the first row: text files begin with a line of names."""
    return 1 if _suffix(file) == ".parquet" else 2


def _day_of(file: Path) -> date | None:
    try:
        return date.fromisoformat(_stem(file))
    except ValueError:
        return None


def _read_all(files: Sequence[Path], told: SourceSettings) -> pl.DataFrame:
    """All rows as they stand in the files, with where each stands."""
    frames = [_read(file, told) for file in files]
    _check_layouts(files, frames)
    days = [_day_of(file) for file in files]
    if any(days) and not all(days):
        other = files[days.index(None)]
        raise DataError(
            f"{other.parent} has files named by days and others, such as {other.name}",
            allowed="a file a day (2016-06-24.csv), or names that are no days",
        )
    marked = [
        frame.with_columns(
            pl.lit(str(file)).alias(PLACE),
            (pl.int_range(pl.len()) + _first_line(file)).alias(LINE),
            *([pl.lit(day).alias(FILE_DAY)] if day else []),
            *(pl.lit(_stem(file)).alias(column) for column, text in told.values.items() if text == NAME),
        )
        for file, frame, day in zip(files, frames, days, strict=True)
    ]
    return pl.concat(marked)


def _read(file: Path, told: SourceSettings) -> pl.DataFrame:
    try:
        if _suffix(file) == ".parquet":
            return pl.read_parquet(file)
        # As text: what a column holds is decided by the dataset, not by its first lines.
        return pl.read_csv(file, separator=told.separator, infer_schema=False)
    except (PolarsError, OSError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} cannot be read: {text}", hint="see whether the file is whole") from None


def _check_layouts(files: Sequence[Path], frames: Sequence[pl.DataFrame]) -> None:
    first = frames[0].schema
    for file, frame in zip(files, frames, strict=True):
        if frame.schema != first:
            differs = sorted(set(frame.schema.items()) ^ set(first.items()), key=str)
            columns = ", ".join(sorted({name for name, _ in differs})) or "the order of its columns"
            raise DataError(
                f"{file.name} has another layout than {files[0].name} in {file.parent}: it differs in {columns}",
                hint="give files of another layout a folder of their own, or make their columns alike",
            )
