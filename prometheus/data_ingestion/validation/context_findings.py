"""What is said of a context dataset's session as a whole: silent, standing, thin, or at odds with another source.

Each finding depends on the session and the quarter before it alone, so a night and a bulk load say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.validation.bars import carried_splits
from prometheus.data_ingestion.validation.context_measures import LOOKBACK_SESSIONS, placed
from prometheus.data_ingestion.validation.context_rules import ContextLimits
from prometheus.data_ingestion.validation.findings import Finding, Weight, some, weigh
from prometheus.data_ingestion.validation.measures import WINDOW_SESSIONS

if TYPE_CHECKING:
    from prometheus.data_ingestion.validation.context import Beside

# Sessions that a dataset may be silent before that is a fault of its vendor; others come when they come.
PATIENCE = {"ohlcv": 0, "indices": 0, "futures": 0, "fx": 3, "macro": 3}
MONTH_SESSIONS = 21
# What must have rows on every trading day; the ECB keeps its own holidays, and macro series come when they come.
_EVERY_SESSION = {"ohlcv", "indices", "futures"}
_VALUE = {"ohlcv": "close", "indices": "close", "fx": "rate", "futures": "settle"}
_BENCHMARK = "SPX"
_ENOUGH = 20  # names or sessions; fewer say nothing


def context_findings(
    dataset: str,
    received: pl.DataFrame,
    measured: pl.DataFrame,
    quarantine: pl.DataFrame,
    session: date,
    sessions: Sequence[date],
    limits: ContextLimits,
    beside: Beside,
    *,
    required: bool,
) -> tuple[Finding, ...]:
    """Everything found about `dataset` on `session`. Only a `required` dataset can fail the night."""
    sessions = sessions[-LOOKBACK_SESSIONS:]
    near = pl.col("date") >= sessions[0]
    received, measured = received.filter(near), measured.filter(near)
    return (
        *_silent(dataset, received, session, sessions, limits, required=required),
        *_silent_series(dataset, received, session, sessions, limits),
        *_missing_sessions(dataset, received, session, sessions),
        *_standing(dataset, measured, session, sessions, limits),
        *_quarantined(received, quarantine, session, limits, required=required),
        *_great_moves(dataset, measured, quarantine, session, limits),
        *_volume_scale(dataset, measured, session, sessions, limits, beside),
        *_carried_splits(dataset, measured, session, limits, beside),
        *_benchmark(dataset, measured, session, sessions, limits, beside),
    )


def _silent(
    dataset: str,
    received: pl.DataFrame,
    session: date,
    sessions: Sequence[date],
    limits: ContextLimits,
    *,
    required: bool,
) -> list[Finding]:
    """The whole dataset has had no row for some sessions."""
    last = received["date"].max()
    if dataset not in PATIENCE or last == session:
        return []
    if not isinstance(last, date):
        weight: Weight = "fails" if required else "note"
        return [
            Finding("ended", f"it has had no rows for {len(sessions)} sessions: the feed has ended", weight)
        ]
    silent = sum(day > last for day in sessions)
    if silent <= PATIENCE[dataset]:
        return []
    if silent > limits.ended_sessions and not required:
        return [Finding("ended", f"its last rows are of {last}: the feed has ended", "note")]
    text = f"it has no rows for {silent} sessions; the last are of {last}"
    return [Finding("silent", text, "fails" if required else "degrades")]


def _silent_series(
    dataset: str, received: pl.DataFrame, session: date, sessions: Sequence[date], limits: ContextLimits
) -> list[Finding]:
    """Single series that are late by their own habit: over twice their usual interval, and over the patience."""
    if dataset not in ("macro", "fx"):
        return []
    series = DATASETS[dataset].key[0]
    now = len(sessions) - 1
    habits = (
        placed(received, sessions)
        .select(series, "place")
        .unique()
        .sort(series, "place")
        .with_columns((pl.col("place") - pl.col("place").shift(1).over(series)).alias("interval"))
        .group_by(series)
        .agg(pl.col("interval").median().alias("usual"), pl.col("place").max().alias("last"))
        .filter(pl.col("usual").is_not_null())
        .with_columns((now - pl.col("last")).alias("silent"))
        .filter(pl.col("silent") <= limits.ended_sessions)
        .sort(series)
    )
    late = habits.filter((pl.col("silent") > 2 * pl.col("usual")) & (pl.col("silent") > PATIENCE[dataset]))
    if late.is_empty():
        return []
    named = [f"{name} ({silent} sessions)" for name, silent in late.select(series, "silent").iter_rows()]
    text = f"{late.height} of {habits.height} series are silent longer than is usual: {some(named)}"
    return [
        Finding("silent_series", text, weigh(late.height, degrades=limits.degraded_share * habits.height))
    ]


def _missing_sessions(
    dataset: str, received: pl.DataFrame, session: date, sessions: Sequence[date]
) -> list[Finding]:
    if dataset not in _EVERY_SESSION or received.is_empty():
        return []
    have = set(received["date"].unique())
    begin = min(have)
    expected = [day for day in sessions[-MONTH_SESSIONS:] if begin < day < max(have)]
    gaps = [day for day in expected if day not in have]
    if not gaps or session not in have:
        return []
    return [
        Finding(
            "missing_sessions",
            f"{len(gaps)} trading days of the last month have no rows: {some(gaps)}",
            "degrades",
        )
    ]


def _standing(
    dataset: str, measured: pl.DataFrame, session: date, sessions: Sequence[date], limits: ContextLimits
) -> list[Finding]:
    if dataset not in _VALUE or len(sessions) < 2:
        return []
    key, value = DATASETS[dataset].key[0], _VALUE[dataset]
    before = measured.filter(pl.col("date") == sessions[-2]).select(key, pl.col(value).alias("before"))
    both = measured.filter(pl.col("date") == session).select(key, value).join(before, on=key, how="inner")
    still = both.filter(pl.col(value) == pl.col("before")).height
    if both.height < 2 or still <= limits.standing_share * both.height:
        return []
    text = f"{still} of {both.height} values of {session} did not move: an old file, or no trading"
    return [Finding("standing_session", text, "degrades")]


def _quarantined(
    received: pl.DataFrame, quarantine: pl.DataFrame, session: date, limits: ContextLimits, *, required: bool
) -> list[Finding]:
    total = received.filter(pl.col("date") == session).height
    bad = quarantine.filter(pl.col("date") == session)
    rows = bad.select("row_date", "subject", "value").unique().height
    if rows == 0:
        return []
    rules = ", ".join(
        f"{rule} {count}" for rule, count in bad.group_by("rule").len().sort("rule").iter_rows()
    )
    weight = weigh(
        rows, degrades=limits.degraded_share * total, fails=limits.failed_share * total if required else None
    )
    return [Finding("quarantined", f"{rows} of {total} rows of the session are quarantined: {rules}", weight)]


def _great_moves(
    dataset: str, measured: pl.DataFrame, quarantine: pl.DataFrame, session: date, limits: ContextLimits
) -> list[Finding]:
    """Pegs break and fear doubles: such moves are told, never quarantined."""
    if dataset not in ("fx", "indices", "macro"):
        return []
    quarantined = quarantine.filter(pl.col("date") == session)["subject"].unique().to_list()
    tonight = measured.filter(pl.col("date") == session, pl.col("surprise") > limits.great_move)
    great = tonight.filter(~pl.col(DATASETS[dataset].key[0]).is_in(quarantined))
    if great.is_empty():
        return []
    series, unit = DATASETS[dataset].key[0], "" if dataset == "macro" else " of logarithm"
    moves = great.sort(series).select(series, "change").iter_rows()
    named = [f"{name} by {change:+.4g}{unit}" for name, change in moves]
    return [
        Finding(
            "great_move", f"moved over {limits.great_move:g} times as far as usual: {some(named)}", "note"
        )
    ]


def _volume_scale(
    dataset: str,
    measured: pl.DataFrame,
    session: date,
    sessions: Sequence[date],
    limits: ContextLimits,
    beside: Beside,
) -> list[Finding]:
    """A constant factor between two sources' volumes is one fact about them, not a fault of each row."""
    if dataset != "ohlcv" or measured.filter(pl.col("date") == session).is_empty():
        return []
    since = sessions[-WINDOW_SESSIONS:][0]
    both = measured.filter(pl.col("date") >= since).join(
        beside.prices.select("date", "instrument_id", "dollar_volume"), on=["date", "instrument_id"], how="inner"
    )  # fmt: skip
    if both.height < _ENOUGH:
        return []
    scale = both.select((pl.col("dollar_volume") / (pl.col("close") * pl.col("volume"))).median()).item()
    if abs(scale - 1.0) <= limits.volume_scale:
        return []
    text = (
        f"the panel's dollar volume is {scale:.2f} times close x volume (median of a quarter): the two count shares "
        f"differently; compare volumes within one source only"
    )
    return [Finding("volume_scale", text, "note")]


def _carried_splits(
    dataset: str, measured: pl.DataFrame, session: date, limits: ContextLimits, beside: Beside
) -> list[Finding]:
    if dataset != "ohlcv":
        return []
    carried = carried_splits(measured.filter(pl.col("date") == session), beside.actions, limits)
    return [
        Finding(
            "panel_carries_split",
            f"the panel's return of {name} on {session} holds the split of {ratio:g}: here the raw bars and the "
            f"corporate action are believed, not the panel",
            "degrades",
        )
        for name, ratio in carried.select("instrument_id", "split_ratio").iter_rows()
    ]


def _benchmark(
    dataset: str,
    measured: pl.DataFrame,
    session: date,
    sessions: Sequence[date],
    limits: ContextLimits,
    beside: Beside,
) -> list[Finding]:
    """The index and the panel's mean stock must tell one story: else one of the two is shifted, or another market's."""
    if dataset != "indices":
        return []
    since = sessions[-WINDOW_SESSIONS:][0]
    index = measured.filter((pl.col("instrument_id") == _BENCHMARK) & (pl.col("date") >= since))
    stocks = (
        beside.prices.filter(pl.col("date") >= since)
        .group_by("date")
        .agg(pl.col("ret_1d").mean().alias("mean"))
    )
    both = index.join(stocks, on="date", how="inner").sort("date").filter(pl.col("move").is_not_null())
    if both.height < _ENOUGH or both["date"][-1] != session:
        return []
    moves = both.select((pl.col("move").exp() - 1.0).alias("index"), "mean")
    correlation, covariance, variance = moves.select(
        pl.corr("index", "mean").alias("correlation"),
        pl.cov("index", "mean").alias("covariance"),
        pl.col("index").var().alias("variance"),
    ).row(0)
    beta = covariance / variance
    if round(correlation, 6) >= limits.index_correlation and abs(round(beta, 6) - 1.0) <= limits.index_beta:
        return []
    text = (
        f"{_BENCHMARK} and the panel's mean stock disagree over the last {both.height} sessions: correlation "
        f"{correlation:.2f}, beta {beta:.2f}; one of them is shifted by a day, or is not this market"
    )
    return [Finding("index_differs", text, "degrades")]
