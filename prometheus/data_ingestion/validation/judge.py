"""Divide received rows into clean and quarantined, say why, and say whether the night may go on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dataframely as dy
import polars as pl

from prometheus.data_ingestion.validation.measures import measure_joined, measure_received
from prometheus.data_ingestion.validation.rules import (
    PRICE_RULES,
    VOLUME_RULES,
    Limits,
    Rule,
    joined_rules,
    watched,
)

QUARANTINE: Mapping[str, pl.DataType] = {
    "date": pl.Date(),
    "row_date": pl.Date(),
    "instrument_id": pl.String(),
    "dataset": pl.String(),
    "rule": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}
CLEAN = ["date", "instrument_id", "ret_1d", "dollar_volume", "abs_log_open_close"]
_PRICES = ["ret_1d", "abs_log_open_close"]
_VOLUMES = ["dollar_volume"]
_MEASURES = ["surprise", "volume_multiple", "range_multiple"]
_SMALLEST_CROSS_SECTION = 20  # shares of fewer instruments say nothing


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a day or with the whole; `fails` = the night must not go on with it."""

    name: str
    text: str
    fails: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Clean and quarantined rows of the judged days, and what was found."""

    clean: pl.DataFrame
    quarantine: pl.DataFrame
    rows: int  # received: prices and volumes
    watched: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Quarantined rows by rule."""
        found = self.quarantine.group_by("rule").len().sort("rule")
        return dict(found.iter_rows())

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.fails)


def judge(
    prices: pl.DataFrame,
    volumes: pl.DataFrame,
    *,
    days: Sequence[date],
    session: date,
    sessions: Sequence[date],
    limits: Limits,
) -> Verdict:
    """The verdict over the rows of `days`. Frames also hold the 63 sessions before, which are only looked at.

    `sessions` are the calendar's trading days over all of it, up to `session`, the night's own.
    """
    judged = pl.col("date").is_in(list(days))
    received = prices.filter(judged).height + volumes.filter(judged).height
    good_prices, bad_prices = _divide(
        measure_received(prices, _PRICES, sessions), "prices", PRICE_RULES, _PRICES
    )
    good_volumes, bad_volumes = _divide(
        measure_received(volumes, _VOLUMES, sessions), "volumes", VOLUME_RULES, _VOLUMES
    )
    joined = good_prices.select("date", "instrument_id", *_PRICES).join(
        good_volumes.select("date", "instrument_id", *_VOLUMES),
        on=["date", "instrument_id"],
        how="full",
        coalesce=True,
    )
    measured = measure_joined(joined, sessions, limits).with_columns(pl.col("date").alias("row_date"))
    good, bad = _divide(
        measured.filter(judged), "joined", joined_rules(limits), [*_PRICES, *_VOLUMES, *_MEASURES]
    )
    quarantine = pl.concat([bad_prices.filter(judged), bad_volumes.filter(judged), bad])
    counted = good.select(expression.sum().alias(name) for name, expression in watched(limits).items())
    findings = (
        *_missing_sessions(prices, volumes, days, session, sessions, limits),
        *_standing_session(good, session, limits),
        *_missing_instruments(joined, session, sessions, limits),
        *_too_much_quarantined(prices, quarantine, days, session, limits),
    )
    return Verdict(
        clean=good.select(CLEAN).sort("date", "instrument_id"),
        quarantine=quarantine.sort("date", "instrument_id", "dataset", "rule"),
        rows=received,
        watched={name: int(value or 0) for name, value in counted.row(0, named=True).items()},
        findings=findings,
    )


def _divide(
    rows: pl.DataFrame, dataset: str, rules: Sequence[Rule], shown: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that keep every rule, and one quarantine row for each rule that a row breaks."""
    good, failed = _schema(dataset, rows.schema, rules).filter(rows)
    details = failed.details()
    names = [rule.name for rule in rules]
    if details.is_empty():
        return good, pl.DataFrame(schema=QUARANTINE)
    value = pl.concat_str(
        [
            pl.format(f"{name}={{}}", pl.col(name).round_sig_figs(6).cast(pl.String).fill_null("none"))
            for name in shown
        ],
        separator=" ",
    )
    reasons = {rule.name: rule.reason for rule in rules}
    broken = (
        details.with_columns(value.alias("value"), pl.lit(dataset).alias("dataset"))
        .unpivot(
            on=names,
            index=["date", "row_date", "instrument_id", "dataset", "value"],
            variable_name="rule",
            value_name="held",
        )
        .filter(pl.col("held") == "invalid")
        .with_columns(pl.col("rule").replace_strict(reasons, return_dtype=pl.String).alias("reason"))
    )
    return good, broken.select(pl.col(name).cast(kind) for name, kind in QUARANTINE.items())


def _schema(dataset: str, columns: Mapping[str, pl.DataType], rules: Sequence[Rule]) -> type[dy.Schema]:
    """A dataframely schema made of the table of rules: it filters, counts and keeps which rule each row broke."""
    body: dict[str, object] = {name: dy.Any() for name in columns}
    body |= {rule.name: dy.rule()(_holds(rule)) for rule in rules}
    return type(f"{dataset.title()}Rules", (dy.Schema,), body)


def _holds(rule: Rule) -> Callable[[Any], pl.Expr]:
    def holds(_schema: object) -> pl.Expr:
        return ~rule.bad.fill_null(value=False)

    return holds


def _missing_sessions(
    prices: pl.DataFrame,
    volumes: pl.DataFrame,
    days: Sequence[date],
    session: date,
    sessions: Sequence[date],
    limits: Limits,
) -> list[Finding]:
    expected = [day for day in sessions if min(days, default=session) <= day <= session]
    found = []
    for dataset, frame in (("prices", prices), ("volumes", volumes)):
        have = set(frame.filter(pl.col("row_date") == pl.col("date"))["date"].unique())
        gaps = [day for day in expected if day not in have]
        if gaps:
            text = f"{len(gaps)} trading days have no {dataset} at all: {_some(gaps)}"
            found.append(Finding("missing_sessions", text, len(gaps) > limits.missing_sessions))
    return found


def _standing_session(good: pl.DataFrame, session: date, limits: Limits) -> list[Finding]:
    tonight = good.filter(pl.col("date") == session)
    still = tonight.filter(pl.col("ret_1d") == 0).height
    if tonight.height < _SMALLEST_CROSS_SECTION or still <= limits.zero_return_share * tonight.height:
        return []
    text = f"{still} of {tonight.height} prices of {session} did not move: an old file, or no trading"
    return [Finding("standing_session", text, fails=True)]


def _missing_instruments(
    joined: pl.DataFrame, session: date, sessions: Sequence[date], limits: Limits
) -> list[Finding]:
    if len(sessions) < 2:
        return []
    before = set(joined.filter(pl.col("date") == sessions[-2])["instrument_id"])
    missing = sorted(before.difference(joined.filter(pl.col("date") == session)["instrument_id"]))
    if not missing:
        return []
    text = f"{len(missing)} of {len(before)} instruments of {sessions[-2]} have no row on {session}: {_some(missing)}"
    return [Finding("missing_instruments", text, len(missing) > limits.missing_share * len(before))]


def _too_much_quarantined(
    prices: pl.DataFrame, quarantine: pl.DataFrame, days: Sequence[date], session: date, limits: Limits
) -> list[Finding]:
    found = []
    for name, chosen, share in (
        ("session", [session], limits.session_quarantined_share),
        ("history", [day for day in days if day != session], limits.history_quarantined_share),
    ):
        total = prices.filter(pl.col("date").is_in(chosen)).height
        bad = quarantine.filter(pl.col("date").is_in(chosen))
        rows = bad.select("date", "instrument_id").unique().height
        if rows > share * total:
            rules = ", ".join(
                f"{rule} {count}" for rule, count in bad.group_by("rule").len().sort("rule").iter_rows()
            )
            text = f"{rows} of {total} rows of the {name} are quarantined, more than {share:.0%}: {rules}"
            found.append(Finding(f"{name}_quarantined", text, fails=True))
    return found


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"
