"""`prometheus decisions`: what the engines decided for a session, from which inputs and configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prometheus.cli.face import AsJson, Home, NoColor, cell, open_face, parse_day, print_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = (
    "engine",
    "decision_id",
    "context_id",
    "as_of_date",
    "config_id",
    "input_refs",
    "proposed_action",
)
MOST_CHARACTERS = 160  # of a JSON value in a table; --json has all of it


def decisions(
    session: Annotated[str, typer.Option("--session", metavar="DATE", help="The session decided for.")],
    engine: Annotated[str | None, typer.Option("--engine", help="Only this engine.")] = None,
    market: Annotated[str | None, typer.Option("--market", help="Only this market.")] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """What the engines decided for a session, from which inputs and by which configuration."""
    from prometheus.orchestrator.views import decisions_of

    face = open_face(as_json, home, None, no_color)
    day = parse_day(session, "--session")
    rows = decisions_of(face.settings, day, engine, market)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    shown = table("engine", "decision", "context", "as of", "config", "inputs", "proposed action")
    for row in rows:
        values = _plain(row)
        shown.add_row(*(_short(name, values[name]) for name in COLUMNS))
    face.out.print(shown)
    face.err.print(f"{len(rows)} decisions for {day}; --json prints inputs and actions whole")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:  # rows of a database hold any type
    values = {name: row[name] for name in COLUMNS}
    values["as_of_date"] = row["as_of_date"].isoformat()
    return values | {name: row[name] for name in ("market_id", "run_id", "task", "output_refs")}


def _short(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if name in {"decision_id", "config_id", "context_id"} and len(text) > 16:
        return cell(text[:12])
    return cell(text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…")
