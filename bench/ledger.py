"""What a durable turn costs in our ledger, beside raw sqlite3 that writes the same rows.

A turn ends some attempts and starts as many: five records a task (`AttemptStarted`, `AttemptSucceeded`, `SetTask` done,
`SetTask` ready, `StartAttempt`), so a turn of 100 records is 20 tasks. "raw" is the standard library's sqlite3 with the
same tables, the same settings (WAL, synchronous=FULL) and the same statements with their values made beforehand; what
ours takes longer is encoding, folding, checking epoch and revision. The two take turns, so that a noisy machine is
noisy for both. `python bench/ledger.py [--json]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from prometheus.core.demand import Demand
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
from prometheus.ledger.sql import SqlLedger
from prometheus.scheduler.decisions import Decision, SetTask, StartAttempt
from prometheus.scheduler.events import AttemptStarted, AttemptSucceeded, Event, RunOpened
from prometheus.scheduler.plan import RunPlan, TaskPlan
from prometheus.scheduler.states import TaskState

Turn = tuple[int, Sequence[Event], Sequence[Decision]]
SIZES = (1, 20, 200)  # tasks that a turn moves on
RECORDS = 5  # of each of them


def turns_of(tasks: int, turns: int) -> list[Turn]:
    """A run of enough tasks is opened; then each turn ends `tasks` of them and starts as many."""
    run_id = "bench.2016-06-24"
    ids = [f"{run_id}.t{i:05d}" for i in range(tasks * turns)]
    plan = RunPlan(
        run_id,
        "bench",
        "US_EQ",
        date(2016, 6, 24),
        "0" * 64,
        0,
        tuple(TaskPlan(i, run_id, i.rsplit(".", 1)[1], 2, Demand()) for i in ids),
    )
    found: list[Turn] = [(1, [RunOpened(1, plan)], [])]
    before: list[str] = []
    for turn in range(turns):
        at_us = 1_000_000 + turn
        now = ids[turn * tasks : (turn + 1) * tasks]
        events: list[Event] = [AttemptStarted(at_us, i, 1) for i in before]
        events += [AttemptSucceeded(at_us, i, 1, '{"rows":500}', 1_000, 50) for i in before]
        decisions: list[Decision] = [SetTask(at_us, i, TaskState.SUCCEEDED, "done") for i in before]
        decisions += [SetTask(at_us, i, TaskState.READY, "released, and all before it is done") for i in now]
        decisions += [
            StartAttempt(at_us, i, 1, "laptop", (), "full", "Tier 2, first in its queue, and it fits")
            for i in now
        ]
        found.append((at_us, events, decisions))
        before = now
    return found


Commit = Callable[[int, Turn], None]


def seconds_of(turns: Sequence[Turn], commits: Sequence[Commit]) -> list[list[float]]:
    """Seconds of each turn, for each of `commits`; the first turn, which opens the run, is left out."""
    found: list[list[float]] = [[] for _ in commits]
    for revision, turn in enumerate(turns, 1):
        for commit, seconds in zip(commits, found, strict=True):
            began = time.perf_counter()
            commit(revision, turn)
            seconds.append(time.perf_counter() - began)
    return [seconds[1:] for seconds in found]


def ours(ledger: Ledger) -> Commit:
    """Commits to a ledger of ours."""
    epoch = ledger.acquire("bench", 1)
    return lambda revision, turn: ledger.commit(epoch, revision, *turn)


class Recording:
    """A cursor that remembers what it was told."""

    def __init__(self, cursor: Any) -> None:  # a driver's cursor has no common type
        self._cursor = cursor
        self.said: list[tuple[str, str, Any]] = []

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        self.said.append(("execute", statement, values))
        self._cursor.execute(statement, values)

    def executemany(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        self.said.append(("executemany", statement, values))
        self._cursor.executemany(statement, values)

    def fetchall(self) -> list[Any]:
        found: list[Any] = self._cursor.fetchall()
        return found

    def close(self) -> None:
        self._cursor.close()


class RecordingConnection:
    """A connection whose cursors remember."""

    def __init__(self, connection: Any) -> None:  # as above
        self._connection = connection
        self.cursors: list[Recording] = []

    def cursor(self) -> Recording:
        self.cursors.append(Recording(self._connection.cursor()))
        return self.cursors[-1]

    def __getattr__(self, name: str) -> Any:  # everything else is the connection's own
        return getattr(self._connection, name)


def statements_of(turns: Sequence[Turn], folder: Path) -> list[list[tuple[str, str, Any]]]:
    """The writing statements of each turn with their values, as our ledger said them."""
    ledger = open_ledger(f"sqlite:///{folder / 'recorded.db'}")
    assert isinstance(ledger, SqlLedger)
    connection = RecordingConnection(ledger._connect())
    ledger._connect = lambda: connection  # type: ignore[method-assign,assignment,return-value]  # to listen in
    epoch = ledger.acquire("bench", 1)
    found = []
    for revision, turn in enumerate(turns, 1):
        connection.cursors.clear()
        ledger.commit(epoch, revision, *turn)
        said = [each for cursor in connection.cursors for each in cursor.said]
        found.append([each for each in said if each[1].startswith(("INSERT", "UPDATE"))])
    ledger.close()
    return found


def raw_sqlite(ledger: SqlLedger, written: list[list[tuple[str, str, Any]]]) -> Commit:
    """Commits the same rows with nothing but sqlite3, on the tables and settings of `ledger`."""
    raw: Any = ledger._connect()  # sqlite3.Connection

    def commit(revision: int, _turn: Turn) -> None:
        cursor = raw.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        for how, statement, values in written[revision - 1]:
            if how == "execute":
                cursor.execute(statement, values)
            else:
                cursor.executemany(statement, values)
        raw.commit()

    return commit


def measure(tasks: int, turns: int) -> dict[str, float]:
    """Medians in milliseconds for turns that move `tasks` tasks on."""
    said = turns_of(tasks, turns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = statements_of(said, folder)
        kept = open_ledger(f"sqlite:///{folder / 'ours.db'}")
        raw = open_ledger(f"sqlite:///{folder / 'raw.db'}")
        assert isinstance(raw, SqlLedger)
        commits = [ours(kept), raw_sqlite(raw, written), ours(MemoryLedger())]
        ours_ms, raw_ms, memory_ms = (statistics.median(found) * 1e3 for found in seconds_of(said, commits))
        began = time.perf_counter()
        kept.load()
        load_ms = (time.perf_counter() - began) * 1e3
        began = time.perf_counter()
        assert kept.check() == []
        check_ms = (time.perf_counter() - began) * 1e3
        kept.close()
        raw.close()
    return {
        "records": RECORDS * tasks,
        "ours_ms": ours_ms,
        "raw_ms": raw_ms,
        "ratio": ours_ms / raw_ms,
        "over_raw_ms": ours_ms - raw_ms,
        "memory_ms": memory_ms,
        "records_per_s": RECORDS * tasks / ours_ms * 1e3,
        "tasks_in_it": float(tasks * turns),
        "load_ms": load_ms,
        "check_ms": check_ms,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object to stdout")
    parser.add_argument("--turns", type=int, default=80, help="turns of each size")
    chosen = parser.parse_args()
    found = [measure(tasks, max(10, min(chosen.turns, 4_000 // tasks))) for tasks in SIZES]
    if chosen.json:
        print(json.dumps({"ledger": found}))
        return
    print(
        f"{'records':>8} {'ours ms':>8} {'raw ms':>8} {'ratio':>6} {'over raw ms':>12} {'in memory ms':>13}",
        end="",
    )
    print(f" {'records/s':>10} {'tasks':>6} {'load ms':>8} {'check ms':>9}")
    for row in found:
        print(
            f"{row['records']:8.0f} {row['ours_ms']:8.2f} {row['raw_ms']:8.2f} {row['ratio']:6.2f}"
            f" {row['over_raw_ms']:12.2f} {row['memory_ms']:13.2f} {row['records_per_s']:10.0f}"
            f" {row['tasks_in_it']:6.0f} {row['load_ms']:8.1f} {row['check_ms']:9.1f}"
        )


if __name__ == "__main__":
    main()
