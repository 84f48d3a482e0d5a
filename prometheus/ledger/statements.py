"""The statements of a turn, compiled once for a database, and the way between rows as values and rows in tables.

A turn is a handful of statements that are always the same, and it is the scheduler's heartbeat. So they are written
in SQLAlchemy Core, compiled to the database's own SQL when the ledger is opened, and then given to its driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from prometheus.ledger import tables
from prometheus.ledger.encoding import decode_foreseen, decode_plan, encode_foreseen, encode_plan
from prometheus.scheduler.decisions import SetPressure
from prometheus.scheduler.events import Failure
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import AttemptState, RunState, SloState, StopCause, TaskState

Values = tuple[Any, ...]  # of one row, in the order of its statement's columns

RUN_COLUMNS = ("run_id", "plan", "state", "opened_us", "ended_us", "reason")
TASK_CHANGES = (
    "state",
    "reason",
    "attempts",
    "counted_from",
    "not_before_us",
    "ready_us",
    "started_us",
    "ended_us",
    "refusal",
    "mode",
    "checkpoint",
    "output",
)
TASK_COLUMNS = ("task_id", "run_id", "job", "tier", *TASK_CHANGES)
ATTEMPT_CHANGES = (
    "state",
    "started_us",
    "ended_us",
    "stop_cause",
    "failure",
    "message",
    "tail",
    "cpu_us",
    "peak_mib",
    "saved_us",
)
ATTEMPT_COLUMNS = ("task_id", "attempt", "bin_id", "devices", "mode", "ordered_us", *ATTEMPT_CHANGES)
PRESSURE_COLUMNS = ("at_us", "level", "slo_id", "miss", "made_us", "reason")
SLO_COLUMNS = ("slo_id", "run_id", "name", "deadline_us", "state", "finished_us", "reason", "foreseen")


def _read(table: sa.Table, columns: Iterable[str]) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*(table.c[name] for name in columns))


RUN_READ = _read(tables.runs, RUN_COLUMNS)
TASK_READ = _read(tables.tasks, TASK_COLUMNS)
ATTEMPT_READ = _read(tables.attempts, ATTEMPT_COLUMNS)
SLO_READ = _read(tables.slos, SLO_COLUMNS)
PRESSURE_READ = _read(tables.pressure, PRESSURE_COLUMNS)
LAST_TURN = _read(tables.turns, ["revision", "at_us"]).where(
    tables.turns.c.revision == sa.select(sa.func.max(tables.turns.c.revision)).scalar_subquery()
)


class Statements:
    """SQL texts for one database; each takes a tuple in the order of the columns that its line names."""

    def __init__(self, dialect: sa.Dialect) -> None:
        t = tables

        def text(statement: sa.ClauseElement, *columns: str) -> str:
            compiled: Any = statement.compile(dialect=dialect)  # SQLAlchemy types it without positiontup
            order = tuple(compiled.positiontup or ())
            assert order == columns, f"{statement} takes {order}, not {columns}"
            return str(compiled)

        def insert(table: sa.Table) -> str:
            return text(sa.insert(table), *(column.name for column in table.columns))

        def update(table: sa.Table, keys: Sequence[str], columns: Sequence[str]) -> str:
            where = [table.c[key] == sa.bindparam(f"key_{key}") for key in keys]
            changes = sa.update(table).where(*where).values({name: sa.bindparam(name) for name in columns})
            in_table_order = [column.name for column in table.columns if column.name in columns]
            return text(changes, *in_table_order, *(f"key_{key}" for key in keys))

        by_run: sa.BindParameter[str] = sa.bindparam("run_id")
        self.leader = text(_read(t.leader, ["epoch", "released", "owner"]).with_for_update())
        self.lead = update(t.leader, ["id"], ["epoch", "owner", "taken_at_us", "released"])
        self.last_turn = text(LAST_TURN)
        self.turn = text(
            _read(t.turns, ["epoch", "at_us", "records"]).where(
                t.turns.c.revision == sa.bindparam("revision")
            ),
            "revision",
        )
        self.insert_turn = insert(t.turns)
        self.delete_capacity = text(sa.delete(t.capacity))
        self.insert_capacity = insert(t.capacity)
        self.delete_pressure = text(sa.delete(t.pressure))
        self.insert_pressure = insert(t.pressure)
        self.insert_run = insert(t.runs)
        self.update_run = update(t.runs, ["run_id"], ["state", "ended_us", "reason"])
        self.insert_task = insert(t.tasks)
        self.update_task = update(t.tasks, ["task_id"], TASK_CHANGES)
        self.insert_attempt = insert(t.attempts)
        self.update_attempt = update(t.attempts, ["task_id", "attempt"], ATTEMPT_CHANGES)
        self.insert_slo = insert(t.slos)
        self.update_slo = update(t.slos, ["slo_id"], ["state", "finished_us", "reason", "foreseen"])
        self.run_of_task = text(
            sa.select(t.tasks.c.run_id).where(t.tasks.c.task_id == sa.bindparam("task_id")), "task_id"
        )
        self.run_of_slo = text(
            sa.select(t.slos.c.run_id).where(t.slos.c.slo_id == sa.bindparam("slo_id")), "slo_id"
        )
        self.run = text(RUN_READ.where(t.runs.c.run_id == by_run), "run_id")
        self.tasks_of_run = text(TASK_READ.where(t.tasks.c.run_id == by_run), "run_id")
        self.attempts_of_run = text(
            ATTEMPT_READ.join(t.tasks, t.tasks.c.task_id == t.attempts.c.task_id).where(
                t.tasks.c.run_id == by_run
            ),
            "run_id",
        )
        self.slos_of_run = text(SLO_READ.where(t.slos.c.run_id == by_run), "run_id")


def run_insert(run: RunRow) -> Values:
    """For `insert_run`."""
    plan = run.plan
    return (
        run.run_id,
        plan.pipeline,
        plan.session.isoformat(),
        encode_plan(plan),
        str(run.state),
        run.opened_us,
        run.ended_us,
        run.reason,
    )


def run_update(run: RunRow) -> Values:
    """For `update_run`."""
    return str(run.state), run.ended_us, run.reason, run.run_id


def task_insert(task: TaskRow, position: int) -> Values:
    """For `insert_task`; `position` in the plan."""
    return task.task_id, task.run_id, position, task.job, task.tier, *_task_changes(task)


def task_update(task: TaskRow) -> Values:
    """For `update_task`."""
    return *_task_changes(task), task.task_id


def _task_changes(task: TaskRow) -> Values:
    return (
        str(task.state),
        task.reason,
        task.attempts,
        task.counted_from,
        task.not_before_us,
        task.ready_us,
        task.started_us,
        task.ended_us,
        task.refusal,
        task.mode,
        task.checkpoint,
        task.output,
    )


def attempt_insert(attempt: AttemptRow) -> Values:
    """For `insert_attempt`."""
    return (
        attempt.task_id,
        attempt.attempt,
        attempt.bin_id,
        ",".join(map(str, attempt.devices)),
        attempt.mode,
        attempt.ordered_us,
        *_attempt_changes(attempt),
    )


def attempt_update(attempt: AttemptRow) -> Values:
    """For `update_attempt`."""
    return *_attempt_changes(attempt), attempt.task_id, attempt.attempt


def _attempt_changes(attempt: AttemptRow) -> Values:
    return (
        str(attempt.state),
        attempt.started_us,
        attempt.ended_us,
        None if attempt.stop_cause is None else str(attempt.stop_cause),
        None if attempt.failure is None else str(attempt.failure),
        attempt.message,
        attempt.tail,
        attempt.cpu_us,
        attempt.peak_mib,
        attempt.saved_us,
    )


def pressure_insert(said: SetPressure) -> Values:
    """For `insert_pressure`."""
    return 1, said.at_us, said.level, said.slo_id, said.miss, said.made_us, said.reason


def slo_insert(slo: SloRow, position: int) -> Values:
    """For `insert_slo`; `position` in the plan."""
    return (
        slo.slo_id,
        slo.run_id,
        position,
        slo.name,
        slo.deadline_us,
        str(slo.state),
        slo.finished_us,
        slo.reason,
        None if slo.foreseen is None else encode_foreseen(slo.foreseen),
    )


def slo_update(slo: SloRow) -> Values:
    """For `update_slo`."""
    foreseen = None if slo.foreseen is None else encode_foreseen(slo.foreseen)
    return str(slo.state), slo.finished_us, slo.reason, foreseen, slo.slo_id


def runs_of(found: Iterable[Any]) -> list[RunRow]:
    """The rows of `RUN_READ`."""
    return [
        RunRow(run_id, decode_plan(plan), RunState(state), opened_us, ended_us, reason)
        for run_id, plan, state, opened_us, ended_us, reason in found
    ]


def tasks_of(found: Iterable[Any]) -> list[TaskRow]:
    """The rows of `TASK_READ`."""
    tasks = []
    for row in found:
        values = dict(zip(TASK_COLUMNS, row, strict=True))
        tasks.append(TaskRow(**{**values, "state": TaskState(values["state"])}))
    return tasks


def attempts_of(found: Iterable[Any]) -> list[AttemptRow]:
    """The rows of `ATTEMPT_READ`."""
    attempts = []
    for row in found:
        values = dict(zip(ATTEMPT_COLUMNS, row, strict=True))
        devices, cause, failure = values["devices"], values["stop_cause"], values["failure"]
        values["state"] = AttemptState(values["state"])
        values["devices"] = tuple(map(int, devices.split(","))) if devices else ()
        values["stop_cause"] = None if cause is None else StopCause(cause)
        values["failure"] = None if failure is None else Failure(failure)
        attempts.append(AttemptRow(**values))
    return attempts


def slos_of(found: Iterable[Any]) -> list[SloRow]:
    """The rows of `SLO_READ`."""
    return [
        SloRow(
            slo_id,
            run_id,
            name,
            deadline_us,
            SloState(state),
            finished_us,
            reason,
            None if foreseen is None else decode_foreseen(foreseen),
        )
        for slo_id, run_id, name, deadline_us, state, finished_us, reason, foreseen in found
    ]
