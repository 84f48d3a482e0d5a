"""The rules, as data: each has a name, a polars expression that is true for a bad row, and a sentence why.

Rows that break a rule are quarantined under its name; rules of `WATCHED` only count. Thresholds were set while looking
at the reference panel (docs/data.md shows what they find there); a desk sets its own with `Limits`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json


@dataclass(frozen=True, slots=True)
class Limits:
    """Where suspicion begins, and how much of it a night bears. Shares are fractions of the rows looked at."""

    jump: float = 0.10  # smallest |return| that may be an unadjusted split or spin-off
    surprise: float = 6.0  # robust deviations from the market's move
    volume_per_surprise: float = (
        0.25  # news brings volume; a jump with less volume per deviation is bookkeeping
    )
    range_multiple: float = 2.0  # and moves the price during the day; bookkeeping happens overnight
    still_sessions: int = 5  # zero returns in a row (the reference panel has at most 3)
    large_move: float = 0.25  # counted, never quarantined
    degraded_share: float = (
        0.01  # of the session's rows quarantined or absent: more than this degrades the night
    )
    session_quarantined_share: float = 0.05  # more than this fails the run
    history_quarantined_share: float = 0.01
    missing_share: float = 0.05  # instruments of the session before that have no row
    zero_return_share: float = 0.50  # a session of standing prices was sent twice, or is a holiday
    missing_sessions: int = 0  # sessions between the first and the last without any row

    @classmethod
    def from_params(cls, given: Json) -> Limits:
        """Limits with the values of a job's `limits` parameter; `DataError` names an unknown one."""
        return cls(**limits_given(given, tuple(field.name for field in fields(cls))))


def limits_given(given: Json, known: Collection[str]) -> dict[str, Any]:
    """The values of a `limits` parameter, each a number; `DataError` names an unknown or impossible one."""
    if given is not None and not isinstance(given, dict):
        raise DataError(f"the parameter `limits` is {given!r}", allowed=f"a table of {', '.join(known)}")
    values = dict(given or {})
    for name, value in values.items():
        if name not in known:
            raise DataError(f"the limit {name!r} is unknown", allowed=", ".join(known))
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise DataError(f"the limit {name!r} is {value!r}", allowed="a number, not negative")
    return values


@dataclass(frozen=True, slots=True)
class Rule:
    """`bad` is true for a row that breaks the rule; a row for which it cannot be told is good."""

    name: str
    bad: pl.Expr
    reason: str


def _not_a_number(column: str) -> pl.Expr:
    return pl.col(column).is_null() | ~pl.col(column).is_finite()


# For every received row. `is_session`, `copy` and `versions` are measured beforehand (measures.py).
_RECEIVED = (
    Rule("future_row", pl.col("row_date") > pl.col("date"), "its date is later than the session it was received at"),
    Rule(
        "not_a_session",
        ~pl.col("is_session") & (pl.col("row_date") <= pl.col("date")),
        "its date is no trading day of the calendar",
    ),
    Rule("nameless_row", pl.col("instrument_id").is_null() | (pl.col("instrument_id") == ""), "it names no instrument"),
    Rule("duplicate_row", (pl.col("versions") == 1) & (pl.col("copy") > 1), "the same row was received before"),
    Rule(
        "conflicting_rows",
        pl.col("versions") > 1,
        "several rows with different values were received for this instrument and date",
    ),
)  # fmt: skip

PRICE_RULES = (
    *_RECEIVED,
    Rule("missing_return", _not_a_number("ret_1d"), "its return is missing or no finite number"),
    Rule("impossible_return", pl.col("ret_1d") <= -1.0, "a share cannot lose more than all of its value"),
    Rule(
        "impossible_range",
        _not_a_number("abs_log_open_close") | (pl.col("abs_log_open_close") < 0),
        "|ln(open/close)| is missing, negative or no finite number",
    ),
)

VOLUME_RULES = (
    *_RECEIVED,
    Rule(
        "missing_volume", _not_a_number("dollar_volume"), "its dollar volume is missing or no finite number"
    ),
    Rule("negative_volume", pl.col("dollar_volume") < 0, "dollar volume cannot be negative"),
    Rule(
        "zero_volume",
        pl.col("dollar_volume") == 0,
        "no trade on a trading day: the price was not made by a market",
    ),
)


def joined_rules(limits: Limits) -> tuple[Rule, ...]:
    """Rules over price and volume together, with what is measured over the 63 sessions before."""
    return (
        Rule(
            "price_without_volume", pl.col("dollar_volume").is_null(), "no usable volume row for this price"
        ),
        Rule("volume_without_price", pl.col("ret_1d").is_null(), "no usable price row for this volume"),
        Rule(
            "stale_price",
            pl.col("is_still"),
            f"the price has not moved for {limits.still_sessions} sessions in a row",
        ),
        Rule(
            "unadjusted_action",
            (pl.col("ret_1d").abs() > limits.jump)
            & (pl.col("surprise") > limits.surprise)
            & (pl.col("volume_multiple") < limits.volume_per_surprise * pl.col("surprise"))
            & (pl.col("range_multiple") < limits.range_multiple),
            "the price jumped overnight without the volume or the trading range of news: a split, spin-off or special "
            "dividend that was not adjusted, or adjusted wrongly",
        ),
    )


def watched(limits: Limits) -> Mapping[str, pl.Expr]:
    """What is counted in the output but kept: large moves that volume or range confirm, and standing prices."""
    return {
        "large_move": pl.col("ret_1d").abs() > limits.large_move,
        "zero_return": pl.col("ret_1d") == 0,
    }
