"""A health report tells what is sick, what is merely absent, and changes nothing by looking."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from prometheus.core.db_health import Check, Database, check, check_database


def make_database(
    file: Path, *, revision: str | None = "0001", journal: str = "wal", rows: int = 3
) -> Database:
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA journal_mode={journal}")
    if revision is not None:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.execute("CREATE TABLE claims (task_id TEXT)")
    connection.executemany("INSERT INTO claims VALUES (?)", [("a task with a long name " * 20,)] * rows)
    connection.commit()
    connection.close()
    return Database("runtime", f"sqlite:///{file}", head="0001", counted=("claims", "no_such_table"))


def states(checks: list[Check] | tuple[Check, ...]) -> dict[str, str]:
    return {item.name: item.state for item in checks}


def test_a_healthy_database_passes_every_check(tmp_path: Path) -> None:
    database = make_database(tmp_path / "runtime.db")
    report = check(databases=[database])
    assert report.ok
    assert states(report.checks) == dict.fromkeys(
        ["writable", "room", "reachable", "journal", "integrity", "layout", "table claims"], "ok"
    )
    details = {item.name: item.detail for item in report.checks}
    assert details["table claims"] == "3 rows"
    assert details["reachable"] == str(tmp_path / "runtime.db")
    assert report.as_json()["ok"] is True


def test_looking_changes_no_file_and_makes_none(tmp_path: Path) -> None:
    database = make_database(tmp_path / "runtime.db")
    before = (tmp_path / "runtime.db").read_bytes()
    check(databases=[database, Database("ledger", f"sqlite:///{tmp_path / 'none.db'}")])
    assert (tmp_path / "runtime.db").read_bytes() == before
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_does_not_exist_yet_is_absent_and_no_failure(tmp_path: Path) -> None:
    report = check(databases=[Database("ledger", f"sqlite:///{tmp_path / 'none.db'}")])
    assert report.ok
    assert states(report.checks) == {"file": "absent"}
    assert report.checks[0].hint == "`prometheus db init` makes it"


def test_an_empty_database_has_no_layout_yet(tmp_path: Path) -> None:
    assert states(check_database(make_database(tmp_path / "x.db", revision=None)))["layout"] == "absent"


def test_another_migration_fails_with_the_command_that_helps(tmp_path: Path) -> None:
    (failure,) = check(databases=[make_database(tmp_path / "x.db", revision="0000")]).failures
    assert (failure.name, failure.detail) == ("layout", "at migration 0000, not 0001")
    assert failure.hint == "run `prometheus db upgrade`"


def test_without_a_known_head_the_migration_is_only_told(tmp_path: Path) -> None:
    make_database(tmp_path / "x.db", revision="7")
    checks = check_database(Database("ledger", f"sqlite:///{tmp_path / 'x.db'}"))
    assert {item.name: item.detail for item in checks}["layout"] == "at migration 7"


def test_a_journal_that_is_not_wal_fails(tmp_path: Path) -> None:
    (failure,) = check(databases=[make_database(tmp_path / "x.db", journal="delete")]).failures
    assert failure.name == "journal"


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    database = make_database(tmp_path / "x.db", rows=200)
    with (tmp_path / "x.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    report = check(databases=[database])
    assert not report.ok
    assert {failure.name for failure in report.failures} & {"integrity", "reachable"}


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"hello, I am a text file, and not a short one either. " * 40)
    (failure,) = check(databases=[Database("ledger", f"sqlite:///{tmp_path / 'x.db'}")]).failures
    assert "not a database" in failure.detail


@pytest.mark.parametrize("url", ["nonsense", "postgresql+psycopg://user:secret@127.0.0.1:9/desk"])
def test_a_url_that_leads_nowhere_fails_and_keeps_its_password(url: str) -> None:
    report = check(databases=[Database("ledger", url)])
    assert not report.ok
    assert "secret" not in str(report.as_json())


def test_a_path_with_odd_characters_is_still_found(tmp_path: Path) -> None:
    (tmp_path / "50% of #1? desk").mkdir()
    assert check(databases=[make_database(tmp_path / "50% of #1? desk" / "x.db")]).ok


def test_probes_for_other_stores_are_asked_after_the_databases(tmp_path: Path) -> None:
    sick = Check("historical", "table prices", "failed", "gone", "restore it")
    report = check(databases=[make_database(tmp_path / "x.db")], probes=[lambda: [sick]])
    assert report.checks[-1] == sick
    assert report.failures == (sick,)
    assert report.as_json()["checks"][-1] == {
        "store": "historical", "check": "table prices", "state": "failed", "detail": "gone", "hint": "restore it",
    }  # fmt: skip
