"""Long rows to matrices and back: (session, instrument) as two axes, NaN where there is no row.

It sits in the stores because features and engines both work on matrices and may not import each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from prometheus.stores.historical import DATE, KEY

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """Columns of a long table as matrices of shape (days, instruments); both axes ascend."""

    days: tuple[date, ...]
    instruments: tuple[str, ...]
    values: Mapping[str, FloatArray]

    def __getitem__(self, column: str) -> FloatArray:
        return self.values[column]


def aligned(wide: Wide, axes: Wide) -> Wide:
    """`wide` on the days and instruments of `axes`; NaN where it has no such row, and what `axes` lacks is left out."""
    rows = {day: place for place, day in enumerate(wide.days)}
    places = {name: place for place, name in enumerate(wide.instruments)}
    at = np.ix_([rows.get(day, -1) for day in axes.days], [places.get(name, -1) for name in axes.instruments])
    return Wide(
        axes.days,
        axes.instruments,
        {
            # One more row and column of NaN stand for what is not there, at position -1.
            name: np.pad(matrix, ((0, 1), (0, 1)), constant_values=np.nan)[at]
            for name, matrix in wide.values.items()
        },
    )


def widen(frame: pl.DataFrame, columns: Sequence[str]) -> Wide:
    """`columns` of a long frame (one row for a date and instrument) as matrices; nulls become NaN.

    A pair that occurs twice is the caller's fault (validation keeps such rows out): an assertion.
    """
    days = frame[DATE].unique().sort()
    instruments = frame[KEY].unique().sort()
    rows = days.search_sorted(frame[DATE]).to_numpy()
    places = instruments.search_sorted(frame[KEY]).to_numpy()
    shape = (len(days), len(instruments))
    flat = rows.astype(np.int64) * shape[1] + places
    seen = np.zeros(shape[0] * shape[1], dtype=np.bool_)
    seen[flat] = True
    assert np.count_nonzero(seen) == len(flat), "two rows for one date and instrument"
    values = {}
    for name in columns:
        matrix = np.full(shape[0] * shape[1], np.nan)
        matrix[flat] = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        values[name] = matrix.reshape(shape)
    return Wide(tuple(days.to_list()), tuple(instruments.to_list()), values)


def lengthen(
    days: Sequence[date], instruments: Sequence[str], values: Mapping[str, FloatArray], present: BoolArray
) -> pl.DataFrame:
    """The long frame of the pairs that are `present`, by date and instrument; NaN becomes null."""
    rows, places = np.nonzero(present)
    columns: dict[str, pl.Series] = {
        DATE: pl.Series(list(days), dtype=pl.Date).gather(rows),
        KEY: pl.Series(list(instruments), dtype=pl.String).gather(places),
    }
    for name, matrix in values.items():
        columns[name] = pl.Series(matrix[rows, places], dtype=pl.Float64).fill_nan(None)
    return pl.DataFrame(columns)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread inside.

    Sums split over threads differ in their last digits from machine to machine, and the matrices of a night are so
    small that more threads make them slower.
    """
    with threadpool_limits(1):
        yield
