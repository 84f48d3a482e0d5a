"""`prometheus db`: make the stores, ask whether they are well, bring them up to date, keep them in shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import (
    AsJson,
    Face,
    Home,
    LedgerUrl,
    NoColor,
    cell,
    open_face,
    parse_day,
    print_json,
    table,
)

if TYPE_CHECKING:
    from datetime import date

    from prometheus.core.ids import Json
    from prometheus.housekeeping.retention import Span
    from prometheus.stores.runtime import Claim, RuntimeDb

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]

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


@app.command()
def compact(
    dry_run: DryRun = False, as_json: AsJson = False, home: Home = None, no_color: NoColor = False
) -> None:
    """Fold the small files of the historical tables; rows, versions and write fences stay."""
    from prometheus.housekeeping.tables import compact as fold

    face = open_face(as_json, home, None, no_color)
    settings = face.settings
    done = fold(settings.historical_path, files_at_least=settings.retention.files, dry_run=dry_run)
    headings = ("table", "files_before", "files_after", "bytes", "action")
    _show(face, "tables", [each.as_json() for each in done], headings, dry_run)


@app.command()
def vacuum(
    dry_run: DryRun = False, as_json: AsJson = False, home: Home = None, no_color: NoColor = False
) -> None:
    """Remove files that neither a young version nor a retained replay needs ([retention] in the settings)."""
    from prometheus.housekeeping.retention import Retention
    from prometheus.housekeeping.tables import vacuum as sweep
    from prometheus.housekeeping.tables import versions_read
    from prometheus.stores.runtime import RuntimeDb

    face = open_face(as_json, home, None, no_color)
    retention = Retention.of(face.settings.retention)
    headings = ("table", "files", "bytes", "kept_versions", "action")
    if retention.versions.count is None:
        face.err.print("retention.versions is forever: nothing is removed")
        _show(face, "tables", [], headings, dry_run)
        return
    since = _begin(face, retention.replays)
    runtime = RuntimeDb(face.settings.runtime_url)
    try:
        read = versions_read(runtime, since)
    finally:
        runtime.close()
    done = sweep(
        face.settings.historical_path,
        days=retention.versions.count,
        replays_since=since,
        read_by_engines=read,
        dry_run=dry_run,
    )
    _show(face, "tables", [each.as_json() for each in done], headings, dry_run)


@app.command()
def archive(
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="Rows of earlier sessions go. [retention.decisions]"),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Put old rows of runtime_db aside into Parquet files, listed with their checksums."""
    from prometheus.housekeeping.archive import archive_before
    from prometheus.housekeeping.retention import Retention

    face = open_face(as_json, home, None, no_color)
    if before is None:
        first = _begin(face, Retention.of(face.settings.retention).decisions)
    else:
        first = parse_day(before, "--before")
    if first is None:
        face.err.print("retention.decisions is forever: nothing is put aside; --before DATE asks for it")
        _show(face, "archives", [], _ARCHIVE_HEADINGS, dry_run)
        return
    with _by_hand(face) as (runtime, claim):
        done = archive_before(runtime, claim, face.settings.archive_path, first, dry_run=dry_run)
    _show(face, "archives", [each.as_json() for each in done], _ARCHIVE_HEADINGS, dry_run)


@app.command()
def restore(
    archives: Annotated[
        list[str] | None, typer.Argument(metavar="[ARCHIVE]...", help="Ids of archives. [all of the dates]")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First session wanted.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last session wanted.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Bring archived rows back into runtime_db, to the last bit; the files stay."""
    from prometheus.core.errors import UserError
    from prometheus.housekeeping.archive import restore as bring_back

    face = open_face(as_json, home, None, no_color)
    if not archives and since is None and until is None:
        raise UserError(
            "nothing was named to bring back",
            allowed="ids of archives, or --from and --to",
            hint="`prometheus db restore --from 1970-01-01 --dry-run` lists every archive",
        )
    first, last = (
        None if day is None else parse_day(day, flag) for day, flag in ((since, "--from"), (until, "--to"))
    )
    with _by_hand(face) as (runtime, claim):
        done = bring_back(
            runtime, claim, archive_ids=tuple(archives or ()), since=first, until=last, dry_run=dry_run
        )
    _show(face, "archives", [each.as_json() for each in done], _ARCHIVE_HEADINGS, dry_run)


_ARCHIVE_HEADINGS = ("archive_id", "table", "first_date", "last_date", "rows", "path")


@contextmanager
def _by_hand(face: Face) -> Iterator[tuple[RuntimeDb, Claim]]:
    """runtime_db with a claim of the person's own: of two who do this at once, the later one goes on."""
    from prometheus.stores.runtime import RuntimeDb

    runtime = RuntimeDb(face.settings.runtime_url)
    try:
        task = "housekeeping.by_hand"
        yield runtime, runtime.claim(task, (runtime.claimed_by(task) or 0) + 1)
    finally:
        runtime.close()


def _begin(face: Face, span: Span) -> date | None:
    """The first day that `span` keeps, counted from the newest decided session; None if it keeps all."""
    from datetime import date

    from prometheus.core.time import TradingCalendar
    from prometheus.stores.runtime import RuntimeDb

    if span.is_forever:
        return None
    runtime = RuntimeDb(face.settings.runtime_url)
    try:
        newest = runtime.last_date("engine_decisions", before=date.max)
        markets = sorted(row["market_id"] for row in runtime.rows("markets"))
    finally:
        runtime.close()
    if newest is None:
        return None
    return span.begin(newest, TradingCalendar(markets[0] if markets else "US_EQ"))


def _show(
    face: Face, what: str, rows: Sequence[dict[str, Json]], headings: Sequence[str], dry_run: bool
) -> None:
    if face.as_json:
        print_json({"dry_run": dry_run, what: list(rows)})
        return
    shown = table(*(heading.replace("_", " ") for heading in headings))
    for row in rows:
        shown.add_row(*(cell(row[heading]) for heading in headings))
    face.out.print(shown)
    if dry_run:
        face.err.print("nothing was changed: this was a dry run")


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
