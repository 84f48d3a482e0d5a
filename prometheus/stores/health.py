"""Are the desk's own stores well? What `prometheus db health` and the job before the open ask."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import unquote

from prometheus.core.counting import counted
from prometheus.core.db_health import Check, Database, HealthReport, check, check_folder
from prometheus.core.settings import Settings
from prometheus.stores import schema

_STORE = "historical"


def desk_health(settings: Settings) -> HealthReport:
    """The health of historical_db, runtime_db and the ledger. Works without the [desk] libraries, and says so."""
    runtime = Database(
        "runtime",
        settings.runtime_url,
        head=schema.HEAD,
        schema=schema.POSTGRES_SCHEMA,
        counted=("claims", "engine_decisions", "refused_writes"),
    )
    ledger = Database("ledger", settings.ledger_url)
    return check(databases=[ledger, runtime], probes=[partial(check_historical, settings.historical_path)])


def check_historical(root: Path) -> list[Check]:
    """The folder (writable, room on disk) and every Delta table in it: version, rows, last date, files all there."""
    if not root.is_dir():
        return [Check(_STORE, "folder", "absent", f"{root} does not exist yet", "the first night makes it")]
    checks = check_folder(_STORE, root)
    names = sorted(path.name for path in root.iterdir() if (path / "_delta_log").is_dir())
    if not names:
        return [
            *checks,
            Check(_STORE, "tables", "absent", f"no table in {root} yet", "the first night makes them"),
        ]
    return [*checks, *(_check_table(root / name) for name in names)]


def _check_table(path: Path) -> Check:
    name = f"table {path.name}"
    hint = "restore the folder from a backup, or remove it and run the nights again"
    try:
        # Here, not above: `prometheus db health` must also answer where the [desk] libraries are not installed.
        import polars as pl

        from prometheus.stores.delta import DeltaTable

        handle = DeltaTable(path)
        files = [path / unquote(str(uri)) for uri in handle.get_add_actions(flatten=True)["path"].to_pylist()]
        lost = [file for file in files if not file.is_file()]
        if lost:
            return Check(
                _STORE, name, "failed", f"{len(lost)} of {len(files)} data files are gone: {lost[0]}", hint
            )
        told = (
            pl.scan_delta(handle).select(pl.len().alias("rows"), pl.col("date").max().alias("last")).collect()
        )
    except ImportError as error:
        return Check(_STORE, name, "failed", f"cannot be read: {error}", "install prometheus-desk[desk]")
    except Exception as error:  # noqa: BLE001 - two libraries, each with its own errors; all mean "sick", and are told
        return Check(_STORE, name, "failed", f"cannot be read: {error}", hint)
    rows, last = told.row(0)
    held = f"{counted(rows, 'row')} and {counted(len(files), 'file')}"
    detail = f"version {handle.version()}, {held}, last date {last}"
    return Check(_STORE, name, "ok", detail)
