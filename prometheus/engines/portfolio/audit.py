"""Does a target portfolio that was kept obey the limits that its decision names? Judged from the stores alone.

Nothing of the optimiser is used: turnover, sectors, fragility and volatility are added up again from the rows that
were kept, so a fault of the optimiser, of rounding or of a later hand is found here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from prometheus.engines.outcome import decision_of
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb

MODELS, STYLES = "factor_models", "factor_exposures_daily"
SESSIONS_PER_YEAR = 252

# Of a limit, in its own unit: weights are kept to eight decimals and solved for to about as many.
TOLERANCE = 1e-6
# Volatility is annualised and kept to six digits; the solver's own tolerance is multiplied by the square root of 252.
VOLATILITY_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the limits are about, by instrument. `volatility` is annualised, None if there is no factor model to tell."""

    members: frozenset[str]
    fragility: Mapping[str, float]
    volatility: float | None
    styles: Mapping[str, Mapping[str, float]]


def audit(
    as_of_date: date, view: HistoricalView, runtime: RuntimeDb, *, market_id: str, portfolio_id: str = "main"
) -> list[str]:
    """Every limit that the targets of a session break, in words; empty if none.

    Raises `MissingDecisionError` if there is no decision. Volatility is judged if the session's factor model is there.
    """
    decision = decision_of(runtime, "portfolio", as_of_date, market_id)
    rows = runtime.target_portfolio(as_of_date, market_id, portfolio_id)
    wanted = {"as_of_date": as_of_date, "market_id": market_id, "entity_type": "instrument"}
    config = runtime.config(decision["config_id"])
    universe_id = "main" if config is None else config["config"].get("universe_id", "main")
    styles = decision["proposed_action"].get("limits", {}).get("max_exposures", {})
    evidence = Evidence(
        members=frozenset(
            row["instrument_id"]
            for row in runtime.universe(as_of_date, market_id, universe_id)
            if row["membership"] != "excluded"
        ),
        fragility={
            row["entity_id"]: row["fragility"] for row in runtime.rows("fragility_measures", **wanted)
        },
        volatility=_volatility(as_of_date, view, rows),
        styles=_styles(as_of_date, view, tuple(styles)),
    )
    return violations(decision["proposed_action"], rows, evidence)


def violations(action: Mapping[str, Any], rows: Sequence[Row], evidence: Evidence) -> list[str]:
    """Every limit of the decision's `action` that the target `rows` break, in words; pure."""
    if "limits" not in action:
        return ["the decision does not name its limits"]
    limits, weights = action["limits"], {row["instrument_id"]: row["weight"] for row in rows}
    before = {row["instrument_id"]: row["previous_weight"] for row in rows}
    invested = math.fsum(weights.values())
    leaving = frozenset(action["leaving"])
    found = [
        _over("gross", invested, limits["max_gross"]),
        _over("cash", 1.0 - invested, 1.0 - limits["min_invested"]),
        *(_over(f"weight of {name}", weight, limits["max_weight"]) for name, weight in weights.items()),
        *(_over(f"short weight of {name}", -weight, 0.0) for name, weight in weights.items()),
        *(
            _over(
                f"weight of {name}, which may not be bought,", weights.get(name, 0.0), before.get(name, 0.0)
            )
            for name in sorted(leaving)
        ),
    ]
    strangers = [name for name, weight in weights.items() if weight > 0.0]
    strangers = [name for name in strangers if name not in evidence.members and name not in leaving]
    found += [f"{name} is held and is not in the universe" for name in strangers]
    if limits["turnover"] is not None:
        traded = math.fsum(abs(weight - before[name]) for name, weight in weights.items())
        cash = abs(invested - math.fsum(before.values()))
        found.append(_over("turnover", 0.5 * (traded + cash), limits["turnover"]))
    if limits["max_fragility"] is not None:
        fragile = math.fsum(weight * evidence.fragility.get(name, 1.0) for name, weight in weights.items())
        found.append(_over("fragility", fragile, limits["max_fragility"]))
    if limits["sector_band"] is not None:
        found += _sectors(action, weights, invested)
    if evidence.volatility is not None:
        found.append(_over("volatility", evidence.volatility, limits["max_volatility"], VOLATILITY_TOLERANCE))
    for style, bound in limits["max_exposures"].items():
        exposure = evidence.styles.get(style, {})
        net = math.fsum(weight * exposure.get(name, 0.0) for name, weight in weights.items())
        found.append(_over(f"exposure to {style}", abs(net), bound))
    targets = {name: weight for name, weight in weights.items() if weight > 0.0}
    if targets != action["targets"]:
        found.append("the targets kept are not those that were decided")
    return [one for one in found if one is not None]


def _sectors(action: Mapping[str, Any], weights: Mapping[str, float], invested: float) -> list[str | None]:
    band, found = action["limits"]["sector_band"], []
    held = dict.fromkeys(action["sectors"], 0.0)
    for name, weight in weights.items():
        if weight > 0.0:
            held[action["sector_of"][name]] += weight
    for sector, told in action["sectors"].items():
        away = abs(held[sector] - told["share"] * invested)
        found.append(_over(f"distance of sector {sector} from its share", away, band))
    return found


def _over(what: str, value: float, limit: float, tolerance: float = TOLERANCE) -> str | None:
    return f"{what} is {value:.7f}, the limit {limit:.7f}" if value > limit + tolerance else None


def _volatility(as_of_date: date, view: HistoricalView, rows: Sequence[Row]) -> float | None:
    if not view.has(MODELS, as_of_date):
        return None
    model = view.read(MODELS, since=as_of_date)
    held = {row["instrument_id"]: row["weight"] for row in rows}
    weights = np.array([held.get(name, 0.0) for name in model["instrument_id"]], dtype=np.float64)
    factors = [name for name in model.columns if name[0] == "f" and name[1:].isdigit()]
    loadings = model.select(factors).to_numpy().T @ weights
    specific = float(model["specific_var"].to_numpy() @ weights**2)
    return math.sqrt((float(loadings @ loadings) + specific) * SESSIONS_PER_YEAR)


def _styles(as_of_date: date, view: HistoricalView, wanted: Sequence[str]) -> dict[str, dict[str, float]]:
    if not wanted or not view.has(STYLES, as_of_date):
        return {}
    frame = view.read(STYLES, since=as_of_date)
    return {
        style: {
            name: 0.0 if value is None else float(value)
            for name, value in frame.select("instrument_id", style).iter_rows()
        }
        for style in wanted
    }
