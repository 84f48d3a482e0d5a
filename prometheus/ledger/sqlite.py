"""A ledger in one SQLite file: WAL, synchronous=FULL, and a lease that dies with its holder.

The lease is an flock on `<file>.lock`. The kernel drops it when the process ends, however it ends, so after kill -9
the next leader need not wait. Whoever removes the lock file only brings back the other guard: the epoch that every
commit compares.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from prometheus.core.errors import StoreError
from prometheus.core.instants import iso
from prometheus.ledger.contract import LeaseHeldError, LedgerUnavailableError

BUSY_SECONDS = 2.0  # how long a statement waits for another writer, such as a backup
MAKING_SECONDS = (
    30.0  # how long who makes its tables waits for others who do the same, on a disk that is busy
)

_ALONE = {"desk_is_alone": True}  # our own execution option: the transaction shuts out other writers
_TRY_AGAIN = {
    sqlite3.SQLITE_FULL: ("its disk is full", "make room on the disk; the same turn is then written"),
    sqlite3.SQLITE_BUSY: ("another program is writing to it", "end the program that holds it locked"),
    sqlite3.SQLITE_LOCKED: ("another program is writing to it", "end the program that holds it locked"),
    sqlite3.SQLITE_IOERR: ("its disk does not read or write", "look at the disk and its free space"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "look whether the file and its folder exist"),
    sqlite3.SQLITE_PROTOCOL: ("its lock does not answer", "end the program that holds it locked"),
}
_BROKEN = {
    sqlite3.SQLITE_READONLY: (
        "may not be written",
        "check the owner and the mode of the file and its folder",
    ),
    sqlite3.SQLITE_PERM: ("may not be opened", "check the owner and the mode of the file and its folder"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "restore it from a backup"),
    sqlite3.SQLITE_NOTADB: ("is not a SQLite database", "give the ledger a path of its own"),
}


class SqliteBackend:
    """A SQLite file at an absolute path."""

    driver_error: type[Exception] = sqlite3.Error
    read_options: dict[str, Any] = {}  # noqa: RUF012  # a constant: a WAL transaction sees one state anyway

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS}
        )
        sa.event.listen(self.engine, "connect", _prepare)
        sa.event.listen(self.engine, "begin", _begin)
        self._identity: tuple[int, int] | None = None
        self._lock: int | None = None

    @contextmanager
    def making(self) -> Iterator[sa.Connection]:
        with self.engine.connect().execution_options(**_ALONE) as connection:
            held = connection.connection.dbapi_connection
            assert held is not None
            _wait_at_most(held, MAKING_SECONDS)
            try:
                yield connection
                connection.commit()
            finally:
                _wait_at_most(held, BUSY_SECONDS)

    def begin(self, cursor: DBAPICursor) -> None:
        cursor.execute("BEGIN IMMEDIATE")

    def check_place(self) -> None:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise LedgerUnavailableError(
                f"the ledger {self.name} is no longer there ({error.strerror})",
                hint="put the file back, or start again with the ledger that is there",
            ) from error
        identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            raise LedgerUnavailableError(
                f"the ledger {self.name} is another file than the one that was opened",
                hint="start again, with the ledger that is there now",
            )

    def take_lease(self, writer: DBAPIConnection, owner: str, now_us: int) -> None:
        if self._lock is not None:
            return
        path = f"{self.path}.lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreError(f"the lock file {path} cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 4096, 0)
            os.close(lock)
            raise LeaseHeldError(
                f"the ledger {self.name} is led by {_describe(holder)}",
                hint="end that process, or wait until it ends; status and why work meanwhile",
            ) from None
        except OSError as error:
            os.close(lock)
            raise StoreError(
                f"the lock file {path} cannot be locked ({error.strerror})",
                hint="keep the ledger on a disk of this machine; some network drives know no locks",
            ) from error
        self._lock = lock
        holder = json.dumps(
            {"owner": owner, "pid": os.getpid(), "host": socket.gethostname(), "since": iso(now_us)}
        ).encode()
        with suppress(OSError):  # a full disk: the lock holds all the same, only its holder stays unnamed
            os.ftruncate(lock, 0)
            os.pwrite(lock, holder, 0)

    def keep_lease(self, writer: DBAPIConnection) -> None:
        pass  # the file lock does not hang on a connection

    def drop_lease(self, writer: DBAPIConnection | None) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def explain(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", None)  # some errors of the driver itself carry none
        primary = None if code is None else code & 0xFF
        if primary in _TRY_AGAIN:
            what, hint = _TRY_AGAIN[primary]
            return LedgerUnavailableError(
                f"the ledger {self.name} cannot be used now: {what} ({error})", hint=hint
            )
        what, hint = _BROKEN.get(primary or 0, ("cannot be used", ""))
        return StoreError(f"the ledger {self.name} {what} ({error})", hint=hint or None)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin when we say so
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _wait_at_most(connection: DBAPIConnection, seconds: float) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(1000 * seconds)}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    is_alone = connection.get_execution_options().get("desk_is_alone", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_alone else "BEGIN")


def _describe(holder: bytes) -> str:
    try:
        found = json.loads(holder)
        return f"{found['owner']} (process {found['pid']} on {found['host']}, since {found['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
