"""A ledger in PostgreSQL: a schema of its own, and a lease that is a session's advisory lock.

The server drops the lock when the connection that turns are written on ends, so a leader that died is succeeded at
once. A leader whose connection broke takes the lock again with its next one; if somebody was faster, it has lost.
`?schema=NAME` in the URL names the schema (default: desk_ledger), so one database may hold several ledgers.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from prometheus.core.errors import StoreError
from prometheus.core.instants import iso
from prometheus.ledger import tables
from prometheus.ledger.contract import LeaseHeldError, LeaseLostError, LedgerUnavailableError

SCHEMA = "desk_ledger"
LOCK_SECONDS = 5  # how long a statement waits for another transaction

# SQLSTATE classes, and codes, after which the same turn may well succeed (PostgreSQL manual, appendix A):
# connections, serialization and deadlock, resources such as disk space, locks, shutdown, failing disks.
_TRY_AGAIN = ("08", "40", "53", "55P03", "57P", "58")


class PostgresBackend:
    """One schema of one PostgreSQL database."""

    def __init__(self, url: sa.URL) -> None:
        query = dict(url.query)
        schema = query.pop("schema", SCHEMA)
        if not isinstance(schema, str) or not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise StoreError(
                f"the schema {schema!r} in the ledger's URL cannot be used",
                allowed="lower-case letters, digits and _, at most 63",
            )
        self._schema = schema
        self.name = url.render_as_string(hide_password=True)
        settings = f"-c search_path={schema} -c lock_timeout={LOCK_SECONDS * 1000}"
        try:
            self.engine = sa.create_engine(
                url.set(query=query),
                paramstyle="format",
                pool_pre_ping=True,
                connect_args={"options": settings},
            )
        except ImportError as error:
            raise StoreError(
                f"the ledger {self.name} needs the driver psycopg, which is not installed",
                hint="pip install 'prometheus-desk[postgres]'",
            ) from error
        driver: Any = self.engine.dialect.dbapi  # the module psycopg, which need not be installed
        self.driver_error: type[Exception] = driver.Error
        self._lost_connection: type[Exception] = driver.OperationalError
        self.read_options: dict[str, Any] = {
            "isolation_level": "REPEATABLE READ",
            "postgresql_readonly": True,
        }
        # Advisory locks are numbers and belong to the database; ours comes from the schema's name.
        digest = hashlib.sha256(f"prometheus-desk ledger {schema}".encode()).digest()
        self._lock = int.from_bytes(digest[:8], "big", signed=True)
        self._holds = False

    @contextmanager
    def making(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self._lock + 1)))
            connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))
            yield connection
            connection.commit()

    def begin(self, cursor: DBAPICursor) -> None:
        pass  # the driver begins with the first statement, and that one locks the leader's row

    def check_place(self) -> None:
        pass  # the connection knows

    def take_lease(self, writer: DBAPIConnection, owner: str, now_us: int) -> None:
        if self._holds:
            return
        if not self._try_lock(writer):
            raise LeaseHeldError(
                f"the ledger {self.name} is led by {self._describe(writer)}",
                hint="end that process, or wait until it ends; status and why work meanwhile",
            )
        self._holds = True

    def keep_lease(self, writer: DBAPIConnection) -> None:
        if not self._try_lock(writer):
            raise LeaseLostError(
                f"the connection to the ledger {self.name} broke, and {self._describe(writer)} leads it now"
            )

    def drop_lease(self, writer: DBAPIConnection | None) -> None:
        if self._holds and writer is not None:
            with suppress(self.driver_error):  # a broken connection has lost its locks already
                cursor = writer.cursor()
                cursor.execute("SELECT pg_advisory_unlock(%s)", (self._lock,))
                writer.commit()
        self._holds = False

    def explain(self, error: Exception) -> StoreError:
        state = getattr(error, "sqlstate", None)
        said = str(error).strip().splitlines()
        first = said[0] if said else type(error).__name__
        if (state or "").startswith(_TRY_AGAIN) or (
            state is None and isinstance(error, self._lost_connection)
        ):
            return LedgerUnavailableError(
                f"the ledger {self.name} cannot be used now: {first}",
                hint="look whether the server runs and has room; the same turn is then written",
            )
        return StoreError(f"the ledger {self.name} cannot be used: {first}")

    def _try_lock(self, writer: DBAPIConnection) -> bool:
        cursor = writer.cursor()
        name = f"prometheus-desk leader, process {os.getpid()} on {socket.gethostname()}"
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (self._lock,))
        held = bool(cursor.fetchall()[0][0])
        if held:
            cursor.execute("SELECT set_config('application_name', %s, false)", (name[:63],))
        writer.commit()
        return held

    def _describe(self, writer: DBAPIConnection) -> str:
        cursor = writer.cursor()
        cursor.execute(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND ((l.classid::bigint << 32) | l.objid::bigint) = %s",
            (self._lock,),
        )
        holder = cursor.fetchall()
        leader = tables.leader.name
        cursor.execute(f"SELECT owner, taken_at_us FROM {leader}")  # noqa: S608  # our own table's name
        (owner, taken_at_us) = cursor.fetchall()[0]
        writer.commit()
        process = f" ({holder[0][0]})" if holder and holder[0][0] else ""
        return f"{owner}{process}, since {iso(taken_at_us)}"
