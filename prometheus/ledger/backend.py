"""What the SQL ledger asks of a database beyond SQL: connections, the lease, and what its errors mean."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from prometheus.core.errors import StoreError


class Backend(Protocol):
    """One database that holds one ledger."""

    @property
    def name(self) -> str:
        """The database as people should read it: a path or an URL, without a password."""

    @property
    def engine(self) -> sa.Engine: ...

    @property
    def read_options(self) -> dict[str, Any]:
        """Execution options under which several SELECTs of one transaction see one state."""

    @property
    def driver_error(self) -> type[Exception]:
        """What the driver raises."""

    def making(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that makes or alters tables, one process at a time."""

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin the writing transaction, alone: other writers wait or are told to."""

    def check_place(self) -> None:
        """`LedgerUnavailableError` if the database is no longer where it was opened. Cheap: asked at every commit."""

    def take_lease(self, writer: DBAPIConnection, owner: str, now_us: int) -> None:
        """Hold the lease until `drop_lease` or the death of this process. `LeaseHeldError` names another holder."""

    def keep_lease(self, writer: DBAPIConnection) -> None:
        """The writing connection is a new one: take the lease along. `LeaseLostError` if it has gone."""

    def drop_lease(self, writer: DBAPIConnection | None) -> None: ...

    def explain(self, error: Exception) -> StoreError:
        """The same fault as a sentence: `LedgerUnavailableError` where trying again may help."""
