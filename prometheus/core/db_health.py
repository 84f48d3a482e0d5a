"""Are the databases well? Asked before the open and by `prometheus db health`.

The caller says what there is: SQL databases by url, and probes for stores of other kinds (`stores.health` has the one
for Delta tables), because this room knows no store. Nothing is created, migrated or repaired by asking. SQLAlchemy is
loaded only when a database is looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote

from prometheus.core.ids import Json

if TYPE_CHECKING:
    import sqlalchemy as sa

State = Literal["ok", "absent", "failed"]

# Below this a night's commits may run out of disk halfway.
LEAST_FREE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `absent` = not made yet, which is no fault before the first night."""

    store: str
    name: str
    state: State
    detail: str
    hint: str | None = None


# Looks at one store and says what it saw; it must not raise for a sick one.
Probe: TypeAlias = Callable[[], Sequence[Check]]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Every check that was made, in order."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True if no check failed; a store that does not exist yet is no failure."""
        return all(check.state != "failed" for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.state == "failed")

    def as_json(self) -> Json:
        checks = [
            {"store": c.store, "check": c.name, "state": c.state, "detail": c.detail, "hint": c.hint}
            for c in self.checks
        ]
        return {"ok": self.ok, "checks": checks}


@dataclass(frozen=True, slots=True)
class Database:
    """A SQL database to look at. `head` is the migration it should be at, `counted` are tables whose rows are told."""

    name: str
    url: str
    head: str | None = None
    schema: str | None = None  # on PostgreSQL; None = the default
    counted: tuple[str, ...] = ()


def check(*, databases: Iterable[Database] = (), probes: Iterable[Probe] = ()) -> HealthReport:
    """Look at the databases, then at what each probe looks at; never raises for a sick store, it says so."""
    checks: list[Check] = []
    for database in databases:
        checks += check_database(database)
    for probe in probes:
        checks += probe()
    return HealthReport(tuple(checks))


def check_folder(store: str, folder: Path) -> list[Check]:
    """Is a store's folder writable, and is there room on its disk?"""
    return [_writable(store, folder), _room(store, folder)]


def check_database(database: Database) -> list[Check]:
    """Reachable, at its migration, whole (SQLite: quick_check, journal mode), and how many rows `counted` have."""
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    store = database.name
    try:
        url = sa.make_url(database.url)
    except SQLAlchemyError as error:
        return [Check(store, "url", "failed", f"{database.url!r} cannot be read: {error}")]
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    checks: list[Check] = []
    if file is not None:
        if not file.is_file():
            return [
                Check(store, "file", "absent", f"{file} does not exist yet", "`prometheus db init` makes it")
            ]
        checks += check_folder(store, file.parent)
        # mode=ro: asking must not create a journal, or upgrade anything.
        url = url.set(
            drivername="sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"}
        )
    shown = str(file) if file is not None else url.render_as_string(hide_password=True)
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            if database.schema is not None and file is None:
                connection.execute(sa.text(f"SET search_path TO {database.schema}"))
            checks.append(Check(store, "reachable", "ok", shown))
            if file is not None:
                checks += _sqlite(store, connection)
            checks += _contents(database, connection, file is None)
    except ImportError as error:
        checks.append(
            Check(store, "driver", "failed", f"{shown}: {error}", "install prometheus-desk[postgres]")
        )
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        checks.append(
            Check(store, "reachable", "failed", f"{shown}: {cause}", "see that it runs; check the url")
        )
    return checks


def _sqlite(store: str, connection: sa.Connection) -> list[Check]:
    mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
    journal = Check(store, "journal", "ok", "WAL")
    if mode != "wal":
        journal = Check(
            store, "journal", "failed", f"mode is {mode!r}, not WAL", "`prometheus db upgrade` sets it"
        )
    answers = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(5)")]
    if answers == ["ok"]:
        return [journal, Check(store, "integrity", "ok", "quick_check passed")]
    detail = "; ".join(answers[:5])
    return [
        journal,
        Check(store, "integrity", "failed", detail, "stop everything and restore the file from a backup"),
    ]


def _contents(database: Database, connection: sa.Connection, has_schemas: bool) -> list[Check]:
    import sqlalchemy as sa

    store, checks = database.name, []
    tables = set(sa.inspect(connection).get_table_names(schema=database.schema if has_schemas else None))
    revision = None
    if "alembic_version" in tables:
        revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None:
        checks.append(Check(store, "layout", "absent", "no tables yet", "`prometheus db init` makes them"))
    elif database.head is not None and revision != database.head:
        detail = f"at migration {revision}, not {database.head}"
        checks.append(Check(store, "layout", "failed", detail, "run `prometheus db upgrade`"))
    else:
        checks.append(Check(store, "layout", "ok", f"at migration {revision}"))
    for name in database.counted:
        if name in tables:
            count = connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar()
            checks.append(Check(store, f"table {name}", "ok", f"{count} rows"))
    return checks


def _writable(store: str, folder: Path) -> Check:
    if os.access(folder, os.W_OK | os.X_OK):
        return Check(store, "writable", "ok", str(folder))
    return Check(
        store, "writable", "failed", f"{folder} cannot be written", "correct its owner or permissions"
    )


def _room(store: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    text = f"{free // (1024 * 1024)} MiB free on the disk of {folder}"
    if free < LEAST_FREE_BYTES:
        return Check(store, "room", "failed", text, f"free at least {LEAST_FREE_BYTES // (1024 * 1024)} MiB")
    return Check(store, "room", "ok", text)
