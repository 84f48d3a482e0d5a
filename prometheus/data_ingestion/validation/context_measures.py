"""What the rules for context datasets look at besides the row: copies, its own past, its neighbours of the day.

Windows count sessions and end before the row, and are medians and counts, so a night and a bulk load agree to the last
bit; what lies further back than a window is never looked at, whether or not it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from prometheus.data_ingestion.validation.measures import MINIMUM_SESSIONS, NORMAL, WINDOW_SESSIONS

# Sessions that must be read before the first judged one: windows of a quarter, over values that look back a quarter.
LOOKBACK_SESSIONS = 2 * WINDOW_SESSIONS + 4
QUARTER = f"{WINDOW_SESSIONS}i"
SMALLEST_MOVE = 0.002  # of logarithms; under it every tick would be a surprise
SMALLEST_STEP = 0.05  # of macro values in their own unit: five basis points


def measure_copies(rows: pl.DataFrame, key: Sequence[str], values: Sequence[str]) -> pl.DataFrame:
    """Add `copy` (1, 2, ... of equal rows) and `versions` (different rows of one key, as received at one session)."""
    whole = ["date", "row_date", *key]
    if not rows.select(pl.struct(whole).is_duplicated()).to_series().any():  # nearly always
        return rows.with_columns(pl.lit(1).alias("copy"), pl.lit(1).alias("versions"))
    rest = [name for name in values if name not in key] or list(key)
    return rows.with_columns(
        pl.int_range(1, pl.len() + 1).over([*whole, *rest]).cast(pl.Int32).alias("copy"),
        pl.struct(rest).n_unique().over(whole).cast(pl.Int32).alias("versions"),
    )


def placed(rows: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """Add `place`, the number of the row's session in `sessions`."""
    places = pl.DataFrame(
        {"date": pl.Series(list(sessions), dtype=pl.Date), "place": pl.Series(range(len(sessions)), dtype=pl.Int64)}
    )  # fmt: skip
    return rows.join(places, on="date", how="left", maintain_order="left")


def came_late(rows: pl.DataFrame, sessions: Sequence[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that came at the first session at or after their `row_date`, and those that came later."""
    first = pl.DataFrame({"first": pl.Series(list(sessions), dtype=pl.Date)})
    known = rows.sort("row_date", maintain_order=True).join_asof(
        first, left_on="row_date", right_on="first", strategy="forward", coalesce=False
    )
    prompt = (pl.col("first") >= pl.col("date")).fill_null(value=True)
    return known.filter(prompt).drop("first"), known.filter(~prompt).drop("first")


def measure_changes(
    rows: pl.DataFrame,
    sessions: Sequence[date],
    *,
    series: str,
    value: str,
    order: Sequence[str],
    logarithm: bool,
    still_sessions: float,
) -> pl.DataFrame:
    """Add `move` from the series' value before, `change`, `surprise` (`change` in robust deviations), `is_still`.

    `change` is the move, or that from the value before the last one if it is smaller: after a slip, the return to
    what was before is no jump. A value more than a quarter before is no value before. `surprise` is null with under
    21 moves in the quarter before, so a monthly series has none. `is_still`: unmoved on the last `still_sessions`.
    """
    level = pl.col(value).log() if logarithm else pl.col(value)
    ordered = (
        placed(rows, sessions).sort([series, *order], maintain_order=True).with_columns(level.alias("level"))
    )
    gap = pl.col("place") - pl.col("place").shift(1).over(series)
    moved = ordered.with_columns(
        _move(series, 1).alias("move"),
        _move(series, 2).alias("second"),
        pl.when(gap == 1).then((_move(series, 1) == 0).cast(pl.Int32)).alias("unmoved"),
    ).with_columns(pl.col("move").abs().alias("size"))
    smaller = pl.col("second").abs() < pl.col("size")
    scale = pl.max_horizontal(NORMAL * pl.col("usual"), pl.lit(SMALLEST_MOVE if logarithm else SMALLEST_STEP))
    return (
        moved.with_columns(
            pl.when(smaller).then("second").otherwise("move").alias("change"),
            pl.col("size")
            .rolling_median_by("place", QUARTER, closed="left", min_samples=MINIMUM_SESSIONS)
            .over(series)
            .alias("usual"),
            pl.col("unmoved")
            .rolling_sum_by("place", f"{int(still_sessions)}i", closed="right")
            .over(series)
            .alias("stood"),
        )
        .with_columns(
            pl.when(pl.col("usual").is_not_null()).then(pl.col("change").abs() / scale).alias("surprise"),
            (pl.col("stood") >= int(still_sessions)).alias("is_still"),
        )
        .drop("level", "second", "unmoved", "size", "usual", "stood", "place")
    )


def _move(series: str, back: int) -> pl.Expr:
    near = pl.col("place") - pl.col("place").shift(back).over(series) <= WINDOW_SESSIONS
    return pl.when(near).then(pl.col("level") - pl.col("level").shift(back).over(series))


def measure_contradictions(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `contradiction` of a rate with others of its day: |ln| off its inverse or off a triangle; null if alone."""
    legs = rows.select(
        "date",
        "row_date",
        pl.col("instrument_id").alias("pair"),
        pl.col("instrument_id").str.slice(-6, 3).alias("base"),
        pl.col("instrument_id").str.slice(-3, 3).alias("quote"),
        pl.col("rate").log().alias("level"),
    )
    day = ["date", "row_date"]
    other = legs.select(
        *day, pl.col("base").alias("quote"), pl.col("quote").alias("base"), pl.col("level").alias("back")
    )
    inverse = legs.join(other, on=[*day, "base", "quote"], how="inner").select(
        *day, "pair", (pl.col("level") + pl.col("back")).abs().alias("off")
    )
    second = legs.select(
        *day, pl.col("base").alias("quote"), pl.col("quote").alias("end"), pl.col("level").alias("more")
    )
    through = legs.join(second, on=[*day, "quote"], how="inner").select(
        *day, "base", pl.col("end").alias("quote"), (pl.col("level") + pl.col("more")).alias("through")
    )
    triangle = legs.join(through, on=[*day, "base", "quote"], how="inner").select(
        *day, "pair", (pl.col("level") - pl.col("through")).abs().alias("off")
    )
    worst = (
        pl.concat([inverse, triangle]).group_by(*day, "pair").agg(pl.col("off").max().alias("contradiction"))
    )
    return rows.join(
        worst.rename({"pair": "instrument_id"}), on=[*day, "instrument_id"], how="left", maintain_order="left"
    )


def measure_repeats(rows: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """Add `is_repeated`: a text with the very same body came before, at most a quarter ago, under another id."""
    ordered = placed(rows, sessions).sort("date", "row_date", "text_id", maintain_order=True)
    before = pl.col("place").shift(1).over("body")
    other = pl.col("text_id") != pl.col("text_id").shift(1).over("body")
    near = (pl.col("place") - before) <= WINDOW_SESSIONS
    return ordered.with_columns((near & other).fill_null(value=False).alias("is_repeated")).drop("place")
