"""What an engine hands back: rows to keep, the decision they carry out, and what it was decided from.

An engine only reads. `record` writes its outcome in one transaction, so a decision never stands without its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any

import polars as pl
import sqlalchemy as sa

from prometheus.core.errors import DataError, UserError
from prometheus.core.ids import Json, canonical_json
from prometheus.stores.decisions import Decision
from prometheus.stores.desk import Desk
from prometheus.stores.runtime import Row, RuntimeDb

# Numbers are kept and hashed to this many digits: more than any decision needs, fewer than two machines' linear
# algebra agrees on.
DIGITS = 9


class MissingDecisionError(UserError):
    """An engine needs the decision of another one that has not decided for this session."""


class ShortHistoryError(DataError):
    """There are too few sessions before the one asked for."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """All the rows of runtime table `table` whose columns equal `key`; rows need not repeat the key."""

    table: str
    key: Mapping[str, object]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`action` is what is proposed, as JSON (None: a report that decides nothing, so no decision is kept);
    `summary` is the job's small answer to whoever watches.
    """

    engine: str
    market_id: str
    as_of_date: date
    config: Mapping[str, Json]
    tables: tuple[TableRows, ...]
    input_refs: tuple[Json, ...]
    action: Mapping[str, Json] | None
    summary: Mapping[str, Json]


def context_id_of(market_id: str, as_of_date: date) -> str:
    """The name that all decisions of one night share."""
    return f"{market_id}.{as_of_date.isoformat()}"


def record(
    desk: Desk,
    outcome: Outcome,
    *,
    run_id: str,
    task: str,
    implementation: str | None = None,
    versions: Mapping[str, int] | None = None,
) -> dict[str, Json]:
    """Keep configuration, rows and decision in one transaction under the attempt's claim; returns the job's answer.

    `implementation` names an engine that is not the shipped one; it is kept with the configuration. `versions` of the
    historical tables that it read are kept beside the decision, so that it can be made again as it was. If the night's data
    was found to be of less quality than it should be, decision and answer say so under "degraded".
    Raises `ClaimLostError` if a later attempt has taken over: nothing is kept then.
    """
    runtime = desk.runtime
    config = dict(outcome.config) if implementation is None else {**outcome.config, "use": implementation}
    doubts = doubts_of(runtime, outcome)
    marked: dict[str, Json] = {"degraded": doubts} if doubts else {}
    with desk.writer.commit() as connection:
        config_id = runtime.record_config(connection, outcome.engine, config)
        outputs = []
        for part in outcome.tables:
            rows = [{**row, "config_id": config_id, "run_id": run_id} for row in part.rows]
            runtime.replace(connection, part.table, part.key, rows)
            outputs.append(output_ref(part, rows))
        if versions is not None:
            _record_versions(runtime, connection, outcome, versions, run_id)
        decision = decision_from(outcome, config_id, outputs, doubts, run_id, task)
        if decision is None:
            return {**outcome.summary, **marked}
        decision_id = runtime.record_decision(connection, decision)
    return {**outcome.summary, **marked, "decision_id": decision_id}


def output_ref(part: TableRows, rows: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """A reference to rows that a decision left, with their digest."""
    key = {name: str(value) for name, value in part.key.items()}
    return {"table": part.table, "key": key, "rows": len(rows), "digest": rows_digest(rows, part.key)}


def decision_from(
    outcome: Outcome, config_id: str, outputs: Json, doubts: Sequence[str], run_id: str, task: str
) -> Decision | None:
    """The decision that an outcome carries, as it is kept; None for a report. `doubts` are those of `doubts_of`."""
    if outcome.action is None:
        return None
    return Decision(
        engine=outcome.engine,
        context_id=context_id_of(outcome.market_id, outcome.as_of_date),
        as_of_date=outcome.as_of_date,
        market_id=outcome.market_id,
        config_id=config_id,
        input_refs=list(outcome.input_refs),
        output_refs=outputs,
        proposed_action={**outcome.action, **({"degraded": list(doubts)} if doubts else {})},
        run_id=run_id,
        task=task,
    )


def _record_versions(
    runtime: RuntimeDb,
    connection: sa.Connection,
    outcome: Outcome,
    versions: Mapping[str, int],
    run_id: str,
) -> None:
    key = {
        "as_of_date": outcome.as_of_date,
        "market_id": outcome.market_id,
        "engine": outcome.engine,
    }
    rows = [{"table_name": name, "version": number, "run_id": run_id} for name, number in versions.items()]
    runtime.replace(connection, "table_versions", key, rows)


def degraded(runtime: RuntimeDb, as_of_date: date, market_id: str) -> list[str]:
    """What was wrong with the session's data and did not stop the night: "dataset: finding", in order."""
    found = runtime.rows("data_quality", as_of_date=as_of_date, market_id=market_id, verdict="degraded")
    return [f"{row['dataset']}: {finding}" for row in found for finding in row["findings"]]


def doubts_of(runtime: RuntimeDb, outcome: Outcome) -> list[str]:
    """What was `degraded` of the outcome's own session, and of the newest one of each other market that it refers to.

    The latter begin with the market's name.
    """
    nights: dict[str, date] = {}
    for ref in outcome.input_refs:
        if "market" in ref:
            day = date.fromisoformat(ref["date"])
            nights[ref["market"]] = max(day, nights.get(ref["market"], day))
    found = degraded(runtime, outcome.as_of_date, outcome.market_id)
    for market, day in sorted(nights.items()):
        found += [f"{market} {finding}" for finding in degraded(runtime, day, market)]
    return found


def decision_if_any(runtime: RuntimeDb, engine: str, as_of_date: date, market_id: str) -> Row | None:
    """What `engine` decided for the session, or None: for what a desk may do without."""
    wanted = context_id_of(market_id, as_of_date)
    for row in runtime.decisions(as_of_date, market_id, engine):
        if row["context_id"] == wanted:
            return row
    return None


def decision_of(runtime: RuntimeDb, engine: str, as_of_date: date, market_id: str) -> Row:
    """What `engine` decided for the session; raises `MissingDecisionError` if nothing."""
    found = decision_if_any(runtime, engine, as_of_date, market_id)
    if found is not None:
        return found
    raise MissingDecisionError(
        f"the {engine} engine has not decided for {market_id} on {as_of_date}",
        hint=f"run its job for {as_of_date} first; `prometheus decisions --session {as_of_date}` lists what there is",
    )


def decision_ref(row: Row) -> dict[str, Json]:
    """A reference to another engine's decision."""
    return {"store": "runtime", "engine": row["engine"], "decision_id": row["decision_id"]}


def historical_ref(table: str, frame: pl.DataFrame, day: date) -> dict[str, Json]:
    """A reference to the rows of `day` in a historical table, with a digest of those given in `frame`."""
    rows = frame.filter(pl.col("date") == day)
    return {
        "store": "historical",
        "table": table,
        "date": day.isoformat(),
        "rows": rows.height,
        "digest": digest([list(row) for row in rows.rows()]),
    }


def earlier_ref(table: str, day: date, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Json]:
    """A reference to what an earlier night had left in a runtime table."""
    return {
        "store": "runtime",
        "table": table,
        "as_of_date": day.isoformat(),
        "rows": len(rows),
        "digest": digest([[row[name] for name in columns] for row in rows]),
    }


def digest(rows: Sequence[Sequence[object]]) -> str:
    """16 hex digits of values, floats taken to `DIGITS` significant digits."""
    state = blake2b(digest_size=8)
    for row in rows:
        for value in row:
            text = f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
            state.update(text.encode() + b"\x1f")
        state.update(b"\x1e")
    return state.hexdigest()


def rows_digest(rows: Sequence[Mapping[str, Any]], key: Iterable[str]) -> str:
    """16 hex digits of rows of a runtime table, in any order, without the `key` they share and without who wrote them."""
    left_out = {*key, "run_id"}
    texts = sorted(
        canonical_json({name: _plain(value) for name, value in row.items() if name not in left_out})
        for row in rows
    )
    return digest([texts])


def _plain(value: object) -> Json:
    return value.isoformat() if isinstance(value, date) else value


def rounded(value: float) -> float:
    """`value` to `DIGITS` significant digits: what is kept."""
    return float(f"{value:.{DIGITS}g}")
