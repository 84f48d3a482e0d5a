"""What the rules look at besides the row itself: calendar, copies, and the row's own recent past.

All are medians, counts and maxima over windows of sessions that end before the row, so they are the same to the last
bit whether ten years are judged at once or one night (a running mean or variance is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from prometheus.data_ingestion.validation.rules import Limits

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


def measure_joined(rows: pl.DataFrame, sessions: Sequence[date], limits: Limits) -> pl.DataFrame:
    """Add what the joined rules look at, to rows of price and volume (at most one for an instrument and date).

    `surprise`: |return - the day's median return| in robust deviations of the instrument's own past;
    `volume_multiple`, `range_multiple`: against its own median; null while there are under 21 sessions of past.
    `is_still`: no move in the last `still_sessions` sessions. All are measured only where the rules can need them
    (a large move, a zero return) and are null elsewhere: a few rows in a hundred.
    """
    places = pl.DataFrame(
        {
            "date": pl.Series(list(sessions), dtype=pl.Date),
            "place": pl.Series(range(len(sessions)), dtype=pl.Int64),
        }
    )
    size = pl.col("ret_1d").abs()
    placed = rows.join(places, on="date", how="left").with_columns(
        pl.col("ret_1d").median().over("date").alias("market_move")
    )
    suspects = placed.filter((size > limits.jump) | (size == 0))
    past = _past(placed, suspects.select("instrument_id", "place"), limits.still_sessions)
    scale = pl.max_horizontal(NORMAL * pl.col("usual_move"), pl.lit(SMALLEST_SCALE))
    measured = suspects.join(past, on=["instrument_id", "place"], how="left").select(
        "date",
        "instrument_id",
        "is_still",
        pl.when(pl.col("usual_move").is_not_null())
        .then((pl.col("ret_1d") - pl.col("market_move")).abs() / scale)
        .alias("surprise"),
        (pl.col("dollar_volume") / pl.col("usual_volume")).alias("volume_multiple"),
        (pl.col("abs_log_open_close") / pl.max_horizontal("usual_range", pl.lit(SMALLEST_SCALE))).alias(
            "range_multiple"
        ),
    )
    return rows.join(measured, on=["date", "instrument_id"], how="left")


def _past(placed: pl.DataFrame, suspects: pl.DataFrame, still_sessions: int) -> pl.DataFrame:
    """Medians over the 63 sessions before each suspect row. Windows count sessions, not rows: gaps do not widen them."""
    back = pl.DataFrame(
        {"back": pl.Series(range(max(WINDOW_SESSIONS, still_sessions - 1) + 1), dtype=pl.Int64)}
    )
    window = suspects.join(back, how="cross").with_columns(
        (pl.col("place") - pl.col("back")).alias("past_place")
    )
    values = placed.select(
        "instrument_id",
        pl.col("place").alias("past_place"),
        pl.col("ret_1d").abs().alias("size"),
        "dollar_volume",
        "abs_log_open_close",
    )
    before = pl.col("back").is_between(1, WINDOW_SESSIONS)
    recent = pl.col("back") < still_sessions
    enough = pl.col("size").filter(before).count() >= MINIMUM_SESSIONS
    return (
        window.join(values, on=["instrument_id", "past_place"], how="inner")
        .group_by("instrument_id", "place")
        .agg(
            pl.when(enough).then(pl.col("size").filter(before).median()).alias("usual_move"),
            pl.when(enough).then(pl.col("dollar_volume").filter(before).median()).alias("usual_volume"),
            pl.when(enough).then(pl.col("abs_log_open_close").filter(before).median()).alias("usual_range"),
            (
                (pl.col("size").filter(recent).max() == 0)
                & (pl.col("size").filter(recent).count() == still_sessions)
            ).alias("is_still"),
        )
    )
