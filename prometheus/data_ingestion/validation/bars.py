"""Raw bars beside adjusted returns: which jumps are bookkeeping, and which corporate action would explain them?

Where the panel has the same share, its adjusted return over the same sessions is the measure, and what is left of the
raw move is the action itself. Where it has not, bookkeeping is told from news as for prices: news brings volume, and
moves the price during the day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from prometheus.data_ingestion.validation.context_measures import QUARTER, measure_changes, placed
from prometheus.data_ingestion.validation.context_rules import ContextLimits
from prometheus.data_ingestion.validation.measures import MINIMUM_SESSIONS, WINDOW_SESSIONS, measure_joined
from prometheus.data_ingestion.validation.rules import Limits

# New shares for an old one, as companies declare them.
FRACTIONS: Mapping[str, float] = {
    **{f"{new}:1": float(new) for new in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20)},
    "3:2": 1.5,
    "4:3": 4 / 3,
    "5:4": 1.25,
    "5:2": 2.5,
    **{f"1:{old}": 1.0 / old for old in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)},
}
_DIGITS = 9  # of differences: sums over gaps may differ in their last digits with the way they are taken
_CROWD = 20
_MEASURES = {"fraction": pl.String, "ratio": pl.Float64, "proposal": pl.String, "is_unexplained": pl.Boolean}


def measure_bars(
    bars: pl.DataFrame,
    prices: pl.DataFrame,
    actions: pl.DataFrame,
    sessions: Sequence[date],
    limits: ContextLimits,
) -> pl.DataFrame:
    """Add to raw bars what their measured rules look at.

    `gap`: sessions since the bar before (null: none within a quarter); `difference`: ln of the raw move less that of
    the panel over the same sessions, null if the panel has not all of them; `usual_difference`: its median size over
    the quarter before; `is_unexplained`: a jump that looks like bookkeeping and that no action of `actions` explains;
    `fraction`, `ratio`, `proposal`: the split it looks like, and the row of corporate_actions that would explain it.
    """
    moved = _moves(bars, prices, sessions, limits)
    suspects = _suspects(moved, sessions, limits)
    named = _named(_unexplained(suspects, actions, sessions, limits), limits)
    return moved.join(named, on=["date", "instrument_id"], how="left", maintain_order="left").with_columns(
        pl.col("is_unexplained").fill_null(value=False)
    )


def _moves(
    bars: pl.DataFrame, prices: pl.DataFrame, sessions: Sequence[date], limits: ContextLimits
) -> pl.DataFrame:
    still = measure_changes(
        bars,
        sessions,
        series="instrument_id",
        value="close",
        order=["date"],
        logarithm=True,
        still_sessions=limits.still_sessions,
    )
    gap = pl.col("place") - pl.col("place").shift(1).over("instrument_id")
    known = placed(still.drop("surprise", "change"), sessions).with_columns(
        pl.when(gap <= WINDOW_SESSIONS).then(gap).alias("gap"),
        pl.col("close").shift(1).over("instrument_id").alias("close_before"),
    )
    return (
        known.join(_adjusted(known, prices, sessions), on=["date", "instrument_id"], how="left", maintain_order="left")
        .with_columns((pl.col("move") - pl.col("adjusted")).round(_DIGITS).alias("difference"))
        .with_columns(
            pl.when(pl.col("gap") == 1)
            .then(pl.col("difference").abs())
            .rolling_median_by("place", QUARTER, closed="left", min_samples=MINIMUM_SESSIONS)
            .over("instrument_id")
            .alias("usual_difference")
        )
        .drop("place")
    )  # fmt: skip


def _adjusted(bars: pl.DataFrame, prices: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """Ln of the panel's growth over each bar's gap, where the panel has every session of it."""
    returns = placed(prices.select("date", "instrument_id", "ret_1d"), sessions).select(
        "instrument_id", pl.col("place").alias("past_place"), (1.0 + pl.col("ret_1d")).log().alias("growth")
    )
    back = pl.DataFrame({"back": pl.Series(range(WINDOW_SESSIONS), dtype=pl.Int64)})
    wanted = bars.filter(pl.col("gap").is_not_null()).select("date", "instrument_id", "place", "gap")
    spread = pl.concat(
        [
            wanted.filter(pl.col("gap") == 1).with_columns(pl.lit(0, dtype=pl.Int64).alias("back")),
            wanted.filter(pl.col("gap") > 1)
            .join(back, how="cross")
            .filter(pl.col("back") < pl.col("gap"))
            .select("date", "instrument_id", "place", "gap", "back"),
        ]
    ).with_columns((pl.col("place") - pl.col("back")).alias("past_place"))
    return (
        spread.join(returns, on=["instrument_id", "past_place"], how="inner")
        .group_by("date", "instrument_id", "gap")
        .agg(pl.col("growth").sum().alias("adjusted"), pl.len().alias("found"))
        .filter(pl.col("found") == pl.col("gap"))
        .select("date", "instrument_id", "adjusted")
    )


def _suspects(moved: pl.DataFrame, sessions: Sequence[date], limits: ContextLimits) -> pl.DataFrame:
    """Bars whose move beyond the adjusted one is large, or, without an adjusted one, looks like bookkeeping."""
    # What the market did over the same sessions; few bars with the same gap say nothing of it.
    crowd = pl.len().over("date", "gap") >= _CROWD
    market = pl.when(crowd).then(pl.col("move").median().over("date", "gap")).otherwise(0.0)
    excess = pl.coalesce("difference", (pl.col("move") - market).round(_DIGITS))
    jumps = moved.with_columns(excess.alias("excess"))
    certain = jumps.filter(pl.col("difference").abs() > limits.action)
    unknown = jumps.filter(pl.col("difference").is_null() & (pl.col("excess").abs() > limits.action))
    if unknown.is_empty():
        return certain
    as_prices = jumps.select(
        "date",
        "instrument_id",
        (pl.col("move").exp() - 1.0).alias("ret_1d"),
        (pl.col("close") * pl.col("volume")).alias("dollar_volume"),
        (pl.col("open") / pl.col("close")).log().abs().alias("abs_log_open_close"),
    )
    usual = Limits(jump=limits.action)
    measured = measure_joined(as_prices, sessions, usual).select(
        "date", "instrument_id", "surprise", "volume_multiple", "range_multiple"
    )
    # A move over many sessions surprises less than the same in one.
    surprise = pl.col("surprise") / pl.col("gap").sqrt()
    bookkeeping = (
        (surprise > usual.surprise)
        & (pl.col("volume_multiple") < usual.volume_per_surprise * surprise)
        & (pl.col("range_multiple") < usual.range_multiple)
    )
    quiet = unknown.join(measured, on=["date", "instrument_id"], how="left").filter(bookkeeping)
    return pl.concat([certain, quiet.select(certain.columns)])


def _unexplained(
    suspects: pl.DataFrame, actions: pl.DataFrame, sessions: Sequence[date], limits: ContextLimits
) -> pl.DataFrame:
    """Suspects that no action known by then explains."""
    known = placed(actions.select("date", "instrument_id", "action", "ratio", "amount"), sessions).drop(
        "date"
    )
    paired = placed(suspects, sessions).join(known, on="instrument_id", how="inner", suffix="_of_action")
    age = pl.col("place") - pl.col("place_of_action")
    expected = (
        pl.when(pl.col("action") == "split")
        .then(-pl.col("ratio").log())
        .when(pl.col("action") == "dividend")
        .then((1.0 - pl.col("amount") / pl.col("close_before")).log())
    )
    alone = pl.col("difference").is_null()
    tolerance = pl.when(alone).then(limits.split_tolerance_alone).otherwise(limits.split_tolerance)
    fits = (pl.col("action").is_in(["spin_off", "merger", "ticker_change"])) | (
        (expected - pl.col("excess")).abs() <= tolerance
    )
    explained = paired.filter(age.is_between(0, limits.action_sessions) & fits)
    return suspects.join(explained.select("date", "instrument_id"), on=["date", "instrument_id"], how="anti")


def _named(suspects: pl.DataFrame, limits: ContextLimits) -> pl.DataFrame:
    """Each suspect with the simple fraction nearest to its ratio, if one is near, and a proposal."""
    rows = []
    for row in suspects.sort("date", "instrument_id").iter_rows(named=True):
        ratio = math.exp(-row["excess"])
        name, near = min(FRACTIONS.items(), key=lambda each: abs(math.log(each[1] / ratio)))
        loose = row["difference"] is None and row["gap"] == 1
        tolerance = limits.split_tolerance_alone if loose else limits.split_tolerance
        is_split = abs(math.log(near / ratio)) <= tolerance
        proposal = _proposal(row, ratio, f"split ratio={near:.6g} ({name})" if is_split else None)
        rows.append(
            {
                "date": row["date"],
                "instrument_id": row["instrument_id"],
                "fraction": name if is_split else None,
                "ratio": ratio,
                "proposal": proposal,
                "is_unexplained": True,
            }
        )
    return pl.DataFrame(rows, schema={"date": pl.Date, "instrument_id": pl.String, **_MEASURES})


def _proposal(row: Mapping[str, Any], ratio: float, split: str | None) -> str:
    """The row of corporate_actions that would explain a suspect, in words."""
    amount = row["close_before"] * (1.0 - 1.0 / ratio)
    action = split or (
        f"spin_off, or dividend amount={amount:.4g}"
        if ratio > 1.0
        else f"split ratio={ratio:.4g}, no simple fraction"
    )
    known = row["difference"] is not None or row["gap"] == 1
    exact = "" if known else f", over {row['gap']} sessions without a bar, so not exactly"
    return (
        f"corporate_actions row_date={row['date']} instrument_id={row['instrument_id']} action={action}; "
        f"implied ratio {ratio:.4g}{exact}"
    )


def carried_splits(bars: pl.DataFrame, actions: pl.DataFrame, limits: ContextLimits) -> pl.DataFrame:
    """Measured bars on whose day a known split moved the panel's return as well: there the panel is the unadjusted one."""
    splits = actions.filter((pl.col("action") == "split") & (pl.col("ratio").log().abs() > limits.action))
    expected = -pl.col("split_ratio").log()
    return (
        bars.join(
            splits.select("date", "instrument_id", pl.col("ratio").alias("split_ratio")),
            on=["date", "instrument_id"],
            how="inner",
        )
        .filter(
            (pl.col("difference").abs() < limits.split_tolerance)
            & ((pl.col("move") - expected).abs() < limits.action)
        )
        .select("date", "instrument_id", "split_ratio")
        .sort("date", "instrument_id")
    )
