"""The engine jobs: open the stores, run one engine for the task's session, keep its outcome.

An engine's module is imported by its own job: the solver and the model library take a second each to load.
"""

from __future__ import annotations

from prometheus.core.ids import Json
from prometheus.engines.configs import config_from
from prometheus.engines.outcome import record
from prometheus.pipelines.task import Task
from prometheus.stores.desk import open_desk
from prometheus.stores.wide import one_thread


def regime(task: Task) -> dict[str, Json]:
    """correlation_panels -> regimes."""
    from prometheus.engines.regime import engine
    from prometheus.engines.regime.config import RegimeConfig

    desk = open_desk(task)
    config = config_from(RegimeConfig, engine.ENGINE, task.params)
    view = desk.as_of(task.session)
    with one_thread():
        outcome = engine.run(task.session, view, desk.runtime, config, market_id=task.market)
    return record(desk, outcome, run_id=task.run_id, task=task.name)


def assessment(task: Task) -> dict[str, Json]:
    """returns_daily, volatility_daily, prices_daily, regimes -> instrument_scores."""
    from prometheus.engines.assessment import engine
    from prometheus.engines.assessment.config import AssessmentConfig

    desk = open_desk(task)
    config = config_from(AssessmentConfig, engine.ENGINE, task.params)
    view = desk.as_of(task.session)
    with one_thread():
        outcome = engine.run(task.session, view, desk.runtime, config, market_id=task.market)
    return record(desk, outcome, run_id=task.run_id, task=task.name)


def universe(task: Task) -> dict[str, Json]:
    """instrument_scores, prices_daily, quarantine, factor_models -> universes."""
    from prometheus.engines.universe import engine
    from prometheus.engines.universe.config import UniverseConfig

    desk = open_desk(task)
    config = config_from(UniverseConfig, engine.ENGINE, task.params)
    outcome = engine.run(task.session, desk.as_of(task.session), desk.runtime, config, market_id=task.market)
    return record(desk, outcome, run_id=task.run_id, task=task.name)


def portfolio(task: Task) -> dict[str, Json]:
    """instrument_scores, universes, factor_models -> target_portfolios, for the next session."""
    from prometheus.engines.portfolio import engine
    from prometheus.engines.portfolio.config import PortfolioConfig

    desk = open_desk(task)
    config = config_from(PortfolioConfig, engine.ENGINE, task.params)
    view = desk.as_of(task.session)
    target = task.calendar().next_trading_day(task.session)
    with one_thread():
        outcome = engine.run(
            task.session, view, desk.runtime, config, market_id=task.market, target_session=target
        )
    return record(desk, outcome, run_id=task.run_id, task=task.name)


def risk_report(task: Task) -> dict[str, Json]:
    """target_portfolios, factor_models, returns_daily -> risk_reports."""
    from prometheus.engines.risk_report import engine

    desk = open_desk(task)
    config = config_from(engine.RiskReportConfig, engine.ENGINE, task.params)
    view = desk.as_of(task.session)
    with one_thread():
        report = engine.run(task.session, view, desk.runtime, config, market_id=task.market)
    with desk.writer.commit() as connection:
        config_id = desk.runtime.record_config(connection, engine.ENGINE, report.config)
        rows = [{**row, "config_id": config_id, "run_id": task.run_id} for row in report.rows.rows]
        desk.runtime.replace(connection, report.rows.table, report.rows.key, rows)
    return report.summary


def decision_log(task: Task) -> dict[str, Json]:
    """Check engine_decisions: complete, and consistent with all that they refer to."""
    from prometheus.engines.decision_log import engine

    desk = open_desk(task)
    return engine.check(task.session, desk.as_of(task.session), desk.runtime, market_id=task.market)
