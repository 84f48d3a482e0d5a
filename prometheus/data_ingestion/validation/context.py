"""Divide a context dataset's rows into clean and quarantined, and say what its session is worth. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.validation.bars import measure_bars
from prometheus.data_ingestion.validation.context_findings import context_findings
from prometheus.data_ingestion.validation.context_measures import (
    came_late,
    measure_changes,
    measure_contradictions,
    measure_copies,
    measure_repeats,
)
from prometheus.data_ingestion.validation.context_rules import ContextLimits, measured_rules, received_rules
from prometheus.data_ingestion.validation.divide import divide
from prometheus.data_ingestion.validation.findings import Finding

QUARANTINE_CONTEXT: Mapping[str, pl.DataType] = {
    "date": pl.Date(),
    "row_date": pl.Date(),
    "dataset": pl.String(),
    "subject": pl.String(),  # the instrument, series or text
    "rule": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
    "proposal": pl.String(),  # the row of another dataset that would explain it, or null
}
_MEASURED: Mapping[str, tuple[str, ...]] = {
    "ohlcv": ("gap", "move", "adjusted", "usual_difference"),
    "indices": ("change", "surprise"),
    "fx": ("change", "surprise", "contradiction"),
    "macro": ("change", "surprise"),
    "futures": ("change",),
}
_TOO_LONG = ("body",)  # never shown in a quarantine row


@dataclass(frozen=True, slots=True)
class Beside:
    """What other sources say of the same days, for comparison; empty frames where there is nothing."""

    prices: pl.DataFrame
    actions: pl.DataFrame


NOTHING = Beside(
    pl.DataFrame(
        schema={
            "date": pl.Date,
            "instrument_id": pl.String,
            "ret_1d": pl.Float64,
            "dollar_volume": pl.Float64,
        }
    ),
    pl.DataFrame(
        schema={
            "date": pl.Date,
            "instrument_id": pl.String,
            "action": pl.String,
            "ratio": pl.Float64,
            "amount": pl.Float64,
        }
    ),
)


@dataclass(frozen=True, slots=True)
class ContextVerdict:
    """Clean and quarantined rows of the judged days; findings and counts of the session alone."""

    dataset: str
    clean: pl.DataFrame
    quarantine: pl.DataFrame
    rows: int  # received on the judged days
    session_rows: int
    session_clean: int
    session_quarantined: Mapping[str, int]  # by rule
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Quarantined rows of the judged days, by rule."""
        return dict(self.quarantine.group_by("rule").len().sort("rule").iter_rows())


def judge_context(
    dataset: str,
    rows: pl.DataFrame,
    *,
    days: Sequence[date],
    session: date,
    sessions: Sequence[date],
    limits: ContextLimits,
    beside: Beside = NOTHING,
    required: bool = False,
) -> ContextVerdict:
    """The verdict over the rows of `days`; `rows` also holds the `LOOKBACK_SESSIONS` before, which are only looked at.

    `sessions` are the calendar's trading days over all of it, up to `session`, the night's own. The order of the rows
    changes nothing, nor does what was judged before. A row that came late or is a revision is judged by itself: it
    stands under the session that learnt of it, not beside the days that it is about.
    """
    described = DATASETS[dataset]
    columns = [name for name in described.columns if name != "row_date"]
    ordered = rows.sort(["date", "row_date", *described.key, *columns], nulls_last=True)
    judged = pl.col("date").is_in(list(days))
    copies = measure_copies(ordered, described.key, columns).with_columns(
        _subject(dataset), pl.lit(None, dtype=pl.String).alias("proposal")
    )
    shown = [name for name in columns if name not in _TOO_LONG]
    good, bad = divide(copies, dataset, received_rules(dataset, limits), shown, kept=QUARANTINE_CONTEXT)
    prompt, late = came_late(good, sessions)
    measured = pl.concat([_measure(dataset, prompt, sessions, limits, beside), late], how="diagonal")
    rules = measured_rules(dataset, limits)
    clean, worse = measured, pl.DataFrame(schema=dict(QUARANTINE_CONTEXT))
    if rules:
        clean, worse = divide(
            measured.filter(judged), dataset, rules, [*shown, *_MEASURED.get(dataset, ())], kept=QUARANTINE_CONTEXT
        )  # fmt: skip
    quarantine = pl.concat([bad.filter(judged), worse]).sort("date", "row_date", "subject", "rule", "value")
    kept = clean.filter(judged).select("date", *columns, "row_date", "source", "synthetic")
    tonight = pl.col("date") == session
    by_rule = quarantine.filter(tonight).group_by("rule").len().sort("rule")
    session_rows = ordered.filter(tonight).height
    return ContextVerdict(
        dataset,
        kept.sort(["date", *described.key, "row_date"], nulls_last=True),
        quarantine,
        ordered.filter(judged).height,
        session_rows,
        kept.filter(tonight).height,
        dict(by_rule.iter_rows()),
        context_findings(dataset, ordered, measured, quarantine, session, sessions, limits, beside, required=required),
    )  # fmt: skip


def _subject(dataset: str) -> pl.Expr:
    named = DATASETS[dataset].key[0]
    if dataset == "facts":
        return pl.format("{} {}", pl.col(named).fill_null(""), pl.col("concept").fill_null("")).alias(
            "subject"
        )
    return pl.col(named).alias("subject")


def _measure(
    dataset: str, good: pl.DataFrame, sessions: Sequence[date], limits: ContextLimits, beside: Beside
) -> pl.DataFrame:
    def changes(series: str, value: str, *, logarithm: bool = True) -> pl.DataFrame:
        return measure_changes(
            good,
            sessions,
            series=series,
            value=value,
            order=["date", "row_date", "period"] if dataset == "macro" else ["date", "row_date"],
            logarithm=logarithm,
            still_sessions=limits.still_sessions,
        )

    match dataset:
        case "ohlcv":
            return measure_bars(good.drop("proposal"), beside.prices, beside.actions, sessions, limits)
        case "indices":
            return changes("instrument_id", "close")
        case "fx":
            return measure_contradictions(changes("instrument_id", "rate"))
        case "macro":
            return changes("series_id", "value", logarithm=False)
        case "futures":
            return changes("instrument_id", "settle", logarithm=False)
        case "texts":
            return measure_repeats(good, sessions)
        case _:
            return good
