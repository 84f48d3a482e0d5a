"""The check of the night's decision log: every engine, one context, ids that fit their content, references that exist.

A decision that cannot be traced to its inputs is worth no more than none: any fault fails the night's last job. So do
rows that no decision left, made-up prices that are not marked, and targets that break the limits they were decided under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TypeAlias

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.engines.outcome import context_id_of, rows_digest
from prometheus.engines.portfolio.audit import audit
from prometheus.engines.regime.globe import MARKET as GLOBE
from prometheus.stores import schema
from prometheus.stores.decisions import Decision
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb

# The engines that must have decided, in the order in which they do, each after those whose decisions it must refer to.
Chain: TypeAlias = Mapping[str, tuple[str, ...]]
ENGINES: Chain = {
    "regime": (),
    "stability": ("regime",),
    "assessment": ("regime",),
    "universe": ("assessment",),
    "portfolio": ("stability", "assessment", "universe"),
}
# The world's night judges and holds nothing.
OF_GLOBE: Chain = {"regime": ()}

# Tables of a night that no decision stands behind.
NO_DECISION = frozenset({"profile_snapshots", "risk_reports", "research_reports", "engine_decisions"})
SYNTHETIC_PREFIX = "SYN_"
PRICES = "prices_daily"


class DecisionLogError(UserError):
    """The decision log of a session is incomplete or contradicts itself; the message lists every fault."""


def check(as_of_date: date, view: HistoricalView, runtime: RuntimeDb, *, market_id: str) -> dict[str, Json]:
    """What was found, if all is well; raises `DecisionLogError` with every fault."""
    chain = OF_GLOBE if market_id == GLOBE else ENGINES
    context = context_id_of(market_id, as_of_date)
    logged = runtime.decisions(as_of_date, market_id)
    decided = {row["engine"]: row for row in logged if row["context_id"] == context}
    faults = [f"{engine} has not decided" for engine in chain if engine not in decided]
    faults += [
        f"{row['engine']} also decided in the context {row['context_id']}"
        for row in logged
        if row["context_id"] != context
    ]
    references = 0
    for engine, row in decided.items():
        found = [
            *_content_faults(row, runtime),
            *_input_faults(row, decided, view, chain),
            *_output_faults(row, as_of_date, runtime),
        ]
        faults += [f"{engine}: {fault}" for fault in found]
        references += len(row["input_refs"]) + len(row["output_refs"])
    faults += _orphans(decided, as_of_date, market_id, runtime)
    faults += _synthetic_faults(as_of_date, market_id, view, runtime)
    # A portfolio engine of the desk's own may know no such limits; ours names them.
    audited = "portfolio" in decided and "limits" in decided["portfolio"]["proposed_action"]
    if audited and not faults:
        portfolio_id = _portfolio_id(decided["portfolio"])
        broken = audit(as_of_date, view, runtime, market_id=market_id, portfolio_id=portfolio_id)
        faults += [f"portfolio: {one}" for one in broken]
    if faults:
        raise DecisionLogError(
            f"the decision log of {market_id} on {as_of_date} is not consistent: {'; '.join(faults)}",
            hint=f"`prometheus decisions --session {as_of_date}` shows it; run the engines named again",
        )
    return {
        "context_id": context,
        "decisions": {engine: row["decision_id"] for engine, row in sorted(decided.items())},
        "references": references,
        "limits_hold": True if audited else None,
    }


def _content_faults(row: Row, runtime: RuntimeDb) -> list[str]:
    """The id is the hash of what the row says, and the configuration is on record."""
    rebuilt = Decision(**{name: value for name, value in row.items() if name != "decision_id"})
    faults = []
    if rebuilt.decision_id != row["decision_id"]:
        faults.append(f"its content was changed after it was decided (id {row['decision_id']})")
    config = runtime.config(row["config_id"])
    if config is None or config["engine"] != row["engine"]:
        faults.append(f"its configuration {row['config_id']} is not on record")
    return faults


def _input_faults(row: Row, decided: dict[str, Row], view: HistoricalView, chain: Chain) -> list[str]:
    faults = []
    named = set()
    for ref in row["input_refs"]:
        if "decision_id" in ref:
            named.add(ref["engine"])
            upstream = decided.get(ref["engine"])
            if upstream is None or upstream["decision_id"] != ref["decision_id"]:
                faults.append(f"it was decided from a decision of {ref['engine']} that no longer stands")
            elif upstream["as_of_date"] != row["as_of_date"]:
                faults.append(f"it was decided from {ref['engine']} of {upstream['as_of_date']}")
        elif ref["store"] == "historical":
            day = date.fromisoformat(ref["date"])
            if day > row["as_of_date"]:
                faults.append(f"it used {ref['table']} of {day}, which is later than its date")
            elif not (view.beside(ref["market"]) if "market" in ref else view).has(ref["table"], day):
                whose = f" of {ref['market']}" if "market" in ref else ""
                faults.append(f"its input {ref['table']}{whose} of {day} does not exist")
        elif "as_of_date" in ref and date.fromisoformat(ref["as_of_date"]) >= row["as_of_date"]:
            faults.append(
                f"it used {ref['table']} of {ref['as_of_date']}, which is not earlier than its date"
            )
    missing = [engine for engine in chain.get(row["engine"], ()) if engine not in named]
    return faults + [f"it does not refer to the decision of {engine}" for engine in missing]


def _output_faults(row: Row, as_of_date: date, runtime: RuntimeDb) -> list[str]:
    faults = []
    outputs: Sequence[dict[str, Json]] = row["output_refs"]
    for ref in outputs:
        key = {name: value for name, value in ref["key"].items() if name != "as_of_date"}
        kept = runtime.rows(ref["table"], as_of_date=as_of_date, **key)
        if len(kept) != ref["rows"]:
            faults.append(f"it left {ref['rows']} rows in {ref['table']}, and {len(kept)} are there")
        elif rows_digest(kept, ref["key"]) != ref["digest"]:
            faults.append(f"its rows in {ref['table']} were changed after it was decided")
        elif any(one["run_id"] != row["run_id"] for one in kept):
            faults.append(f"its rows in {ref['table']} are of another run")
    return faults if outputs else [*faults, "it left no rows"]


def _orphans(decided: dict[str, Row], as_of_date: date, market_id: str, runtime: RuntimeDb) -> list[str]:
    """Rows of the night that no decision of it left: of a decision that was replaced, or of a hand."""
    left: dict[str, list[dict[str, str]]] = {}
    for row in decided.values():
        for ref in row["output_refs"]:
            left.setdefault(ref["table"], []).append(ref["key"])
    faults = []
    for name, table in schema.metadata.tables.items():
        if name in NO_DECISION or not {"as_of_date", "market_id", "config_id"} <= set(table.c.keys()):
            continue
        strays = [
            row
            for row in runtime.rows(name, as_of_date=as_of_date, market_id=market_id)
            if not any(
                all(str(row[part]) == value for part, value in key.items()) for key in left.get(name, ())
            )
        ]
        if strays:
            faults.append(f"{name} has {len(strays)} rows that no decision of the night left")
    return faults


def _synthetic_faults(
    as_of_date: date, market_id: str, view: HistoricalView, runtime: RuntimeDb
) -> list[str]:
    """Made-up prices must be marked as such wherever the night's names stand."""
    if not view.has(PRICES, as_of_date):
        return []
    rows = view.read(PRICES, since=as_of_date, columns=["instrument_id", "synthetic"])
    marked = dict(rows.iter_rows())
    faults = [
        f"{PRICES} does not mark {name} as synthetic"
        for name, synthetic in marked.items()
        if name.startswith(SYNTHETIC_PREFIX) and not synthetic
    ]
    if len(set(marked.values())) > 1:
        faults.append(f"{PRICES} of {as_of_date} mixes real and synthetic rows")
    faults += [
        f"{row['instrument_id']} is {_kind(row['synthetic'])} in instruments and "
        f"{_kind(marked[row['instrument_id']])} in {PRICES}"
        for row in runtime.rows("instruments", market_id=market_id)
        if marked.get(row["instrument_id"], row["synthetic"]) != row["synthetic"]
    ]
    return faults


def _kind(synthetic: bool) -> str:
    return "synthetic" if synthetic else "real"


def _portfolio_id(decision: Row) -> str:
    keys = [ref["key"] for ref in decision["output_refs"] if ref["table"] == "target_portfolios"]
    return str(keys[0].get("portfolio_id", "main")) if keys else "main"
