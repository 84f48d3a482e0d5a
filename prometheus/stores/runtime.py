"""runtime_db: what the engines decided, in SQLite or PostgreSQL through SQLAlchemy Core, fenced by claims.

A claim (task, attempt) is raised when an attempt starts and checked inside the transaction that commits its rows, so
the late write of an attempt that was taken for dead is refused whole. Rows carry no clock and no random id: the same
night gives the same rows anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from sqlite3 import OperationalError
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from prometheus.core.errors import StoreError
from prometheus.core.ids import canonical_json, content_hash
from prometheus.stores import schema
from prometheus.stores.decisions import Decision

# A row as engines see it: column name -> value. JSON columns hold any JSON value.
Row = dict[str, Any]

# The longest wait for another process's commit. A desk's own commits last milliseconds.
BUSY_TIMEOUT_SECONDS = 30


class ClaimLostError(StoreError):
    """A later attempt of the task holds the claim: this attempt was overtaken, and nothing it wrote was kept."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one attempt to write for its task, until a later attempt raises it."""

    task_id: str
    attempt: int


class RuntimeDb:
    """The tables of `stores.schema`. A new database is made ready at first use; an older layout is refused."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._ready = False

    # Writing.

    def claim(self, task_id: str, attempt: int) -> Claim:
        """Raise the claim of `task_id` to `attempt` (again, if it holds it); atomic and durable.

        Raises `ClaimLostError` if a later attempt holds it.
        """
        if attempt < 1:
            raise StoreError(f"attempt {attempt} cannot claim {task_id!r}", allowed="attempts count from 1")
        table = schema.claims
        make = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        statement = make(table).values(task_id=task_id, attempt=attempt)
        raised = statement.on_conflict_do_update(
            index_elements=[table.c.task_id],
            set_={"attempt": statement.excluded.attempt},
            where=table.c.attempt <= statement.excluded.attempt,
        )
        with self._write() as connection:
            connection.execute(raised)
            held_by = _holder(connection, task_id)
        if held_by != attempt:
            self._refuse(task_id, attempt, held_by)
        return Claim(task_id, attempt)

    @contextmanager
    def commit(self, claim: Claim) -> Iterator[sa.Connection]:
        """One transaction, kept only if `claim` still holds; all or nothing.

        Raises `ClaimLostError`, and records the refusal in `refused_writes`, if a later attempt has taken over.
        """
        with self._write() as connection:
            held_by = _holder(connection, claim.task_id)
            if held_by == claim.attempt:
                yield connection
        if held_by != claim.attempt:
            self._refuse(claim.task_id, claim.attempt, held_by)

    def replace(
        self,
        connection: sa.Connection,
        table: str,
        key: Mapping[str, object],
        rows: Sequence[Mapping[str, Any]],
    ) -> int:
        """Make `rows` all the rows of `table` whose columns equal `key`; returns how many there are now.

        `key` is added to each row, so rows need not repeat it.
        """
        target = _table(table)
        if not key:
            raise StoreError(
                f"replacing all of runtime table {table!r} is not done by accident", allowed="a key"
            )
        connection.execute(sa.delete(target).where(*_equals(target, key)))
        if rows:
            connection.execute(sa.insert(target), [{**row, **key} for row in rows])
        return len(rows)

    def put(self, connection: sa.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert `rows`, or update those whose primary key exists (reference data: markets, instruments)."""
        target = _table(table)
        if not rows:
            return 0
        make = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        statement = make(target)
        keys = [column.name for column in target.primary_key]
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))
        return len(rows)

    def insert(self, connection: sa.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert `rows`, none of which may be there yet."""
        if rows:
            connection.execute(sa.insert(_table(table)), list(rows))
        return len(rows)

    def remove_between(self, connection: sa.Connection, table: str, first: date, last: date) -> int:
        """Delete the rows of `table` with an `as_of_date` from `first` to `last`; returns how many there were."""
        target = _table(table)
        done = connection.execute(sa.delete(target).where(target.c.as_of_date.between(first, last)))
        return int(done.rowcount)

    def record_config(self, connection: sa.Connection, engine: str, config: Mapping[str, Any]) -> str:
        """Keep an engine's configuration; returns its `config_id`, the hash of engine and configuration."""
        config_id = content_hash({"engine": engine, "config": config})
        self.put(
            connection,
            "engine_configs",
            [{"config_id": config_id, "engine": engine, "config": json.loads(canonical_json(config))}],
        )
        return config_id

    def record_decision(self, connection: sa.Connection, decision: Decision) -> str:
        """Keep what an engine decided, in place of what it had decided before for the same date and context."""
        key = {
            "as_of_date": decision.as_of_date,
            "market_id": decision.market_id,
            "engine": decision.engine,
            "context_id": decision.context_id,
        }
        self.replace(connection, "engine_decisions", key, [decision.row()])
        return decision.decision_id

    # Reading: what was decided for a date, never later.

    def rows(self, table: str, **equals: object) -> list[Row]:
        """Rows of `table` whose columns equal the given values, in the order of its primary key."""
        target = _table(table)
        statement = sa.select(target).where(*_equals(target, equals)).order_by(*target.primary_key)
        return self._read(statement)

    def rows_between(
        self, table: str, first: date, last: date, *, connection: sa.Connection | None = None
    ) -> list[Row]:
        """Rows with an `as_of_date` from `first` to `last`, in the order of the primary key."""
        target = _table(table)
        statement = (
            sa.select(target).where(target.c.as_of_date.between(first, last)).order_by(*target.primary_key)
        )
        if connection is None:
            return self._read(statement)
        return [dict(row) for row in connection.execute(statement).mappings()]

    def dates(self, table: str, *, before: date) -> list[date]:
        """The dates earlier than `before` that have rows, ascending."""
        column = _table(table).c.as_of_date
        found = self._read(sa.select(column.label("day")).where(column < before).distinct().order_by(column))
        return [row["day"] for row in found]

    def last_date(self, table: str, *, before: date, **equals: object) -> date | None:
        """The latest `as_of_date` earlier than `before` that has rows with the given values."""
        target = _table(table)
        column = target.c.as_of_date
        found = self._read(
            sa.select(sa.func.max(column).label("day")).where(column < before, *_equals(target, equals))
        )
        day = found[0]["day"]
        return day if isinstance(day, date) else None

    def regime(self, as_of_date: date, market_id: str) -> Row | None:
        found = self.rows("regimes", as_of_date=as_of_date, market_id=market_id)
        return found[0] if found else None

    def scores(self, as_of_date: date, market_id: str) -> list[Row]:
        return self.rows("instrument_scores", as_of_date=as_of_date, market_id=market_id)

    def universe(self, as_of_date: date, market_id: str, universe_id: str = "main") -> list[Row]:
        return self.rows("universes", as_of_date=as_of_date, market_id=market_id, universe_id=universe_id)

    def previous_universe(self, before: date, market_id: str, universe_id: str = "main") -> list[Row]:
        """The universe of the last session before `before` that was decided; empty if none was."""
        day = self.last_date("universes", before=before, market_id=market_id, universe_id=universe_id)
        return [] if day is None else self.universe(day, market_id, universe_id)

    def target_portfolio(self, as_of_date: date, market_id: str, portfolio_id: str = "main") -> list[Row]:
        return self.rows(
            "target_portfolios", as_of_date=as_of_date, market_id=market_id, portfolio_id=portfolio_id
        )

    def previous_portfolio(self, before: date, market_id: str, portfolio_id: str = "main") -> list[Row]:
        """The target portfolio of the last session before `before` that was decided; empty if none was."""
        day = self.last_date(
            "target_portfolios", before=before, market_id=market_id, portfolio_id=portfolio_id
        )
        return [] if day is None else self.target_portfolio(day, market_id, portfolio_id)

    def risk_report(self, as_of_date: date, market_id: str, portfolio_id: str = "main") -> Row | None:
        found = self.rows(
            "risk_reports", as_of_date=as_of_date, market_id=market_id, portfolio_id=portfolio_id
        )
        return found[0] if found else None

    def decisions(
        self, as_of_date: date, market_id: str | None = None, engine: str | None = None
    ) -> list[Row]:
        """Decisions of a date, ordered by market, engine, context."""
        wanted = {"as_of_date": as_of_date, "market_id": market_id, "engine": engine}
        found = self.rows("engine_decisions", **{k: v for k, v in wanted.items() if v is not None})
        return sorted(found, key=lambda row: (row["market_id"], row["engine"], row["context_id"]))

    def config(self, config_id: str) -> Row | None:
        found = self.rows("engine_configs", config_id=config_id)
        return found[0] if found else None

    def claimed_by(self, task_id: str) -> int | None:
        """The attempt that holds the claim of a task, or None."""
        found = self.rows("claims", task_id=task_id)
        return None if not found else int(found[0]["attempt"])

    def refusals(self) -> list[Row]:
        """Late writes that were refused: task_id, attempt, held_by, times."""
        return self.rows("refused_writes")

    # Layout.

    def revision(self) -> str | None:
        """The migration that the database is at; None if it is new."""
        try:
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table("alembic_version"):
                    return None
                return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        except DBAPIError as error:
            raise self._explain(error) from error

    def upgrade(self) -> str:
        """Bring the layout to the newest migration, in one transaction; returns it. Safe for several at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(6843970012)"))
                connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {schema.POSTGRES_SCHEMA}"))
            config.attributes["connection"] = connection
            command.upgrade(config, schema.HEAD)
        self._ready = True
        return schema.HEAD

    def close(self) -> None:
        self._engine.dispose()

    def _make_ready(self) -> None:
        if self._ready:
            return
        revision = self.revision()
        if revision is None:
            self.upgrade()
        elif revision != schema.HEAD:
            raise StoreError(
                f"runtime_db {self._name()} is at layout {revision!r}",
                allowed=f"layout {schema.HEAD!r}",
                hint="run `prometheus db upgrade`, or the version of the program that made this database",
            )
        self._ready = True

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        self._make_ready()
        with self._begin() as connection:
            yield connection

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(prometheus_writes=True)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._explain(error) from error

    def _read(self, statement: sa.Select[Any]) -> list[Row]:
        self._make_ready()
        try:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(statement).mappings()]
        except SQLAlchemyError as error:
            raise self._explain(error) from error

    def _refuse(self, task_id: str, attempt: int, held_by: int | None) -> None:
        """Record the refusal for whoever looks for a zombie, then raise."""
        table = schema.refused_writes
        key = {"task_id": task_id, "attempt": attempt}
        with self._write() as connection:
            seen = connection.execute(sa.select(table.c.times).where(*_equals(table, key))).scalar()
            self.put(connection, table.name, [{**key, "held_by": held_by or 0, "times": (seen or 0) + 1}])
        raise ClaimLostError(
            f"attempt {attempt} of task {task_id!r} may not write: "
            + ("nobody holds its claim" if held_by is None else f"attempt {held_by} has taken over"),
            hint="nothing to do: the refused rows were not kept",
        )

    def _name(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def _explain(self, error: SQLAlchemyError) -> StoreError:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        text = str(cause).strip()
        if "disk is full" in text:
            hint = "free some space, then retry the task; nothing was half written"
        elif "locked" in text:
            hint = (
                f"another process held a transaction for over {BUSY_TIMEOUT_SECONDS} s; see what writes there"
            )
        else:
            hint = "`prometheus db health` looks at it"
        return StoreError(f"runtime_db {self._name()} failed: {text}", hint=hint)


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise StoreError(
            f"runtime url {url!r} cannot be read: {error}",
            allowed="sqlite:///path or postgresql+psycopg://...",
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        options = {"options": f"-csearch_path={schema.POSTGRES_SCHEMA}"}
        try:
            return sa.create_engine(
                parsed, json_serializer=canonical_json, connect_args=options, pool_pre_ping=True
            )
        except ImportError as error:
            shown = parsed.render_as_string(hide_password=True)
            raise StoreError(
                f"runtime url {shown} needs a driver: {error}", hint="install prometheus-desk[postgres]"
            ) from None
    if backend != "sqlite":
        raise StoreError(f"runtime url {url!r} names {backend!r}", allowed="sqlite or postgresql")
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        parsed, json_serializer=canonical_json, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:  # a DBAPI connection has no common type
    connection.isolation_level = None  # transactions begin when we say so: see _begin_sqlite
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:  # a DBAPI cursor has no common type
    """Switch the file to WAL, once; other processes that make the same new database are waited for.

    SQLite's own timeout does not cover this switch: it answers "locked" at once while another process writes.
    """
    until = monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except OperationalError as error:
            if "locked" not in str(error) or monotonic() > until:
                raise
            sleep(0.02)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: read-then-write transactions that upgrade late can deadlock in WAL mode.
    writes = connection.get_execution_options().get("prometheus_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _holder(connection: sa.Connection, task_id: str) -> int | None:
    table = schema.claims
    # The row lock (PostgreSQL; SQLite has the whole file) keeps a later attempt waiting until this commit is settled.
    statement = sa.select(table.c.attempt).where(table.c.task_id == task_id).with_for_update()
    return connection.execute(statement).scalar()


def _table(name: str) -> sa.Table:
    found = schema.metadata.tables.get(name)
    if found is None:
        raise StoreError(
            f"runtime_db has no table {name!r}", allowed=", ".join(sorted(schema.metadata.tables))
        )
    return found


def _equals(table: sa.Table, values: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    unknown = sorted(set(values) - set(table.c.keys()))
    if unknown:
        raise StoreError(
            f"runtime table {table.name!r} has no column {', '.join(unknown)}",
            allowed=", ".join(table.c.keys()),
        )
    return [table.c[name] == value for name, value in values.items()]
