"""Each rule of the context datasets finds the fault planted for it and nothing else, whatever the order or the batch."""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl
import pytest
from context_rows import (
    CLEAN_BARS,
    CONTEXT,
    LIMITS,
    PANEL,
    SESSIONS,
    S,
    first_of_session,
    made,
    panel_of,
    planted,
    scaled,
    verdict,
)

from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.own_rows import MAY_BE_ABSENT
from prometheus.data_ingestion.validation.context import (
    NOTHING,
    Beside,
    ContextVerdict,
)
from prometheus.data_ingestion.validation.context_rules import (
    ContextLimits,
    measured_rules,
    received_rules,
)
from prometheus.data_ingestion.validation.findings import quality_of


@pytest.mark.parametrize("dataset", CONTEXT)
def test_clean_rows_pass_and_lose_nothing(dataset: str) -> None:
    rows = made(dataset)
    found = verdict(dataset, rows)
    assert found.counts == {}
    assert found.findings == ()
    assert found.clean.height == found.rows == rows.height
    assert set(found.clean.columns) == {"date", *DATASETS[dataset].columns, "source", "synthetic"}


TOMORROW = S + timedelta(days=1)
PLANTED: list[tuple[str, dict[str, object], str]] = [
    *((dataset, {"row_date": TOMORROW}, "future_row") for dataset in CONTEXT),
    *((dataset, {made(dataset).columns[2]: " "}, "nameless_row") for dataset in CONTEXT),
    *(
        (dataset, {"close": value}, "missing_price")
        for dataset in ("ohlcv", "indices")
        for value in (None, 0.0)
    ),
    ("ohlcv", {"open": math.nan}, "missing_price"),
    ("ohlcv", {"low": 1e-9, "open": 1.0, "high": 2.0, "close": 1.5}, "wild_bar"),
    ("indices", {"high": 1e9}, "wild_bar"),
    ("ohlcv", {"high": 1.0, "low": 0.9}, "inconsistent_bar"),
    ("indices", {"low": 1e4, "high": 2e4}, "inconsistent_bar"),
    ("indices", {"open": 0.0}, "missing_price"),
    ("ohlcv", {"open": None}, "missing_price"),
    ("ohlcv", {"volume": None}, "missing_volume"),
    ("indices", {"volume": math.nan}, "missing_volume"),
    *((dataset, {"volume": -1.0}, "negative_volume") for dataset in ("ohlcv", "indices", "futures")),
    ("ohlcv", {"volume": 0.0}, "zero_volume"),
    ("corporate_actions", {"action": "rights"}, "unknown_action"),
    ("corporate_actions", {"ratio": None}, "impossible_ratio"),
    ("corporate_actions", {"ratio": 5_000.0}, "impossible_ratio"),
    ("corporate_actions", {"action": "dividend"}, "impossible_amount"),
    ("macro", {"value": math.inf}, "missing_value"),
    ("macro", {"period": None}, "missing_period"),
    ("macro", {"period": TOMORROW}, "known_before_its_period"),
    ("macro", {"value": -500.0}, "implausible_value"),
    ("fx", {"rate": 0.0}, "missing_rate"),
    ("fx", {"instrument_id": "EUR/USD"}, "not_a_pair"),
    ("fx", {"rate": 10.0}, "impossible_move"),
    ("facts", {"value": None}, "missing_value"),
    ("facts", {"period_end": None}, "missing_period"),
    ("facts", {"period_end": S + timedelta(days=9)}, "filed_before_its_end"),
    ("facts", {"period_start": date(2010, 5, 1)}, "reversed_period"),
    ("texts", {"body": "  "}, "empty_text"),
    ("texts", {"body": "words of one"}, "duplicate_body"),
    ("issuers", {"issuer_id": None}, "nameless_issuer"),
    ("futures", {"settle": None}, "missing_price"),
    ("futures", {"ret_1d": math.nan}, "missing_return"),
    ("futures", {"ret_1d": -1.0}, "impossible_return"),
]


# What is no number is out of every bound as well.
COMPANIONS = {
    "missing_price": ("inconsistent_bar",),
    "missing_value": ("implausible_value",),
    "missing_return": ("impossible_return",),
    "nameless_row": ("not_a_pair",),
}


@pytest.mark.parametrize(("dataset", "values", "rule"), PLANTED)
def test_a_bad_row_is_quarantined_under_its_rule(dataset: str, values: dict[str, object], rule: str) -> None:
    found = verdict(dataset, planted(dataset, **values))
    assert rule in found.counts
    assert found.clean.height == made(dataset).height - 1
    assert set(found.quarantine["rule"]) <= {rule, *COMPANIONS.get(rule, ())}
    assert found.quarantine["date"].unique().to_list() == [S]
    assert quality_of(found.findings) == "degraded"  # one row of the few of the session


@pytest.mark.parametrize("dataset", sorted(MAY_BE_ABSENT))
def test_what_a_vendor_need_not_have_is_not_missed(dataset: str) -> None:
    absent = MAY_BE_ABSENT[dataset]
    rows = made(dataset).with_columns(pl.lit(None, made(dataset).schema[name]).alias(name) for name in absent)
    if (
        dataset == "corporate_actions"
    ):  # of these a split has a ratio and a dividend an amount, or they say nothing
        rows = rows.with_columns(action=pl.lit("spin_off"))
    found = verdict(dataset, rows)
    assert (found.counts, found.clean.height, found.findings) == ({}, rows.height, ())


def test_an_index_that_moves_as_none_ever_did_is_quarantined() -> None:
    rows = made("indices")
    half = [pl.when(first_of_session(rows)).then(pl.col(n) * 0.6).otherwise(pl.col(n)).alias(n)
            for n in ("open", "high", "low", "close")]  # fmt: skip
    assert verdict("indices", rows.with_columns(half)).counts == {"impossible_move": 1}


def test_a_slip_of_the_decimal_point_is_an_outlier_and_the_value_after_it_is_none() -> None:
    for day in (S, SESSIONS[-2]):
        rows = made("macro")
        at = (pl.col("series_id") == "WTI") & (pl.col("date") == day)
        slipped = rows.with_columns(pl.when(at).then(pl.col("value") * 10).otherwise("value").alias("value"))
        found = verdict("macro", slipped)
        assert found.counts == {"outlier": 1}
        assert found.quarantine["date"].to_list() == [day]


@pytest.mark.parametrize(("sessions", "counts"), [(22, {}), (23, {"outlier": 1})])
def test_a_series_is_suspected_from_its_twenty_first_move_on_and_a_move_is_no_part_of_its_own_past(
    sessions: int, counts: dict[str, int]
) -> None:
    young = pl.col("date").is_in(SESSIONS[-sessions:])
    at = (pl.col("series_id") == "WTI") & (pl.col("date") == S)
    slipped = made("macro").with_columns(
        pl.when(at).then(pl.col("value") * 10).otherwise("value").alias("value")
    )
    assert verdict("macro", slipped.filter(young)).counts == counts


def test_an_index_that_jumps_a_hundred_times_its_usual_move_is_an_outlier() -> None:
    level = 50.0 + 0.001 * pl.int_range(pl.len()).over("instrument_id")
    calm = made("indices").with_columns(
        level.alias("open"), level.alias("close"), (level * 1.5).alias("high"), (level * 0.7).alias("low")
    )
    jumped = pl.when(first_of_session(calm)).then(level * 1.35).otherwise(level).alias("close")
    assert verdict("indices", calm).counts == {}
    assert verdict("indices", calm.with_columns(jumped)).counts == {"outlier": 1}


def test_a_text_without_end_is_quarantined() -> None:
    short = ContextLimits(text_length=10)
    assert verdict("texts", limits=short).counts == {"endless_text": 3}


def test_a_revision_that_comes_late_is_judged_by_itself_and_disturbs_no_neighbour() -> None:
    rows = made("ohlcv")
    old = rows.filter((pl.col("instrument_id") == "DHR") & (pl.col("date") == SESSIONS[-60]))
    revised = scaled(old, 0.5, since=SESSIONS[0]).with_columns(pl.lit(SESSIONS[-2]).alias("date"))
    found = verdict("ohlcv", pl.concat([rows, revised]), beside=Beside(PANEL, NOTHING.actions))
    assert found.counts == {}
    assert found.clean.height == rows.height + 1
    bad = revised.with_columns(pl.lit(-1.0).alias("close"))
    assert verdict("ohlcv", pl.concat([rows, bad])).counts == {"inconsistent_bar": 1, "missing_price": 1}


def test_a_peg_that_breaks_is_told_and_kept() -> None:
    rows = made("fx").with_columns(
        pl.when(pl.col("instrument_id") == "EURUSD")
        .then(1.2 + 0.0001 * pl.int_range(pl.len()).over("instrument_id") % 3)
        .otherwise("rate")
        .alias("rate")
    )
    at = (pl.col("instrument_id") == "EURUSD") & (pl.col("date") == S)
    found = verdict("fx", rows.with_columns(pl.when(at).then(1.02).otherwise("rate").alias("rate")))
    assert found.counts == {}
    assert [(each.name, each.weight) for each in found.findings] == [("great_move", "note")]
    assert "EURUSD by -0.17" in found.findings[0].text


def test_a_rate_that_contradicts_its_inverse_or_a_triangle_is_quarantined_with_those_it_contradicts() -> None:
    rows = made("fx")
    tonight = rows.filter(pl.col("date") == S)

    def rate(pair: str) -> float:
        return float(tonight.filter(pl.col("instrument_id") == pair)["rate"][0])

    def with_pair(pair: str, value: float) -> ContextVerdict:
        more = tonight.head(1).with_columns(pl.lit(pair).alias("instrument_id"), pl.lit(value).alias("rate"))
        return verdict("fx", pl.concat([rows, more]))

    assert with_pair("USDEUR", 1.001 / rate("EURUSD")).counts == {}
    assert set(with_pair("USDEUR", 1.02 / rate("EURUSD")).quarantine["subject"]) == {"USDEUR", "EURUSD"}
    usdjpy = rate("EURJPY") / rate("EURUSD")
    assert with_pair("USDJPY", usdjpy * 1.001).counts == {}
    assert set(with_pair("USDJPY", usdjpy * 1.02).quarantine["rule"]) == {"contradicts_others"}


@pytest.mark.parametrize("dataset", CONTEXT)
def test_a_row_that_is_sent_twice_is_kept_once_and_contradictions_are_not(dataset: str) -> None:
    rows = made(dataset)
    one = rows.filter(first_of_session(rows)).head(1)
    twice = verdict(dataset, pl.concat([rows, one]))
    assert twice.counts == {"duplicate_row": 1}
    assert twice.clean.height == rows.height
    value = next(
        (
            name
            for name in ("volume", "value", "rate", "settle", "amount", "title", "sector")
            if name in rows.columns
        ),
        None,
    )
    assert value is not None
    other = one.with_columns(pl.lit("9").cast(rows.schema[value], strict=False).alias(value))
    found = verdict(dataset, pl.concat([rows, other]))
    assert found.counts == {"conflicting_rows": 2}
    assert found.clean.height == rows.height - 1


# --- raw bars beside the panel ---


def action(
    kind: str, *, ratio: float | None = None, amount: float | None = None, day: date = S
) -> pl.DataFrame:
    row = {"date": [day], "instrument_id": ["DHR"], "action": [kind], "ratio": [ratio], "amount": [amount]}
    return pl.DataFrame(row, schema=NOTHING.actions.schema)


@pytest.mark.parametrize(
    ("factor", "name"), [(0.5, "2:1"), (1 / 3, "3:1"), (2 / 3, "3:2"), (10.0, "1:10"), (5.0, "1:5")]
)
@pytest.mark.parametrize("beside", [Beside(PANEL, NOTHING.actions), NOTHING], ids=["panel", "alone"])
def test_a_split_without_its_action_is_named_with_its_ratio(factor: float, name: str, beside: Beside) -> None:
    found = verdict("ohlcv", scaled(CLEAN_BARS, factor), beside=beside)
    assert found.counts == {"unadjusted_split": 1}
    (proposal,) = found.quarantine["proposal"]
    assert f"instrument_id=DHR action=split ratio={1 / factor:.6g} ({name})" in proposal


def test_a_spin_off_without_its_action_is_told_with_its_size() -> None:
    found = verdict("ohlcv", scaled(CLEAN_BARS, 0.72), beside=Beside(PANEL, NOTHING.actions))
    assert found.counts == {"unadjusted_action": 1}
    assert "spin_off, or dividend amount=" in found.quarantine["proposal"][0]


@pytest.mark.parametrize(
    ("factor", "known", "explained"),
    [
        (0.5, action("split", ratio=2.0), True),
        (0.5, action("split", ratio=3.0), False),
        (0.5, action("split", ratio=2.0, day=SESSIONS[-6]), True),
        (0.5, action("split", ratio=2.0, day=SESSIONS[-7]), False),
        (0.72, action("spin_off"), True),
    ],
)
def test_an_action_that_is_known_and_fits_explains_the_jump(
    factor: float, known: pl.DataFrame, explained: bool
) -> None:
    found = verdict("ohlcv", scaled(CLEAN_BARS, factor), beside=Beside(PANEL, known))
    assert (found.counts == {}) is explained


def test_a_special_dividend_explains_the_jump_of_its_size() -> None:
    before = CLEAN_BARS.filter((pl.col("instrument_id") == "DHR") & (pl.col("date") == SESSIONS[-2]))[
        "close"
    ][0]
    paid = Beside(PANEL, action("dividend", amount=0.2 * before))
    assert verdict("ohlcv", scaled(CLEAN_BARS, 0.8), beside=paid).counts == {}
    assert verdict("ohlcv", scaled(CLEAN_BARS, 0.7), beside=paid).counts == {"unadjusted_action": 1}


def test_news_that_the_panel_knows_too_is_believed() -> None:
    fallen = scaled(CLEAN_BARS, 0.5)
    assert verdict("ohlcv", fallen, beside=Beside(panel_of(fallen), NOTHING.actions)).counts == {}


def test_news_that_no_panel_knows_is_believed_for_its_volume() -> None:
    busy = scaled(CLEAN_BARS, 0.5).with_columns(
        pl.when((pl.col("instrument_id") == "DHR") & (pl.col("date") == S))
        .then(pl.col("volume") * 60)
        .otherwise("volume")
        .alias("volume")
    )
    assert verdict("ohlcv", busy).counts == {}


def test_a_split_within_a_gap_is_seen_through_it() -> None:
    absent = (pl.col("instrument_id") == "DHR") & pl.col("date").is_in(SESSIONS[-4:-1])
    found = verdict("ohlcv", scaled(CLEAN_BARS, 0.5).filter(~absent), beside=Beside(PANEL, NOTHING.actions))
    assert found.counts == {"unadjusted_split": 1}
    alone = verdict("ohlcv", scaled(CLEAN_BARS, 0.5).filter(~absent))
    assert "over 4 sessions without a bar, so not exactly" in alone.quarantine["proposal"][0]


def test_where_a_known_split_is_in_the_panel_s_return_the_panel_is_doubted() -> None:
    halved = scaled(CLEAN_BARS, 0.5)
    found = verdict("ohlcv", halved, beside=Beside(panel_of(halved), action("split", ratio=2.0)))
    assert found.counts == {}
    assert [(each.name, each.weight) for each in found.findings if each.name != "volume_scale"] == [
        ("panel_carries_split", "degrades")
    ]


def test_two_returns_of_one_day_that_differ_are_told_with_both_values_and_the_panel_is_believed() -> None:
    found = verdict("ohlcv", scaled(CLEAN_BARS, 0.93), beside=Beside(PANEL, NOTHING.actions))
    assert found.counts == {"differs_from_panel": 1}
    assert "the panel's adjusted return is believed" in found.quarantine["reason"][0]
    assert "move=" in found.quarantine["value"][0]
    assert "adjusted=" in found.quarantine["value"][0]
    assert verdict("ohlcv", scaled(CLEAN_BARS, 0.97), beside=Beside(PANEL, NOTHING.actions)).counts == {}


def test_another_company_under_the_same_name_is_told_after_a_month() -> None:
    stranger = PANEL.with_columns(
        pl.when(pl.col("instrument_id") == "DHR").then(-pl.col("ret_1d")).otherwise("ret_1d").alias("ret_1d")
    )
    found = verdict("ohlcv", beside=Beside(stranger, NOTHING.actions))
    assert found.quarantine["subject"].unique().to_list() == ["DHR"]
    assert set(found.counts) == {"other_instrument"}
    assert found.counts["other_instrument"] == len(SESSIONS) - 22


def test_a_scale_between_two_volumes_is_one_note() -> None:
    found = verdict("ohlcv", beside=Beside(PANEL, NOTHING.actions))
    assert [(each.name, each.weight) for each in found.findings] == [("volume_scale", "note")]
    assert "0.85 times" in found.findings[0].text
    equal = PANEL.with_columns(pl.col("dollar_volume") / 0.85)
    assert verdict("ohlcv", beside=Beside(equal, NOTHING.actions)).findings == ()


@pytest.mark.parametrize(("dataset", "value"), [("ohlcv", "close"), ("futures", "settle")])
@pytest.mark.parametrize(("stands", "quarantined"), [(4, 0), (5, 1), (7, 3)])
def test_a_price_that_stands_for_five_sessions_is_stale_from_the_fifth_on(
    dataset: str, value: str, stands: int, quarantined: int
) -> None:
    rows = made(dataset)
    name = rows["instrument_id"][0]
    before = rows.filter((pl.col("instrument_id") == name) & (pl.col("date") == SESSIONS[-stands - 1]))
    at = (pl.col("instrument_id") == name) & pl.col("date").is_in(SESSIONS[-stands:])
    columns = ("open", "high", "low", "close") if dataset == "ohlcv" else (value,)
    still = rows.with_columns(
        pl.when(at).then(pl.lit(before[column][0])).otherwise(pl.col(column)).alias(column)
        for column in columns
    )
    assert verdict(dataset, still).counts.get("stale_price", 0) == quarantined


def test_every_rule_that_is_declared_was_broken_above() -> None:
    elsewhere = {
        ("ohlcv", rule)
        for rule in ("stale_price", "unadjusted_split", "unadjusted_action", "differs_from_panel", "other_instrument")
    } | {("futures", "stale_price"), ("indices", "impossible_move"), ("indices", "outlier"), ("macro", "outlier"),
         ("fx", "contradicts_others"), ("texts", "endless_text")}  # fmt: skip
    twice = {(dataset, rule) for dataset in CONTEXT for rule in ("duplicate_row", "conflicting_rows")}
    declared = {
        (dataset, rule.name)
        for dataset in CONTEXT
        for rule in (*received_rules(dataset, LIMITS), *measured_rules(dataset, LIMITS))
    }
    assert declared == {(dataset, rule) for dataset, _, rule in PLANTED} | elsewhere | twice
