"""The reference panel says what the market did, on the days it did it, and nothing that was not yet known."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from prometheus.core.errors import DataError
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import ReferenceFiles

FIRST, LAST = date(2007, 1, 4), date(2016, 12, 30)


@pytest.fixture(scope="module")
def prices(panel: ReferencePanel) -> pl.DataFrame:
    return panel.read("prices", LAST, panel.sessions("prices", LAST))


def test_it_has_431_stocks_on_every_trading_day_of_ten_years(
    panel: ReferencePanel, prices: pl.DataFrame
) -> None:
    sessions = panel.sessions("prices", LAST)
    assert sessions == TradingCalendar("US_EQ").sessions(FIRST, LAST)
    assert len(sessions) == 2517
    assert prices.height == 2517 * 431
    assert prices["instrument_id"].n_unique() == 431
    assert "USDOLLAR" not in set(prices["instrument_id"].unique())
    volumes = panel.read("volumes", LAST, sessions)
    assert volumes.select("row_date", "instrument_id").equals(prices.select("row_date", "instrument_id"))


@pytest.mark.parametrize(
    ("day", "low", "high"),
    [  # the S&P 500 closed -8.8 %, +11.6 %, -9.0 %, -6.7 %, -3.9 %, -3.6 % on these days
        (date(2008, 9, 29), -0.10, -0.06),
        (date(2008, 10, 13), 0.09, 0.13),
        (date(2008, 10, 15), -0.11, -0.08),
        (date(2011, 8, 8), -0.085, -0.06),
        (date(2015, 8, 24), -0.05, -0.03),
        (date(2016, 6, 24), -0.05, -0.03),
    ],
)
def test_a_days_row_holds_that_days_return(prices: pl.DataFrame, day: date, low: float, high: float) -> None:
    mean = prices.filter(pl.col("row_date") == day)["ret_1d"].mean()
    assert isinstance(mean, float)
    assert low < mean < high


def test_morgan_stanley_rose_by_87_percent_on_2008_10_13(panel: ReferencePanel) -> None:
    row = panel.read("prices", LAST, [date(2008, 10, 13)]).filter(pl.col("instrument_id") == "MS")
    assert row["ret_1d"].to_list() == [0.8698]


def test_what_was_not_known_is_not_told(panel: ReferencePanel) -> None:
    day = date(2008, 9, 15)
    assert panel.sessions("prices", day)[-1] == day
    assert panel.read("prices", day, [day, date(2008, 9, 16)])["row_date"].unique().to_list() == [day]
    assert panel.read("volumes", day, [date(2008, 9, 16)]).is_empty()


def copied(files: ReferenceFiles, folder: Path) -> ReferenceFiles:
    shutil.copytree(files.folder, folder)
    return ReferenceFiles(folder, fetched=False)


def test_a_damaged_parsed_panel_is_parsed_anew(
    tmp_path: Path, reference_files: ReferenceFiles, prices: pl.DataFrame
) -> None:
    files = copied(reference_files, tmp_path / "cache")
    (parsed,) = files.folder.glob("panel-*.parquet")
    parsed.write_bytes(parsed.read_bytes()[:1000])
    again = ReferencePanel(files)
    assert again.read("prices", LAST, again.sessions("prices", LAST)).equals(prices)


@pytest.mark.parametrize("damage", ["absent", "cut short"])
def test_an_absent_or_damaged_file_is_named_with_what_to_do(
    tmp_path: Path, reference_files: ReferenceFiles, damage: str
) -> None:
    files = copied(reference_files, tmp_path / "cache")
    for made in files.folder.glob("panel-*"):
        made.unlink()
    if damage == "absent":
        files.path("volumes.csv.gz").unlink()
    else:
        files.path("volumes.csv.gz").write_bytes(files.path("volumes.csv.gz").read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"volumes\.csv\.gz.*prometheus data fetch"):
        ReferencePanel(files)
