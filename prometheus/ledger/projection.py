"""The rows that follow from the log: events and decisions folded in order, nothing decided anew.

`starting` is said by a StartAttempt, `running` by an AttemptStarted, `stopping` by a StopAttempt; every other state of
a task by a SetTask.

`fold` is pure. A ledger uses it to learn which rows a turn changes, and `check` to rebuild every row from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, assert_never

from prometheus.core.demand import Capacity
from prometheus.scheduler.decisions import (
    CloseRun,
    Decision,
    JudgeSlo,
    RefuseStart,
    SetPressure,
    SetTask,
    StartAttempt,
    StopAttempt,
)
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    ForecastMade,
    RunOpened,
    TaskAsked,
    TimePassed,
)
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.rules import keeps_its_age
from prometheus.scheduler.snapshot import AttemptRow, Foreseen, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import DONE, ENDED, AttemptState, RunState, SloState, TaskState

OPENED = "opened"  # the reason of every row of a run that has just been opened

_task_values = attrgetter(*(column.name for column in fields(TaskRow)))
_attempt_values = attrgetter(*(column.name for column in fields(AttemptRow)))
_CLOSED = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED})
_SETTLED = frozenset({SloState.MET, SloState.MISSED})  # promises that no forecast is about any more


@dataclass(slots=True)
class Rows:
    """Rows by their ids; attempts by (task, number). As the answer of `fold`, only those that changed."""

    at_us: int = 0  # instant of the last turn
    capacity: Capacity | None = None
    runs: dict[str, RunRow] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    attempts: dict[tuple[str, int], AttemptRow] = field(default_factory=dict)
    slos: dict[str, SloRow] = field(default_factory=dict)
    pressure: SetPressure | None = None  # what was last said of it
    coming: tuple[tuple[int, Capacity], ...] = ()  # announced with the capacity

    def absorb(self, changed: Rows) -> None:
        """Take over the rows of `changed`."""
        self.at_us = changed.at_us
        if changed.capacity is not None:
            self.capacity, self.coming = changed.capacity, changed.coming
        if changed.pressure is not None:
            self.pressure = changed.pressure
        self.runs.update(changed.runs)
        self.tasks.update(changed.tasks)
        self.attempts.update(changed.attempts)
        self.slos.update(changed.slos)


def fold(rows: Rows, at_us: int, events: Sequence[Event], decisions: Sequence[Decision]) -> Rows:
    """The rows that one turn makes or changes; `rows` stays as it is.

    Facts that are repeated, late or about attempts that nobody ordered change nothing. Decisions name what exists:
    one that does not is a fault of the scheduler and raises AssertionError.
    """
    turn = _Turn(rows)
    for event in events:
        turn.learn(event)
    for decision in decisions:
        turn.conclude(decision)
    turn.changed.at_us = at_us
    return turn.changed


def differences(kept: Rows, rebuilt: Rows) -> list[str]:
    """Sentences that say where the rows that a ledger keeps differ from those rebuilt from its log."""
    found = []
    if kept.capacity != rebuilt.capacity:
        found.append(f"capacity: the row says {kept.capacity!r}, the log {rebuilt.capacity!r}")
    if kept.coming != rebuilt.coming:
        found.append(f"coming capacity: the row says {kept.coming!r}, the log {rebuilt.coming!r}")
    if kept.pressure != rebuilt.pressure:
        found.append(f"pressure: the row says {kept.pressure!r}, the log {rebuilt.pressure!r}")
    for kind, ours, theirs in (
        ("run", kept.runs, rebuilt.runs),
        ("task", kept.tasks, rebuilt.tasks),
        ("attempt", kept.attempts, rebuilt.attempts),
        ("SLO", kept.slos, rebuilt.slos),
    ):
        found += _compare(kind, ours, theirs)
    return found


# Any: the keys of a mapping are invariant, and ids are texts or pairs.
def _compare(kind: str, kept: Mapping[Any, object], rebuilt: Mapping[Any, object]) -> Iterable[str]:
    for key in sorted(kept.keys() | rebuilt.keys(), key=str):
        name = " #".join(map(str, key)) if isinstance(key, tuple) else str(key)
        row, expected = kept.get(key), rebuilt.get(key)
        if row is None:
            yield f"{kind} {name}: the log has it, the rows do not"
        elif expected is None:
            yield f"{kind} {name}: the rows have it, the log does not"
        elif row != expected:
            for column in fields(row):  # type: ignore[arg-type]  # rows are dataclasses
                ours, theirs = getattr(row, column.name), getattr(expected, column.name)
                if ours != theirs:
                    yield f"{kind} {name}: {column.name} is {ours!r} in the row, {theirs!r} by the log"


class _Turn:
    """The fold of one turn: rows as they were, overlaid with those that it has changed."""

    def __init__(self, before: Rows) -> None:
        self.before = before
        self.changed = Rows()
        self.now_us = before.at_us

    def learn(self, event: Event) -> None:
        self.now_us = max(self.now_us, event.at_us)  # as the scheduler does: a clock set back moves nothing
        match event:
            case AttemptStarted():
                self._started(event)
            case AttemptSucceeded():
                self._succeeded(event)
            case AttemptFailed():
                self._failed(event)
            case AttemptCheckpointed():
                attempt = self._open_attempt(event.task_id, event.attempt)
                if attempt is not None:
                    self._edit(self._task(event.task_id), checkpoint=event.state)
                    self._edit_attempt(attempt, saved_us=self.now_us)
            case RunOpened():
                if self._run(event.run.run_id) is None:
                    self._open(event.run)
            case CapacityChanged():
                self.changed.capacity, self.changed.coming = event.capacity, event.coming
            case ForecastMade():
                self._foreseen(event)
            case TaskAsked() | TimePassed():
                pass  # what follows from them is said by decisions
            case _:
                assert_never(event)

    def conclude(self, decision: Decision) -> None:
        match decision:
            case SetTask():
                self._set_task(decision)
            case StartAttempt():
                self._start(decision)
            case StopAttempt():
                self._stop(decision)
            case RefuseStart():
                self._edit(self._task(decision.task_id), refusal=decision.reason)
            case CloseRun():
                run = self._run(decision.run_id)
                assert run is not None, f"the run {decision.run_id} was closed but never opened"
                self.changed.runs[run.run_id] = replace(
                    run, state=decision.state, ended_us=decision.at_us, reason=decision.reason
                )
            case JudgeSlo():
                self.changed.slos[decision.slo_id] = replace(
                    self._slo(decision.slo_id),
                    state=decision.state,
                    finished_us=decision.finished_us,
                    reason=decision.reason,
                )
            case SetPressure():
                self.changed.pressure = decision
            case _:
                assert_never(decision)

    def _open(self, plan: RunPlan) -> None:
        self.changed.runs[plan.run_id] = RunRow(
            plan.run_id, plan, RunState.RUNNING, self.now_us, None, OPENED
        )
        for task in plan.tasks:
            self.changed.tasks[task.task_id] = TaskRow(
                task.task_id, plan.run_id, task.job, task.tier, TaskState.WAITING, OPENED
            )
        for slo in plan.slos:
            self.changed.slos[slo.slo_id] = SloRow(
                slo.slo_id, plan.run_id, slo.name, slo.deadline_us, SloState.ON_TRACK, None, OPENED
            )

    def _foreseen(self, made: ForecastMade) -> None:
        for said in made.slos:
            row = self.changed.slos.get(said.slo_id) or self.before.slos.get(said.slo_id)
            is_overtaken = (
                row is not None and row.foreseen is not None and made.made_us < row.foreseen.made_us
            )
            if row is not None and row.state not in _SETTLED and not is_overtaken:
                foreseen = Foreseen(made.made_us, made.samples, said)
                self.changed.slos[said.slo_id] = replace(row, foreseen=foreseen)

    def _set_task(self, said: SetTask) -> None:
        task = self._task(said.task_id)
        is_taken_up_again = task.state in ENDED and said.state not in ENDED
        if is_taken_up_again:
            self._take_up_again(task, said)
        waits_on = task.state is TaskState.BACKING_OFF and task.ready_us is not None
        if said.state is TaskState.READY and task.state is not TaskState.READY and not waits_on:
            self._edit(task, ready_us=said.at_us)
        self._edit(
            task,
            ended_us=_ended_us(task, said),
            state=said.state,
            reason=said.reason,
            not_before_us=said.not_before_us,
            refusal=None,
        )

    def _take_up_again(self, task: TaskRow, said: SetTask) -> None:
        """The attempts so far no longer count against the retries, and the run is open again."""
        self._edit(task, counted_from=task.attempts)
        if task.state in DONE:
            self._throw_away_saved(task)
        run = self._run(task.run_id)
        if run is not None and run.state is not RunState.RUNNING:
            self.changed.runs[run.run_id] = replace(
                run, state=RunState.RUNNING, ended_us=None, reason=said.reason
            )

    def _throw_away_saved(self, task: TaskRow) -> None:
        """A repair begins anew: what earlier attempts saved is of no use to it."""
        self._edit(task, checkpoint=None)
        for number in range(1, task.attempts + 1):
            key = task.task_id, number
            attempt = self.changed.attempts.get(key) or self.before.attempts.get(key)
            if attempt is not None and attempt.saved_us is not None:
                self._edit_attempt(attempt, saved_us=None)

    def _start(self, order: StartAttempt) -> None:
        task = self._task(order.task_id)
        assert order.attempt > task.attempts, f"{order.task_id} #{order.attempt} after #{task.attempts}"
        self._edit(
            task,
            state=TaskState.STARTING,
            reason=order.reason,
            attempts=order.attempt,
            not_before_us=None,
            ended_us=None,
            mode=order.mode,
            refusal=None,
        )
        self.changed.attempts[order.task_id, order.attempt] = AttemptRow(
            order.task_id,
            order.attempt,
            AttemptState.STARTING,
            order.bin_id,
            order.devices,
            order.mode,
            order.at_us,
        )

    def _stop(self, order: StopAttempt) -> None:
        attempt = self._open_attempt(order.task_id, order.attempt)
        if attempt is not None:
            self._edit_attempt(attempt, state=AttemptState.STOPPING, stop_cause=order.cause)
            self._edit(self._task(order.task_id), state=TaskState.STOPPING, reason=order.reason)

    def _started(self, fact: AttemptStarted) -> None:
        attempt = self._open_attempt(fact.task_id, fact.attempt)
        if attempt is None or attempt.started_us is not None:
            return
        task = self._task(fact.task_id)
        state = AttemptState.RUNNING if attempt.state is AttemptState.STARTING else attempt.state
        self._edit_attempt(attempt, state=state, started_us=self.now_us)
        if task.state is TaskState.STARTING:
            self._edit(task, state=TaskState.RUNNING)
        if task.started_us is None:
            self._edit(task, started_us=self.now_us)

    def _succeeded(self, fact: AttemptSucceeded) -> None:
        attempt = self._open_attempt(fact.task_id, fact.attempt)
        if attempt is None:
            return
        self._edit_attempt(
            attempt,
            state=AttemptState.SUCCEEDED,
            ended_us=self.now_us,
            cpu_us=fact.cpu_us,
            peak_mib=fact.peak_mib,
        )
        self._edit(self._task(fact.task_id), output=fact.output)

    def _failed(self, fact: AttemptFailed) -> None:
        attempt = self._open_attempt(fact.task_id, fact.attempt)
        if attempt is None:
            return
        if not keeps_its_age(fact.failure, attempt.saved_us):
            self._edit(self._task(fact.task_id), ready_us=None)
        self._edit_attempt(
            attempt,
            state=AttemptState.FAILED,
            ended_us=self.now_us,
            failure=fact.failure,
            message=fact.message,
            tail=fact.tail,
            cpu_us=fact.cpu_us,
            peak_mib=fact.peak_mib,
        )

    # A turn edits a row several times, and each `replace` of a frozen row costs as much as writing it to SQLite. So
    # the fold copies a row once and writes to its own copy, which nobody else sees until the fold is done.

    def _edit(self, task: TaskRow, **changes: object) -> None:
        own = self.changed.tasks.get(task.task_id)
        if own is None:
            own = self.changed.tasks[task.task_id] = TaskRow(*_task_values(task))
        for name, value in changes.items():
            object.__setattr__(own, name, value)

    def _edit_attempt(self, attempt: AttemptRow, **changes: object) -> None:
        key = (attempt.task_id, attempt.attempt)
        own = self.changed.attempts.get(key)
        if own is None:
            own = self.changed.attempts[key] = AttemptRow(*_attempt_values(attempt))
        for name, value in changes.items():
            object.__setattr__(own, name, value)

    def _task(self, task_id: str) -> TaskRow:
        task = self.changed.tasks.get(task_id) or self.before.tasks.get(task_id)
        assert task is not None, f"a decision names the task {task_id}, which no run has"
        return task

    def _open_attempt(self, task_id: str, number: int) -> AttemptRow | None:
        """The attempt if it is the task's current one and has not ended; None for what is stale."""
        task = self.changed.tasks.get(task_id) or self.before.tasks.get(task_id)
        if task is None or task.attempts != number:
            return None
        key = (task_id, number)
        attempt = self.changed.attempts.get(key) or self.before.attempts.get(key)
        return None if attempt is None or attempt.state in _CLOSED else attempt

    def _run(self, run_id: str) -> RunRow | None:
        return self.changed.runs.get(run_id) or self.before.runs.get(run_id)

    def _slo(self, slo_id: str) -> SloRow:
        slo = self.changed.slos.get(slo_id) or self.before.slos.get(slo_id)
        assert slo is not None, f"a decision names the SLO {slo_id}, which no run has"
        return slo


def _ended_us(task: TaskRow, said: SetTask) -> int | None:
    """When the task ended, as it stands after `said`: kept while it goes from one ended state to the same."""
    if said.state not in ENDED:
        return None
    return task.ended_us if said.state is task.state and task.ended_us is not None else said.at_us
