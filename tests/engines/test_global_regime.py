"""The regime of the world: from the regions that have data, as it was known, with a reason for each that has none."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prometheus.core.time import TradingCalendar
from prometheus.engines.engine import Inputs
from prometheus.engines.outcome import Outcome, ShortHistoryError
from prometheus.engines.regime.config import GlobeConfig, RegimeConfig
from prometheus.engines.regime.engine import run
from prometheus.engines.regime.globe import of_globe
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.runtime import RuntimeDb

SESSIONS = 400
STORM = slice(300, 330)
LAST = SESSIONS - 1
CONFIG = RegimeConfig(seeds=(0, 1))
DAYS = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2011, 12, 30))[:SESSIONS]


def panel(seed: int, level: float, first: int = 0) -> pl.DataFrame:
    """correlation_panels of a region whose storm is that of the others."""
    rng = np.random.default_rng(seed)
    storm = np.zeros(SESSIONS)
    storm[STORM] = 1.0
    vol = level * np.exp(0.1 * rng.normal(size=SESSIONS) + 0.9 * storm)
    correlation = np.tanh(0.3 + 0.05 * rng.normal(size=SESSIONS) + 0.5 * storm)
    frame = pl.DataFrame({"date": DAYS, "market_vol_ewma": vol, "mean_correlation_21d": correlation})
    return frame[first:]


def macro(first: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    storm = np.zeros(SESSIONS)
    storm[STORM] = 2.0
    levels = {"AAA": np.full(SESSIONS, 5.0), "BAA": 6.2 + storm + 0.05 * rng.normal(size=SESSIONS)}
    levels["VIX"] = 18.0 + 15.0 * storm + rng.normal(size=SESSIONS)
    frames = [
        pl.DataFrame({"date": DAYS, "series_id": name, "period": DAYS, "value": values})[
            first if name == "VIX" else 0 :
        ]
        for name, values in levels.items()
    ]
    return pl.concat(frames)


def fx() -> pl.DataFrame:
    rng = np.random.default_rng(6)
    scale = np.full(SESSIONS, 0.005)
    scale[STORM] *= 3.0
    frames = [
        pl.DataFrame(
            {
                "date": DAYS,
                "instrument_id": name,
                "rate": np.exp(np.cumsum(scale * rng.normal(size=SESSIONS))),
            }
        )
        for name in ("EURUSD", "EURJPY")
    ]
    return pl.concat(frames)


class World:
    """Region stores in one folder."""

    def __init__(self, folder: Path) -> None:
        self.store = HistoricalDb(folder / "historical")
        self.runtime = RuntimeDb(f"sqlite:///{folder / 'runtime.db'}")

    def keep(self, region: str, table: str, frame: pl.DataFrame) -> None:
        self.store.write_days(table, frame, WriteId(region, "load", table, 1, "0" * 64), market=region)

    def view(self, day: date = DAYS[LAST]) -> HistoricalView:
        return self.store.as_of(day, market="GLOBAL")

    def judge(self, day: date, config: RegimeConfig = CONFIG) -> Outcome:
        return run(day, Inputs(self.view(day), self.runtime, "GLOBAL", TradingCalendar("US_EQ")), config)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.keep("US_EQ", "correlation_panels", panel(1, 0.15))
    made.keep("US_EQ", "macro_daily", macro())
    made.keep("US_EQ", "fx_daily", fx())
    return made


def test_the_world_is_stressed_in_its_storm_and_names_the_regions_that_it_did_not_see(world: World) -> None:
    outcome = world.judge(DAYS[STORM.stop - 3])
    assert outcome.action is not None
    assert outcome.action["label"] == "stressed"
    assert DAYS[STORM.start] <= date.fromisoformat(outcome.action["since"]) <= DAYS[STORM.start + 5]
    absent = outcome.action["absent"]
    assert set(absent) == {"EU_EQ", "JP_EQ", "ASIA_EQ"}
    assert absent["JP_EQ"] == "its pipeline has written no correlation_panels"
    assert set(outcome.action["features"]) == {"US_EQ", "credit_spread", "fx_volatility", "vix"}
    told = {(ref["market"], ref["table"]) for ref in outcome.input_refs}
    assert told == {("US_EQ", table) for table in ("correlation_panels", "macro_daily", "fx_daily")}


def test_a_second_region_counts_as_much_as_the_first_whatever_its_level(world: World) -> None:
    alone = of_globe(world.view(), CONFIG.globe, 252).values[:, 0]
    world.keep("EU_EQ", "correlation_panels", panel(1, 0.60))  # the same world at four times the volatility
    both = of_globe(world.view(), CONFIG.globe, 252)
    np.testing.assert_allclose(both.values[:, 0], alone, atol=1e-12)
    assert set(both.now) >= {"US_EQ", "EU_EQ"}
    world.keep("JP_EQ", "correlation_panels", panel(2, 0.2))
    assert not np.allclose(of_globe(world.view(), CONFIG.globe, 252).values[:, 0], alone)


def test_a_region_that_is_young_or_silent_is_absent_with_its_reason(world: World) -> None:
    world.keep("EU_EQ", "correlation_panels", panel(2, 0.2, first=200))
    world.keep("JP_EQ", "correlation_panels", panel(3, 0.2)[: SESSIONS - 30])
    absent = of_globe(world.view(), CONFIG.globe, 252).absent
    assert absent["EU_EQ"] == "200 sessions with all features, 252 needed"
    assert absent["JP_EQ"] == f"its last session is {DAYS[SESSIONS - 31]}"


def test_fewer_regions_than_the_quorum_are_no_world(world: World) -> None:
    config = replace(CONFIG, globe=GlobeConfig(quorum=2))
    with pytest.raises(ShortHistoryError, match=r"1 regions have data \(EU_EQ: its pipeline"):
        world.judge(DAYS[LAST], config)


def test_a_world_in_which_nobody_traded_tonight_is_not_judged_by_yesterday(world: World) -> None:
    day = DAYS[LAST] + timedelta(days=1)
    with pytest.raises(ShortHistoryError, match=f"the last session of any region is {DAYS[LAST]}"):
        world.judge(day)


def test_a_series_with_a_short_history_is_left_out_and_nothing_needs_macro(
    world: World, tmp_path: Path
) -> None:
    later = World(tmp_path / "later")
    later.keep("US_EQ", "correlation_panels", panel(1, 0.15))
    later.keep("US_EQ", "macro_daily", macro(first=300))
    seen = of_globe(later.view(), CONFIG.globe, 252)
    assert seen.absent["vix"] == f"known from {DAYS[300]}: 25% of the sessions"
    assert seen.absent["fx_volatility"] == "no region has fx_daily"
    assert seen.values.shape == (SESSIONS, 3)
    bare = World(tmp_path / "bare")
    bare.keep("US_EQ", "correlation_panels", panel(1, 0.15))
    assert of_globe(bare.view(), CONFIG.globe, 252).values.shape == (SESSIONS, 2)
    assert bare.judge(DAYS[LAST]).action is not None


def test_a_spread_is_that_of_the_newest_periods_published_so_far(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.keep("US_EQ", "correlation_panels", panel(1, 0.15))
    rows = macro().filter(~((pl.col("series_id") == "BAA") & (pl.col("date") == DAYS[LAST])))
    back = rows.filter(pl.col("series_id") == "BAA").tail(1)
    # An old month is revised tonight, on which nothing newer is published.
    revised = back.with_columns(date=pl.lit(DAYS[LAST]), period=pl.lit(DAYS[0]), value=pl.lit(99.0))
    world.keep("US_EQ", "macro_daily", pl.concat([rows, revised]))
    now = of_globe(world.view(), CONFIG.globe, 252).now["credit_spread"]
    assert now == pytest.approx(back["value"][0] - 5.0)


def test_what_is_published_later_changes_nothing(world: World, tmp_path: Path) -> None:
    day = DAYS[310]
    cut = World(tmp_path / "cut")
    for table, frame in {
        "correlation_panels": panel(1, 0.15),
        "macro_daily": macro(),
        "fx_daily": fx(),
    }.items():
        cut.keep("US_EQ", table, frame.filter(pl.col("date") <= day))
    assert cut.judge(day).action == world.judge(day).action


def test_a_region_on_holiday_is_carried_forward_for_a_week_and_no_longer(tmp_path: Path) -> None:
    both, alone = World(tmp_path / "both"), World(tmp_path / "alone")
    for world in (both, alone):
        world.keep("US_EQ", "correlation_panels", panel(1, 0.15))
    silent = DAYS[320:340]
    both.keep("EU_EQ", "correlation_panels", panel(3, 0.2).filter(~pl.col("date").is_in(silent)))
    seen, expected = (of_globe(world.view(), CONFIG.globe, 252).values for world in (both, alone))
    for row, day in enumerate(silent, 320):
        is_carried = day <= DAYS[319] + timedelta(days=7)
        assert (seen[row] == expected[row]).all() != is_carried, day
