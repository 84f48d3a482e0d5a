"""Why is an instrument held, or not? The chain of a night's decisions about it, from the rows that they left.

Nothing is computed anew: each step says what was recorded, so the story is the one that the night had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.engines.outcome import context_id_of
from prometheus.stores.runtime import Row, RuntimeDb

EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class Step:
    """What one engine says of the instrument: a sentence, and the recorded values behind it (None: it says nothing)."""

    engine: str
    decision_id: str | None
    says: str
    values: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class Story:
    """The answer in a sentence, then the steps in the order of the night."""

    instrument_id: str
    as_of_date: date
    market_id: str
    answer: str
    steps: tuple[Step, ...]


def story(
    runtime: RuntimeDb, as_of_date: date, market_id: str, instrument_id: str, portfolio_id: str = "main"
) -> Story:
    """All that the night of `as_of_date` recorded about an instrument; raises `UserError` if it recorded nothing."""
    context = context_id_of(market_id, as_of_date)
    decided = {
        row["engine"]: row for row in runtime.decisions(as_of_date, market_id) if row["context_id"] == context
    }
    night = {"as_of_date": as_of_date, "market_id": market_id}
    scores = runtime.scores(as_of_date, market_id)
    universe = {row["instrument_id"]: row for row in runtime.rows("universes", **night)}
    targets = {
        row["instrument_id"]: row for row in runtime.target_portfolio(as_of_date, market_id, portfolio_id)
    }
    entity = {**night, "entity_type": "instrument", "entity_id": instrument_id}
    fragility, soft = (
        runtime.rows("fragility_measures", **entity),
        runtime.rows("soft_target_classes", **entity),
    )
    vector = runtime.rows("stability_vectors", **entity)
    known = sorted({*(row["instrument_id"] for row in scores), *universe, *targets})
    if instrument_id not in known and not fragility:
        near = get_close_matches(instrument_id.upper(), known, 3)
        raise UserError(
            f"no decision of {market_id} on {as_of_date} is about {instrument_id!r}",
            allowed=f"one of the {len(known)} instruments of that night",
            hint=f"perhaps {' or '.join(near)}" if near else "ids are those of the instruments table",
        )
    ids = {engine: str(row["decision_id"]) for engine, row in decided.items()}
    action = decided["portfolio"]["proposed_action"] if "portfolio" in decided else {}
    member, target = universe.get(instrument_id), targets.get(instrument_id)
    steps = (
        Step("regime", ids.get("regime"), *_regime(decided.get("regime"))),
        Step("stability", ids.get("stability"), *_stability(fragility, vector, soft)),
        Step("assessment", ids.get("assessment"), *_assessment(scores, instrument_id)),
        Step("universe", ids.get("universe"), *_universe(member)),
        Step("portfolio", ids.get("portfolio"), *_portfolio(action, target, instrument_id)),
    )
    return Story(
        instrument_id, as_of_date, market_id, _answer(action, member, target, instrument_id, ids), steps
    )


def _answer(
    action: Mapping[str, Any], member: Row | None, target: Row | None, name: str, ids: Mapping[str, str]
) -> str:
    if "portfolio" not in ids:
        return f"{name}: no portfolio was decided"
    weight = 0.0 if target is None else target["weight"]
    before = 0.0 if target is None else target["previous_weight"]
    if weight > 0.0:
        return f"{name} is held: {weight:.2%} of capital{_move(before, weight)}{_because(action, name)}"
    sold = f"{name} is sold ({before:.2%} before)" if before > 0.0 else f"{name} is not held"
    if member is None:
        return f"{sold}: the universe does not know it"
    if member["membership"] == EXCLUDED:
        return f"{sold}: it is not in the universe ({member['reason']})"
    lacking = action.get("lacking", {}).get(name)
    if name in action.get("leaving", ()):
        return f"{sold}: it is a soft target and may not be bought"
    if lacking is None:
        return f"{sold}: the optimiser gave it no weight"
    return f"{sold}: it would have to be expected to return {lacking:.2%} more a month to be worth a place"


def _because(action: Mapping[str, Any], name: str) -> str:
    if name in action.get("leaving", ()):
        return "; it may not be bought and leaves as fast as the turnover limit lets it"
    bound = [one for one in action.get("binding", ()) if name in one.get("instruments", ())]
    return f"; {bound[0]['limit']} {bound[0]['value']:.2%} keeps it from more" if bound else ""


def _move(before: float, weight: float) -> str:
    if abs(weight - before) < 5e-7:
        return ", as before"
    if before == 0.0:
        return ", newly bought"
    return f", {'up' if weight > before else 'down'} from {before:.2%}"


def _regime(row: Row | None) -> tuple[str, dict[str, Json] | None]:
    if row is None:
        return "has not decided", None
    action = row["proposed_action"]
    sure = action["probabilities"].get(action["label"])
    return f"the market is {action['label']}" + ("" if sure is None else f" (probability {sure:.2f})"), {
        "label": action["label"],
        "probabilities": action["probabilities"],
    }


def _stability(
    fragility: Sequence[Row], vector: Sequence[Row], soft: Sequence[Row]
) -> tuple[str, dict[str, Json] | None]:
    if not fragility:
        return "no fragility is known of it", None
    label, reason = (soft[0]["soft_target"], soft[0]["reason"]) if soft else ("NONE", "")
    values: dict[str, Json] = {
        "soft_target": label,
        "reason": reason,
        "fragility": fragility[0]["fragility"],
        "components": vector[0]["components"] if vector else {},
        "scenario_losses": fragility[0]["scenario_losses"],
    }
    return f"{label}, fragility {fragility[0]['fragility']:.2f}" + (f": {reason}" if reason else ""), values


def _assessment(scores: Sequence[Row], name: str) -> tuple[str, dict[str, Json] | None]:
    row = next((row for row in scores if row["instrument_id"] == name), None)
    if row is None:
        return "it was not assessed", None
    rank = 1 + sum(other["score"] > row["score"] for other in scores)
    parts = sorted(row["contributions"].items(), key=lambda part: (-abs(part[1]), part[0]))
    said = ", ".join(f"{family} {part:+.2f}" for family, part in parts)
    values = {key: row[key] for key in ("score", "expected_return", "confidence", "label", "contributions")}
    return (
        (
            f"{row['label']}: score {row['score']:+.2f}, rank {rank} of {len(scores)} ({said}); "
            f"expected {row['expected_return']:+.2%} in a month, confidence {row['confidence']:.2f}"
        ),
        {**values, "rank": rank, "of": len(scores)},
    )


def _universe(row: Row | None) -> tuple[str, dict[str, Json] | None]:
    if row is None:
        return "it is not known to the universe", None
    values: dict[str, Json] = {"membership": row["membership"], "reason": row["reason"]}
    return f"{row['membership']}: {row['reason']}", values


def _portfolio(
    action: Mapping[str, Any], target: Row | None, name: str
) -> tuple[str, dict[str, Json] | None]:
    if not action:
        return "has not decided", None
    weight = 0.0 if target is None else target["weight"]
    before = 0.0 if target is None else target["previous_weight"]
    sector = action.get("sector_of", {}).get(name)
    groups = {
        one["limit"]: one
        for one in action.get("binding", ())
        if name in one.get("instruments", ()) or (sector is not None and sector in one.get("groups", ()))
    }
    others = [
        one["limit"]
        for one in action.get("binding", ())
        if not one.get("instruments") and not one.get("groups")
    ]
    values: dict[str, Json] = {
        "weight": weight,
        "previous_weight": before,
        "target_session": action.get("target_session"),
        "sector": sector,
        "lacking": action.get("lacking", {}).get(name),
        "leaving": name in action.get("leaving", ()),
        "trade_cost": action.get("dearest", {}).get(name),
        "binding": list(groups.values()),
        "binding_for_all": others,
        "relaxed": action.get("relaxed", []),
    }
    said = f"{weight:.2%} of capital for {action.get('target_session')}{_move(before, weight)}"
    if groups:
        said += "; bound by " + ", ".join(
            f"{one['limit']} (a percentage point more would be worth {100 * one['shadow_price']:.2g} bp a month)"
            for one in groups.values()
        )
    if others:
        said += f"; the whole portfolio is bound by {', '.join(others)}"
    return said, values
