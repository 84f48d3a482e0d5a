"""Why does a task not run? The reason the scheduler gave, everything that stands before it, and what would help.

Nothing is decided here again: reasons and refusals are the scheduler's own words, kept in the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from prometheus.core.errors import UserError
from prometheus.core.instants import iso
from prometheus.core.settings import Settings
from prometheus.orchestrator.views import NIGHTS, Night, attempts_of, nights, unknown
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.snapshot import AttemptRow, TaskRow
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, RunState, TaskState

MOST_CAUSES = 20
_HANGS_ON_OTHERS = frozenset({TaskState.WAITING, TaskState.BLOCKED})


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that stands before a task."""

    kind: str  # release, upstream, root, room, hold, retry, nobody
    text: str
    task_id: str | None = None
    at_us: int | None = None  # when it is over by itself, if that is known


@dataclass(frozen=True, slots=True)
class Why:
    """The whole answer about one task."""

    night: Night
    task: TaskRow
    plan: TaskPlan
    headline: str
    causes: tuple[Cause, ...]
    eta_us: int | None  # earliest start if everything before it takes its usual time and finds room at once
    cures: tuple[str, ...]
    attempts: tuple[AttemptRow, ...]


def why(settings: Settings, words: Sequence[str], now_us: int, flags: str = "") -> Why:
    """The answer for a task named by its full id, by `run job`, or by the job's name in the newest run that has it.

    Raises `UserError` when nothing has that name.
    """
    night, task = find(nights(settings, NIGHTS * 10), words)
    return explain(night, task, attempts_of(night, [task]), now_us, flags)


def find(known: Sequence[Night], words: Sequence[str]) -> tuple[Night, TaskRow]:
    """The task meant by `words` among nights, newest first."""
    name = ".".join(words)
    for night in known:
        for task in night.tasks:
            if name in (task.task_id, task.job):
                return night, task
    if not words or not name:
        raise UserError("no task was named", allowed="a task id, a run and a job, or a job's name")
    candidates = [task.task_id for night in known for task in night.tasks]
    candidates += sorted({task.job for night in known for task in night.tasks})
    raise unknown("task", name, candidates)


def explain(night: Night, task: TaskRow, attempts: Sequence[AttemptRow], now_us: int, flags: str = "") -> Why:
    """Pure: what the rows of a night say about one of its tasks.

    `now_us` counts for a night on the wall's clock; a replayed one has its own. `flags` is appended to the cures.
    """
    rows = {row.task_id: row for row in night.tasks}
    plans = {plan.task_id: plan for plan in night.run.plan.tasks}
    plan = plans[task.task_id]
    now = _night_clock(night) if night.run.plan.replayed else now_us
    causes: list[Cause] = []
    if task.state not in ENDED and night.is_abandoned:
        causes.append(Cause("nobody", "no process works on this run any more"))
    if task.state not in ENDED and task.state not in HOLDING_ROOM and plan.release_us > now:
        causes.append(Cause("release", f"its release is {iso(plan.release_us)}", at_us=plan.release_us))
    if task.state in _HANGS_ON_OTHERS:
        causes += _upstream(plan, rows)
        causes += _roots(plan, rows, plans)
    if task.state is TaskState.READY:
        causes.append(_room(task, night.tasks, plans))
    if task.state is TaskState.HELD:
        causes.append(Cause("hold", task.reason))
    if task.state is TaskState.BACKING_OFF:
        when = f"its next attempt may begin {iso(task.not_before_us)}"
        causes.append(Cause("retry", f"{when}: {task.reason}", at_us=task.not_before_us))
    shown = tuple(causes[:MOST_CAUSES])
    if len(causes) > MOST_CAUSES:
        shown += (Cause("upstream", f"and {len(causes) - MOST_CAUSES} more"),)
    hopeful = task.state not in ENDED and task.state not in HOLDING_ROOM and task.state is not TaskState.HELD
    eta = _eta(plan, rows, plans, now) if hopeful and not night.is_abandoned else None
    return Why(night, task, plan, headline(task), shown, eta, cures(night, task, flags), tuple(attempts))


def headline(task: TaskRow) -> str:
    """One sentence: the state and the scheduler's reason for it."""
    state = task.state.value.replace("_", " ")
    return f"{task.task_id} is {state}: {task.reason}" if task.reason else f"{task.task_id} is {state}"


def _night_clock(night: Night) -> int:
    """The latest instant that a replayed night has recorded."""
    seen = [night.run.opened_us, night.run.ended_us or 0]
    for task in night.tasks:
        seen += [task.ready_us or 0, task.started_us or 0, task.ended_us or 0]
    return max(seen)


def _upstream(plan: TaskPlan, rows: Mapping[str, TaskRow]) -> list[Cause]:
    found = []
    for task_id in plan.after:
        row = rows.get(task_id)
        if row is None:
            found.append(Cause("upstream", f"it comes after {task_id}, which is in another run", task_id))
        elif row.state not in DONE:
            state = row.state.value.replace("_", " ")
            found.append(
                Cause("upstream", f"it comes after {row.job}, which is {state}: {row.reason}", task_id)
            )
    return found


def _roots(plan: TaskPlan, rows: Mapping[str, TaskRow], plans: Mapping[str, TaskPlan]) -> list[Cause]:
    """Further up: tasks that are not done and do not themselves only wait for others."""
    direct = set(plan.after)
    found = []
    for task_id in _ancestors(plan, plans):
        row = rows.get(task_id)
        if row is None or task_id in direct or row.state in DONE or row.state in _HANGS_ON_OTHERS:
            continue
        state = row.state.value.replace("_", " ")
        said = row.refusal or row.reason
        found.append(Cause("root", f"further up, {row.job} is {state}: {said}", task_id))
    return found


def _ancestors(plan: TaskPlan, plans: Mapping[str, TaskPlan]) -> list[str]:
    """Every task before this one, nearest first, each once."""
    found = dict.fromkeys(plan.after)
    queue = list(found)
    for task_id in queue:  # grows while it is walked
        if task_id in plans:
            for before in plans[task_id].after:
                if before not in found:
                    found[before] = None
                    queue.append(before)
    return queue


def _room(task: TaskRow, tasks: Sequence[TaskRow], plans: Mapping[str, TaskPlan]) -> Cause:
    """The refusal that the scheduler recorded; only the head of a queue has one of its own."""
    if task.refusal is not None:
        return Cause("room", task.refusal)
    plan = plans[task.task_id]
    heads = [row for row in tasks if row.refusal is not None and row.state is TaskState.READY]
    alike = [row for row in heads if plans[row.task_id].demand == plan.demand and row.tier == task.tier]
    for row in alike or heads:
        return Cause("room", f"{row.job} stands before it, and of that: {row.refusal}", row.task_id)
    return Cause("room", "it has just become ready; the next turn looks at it")


def _eta(
    plan: TaskPlan, rows: Mapping[str, TaskRow], plans: Mapping[str, TaskPlan], now_us: int
) -> int | None:
    """Earliest start by usual durations; None when something before it cannot be done without help."""
    ends: dict[str, int] = {}
    for task_id in _in_order(plan, plans):
        row, before = rows[task_id], plans[task_id]
        if row.state in DONE:
            ends[task_id] = min(row.ended_us or now_us, now_us)
            continue
        if row.state in ENDED or row.state is TaskState.HELD:
            return None
        if row.state in HOLDING_ROOM:
            begun = row.ready_us if row.started_us is None else row.started_us
            ends[task_id] = max(now_us, (begun or now_us) + before.typical_us)
            continue
        gates = [
            now_us,
            before.release_us,
            row.not_before_us or 0,
            *(ends.get(one, 0) for one in before.after),
        ]
        ends[task_id] = max(gates) + before.typical_us
    own = rows[plan.task_id].not_before_us or 0
    return max([now_us, plan.release_us, own, *(ends.get(one, 0) for one in plan.after)])


def _in_order(plan: TaskPlan, plans: Mapping[str, TaskPlan]) -> list[str]:
    """The known tasks before this one, each after those it waits for: the order of the run's plan."""
    wanted = set(_ancestors(plan, plans))
    return [task_id for task_id in plans if task_id in wanted]


def cures(night: Night, task: TaskRow, flags: str = "") -> tuple[str, ...]:
    """Commands that would help, as they can be typed."""
    needs_hand = task.state in {TaskState.FAILED, TaskState.BLOCKED, TaskState.CANCELLED}
    is_over = night.run.state is not RunState.RUNNING
    if (needs_hand and is_over) or (task.state not in DONE and night.is_abandoned):
        return (rerun_command(asked_as(night.run.plan.pipeline), night.run.plan.session, flags),)
    return ()


def asked_as(pipeline: str) -> str:
    """How a pipeline is named on the command line; where a user's file lies is not in the ledger."""
    from prometheus.orchestrator.loading import shipped_names

    return pipeline if pipeline in shipped_names() else "FILE.py:VARIABLE"


def rerun_command(pipeline: str, session: date, flags: str = "") -> str:
    """The command that takes a run up again; what had finished is not done twice."""
    return f"prometheus run {pipeline} --session {session.isoformat()}{flags}"
