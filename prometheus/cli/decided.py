"""What each engine decided, in a line; and what should make a reader doubt it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

# What an engine proposed: JSON, as it is recorded.
Action = Mapping[str, Any]

MOST_CHARACTERS = 160  # of an action that nobody here knows how to say; --json has all of it


def decided(engine: str, action: Action) -> str:
    """The decision in a line. An engine of somebody's own is shown by its plain values."""
    say = SAYINGS.get(engine, _plain)
    try:
        return say(action)
    except (KeyError, TypeError, ValueError):  # an engine in the shipped one's place may propose other things
        return _plain(action)


def doubts(action: Action) -> list[str]:
    """Limits that gave way, quality that was lacking, notes: a line each."""
    found = []
    if action.get("conflict"):
        found.append(f"conflict: {action['conflict']}")
    found += [
        f"relaxed: {one['limit']} {one['declared']:.4g} to {one['used']:.4g}, {one['why']}"
        for one in action.get("relaxed", ())
    ]
    found += [f"degraded: {one}" for one in action.get("degraded", ())]
    found += [f"note: {one}" for one in action.get("notes", ())]
    absent = action.get("absent")
    if isinstance(absent, Mapping):
        found += [f"absent: {name}, {why}" for name, why in sorted(absent.items())]
    if "solver" in action:
        found.append(f"solver: {action['solver']} had to be asked")
    return found


def odds_of(regime: Mapping[str, Any]) -> str:
    """The probabilities of a regime's states, the likeliest first."""
    likely = sorted(regime["probabilities"].items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{label} {odds:.2f}" for label, odds in likely)


def _regime(action: Action) -> str:
    since = f" since {action['since']}" if action.get("since") else ""
    return f"{action['label']}{since} ({odds_of(action)})"


def _stability(action: Action) -> str:
    counts = ", ".join(f"{count} {label}" for label, count in sorted(action["instruments"].items()))
    entities = [
        f"{kind} {action[kind]['soft_target']} at fragility {action[kind]['fragility']:.2f}"
        for kind in ("market", "portfolio")
        if kind in action
    ]
    return "; ".join([f"instruments: {counts}", *entities])


def _assessment(action: Action) -> str:
    labels = ", ".join(f"{count} {label}" for label, count in action["labels"].items())
    skill = action["information_coefficient"]
    return f"{action['scored']} scored, {labels}; information coefficient {skill['used']:.3f}"


def _universe(action: Action) -> str:
    said = f"{len(action['core'])} core, {len(action['satellite'])} satellite"
    if action.get("turnover") is None:
        return said + ", the first of its line"
    moves = [f"{len(action[move])} {move}" for move in ("joined", "left") if move in action]
    return ", ".join([said, *moves]) + f"; turnover {action['turnover']:.1%}"


def _portfolio(action: Action) -> str:
    turnover = "first portfolio" if action["turnover"] is None else f"turnover {action['turnover']:.1%}"
    bound = ", ".join(one["limit"] for one in action["binding"])
    return (
        f"{action['positions']} positions, {action['invested']:.1%} invested for {action['target_session']}, "
        f"volatility {action['volatility']:.1%}, {turnover}"
        + (f", costs {1e4 * action['costs']['total']:.1f} bp" if "costs" in action else "")
        + (f"; bound by {bound}" if bound else "")
    )


def _plain(action: Action) -> str:
    values = {name: value for name, value in action.items() if not isinstance(value, (dict, list))}
    text = json.dumps(values or dict(action), ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


SAYINGS: Mapping[str, Callable[[Action], str]] = {
    "regime": _regime,
    "stability": _stability,
    "assessment": _assessment,
    "universe": _universe,
    "portfolio": _portfolio,
}
