"""The rules for every dataset beside the panel's prices and volumes, as data: macro, indices, currencies, filings, texts.

As in `rules`, a rule is a name, an expression that is true for a bad row, and a sentence why. `RECEIVED` looks at a row
alone; `MEASURED` at what `context_measures` and `bars` found in the row's own past and in other sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import polars as pl

from prometheus.core.ids import Json
from prometheus.data_ingestion.validation.rules import Rule, limits_given

ACTIONS = ("split", "dividend", "spin_off", "merger", "ticker_change")
LARGEST_RATIO = 1_000.0  # new shares for an old one, or the reverse


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """Where suspicion begins, and how much of it a night bears. Moves and differences are of logarithms."""

    bar_tolerance: float = 0.001  # how far an open or close may lie outside low and high: vendors round
    bar_range: float = 1.0  # ln(high/low) of a day
    index_move: float = 0.35  # an index moves less (1987-10-19: 0.23)
    fx_move: float = 0.69  # a factor of two; real: the lira 0.52 (2001-02-22), the krona 0.40, the franc 0.16
    great_move: float = (
        40.0  # robust deviations from the own past; told: pegs break, and VIX doubled on 2018-02-05
    )
    outlier: float = 100.0  # never a market, but a slip of the decimal point
    still_sessions: float = 5
    action: float = (
        0.10  # raw move without the adjusted one: a split, spin-off or special dividend is missing
    )
    split_tolerance: float = 0.03  # how near a ratio must be to a simple fraction to be called a split
    split_tolerance_alone: float = 0.10  # the same without the panel: the day's own move comes on top
    action_sessions: float = 5  # an action may be known so many sessions before its bar
    difference: float = 0.05  # two sources' returns of one day
    other_instrument: float = 0.003  # median difference over a quarter: not the same share at all
    inverse: float = 0.005  # a rate and its inverse, or a triangle of three
    text_length: float = 5_000_000  # characters
    degraded_share: float = 0.05  # of the session's rows quarantined: more degrades the night
    failed_share: float = 0.50  # more fails it, if the dataset is required
    standing_share: float = 0.50  # of a session's values that did not move: sent twice
    ended_sessions: float = 63  # a feed silent for so long has ended: told, and no longer a fault of tonight
    volume_scale: float = 0.10  # dollar volumes of two sources, median ratio off 1
    index_correlation: float = 0.80  # of the index and the panel's mean stock, over a quarter
    index_beta: float = 0.50  # off 1

    @classmethod
    def from_params(cls, given: Json) -> ContextLimits:
        """Limits with the values of a job's `limits` parameter; `DataError` names an unknown one."""
        return cls(**limits_given(given, tuple(field.name for field in fields(cls))))


@dataclass(frozen=True, slots=True)
class Plausible:
    """Bounds of a macro series: outside them a value is a wrong unit, a placeholder or a slip of the decimal point."""

    low: float
    high: float


# By the beginning of a series id. Percent for yields, dollars a barrel, index points.
PLAUSIBLE: Mapping[str, Plausible] = {
    "VIX": Plausible(5.0, 150.0),
    "UST_": Plausible(-2.0, 20.0),
    "AAA": Plausible(0.0, 20.0),
    "BAA": Plausible(0.0, 25.0),
    "WTI": Plausible(-50.0, 300.0),  # 2020-04-20: -37
    "BRENT": Plausible(0.0, 300.0),
    "CPI_": Plausible(1.0, 1_000.0),
}


def implausible(series: pl.Expr, value: pl.Expr) -> pl.Expr:
    """Whether a macro value lies outside the bounds of its series; false for a series that has none."""
    bad = pl.lit(value=False)
    for begin, bounds in PLAUSIBLE.items():
        outside = (value < bounds.low) | (value > bounds.high)
        bad = pl.when(series.str.starts_with(begin)).then(outside).otherwise(bad)
    return bad


def _blank(column: str) -> pl.Expr:
    return pl.col(column).is_null() | (pl.col(column).str.strip_chars() == "")


def _not_a_number(column: str) -> pl.Expr:
    return pl.col(column).is_null() | ~pl.col(column).is_finite()


def _not_positive(*columns: str) -> pl.Expr:
    return pl.any_horizontal(*(_not_a_number(column) | (pl.col(column) <= 0) for column in columns))


def _if_known(bad: pl.Expr, column: str) -> pl.Expr:
    """`bad` for a column that a vendor need not have (`own_rows.MAY_BE_ABSENT`)."""
    return pl.col(column).is_not_null() & bad


def _common(*names: str) -> tuple[Rule, ...]:
    return (
        Rule(
            "future_row",
            pl.col("row_date") > pl.col("date"),
            "its date is later than the session it was received at",
        ),
        Rule("nameless_row", pl.any_horizontal(*(_blank(name) for name in names)), "it does not say what it is about"),
        Rule("duplicate_row", (pl.col("versions") == 1) & (pl.col("copy") > 1), "the same row was received before"),
        Rule(
            "conflicting_rows",
            pl.col("versions") > 1,
            "several rows with different values were received for the same thing and date",
        ),
    )  # fmt: skip


def _bars(limits: ContextLimits, *, close_alone: bool = False) -> tuple[Rule, ...]:
    """What a bar must keep; `close_alone`: its vendor may have no more than a close, as of many indices."""
    body_low, body_high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    outside = (pl.col("low") > body_low * (1 + limits.bar_tolerance)) | (
        pl.col("high") < body_high * (1 - limits.bar_tolerance)
    )
    prices, volume = _not_positive("open", "high", "low", "close"), _not_a_number("volume")
    if close_alone:
        others = (_if_known(_not_positive(name), name) for name in ("open", "high", "low"))
        prices, volume = pl.any_horizontal(_not_positive("close"), *others), _if_known(volume, "volume")
    return (
        Rule("missing_price", prices, "a price of the bar is missing, not positive or no finite number"),
        Rule("inconsistent_bar", outside, "open or close lies outside the day's low and high"),
        Rule(
            "wild_bar",
            (pl.col("high") / pl.col("low")).log() > limits.bar_range,
            "the day's high is several times its low",
        ),
        Rule("missing_volume", volume, "its volume is missing or no finite number"),
        Rule("negative_volume", pl.col("volume") < 0, "volume cannot be negative"),
    )


def received_rules(dataset: str, limits: ContextLimits) -> tuple[Rule, ...]:
    """What a row of `dataset` must keep by itself."""
    action = pl.col("action")
    ratio = pl.col("ratio")
    impossible_ratio = _not_positive("ratio") | ~ratio.is_between(1 / LARGEST_RATIO, LARGEST_RATIO)
    of_its_own: Mapping[str, tuple[Rule, ...]] = {
        "ohlcv": (
            *_common("instrument_id"),
            *_bars(limits),
            Rule("zero_volume", pl.col("volume") == 0, "no trade on a trading day: no market made the price"),
        ),
        "indices": (*_common("instrument_id"), *_bars(limits, close_alone=True)),
        "corporate_actions": (
            *_common("instrument_id"),
            Rule(
                "unknown_action",
                action.is_null() | ~action.is_in(ACTIONS),
                f"its action is none of {', '.join(ACTIONS)}",
            ),
            Rule(
                "impossible_ratio",
                (action == "split") & impossible_ratio,
                "a split needs a ratio: new shares for an old one",
            ),
            Rule(
                "impossible_amount",
                (action == "dividend") & _not_positive("amount"),
                "a dividend needs an amount of cash a share",
            ),
        ),
        "macro": (
            *_common("series_id"),
            Rule("missing_value", _not_a_number("value"), "its value is missing or no finite number"),
            Rule("missing_period", pl.col("period").is_null(), "it does not say what day or month it is about"),
            Rule(
                "known_before_its_period",
                pl.col("period") > pl.col("row_date"),
                "nobody knows a value before the day or month it is about",
            ),
            Rule(
                "implausible_value",
                implausible(pl.col("series_id"), pl.col("value")),
                "outside what the series can be: another unit, or a placeholder",
            ),
        ),
        "fx": (
            *_common("instrument_id"),
            Rule("missing_rate", _not_positive("rate"), "its rate is missing, not positive or no finite number"),
            Rule(
                "not_a_pair",
                ~pl.col("instrument_id").str.contains(r"^(SYN_)?[A-Z]{6}$"),
                "a pair is named by two currencies, such as EURUSD",
            ),
        ),
        "facts": (
            *_common("instrument_id", "concept", "unit"),
            Rule("missing_value", _not_a_number("value"), "its value is missing or no finite number"),
            Rule("missing_period", pl.col("period_end").is_null(), "it does not say which period it is about"),
            Rule(
                "filed_before_its_end",
                pl.col("row_date") < pl.col("period_end"),
                "it was filed before the period it reports had ended",
            ),
            Rule("reversed_period", pl.col("period_start") > pl.col("period_end"), "its period ends before it begins"),
        ),
        "texts": (
            *_common("text_id"),
            Rule("empty_text", _blank("body"), "it has no words"),
            Rule(
                "endless_text",
                pl.col("body").str.len_chars() > limits.text_length,
                f"it has more than {limits.text_length:,.0f} characters",
            ),
        ),
        "issuers": (
            *_common("instrument_id"),
            Rule("nameless_issuer", _blank("issuer_id"), "it names no issuer"),
        ),
        "futures": (
            *_common("instrument_id"),
            Rule("missing_price", _not_a_number("settle"), "its settlement is missing or no finite number"),
            Rule("missing_return", _if_known(_not_a_number("ret_1d"), "ret_1d"), "its return is no finite number"),
            Rule("impossible_return", pl.col("ret_1d").abs() >= 1.0, "a day's return of everything or more"),
            Rule("negative_volume", pl.col("volume") < 0, "volume cannot be negative"),
        ),
    }  # fmt: skip
    return of_its_own[dataset]


def measured_rules(dataset: str, limits: ContextLimits) -> tuple[Rule, ...]:
    """What a row of `dataset` must keep beside its own past, its neighbours and other sources."""
    outlier = Rule(
        "outlier",
        pl.col("surprise") > limits.outlier,
        f"over {limits.outlier:g} times its usual move: a slip of the decimal point, or another unit",
    )
    same = pl.col("usual_difference").fill_null(0.0) <= limits.other_instrument
    missing_action = same & pl.col("is_unexplained")
    still = Rule(
        "stale_price",
        pl.col("is_still"),
        f"the price has not moved for {limits.still_sessions:g} sessions in a row",
    )
    of_its_own: Mapping[str, tuple[Rule, ...]] = {
        "ohlcv": (
            still,
            Rule(
                "unadjusted_split",
                missing_action & pl.col("fraction").is_not_null(),
                "the price jumped by a simple ratio, others or an ordinary day say it was bookkeeping, and no "
                "corporate action is known: a split, or a spin-off of that size",
            ),
            Rule(
                "unadjusted_action",
                missing_action & pl.col("fraction").is_null(),
                "the price jumped, others or an ordinary day say it was bookkeeping, and no corporate action is "
                "known: a spin-off or special dividend",
            ),
            Rule(
                "differs_from_panel",
                same
                & (pl.col("gap") == 1)
                & ~pl.col("is_unexplained")
                & (pl.col("difference").abs() > limits.difference)
                & (pl.col("difference").abs() <= limits.action),
                "its return is not the panel's of that day; the panel's adjusted return is believed",
            ),
            Rule(
                "other_instrument",
                ~same,
                "for a quarter its returns were not those of the panel's share of that name: another company that "
                "bears the name today, or another class; the panel is believed",
            ),
        ),
        "indices": (
            Rule(
                "impossible_move",
                pl.col("change").abs() > limits.index_move,
                "no index moved so far in a day",
            ),
            outlier,
        ),
        "fx": (
            Rule(
                "impossible_move",
                pl.col("change").abs() > limits.fx_move,
                "no rate moves so far in a day: another unit, or a new currency of the old name",
            ),
            Rule(
                "contradicts_others",
                pl.col("contradiction") > limits.inverse,
                "it contradicts its inverse, or the two rates that it can be had from",
            ),
        ),
        "macro": (outlier,),
        "futures": (still,),
        "texts": (
            Rule("duplicate_body", pl.col("is_repeated"), "a text of the same words came before, in this quarter"),
        ),
    }  # fmt: skip
    return of_its_own.get(dataset, ())
