"""The engine jobs: open the stores, run one engine for the task's session, keep its outcome.

Which engine runs is `engine.choose_engine`'s answer. A job of a desk's own calls `decide` with an `Engine` of its own.
"""

from __future__ import annotations

from prometheus.core.ids import Json
from prometheus.engines.configs import config_from
from prometheus.engines.engine import Chosen, Engine, Inputs, choose_engine, implementation_of
from prometheus.engines.outcome import record
from prometheus.pipelines.task import Task
from prometheus.stores.desk import open_desk
from prometheus.stores.wide import one_thread


def decide(task: Task, engine: str | Engine) -> dict[str, Json]:
    """Run an engine (a shipped name, or one of the desk's own) for the task's session and keep what it decided.

    Its configuration: its defaults, then the settings' `[engines.NAME] config`, then the job's `params["config"]`.
    """
    desk = open_desk(task)
    chosen = (
        choose_engine(engine, desk.settings.engines)
        if isinstance(engine, str)
        else Chosen(engine, implementation_of(engine), {})
    )
    given = task.params.get("config", {})
    laid_over = {**chosen.config, **given} if isinstance(given, dict) else given
    config: object = config_from(chosen.engine.config, chosen.engine.name, {"config": laid_over})
    inputs = Inputs(desk.as_of(task.session), desk.runtime, task.market, task.calendar())
    with one_thread():
        outcome = chosen.engine.run(task.session, inputs, config)
    return record(
        desk,
        outcome,
        run_id=task.run_id,
        task=task.name,
        implementation=chosen.implementation,
        versions=inputs.view.versions(),
    )


def regime(task: Task) -> dict[str, Json]:
    """correlation_panels -> regimes; for the market GLOBAL those of all regions, macro_daily and fx_daily too."""
    return decide(task, "regime")


def stability(task: Task) -> dict[str, Json]:
    """stability_components_daily, correlation_panels, regimes, the last targets -> who is fragile, and how much."""
    return decide(task, "stability")


def assessment(task: Task) -> dict[str, Json]:
    """returns_daily, volatility_daily, prices_daily, stability_components_daily, regimes -> instrument_scores."""
    return decide(task, "assessment")


def universe(task: Task) -> dict[str, Json]:
    """instrument_scores, soft_target_classes, prices_daily, quarantine, factor_models -> universes."""
    return decide(task, "universe")


def portfolio(task: Task) -> dict[str, Json]:
    """instrument_scores, universes, factor_models -> target_portfolios, for the next session."""
    return decide(task, "portfolio")


def risk_report(task: Task) -> dict[str, Json]:
    """target_portfolios, factor_models, returns_daily -> risk_reports."""
    return decide(task, "risk_report")


def global_view(task: Task) -> dict[str, Json]:
    """regimes, stability_vectors, soft_target_classes, target_portfolios of all regions -> research_reports."""
    return decide(task, "global_view")


def decision_log(task: Task) -> dict[str, Json]:
    """Check engine_decisions: complete, and consistent with all that they refer to."""
    from prometheus.engines.decision_log import engine

    desk = open_desk(task)
    return engine.check(task.session, desk.as_of(task.session), desk.runtime, market_id=task.market)
