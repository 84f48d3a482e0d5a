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


def joined_stamps(*tables: Mapping[date, int]) -> dict[date, int]:
    """The stamp of each day over several tables, in their order; a day that one of them lacks counts as such."""
    days = sorted(set().union(*tables))
    joined = np.zeros(len(days), np.uint64)
    for table in tables:
        joined = joined * _STEP + np.array([table.get(day, 0) for day in days], np.int64).view(np.uint64)
    return dict(zip(days, joined.view(np.int64).tolist(), strict=True))


def window_stamps(stamps: Mapping[date, int], days: Sequence[date], lookback: int) -> dict[date, int]:
    """Day of `days` (ascending, all in `stamps`) -> the stamp of it and of the `lookback` days before it."""
    values = np.array([stamps[day] for day in days], dtype=np.int64)
    return dict(zip(days, _windows(values, lookback).tolist(), strict=True))


def _windows(values: np.ndarray, lookback: int) -> np.ndarray:
    each = values.view(np.uint64)
    total = each.copy()
    factor = np.ones((), np.uint64)
    with np.errstate(over="ignore"):  # a scalar that wraps around would warn
        for lag in range(1, min(lookback + 1, len(each))):
            factor = factor * _STEP
            total[lag:] += each[:-lag] * factor
    return total.view(np.int64)


def unsettled(
    now: Mapping[date, int], kept: Mapping[date, int | None], always: date
) -> tuple[tuple[date, ...], tuple[date, ...]]:
    """Days whose rows must be made anew, and kept days that have nothing to be made of any more; both ascending.

    `now` says what each day would be computed from, `kept` what it was computed from (None: not known, and so left
    as it is). The day `always`, the night's own, is made anew in any case.
    """
    fresh = {day for day, stamp in kept.items() if stamp is None or stamp == now.get(day)} - {always}
    return tuple(day for day in sorted(now) if day not in fresh), tuple(sorted(set(kept).difference(now)))
