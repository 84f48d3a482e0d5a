"""The portfolio engine: target weights for the next session, from expected returns, a factor model and limits.

What is optimised is in `solve`. The weights before are the last targets of an earlier session (at most
`memory_sessions` old), carried forward by the returns since: the decision depends on what the desk had decided, and is
the same again for the same earlier decisions.

Only members of the universe may be held, with one exception: a soft target that is held and has a place in the factor
model leaves as fast as the turnover limit lets it, instead of at any price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
    earlier_ref,
    historical_ref,
)
from prometheus.engines.portfolio import facts
from prometheus.engines.portfolio.config import PortfolioConfig
from prometheus.engines.portfolio.costs import Bill, Prices, price
from prometheus.engines.portfolio.holdings import Held, held_on
from prometheus.engines.portfolio.problem import Limits, Problem, Sectors
from prometheus.engines.portfolio.solve import solve
from prometheus.engines.portfolio.told import told
from prometheus.stores.runtime import Row
from prometheus.stores.wide import FloatArray

ENGINE = "portfolio"
MODELS = "factor_models"

# Expected returns of the assessment are for a month.
HORIZON = 21

# Fewer fragilities known than this share of the candidates: the budget would be about what is not known.
FRAGILITY_COVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class Setting:
    """All that the problem is made of, and where it was read. `names` are the instruments that the weights are of."""

    names: tuple[str, ...]
    problem: Problem
    limits: Limits
    sector: Mapping[str, str]
    sold: Bill  # for what must be sold whatever is decided
    notes: tuple[str, ...]
    refs: tuple[Json, ...]


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
    scores = {row["instrument_id"]: row for row in runtime.scores(as_of_date, market_id)}
    held = held_on(view, runtime, as_of_date, market_id, config.portfolio_id, config.memory_sessions)
    setting = _set(as_of_date, inputs, scores, held, config)
    solution = solve(setting.problem, setting.limits, config.relax)
    refs: list[Json] = [decision_ref(assessment), decision_ref(universe), *setting.refs]
    if held.day is not None:
        refs.append(earlier_ref("target_portfolios", held.day, held.rows, ("instrument_id", "weight")))
    targets = {
        name: float(weight)
        for name, weight in zip(setting.names, solution.weights, strict=True)
        if weight > 0.0
    }
    summary, whole = told(setting.names, setting.problem, solution, setting.sold, setting.sector)
    said: dict[str, Json] = {
        "target_session": target_session.isoformat(),
        **summary,
        **({"notes": list(setting.notes)} if setting.notes else {}),
    }
    key = {"as_of_date": as_of_date, "market_id": market_id, "portfolio_id": config.portfolio_id}
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("target_portfolios", key, _rows(targets, held, scores, target_session)),),
        input_refs=tuple(refs),
        action={
            **said,
            **whole,
            "before": None if held.day is None else held.day.isoformat(),
            "targets": targets,
        },
        summary=said,
    )


def _set(
    as_of_date: date, inputs: Inputs, scores: Mapping[str, Row], held: Held, config: PortfolioConfig
) -> Setting:
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    model = view.read(MODELS, since=as_of_date)
    places = {name: place for place, name in enumerate(model["instrument_id"])}
    members = [
        row["instrument_id"]
        for row in runtime.universe(as_of_date, market_id, config.universe_id)
        if row["membership"] != "excluded"
    ]
    fragility = facts.fragility_of(runtime, as_of_date, market_id)
    soft = fragility.soft_targets
    inside = {*members, *(name for name in held.weights if name in soft and name in places)}
    names = sorted(inside)
    outside = sorted(name for name in held.weights if name not in inside)
    at = [places[name] for name in names]  # the universe admits only what the model knows
    factors = [name for name in model.columns if name[0] == "f" and name[1:].isdigit()]
    exposures = model.select(factors).to_numpy()[at].astype(np.float64)
    specific = model["specific_var"].to_numpy()[at].astype(np.float64)
    dollars, dollar_refs = facts.dollars_of(view, [*names, *outside])
    prices = _prices(dollars, names, np.sqrt((exposures**2).sum(axis=1) + specific), config)
    # What the model does not know moves like the wildest that it does.
    wildest = float(
        np.sqrt((model.select(factors).to_numpy() ** 2).sum(axis=1) + model["specific_var"]).max()
    )
    sold = _prices(dollars, outside, np.full(len(outside), wildest), config).of(
        facts.array(held.weights, outside, 0.0)
    )
    sector, sector_refs = facts.sectors_of(view, names) if config.sector_band is not None else ({}, [])
    styles, style_refs = facts.styles_of(view, as_of_date, tuple(config.max_exposures), names)
    known = sum(name in fragility.values for name in names)
    budgeted = bool(fragility.refs) and known >= FRAGILITY_COVERAGE * len(names)
    problem = Problem(
        expected=np.array([scores[name]["expected_return"] if name in scores else 0.0 for name in names]),
        exposures=exposures,
        specific_var=specific,
        held=facts.array(held.weights, names, 0.0),
        sold=math.fsum(held.weights[name] for name in outside),
        risk_aversion=config.risk_aversion,
        prices=prices,
        horizon=HORIZON,
        leaving=np.array([name in soft or name not in members for name in names], dtype=np.bool_),
        fragility=np.array([fragility.of(name) for name in names]) if budgeted else None,
        sectors=_sectors(sector, names, members),
        styles={style: facts.array(values, names, 0.0) for style, values in styles.items()},
    )
    limits = Limits(
        max_weight=config.max_weight,
        max_gross=config.max_gross,
        min_invested=config.min_invested,
        turnover=None if held.day is None else config.turnover,
        max_volatility=config.max_volatility,
        max_fragility=config.max_fragility if budgeted else None,
        sector_band=config.sector_band if sector else None,
        max_exposures={name: config.max_exposures[name] for name in styles},
    )
    refs = (
        historical_ref(MODELS, model, as_of_date),
        *dollar_refs,
        *fragility.refs,
        *sector_refs,
        *style_refs,
    )
    notes = _notes(config, bool(fragility.refs), budgeted, limits)
    return Setting(tuple(names), problem, limits, sector, sold, notes, refs)


def _prices(
    dollars: Mapping[str, float], names: list[str], daily_volatility: FloatArray, config: PortfolioConfig
) -> Prices:
    return price(
        facts.array(dollars, names, math.nan),
        daily_volatility,
        fees=config.cost,
        half_spreads=config.half_spreads,
        widest=config.widest_half_spread,
        impact=config.impact,
        capital=config.capital,
    )


def _sectors(sector: Mapping[str, str], names: list[str], members: list[str]) -> Sectors | None:
    if not sector or not members:
        return None
    every = tuple(sorted(set(sector.values())))
    member = np.array([[sector[name] == one for name in names] for one in every], dtype=np.float64)
    counted = np.isin(names, members)
    return Sectors(every, member, member[:, counted].sum(axis=1) / counted.sum())


def _notes(config: PortfolioConfig, decided: bool, budgeted: bool, limits: Limits) -> tuple[str, ...]:
    """A sentence for each limit that is declared and could not be applied."""
    found = []
    if config.max_fragility is not None and not budgeted:
        why = "too few instruments have a fragility" if decided else "the stability engine has not decided"
        found.append(f"no fragility budget: {why}")
    if config.sector_band is not None and limits.sector_band is None:
        found.append("no sector limits: no instrument of the universe has a sector")
    off = sorted(set(config.max_exposures) - set(limits.max_exposures))
    if off:
        found.append(f"no limit on exposure to {', '.join(off)}: {facts.STYLES} has no rows of the session")
    return tuple(found)


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
