"""The check of the night's decision log: every engine, one context, ids that fit their content, references that exist.

A decision that cannot be traced to its inputs is worth no more than none: any fault fails the night's last job.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.engines.outcome import context_id_of, rows_digest
from prometheus.stores.decisions import Decision
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row, RuntimeDb

# The engines that must have decided, in the order in which they do, each after those whose decisions it must refer to.
ENGINES = {
    "regime": (),
    "stability": ("regime",),
    "assessment": ("regime",),
    "universe": ("assessment",),
    "portfolio": ("assessment", "universe"),
}


class DecisionLogError(UserError):
    """The decision log of a session is incomplete or contradicts itself; the message lists every fault."""


def check(as_of_date: date, view: HistoricalView, runtime: RuntimeDb, *, market_id: str) -> dict[str, Json]:
    """What was found, if all is well; raises `DecisionLogError` with every fault."""
    context = context_id_of(market_id, as_of_date)
    logged = runtime.decisions(as_of_date, market_id)
    decided = {row["engine"]: row for row in logged if row["context_id"] == context}
    faults = [f"{engine} has not decided" for engine in ENGINES if engine not in decided]
    faults += [
        f"{row['engine']} also decided in the context {row['context_id']}"
        for row in logged
        if row["context_id"] != context
    ]
    references = 0
    for engine, row in decided.items():
        found = [
            *_content_faults(row, runtime),
            *_input_faults(row, decided, view),
            *_output_faults(row, as_of_date, runtime),
        ]
        faults += [f"{engine}: {fault}" for fault in found]
        references += len(row["input_refs"]) + len(row["output_refs"])
    if faults:
        raise DecisionLogError(
            f"the decision log of {market_id} on {as_of_date} is not consistent: {'; '.join(faults)}",
            hint=f"`prometheus decisions --session {as_of_date}` shows it; run the engines named again",
        )
    return {
        "context_id": context,
        "decisions": {engine: row["decision_id"] for engine, row in sorted(decided.items())},
        "references": references,
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


def _input_faults(row: Row, decided: dict[str, Row], view: HistoricalView) -> list[str]:
    faults = []
    named = set()
    for ref in row["input_refs"]:
        if "decision_id" in ref:
            named.add(ref["engine"])
            upstream = decided.get(ref["engine"])
            if upstream is None or upstream["decision_id"] != ref["decision_id"]:
                faults.append(f"it was decided from a decision of {ref['engine']} that no longer stands")
        elif ref["store"] == "historical":
            day = date.fromisoformat(ref["date"])
            if day > row["as_of_date"]:
                faults.append(f"it used {ref['table']} of {day}, which is later than its date")
            elif not view.has(ref["table"], day):
                faults.append(f"its input {ref['table']} of {day} does not exist")
        elif "as_of_date" in ref and date.fromisoformat(ref["as_of_date"]) >= row["as_of_date"]:
            faults.append(
                f"it used {ref['table']} of {ref['as_of_date']}, which is not earlier than its date"
            )
    missing = [engine for engine in ENGINES.get(row["engine"], ()) if engine not in named]
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
    return faults if outputs else [*faults, "it left no rows"]
