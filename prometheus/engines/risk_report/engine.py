"""The risk report of tonight's targets: losses, factor exposures, top contributors, limits that bind.

It decides nothing, so it leaves a report and no decision; the measures and their source are in `measures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Annotated

import numpy as np
from pydantic import Field

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import (
    Outcome,
    ShortHistoryError,
    TableRows,
    decision_of,
    decision_ref,
    rounded,
)
from prometheus.engines.risk_report.measures import Loss, historical, parametric, risk_shares
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray, widen

ENGINE = "risk_report"
MODELS, RETURNS, PRICES = "factor_models", "returns_daily", "prices_daily"
SESSIONS_PER_YEAR = 252
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
    past, sessions = _past_returns(view, names, weights, config.history_sessions)
    shares = risk_shares(weights, exposures, specific)
    top = sorted(range(len(names)), key=lambda place: (-shares[place], names[place]))[: config.contributors]
    action = decision["proposed_action"]
    synthetic = bool(view.read(PRICES, since=as_of_date, columns=["synthetic"])["synthetic"].any())
    report: dict[str, Json] = {
        "portfolio_decision": decision["decision_id"],
        "volatility": rounded(math.sqrt(variance * SESSIONS_PER_YEAR)),
        "specific_share": rounded(specific_variance / variance) if variance > 0.0 else 0.0,
        "parametric": {_percent(p): _told(parametric(math.sqrt(variance), p)) for p in config.levels},
        "historical": {_percent(p): _told(historical(past, p)) for p in config.levels},
        "historical_sessions": sessions,
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
    summary["contributors"] = report["contributors"][:3]
    summary["binding"] = [one["limit"] for one in action["binding"]]
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("risk_reports", key, [{"report": report}]),),
        input_refs=(decision_ref(decision),),
        action=None,
        summary=summary,
    )


def _past_returns(
    view: HistoricalView, names: list[str], weights: FloatArray, sessions: int
) -> tuple[FloatArray, int]:
    """What tonight's weights would have returned in each past session; an unknown return counts as none."""
    days = view.dates(RETURNS)
    since = days[max(len(days) - sessions, 0)]
    wide = widen(view.read(RETURNS, since=since, columns=["date", "instrument_id", "ret_1d"]), ["ret_1d"])
    held = dict(zip(names, weights, strict=True))
    matched = np.array([held.get(name, 0.0) for name in wide.instruments])
    return np.nan_to_num(wide["ret_1d"], nan=0.0) @ matched, len(wide.days)


def _percent(level: float) -> str:
    return f"{level:.4g}"


def _told(loss: Loss) -> dict[str, Json]:
    return {"var": rounded(loss.var), "es": rounded(loss.es)}


engine = Engine(ENGINE, RiskReportConfig, run)
