"""The synthetic panel: said to be synthetic in every id, the same for the same seed, and never rewritten by time."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.calendar_book import CalendarBook
from prometheus.core.calendar_overrides import UserMarket
from prometheus.core.errors import DataError
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.synthetic import STOCKS, SyntheticLines, SyntheticPanel

US = TradingCalendar("US_EQ")
DAY = date(2009, 3, 9)


def panel(seed: int = 7, market: str = "US_EQ") -> SyntheticPanel:
    return SyntheticPanel(US, market, seed)


def test_every_id_and_every_note_says_that_it_is_synthetic() -> None:
    rows = panel().read("prices", DAY, [DAY])
    assert rows.height == STOCKS
    assert rows["instrument_id"].str.starts_with("SYN_").all()
    assert panel().synthetic
    assert "SYNTHETIC" in panel().notes[0]


def test_a_seed_and_a_market_make_the_panel() -> None:
    first = panel(7).read("prices", DAY, [DAY])
    assert first.equals(panel(7).read("prices", DAY, [DAY]))
    assert not first["ret_1d"].equals(panel(8).read("prices", DAY, [DAY])["ret_1d"])
    assert not first["ret_1d"].equals(panel(7, "EU_EQ").read("prices", DAY, [DAY])["ret_1d"])


@settings(max_examples=settings().max_examples // 6, deadline=None)
@given(place=st.integers(20, 540), later=st.integers(1, 40))
def test_adding_days_never_changes_the_days_before(place: int, later: int) -> None:
    sessions = US.sessions(date(2007, 1, 3), DAY)
    day, known_later = sessions[place], US.next_trading_day(sessions[place], later)
    for dataset in ("prices", "volumes"):
        then = panel().read(dataset, day, sessions[: place + 1])
        assert then.equals(panel().read(dataset, known_later, sessions[: place + 1]))


def test_its_returns_have_the_fat_tails_and_the_clusters_that_its_method_promises() -> None:
    sessions = US.sessions(date(2007, 1, 3), date(2011, 1, 3))
    rows = panel().read("prices", sessions[-1], sessions)
    assert rows["ret_1d"].abs().max() <= 0.6  # type: ignore[operator]
    assert (rows["abs_log_open_close"] >= 0).all()
    market = rows.group_by("row_date").agg(pl.col("ret_1d").mean()).sort("row_date")["ret_1d"].to_numpy()
    z = (market - market.mean()) / market.std()
    assert (z**4).mean() > 3.5
    assert np.corrcoef(np.abs(z[1:]), np.abs(z[:-1]))[0, 1] > 0.05
    volumes = panel().read("volumes", sessions[-1], sessions)["dollar_volume"]
    assert (volumes > 0).all()


def test_a_day_that_is_no_session_is_refused() -> None:
    with pytest.raises(DataError, match="2009-03-08"):
        panel().read("prices", DAY, [date(2009, 3, 8)])
    assert panel().sessions("prices", date(2006, 1, 3)) == []


def lines(dataset: str, market: str = "US_EQ", seed: int = 7) -> SyntheticLines:
    return SyntheticLines(US, market, dataset, seed)


def test_futures_and_an_index_follow_the_factor_of_their_market_s_panel() -> None:
    sessions = US.sessions(date(2007, 1, 3), DAY)
    stocks = (
        panel()
        .read("prices", DAY, sessions)
        .group_by("row_date")
        .agg(pl.col("ret_1d").mean())
        .sort("row_date")
    )
    futures = lines("futures").read("futures", DAY, sessions).filter(pl.col("instrument_id") == "SYN_ES1")
    assert np.corrcoef(stocks["ret_1d"], futures["ret_1d"])[0, 1] > 0.9
    index = lines("indices").read("indices", DAY, sessions)
    assert np.corrcoef(stocks["ret_1d"][1:], index["close"].pct_change()[1:])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("dataset", "market", "ids"),
    [
        ("futures", "US_FUT", ["SYN_ES1", "SYN_NQ1"]),
        ("futures", "EU_EQ", ["SYN_EU_EQ_F1"]),
        ("indices", "JP_EQ", ["SYN_JP_EQ_INDEX"]),
    ],
)
def test_every_market_has_lines_of_its_own_that_say_what_they_are(
    dataset: str, market: str, ids: list[str]
) -> None:
    source = lines(dataset, market)
    rows = source.read(dataset, DAY, [DAY])
    assert rows["instrument_id"].to_list() == ids
    assert rows.schema == dict(DATASETS[dataset].columns)
    assert (source.synthetic, source.closed, "SYNTHETIC" in source.notes[0]) == (True, True, True)


@pytest.mark.parametrize("dataset", ["futures", "indices"])
def test_a_line_is_never_rewritten_by_time_and_its_bars_hold_their_values(dataset: str) -> None:
    later = US.next_trading_day(DAY, 5)
    sessions = US.sessions(date(2009, 1, 2), DAY)
    then = lines(dataset).read(dataset, DAY, sessions)
    assert then.equals(lines(dataset).read(dataset, later, sessions))
    assert not then.equals(lines(dataset, seed=8).read(dataset, later, sessions))
    if dataset == "indices":
        assert (then["low"] <= then.select(pl.min_horizontal("open", "close")).to_series()).all()
        assert (then["high"] >= then.select(pl.max_horizontal("open", "close")).to_series()).all()
    else:
        es = then.filter(pl.col("instrument_id") == "SYN_ES1")
        assert es["settle"].pct_change()[1:].to_list() == pytest.approx(es["ret_1d"][1:].to_list())


def test_a_market_of_one_s_own_has_a_synthetic_panel_on_its_own_days() -> None:
    book = CalendarBook(markets=[UserMarket("MINE", ("XNYS",))])
    own = SyntheticPanel(TradingCalendar("MINE", book=book), "MINE", 0)
    assert own.sessions("prices", DAY) == US.sessions(date(2007, 1, 3), DAY)
    assert own.read("prices", DAY, [DAY])["instrument_id"][0] == "SYN_MINE_001"
