"""The ledger in memory: the oracle that the others are compared with, and what simulations remember with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus.core.calendar_overrides import Override
from prometheus.ledger.contract import (
    LeaseHeldError,
    LeaseLostError,
    RecordedOverride,
    StaleRevisionError,
    Turn,
)
from prometheus.ledger.encoding import encode_turn
from prometheus.ledger.projection import Rows, differences, fold
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.events import Event
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, Snapshot, TaskRow


@dataclass(slots=True)
class MemoryStore:
    """What several `MemoryLedger`s of one process may share, as several programs share a file."""

    rows: Rows = field(default_factory=Rows)
    turns: list[Turn] = field(default_factory=list)
    overrides: list[RecordedOverride] = field(default_factory=list)
    epoch: int = 0
    is_released: bool = True
    holder: object | None = None
    holder_name: str = ""


class MemoryLedger:
    """A `Ledger` that ends with its process."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self._store = MemoryStore() if store is None else store

    def acquire(self, owner: str, now_us: int) -> int:
        store = self._store
        if store.holder is not None and store.holder is not self:
            raise LeaseHeldError(f"the ledger in memory is led by {store.holder_name}")
        store.holder, store.holder_name, store.is_released = self, owner, False
        store.epoch += 1
        return store.epoch

    def commit(
        self, epoch: int, revision: int, at_us: int, events: Sequence[Event], decisions: Sequence[Decision]
    ) -> None:
        store = self._store
        if epoch != store.epoch or store.is_released:
            raise LeaseLostError(
                f"epoch {epoch} does not lead any more: the ledger is at epoch {store.epoch}"
            )
        _, events, decisions = encode_turn(events, decisions)
        turn = Turn(revision, epoch, at_us, events, decisions)
        last = len(store.turns)
        if 0 < revision <= last and store.turns[revision - 1] == turn:
            return
        if revision != last + 1:
            raise StaleRevisionError(f"turn {revision} cannot be written: the last one is {last}")
        store.rows.absorb(fold(store.rows, at_us, events, decisions))
        store.turns.append(turn)

    def overrides(self) -> list[RecordedOverride]:
        return list(self._store.overrides)

    def record_override(self, override: Override, recorded_us: int, recorded_by: str) -> RecordedOverride:
        kept = RecordedOverride(len(self._store.overrides) + 1, override, recorded_us, recorded_by)
        self._store.overrides.append(kept)
        return kept

    def revision(self) -> int:
        return len(self._store.turns)

    def load(self, run_id: str | None = None) -> Snapshot:
        rows = self._store.rows
        known = [run for run in rows.runs.values() if run_id in (None, run.run_id)]
        runs = sorted(known, key=lambda run: (run.opened_us, run.run_id))
        tasks = [rows.tasks[task.task_id] for run in runs for task in run.plan.tasks]
        slos = [rows.slos[slo.slo_id] for run in runs for slo in run.plan.slos]
        return Snapshot(
            at_us=rows.at_us,
            capacity=rows.capacity,
            runs=tuple(runs),
            tasks=tuple(tasks),
            attempts=tuple(attempt for task in tasks for attempt in self.attempts(task.task_id)),
            slos=tuple(slos),
            pressure=rows.pressure,
            coming=rows.coming,
        )

    def turns(self, after: int = 0, limit: int | None = None) -> Iterator[Turn]:
        stop = len(self._store.turns) if limit is None else after + limit
        return iter(self._store.turns[after:stop])

    def runs(self, pipeline: str | None = None, limit: int = 100) -> list[RunRow]:
        found = [run for run in self._store.rows.runs.values() if pipeline in (None, run.plan.pipeline)]
        found.sort(key=lambda run: (run.plan.session, run.opened_us, run.run_id), reverse=True)
        return found[:limit]

    def tasks(self, run_id: str) -> list[TaskRow]:
        rows = self._store.rows
        return (
            [rows.tasks[task.task_id] for task in rows.runs[run_id].plan.tasks] if run_id in rows.runs else []
        )

    def attempts(self, task_id: str) -> list[AttemptRow]:
        rows = self._store.rows
        last = rows.tasks[task_id].attempts if task_id in rows.tasks else 0
        return [rows.attempts[task_id, n] for n in range(1, last + 1) if (task_id, n) in rows.attempts]

    def run(self, run_id: str) -> RunRow | None:
        return self._store.rows.runs.get(run_id)

    def attempts_of(self, run_id: str) -> list[AttemptRow]:
        return [attempt for task in self.tasks(run_id) for attempt in self.attempts(task.task_id)]

    def slos(self, run_id: str) -> list[SloRow]:
        rows = self._store.rows
        return [rows.slos[slo.slo_id] for slo in rows.runs[run_id].plan.slos] if run_id in rows.runs else []

    def check(self) -> list[str]:
        rebuilt = Rows()
        for turn in self._store.turns:
            rebuilt.absorb(fold(rebuilt, turn.at_us, turn.events, turn.decisions))
        return differences(self._store.rows, rebuilt)

    def release(self, epoch: int) -> None:
        if epoch == self._store.epoch and self._store.holder is self:
            self._store.is_released = True
            self._store.holder = None

    def close(self) -> None:
        if self._store.holder is self:
            self._store.holder = None
