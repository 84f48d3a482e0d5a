"""The ledger in a SQL database: one transaction a turn, rows that follow from the log.

The leader keeps in mind the rows of the runs that it works on, folds each turn over them and writes what changed. A
commit that fails changes neither the database nor what is kept in mind, so the same turn may be committed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from prometheus.core.calendar_overrides import Override
from prometheus.ledger import statements as st
from prometheus.ledger import tables
from prometheus.ledger.backend import Backend
from prometheus.ledger.contract import LeaseLostError, RecordedOverride, StaleRevisionError, Turn
from prometheus.ledger.encoding import (
    decode_capacity,
    decode_coming,
    decode_turn,
    encode_capacity,
    encode_turn,
)
from prometheus.ledger.projection import Rows, differences, fold
from prometheus.ledger.workingset import WorkingSet
from prometheus.scheduler.decisions import Decision, SetPressure
from prometheus.scheduler.events import Event
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, Snapshot, TaskRow

PAGE = 500  # turns that are read at once


class SqlLedger:
    """A `Ledger` in SQLite or PostgreSQL; `prometheus.ledger.opening.open_ledger` makes one.

    Reading is safe from any thread; acquire, commit, release and close belong to one.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._sql = st.Statements(backend.engine.dialect)
        self._writer: sa.PoolProxiedConnection | None = None
        self._leads = False
        self._mind = WorkingSet(self._sql)

    def acquire(self, owner: str, now_us: int) -> int:
        with self._explained():
            self.backend.check_place()
            writer = self._connect()
            if not self._leads:
                self.backend.take_lease(writer, owner, now_us)
                self._leads = True
            try:
                with self._writing() as cursor:
                    cursor.execute(self._sql.leader)
                    epoch = int(cursor.fetchall()[0][0]) + 1
                    cursor.execute(self._sql.lead, (epoch, owner, now_us, 0, 1))
            except BaseException:
                self._give_up_lease()
                raise
        return epoch

    def commit(
        self, epoch: int, revision: int, at_us: int, events: Sequence[Event], decisions: Sequence[Decision]
    ) -> None:
        text, events, decisions = encode_turn(events, decisions)
        with self._explained():
            self.backend.check_place()
            with self._writing() as cursor:
                self._check_epoch(cursor, epoch)
                cursor.execute(self._sql.last_turn)
                found = cursor.fetchall()
                last, last_us = found[0] if found else (0, 0)
                if revision != last + 1:
                    self._check_same(cursor, epoch, revision, at_us, text, last)
                    return
                rows = self._mind.recall(cursor, last, last_us, events, decisions)
                changed = fold(rows, at_us, events, decisions)
                cursor.execute(self._sql.insert_turn, (revision, epoch, at_us, text))
                self._write(cursor, rows, changed)
            self._mind.learn(revision, changed)

    def _check_epoch(self, cursor: DBAPICursor, epoch: int) -> None:
        cursor.execute(self._sql.leader)
        leading, released, owner = cursor.fetchall()[0]
        if epoch != leading:
            raise LeaseLostError(
                f"epoch {epoch} does not lead the ledger {self.backend.name} any more: "
                f"{owner} leads with epoch {leading}"
            )
        if released:
            raise LeaseLostError(f"epoch {epoch} has given the ledger {self.backend.name} back")

    def _check_same(
        self, cursor: DBAPICursor, epoch: int, revision: int, at_us: int, text: str, last: int
    ) -> None:
        cursor.execute(self._sql.turn, (revision,))
        if [tuple(row) for row in cursor.fetchall()] != [(epoch, at_us, text)]:
            raise StaleRevisionError(
                f"turn {revision} cannot be written to the ledger {self.backend.name}: the last one is {last}"
            )

    def _write(self, cursor: DBAPICursor, before: Rows, changed: Rows) -> None:
        """The changed rows, grouped by statement; parents before children."""
        sql = self._sql
        if changed.capacity is not None:
            cursor.execute(sql.delete_capacity)
            cursor.execute(sql.insert_capacity, (1, encode_capacity(changed.capacity, changed.coming)))
        if changed.pressure is not None:
            cursor.execute(sql.delete_pressure)
            cursor.execute(sql.insert_pressure, st.pressure_insert(changed.pressure))
        opened = [run for run in changed.runs.values() if run.run_id not in before.runs]
        task_place = {task.task_id: i for run in opened for i, task in enumerate(run.plan.tasks)}
        slo_place = {slo.slo_id: i for run in opened for i, slo in enumerate(run.plan.slos)}
        runs, tasks, attempts, slos = (
            changed.runs.values(),
            changed.tasks.values(),
            changed.attempts.items(),
            changed.slos.values(),
        )
        for statement, values in (
            (sql.insert_run, [st.run_insert(run) for run in opened]),
            (sql.update_run, [st.run_update(run) for run in runs if run.run_id in before.runs]),
            (
                sql.insert_task,
                [st.task_insert(task, task_place[i]) for task in tasks if (i := task.task_id) in task_place],
            ),
            (sql.update_task, [st.task_update(task) for task in tasks if task.task_id not in task_place]),
            (
                sql.insert_slo,
                [st.slo_insert(slo, slo_place[i]) for slo in slos if (i := slo.slo_id) in slo_place],
            ),
            (sql.update_slo, [st.slo_update(slo) for slo in slos if slo.slo_id not in slo_place]),
            (
                sql.insert_attempt,
                [st.attempt_insert(row) for key, row in attempts if key not in before.attempts],
            ),
            (sql.update_attempt, [st.attempt_update(row) for key, row in attempts if key in before.attempts]),
        ):
            if values:
                cursor.executemany(statement, values)

    def revision(self) -> int:
        with self._explained(), self._reading() as connection:
            return connection.scalar(sa.select(sa.func.max(tables.turns.c.revision))) or 0

    def load(self, run_id: str | None = None) -> Snapshot:
        with self._explained(), self._reading() as connection:
            return _load(connection, run_id)

    def turns(self, after: int = 0, limit: int | None = None) -> Iterator[Turn]:
        turns = tables.turns
        left = limit
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            with self._explained(), self._reading() as connection:
                query = (
                    sa.select(turns).where(turns.c.revision > after).order_by(turns.c.revision).limit(page)
                )
                found = connection.execute(query).all()
            for revision, epoch, at_us, text in found:
                yield Turn(revision, epoch, at_us, *decode_turn(text))
                after = revision
            if len(found) < page:
                return
            left = None if left is None else left - page

    def runs(self, pipeline: str | None = None, limit: int = 100) -> list[RunRow]:
        c = tables.runs.c
        query = st.RUN_READ.order_by(c.session.desc(), c.opened_us.desc(), c.run_id.desc()).limit(limit)
        if pipeline is not None:
            query = query.where(c.pipeline == pipeline)
        return st.runs_of(self._read(query))

    def tasks(self, run_id: str) -> list[TaskRow]:
        c = tables.tasks.c
        return st.tasks_of(self._read(st.TASK_READ.where(c.run_id == run_id).order_by(c.position)))

    def attempts(self, task_id: str) -> list[AttemptRow]:
        c = tables.attempts.c
        return st.attempts_of(self._read(st.ATTEMPT_READ.where(c.task_id == task_id).order_by(c.attempt)))

    def run(self, run_id: str) -> RunRow | None:
        found = st.runs_of(self._read(st.RUN_READ.where(tables.runs.c.run_id == run_id)))
        return found[0] if found else None

    def attempts_of(self, run_id: str) -> list[AttemptRow]:
        tasks, attempts = tables.tasks, tables.attempts
        query = st.ATTEMPT_READ.select_from(attempts.join(tasks)).where(tasks.c.run_id == run_id)
        return st.attempts_of(self._read(query.order_by(tasks.c.position, attempts.c.attempt)))

    def slos(self, run_id: str) -> list[SloRow]:
        c = tables.slos.c
        return st.slos_of(self._read(st.SLO_READ.where(c.run_id == run_id).order_by(c.position)))

    def overrides(self) -> list[RecordedOverride]:
        table = tables.calendar_overrides
        rows = self._read(sa.select(table).order_by(table.c.number))
        return [
            RecordedOverride(
                row.number, Override.from_plain(json.loads(row.record)), row.recorded_us, row.recorded_by
            )
            for row in rows
        ]

    def record_override(self, override: Override, recorded_us: int, recorded_by: str) -> RecordedOverride:
        table = tables.calendar_overrides
        record = json.dumps(override.to_plain(), sort_keys=True)
        with self._explained(), self.backend.making() as connection:
            number = (connection.scalar(sa.select(sa.func.max(table.c.number))) or 0) + 1
            connection.execute(
                sa.insert(table).values(
                    number=number, recorded_us=recorded_us, recorded_by=recorded_by, record=record
                )
            )
        return RecordedOverride(number, override, recorded_us, recorded_by)

    def check(self) -> list[str]:
        found = []
        rebuilt = Rows()
        with self._explained(), self._reading() as connection:
            kept = _rows_of(_load(connection))
            turns = tables.turns
            expected = 1
            query = sa.select(turns).order_by(turns.c.revision).execution_options(yield_per=PAGE)
            for revision, _epoch, at_us, text in connection.execute(query):
                if revision != expected:
                    found.append(f"the log: turn {expected} is missing before turn {revision}")
                try:
                    rebuilt.absorb(fold(rebuilt, at_us, *decode_turn(text)))
                except AssertionError as error:
                    found.append(f"the log: turn {revision} does not follow from those before it: {error}")
                expected = revision + 1
        return found + differences(kept, rebuilt)

    def release(self, epoch: int) -> None:
        with self._explained():
            if self._leads:
                with self._writing() as cursor:
                    cursor.execute(self._sql.leader)
                    leading, _released, owner = cursor.fetchall()[0]
                    if leading == epoch:
                        cursor.execute(self._sql.lead, (epoch, owner, 0, 1, 1))
                self._give_up_lease()

    def close(self) -> None:
        self._give_up_lease()
        if self._writer is not None:
            with suppress(sa.exc.SQLAlchemyError, self.backend.driver_error):
                self._writer.close()
            self._writer = None
        self.backend.engine.dispose()

    def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._explained(), self._reading() as connection:
            return connection.execute(query).all()

    def _connect(self) -> DBAPIConnection:
        """The driver's own connection that turns are written on."""
        if self._writer is None:
            self._writer = self.backend.engine.raw_connection()
            assert self._writer.dbapi_connection is not None
            if self._leads:
                self.backend.keep_lease(self._writer.dbapi_connection)
        assert self._writer.dbapi_connection is not None, "a connection in use is open"
        return self._writer.dbapi_connection

    def _give_up_lease(self) -> None:
        self._leads = False
        self.backend.drop_lease(None if self._writer is None else self._writer.dbapi_connection)

    @contextmanager
    def _writing(self) -> Iterator[DBAPICursor]:
        """One transaction: committed at the end, rolled back when anything is raised."""
        writer = self._connect()
        try:
            cursor = writer.cursor()
            self.backend.begin(cursor)
            yield cursor
            writer.commit()
            cursor.close()
        except BaseException:
            try:
                writer.rollback()
            except self.backend.driver_error:
                self._drop_writer()
            raise

    def _drop_writer(self) -> None:
        """The connection is of no more use; the next turn gets a new one."""
        if self._writer is not None:
            self._writer.invalidate()
            self._writer = None

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        self.backend.check_place()
        with self.backend.engine.connect().execution_options(**self.backend.read_options) as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the driver says, in our words."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self.backend.explain(error.orig if isinstance(error.orig, Exception) else error) from error
        except self.backend.driver_error as error:
            raise self.backend.explain(error) from error


def _load(connection: sa.Connection, run_id: str | None = None) -> Snapshot:
    """Every row, or those of one run, in the order of opening and of the plans."""
    t = tables
    tasks = t.tasks.join(t.runs)
    last = connection.execute(st.LAST_TURN).one_or_none()
    capacity = connection.scalar(sa.select(t.capacity.c.capacity))
    pressure = connection.execute(st.PRESSURE_READ).one_or_none()

    def read(query: sa.Select[Any], *then_by: sa.Column[Any]) -> sa.CursorResult[Any]:
        if run_id is not None:
            query = query.where(t.runs.c.run_id == run_id)
        return connection.execute(query.order_by(t.runs.c.opened_us, t.runs.c.run_id, *then_by))

    return Snapshot(
        at_us=0 if last is None else last.at_us,
        capacity=None if capacity is None else decode_capacity(capacity),
        runs=tuple(st.runs_of(read(st.RUN_READ))),
        tasks=tuple(st.tasks_of(read(st.TASK_READ.select_from(tasks), t.tasks.c.position))),
        attempts=tuple(
            st.attempts_of(
                read(
                    st.ATTEMPT_READ.select_from(t.attempts.join(tasks)),
                    t.tasks.c.position,
                    t.attempts.c.attempt,
                )
            )
        ),
        slos=tuple(st.slos_of(read(st.SLO_READ.select_from(t.slos.join(t.runs)), t.slos.c.position))),
        pressure=None if pressure is None else SetPressure(*pressure),
        coming=() if capacity is None else decode_coming(capacity),
    )


def _rows_of(snapshot: Snapshot) -> Rows:
    return Rows(
        at_us=snapshot.at_us,
        capacity=snapshot.capacity,
        runs={run.run_id: run for run in snapshot.runs},
        tasks={task.task_id: task for task in snapshot.tasks},
        attempts={(row.task_id, row.attempt): row for row in snapshot.attempts},
        slos={slo.slo_id: slo for slo in snapshot.slos},
        pressure=snapshot.pressure,
        coming=snapshot.coming,
    )
