"""The stability and soft-target engine: instruments, the market, and the portfolio that is held.

Each entity has components in [0, 1] (1 = most fragile), fragility = their weighted mean, stability = 1 - fragility,
losses in storms (see `scenarios`), and a class (see `classes`). Instruments' components are the feature
`stability_components_daily`, the market's are in `market`; a portfolio's are its positions', by weight.

Fragility says how badly an entity fares if there is a storm. It does not say that there will be one, nor that who is
fragile earns less on average: in rebounds the fragile rise most (docs/engines.md has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import (
    Outcome,
    ShortHistoryError,
    TableRows,
    decision_of,
    decision_ref,
    digest,
    earlier_ref,
    rounded,
)
from prometheus.engines.stability import market as whole
from prometheus.engines.stability.classes import NONE, SEVERITY, SOFT_TARGET, Standing, classify
from prometheus.engines.stability.config import StabilityConfig
from prometheus.engines.stability.losses import Losses, losses_of
from prometheus.engines.stability.reading import Evidence, read
from prometheus.stores.runtime import Row, RuntimeDb
from prometheus.stores.wide import FloatArray

ENGINE = "stability"
INSTRUMENT, MARKET, PORTFOLIO = "instrument", "market", "portfolio"
PRICES = "prices_daily"
SURVIVORSHIP = "the panel may hold survivors only: whom a storm ended is not in it"


@dataclass(frozen=True, slots=True)
class Entity:
    """One that is judged, with its losses by scenario."""

    kind: str
    name: str
    standing: Standing
    losses: Mapping[str, float]


def run(as_of_date: date, inputs: Inputs, config: StabilityConfig) -> Outcome:
    """Who is fragile on `as_of_date`; raises `ShortHistoryError` before anybody can be judged."""
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    regime = decision_of(runtime, "regime", as_of_date, market_id)
    evidence = read(view, config)
    fragility = fragility_of(list(evidence.components.values()), _weights(config.instrument), config)
    if not (~np.isnan(fragility)).any():
        raise ShortHistoryError(
            f"nobody's stability can be judged on {as_of_date}: no instrument has "
            f"{config.minimum_components} known components",
            hint="choose a session at least about 14 months after the first price",
        )
    losses = losses_of(evidence, config)
    entities = _instruments(evidence, fragility, losses)
    refs: list[Json] = [decision_ref(regime), *evidence.refs]
    absent = {name: past for name, past in evidence.episodes.items() if isinstance(past, str)}
    probabilities = regime["proposed_action"]["probabilities"]
    entities.append(_market(evidence, fragility, probabilities, losses, market_id, config))
    days = view.dates(PRICES)
    remembered = days[max(len(days) - 1 - config.memory_sessions, 0)]
    held_on, held = _held(runtime, as_of_date, market_id, config.portfolio_id)
    if held_on is None:
        absent[PORTFOLIO] = "no targets were decided before tonight"
    elif held_on < remembered:
        absent[PORTFOLIO] = f"the last targets are of {held_on}, over {config.memory_sessions} sessions ago"
    else:
        refs.append(earlier_ref("target_portfolios", held_on, held, ("instrument_id", "weight")))
        portfolio = _portfolio(evidence, held, losses, config)
        if portfolio is None:
            absent[PORTFOLIO] = f"less than half of the targets of {held_on} has known components"
        else:
            entities.append(portfolio)
    before_on, before = _last_classes(runtime, as_of_date, market_id, remembered)
    if before_on is not None:
        refs.append(
            earlier_ref("soft_target_classes", before_on, before, ("entity_type", "entity_id", "soft_target"))
        )
    classes = {(row["entity_type"], row["entity_id"]): row["soft_target"] for row in before}
    labels = {
        (one.kind, one.name): classify(one.standing, classes.get((one.kind, one.name)), config)
        for one in entities
    }
    return _outcome(as_of_date, market_id, config, entities, labels, absent, refs)


def fragility_of(
    components: Sequence[FloatArray], weights: Sequence[float], config: StabilityConfig
) -> FloatArray:
    """The weighted mean of the components known; NaN where fewer than `minimum_components` are."""
    total, mass = np.zeros_like(components[0]), np.zeros_like(components[0])
    count = np.zeros_like(components[0])
    for values, weight in zip(components, weights, strict=True):
        known = ~np.isnan(values)
        total += np.where(known, weight * values, 0.0)
        mass += weight * known
        count += known
    usable = (count >= config.minimum_components) & (mass > 0.0)
    return np.where(usable, total / np.where(mass > 0.0, mass, 1.0), np.nan)


def more_fragile(fragility: FloatArray) -> FloatArray:
    """The share of the instruments judged that are more fragile than each; of no meaning where it was not judged."""
    ordered = np.sort(fragility[~np.isnan(fragility)])
    return 1.0 - np.searchsorted(ordered, fragility, side="right") / max(len(ordered), 1)


def _weights(weights: object) -> list[float]:
    return list(asdict(weights).values())  # type: ignore[call-overload]  # the two dataclasses of weights


def _instruments(evidence: Evidence, fragility: FloatArray, losses: Losses) -> list[Entity]:
    above = more_fragile(fragility)
    found = []
    for place in np.flatnonzero(~np.isnan(fragility)):
        components = {
            name: rounded(float(values[place]))
            for name, values in evidence.components.items()
            if not np.isnan(values[place])
        }
        standing = Standing(float(fragility[place]), components, float(above[place]))
        found.append(
            Entity(INSTRUMENT, evidence.instruments[place], standing, losses.of_instrument(int(place)))
        )
    return found


def _market(
    evidence: Evidence,
    fragility: FloatArray,
    probabilities: Mapping[str, float],
    losses: Losses,
    market_id: str,
    config: StabilityConfig,
) -> Entity:
    breadth = float(np.nanmean(fragility))
    components = whole.components(evidence.panel, probabilities, breadth)
    weights = asdict(config.market)
    mass = sum(weights[name] for name in components)
    mean = sum(weights[name] * value for name, value in components.items()) / mass if mass > 0.0 else breadth
    told = {name: rounded(value) for name, value in components.items()}
    return Entity(MARKET, market_id, Standing(mean, told), losses.of_market())


def _held(
    runtime: RuntimeDb, as_of_date: date, market_id: str, portfolio_id: str
) -> tuple[date | None, list[Row]]:
    """The last targets decided before tonight: what is held until tonight's are."""
    day = runtime.last_date(
        "target_portfolios", before=as_of_date, market_id=market_id, portfolio_id=portfolio_id
    )
    return day, [] if day is None else runtime.target_portfolio(day, market_id, portfolio_id)


def _portfolio(
    evidence: Evidence, held: Sequence[Row], losses: Losses, config: StabilityConfig
) -> Entity | None:
    """The held portfolio, its components the positions' by weight; None if too little of it is known."""
    weight_of = {row["instrument_id"]: row["weight"] for row in held}
    weights = np.array([weight_of.get(name, 0.0) for name in evidence.instruments])
    invested = sum(abs(weight) for weight in weight_of.values())
    components = {}
    for name, values in evidence.components.items():
        known = np.where(np.isnan(values), 0.0, np.abs(weights))
        if known.sum() > 0.5 * invested:
            components[name] = float((known * np.nan_to_num(values)).sum() / known.sum())
    if len(components) < config.minimum_components:
        return None
    counted = asdict(config.instrument)
    mass = sum(counted[name] for name in components)
    mean = sum(counted[name] * value for name, value in components.items()) / mass if mass > 0.0 else 0.0
    told = {name: rounded(value) for name, value in components.items()}
    return Entity(PORTFOLIO, config.portfolio_id, Standing(mean, told), losses.of_portfolio(weights))


def _last_classes(
    runtime: RuntimeDb, as_of_date: date, market_id: str, not_before: date
) -> tuple[date | None, list[Row]]:
    """The classes of the last session that has some, if it is recent."""
    day = runtime.last_date("soft_target_classes", before=as_of_date, market_id=market_id)
    if day is None or day < not_before:
        return None, []
    return day, runtime.rows("soft_target_classes", as_of_date=day, market_id=market_id)


def _outcome(
    as_of_date: date,
    market_id: str,
    config: StabilityConfig,
    entities: Sequence[Entity],
    labels: Mapping[tuple[str, str], tuple[str, str]],
    absent: Mapping[str, str],
    refs: Sequence[Json],
) -> Outcome:
    vectors, measures, classes = [], [], []
    for one in entities:
        key = {"entity_type": one.kind, "entity_id": one.name}
        fragility = rounded(one.standing.fragility)
        label, reason = labels[one.kind, one.name]
        vectors.append(
            {**key, "components": dict(one.standing.components), "stability": rounded(1.0 - fragility)}
        )
        measures.append({**key, "fragility": fragility, "scenario_losses": dict(one.losses)})
        classes.append({**key, "soft_target": label, "reason": reason})
    by_class = {
        label: [
            one.name for one in entities if one.kind == INSTRUMENT and labels[one.kind, one.name][0] == label
        ]
        for label in SEVERITY
    }
    told: dict[str, Json] = {"instruments": {label: len(names) for label, names in by_class.items()}}
    for one in entities:
        if one.kind != INSTRUMENT:
            label, reason = labels[one.kind, one.name]
            told[one.kind] = {
                "soft_target": label,
                "fragility": rounded(one.standing.fragility),
                "reason": reason,
                "scenario_losses": dict(one.losses),
            }
    if absent:
        told["absent"] = dict(absent)
    night = {"as_of_date": as_of_date, "market_id": market_id}
    named = {label: names for label, names in by_class.items() if label != NONE}
    kept = digest([[row["entity_id"], row["fragility"]] for row in measures])
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=_plain(config),
        tables=(
            TableRows("stability_vectors", night, vectors),
            TableRows("fragility_measures", night, measures),
            TableRows("soft_target_classes", night, classes),
        ),
        input_refs=tuple(refs),
        action={**told, **named, "measures": kept},
        summary={**told, "soft_targets": named[SOFT_TARGET][:5], "note": SURVIVORSHIP},
    )


def _plain(config: StabilityConfig) -> dict[str, Json]:
    """The configuration with its dates as text."""
    plain = config_json(config)
    plain["episodes"] = [
        {"name": one.name, "first": one.first.isoformat(), "last": one.last.isoformat()}
        for one in config.episodes
    ]
    return plain


engine = Engine(ENGINE, StabilityConfig, run)
