"""What does a vendor say of earlier days that it did not say before? Late rows, revised values, rows taken back. Pure.

Staging only grows: a row that came late or was revised stands under the session that learnt of it, with the date that it
is about (`row_date`). What is known of a day is the newest version of each of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.stores.stamps import day_stamps


def settled(staged: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The newest version of each row, with `date` = `row_date`, the day that it is about.

    Rows that claim a later day than the session which received them stay as they are: they are no versions of one
    that will come. Rows of one version stay together, doubled ones too, for validation to find.
    """
    moved = (pl.col("row_date") < pl.col("date")) & pl.col("row_date").is_not_null()
    days = staged.filter(moved)["row_date"].unique()
    if days.is_empty():
        return staged
    touched = pl.col("row_date").is_in(days.implode()) & (pl.col("row_date") <= pl.col("date"))
    newest = staged.filter(touched).filter(pl.col("date") == pl.col("date").max().over("row_date", *key))
    others = staged.filter(~touched.fill_null(value=False))
    return pl.concat([others, newest.with_columns(pl.col("row_date").alias("date"))]).sort(
        "date", *key, maintain_order=True
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new about earlier days; `rows` are those to be staged tonight, late and revised ones."""

    rows: pl.DataFrame
    late: int
    revised: int
    withdrawn: int
    days: tuple[date, ...]  # that any of it is about


def changes(held: pl.DataFrame, received: pl.DataFrame, key: Sequence[str]) -> Changes:
    """What `received` says otherwise than `held`: two frames of equal columns, `row_date` among them.

    A row is known again by its `row_date` and `key`; of several with the same, one that differs makes all differ.
    """
    before, after = day_stamps(held, "row_date"), day_stamps(received, "row_date")
    days = [day for day in sorted({*before, *after}) if before.get(day) != after.get(day)]
    about = pl.col("row_date").is_in(days)
    known = ["row_date", *key]
    both = _by_key(held.filter(about), known).join(
        _by_key(received.filter(about), known),
        on=known,
        how="full",
        nulls_equal=True,
        coalesce=True,
        suffix="_new",
    )
    late = both.filter(pl.col("stamp").is_null())
    revised = both.filter(pl.col("stamp") != pl.col("stamp_new"))
    withdrawn = both.filter(pl.col("stamp_new").is_null())
    other = pl.concat([late, revised]).select(known)
    return Changes(
        received.filter(about).join(other, on=known, how="semi", nulls_equal=True),
        late.height,
        revised.height,
        withdrawn.height,
        tuple(pl.concat([late, revised, withdrawn])["row_date"].unique().sort().drop_nulls()),
    )


def _by_key(rows: pl.DataFrame, known: Sequence[str]) -> pl.DataFrame:
    hashed = rows.select(known).with_columns(rows.hash_rows(1).alias("hash"))
    stamp = (pl.col("hash").sum() + pl.len().cast(pl.UInt64)).alias("stamp")
    return hashed.group_by(known).agg(stamp)
