"""The context rules on the real files: what is wrong with them is found, and nothing that happened is called a fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl
import pytest

from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.packs import shelf
from prometheus.data_ingestion.packs.bars import parse_actions, parse_bars
from prometheus.data_ingestion.packs.facts import parse_facts
from prometheus.data_ingestion.packs.filings import parse_filings
from prometheus.data_ingestion.packs.issuers import parse_issuers
from prometheus.data_ingestion.packs.macro import parse_macro
from prometheus.data_ingestion.packs.rates import parse_fx, parse_indices
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import Pack, ReferenceFiles, fetch_reference
from prometheus.data_ingestion.validation.context import NOTHING, Beside, ContextVerdict, judge_context
from prometheus.data_ingestion.validation.context_measures import LOOKBACK_SESSIONS
from prometheus.data_ingestion.validation.context_rules import ContextLimits
from prometheus.data_ingestion.validation.findings import quality_of

US = TradingCalendar("US_EQ")
FIRST, LAST = date(2009, 8, 21), date(2010, 8, 20)  # of the bars of 524 stocks
END = date(2016, 12, 30)

# Jumps of raw bars that adjusted prices do not have (company news of those days, from memory).
SPLITS = {
    (date(2010, 6, 8), "ESRX"): "ratio=2 (2:1)",
    (date(2010, 6, 9), "GIS"): "ratio=2 (2:1)",
    (date(2010, 6, 14), "DHR"): "ratio=2 (2:1)",
    (date(2010, 7, 1), "STR"): "ratio=3 (3:1)",  # a spin-off of two thirds: QEP Resources
}
ACTIONS = {
    (date(2009, 9, 1), "CAH"): "implied ratio 1.388",  # CareFusion spun off
    (date(2010, 6, 30), "ETFC"): "implied ratio 0.1201, over 21 sessions",  # 1:10, in a month without bars
    (date(2010, 7, 20), "WY"): "dividend amount=26.44",  # a special dividend, mostly in shares
}
DIFFERENT = {(date(2009, 11, 17), "WYNN"), (date(2009, 12, 10), "TWX"), (date(2010, 7, 2), "VZ")}
# A low or high that is several times off the rest of its bar: trades that were struck out, as on 2010-05-06.
WILD = {
    (date(2009, 9, 21), "BIIB"),
    (date(2009, 10, 1), "MBI"),
    (date(2010, 4, 23), "MIL"),
    (date(2010, 4, 28), "DHI"),
    (date(2010, 5, 6), "CNP"),
    (date(2010, 5, 6), "PM"),
}
# The name was another company's then: Allergan, Johnson Controls, ProLogis before their mergers.
OTHERS = {"AGN", "JCI", "PLD"}


@pytest.fixture(scope="module")
def files(user_settings: Settings) -> Callable[[Pack], ReferenceFiles]:
    def fetch(pack: Pack) -> ReferenceFiles:
        return fetch_reference(user_settings.cache, user_settings.data_mirror, pack=pack)

    return fetch


def staged(rows: pl.DataFrame, until: date) -> pl.DataFrame:
    """Rows as ingestion stages them: under the first session at which they were known."""
    sessions = pl.DataFrame({"date": pl.Series(US.sessions(US.valid_from, until), dtype=pl.Date)})
    known = rows.filter(pl.col("row_date") <= until).sort("row_date", maintain_order=True)
    return known.join_asof(
        sessions, left_on="row_date", right_on="date", strategy="forward", coalesce=False
    ).with_columns(pl.lit("packs").alias("source"), pl.lit(False).alias("synthetic"))


def judged(
    dataset: str,
    rows: pl.DataFrame,
    session: date,
    beside: Beside = NOTHING,
    days: Sequence[date] | None = None,
) -> ContextVerdict:
    """The verdict of a night: all days of the rows, or some with the past that a night reads."""
    known = staged(rows, session)
    sessions = US.sessions(US.valid_from, session)
    if days is not None:
        sessions = sessions[-LOOKBACK_SESSIONS - 1 :]
        known = known.filter(pl.col("date") >= sessions[0])
    chosen = sorted(set(known["date"])) if days is None else days
    return judge_context(
        dataset, known, days=chosen, session=session, sessions=sessions, limits=ContextLimits(), beside=beside
    )


@pytest.fixture(scope="module")
def beside(panel: ReferencePanel, files: Callable[[Pack], ReferenceFiles]) -> Beside:
    prices, volumes = (
        panel.read(name, LAST, US.sessions(date(2009, 4, 1), LAST)) for name in ("prices", "volumes")
    )
    together = prices.join(volumes, on=["row_date", "instrument_id"]).rename({"row_date": "date"})
    actions = staged(parse_actions(files(shelf.BOKEH)), LAST).select(NOTHING.actions.columns)
    return Beside(together.select(NOTHING.prices.columns), actions)


@pytest.fixture(scope="module")
def bars(files: Callable[[Pack], ReferenceFiles]) -> pl.DataFrame:
    return parse_bars(files(shelf.BYTETHEORY), files(shelf.BOKEH))


@pytest.fixture(scope="module")
def year(bars: pl.DataFrame, beside: Beside) -> ContextVerdict:
    return judged("ohlcv", bars.filter(pl.col("row_date") >= FIRST), LAST, beside)


def found(verdict: ContextVerdict, rule: str) -> set[tuple[date, str]]:
    rows = verdict.quarantine.filter(pl.col("rule") == rule)
    return set(rows.select("date", "subject").iter_rows())


def proposals(verdict: ContextVerdict, rule: str) -> dict[tuple[date, str], str]:
    rows = verdict.quarantine.filter(pl.col("rule") == rule)
    return {(day, name): text for day, name, text in rows.select("date", "subject", "proposal").iter_rows()}


def test_every_unadjusted_action_of_the_raw_bars_is_found_and_its_size_named(year: ContextVerdict) -> None:
    splits, actions = (proposals(year, rule) for rule in ("unadjusted_split", "unadjusted_action"))
    assert set(splits) == set(SPLITS)
    assert set(actions) == set(ACTIONS)
    for where, text in (SPLITS | ACTIONS).items():
        assert text in (splits | actions)[where]


def test_what_else_is_wrong_with_the_year_is_found_and_no_more(year: ContextVerdict) -> None:
    assert found(year, "differs_from_panel") == DIFFERENT
    assert found(year, "wild_bar") == WILD
    assert {name for _, name in found(year, "other_instrument")} == OTHERS
    assert set(year.counts) == {
        "unadjusted_split", "unadjusted_action", "differs_from_panel", "wild_bar", "other_instrument", "inconsistent_bar",
    }  # fmt: skip
    assert year.counts["inconsistent_bar"] < 0.0005 * year.rows


@pytest.mark.parametrize(
    ("day", "name"),
    [  # real: takeovers and news of those days, among the bars' largest moves
        (date(2010, 8, 19), "MFE"),
        (date(2010, 2, 5), "ARG"),
        (date(2010, 2, 25), "CCE"),
        (date(2009, 11, 5), "BDK"),
        (date(2009, 11, 5), "BNI"),
        (date(2010, 3, 3), "NOVL"),
        (date(2009, 10, 23), "AMZN"),
    ],
)
def test_great_moves_that_happened_are_believed(year: ContextVerdict, day: date, name: str) -> None:
    assert not year.clean.filter((pl.col("date") == day) & (pl.col("instrument_id") == name)).is_empty()


def test_the_two_volumes_differ_by_a_scale_that_is_said_once(year: ContextVerdict) -> None:
    (finding,) = [each for each in year.findings if each.name == "volume_scale"]
    assert "is 0.86 times close x volume" in finding.text
    assert finding.weight == "note"


SOME_NIGHTS = [date(2010, 6, 14), date(2010, 6, 30), date(2010, 7, 1), date(2010, 5, 6), LAST]


@pytest.mark.parametrize("night", SOME_NIGHTS)
def test_a_night_of_bars_judges_as_the_bulk_load_does(
    bars: pl.DataFrame, beside: Beside, year: ContextVerdict, night: date
) -> None:
    known = bars.filter(pl.col("row_date") >= FIRST)
    seen = Beside(
        beside.prices.filter(pl.col("date") <= night), beside.actions.filter(pl.col("date") <= night)
    )
    alone = judged("ohlcv", known, night, seen, [night])
    assert alone.clean.equals(year.clean.filter(pl.col("date") == night))
    assert alone.quarantine.equals(year.quarantine.filter(pl.col("date") == night))


def test_thirteen_years_of_five_stocks_with_their_actions_are_believed(
    bars: pl.DataFrame, files: Callable[[Pack], ReferenceFiles]
) -> None:
    """AAPL 2:1 2005 and MSFT 2:1 2003 without the panel: known actions explain their jumps."""
    five = bars.filter(pl.col("instrument_id").is_in(["AAPL", "GOOG", "IBM", "MSFT", "FB"]))
    actions = parse_actions(files(shelf.BOKEH))
    known = staged(actions, END).select(NOTHING.actions.columns)
    with_them = judged("ohlcv", five, END, Beside(NOTHING.prices, known))
    without = judged("ohlcv", five, END)
    assert found(with_them, "unadjusted_split") == found(with_them, "unadjusted_action") == set()
    # AAPL 2000-06-21 is missed: it rose 10 % that day, on the volume of news.
    assert found(without, "unadjusted_split") == {(date(2003, 2, 18), "MSFT"), (date(2005, 2, 28), "AAPL")}
    assert len(found(without, "unadjusted_action")) <= 2


def test_real_macro_rates_indices_facts_texts_and_issuers_lose_no_row_that_is_right(
    files: Callable[[Pack], ReferenceFiles],
) -> None:
    """Among them VIX doubling in a day, the franc let go, the lira, oil and yields of 2008: none is called a fault."""
    arch = files(shelf.ARCH)
    frames = {
        "macro": parse_macro(arch, files(shelf.ZIPLINE)),
        "indices": parse_indices(arch),
        "fx": parse_fx(files(shelf.CURRENCIES)),
        "facts": parse_facts(files(shelf.EDGAR)),
        "texts": parse_filings(files(shelf.DISCLOSURES)),
        "issuers": parse_issuers(files(shelf.BYTETHEORY)),
        "corporate_actions": parse_actions(files(shelf.BOKEH)),
    }
    for dataset, rows in frames.items():
        verdict = judged(dataset, rows, date(2026, 10, 30))
        assert verdict.counts == {}, dataset
        assert verdict.clean.height == rows.filter(pl.col("row_date") <= date(2026, 10, 30)).height


@pytest.mark.parametrize("session", [date(2008, 10, 10), date(2012, 6, 15), date(2016, 6, 24), END])
def test_on_an_ordinary_night_nothing_of_the_context_is_degraded(
    files: Callable[[Pack], ReferenceFiles], session: date
) -> None:
    arch = files(shelf.ARCH)
    frames = {
        "macro": parse_macro(arch, files(shelf.ZIPLINE)),
        "indices": parse_indices(arch),
        "fx": parse_fx(files(shelf.CURRENCIES)),
    }
    for dataset, rows in frames.items():
        verdict = judged(dataset, rows, session, days=[session])
        assert quality_of(verdict.findings) == "ok", (dataset, verdict.findings)
