"""The door: a fresh ledger, an old one, a newer one, and everything that is none."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from prometheus.core.errors import StoreError
from prometheus.ledger import tables
from prometheus.ledger.contract import LeaseHeldError, LedgerUnavailableError
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import BEFORE_THE_FIRST, migrate, open_ledger, schema_revision
from prometheus.ledger.postgres import PostgresBackend
from prometheus.ledger.sqlite import BUSY_SECONDS, SqliteBackend


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "er" / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def layout(path: Path) -> dict[str, str]:
    """Every table and index as SQLite has it, without the spelling of its makers."""
    connection = sqlite3.connect(path)
    found = {
        name: json.dumps(
            [
                connection.execute(f"PRAGMA table_xinfo('{name}')").fetchall(),
                sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list('{name}')")),
                connection.execute(f"PRAGMA index_xinfo('{name}')").fetchall(),
                "WITHOUT ROWID" in (sql or "") and kind,
            ]
        )
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master")
    }
    connection.close()
    return found


def run_alembic(path: Path, to: str = "head") -> None:
    """The migrations from nothing, as they would be run on an old ledger."""
    from alembic import command
    from alembic.config import Config

    backend = SqliteBackend(path)
    with backend.making() as connection:
        config = Config()
        config.set_main_option("script_location", "prometheus.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    backend.engine.dispose()


def test_opening_makes_the_folder_the_file_and_the_tables(url: str, path: Path) -> None:
    open_ledger(url).close()
    assert path.exists()
    assert schema_revision(url) == tables.HEAD
    open_ledger(url, create=False).close()


def test_a_fresh_ledger_has_the_tables_that_the_migrations_make(url: str, path: Path, tmp_path: Path) -> None:
    migrated = tmp_path / "migrated.db"
    run_alembic(migrated)
    open_ledger(url).close()
    assert layout(path) == layout(migrated)
    assert {"turns", "tasks", "ix_tasks_run_id_position", tables.VERSION_TABLE} <= layout(path).keys()
    for where in (path, migrated):
        connection = sqlite3.connect(where)
        assert connection.execute(f"SELECT * FROM {tables.VERSION_TABLE}").fetchall() == [(tables.HEAD,)]
        assert connection.execute("SELECT * FROM leader").fetchall() == [(1, 0, "", 0, 1)]
        connection.close()


def test_the_metadata_and_the_migrations_do_not_differ(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    run_alembic(tmp_path / "migrated.db")
    backend = SqliteBackend(tmp_path / "migrated.db")
    with backend.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": tables.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, tables.metadata) == []
    backend.engine.dispose()


def test_head_is_the_last_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "prometheus.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [tables.HEAD]


def test_migrations_can_be_taken_back(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    run_alembic(tmp_path / "migrated.db")
    backend = SqliteBackend(tmp_path / "migrated.db")
    with backend.making() as connection:
        config = Config()
        config.set_main_option("script_location", "prometheus.ledger:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert sa.inspect(connection).get_table_names() == [tables.VERSION_TABLE]
    backend.engine.dispose()


def test_an_older_ledger_is_migrated_when_it_is_opened(url: str, path: Path) -> None:
    open_ledger(url).close()
    for door in (migrate, lambda url: open_ledger(url).close()):
        by_hand = sqlite3.connect(path)
        for table in reversed(tables.metadata.sorted_tables):
            by_hand.execute(f"DROP TABLE {table.name}")
        by_hand.execute(f"DELETE FROM {tables.VERSION_TABLE}")
        by_hand.commit()
        by_hand.close()
        assert schema_revision(url) == BEFORE_THE_FIRST
        door(url)
        assert schema_revision(url) == tables.HEAD
        assert open_ledger(url, create=False).revision() == 0


def test_opening_a_fresh_ledger_and_an_old_one_loads_no_alembic(url: str, project: Path) -> None:
    code = (
        "import sys; from prometheus.ledger.opening import open_ledger\n"
        f"for _ in range(2):\n    open_ledger({url!r}).close()\n"
        "assert 'sqlalchemy' in sys.modules and 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True)


def test_a_newer_program_s_ledger_is_refused(url: str, path: Path) -> None:
    open_ledger(url).close()
    by_hand = sqlite3.connect(path)
    by_hand.execute(f"UPDATE {tables.VERSION_TABLE} SET version_num = '9999'")
    by_hand.commit()
    by_hand.close()
    for door in (open_ledger, migrate, schema_revision):
        with pytest.raises(StoreError, match=r"written by a newer program .tables 9999.*Hint"):
            door(url)


def test_another_program_s_database_is_refused_and_left_alone(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE alembic_version (version_num TEXT)")
    other.execute("CREATE TABLE regimes (label TEXT)")
    other.commit()
    with pytest.raises(StoreError, match=r"is a database but not a ledger .it has alembic_version, regimes"):
        open_ledger(url)
    assert len(other.execute("SELECT name FROM sqlite_master").fetchall()) == 2
    other.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("a diary, not a database\n" * 99)
    with pytest.raises(StoreError, match="is not a SQLite database"):
        open_ledger(url)
    assert path.read_text().startswith("a diary")


def test_who_only_looks_makes_nothing(url: str, path: Path) -> None:
    for door in (lambda: open_ledger(url, create=False), lambda: schema_revision(url)):
        with pytest.raises(StoreError, match=r"there is no ledger at .*made by the first run"):
            door()
    assert not path.parent.exists()
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(StoreError, match="there is no ledger in"):
        open_ledger(url, create=False)
    assert schema_revision(url) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("ledger.db", "is not the URL of a ledger.*Allowed: sqlite:///path"),
        ("mysql://host/db", "cannot be kept in 'mysql'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////", "is a folder"),
        ("postgresql+psycopg://host/db?schema=Bad-Name", "schema 'Bad-Name'.*cannot be used"),
    ],
)
def test_an_url_that_names_no_ledger_is_refused(wrong: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        open_ledger(wrong)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"the folder of the ledger .* cannot be made"):
        open_ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")


def test_the_memory_url_gives_a_ledger_that_ends_with_its_process() -> None:
    assert isinstance(open_ledger("memory:"), MemoryLedger)


def test_a_relative_path_stays_where_it_was_opened(
    own_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ledger = open_ledger("sqlite:///here.db")
    epoch = ledger.acquire("tests", 1)
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    ledger.commit(epoch, 1, 1, (), ())
    assert ledger.revision() == 1
    ledger.close()
    assert (own_home / "here.db").exists()


def test_a_ledger_that_may_not_be_written_says_so(project: Path) -> None:
    """Asked by a process without root's right to write everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        open_ledger(f"sqlite:///{path}").close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        code = (
            "import os, sys\n"
            "sys.path.insert(0, sys.argv[2])\n"
            "from prometheus.ledger.opening import open_ledger\n"
            "if os.getuid() == 0:\n"
            "    open_ledger(sys.argv[1]).close()  # everything is imported while it can be read\n"
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try:\n    open_ledger(sys.argv[1]).acquire('tests', 1)\n"
            "except Exception as error:\n    print(type(error).__name__, error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, f"sqlite:///{path}", str(project)],
            capture_output=True,
            text=True,
            check=False,
        )
        Path(folder).chmod(0o755)
        assert done.stdout.startswith("StoreError the ledger"), done.stdout + done.stderr
        assert "may not be written" in done.stdout or "cannot be opened (Permission denied)" in done.stdout


def test_many_may_open_a_fresh_ledger_at_once(url: str) -> None:
    faults: list[BaseException] = []

    def open_it() -> None:
        try:
            open_ledger(url).close()
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            faults.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert schema_revision(url) == tables.HEAD


def test_who_makes_a_ledger_waits_longer_for_another_than_a_turn_does(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    releasing = threading.Timer(BUSY_SECONDS + 0.5, lambda: other.execute("COMMIT"))
    releasing.start()
    open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}").close()
    releasing.join()
    other.close()


def test_a_missing_driver_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'prometheus-desk\[postgres\]'"):
        PostgresBackend(sa.make_url("postgresql+psycopg://ann:secret@localhost/desk"))


def test_no_message_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as found:
        open_ledger("postgresql://ann:secret@localhost/desk")
    assert "secret" not in str(found.value)


def test_an_old_ledger_is_not_altered_under_a_leader_s_feet(url: str, path: Path) -> None:
    leader = open_ledger(url)
    leader.acquire("the old program", 1)
    by_hand = sqlite3.connect(path)
    by_hand.execute(f"UPDATE {tables.VERSION_TABLE} SET version_num = '0000'")
    by_hand.commit()
    by_hand.close()
    with pytest.raises(LeaseHeldError, match="the old program"):
        migrate(url)
    leader.close()


def test_the_kinds_of_errors_tell_whether_trying_again_may_help() -> None:
    assert issubclass(LedgerUnavailableError, StoreError)
