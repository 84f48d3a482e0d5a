"""What the target portfolio is made of and how fast it could be sold: sectors, styles, fragility, storms, liquidity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prometheus.core.ids import Json
from prometheus.engines.outcome import rounded
from prometheus.stores.runtime import Row
from prometheus.stores.wide import FloatArray

# A position is sold at this share of what is traded, so that the price is not driven (a usual bound of desks).
PARTICIPATION = 0.10

# Falls of the whole market that are told if the stability engine has not decided; they go through each one's beta.
SHOCKS = (0.05, 0.10, 0.20)

# Scenarios whose losses do not add up over positions: what moves apart cancels, and large positions cost more to sell.
NOT_ADDITIVE = frozenset({"volatility_rises", "liquidity_dries_up"})


def scenarios(targets: Mapping[str, float], measures: Sequence[Row]) -> dict[str, Json]:
    """Loss of the targets in each scenario of the stability engine, a share of capital, and the weight it is known of."""
    losses = {row["entity_id"]: row["scenario_losses"] for row in measures if row["entity_id"] in targets}
    names = sorted({name for one in losses.values() for name in one} - NOT_ADDITIVE)
    found: dict[str, Json] = {}
    for name in names:
        known = {held: one[name] for held, one in losses.items() if name in one}
        found[name] = {
            "loss": rounded(math.fsum(targets[held] * loss for held, loss in known.items())),
            "weight_known": rounded(math.fsum(targets[held] for held in known)),
        }
    return found


def through_beta(weights: FloatArray, betas: FloatArray) -> dict[str, Json]:
    """Losses when the whole market falls, each position by its beta (an unknown one, NaN, by 1)."""
    beta = float(weights @ np.nan_to_num(betas, nan=1.0))
    known = float(weights[~np.isnan(betas)].sum())
    return {
        f"market_down_{round(100 * shock)}": {"loss": rounded(beta * shock), "weight_known": rounded(known)}
        for shock in SHOCKS
    }


def fragility(
    targets: Mapping[str, float], measures: Sequence[Row], classes: Sequence[Row], most: int
) -> dict[str, Json]:
    """Mean fragility of what is held, weight by soft-target class, and the positions that add most."""
    known = {row["entity_id"]: row["fragility"] for row in measures if row["entity_id"] in targets}
    weight = math.fsum(targets[name] for name in known)
    total = math.fsum(targets[name] * value for name, value in known.items())
    by_class: dict[str, float] = {}
    for row in classes:
        if row["entity_id"] in targets:
            label = row["soft_target"]
            by_class[label] = by_class.get(label, 0.0) + targets[row["entity_id"]]
    worst = sorted(known, key=lambda name: (-targets[name] * known[name], name))[:most]
    return {
        "mean": rounded(total / weight) if weight > 0.0 else None,
        "weight_known": rounded(weight),
        "weight_by_class": {label: rounded(value) for label, value in sorted(by_class.items())},
        "contributors": [
            {
                "instrument_id": name,
                "fragility": known[name],
                "share": rounded(targets[name] * known[name] / total),
            }
            for name in worst
            if total > 0.0
        ],
    }


def styles(targets: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """Net exposure to each style: the sum of weight x exposure; what is not known counts as none."""
    held = [row for row in rows if row["instrument_id"] in targets]
    names = [name for name in (rows[0] if rows else {}) if name not in {"date", "instrument_id"}]
    return {
        name: rounded(math.fsum(targets[row["instrument_id"]] * (row[name] or 0.0) for row in held))
        for name in names
    }


def liquidity(
    targets: Mapping[str, float], dollars: Mapping[str, float], capital: float, most: int
) -> dict[str, Json]:
    """Sessions that it takes to sell, at `PARTICIPATION` of the median traded dollars. `dollars` lacks who never trades."""
    days = {
        name: weight * capital / (PARTICIPATION * dollars[name])
        for name, weight in targets.items()
        if dollars.get(name, 0.0) > 0.0
    }
    slowest = sorted(days, key=lambda name: (-days[name], name))[:most]
    weight = math.fsum(targets.values())

    def sold_within(sessions: float) -> float | None:
        if weight == 0.0:
            return None
        gone = math.fsum(targets[name] * min(1.0, sessions / taken) for name, taken in days.items())
        return rounded(gone / weight)

    return {
        "capital": capital,
        "participation": PARTICIPATION,
        "days_to_liquidate": rounded(max(days.values())) if days else None,
        "sold_within": {"1": sold_within(1.0), "5": sold_within(5.0)},
        "slowest": [{"instrument_id": name, "days": rounded(days[name])} for name in slowest],
        "never_traded": sorted(set(targets) - set(days)),
    }
