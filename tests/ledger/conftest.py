from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prometheus.ledger.contract import Ledger
from tests.ledger import shelves

collect_ignore = [] if shelves.HAS_POSTGRES else ["test_ledger_postgres.py"]


@pytest.fixture(scope="session")
def postgres_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("pg")
    shelves.stop_server()


@pytest.fixture(params=shelves.KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, postgres_folder: Path) -> Iterator[shelves.Opener]:
    """Opens handles on one fresh ledger of each kind; all are closed at the end."""
    match request.param:
        case "memory":
            opened = shelves.in_memory()
        case "sqlite":
            opened = shelves.in_sqlite(tmp_path)
        case _:
            opened = shelves.in_postgres(postgres_folder)
    handles: list[Ledger] = []

    def remembering() -> Ledger:
        handles.append(opened())
        return handles[-1]

    yield remembering
    for handle in handles:
        handle.close()
