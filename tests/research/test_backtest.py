"""The backtest as a job: stopped and taken up, beside nights that write, with the future cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from stopping_task import EndOfWorkerError

from prometheus.core.errors import DataError, UserError
from prometheus.core.time import TradingCalendar
from prometheus.research.backtest import month_ends

Task = Callable[..., Any]


@pytest.fixture
def undisturbed(desk: Any, new_task: Task, days: list[date]) -> tuple[dict[str, Any], pl.DataFrame]:
    task = new_task()
    desk.backtest(task)
    assert len(task.saved) == 5
    return desk.reports(days[-1]), desk.known(days[-1]).read("backtest_returns")


def test_month_ends_are_the_calendar_s_and_need_a_history() -> None:
    calendar = TradingCalendar("US_EQ")
    days = calendar.sessions(date(2010, 1, 4), date(2010, 4, 15))
    assert month_ends(days, calendar, 1) == [date(2010, 1, 29), date(2010, 2, 26), date(2010, 3, 31)]
    assert month_ends(days, calendar, 39) == [date(2010, 3, 31)]


def test_a_backtest_that_is_stopped_and_taken_up_reports_what_an_undisturbed_one_does(
    loaded: Any,
    desk: Any,
    new_task: Task,
    days: list[date],
    undisturbed: Any,
    tmp_path: Any,
    prices: pl.DataFrame,
) -> None:
    from_start, rows = undisturbed
    shutil.copytree(loaded.path, tmp_path / "rough")
    rough = type(desk)(tmp_path / "rough")
    stopped = new_task(stop_at=2)
    with pytest.raises(EndOfWorkerError):
        rough.backtest(stopped)
    assert rough.reports(days[-1]) == {}
    # A correction of the whole past arrives while it stands still; the next attempt goes on with what the first saw.
    rough.load(prices.with_columns(pl.col("ret_1d") * 0.5), run="correction")
    rough.features(days[-1], attempt=2)
    after = new_task(attempt=2, resume=stopped.saved[-1])
    rough.backtest(after)
    assert len(after.saved) == 3, "what had been walked was not walked again"
    assert rough.reports(days[-1]) == from_start
    assert rough.known(days[-1]).read("backtest_returns").equals(rows)
    assert not list((rough.path / "research").glob("*")), "its own stores are gone when it is done"


def test_a_backtest_whose_folder_was_lost_begins_anew(
    desk: Any, new_task: Task, undisturbed: Any, days: list[date]
) -> None:
    saved = {"versions": desk.historical.versions(), "done": days[-1].isoformat()}
    again = new_task(attempt=2, resume=saved)
    desk.backtest(again)
    assert len(again.saved) == 5
    assert desk.reports(days[-1])["backtest"]["net"] == undisturbed[0]["backtest"]["net"]


def test_a_backtest_of_an_earlier_session_sees_nothing_later(
    desk: Any, new_task: Task, days: list[date], prices: pl.DataFrame, tmp_path: Any
) -> None:
    session = days[-25]
    desk.backtest(new_task(session))
    cut = type(desk)(tmp_path / "cut")
    cut.path.mkdir()
    cut.load(prices.filter(pl.col("date") <= session))
    cut.features(session)
    cut.backtest(new_task(session))
    assert cut.reports(session) == desk.reports(session)
    assert cut.known(session).read("backtest_returns").equals(desk.known(session).read("backtest_returns"))


def test_the_report_adds_up_and_says_what_it_is_not(undisturbed: Any) -> None:
    reports, rows = undisturbed
    told = reports["backtest"]
    assert told["warnings"][0].startswith("prices are synthetic")
    assert any("no evidence for a strategy" in one for one in told["warnings"])
    assert any("survivors" in one for one in told["warnings"])
    assert told["sessions"] == rows.height == sum(part["sessions"] for part in told["by_year"])
    assert told["sessions"] == sum(part["sessions"] for part in told["by_regime"])
    assert told["rebalances"] == 5
    assert told["cost"] > 0
    assert told["gross"]["annual_return"] > told["net"]["annual_return"]
    grown = 1.0
    for part in told["by_year"]:
        grown *= 1.0 + part["return"]
    assert grown == pytest.approx(float((1.0 + rows["net"]).product()))
    assert told["deflated_sharpe"]["1"] >= told["deflated_sharpe"]["100"]
    assert told["capacity"]["dollars"] > 0
    assert reports["deciles"]["periods"] >= 3


def test_a_history_too_short_for_a_backtest_is_said(desk: Any, new_task: Task, days: list[date]) -> None:
    with pytest.raises(DataError, match="there is no month's end with 320 sessions before it"):
        desk.backtest(new_task(days[300]))


def test_parameters_that_cannot_be_used_are_named(desk: Any, new_task: Task) -> None:
    with pytest.raises(UserError, match="history_sessions is 'long'"):
        desk.backtest(replace(new_task(), params={"history_sessions": "long"}))
    with pytest.raises(UserError, match="config is 3"):
        desk.backtest(replace(new_task(), params={"config": 3}))
