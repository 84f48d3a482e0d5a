"""The risk report of tonight's targets: losses, storms, exposures, fragility, liquidity, limits that bind.

It decides nothing, so it leaves a report and no decision; the measures and their source are in `measures`,
what the targets are made of in `breakdown`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import (
    Outcome,
    ShortHistoryError,
    TableRows,
    decision_if_any,
    decision_of,
    decision_ref,
    historical_ref,
    rounded,
)
from prometheus.engines.portfolio import facts
from prometheus.engines.risk_report import breakdown
from prometheus.engines.risk_report.measures import Loss, historical, kupiec, parametric, risk_shares
from prometheus.engines.stability.scenarios import betas
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row
from prometheus.stores.wide import FloatArray, Wide, widen

ENGINE = "risk_report"
MODELS, RETURNS, PRICES = "factor_models", "returns_daily", "prices_daily"
SESSIONS_PER_YEAR = 252
# Of the positions, in USD, if the portfolio's configuration names none.
CAPITAL = 1e8
SURVIVORSHIP = (
    "the reference panel holds the index members of 2016 only: losses of the past look smaller than they were"
)


@dataclass(frozen=True, slots=True)
class RiskReportConfig:
    """Levels of confidence and how far back the historical losses go."""

    portfolio_id: str = "main"
    levels: tuple[Annotated[float, Field(gt=0.5, lt=1)], ...] = (0.95, 0.99)
    history_sessions: Annotated[int, Field(ge=100)] = 504
    contributors: Annotated[int, Field(ge=1)] = 10


def run(as_of_date: date, inputs: Inputs, config: RiskReportConfig) -> Outcome:
    """The report; raises `MissingDecisionError` if no portfolio was decided."""
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    decision = decision_of(runtime, "portfolio", as_of_date, market_id)
    targets = {
        row["instrument_id"]: row["weight"]
        for row in runtime.target_portfolio(as_of_date, market_id, config.portfolio_id)
        if row["weight"] > 0.0
    }
    if not view.has(MODELS, as_of_date):
        raise ShortHistoryError(f"there is no factor model of {as_of_date}", hint="run the correlations job")
    model = view.read(MODELS, since=as_of_date)
    names = list(model["instrument_id"])
    weights = np.array([targets.get(name, 0.0) for name in names], dtype=np.float64)
    factors = [name for name in model.columns if name[0] == "f" and name[1:].isdigit()]
    exposures = model.select(factors).to_numpy().astype(np.float64)
    specific = model["specific_var"].to_numpy().astype(np.float64)
    loadings = exposures.T @ weights
    specific_variance = float(specific @ weights**2)
    variance = float(loadings @ loadings) + specific_variance
    past = _past_returns(view, config.history_sessions)
    shares = risk_shares(weights, exposures, specific)
    top = sorted(range(len(names)), key=lambda place: (-shares[place], names[place]))[: config.contributors]
    action = decision["proposed_action"]
    parts, refs = _parts(as_of_date, inputs, decision, targets, config)
    if not parts["scenarios"]:
        parts["scenarios"] = breakdown.through_beta(weights, past.betas(names))
    losses = past.of(names, weights)
    synthetic = bool(view.read(PRICES, since=as_of_date, columns=["synthetic"])["synthetic"].any())
    report: dict[str, Json] = {
        "portfolio_decision": decision["decision_id"],
        "volatility": rounded(math.sqrt(variance * SESSIONS_PER_YEAR)),
        "specific_share": rounded(specific_variance / variance) if variance > 0.0 else 0.0,
        "parametric": {_percent(p): _told(parametric(math.sqrt(variance), p)) for p in config.levels},
        "historical": {_percent(p): _told(historical(losses, p)) for p in config.levels},
        "historical_sessions": len(losses),
        "backtest": {_percent(p): _backtest(losses, math.sqrt(variance), p) for p in config.levels},
        "exposures": {name: rounded(float(value)) for name, value in zip(factors, loadings, strict=True)},
        "contributors": [
            {
                "instrument_id": names[place],
                "weight": rounded(float(weights[place])),
                "share_of_risk": rounded(float(shares[place])),
            }
            for place in top
            if weights[place] > 0.0
        ],
        **parts,
        "costs": action.get("costs"),
        "binding": action["binding"],
        "relaxed": action["relaxed"],
        "synthetic": synthetic,
        "notes": ["prices are synthetic: no figure here is about a real market"]
        if synthetic
        else [SURVIVORSHIP],
    }
    key = {"as_of_date": as_of_date, "market_id": market_id, "portfolio_id": config.portfolio_id}
    summary = {
        name: report[name] for name in ("volatility", "parametric", "historical", "synthetic", "notes")
    }
    summary["worst_scenario"] = _worst(parts["scenarios"])
    summary["days_to_liquidate"] = parts["liquidity"]["days_to_liquidate"]
    summary["contributors"] = report["contributors"][:3]
    summary["binding"] = [one["limit"] for one in action["binding"]]
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("risk_reports", key, [{"report": report}]),),
        input_refs=(decision_ref(decision), *refs),
        action=None,
        summary=summary,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """Returns of the last sessions, 0 where none is known."""

    wide: Wide

    def of(self, names: list[str], weights: FloatArray) -> FloatArray:
        """What the weights would have returned in each session."""
        held = dict(zip(names, weights, strict=True))
        matched = np.array([held.get(name, 0.0) for name in self.wide.instruments])
        found: FloatArray = np.nan_to_num(self.wide["ret_1d"], nan=0.0) @ matched
        return found

    def betas(self, names: list[str]) -> FloatArray:
        """To the equal-weighted market over the last year; NaN where there is too little."""
        daily = self.wide["ret_1d"][-SESSIONS_PER_YEAR:]
        count = np.maximum((~np.isnan(daily)).sum(axis=1), 1)
        slopes = betas(daily, np.nan_to_num(daily, nan=0.0).sum(axis=1) / count)
        known = dict(zip(self.wide.instruments, slopes, strict=True))
        return np.array([known.get(name, math.nan) for name in names], dtype=np.float64)


def _past_returns(view: HistoricalView, sessions: int) -> _Past:
    days = view.dates(RETURNS)
    since = days[max(len(days) - sessions, 0)]
    return _Past(
        widen(view.read(RETURNS, since=since, columns=["date", "instrument_id", "ret_1d"]), ["ret_1d"])
    )


def _parts(
    as_of_date: date, inputs: Inputs, decision: Row, targets: Mapping[str, float], config: RiskReportConfig
) -> tuple[dict[str, Any], list[Json]]:
    """Scenarios, fragility, styles, sectors and liquidity of the targets, and what they were read from besides."""
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    entities = {"as_of_date": as_of_date, "market_id": market_id, "entity_type": "instrument"}
    decided = decision_if_any(runtime, "stability", as_of_date, market_id)
    measures = runtime.rows("fragility_measures", **entities) if decided else []
    classes = runtime.rows("soft_target_classes", **entities) if decided else []
    styled = view.has(facts.STYLES, as_of_date)
    exposures = view.read(facts.STYLES, since=as_of_date) if styled else pl.DataFrame()
    dollars, dollar_refs = facts.dollars_of(view, sorted(targets))
    traded = {name: value for name, value in dollars.items() if not math.isnan(value)}
    chosen = runtime.config(decision["config_id"])
    capital = float(chosen["config"].get("capital", CAPITAL)) if chosen is not None else CAPITAL
    most = config.contributors
    refs: list[Json] = [*([decision_ref(decided)] if decided else []), *dollar_refs]
    if styled:
        refs.append(historical_ref(facts.STYLES, exposures, as_of_date))
    return {
        "scenarios": breakdown.scenarios(targets, measures),
        "fragility": breakdown.fragility(targets, measures, classes, most) if decided else None,
        "styles": breakdown.styles(targets, exposures.to_dicts()) if styled else None,
        "sectors": decision["proposed_action"].get("sectors"),
        "liquidity": breakdown.liquidity(targets, traded, capital, most),
    }, refs


def _worst(scenarios: Mapping[str, Any]) -> Json:
    name = max(scenarios, key=lambda one: (scenarios[one]["loss"], one), default=None)
    return None if name is None else {"scenario": name, "loss": scenarios[name]["loss"]}


def _backtest(returns: FloatArray, daily_volatility: float, level: float) -> dict[str, Json]:
    """How often tonight's weights would have lost more than tonight's parametric value at risk."""
    beyond = int((-returns > parametric(daily_volatility, level).var).sum())
    found = kupiec(beyond, len(returns), level)
    return {"exceedances": beyond, "expected": rounded(found.expected), "p_value": rounded(found.p_value)}


def _percent(level: float) -> str:
    return f"{level:.4g}"


def _told(loss: Loss) -> dict[str, Json]:
    return {"var": rounded(loss.var), "es": rounded(loss.es)}


engine = Engine(ENGINE, RiskReportConfig, run)
