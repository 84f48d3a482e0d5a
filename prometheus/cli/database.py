"""`prometheus db`: make the stores, ask whether they are well, bring them up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from prometheus.cli.face import AsJson, Face, Home, LedgerUrl, NoColor, cell, open_face, print_json, table

if TYPE_CHECKING:
    from prometheus.core.ids import Json

app = typer.Typer(help="The ledger and the desk's stores.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def init(
    as_json: AsJson = False, home: Home = None, ledger: LedgerUrl = None, no_color: NoColor = False
) -> None:
    """Make the ledger, runtime_db and the folder of historical_db, where they are not there yet."""
    face = open_face(as_json, home, ledger, no_color)
    _prepare(face)


@app.command()
def upgrade(
    as_json: AsJson = False, home: Home = None, ledger: LedgerUrl = None, no_color: NoColor = False
) -> None:
    """Bring the ledger's and runtime_db's tables to this version; the nights in them stay."""
    face = open_face(as_json, home, ledger, no_color)
    _prepare(face)


@app.command()
def health(
    as_json: AsJson = False, home: Home = None, ledger: LedgerUrl = None, no_color: NoColor = False
) -> None:
    """Ask every store whether it is well; changes nothing."""
    from prometheus.stores.health import desk_health

    face = open_face(as_json, home, ledger, no_color)
    report = desk_health(face.settings)
    if as_json:
        print_json(report.as_json())
    else:
        shown = table("store", "check", "state", "", "cure")
        for check in report.checks:
            shown.add_row(check.store, check.name, check.state, cell(check.detail), cell(check.hint or ""))
        face.out.print(shown)
        face.err.print("all is well" if report.ok else f"{len(report.failures)} checks failed")
    raise typer.Exit(0 if report.ok else 1)


def _prepare(face: Face) -> None:
    """Both verbs do the same: what is missing is made, what is old is brought up to date."""
    from prometheus.ledger.opening import migrate, schema_revision
    from prometheus.orchestrator.views import exists
    from prometheus.stores.runtime import RuntimeDb

    settings, rows = face.settings, list[dict[str, "Json"]]()
    before = schema_revision(settings.ledger_url) if exists(settings.ledger_url) else None
    migrate(settings.ledger_url)
    rows.append(_row("ledger", settings.ledger_url, before, schema_revision(settings.ledger_url)))
    store = RuntimeDb(settings.runtime_url)
    try:
        before = store.revision() if exists(settings.runtime_url) else None
        rows.append(_row("runtime_db", settings.runtime_url, before, store.upgrade()))
    finally:
        store.close()
    folder = settings.historical_path
    was_there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    done = "was there" if was_there else "made"
    rows.append({"store": "historical_db", "place": str(folder), "revision": None, "done": done})
    if face.as_json:
        print_json({"stores": rows})
        return
    shown = table("store", "place", "tables", "")
    for row in rows:
        shown.add_row(row["store"], cell(row["place"]), row["revision"] or "", row["done"])
    face.out.print(shown)


def _row(store: str, place: str, before: str | None, after: str | None) -> dict[str, Json]:
    done = "made" if before is None else "was up to date" if before == after else f"brought up from {before}"
    return {"store": store, "place": place, "revision": after, "done": done}
