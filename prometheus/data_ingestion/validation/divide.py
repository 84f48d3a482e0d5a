"""Rows that keep every rule of a table, and those that break one, with the rule, its reason and the row's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dataframely as dy
import polars as pl

from prometheus.data_ingestion.validation.rules import Rule

QUARANTINE: Mapping[str, pl.DataType] = {
    "date": pl.Date(),
    "row_date": pl.Date(),
    "instrument_id": pl.String(),
    "dataset": pl.String(),
    "rule": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}


def divide(
    rows: pl.DataFrame,
    dataset: str,
    rules: Sequence[Rule],
    shown: Sequence[str],
    *,
    kept: Mapping[str, pl.DataType] = QUARANTINE,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that keep every rule, and one quarantine row for each rule that a row breaks.

    A quarantine row has the columns `kept`: those of the row itself, and `dataset`, `rule`, `reason`, and in `value`
    the columns `shown` as text.
    """
    good, failed = _schema(dataset, rows.schema, rules).filter(rows)
    details = failed.details()
    names = [rule.name for rule in rules]
    if details.is_empty():
        return good, pl.DataFrame(schema=dict(kept))
    value = pl.concat_str([_as_text(name, rows.schema[name]) for name in shown], separator=" ")
    reasons = {rule.name: rule.reason for rule in rules}
    broken = (
        details.with_columns(value.alias("value"), pl.lit(dataset).alias("dataset"))
        .unpivot(
            on=names,
            index=[name for name in kept if name not in ("rule", "reason")],
            variable_name="rule",
            value_name="held",
        )
        .filter(pl.col("held") == "invalid")
        .with_columns(pl.col("rule").replace_strict(reasons, return_dtype=pl.String).alias("reason"))
    )
    return good, broken.select(pl.col(name).cast(kind) for name, kind in kept.items())


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    value = pl.col(name).round_sig_figs(6) if kind.is_numeric() else pl.col(name)
    return pl.format(f"{name}={{}}", value.cast(pl.String).fill_null("none"))


def _schema(dataset: str, columns: Mapping[str, pl.DataType], rules: Sequence[Rule]) -> type[dy.Schema]:
    """A dataframely schema made of the table of rules: it filters, counts and keeps which rule each row broke."""
    body: dict[str, object] = {name: dy.Any() for name in columns}
    body |= {rule.name: dy.rule()(_holds(rule)) for rule in rules}
    return type(f"{dataset.title()}Rules", (dy.Schema,), body)


def _holds(rule: Rule) -> Callable[[Any], pl.Expr]:
    def holds(_schema: object) -> pl.Expr:
        return ~rule.bad.fill_null(value=False)

    return holds
