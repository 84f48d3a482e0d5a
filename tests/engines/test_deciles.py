"""Deciles of the score against what followed: walk-forward, on the score that the engine would have given."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prometheus.core.errors import UserError
from prometheus.core.time import TradingCalendar
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.deciles import Deciles, deciles
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.wide import lengthen
from tools.evidence.deciles import MARKET, sessions_between, table

CONFIG = AssessmentConfig()
SESSIONS = TradingCalendar(MARKET).sessions(date(2009, 1, 2), date(2012, 12, 31))[:800]
COUNT = 80


def view_of(folder: Path, drift: float, seed: int, until: int = 800) -> HistoricalView:
    """A market of 80 whose quiet instruments earn `drift` a day more than the wild ones; no fragility is known."""
    rng = np.random.default_rng(seed)
    volatility = np.linspace(0.1, 0.5, COUNT)
    daily = rng.normal(0.0, 0.01, (800, COUNT)) + drift * np.linspace(0.5, -0.5, COUNT)
    tables = {
        "returns_daily": ("ret_1d", daily),
        "volatility_daily": ("vol_63d", np.tile(volatility, (800, 1))),
        "prices_daily": ("dollar_volume", np.exp(rng.normal(16, 1, (800, COUNT)))),
    }
    store = HistoricalDb(folder)
    for name, (column, values) in tables.items():
        rows = lengthen(
            SESSIONS[:until],
            [f"T{number:02d}" for number in range(COUNT)],
            {column: values[:until]},
            np.ones((until, COUNT), dtype=np.bool_),
        )
        store.write_days(name, rows, WriteId("load", "load", name, 1, "0" * 64), market=MARKET)
    return store.as_of(SESSIONS[until - 1], market=MARKET)


def months(view: HistoricalView) -> list[date]:
    return sessions_between(view, SESSIONS[260], SESSIONS[-1])


def test_a_planted_difference_is_found_with_its_size_and_its_order(tmp_path: Path) -> None:
    view = view_of(tmp_path, drift=0.002, seed=7)
    found = deciles(view, months(view), CONFIG)
    report = found.report()
    assert report["periods"] == len(found.sessions) == len(months(view)) - 1
    assert report["monotonicity"] > 0.9
    assert report["spread_t"] > 5
    # Low volatility and, after a year of it, momentum: the score finds most of the 0.0018 a day between end deciles.
    assert 0.5 < report["spread"] / (21 * 0.0018) < 1.1
    assert 0 < report["turnover_best"] < 0.6


def test_a_decile_s_return_is_what_its_members_earned_after_the_session(tmp_path: Path) -> None:
    view = view_of(tmp_path, drift=0.0, seed=5)
    found = deciles(view, [SESSIONS[300], SESSIONS[310]], CONFIG)
    later = view.read("returns_daily").filter(pl.col("date") > SESSIONS[300], pl.col("date") <= SESSIONS[310])
    earned = (
        later.group_by("instrument_id").agg(ret_1d=(1 + pl.col("ret_1d")).product() - 1).sort("instrument_id")
    )
    for tenth in range(10):
        members = found.members[0] == tenth
        assert members.sum() == 8
        assert found.returns[0, tenth] == pytest.approx(earned["ret_1d"].to_numpy()[members].mean())


def test_in_pure_noise_nothing_is_found(tmp_path: Path) -> None:
    view = view_of(tmp_path, drift=0.0, seed=8)
    report = deciles(view, months(view), CONFIG).report()
    assert abs(report["spread_t"]) < 2.5
    assert abs(report["information_coefficient_t"]) < 2.5


def test_a_decile_is_judged_the_same_whether_or_not_the_rest_of_history_is_there(tmp_path: Path) -> None:
    whole = view_of(tmp_path / "whole", drift=0.001, seed=9)
    asked = months(whole)[:12]
    cut = view_of(tmp_path / "cut", drift=0.001, seed=9, until=SESSIONS.index(asked[-1]) + 1)
    long, short = deciles(whole, asked, CONFIG), deciles(cut, asked, CONFIG)
    np.testing.assert_array_equal(long.members, short.members)
    np.testing.assert_array_equal(long.returns, short.returns)
    assert long.report() == short.report()


def test_the_deciles_are_those_of_the_scores_that_the_night_gave(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home, session, later = new_home("night", prices), days[360], days[395]
    features = ("returns", "volatility", "correlations", "stability_components")
    for name in (*features, "regime", "assessment"):
        home.job(name, session)
    scores = {row["instrument_id"]: row["score"] for row in home.runtime.scores(session, MARKET)}
    for name in features:
        home.job(name, later)
    probabilities = home.runtime.regime(session, MARKET)["probabilities"]
    view = home.known(later)
    found = deciles(view, [session, days[381]], CONFIG, {session: probabilities})
    names = view.read("returns_daily", columns=["instrument_id"])["instrument_id"].unique().sort()
    members = {name: tenth for name, tenth in zip(names, found.members[0], strict=True) if tenth >= 0}
    ordered = sorted(members, key=lambda name: scores[name])
    assert len(ordered) > 55
    assert [members[name] for name in ordered] == [
        place * 10 // len(ordered) for place in range(len(ordered))
    ]


def test_names_replaced_are_counted_against_the_session_before() -> None:
    members = np.array([[0, 0, 9, 9], [0, 9, 0, 9], [0, 9, 0, 9]], dtype=np.float64)
    found = Deciles((SESSIONS[0],) * 3, np.zeros((3, 10)), np.zeros(3), members)
    assert found.turnover(9) == pytest.approx(0.25)
    assert Deciles((SESSIONS[0],), np.zeros((1, 10)), np.zeros(1), members[:1]).turnover(9) is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([SESSIONS[300]], "1 sessions were given"),
        ([SESSIONS[320], SESSIONS[300]], "2 sessions were given"),
        ([SESSIONS[100], SESSIONS[300]], f"{SESSIONS[100]} is not among them"),
        ([SESSIONS[300], date(2010, 7, 4)], "2010-07-04 is not among them"),
    ],
)
def test_sessions_that_cannot_be_judged_are_refused(asked: list[date], told: str, tmp_path: Path) -> None:
    view = view_of(tmp_path, drift=0.0, seed=1)
    with pytest.raises(UserError, match=told) as caught:
        deciles(view, asked, CONFIG)
    assert str(SESSIONS[251]) in (caught.value.allowed or "")


def test_the_printed_table_begins_with_the_warning(tmp_path: Path) -> None:
    view = view_of(tmp_path, drift=0.001, seed=3)
    lines = table(deciles(view, months(view), CONFIG)).splitlines()
    assert lines[0].startswith("! the panel may hold survivors only")
    assert "It promises nothing" in lines[1]
    assert any(line.startswith("spread") and "t = " in line for line in lines)
