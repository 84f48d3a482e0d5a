"""The universe engine: hard filters, then a liquid core and well scored satellites, with members' places buffered.

The rule is the one that index providers publish: eligibility by history and traded value, ranks, and a buffer within
which a member stays, so that the universe does not churn. The buffer looks at the last universe of an earlier
session, if it is at most `memory_sessions` old: the decision depends on what the desk had decided, and is
the same again for the same earlier decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.errors import UserError
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
    earlier_ref,
    historical_ref,
    rounded,
)
from prometheus.engines.universe.config import UniverseConfig
from prometheus.engines.universe.rules import (
    CORE,
    NONE,
    SATELLITE,
    SOFT_TARGET,
    WATCHLIST,
    Candidate,
    Membership,
    choose,
    moves,
    rule_counts,
    turnover,
)
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb
from prometheus.stores.wide import widen

ENGINE = "universe"
PRICES, QUARANTINE, MODELS, ISSUERS = "prices_daily", "quarantine", "factor_models", "issuers"
UNKNOWN = "not looked at: the stability engine has not decided"


def run(as_of_date: date, inputs: Inputs, config: UniverseConfig) -> Outcome:
    """Core, satellites and the reason of each exclusion; raises `ShortHistoryError` if there are no prices."""
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    assessment = decision_of(runtime, "assessment", as_of_date, market_id)
    stability = decision_if_any(runtime, "stability", as_of_date, market_id)
    days = view.dates(PRICES)
    if not days or days[-1] != as_of_date:
        raise ShortHistoryError(f"{PRICES} has no rows for {as_of_date}", hint="run the validation first")
    since = days[max(len(days) - max(config.history_sessions, config.volume_sessions), 0)]
    prices = view.read(PRICES, since=since, columns=["date", "instrument_id", "ret_1d", "dollar_volume"])
    recent = days[max(len(days) - config.quarantine_sessions, 0)]
    classes = {} if stability is None else _soft_targets(runtime, as_of_date, market_id)
    issuers = None if config.sector_cap is None else _issuers(view)
    sectors = {} if issuers is None else _sectors(issuers)
    candidates = _candidates(view, runtime, as_of_date, market_id, prices, recent, config)
    candidates = [_marked(one, classes, sectors) for one in candidates]
    remembered = days[max(len(days) - 1 - config.memory_sessions, 0)]
    before_day, before_rows = _last_universe(runtime, as_of_date, market_id, config.universe_id, remembered)
    before = {row["instrument_id"]: row["membership"] for row in before_rows}
    chosen = choose(candidates, before, config)
    refs: list[Json] = [decision_ref(assessment), historical_ref(PRICES, prices, as_of_date)]
    if stability is not None:
        refs.append(decision_ref(stability))
    if issuers is not None and not issuers.is_empty():
        refs.append(historical_ref(ISSUERS, issuers, issuers["date"][-1]))
    if before_day is not None:
        refs.append(earlier_ref("universes", before_day, before_rows, ("instrument_id", "membership")))
    key = {"as_of_date": as_of_date, "market_id": market_id, "universe_id": config.universe_id}
    action, summary = _told(chosen, before, before_day, None if stability is None else classes)
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("universes", key, [asdict(one) for one in chosen]),),
        input_refs=tuple(refs),
        action=action,
        summary=summary,
    )


def _marked(one: Candidate, classes: Mapping[str, tuple[str, str]], sectors: Mapping[str, str]) -> Candidate:
    label, reason = classes.get(one.instrument_id, (NONE, ""))
    sector = sectors.get(one.instrument_id)
    return replace(one, soft_target=label, soft_target_reason=reason, sector=sector)


def _told(
    chosen: list[Membership],
    before: Mapping[str, str],
    before_day: date | None,
    classes: Mapping[str, tuple[str, str]] | None,
) -> tuple[dict[str, Json], dict[str, Json]]:
    """The proposed action, with every name, and the job's answer, with counts."""
    changed = turnover(before, {one.instrument_id: one.membership for one in chosen})
    moved = moves(before, chosen)
    members: dict[str, list[str]] = {
        role: [one.instrument_id for one in chosen if one.membership == role] for role in (CORE, SATELLITE)
    }
    found = Counter(label for label, _ in (classes or {}).values())
    told: dict[str, Json] = {
        "turnover": None if changed is None else rounded(changed),
        "since": None if before_day is None else before_day.isoformat(),
        "excluded_by": {**rule_counts(chosen)},
        "soft_targets": UNKNOWN
        if classes is None
        else {name: found[name] for name in (SOFT_TARGET, WATCHLIST)},
    }
    counts: dict[str, Json] = {role: len(names) for role, names in members.items()}
    counts["excluded"] = len(chosen) - sum(len(names) for names in members.values())
    action: dict[str, Json] = {role: list(names) for role, names in members.items()}
    action |= {"joined": dict(moved.joined), "left": dict(moved.left), **told}
    return action, {**counts, "joined": len(moved.joined), "left": len(moved.left), **told}


def _soft_targets(runtime: RuntimeDb, as_of_date: date, market_id: str) -> dict[str, tuple[str, str]]:
    """Class and reason of each instrument that the stability engine has classified tonight."""
    rows = runtime.rows(
        "soft_target_classes", as_of_date=as_of_date, market_id=market_id, entity_type="instrument"
    )
    return {row["entity_id"]: (row["soft_target"], row["reason"]) for row in rows}


def _issuers(view: HistoricalView) -> pl.DataFrame:
    if view.version(ISSUERS) is None:
        raise UserError(
            f"the universe's sector_cap needs sectors, and there is no table {ISSUERS}",
            hint="run the job that ingests issuers first, or leave sector_cap out",
        )
    return view.read(ISSUERS, columns=["date", "instrument_id", "sector"])


def _sectors(issuers: pl.DataFrame) -> dict[str, str]:
    """Sector of each instrument as it was last known; those without one are not limited."""
    return {name: sector for _, name, sector in issuers.iter_rows() if sector is not None}


def _candidates(
    view: HistoricalView,
    runtime: RuntimeDb,
    as_of_date: date,
    market_id: str,
    prices: pl.DataFrame,
    recent: date,
    config: UniverseConfig,
) -> list[Candidate]:
    wide = widen(prices, ["ret_1d", "dollar_volume"])
    known = ~np.isnan(wide["ret_1d"])
    sessions = known[-config.history_sessions :].sum(axis=0)
    dollars = wide["dollar_volume"][-config.volume_sessions :]
    # An instrument with no volume at all in the window has a median of nothing: 0 USD.
    traded_ever = ~np.isnan(dollars).all(axis=0)
    median = np.zeros(dollars.shape[1])
    median[traded_ever] = np.nanmedian(dollars[:, traded_ever], axis=0)
    today = known[-1] if wide.days[-1] == as_of_date else np.zeros(len(wide.instruments), dtype=np.bool_)
    places = {name: place for place, name in enumerate(wide.instruments)}
    aside = _put_aside(view, recent)
    scores = {row["instrument_id"]: row for row in runtime.scores(as_of_date, market_id)}
    modelled: set[str] = set()
    if view.has(MODELS, as_of_date):
        modelled = set(view.read(MODELS, since=as_of_date, columns=["instrument_id"])["instrument_id"])
    found = []
    for name in sorted({*wide.instruments, *aside}):
        place, score = places.get(name), scores.get(name)
        found.append(
            Candidate(
                instrument_id=name,
                traded=place is not None and bool(today[place]),
                sessions=0 if place is None else int(sessions[place]),
                dollar_volume=0.0 if place is None else float(median[place]),
                quarantined=aside.get(name),
                score=None if score is None else score["score"],
                label=None if score is None else score["label"],
                modelled=name in modelled,
            )
        )
    return found


def _put_aside(view: HistoricalView, since: date) -> dict[str, str]:
    """Instruments with a quarantined row since a date, and why (the newest)."""
    if view.last_date(QUARANTINE) is None:
        return {}
    rows = view.read(QUARANTINE, since=since, columns=["date", "instrument_id", "rule"])
    return {name: f"{rule} on {day}" for day, name, rule in rows.iter_rows() if name is not None}


def _last_universe(
    runtime: RuntimeDb, as_of_date: date, market_id: str, universe_id: str, not_before: date
) -> tuple[date | None, list[Row]]:
    day = runtime.last_date("universes", before=as_of_date, market_id=market_id, universe_id=universe_id)
    if day is None or day < not_before:
        return None, []
    return day, runtime.universe(day, market_id, universe_id)


engine = Engine(ENGINE, UniverseConfig, run)
