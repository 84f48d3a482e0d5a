"""What the rules look at besides the row itself: calendar, copies, and the row's own recent past.

All are medians, counts and maxima over windows of sessions that end before the row, so they are the same to the last
bit whether ten years are judged at once or one night (a running mean or variance is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

WINDOW_SESSIONS = 63  # a quarter
MINIMUM_SESSIONS = 21
NORMAL = 1.4826  # median absolute deviation to standard deviation, for a normal distribution
SMALLEST_SCALE = 0.002  # 20 basis points: under it every tick would be a surprise


def measure_received(rows: pl.DataFrame, values: Sequence[str], sessions: Sequence[date]) -> pl.DataFrame:
    """Add `is_session`, `copy` (1, 2, ... of equal rows) and `versions` (different rows of one instrument and date)."""
    key = ["date", "row_date", "instrument_id"]
    rows = rows.with_columns(
        (pl.col("date").is_in(list(sessions)) & pl.col("row_date").is_in(list(sessions))).alias("is_session")
    )
    doubled = rows.select(pl.struct(key).is_duplicated()).to_series()
    if not doubled.any():  # nearly always: the windows below cost a second on ten years
        return rows.with_columns(pl.lit(1).alias("copy"), pl.lit(1).alias("versions"))
    return rows.with_columns(
        pl.int_range(1, pl.len() + 1).over([*key, *values]).cast(pl.Int32).alias("copy"),
        pl.struct(values).n_unique().over(key).cast(pl.Int32).alias("versions"),
    )


def measure_joined(rows: pl.DataFrame, sessions: Sequence[date], still_sessions: int) -> pl.DataFrame:
    """Add what the joined rules look at, to rows of price and volume (at most one for an instrument and date).

    `surprise`: |return - the day's median return| in robust deviations of the instrument's own past;
    `volume_multiple`, `range_multiple`: against its own median; null while there are under 21 sessions of past.
    `is_still`: no move in the last `still_sessions` sessions.
    """
    places = pl.DataFrame(
        {
            "date": pl.Series(list(sessions), dtype=pl.Date),
            "place": pl.Series(range(len(sessions)), dtype=pl.Int64),
        }
    )
    placed = rows.join(places, on="date", how="left").sort("instrument_id", "place")
    size = pl.col("ret_1d").abs()
    measured = placed.with_columns(
        pl.col("ret_1d").median().over("date").alias("market_move"),
        _past(size).alias("usual_move"),
        _past(pl.col("dollar_volume")).alias("usual_volume"),
        _past(pl.col("abs_log_open_close")).alias("usual_range"),
        (
            size.rolling_max_by("place", f"{still_sessions}i", min_samples=still_sessions).over(
                "instrument_id"
            )
            == 0
        )
        .fill_null(value=False)
        .alias("is_still"),
    )
    scale = pl.max_horizontal(NORMAL * pl.col("usual_move"), pl.lit(SMALLEST_SCALE))
    return measured.with_columns(
        pl.when(pl.col("usual_move").is_not_null())
        .then((pl.col("ret_1d") - pl.col("market_move")).abs() / scale)
        .alias("surprise"),
        (pl.col("dollar_volume") / pl.col("usual_volume")).alias("volume_multiple"),
        (pl.col("abs_log_open_close") / pl.max_horizontal("usual_range", pl.lit(SMALLEST_SCALE))).alias(
            "range_multiple"
        ),
    ).drop("place", "market_move", "usual_move", "usual_volume", "usual_range")


def _past(value: pl.Expr) -> pl.Expr:
    """Median over the sessions before the row's own; windows count sessions, not rows, so gaps do not widen them."""
    return value.rolling_median_by(
        "place", f"{WINDOW_SESSIONS}i", min_samples=MINIMUM_SESSIONS, closed="left"
    ).over("instrument_id")
