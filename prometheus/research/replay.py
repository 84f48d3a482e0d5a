"""An old night decided again as it was: each engine, with its recorded configuration, on the table versions it had read.

Nothing is written. The upstream decisions and the earlier nights that an engine looks at are those that stand in
runtime_db; if one of them was decided anew since, the difference says so. Needs the old files: housekeeping removes them
after the retention that the settings declare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from prometheus.core.errors import StoreError, UserError
from prometheus.core.ids import Json
from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar
from prometheus.engines.configs import config_from
from prometheus.engines.engine import SHIPPED, Inputs, choose_engine
from prometheus.engines.outcome import decision_from, doubts_of, output_ref
from prometheus.research.reports import is_there
from prometheus.stores.decisions import Decision
from prometheus.stores.historical import HistoricalDb
from prometheus.stores.runtime import Row, RuntimeDb
from prometheus.stores.wide import one_thread

OWN = "it was not made again: its engine is known to a pipeline of the desk's own and not to the settings"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision made again. `differences` is empty if it is the same, with the same rows."""

    engine: str
    recorded: str  # decision ids
    replayed: str  # "" if it was not made again
    versions: Mapping[str, int]
    differences: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        return {
            "engine": self.engine,
            "recorded": self.recorded,
            "replayed": self.replayed,
            "same": not self.differences,
            "differences": list(self.differences),
            "versions": dict(self.versions),
        }


def replay(settings: Settings, session: date, market_id: str) -> list[Replayed]:
    """Every decision of the session made again, in the order of their names.

    Raises `UserError` if there is none, or one was kept without its table versions; `StoreError` if a version's files are
    gone.
    """
    if not is_there(settings.runtime_url):
        raise StoreError(
            f"nothing has been decided yet: there is no {settings.runtime_url}",
            hint=f"`prometheus run us_eq_daily --session {session}` decides that session",
        )
    runtime = RuntimeDb(settings.runtime_url)
    try:
        rows = runtime.decisions(session, market_id)
        if not rows:
            raise UserError(
                f"nothing was decided for {market_id} on {session}",
                hint="`prometheus decisions --session DATE` lists what was",
            )
        return [
            _again(settings, runtime, row)
            if row["engine"] in SHIPPED or row["engine"] in settings.engines
            else Replayed(row["engine"], row["decision_id"], "", {}, (OWN,))
            for row in rows
        ]
    finally:
        runtime.close()


def _again(settings: Settings, runtime: RuntimeDb, row: Row) -> Replayed:
    session, market_id, engine = row["as_of_date"], row["market_id"], row["engine"]
    kept = runtime.rows("table_versions", as_of_date=session, market_id=market_id, engine=engine)
    if not kept:
        raise UserError(
            f"the {engine} decision of {session} was kept without the table versions that it was made from",
            hint="only nights of this version and later can be made again as they were",
        )
    versions = {one["table_name"]: int(one["version"]) for one in kept}
    config = runtime.config(row["config_id"])
    recorded: dict[str, Any] = dict(config["config"]) if config else {}
    implementation = recorded.pop("use", None)
    chosen = choose_engine(engine, settings.engines)
    differences = []
    if chosen.implementation != implementation:
        differences.append(
            f"it was decided by {implementation or 'the shipped engine'}, and {chosen.implementation or 'that'} decides now"
        )
    view = HistoricalDb(settings.historical_path).as_of(session, market=market_id, versions=versions)
    made: object = config_from(chosen.engine.config, engine, {"config": recorded})
    with one_thread():
        outcome = chosen.engine.run(
            session, Inputs(view, runtime, market_id, TradingCalendar(market_id)), made
        )
    outputs = [
        output_ref(part, [{**one, "config_id": row["config_id"]} for one in part.rows])
        for part in outcome.tables
    ]
    doubts = doubts_of(runtime, outcome)
    again = decision_from(outcome, row["config_id"], outputs, doubts, row["run_id"], row["task"])
    assert again is not None, "an engine whose decision is kept decides"
    return Replayed(
        engine, row["decision_id"], again.decision_id, versions, (*differences, *_differences(row, again))
    )


def _differences(row: Row, again: Decision) -> list[str]:
    if again.decision_id == row["decision_id"] and again.output_refs == row["output_refs"]:
        return []
    found = []
    if again.input_refs != row["input_refs"]:
        before = {_name(ref): ref for ref in row["input_refs"]}
        after = {_name(ref): ref for ref in again.input_refs}
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        found.append(f"it reads other rows than it did: {', '.join(changed)}")
    if again.proposed_action != row["proposed_action"]:
        found.append("it proposes something else")
    if again.output_refs != row["output_refs"]:
        found.append("it leaves other rows")
    return found or ["its configuration is kept under another id"]


def _name(ref: Mapping[str, Any]) -> str:
    if "decision_id" in ref:
        return f"the decision of {ref['engine']}"
    return f"{ref['table']} of {ref.get('date') or ref.get('as_of_date')}"
