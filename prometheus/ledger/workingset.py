"""The rows that the leader keeps in mind: those of the runs that turns are about, fetched when first needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.engine.interfaces import DBAPICursor

from prometheus.ledger import statements as st
from prometheus.ledger.projection import Rows
from prometheus.scheduler.decisions import CloseRun, Decision, JudgeSlo, SetPressure
from prometheus.scheduler.events import CapacityChanged, Event, ForecastMade, RunOpened, TaskAsked, TimePassed
from prometheus.scheduler.states import RunState

CLOSED_RUNS_KEPT = 32  # the last closed runs stay in mind: an operator may ask for a retry


class WorkingSet:
    """A part of the ledger's rows as of one revision; of a run all rows or none."""

    def __init__(self, sql: st.Statements) -> None:
        self._sql = sql
        self._rows = Rows()
        self._revision = 0
        self._closed: dict[str, None] = {}  # ids of closed runs in mind, oldest first

    def recall(
        self,
        cursor: DBAPICursor,
        revision: int,
        at_us: int,
        events: Sequence[Event],
        decisions: Sequence[Decision],
    ) -> Rows:
        """Rows as of `revision` (its instant: `at_us`), with every row that the turn may look at."""
        if revision != self._revision:
            self._forget_all()
            self._revision = revision
        self._rows.at_us = at_us
        rows = self._rows
        opened: set[str] = set()
        for event in events:
            match event:
                case RunOpened(run=plan):
                    if plan.run_id not in rows.runs:
                        self._fetch(cursor, [(plan.run_id,)])
                        if plan.run_id not in rows.runs:
                            opened.update(task.task_id for task in plan.tasks)
                            opened.update(slo.slo_id for slo in plan.slos)
                            opened.add(plan.run_id)
                case CapacityChanged() | TaskAsked() | TimePassed():
                    pass
                case ForecastMade(slos=said):
                    for one in said:
                        if one.slo_id not in rows.slos and one.slo_id not in opened:
                            self._fetch_of(cursor, self._sql.run_of_slo, one.slo_id)
                case _:
                    if event.task_id not in rows.tasks and event.task_id not in opened:
                        self._fetch_of(cursor, self._sql.run_of_task, event.task_id)
        for decision in decisions:
            match decision:
                case CloseRun(run_id=run_id):
                    if run_id not in rows.runs and run_id not in opened:
                        self._fetch(cursor, [(run_id,)])
                case JudgeSlo(slo_id=slo_id):
                    if slo_id not in rows.slos and slo_id not in opened:
                        self._fetch_of(cursor, self._sql.run_of_slo, slo_id)
                case SetPressure():
                    pass
                case _:
                    if decision.task_id not in rows.tasks and decision.task_id not in opened:
                        self._fetch_of(cursor, self._sql.run_of_task, decision.task_id)
        return rows

    def learn(self, revision: int, changed: Rows) -> None:
        """The turn is committed: its rows are the current ones."""
        self._rows.absorb(changed)
        self._revision = revision
        for run in changed.runs.values():
            self._note(run.run_id, run.state)
        while len(self._closed) > CLOSED_RUNS_KEPT:
            self._forget(next(iter(self._closed)))

    def _note(self, run_id: str, state: RunState) -> None:
        self._closed.pop(run_id, None)
        if state is not RunState.RUNNING:
            self._closed[run_id] = None

    def _fetch_of(self, cursor: DBAPICursor, query: str, key: str) -> None:
        cursor.execute(query, (key,))
        self._fetch(cursor, cursor.fetchall())

    def _fetch(self, cursor: DBAPICursor, run_ids: Iterable[Sequence[str]]) -> None:
        sql, rows = self._sql, self._rows
        for (run_id,) in run_ids:
            cursor.execute(sql.run, (run_id,))
            for run in st.runs_of(cursor.fetchall()):
                rows.runs[run_id] = run
                self._note(run_id, run.state)
            cursor.execute(sql.tasks_of_run, (run_id,))
            rows.tasks.update((task.task_id, task) for task in st.tasks_of(cursor.fetchall()))
            cursor.execute(sql.attempts_of_run, (run_id,))
            rows.attempts.update(((a.task_id, a.attempt), a) for a in st.attempts_of(cursor.fetchall()))
            cursor.execute(sql.slos_of_run, (run_id,))
            rows.slos.update((slo.slo_id, slo) for slo in st.slos_of(cursor.fetchall()))

    def _forget(self, run_id: str) -> None:
        rows = self._rows
        plan = rows.runs.pop(run_id).plan
        del self._closed[run_id]
        for task in plan.tasks:
            last = rows.tasks.pop(task.task_id).attempts
            for number in range(1, last + 1):
                rows.attempts.pop((task.task_id, number), None)
        for slo in plan.slos:
            del rows.slos[slo.slo_id]

    def _forget_all(self) -> None:
        self._rows = Rows()
        self._closed.clear()
