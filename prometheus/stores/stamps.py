"""Has what a day was computed from changed? A number for the rows of each day, and for the window that ends there.

A stamp depends on content alone: not on the order of rows, nor on who wrote them, when, or how often. So days loaded at
once and night after night have equal stamps. They are hashes of polars, which another version of polars may
compute differently: then everything is computed once more, to the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

_SEED = 20070103
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no day of a window is lost by multiplication


def day_stamps(rows: pl.DataFrame, day: str = "date") -> dict[date, int]:
    """Day -> a 64-bit number of the rows that have it in column `day`; every column counts."""
    if rows.is_empty():
        return {}
    hashed = pl.DataFrame({"day": rows[day], "hash": rows.hash_rows(_SEED)})
    # One more for each row, so that a row whose hash is 0 counts too. Sums wrap around.
    found = hashed.group_by("day").agg((pl.col("hash").sum() + pl.len().cast(pl.UInt64)).alias("stamp"))
    return dict(found.select("day", pl.col("stamp").reinterpret(signed=True)).iter_rows())


def joined_stamps(first: Mapping[date, int], *others: Mapping[date, int]) -> dict[date, int]:
    """The stamp of each day of `first` over several tables; a day that another lacks counts as such."""
    return {
        day: int(
            _windows(np.array([stamp, *(other.get(day, 0) for other in others)], np.int64), len(others))[-1]
        )
        for day, stamp in first.items()
    }


def window_stamps(stamps: Mapping[date, int], days: Sequence[date], lookback: int) -> dict[date, int]:
    """Day of `days` (ascending, all in `stamps`) -> the stamp of it and of the `lookback` days before it."""
    values = np.array([stamps[day] for day in days], dtype=np.int64)
    return dict(zip(days, _windows(values, lookback).tolist(), strict=True))


def _windows(values: np.ndarray, lookback: int) -> np.ndarray:
    each = values.view(np.uint64)
    total = each.copy()
    factor = np.ones((), np.uint64)
    with np.errstate(over="ignore"):
        for lag in range(1, min(lookback + 1, len(each))):
            factor = factor * _STEP
            total[lag:] += each[:-lag] * factor
    return total.view(np.int64)
