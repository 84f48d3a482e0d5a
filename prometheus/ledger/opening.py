"""The door to every ledger: an URL goes in, a ledger with the newest tables comes out, or a sentence says why not.

A fresh ledger's tables are made from the metadata and stamped with the newest revision; Alembic is loaded only when an
older ledger has to be brought up to date.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from prometheus.core.errors import StoreError
from prometheus.ledger import tables
from prometheus.ledger.backend import Backend
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.sql import SqlLedger

BEFORE_THE_FIRST = ""  # revision of a ledger whose every migration was taken back
ALLOWED = "sqlite:///path/to/ledger.db, postgresql+psycopg://user@host/database, memory:"


def open_ledger(url: str, *, create: bool = True) -> Ledger:
    """The ledger at `url`, made or brought up to date where needed; `memory:` is one that ends with its process.

    With `create=False` a ledger that is not there is an error, and nothing is written: for those who only look.
    Raises `StoreError` for an URL that names none, a file that is none, one of a newer program, one that may not be
    written, and `LedgerUnavailableError` where trying again may help.
    """
    if url == "memory:":
        return MemoryLedger()
    backend = _backend(url, create)
    try:
        found = _revision(backend)
        if found != tables.HEAD:
            if found is None and not create:
                raise _absent(backend)
            _upgrade(backend, found)
        return SqlLedger(backend)
    except BaseException:
        backend.engine.dispose()
        raise


def schema_revision(url: str) -> str | None:
    """The revision of the tables at `url`; None where there is no ledger. `tables.HEAD` is this program's own."""
    backend = _backend(url, create=False)
    try:
        return _revision(backend)
    finally:
        backend.engine.dispose()


def migrate(url: str) -> None:
    """Bring the ledger at `url` to this program's tables, all or nothing; a fresh one is made.

    Raises `LeaseHeldError` while somebody leads it, `StoreError` for one of a newer program.
    """
    backend = _backend(url, create=True)
    try:
        found = _revision(backend)
        if found != tables.HEAD:
            _upgrade(backend, found)
    finally:
        backend.engine.dispose()


def _backend(url: str, create: bool) -> Backend:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is not the URL of a ledger", allowed=ALLOWED) from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_backend(parsed, create)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        from prometheus.ledger.postgres import PostgresBackend

        return PostgresBackend(parsed.set(drivername="postgresql+psycopg"))
    raise StoreError(f"a ledger cannot be kept in {parsed.drivername!r}", allowed=ALLOWED)


def _sqlite_backend(url: sa.URL, create: bool) -> Backend:
    from prometheus.ledger.sqlite import SqliteBackend

    if not url.database or url.database.startswith((":memory:", "file:")) or url.query:
        raise StoreError(
            f"the ledger's URL {url.render_as_string()!r} names no file",
            allowed=ALLOWED,
            hint="a ledger must survive its process; `memory:` is the one that need not",
        )
    path = Path(url.database).expanduser().absolute()
    if path.is_dir():
        raise StoreError(
            f"the ledger {path} is a folder", hint=f"name a file in it, such as {path / 'ledger.db'}"
        )
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder of the ledger {path} cannot be made ({error.strerror})",
                hint="set [ledger] url or PROMETHEUS_HOME to a place that you may write",
            ) from error
    elif not path.exists():
        raise StoreError(f"there is no ledger at {path}", hint="it is made by the first run")
    return SqliteBackend(path)


def _absent(backend: Backend) -> StoreError:
    return StoreError(f"there is no ledger in {backend.name}", hint="it is made by the first run")


def _revision(backend: Backend) -> str | None:
    """The revision of the tables; None for a database without any. `StoreError` for one that is no ledger of ours."""
    try:
        with backend.engine.connect() as connection:
            names = set(sa.inspect(connection).get_table_names())
            found = _revision_within(connection)
    except (sa.exc.DBAPIError, backend.driver_error) as error:
        raise _explained(backend, error) from error
    if found is None and names:
        raise StoreError(
            f"{backend.name} is a database but not a ledger (it has {', '.join(sorted(names)[:3])}, ...)",
            hint="give the ledger a path or database of its own",
        )
    if found is not None and found > tables.HEAD:
        raise StoreError(
            f"the ledger {backend.name} was written by a newer program (tables {found})",
            allowed=f"tables up to {tables.HEAD}",
            hint="install the newer version of prometheus-desk again",
        )
    return found


def _upgrade(backend: Backend, found: str | None) -> None:
    """From `found` to HEAD in one transaction; an older ledger only while nobody leads it."""
    writer = None
    try:
        if found is not None:
            writer = backend.engine.raw_connection()
            assert writer.dbapi_connection is not None
            backend.take_lease(writer.dbapi_connection, "an upgrade of its tables", 0)
        with backend.making() as connection:
            now = _revision_within(connection)  # asked again: another process may just have made them
            if now is None:
                _make(connection)
            elif now != tables.HEAD:
                _run_migrations(connection)
    except (sa.exc.DBAPIError, backend.driver_error) as error:
        raise _explained(backend, error) from error
    finally:
        if writer is not None:
            backend.drop_lease(writer.dbapi_connection)
            writer.close()


def _revision_within(connection: sa.Connection) -> str | None:
    if tables.VERSION_TABLE not in sa.inspect(connection).get_table_names():
        return None
    version = sa.table(tables.VERSION_TABLE)
    found: str | None = connection.execute(
        sa.select(sa.column("version_num", sa.String)).select_from(version)
    ).scalar()
    return found or BEFORE_THE_FIRST


def _make(connection: sa.Connection) -> None:
    """Every table at once, as `migrations/` would leave them."""
    tables.metadata.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(tables.leader).values(id=1, epoch=0, owner="", taken_at_us=0, released=1))
    name = tables.VERSION_TABLE
    version = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name=f"{name}_pkc"),
    )
    version.create(connection)
    connection.execute(sa.insert(version).values(version_num=tables.HEAD))


def _run_migrations(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "prometheus.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, tables.HEAD)


def _explained(backend: Backend, error: Exception) -> StoreError:
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return backend.explain(origin if isinstance(origin, Exception) else error)
