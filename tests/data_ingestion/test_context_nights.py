"""A night's context data as a whole: what is silent, late or shifted; and what holds of every rule."""

from __future__ import annotations

import polars as pl
import pytest
from context_rows import CLEAN_BARS, PANEL, SESSIONS, S, made, scaled, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.errors import DataError
from prometheus.data_ingestion.validation.context import (
    NOTHING,
    Beside,
    ContextVerdict,
)
from prometheus.data_ingestion.validation.context_measures import LOOKBACK_SESSIONS
from prometheus.data_ingestion.validation.context_rules import (
    ACTIONS,
    ContextLimits,
)


def findings(found: ContextVerdict) -> list[tuple[str, str]]:
    return [(each.name, each.weight) for each in found.findings]


@pytest.mark.parametrize("dataset", ["ohlcv", "indices", "futures"])
def test_a_daily_dataset_that_is_silent_tonight_degrades_it(dataset: str) -> None:
    rows = made(dataset).filter(pl.col("date") < S)
    found = verdict(dataset, rows)
    assert findings(found) == [("silent", "degrades")]
    assert f"the last are of {SESSIONS[-2]}" in found.findings[0].text
    assert findings(verdict(dataset, rows, required=True)) == [("silent", "fails")]


def test_a_feed_that_ended_long_ago_is_a_note() -> None:
    rows = made("ohlcv").filter(pl.col("date") <= SESSIONS[80])
    assert findings(verdict("ohlcv", rows)) == [("ended", "note")]


@pytest.mark.parametrize("dataset", ["ohlcv", "indices", "futures"])
def test_a_trading_day_without_any_row_degrades_the_nights_of_a_month(dataset: str) -> None:
    rows = made(dataset)
    assert findings(verdict(dataset, rows.filter(pl.col("date") != SESSIONS[-10]))) == [
        ("missing_sessions", "degrades")
    ]
    assert findings(verdict(dataset, rows.filter(pl.col("date") != SESSIONS[-30]))) == []


def test_a_series_is_late_by_its_own_habit() -> None:
    rows = made("macro")
    monthly = pl.DataFrame({"date": SESSIONS[5::21]}).select(
        "date", pl.col("date").alias("row_date"), pl.lit("CPI_CORE").alias("series_id"),
        pl.col("date").alias("period"), pl.lit(200.0).alias("value"), pl.lit("frames").alias("source"),
        pl.lit(False).alias("synthetic"),
    )  # fmt: skip
    assert findings(verdict("macro", pl.concat([rows, monthly]))) == []
    quiet = rows.filter((pl.col("series_id") != "VIX") | (pl.col("date") < SESSIONS[-5]))
    late = verdict("macro", pl.concat([quiet, monthly]))
    assert findings(late) == [("silent_series", "degrades")]
    assert "VIX (5 sessions)" in late.findings[0].text
    old = monthly.filter(pl.col("date").is_between(SESSIONS[0], SESSIONS[-44]))
    assert "CPI_CORE (" in verdict("macro", pl.concat([rows, old])).findings[0].text


@pytest.mark.parametrize("dataset", ["fx", "indices", "futures"])
def test_a_session_of_standing_values_degrades(dataset: str) -> None:
    rows = made(dataset)
    old = rows.filter(pl.col("date") == SESSIONS[-2]).with_columns(
        pl.lit(S).alias("date"), pl.lit(S).alias("row_date")
    )
    found = verdict(dataset, pl.concat([rows.filter(pl.col("date") < S), old]))
    assert findings(found) == [("standing_session", "degrades")]


def test_an_index_that_is_shifted_by_a_day_is_seen_beside_the_panel() -> None:
    index = made("indices")
    moves = index.filter(pl.col("instrument_id") == "SPX").select(
        "date", pl.lit("X").alias("instrument_id"),
        (pl.col("close") / pl.col("close").shift(1) - 1.0).fill_null(0.0).alias("ret_1d"),
        pl.lit(1e9).alias("dollar_volume"),
    )  # fmt: skip
    assert verdict("indices", beside=Beside(moves, NOTHING.actions)).findings == ()
    shifted = moves.with_columns(pl.col("ret_1d").shift(1).fill_null(0.0))
    found = verdict("indices", beside=Beside(shifted, NOTHING.actions))
    assert findings(found) == [("index_differs", "degrades")]
    halved = moves.with_columns(pl.col("ret_1d") * 4)
    assert "beta 4.00" in verdict("indices", beside=Beside(halved, NOTHING.actions)).findings[0].text


def test_a_required_dataset_of_which_half_is_bad_fails() -> None:
    rows = made("macro")
    bad = rows.with_columns(pl.when(pl.col("date") == S).then(-500.0).otherwise("value").alias("value"))
    assert findings(verdict("macro", bad)) == [("quarantined", "degrades")]
    assert findings(verdict("macro", bad, required=True)) == [("quarantined", "fails")]


# --- laws ---


def faulty(dataset: str, places: list[int]) -> pl.DataFrame:
    """A frame with faults at some rows, of the kinds that rules with a memory must judge alike by night and in bulk."""
    rows = made(dataset).with_row_index("at")
    hit = pl.col("at").is_in([place % rows.height for place in places])
    column = {"ohlcv": "close", "indices": "close", "macro": "value", "fx": "rate", "texts": "body"}[dataset]
    if dataset == "texts":
        changed = pl.when(hit).then(pl.lit("words of one")).otherwise(column)
    else:
        changed = pl.when(hit).then(pl.col(column) * 0.5).otherwise(column)
    damaged = rows.with_columns(changed.alias(column)).drop("at")
    if "low" in rows.columns:
        damaged = damaged.with_columns(pl.min_horizontal("low", "close").alias("low"))
    gap = pl.col("date").is_in([SESSIONS[place % len(SESSIONS)] for place in places[::3]])
    return damaged.filter(~gap | (pl.col("date") == S))


@settings(max_examples=settings().max_examples // 6)
@given(
    dataset=st.sampled_from(["ohlcv", "indices", "macro", "fx", "texts"]),
    places=st.lists(st.integers(0, 700), max_size=8),
    last=st.integers(LOOKBACK_SESSIONS, len(SESSIONS) - 1),
)
def test_a_night_judges_as_the_bulk_load_does(dataset: str, places: list[int], last: int) -> None:
    rows = faulty(dataset, places)
    beside = Beside(PANEL, NOTHING.actions)
    night = SESSIONS[last]
    known = rows.filter(pl.col("date") <= night)
    seen = Beside(PANEL.filter(pl.col("date") <= night), NOTHING.actions)
    bulk = verdict(dataset, beside=beside, rows=rows)
    until = SESSIONS[: last + 1]
    alone = verdict(
        dataset, known, days=[night], session=night, sessions=until[-LOOKBACK_SESSIONS - 1 :], beside=seen
    )
    whole = verdict(dataset, known, days=until, session=night, sessions=until, beside=seen)
    on_night = pl.col("date") == night
    assert alone.clean.equals(bulk.clean.filter(on_night))
    assert alone.quarantine.equals(bulk.quarantine.filter(on_night))
    assert alone.findings == whole.findings
    assert (alone.session_rows, alone.session_clean) == (whole.session_rows, whole.session_clean)
    assert alone.session_quarantined == whole.session_quarantined


@settings(max_examples=settings().max_examples // 6)
@given(
    dataset=st.sampled_from(["ohlcv", "indices", "macro", "fx", "texts"]),
    places=st.lists(st.integers(0, 700), max_size=8),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_rows_changes_nothing(dataset: str, places: list[int], seed: int) -> None:
    rows = faulty(dataset, places)
    rows = pl.concat([rows, rows.head(2)])
    one = verdict(dataset, rows)
    other = verdict(dataset, rows.sample(fraction=1.0, shuffle=True, seed=seed))
    assert one.clean.equals(other.clean)
    assert one.quarantine.equals(other.quarantine)
    assert one.findings == other.findings


def test_a_limit_changes_what_is_suspected_and_an_unknown_one_is_named() -> None:
    lenient = ContextLimits.from_params({"difference": 0.2, "action": 0.3})
    rows = scaled(CLEAN_BARS, 0.85)
    assert verdict("ohlcv", rows, beside=Beside(PANEL, NOTHING.actions), limits=lenient).counts == {}
    with pytest.raises(DataError, match=r"'diference' is unknown.*difference"):
        ContextLimits.from_params({"diference": 0.2})
    assert "split" in ACTIONS
