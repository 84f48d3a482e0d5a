"""Who stands behind an instrument: names, sectors and industries (GICS wording) of the S&P 500, a list in bytetheory.

The list has no date. It has DAL and VRTX, which joined the index in September 2013, and still DELL, which left in
October 2013, so it is of that autumn. Sectors are taken as known from the panel's first session on: before 2013 that is
a look-ahead in classification alone, no price and no membership is drawn from it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.packs.reading import as_dataset
from prometheus.data_ingestion.reference import ReferenceFiles

KNOWN_FROM = date(2007, 1, 3)  # the panel's first file begins on it
NOTES = ("names and sectors are of autumn 2013; used before, they look ahead in classification alone",)
# The panel's tickers are of 2016, the list's of 2013: the same company under the ticker it took later.
RENAMED: Mapping[str, str] = {
    "ANTM": "WLP",  # WellPoint became Anthem in 2014
    "ES": "NU",  # Northeast Utilities became Eversource in 2015
    "GOOGL": "GOOG",  # the old class of shares, since 2014
    "LB": "LTD",  # Limited Brands became L Brands in 2013
    "TGNA": "GCI",  # Gannett became Tegna in 2015
    "WBA": "WAG",  # Walgreen became Walgreens Boots Alliance in 2014
    "ZBH": "ZMH",  # Zimmer became Zimmer Biomet in 2015
}


def parse_issuers(bytetheory: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `issuers`, one an instrument. `issuer_id` is "US:" and the ticker on the list, for ever."""
    file = bytetheory.path("SP_500.xml")
    try:
        root = ET.parse(file).getroot()  # noqa: S314 - the file is the one that its checksum names
        rows = [
            (each.attrib["ticker"], each.attrib["name"], each.get("sector"), each.get("industry"))
            for each in root
        ]
    except (OSError, ET.ParseError, KeyError) as error:
        raise DataError(
            f"the reference file {file} cannot be read: {error}",
            allowed="symbols with a ticker and a name",
            hint="remove it from the cache, so that it is fetched again",
        ) from None
    listed = pl.DataFrame(rows, schema=["instrument_id", "name", "sector", "industry"], orient="row").unique(
        "instrument_id", maintain_order=True
    )
    listed = listed.with_columns((pl.lit("US:") + pl.col("instrument_id")).alias("issuer_id"))
    later = pl.DataFrame({"later": list(RENAMED), "instrument_id": list(RENAMED.values())})
    renamed = listed.join(later, on="instrument_id").with_columns(pl.col("later").alias("instrument_id"))
    everyone = pl.concat([listed, renamed.drop("later")])
    return as_dataset("issuers", everyone.with_columns(pl.lit(KNOWN_FROM).alias("row_date")))
