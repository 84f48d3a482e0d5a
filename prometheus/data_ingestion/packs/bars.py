"""Raw daily bars of US stocks, and the splits and dividends that a vendor's adjustment factors imply.

Two files hold bars. bytetheory has 524 members of the S&P 500 from 2009-08-21 to 2010-08-20, as they were traded, with
splits not adjusted: validation finds those. bokeh-sampledata has AAPL, GOOG, IBM, MSFT (2000-03-01 to 2013-03-01) and
FB (from 2012-05-18), each day with its close and its adjusted close. A stock's bars all come from one file.
"""

from __future__ import annotations

import polars as pl

from prometheus.data_ingestion.packs.reading import as_dataset, read_table
from prometheus.data_ingestion.packs.timing import same_day
from prometheus.data_ingestion.reference import ReferenceFiles

# Volumes of bytetheory are in round lots: a hundredth of the shares in bokeh's file on the same days.
SHARES_A_LOT = 100
_PRICES = ("Open", "High", "Low", "Close")

# A day's growth of (adjusted / close) is 1 + dividend / close: below this a dividend, from it on a split. The largest
# dividend of the file is a ninth of the price (Microsoft 2004), the smallest split doubles the shares.
_LEAST_SPLIT = 1.4
_LEAST_GROWTH = 1e-6  # what is smaller is the file's rounding (it is below 1e-13 there)
_RATIO_DIGITS, _CENT_DIGITS = 6, 4


def parse_bars(bytetheory: ReferenceFiles, bokeh: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `ohlcv`; volume in shares."""
    few = _adjusted(bokeh).select("row_date", "instrument_id", *_bar(pl.col("Volume")))
    many = _lots(bytetheory).filter(~pl.col("instrument_id").is_in(few["instrument_id"].unique().implode()))
    return as_dataset("ohlcv", pl.concat([few, many]))


def parse_actions(bokeh: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `corporate_actions`, each known on its ex-date (it was announced weeks before)."""
    close, factor = pl.col("Close"), pl.col("Adj Close") / pl.col("Close")
    growth = pl.col("growth")
    is_split = growth >= _LEAST_SPLIT
    changes = (
        _adjusted(bokeh)
        .with_columns((factor / factor.shift(1)).over("instrument_id").alias("growth"))
        .filter((growth - 1.0).abs() > _LEAST_GROWTH)
    )
    return as_dataset(
        "corporate_actions",
        changes.select(
            "row_date",
            "instrument_id",
            pl.when(is_split).then(pl.lit("split")).otherwise(pl.lit("dividend")).alias("action"),
            pl.when(is_split).then(growth.round(_RATIO_DIGITS)).alias("ratio"),
            pl.when(~is_split).then(((growth - 1.0) * close).round(_CENT_DIGITS)).alias("amount"),
        ),
    )


def _lots(bytetheory: ReferenceFiles) -> pl.DataFrame:
    columns = dict.fromkeys((*_PRICES, "Volume"), pl.Float64())
    table = read_table(
        bytetheory.path("SP500_ind.csv"), {"Date": pl.String(), "Symbol": pl.String(), **columns}
    )
    return table.select(
        same_day(pl.col("Date").str.to_date("%Y%m%d")).alias("row_date"),
        pl.col("Symbol").alias("instrument_id"),
        *_bar(pl.col("Volume") * SHARES_A_LOT),
    )


def _adjusted(bokeh: ReferenceFiles) -> pl.DataFrame:
    """The file of bokeh with its columns of prices as they are, in the order of stock and day."""
    columns = dict.fromkeys((*_PRICES, "Volume", "Adj Close"), pl.Float64())
    table = read_table(bokeh.path("stocks.csv.gz"), {"Ticker": pl.String(), "Date": pl.String(), **columns})
    day = same_day(pl.col("Date").str.to_date("%Y-%m-%d"))
    return table.with_columns(day.alias("row_date"), pl.col("Ticker").alias("instrument_id")).sort(
        "instrument_id", "row_date"
    )


def _bar(volume: pl.Expr) -> list[pl.Expr]:
    return [*(pl.col(name).alias(name.lower()) for name in _PRICES), volume.alias("volume")]
