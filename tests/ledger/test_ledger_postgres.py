"""What only PostgreSQL can do to a ledger; collected where a server can be had (conftest.py)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from prometheus.core.errors import StoreError
from prometheus.ledger import tables
from prometheus.ledger.contract import LeaseHeldError, LeaseLostError, Ledger, LedgerUnavailableError
from prometheus.ledger.opening import open_ledger
from prometheus.ledger.postgres import PostgresBackend
from prometheus.ledger.sql import SqlLedger
from prometheus.orchestrator.forecaster import Ask
from prometheus.orchestrator.forecasting import COMMAND, read_answer
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, RunOpened
from tests.ledger import shelves
from tests.ledger.records import LAPTOP, a_short_night, plan_of


@pytest.fixture
def opener(postgres_folder: Path) -> shelves.Opener:
    return shelves.in_postgres(postgres_folder)


@pytest.fixture
def ledger(opener: shelves.Opener) -> Iterator[Ledger]:
    """Three turns are in it; its leader has epoch 1."""
    ledger = opener()
    epoch = ledger.acquire("ann", 1)
    for revision, said in enumerate(a_short_night()[:3], 1):
        ledger.commit(epoch, revision, said.at_us, said.events, said.decisions)
    yield ledger
    ledger.close()


def cut_the_connection_of(ledger: Ledger) -> None:
    """As a restarted server or a broken network would."""
    assert isinstance(ledger, SqlLedger)
    cursor = ledger._connect().cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchall()[0]
    ledger._connect().rollback()
    with ledger.backend.engine.connect() as other:
        other.execute(sa.select(sa.func.pg_terminate_backend(pid, 5_000)))


def test_a_leader_whose_connection_broke_leads_on_with_the_next_one(
    ledger: Ledger, opener: shelves.Opener
) -> None:
    turn = a_short_night()[3]
    cut_the_connection_of(ledger)
    with pytest.raises(LedgerUnavailableError, match="cannot be used now"):
        ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    assert ledger.revision() == 3
    ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    assert ledger.check() == []
    second = opener()
    with pytest.raises(LeaseHeldError, match="ann"):
        second.acquire("bob", 2)
    second.close()


def test_a_leader_whose_connection_broke_has_lost_if_somebody_was_faster(
    ledger: Ledger, opener: shelves.Opener
) -> None:
    turn = a_short_night()[3]
    cut_the_connection_of(ledger)
    second = opener()
    assert second.acquire("bob", 2) == 2
    with pytest.raises(LedgerUnavailableError):
        ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    with pytest.raises(LeaseLostError, match=r"broke, and bob .* leads it now"):
        ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    second.commit(2, 4, turn.at_us, turn.events, turn.decisions)
    assert second.check() == []
    second.close()


def test_the_metadata_and_the_migrations_do_not_differ_here_either(postgres_folder: Path) -> None:
    from alembic import command
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext

    backend = PostgresBackend(sa.make_url(f"{shelves.server_url(postgres_folder)}&schema=migrated"))
    with backend.making() as connection:
        config = Config()
        config.set_main_option("script_location", "prometheus.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with backend.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": tables.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, tables.metadata) == []
    backend.engine.dispose()


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(LedgerUnavailableError, match="cannot be used now"):
        open_ledger("postgresql+psycopg://ann:secret@127.0.0.1:1/desk")


def test_a_database_that_is_not_there_is_named(postgres_folder: Path) -> None:
    url = shelves.server_url(postgres_folder).replace("/postgres?", "/nowhere?")
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        open_ledger(url)


def test_who_only_looks_makes_no_tables(postgres_folder: Path) -> None:
    url = f"{shelves.server_url(postgres_folder)}&schema=nobody_made_it"
    for _ in range(2):
        with pytest.raises(StoreError, match="there is no ledger in"):
            open_ledger(url, create=False)


def test_the_forecaster_reads_a_run_on_a_server_while_its_leader_goes_on(postgres_folder: Path) -> None:
    url = f"{shelves.server_url(postgres_folder)}&schema=foreseen"
    leading = open_ledger(url)
    epoch = leading.acquire("ann", 1)
    plan = plan_of()
    scheduler = Scheduler()
    events = [CapacityChanged(1_000, LAPTOP), RunOpened(1_000, plan)]
    leading.commit(epoch, 1, 1_000, events, scheduler.handle(events))
    asked = Ask(url, plan.run_id, 1_500, 10, 0, {})
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{asked.to_json()}\n".encode())
        process.stdin.flush()
        made = read_answer(process.stdout.read())
    assert (made.made_us, made.samples) == (1_500, 10)
    assert [said.slo_id for said in made.slos] == [slo.slo_id for slo in plan.slos]
    leading.commit(epoch, 2, 1_600, [made], scheduler.handle([made]))
    assert leading.slos(plan.run_id)[0].foreseen is not None
    leading.close()
