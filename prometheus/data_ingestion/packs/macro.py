"""Macro series: VIX, oil, Moody's yields, core CPI (files of arch, from FRED) and the Treasury curve (of zipline).

Yields are percent a year, oil dollars a barrel, the CPI an index with 1982-84 = 100. The CPI is seasonally adjusted and
the files hold it as it stood in December 2018: its later revisions of five years back are in the older values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from prometheus.data_ingestion.packs.reading import as_dataset, read_table
from prometheus.data_ingestion.packs.timing import (
    EIA_LAG_WEEKDAYS,
    last_weekday_of_next_month,
    next_weekday,
    same_day,
    weekdays_later,
)
from prometheus.data_ingestion.reference import ReferenceFiles

NOTES = ("the core CPI is of one vintage (December 2018): older values hold revisions that came later",)


@dataclass(frozen=True, slots=True)
class _Series:
    file: str
    column: str
    known: Callable[[pl.Expr], pl.Expr]
    is_monthly: bool = False
    day_format: str = "%m/%d/%Y"


_FILES: Mapping[str, _Series] = {
    "VIX": _Series("vix.csv.gz", "vix", same_day),
    "WTI": _Series("wti.csv.gz", "DCOILWTICO", lambda day: weekdays_later(day, EIA_LAG_WEEKDAYS)),
    "BRENT": _Series("crude.csv.gz", "Brent", last_weekday_of_next_month, True, "%Y-%m-%d"),
    "AAA": _Series("default.csv.gz", "AAA", last_weekday_of_next_month, True),
    "BAA": _Series("default.csv.gz", "BAA", last_weekday_of_next_month, True),
    "CPI_CORE": _Series("core-cpi.csv.gz", "CPILFESL", last_weekday_of_next_month, True),
}
_CURVE = {
    "1month": "UST_1M",
    "3month": "UST_3M",
    "6month": "UST_6M",
    "1year": "UST_1Y",
    "2year": "UST_2Y",
    "3year": "UST_3Y",
    "5year": "UST_5Y",
    "7year": "UST_7Y",
    "10year": "UST_10Y",
    "20year": "UST_20Y",
    "30year": "UST_30Y",
}
_PERCENT_DIGITS = 6  # the curve's fractions have four digits; times 100 they must not end in ...0001


def parse_macro(arch: ReferenceFiles, zipline: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `macro`. `period` is the day, or the first day of the month, that a value is about."""
    frames = [_one(arch, name, series) for name, series in _FILES.items()]
    return as_dataset("macro", pl.concat([*frames, _curve(zipline)]))


def _one(files: ReferenceFiles, name: str, series: _Series) -> pl.DataFrame:
    file = files.path(series.file)
    table = read_table(file, {"Date": pl.String(), series.column: pl.Float64()})
    day = pl.col("Date").str.to_date(series.day_format)
    period = day.dt.month_start() if series.is_monthly else day
    return table.drop_nulls().select(
        series.known(period).alias("row_date"),
        pl.lit(name).alias("series_id"),
        period.alias("period"),
        pl.col(series.column).alias("value"),
    )


def _curve(files: ReferenceFiles) -> pl.DataFrame:
    columns: dict[str, pl.DataType] = {"Time Period": pl.String(), **dict.fromkeys(_CURVE, pl.Float64())}
    wide = read_table(files.path("treasury_curves.csv"), columns).rename(_CURVE)
    day = pl.col("Time Period").str.slice(0, 10).str.to_date("%Y-%m-%d")
    long = wide.with_columns(day.alias("period")).unpivot(
        on=list(_CURVE.values()), index="period", variable_name="series_id", value_name="value"
    )
    return long.drop_nulls().select(
        next_weekday(pl.col("period")).alias("row_date"),
        "series_id",
        "period",
        (pl.col("value") * 100.0).round(_PERCENT_DIGITS),
    )
