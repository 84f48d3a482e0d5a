"""The global view: the latest regime, fragility and portfolio of every region, on one page (spec section 7).

Of each region what its own night had decided last, at most `stale_days` before the date, never after it. It decides
nothing, so it leaves a report and no decision; the decisions that it shows are named in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from pydantic import Field

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import Outcome, TableRows, decision_of, decision_ref, rounded
from prometheus.engines.stability.classes import NONE
from prometheus.stores.runtime import Row, RuntimeDb

ENGINE = "global_view"
LARGEST = 5  # positions that are named


@dataclass(frozen=True, slots=True)
class GlobalViewConfig:
    """Which regions are shown, and how old what they decided may be."""

    regions: Annotated[tuple[str, ...], Field(min_length=1)] = ("US_EQ", "EU_EQ", "JP_EQ", "ASIA_EQ")
    stale_days: Annotated[int, Field(ge=1)] = 7
    portfolio_id: str = "main"


def run(as_of_date: date, inputs: Inputs, config: GlobalViewConfig) -> Outcome:
    """The view of `as_of_date`; raises `MissingDecisionError` if the global regime was not decided."""
    runtime = inputs.runtime
    regime = decision_of(runtime, "regime", as_of_date, inputs.market_id)
    since = as_of_date - timedelta(days=config.stale_days)
    regions = {name: _region(runtime, name, as_of_date, since, config) for name in config.regions}
    seen = {name: shown for name, shown in regions.items() if isinstance(shown, dict)}
    absent = {name: reason for name, reason in regions.items() if isinstance(reason, str)}
    action = regime["proposed_action"]
    report: dict[str, Json] = {
        "regime": {name: action[name] for name in ("label", "raw_label", "since", "probabilities")},
        "regime_decision": regime["decision_id"],
        "not_observed": action.get("absent", {}),
        "regions": seen,
        "absent": absent,
        "exposure": {name: _exposure(shown) for name, shown in seen.items()},
    }
    key = {"as_of_date": as_of_date, "market_id": inputs.market_id, "kind": ENGINE}
    return Outcome(
        engine=ENGINE,
        market_id=inputs.market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("research_reports", key, [{"report": report}]),),
        input_refs=(decision_ref(regime),),
        action=None,
        summary={
            "label": action["label"],
            "regions": {name: shown["regime"]["label"] for name, shown in seen.items()},
            "absent": absent,
        },
    )


def _region(
    runtime: RuntimeDb, region: str, as_of_date: date, since: date, config: GlobalViewConfig
) -> dict[str, Json] | str:
    """What a region's nights decided last, each part with its date; or why there is nothing to show."""
    regime_on = _last(runtime, "regimes", as_of_date, market_id=region)
    if regime_on is None:
        return "no regime of it was ever decided"
    if regime_on < since:
        return f"its last regime is of {regime_on}"
    regime = runtime.regime(regime_on, region)
    assert regime is not None, "a date with rows has one"
    shown: dict[str, Json] = {
        "regime": {
            "as_of_date": regime_on.isoformat(),
            "label": regime["label"],
            "since": None if regime["since"] is None else regime["since"].isoformat(),
            "probabilities": regime["probabilities"],
        }
    }
    stability_on = _last(runtime, "stability_vectors", as_of_date, market_id=region)
    if stability_on is not None and stability_on >= since:
        shown["stability"] = _stability(runtime, stability_on, region)
    held_on = _last(
        runtime, "target_portfolios", as_of_date, market_id=region, portfolio_id=config.portfolio_id
    )
    if held_on is not None and held_on >= since:
        rows = runtime.target_portfolio(held_on, region, config.portfolio_id)
        shown["portfolio"] = _portfolio(held_on, rows)
    return shown


def _stability(runtime: RuntimeDb, day: date, region: str) -> dict[str, Json]:
    vectors = runtime.rows("stability_vectors", as_of_date=day, market_id=region)
    classes = runtime.rows("soft_target_classes", as_of_date=day, market_id=region)
    wholes = {row["entity_type"]: row for row in vectors if row["entity_type"] != "instrument"}
    counts = Counter(row["soft_target"] for row in classes if row["entity_type"] == "instrument")
    return {
        "as_of_date": day.isoformat(),
        "stability": {kind: row["stability"] for kind, row in sorted(wholes.items())},
        "components": {kind: row["components"] for kind, row in sorted(wholes.items())},
        "soft_target": {
            row["entity_type"]: row["soft_target"] for row in classes if row["entity_type"] in wholes
        },
        "instruments": {label: counts[label] for label in sorted(counts) if label != NONE},
    }


def _portfolio(day: date, rows: Sequence[Row]) -> dict[str, Json]:
    weights = {row["instrument_id"]: row["weight"] for row in rows if row["weight"] != 0.0}
    largest = sorted(weights, key=lambda name: (-abs(weights[name]), name))[:LARGEST]
    return {
        "as_of_date": day.isoformat(),
        "positions": len(weights),
        "gross": rounded(sum(abs(weight) for weight in weights.values())),
        "net": rounded(sum(weights.values())),
        "largest": {name: rounded(weights[name]) for name in largest},
    }


def _exposure(shown: Mapping[str, Json]) -> Json:
    """Net weight of a region's capital that is invested, and 0 where nothing is held."""
    return shown["portfolio"]["net"] if "portfolio" in shown else 0.0


def _last(runtime: RuntimeDb, table: str, as_of_date: date, **equals: object) -> date | None:
    return runtime.last_date(table, before=as_of_date + timedelta(days=1), **equals)


engine = Engine(ENGINE, GlobalViewConfig, run)
