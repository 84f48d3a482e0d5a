"""`prometheus decisions`: what the engines decided for a session, from which inputs and configuration."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prometheus.cli.decided import decided, doubts
from prometheus.cli.face import AsJson, Home, NoColor, cell, open_face, parse_day, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rich.console import Console

    from prometheus.cli.face import Face

COLUMNS = (
    "engine",
    "decision_id",
    "context_id",
    "as_of_date",
    "config_id",
    "input_refs",
    "proposed_action",
)
# The order of a night; an engine of a desk's own comes after those that are shipped.
NIGHT = ("regime", "stability", "assessment", "universe", "portfolio")
SHORT_ID = 12  # characters of a hash: enough to tell two apart; --json has all of it


def decisions(
    session: Annotated[str, typer.Option("--session", metavar="DATE", help="The session decided for.")],
    engine: Annotated[str | None, typer.Option("--engine", help="Only this engine.")] = None,
    market: Annotated[str | None, typer.Option("--market", help="Only this market.")] = None,
    instrument: Annotated[
        str | None, typer.Option("--instrument", metavar="ID", help="Why it is held, or why not.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """What the engines decided for a session, from which inputs and by which configuration."""
    from prometheus.core.counting import counted
    from prometheus.orchestrator.views import decisions_of

    face = open_face(as_json, home, None, no_color)
    day = parse_day(session, "--session")
    if instrument is not None:
        _tell_story(face, day, instrument, market)
        return
    rows = sorted(decisions_of(face.settings, day, engine, market), key=_place)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    for row in rows:
        _show(face.out, row)
    face.err.print(
        f"{counted(len(rows), 'decision')} for {day}; --json prints inputs and actions whole, "
        "--instrument ID tells why one is held or not"
    )


def _place(row: Mapping[str, Any]) -> tuple[str, int, str]:
    engine = str(row["engine"])
    return str(row["market_id"]), NIGHT.index(engine) if engine in NIGHT else len(NIGHT), engine


def _show(out: Console, row: Mapping[str, Any]) -> None:
    """One decision: what was proposed, what to doubt, and where it comes from."""
    action = row["proposed_action"]
    out.print(cell(f"{row['engine']}: {decided(row['engine'], action)}"), style="bold", soft_wrap=True)
    for doubt in doubts(action):
        out.print(cell(f"    {doubt}"), style="yellow", soft_wrap=True)
    out.print(
        cell(
            f"    decision_id {row['decision_id'][:SHORT_ID]}  context_id {row['context_id']}  "
            f"as_of_date {row['as_of_date']}  config_id {row['config_id'][:SHORT_ID]}"
        ),
        style="dim",
        soft_wrap=True,
    )
    out.print(cell(f"    input_refs {_inputs(row['input_refs'])}"), style="dim", soft_wrap=True)


def _inputs(refs: Sequence[Mapping[str, Any]]) -> str:
    """Decisions by engine and id, rows by table and date."""
    from prometheus.core.counting import counted

    found = []
    for ref in refs:
        if "decision_id" in ref:
            found.append(f"{ref['engine']} {ref['decision_id'][:SHORT_ID]}")
        else:
            day = ref.get("date", ref.get("as_of_date"))
            found.append(f"{ref['table']}{'' if day is None else f' {day}'} ({counted(ref['rows'], 'row')})")
    return ", ".join(found)


def _tell_story(face: Face, day: date, instrument: str, market: str | None) -> None:
    from prometheus.orchestrator.views import story_of

    story = story_of(face.settings, day, instrument, market)
    if face.as_json:
        print_json(asdict(story) | {"as_of_date": day.isoformat()})
        return
    face.out.print(cell(story.answer), style="bold", soft_wrap=True)
    for step in story.steps:
        told = "" if step.decision_id is None else f"  [{step.decision_id[:SHORT_ID]}]"
        face.out.print(cell(f"    {step.engine:<11} {step.says}{told}"), soft_wrap=True)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:  # rows of a database hold any type
    values = {name: row[name] for name in COLUMNS}
    values["as_of_date"] = row["as_of_date"].isoformat()
    return values | {name: row[name] for name in ("market_id", "run_id", "task", "output_refs")}
