"""Quiet rows of every context dataset over some months, and what the rules say of them."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import polars as pl

from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.validation.context import (
    ContextVerdict,
    judge_context,
)
from prometheus.data_ingestion.validation.context_rules import (
    ContextLimits,
)

US = TradingCalendar("US_EQ")
S = date(2010, 6, 14)
SESSIONS = US.sessions(date(2009, 10, 1), S)
LIMITS = ContextLimits()
NAMES = ("AAA1", "BBB2", "CCC3", "DHR")


def wave(place: int, phase: int) -> float:
    """A quiet, irregular move of a daily value: no randomness, nothing that repeats within a quarter."""
    return 0.01 * math.sin(1.7 * place + phase) + 0.004 * math.cos(0.61 * place * (phase + 1))


def levels(start: float, phase: int) -> list[float]:
    found = [start]
    for place in range(1, len(SESSIONS)):
        found.append(found[-1] * math.exp(wave(place, phase)))
    return found


def daily(names: tuple[str, ...], start: float = 50.0) -> pl.DataFrame:
    parts = [
        pl.DataFrame({"date": SESSIONS, "name": [name] * len(SESSIONS), "level": levels(start, phase)})
        for phase, name in enumerate(names)
    ]
    return pl.concat(parts).sort("date", "name")


def bars(names: tuple[str, ...] = NAMES) -> pl.DataFrame:
    level = pl.col("level")
    return daily(names).select(
        "date",
        pl.col("name").alias("instrument_id"),
        (level * 0.998).alias("open"),
        (level * 1.01).alias("high"),
        (level * 0.99).alias("low"),
        level.alias("close"),
        (1e6 + 1e3 * level).alias("volume"),
    )


def made(dataset: str) -> pl.DataFrame:
    """A clean frame of `dataset` as it would be staged."""
    match dataset:
        case "ohlcv":
            rows = bars()
        case "indices":
            rows = bars(("SPX", "IXIC"))
        case "macro":
            rows = daily(("VIX", "WTI", "UST_10Y"), 10.0).select(
                "date",
                pl.col("name").alias("series_id"),
                pl.col("date").alias("period"),
                pl.col("level").alias("value"),
            )
        case "fx":
            rows = daily(("EURUSD", "EURGBP", "EURJPY"), 1.2).select(
                "date", pl.col("name").alias("instrument_id"), pl.col("level").alias("rate")
            )
        case "futures":
            rows = daily(("ES1", "NQ1")).select(
                "date",
                pl.col("name").alias("instrument_id"),
                pl.col("level").alias("settle"),
                pl.lit(0.001).alias("ret_1d"),
                pl.lit(1e5).alias("volume"),
            )
        case "corporate_actions":
            rows = pl.DataFrame(
                {
                    "date": [S] * 3,
                    "instrument_id": ["AAA1", "BBB2", "CCC3"],
                    "action": ["split", "dividend", "spin_off"],
                    "ratio": [2.0, None, None],
                    "amount": [None, 0.5, None],
                }
            )
        case "facts":
            rows = pl.DataFrame(
                {
                    "date": [S, S],
                    "instrument_id": ["AAA1", "BBB2"],
                    "concept": ["Assets", "NetIncomeLoss"],
                    "period_start": [None, date(2010, 1, 1)],
                    "period_end": [date(2010, 3, 31)] * 2,
                    "value": [1e9, 1e7],
                    "unit": ["USD", "USD"],
                    "form": ["10-Q", "10-Q"],
                    "accession": ["1", "2"],
                }
            )
        case "texts":
            rows = pl.DataFrame(
                {
                    "date": [SESSIONS[-2], S, S],
                    "text_id": ["T1", "T2", "T3"],
                    "instrument_id": ["AAA1", None, "CCC3"],
                    "kind": ["news"] * 3,
                    "title": ["one", "two", "three"],
                    "body": ["words of one", "words of two", "words of three"],
                }
            )
        case _:
            rows = pl.DataFrame(
                {
                    "date": [S, S],
                    "instrument_id": ["AAA1", "BBB2"],
                    "issuer_id": ["I1", "I2"],
                    "name": ["One", "Two"],
                    "sector": ["Energy", None],
                    "industry": [None, None],
                }
            )
    columns = DATASETS[dataset].columns
    return rows.with_columns(
        pl.col("date").alias("row_date"), pl.lit("frames").alias("source"), pl.lit(False).alias("synthetic")
    ).select(
        "date",
        *(pl.col(name).cast(kind) for name, kind in columns.items()),
        "source",
        "synthetic",
    )


def first_of_session(rows: pl.DataFrame) -> pl.Expr:
    key = rows.columns[2]
    named = rows.filter(pl.col("date") == S)[key][0]
    return (pl.col("date") == S) & (pl.col(key) == named)


def planted(dataset: str, **values: object) -> pl.DataFrame:
    """The clean frame with other values in the session's first row."""
    rows = made(dataset)
    at = first_of_session(rows)
    return rows.with_columns(
        pl.when(at).then(pl.lit(value).cast(rows.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def verdict(dataset: str, rows: pl.DataFrame | None = None, **others: Any) -> ContextVerdict:
    given: dict[str, Any] = {"days": SESSIONS, "session": S, "sessions": SESSIONS, "limits": LIMITS} | others
    return judge_context(dataset, made(dataset) if rows is None else rows, **given)


CONTEXT = sorted(set(DATASETS) - {"prices", "volumes"})


def panel_of(rows: pl.DataFrame, *, shift: float = 0.0) -> pl.DataFrame:
    """The adjusted returns that belong to clean raw bars."""
    growth = pl.col("close") / pl.col("close").shift(1).over("instrument_id")
    return rows.sort("instrument_id", "date").select(
        "date",
        "instrument_id",
        (growth - 1.0 + shift).fill_null(0.0).alias("ret_1d"),
        (pl.col("close") * pl.col("volume") * 0.85).alias("dollar_volume"),
    )


def scaled(rows: pl.DataFrame, factor: float, name: str = "DHR", since: date = S) -> pl.DataFrame:
    """`rows` with the prices of one instrument multiplied from a day on: an action that nobody adjusted."""
    at = (pl.col("instrument_id") == name) & (pl.col("date") >= since)
    return rows.with_columns(
        pl.when(at).then(pl.col(price) * factor).otherwise(pl.col(price)).alias(price)
        for price in ("open", "high", "low", "close")
    )


CLEAN_BARS = made("ohlcv")
PANEL = panel_of(CLEAN_BARS)
