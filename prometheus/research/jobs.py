"""The jobs of this room, as pipelines name them: each takes a task and returns a small JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from prometheus.core.errors import DataError, UserError
from prometheus.core.ids import Json
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.engine import SURVIVORSHIP
from prometheus.engines.engine import choose_engine
from prometheus.pipelines.task import Task
from prometheus.research import backtest as monthly
from prometheus.research import record
from prometheus.research.holding import Targets, hold
from prometheus.research.walk import Ground, Walk, Walker
from prometheus.stores.desk import Desk, open_desk

DAILY = "backtest_returns"
HISTORY = 500  # sessions before the first decision: two years, which the factor model and the assessment want


def backtest(task: Task) -> dict[str, Json]:
    """All tables of a night -> reports `backtest` and `deciles`, and backtest_returns.

    Params: `history_sessions` before the first decision, and `config`, engine -> settings laid over the desk's. Saves a
    checkpoint after every rebalance and goes on from it, with the table versions that it began with.
    """
    desk = open_desk(task)
    history, changed = _params(task)
    saved = task.resume if isinstance(task.resume, dict) else {}
    versions: Mapping[str, int] = saved.get("versions") or desk.historical.versions()
    view = desk.historical.as_of(task.session, market=task.market, versions=versions)
    sessions = monthly.month_ends(view.dates(monthly.RETURNS), task.calendar(), history)
    if not sessions:
        raise DataError(
            f"there is no month's end with {history} sessions before it up to {task.session}",
            hint="run the market's nightly pipeline for this session first",
        )
    ground = Ground(desk.historical, versions, task.market, task.calendar(), desk.settings.engines, changed)
    folder = desk.settings.home / "research" / task.task_id
    walk = Walk(ground, folder, Walker(task.run_id, task.name, task.attempt, task.pin))
    done = date.fromisoformat(saved["done"]) if "done" in saved else None
    if done is not None and not walk.has_decided(done):
        done = None
    for session in sessions:
        if done is None or session > done:
            walk.step(session)
            task.checkpoint({"versions": dict(versions), "done": session.isoformat()})
    told = _keep(task, desk, walk, sessions)
    walk.discard()
    return told


def _keep(task: Task, desk: Desk, walk: Walk, sessions: list[date]) -> dict[str, Json]:
    ground = walk.ground
    view = ground.historical.as_of(task.session, market=task.market, versions=ground.versions)
    days = view.dates(monthly.RETURNS)
    rebalances = [day for day in sessions if day < days[-1]]
    if not rebalances:
        raise DataError(
            f"nothing was held before {task.session}", hint="a backtest needs a month after its first"
        )
    market = monthly.measured_with(view, rebalances[0])
    config: Any = walk.configs["portfolio"]
    cost = float(getattr(config, "cost", 0.0))
    held = hold(market.returns, [_targets(walk, day, config) for day in rebalances], cost)
    regimes = [_regime(walk, day) for day in rebalances]
    told = monthly.report(held, market, [row["label"] for row in regimes], cost)
    reports = {"backtest": told}
    # Deciles rank the shipped engine's families: they say nothing about an engine of the desk's own.
    if choose_engine("assessment", ground.engines).implementation is None and len(sessions) > 1:
        from prometheus.engines.assessment.deciles import deciles

        assessed: Any = walk.configs["assessment"]
        assert isinstance(assessed, AssessmentConfig)
        chances = {day: _regime(walk, day)["probabilities"] for day in sessions}
        reports["deciles"] = {
            "warnings": told["warnings"],
            **deciles(view, sessions, assessed, chances).report(),
        }
    rows = monthly.daily_rows(task.session, held, market, [row["label"] for row in regimes])
    written = desk.writer.write_days(DAILY, rows)
    _record(task, desk, reports, {"engines": _engines(desk, walk, sessions[-1])})
    return {
        "rebalances": len(rebalances),
        "rows": written.rows,
        "write": written.action,
        "net": told["net"],
        "notes": told["warnings"][:2],
    }


def _record(task: Task, desk: Desk, reports: Mapping[str, Json], config: Mapping[str, Json]) -> None:
    with desk.writer.commit() as connection:
        config_id = desk.runtime.record_config(connection, task.name, config)
        for kind, told in reports.items():
            key = {"as_of_date": task.session, "market_id": task.market, "kind": kind}
            row = {"report": told, "config_id": config_id, "run_id": task.run_id}
            desk.runtime.replace(connection, "research_reports", key, [row])


def _engines(desk: Desk, walk: Walk, session: date) -> dict[str, Json]:
    """Engine -> the id of the configuration that it walked with, which is put on the desk's record."""
    found = {}
    with desk.writer.commit() as connection:
        for row in walk.runtime.decisions(session, walk.ground.market):
            config = walk.runtime.config(row["config_id"])
            assert config is not None, "a decision's configuration is on record"
            found[row["engine"]] = desk.runtime.record_config(connection, row["engine"], config["config"])
    return found


def _targets(walk: Walk, day: date, config: Any) -> Targets:  # any engine's configuration
    portfolio_id = str(getattr(config, "portfolio_id", "main"))
    rows = walk.runtime.target_portfolio(day, walk.ground.market, portfolio_id)
    decision = walk.runtime.decisions(day, walk.ground.market, "portfolio")[0]
    told = decision["proposed_action"].get("costs", {}).get("total")
    weights = {row["instrument_id"]: row["weight"] for row in rows if row["weight"] != 0.0}
    return Targets(day, weights, None if told is None else float(told))


def _regime(walk: Walk, day: date) -> dict[str, Any]:
    row = walk.runtime.regime(day, walk.ground.market)
    assert row is not None, "a walked session has a regime"
    return row


def _params(task: Task) -> tuple[int, Mapping[str, Mapping[str, Json]]]:
    history = task.params.get("history_sessions", HISTORY)
    if isinstance(history, bool) or not isinstance(history, int) or history < 1:
        raise UserError(f"history_sessions is {history!r}", allowed="a whole number of sessions")
    given = task.params.get("config", {})
    if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
        raise UserError(f"config is {given!r}", allowed="engine -> its settings")
    engines = {*monthly.MONTHLY, *given}
    return history, {name: {**monthly.MONTHLY.get(name, {}), **given.get(name, {})} for name in engines}


def meta_analytics(task: Task) -> dict[str, Json]:
    """The desk's own past decisions beside what followed -> report `performance_by_regime`. Param: `nights` looked at."""
    desk = open_desk(task)
    most = task.params.get("nights", record.MOST)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise UserError(f"nights is {most!r}", allowed="a whole number from 1")
    view = desk.as_of(task.session)
    found = record.nights(view, desk.runtime, most)
    told = record.report(found, [SURVIVORSHIP])
    _record(task, desk, {"performance_by_regime": told}, {"nights": most})
    return {"nights": len(found), "notes": told["warnings"]}
