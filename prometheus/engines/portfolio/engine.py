"""The portfolio engine: target weights for the next session, from expected returns, a factor model and limits.

What is optimised is in `solve`. The weights before are the last targets of an earlier session (at most
`memory_sessions` old), carried forward by the returns since: the decision depends on what the desk had decided, and is
the same again for the same earlier decisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import (
    Outcome,
    ShortHistoryError,
    TableRows,
    decision_of,
    decision_ref,
    earlier_ref,
    historical_ref,
    rounded,
)
from prometheus.engines.portfolio.config import PortfolioConfig
from prometheus.engines.portfolio.problem import Limits, Problem, Solution
from prometheus.engines.portfolio.solve import SESSIONS_PER_YEAR, solve
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb

ENGINE = "portfolio"
MODELS, RETURNS = "factor_models", "returns_daily"

# Expected returns of the assessment are for a month.
HORIZON = 21


@dataclass(frozen=True, slots=True)
class Held:
    """What is held tonight: the last targets, carried forward. `day` is None if there were none."""

    day: date | None
    weights: Mapping[str, float]
    rows: tuple[Row, ...] = ()


def run(as_of_date: date, inputs: Inputs, config: PortfolioConfig) -> Outcome:
    """Target weights for the next session, decided with what is known on `as_of_date`.

    Raises `NoPortfolioError` if the universe is empty or no portfolio meets the limits even when relaxed.
    """
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    target_session = inputs.calendar.next_trading_day(as_of_date)
    universe = decision_of(runtime, "universe", as_of_date, market_id)
    assessment = decision_of(runtime, "assessment", as_of_date, market_id)
    if not view.has(MODELS, as_of_date):
        raise ShortHistoryError(
            f"there is no factor model of {as_of_date}",
            hint="run the correlations job; it needs 252 sessions",
        )
    model = view.read(MODELS, since=as_of_date)
    scores = {row["instrument_id"]: row for row in runtime.scores(as_of_date, market_id)}
    members = [
        row["instrument_id"]
        for row in runtime.universe(as_of_date, market_id, config.universe_id)
        if row["membership"] != "excluded"
    ]
    held = _held(view, runtime, as_of_date, market_id, config)
    problem = _problem(members, model, scores, held, config)
    limits = Limits(
        max_weight=config.max_weight,
        max_gross=config.max_gross,
        min_invested=config.min_invested,
        turnover=None if held.day is None else config.turnover,
        max_volatility=config.max_volatility,
    )
    solution = solve(problem, limits, config.relax)
    refs: list[Json] = [
        decision_ref(assessment),
        decision_ref(universe),
        historical_ref(MODELS, model, as_of_date),
    ]
    if held.day is not None:
        refs.append(earlier_ref("target_portfolios", held.day, held.rows, ("instrument_id", "weight")))
    told = _told(members, problem, solution, target_session)
    targets = {
        name: float(weight) for name, weight in zip(members, solution.weights, strict=True) if weight > 0.0
    }
    key = {"as_of_date": as_of_date, "market_id": market_id, "portfolio_id": config.portfolio_id}
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("target_portfolios", key, _rows(targets, held, scores, target_session)),),
        input_refs=tuple(refs),
        action={**told, "before": None if held.day is None else held.day.isoformat(), "targets": targets},
        summary=told,
    )


def _held(
    view: HistoricalView, runtime: RuntimeDb, as_of_date: date, market_id: str, config: PortfolioConfig
) -> Held:
    days = view.dates(RETURNS)
    not_before = days[max(len(days) - 1 - config.memory_sessions, 0)]
    portfolio_id = config.portfolio_id
    day = runtime.last_date(
        "target_portfolios", before=as_of_date, market_id=market_id, portfolio_id=portfolio_id
    )
    if day is None or day < not_before:
        return Held(None, {})
    rows = tuple(runtime.target_portfolio(day, market_id, portfolio_id))
    # Targets of `day` are held from the next session on: its return and the later ones move the weights.
    moves = view.read(RETURNS, since=day, columns=["date", "instrument_id", "ret_1d"])
    growth = {
        name: math.prod(1.0 + value for value in values if value is not None)
        for name, values in moves.filter(pl.col("date") > day)
        .group_by("instrument_id", maintain_order=True)
        .agg("ret_1d")
        .iter_rows()
    }
    grown = {
        row["instrument_id"]: row["weight"] * growth.get(row["instrument_id"], 1.0)
        for row in rows
        if row["weight"] > 0.0
    }
    cash = 1.0 - math.fsum(row["weight"] for row in rows)
    capital = math.fsum(grown.values()) + cash
    return Held(day, {name: rounded(value / capital) for name, value in grown.items()}, rows)


def _problem(
    members: list[str],
    model: pl.DataFrame,
    scores: Mapping[str, Row],
    held: Held,
    config: PortfolioConfig,
) -> Problem:
    places = {name: place for place, name in enumerate(model["instrument_id"])}
    at = [places[name] for name in members]  # the universe admits only what the model knows
    factors = [name for name in model.columns if name[0] == "f" and name[1:].isdigit()]
    inside = set(members)
    return Problem(
        expected=np.array([scores[name]["expected_return"] for name in members], dtype=np.float64),
        exposures=model.select(factors).to_numpy()[at].astype(np.float64),
        specific_var=model["specific_var"].to_numpy()[at].astype(np.float64),
        held=np.array([held.weights.get(name, 0.0) for name in members], dtype=np.float64),
        sold=math.fsum(weight for name, weight in held.weights.items() if name not in inside),
        risk_aversion=config.risk_aversion,
        cost=config.cost,
        horizon=HORIZON,
    )


def _told(members: list[str], problem: Problem, solution: Solution, target_session: date) -> dict[str, Json]:
    weights = solution.weights
    return {
        "target_session": target_session.isoformat(),
        "positions": int((weights > 0.0).sum()),
        "invested": rounded(float(weights.sum())),
        "turnover": None if solution.limits.turnover is None else round(problem.turnover(weights), 6),
        "expected_return": round(float(problem.expected @ weights), 8),
        "volatility": round(math.sqrt(problem.variance(weights) * SESSIONS_PER_YEAR), 6),
        "relaxed": [
            {"limit": one.limit, "declared": one.declared, "used": round(one.used, 6), "why": one.why}
            for one in solution.relaxed
        ],
        "binding": [
            {
                "limit": one.limit,
                "value": round(one.value, 6),
                "shadow_price": float(f"{one.shadow_price:.3g}"),
                **({"instruments": [members[place] for place in one.instruments]} if one.instruments else {}),
            }
            for one in solution.binding
        ],
    }


def _rows(
    targets: Mapping[str, float], held: Held, scores: Mapping[str, Row], target_session: date
) -> list[Row]:
    """A row for everything that is to be held or is held now."""
    return [
        {
            "instrument_id": name,
            "target_session": target_session,
            "weight": targets.get(name, 0.0),
            "previous_weight": held.weights.get(name, 0.0),
            "expected_return": scores[name]["expected_return"] if name in scores else 0.0,
        }
        for name in sorted({*targets, *held.weights})
    ]


engine = Engine(ENGINE, PortfolioConfig, run)
