"""What goes wrong around a SQLite ledger, done for real: each has its sentence, and nothing is half written."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prometheus.core.errors import StoreError
from prometheus.ledger.contract import LeaseHeldError, Ledger, LedgerUnavailableError
from prometheus.ledger.opening import open_ledger
from prometheus.ledger.sql import SqlLedger
from prometheus.scheduler.decisions import SetTask
from prometheus.scheduler.events import AttemptCheckpointed, TimePassed
from prometheus.scheduler.states import TaskState
from tests.ledger.records import a_short_night, plan_of

C = plan_of().tasks[0].task_id
BIG = (AttemptCheckpointed(2_000, C, 1, "x" * 400_000),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Three turns of a night are in it; its leader has epoch 1."""
    ledger = open_ledger(f"sqlite:///{path}")
    epoch = ledger.acquire("tests", 1)
    for revision, said in enumerate(a_short_night()[:3], 1):
        ledger.commit(epoch, revision, said.at_us, said.events, said.decisions)
    yield ledger
    ledger.close()


@contextmanager
def a_full_database(ledger: Ledger) -> Iterator[None]:
    """SQLite itself says that the database is full, as on a full disk."""
    assert isinstance(ledger, SqlLedger)
    cursor = ledger._connect().cursor()
    (pages,) = cursor.execute("PRAGMA page_count").fetchone()  # type: ignore[attr-defined]
    cursor.execute(f"PRAGMA max_page_count={pages}")
    yield
    cursor.execute("PRAGMA max_page_count=1000000")


@contextmanager
def files_that_cannot_grow(at_bytes: int) -> Iterator[None]:
    """The system refuses to write beyond `at_bytes` in any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_nothing_is_written_and_the_same_turn_goes_in_afterwards(ledger: Ledger) -> None:
    before = ledger.load()
    for _ in range(2):
        with a_full_database(ledger), pytest.raises(LedgerUnavailableError, match="its disk is full"):
            ledger.commit(1, 4, 2_000, BIG, ())
        assert ledger.load() == before
        assert ledger.revision() == 3
        assert ledger.check() == []
    ledger.commit(1, 4, 2_000, BIG, ())
    assert ledger.tasks(plan_of().run_id)[0].checkpoint == BIG[0].state
    assert ledger.check() == []


def test_a_disk_that_refuses_to_write_is_survived_likewise(ledger: Ledger, path: Path) -> None:
    before = ledger.load()
    with files_that_cannot_grow(Path(f"{path}-wal").stat().st_size + 8_192):
        with pytest.raises(LedgerUnavailableError, match="cannot be used now"):
            ledger.commit(1, 4, 2_000, BIG, ())
        assert ledger.load() == before
    ledger.commit(1, 4, 2_000, BIG, ())
    assert ledger.revision() == 4
    assert ledger.check() == []


def test_a_ledger_that_another_program_writes_to_can_be_written_later(ledger: Ledger, path: Path) -> None:
    assert isinstance(ledger, SqlLedger)
    ledger._connect().cursor().execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailableError, match="another program is writing to it"):
        ledger.commit(1, 4, 2_000, BIG, ())
    assert ledger.revision() == 3, "it can be read meanwhile"
    other.execute("ROLLBACK")
    other.close()
    ledger.commit(1, 4, 2_000, BIG, ())
    assert ledger.revision() == 4


def test_a_ledger_that_was_deleted_is_said_to_be_gone(ledger: Ledger, path: Path) -> None:
    kept = path.rename(path.with_name("moved.db"))
    for ask in (
        lambda: ledger.commit(1, 4, 2_000, BIG, ()),
        ledger.revision,
        ledger.load,
        ledger.runs,
        ledger.check,
        lambda: list(ledger.turns()),
        lambda: ledger.acquire("tests", 2),
    ):
        with pytest.raises(LedgerUnavailableError, match="no longer there"):
            ask()
    path.write_bytes(kept.read_bytes())
    with pytest.raises(LedgerUnavailableError, match="another file"):
        ledger.commit(1, 4, 2_000, BIG, ())
    path.unlink()
    kept.rename(path)
    ledger.commit(1, 4, 2_000, BIG, ())
    assert ledger.check() == []


def test_a_damaged_ledger_is_said_to_be_damaged(ledger: Ledger, path: Path) -> None:
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4_096:] = b"\xff" * (len(content) - 4_096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged.*Hint: restore it from a backup"):
        open_ledger(f"sqlite:///{path}").load()


def test_a_commit_of_unknown_outcome_is_settled_by_asking(ledger: Ledger, path: Path) -> None:
    """The turn went in, but its leader never heard so: another handle says it again, and goes on."""
    turn = a_short_night()[3]
    ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    same = open_ledger(f"sqlite:///{path}")
    assert same.revision() == 4
    same.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    same.commit(1, 5, 1_040, (TimePassed(1_040),), ())
    ledger.commit(1, 6, 1_041, (), (SetTask(1_041, C, TaskState.SUCCEEDED, "done"),))
    assert same.revision() == 6
    assert ledger.check() == []
    same.close()


def test_an_interrupt_just_after_the_commit_leaves_no_wrong_memory(ledger: Ledger, path: Path) -> None:
    """What the leader keeps in mind is thrown away when the database is further than it."""
    other = open_ledger(f"sqlite:///{path}")
    for revision, said in enumerate(a_short_night()[3:6], 4):
        other.commit(1, revision, said.at_us, said.events, said.decisions)
    for revision, said in enumerate(a_short_night()[6:], 7):
        ledger.commit(1, revision, said.at_us, said.events, said.decisions)
    assert ledger.check() == []
    other.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (f"UPDATE tasks SET state = 'failed' WHERE task_id = '{C}'", f"task {C}: state is <TaskState.FAILED"),
        ("UPDATE tasks SET checkpoint = NULL", "checkpoint is None in the row"),
        (
            "UPDATE attempts SET devices = '1'",
            f"attempt {C} #1: devices is (1,) in the row, (0, 2) by the log",
        ),
        ("DELETE FROM attempts", f"attempt {C} #1: the log has it, the rows do not"),
        ("UPDATE slos SET reason = 'x'", "SLO"),
        ("UPDATE runs SET ended_us = 5", "run night.2016-06-24: ended_us is 5 in the row, None by the log"),
        ("DELETE FROM capacity", "capacity: the row says None"),
        ("DELETE FROM turns WHERE revision = 2", "turn 2 is missing"),
        (
            "UPDATE turns SET records = replace(records, '1010', '1011')",
            "started_us is 1010 in the row, 1011",
        ),
        ("DELETE FROM turns WHERE revision <= 2", "does not follow from those before it"),
    ],
)
def test_check_finds_what_was_altered_by_hand(ledger: Ledger, path: Path, change: str, says: str) -> None:
    assert ledger.check() == []
    if says.startswith("does not follow"):
        turn = a_short_night()[3]
        ledger.commit(1, 4, turn.at_us, turn.events, turn.decisions)
    by_hand = sqlite3.connect(path)
    by_hand.execute(change)
    by_hand.commit()
    by_hand.close()
    assert any(says in found for found in ledger.check())


LEAD = """
import os, signal, sys
from prometheus.ledger.opening import open_ledger
from tests.ledger.records import a_short_night
ledger = open_ledger(sys.argv[1])
epoch = ledger.acquire("the one that is killed", 1_000_000)
for revision, said in enumerate(a_short_night()[:3], 1):
    ledger.commit(epoch, revision, said.at_us, said.events, said.decisions)
"""

DIES_IN_COMMIT = (
    LEAD
    + """
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
connection = ledger._connect()
connection.create_function("die", 0, die)
connection.execute("CREATE TEMP TRIGGER deadly AFTER INSERT ON turns BEGIN SELECT die(); END")
said = a_short_night()[3]
ledger.commit(epoch, 4, said.at_us, said.events, said.decisions)
"""
)

WAITS = LEAD + "\nprint('leading', flush=True)\nsys.stdin.read()\n"


def test_a_leader_killed_in_the_middle_of_a_commit_leaves_a_valid_ledger(path: Path, project: Path) -> None:
    url = f"sqlite:///{path}"
    done = subprocess.run(
        [sys.executable, "-c", DIES_IN_COMMIT, url], cwd=project, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    ledger = open_ledger(url)
    assert ledger.revision() == 3
    assert ledger.check() == []
    epoch = ledger.acquire("the next", 2)
    for revision, said in enumerate(a_short_night()[3:], 4):
        ledger.commit(epoch, revision, said.at_us, said.events, said.decisions)
    assert ledger.check() == []
    ledger.close()


def test_a_leader_that_is_killed_frees_the_ledger_at_once(path: Path, project: Path) -> None:
    url = f"sqlite:///{path}"
    leader = subprocess.Popen(
        [sys.executable, "-c", WAITS, url], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert leader.stdout is not None
    assert leader.stdin is not None
    assert leader.stdout.readline() == b"leading\n"
    ledger = open_ledger(url)
    with pytest.raises(LeaseHeldError, match=f"process {leader.pid} on {os.uname().nodename}, since 1970"):
        ledger.acquire("the next", 2)
    assert ledger.revision() == 3, "it can be read meanwhile"
    assert ledger.tasks(plan_of().run_id)[0].state is TaskState.RUNNING
    leader.kill()
    leader.wait()
    leader.stdin.close()
    leader.stdout.close()
    assert ledger.acquire("the next", 2) == 2
    ledger.close()


def test_who_removes_the_lock_file_still_meets_the_epoch(ledger: Ledger, path: Path) -> None:
    Path(f"{path}.lock").unlink()
    thief = open_ledger(f"sqlite:///{path}")
    assert thief.acquire("thief", 2) == 2
    with pytest.raises(StoreError, match=r"epoch 1 does not lead .* any more: thief leads with epoch 2"):
        ledger.commit(1, 4, 2_000, BIG, ())
    thief.close()


def test_commits_are_synced_to_the_disk_before_they_return(ledger: Ledger) -> None:
    assert isinstance(ledger, SqlLedger)
    cursor = ledger._connect().cursor()
    settings = [
        cursor.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    ]  # type: ignore[attr-defined]
    assert settings == ["wal", 2, 1]
