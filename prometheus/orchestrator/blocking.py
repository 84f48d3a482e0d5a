"""Why does a task not run? The reason the scheduler gave, everything that stands before it, and what would help.

Nothing is decided here again: reasons and refusals are the scheduler's own words, kept in the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from prometheus.core.errors import UserError
from prometheus.core.instants import from_us, iso, to_us
from prometheus.core.time import CalendarError, TradingCalendar
from prometheus.ledger.projection import OPENED
from prometheus.orchestrator.repairing import to_repair
from prometheus.orchestrator.views import Night, unknown
from prometheus.scheduler.events import Verb
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.refusals import kind_of
from prometheus.scheduler.snapshot import AttemptRow, SloRow, TaskRow
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, RunState, SloState, TaskState
from prometheus.scheduler.verbs import what_forbids

if TYPE_CHECKING:
    from prometheus.forecast.foresee import Forecast
    from prometheus.orchestrator.curing import Cure
    from prometheus.orchestrator.prospect import Prospect

MOST_CAUSES = 20
# Causes that usual durations say nothing of: it would be "now", which is what the scheduler has just refused.
_NOBODY_KNOWS_UNTIL = frozenset({"room", "pool", "reservation", "tier", "pressure"})
_HANGS_ON_OTHERS = frozenset({TaskState.WAITING, TaskState.BLOCKED})
_HAS_COME_TO = {  # the others are what their names say
    TaskState.SUCCEEDED: "is done",
    TaskState.FAILED: "has failed",
    TaskState.SKIPPED: "was skipped",
    TaskState.CANCELLED: "was cancelled",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that stands before a task."""

    # release, market, upstream, root, hold, retry, repair, nobody;
    # or what refused it: room, pool, reservation, tier, pressure
    kind: str
    text: str
    task_id: str | None = None
    at_us: int | None = None  # when it is over, if that is known or foreseen


@dataclass(frozen=True, slots=True)
class Why:
    """The whole answer about one task."""

    night: Night
    task: TaskRow
    plan: TaskPlan
    headline: str
    causes: tuple[Cause, ...]
    eta_us: (
        int | None
    )  # earliest start if everything before it takes its usual time and finds room at once; None if not
    commands: tuple[str, ...]  # what takes the run up again
    attempts: tuple[AttemptRow, ...]
    now_us: int  # on the night's clock
    slos: tuple[SloPlan, ...]  # promises that hang on it, itself included
    forecast: Forecast | None = None  # None where nothing can be foreseen, or nobody asked for it
    ranked: tuple[Cure, ...] = ()  # what would help, best first


def find_slo(known: Sequence[Night], name: str) -> tuple[Night, SloRow]:
    """The promise of that id or name among nights, newest first."""
    for night in known:
        for slo in night.slos:
            if name in (slo.slo_id, slo.name):
                return night, slo
    names = sorted({slo.name for night in known for slo in night.slos})
    raise UserError(
        f"no run has a promise {name!r}",
        allowed=", ".join(names[:8]) or "the name of an SLO of a run in the ledgers",
    )


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


def explain(
    night: Night,
    task: TaskRow,
    attempts: Sequence[AttemptRow],
    now_us: int,
    flags: str = "",
    prospect: Prospect | None = None,
) -> Why:
    """What the rows of a night say about one of its tasks, at `now_us` of its clock.

    `prospect` knows who stands before it in its queue; `flags` is appended to the commands.
    """
    rows = {row.task_id: row for row in night.tasks}
    plans = {plan.task_id: plan for plan in night.run.plan.tasks}
    plan = plans[task.task_id]
    causes: list[Cause] = []
    if task.state not in ENDED and night.is_abandoned:
        causes.append(Cause("nobody", "no process works on this run any more"))
    if task.state not in ENDED and task.state not in HOLDING_ROOM and plan.release_us > now_us:
        causes.append(Cause("release", f"its release is {iso(plan.release_us)}", at_us=plan.release_us))
        causes += _market(night.run.plan.market, now_us)
    if task.state in _HANGS_ON_OTHERS:
        causes += _upstream(plan, rows, night.is_abandoned)
        causes += _roots(plan, rows, plans, night.is_abandoned)
    if task.state is TaskState.READY:
        causes.append(_refused(task, rows, plans, prospect))
    if task.state is TaskState.HELD:
        causes.append(Cause("hold", task.reason))
    if task.state is TaskState.BACKING_OFF:
        when = f"its next attempt may begin {iso(task.not_before_us)}"
        causes.append(Cause("retry", f"{when}: {task.reason}", at_us=task.not_before_us))
    if to_repair([task]) and _is_led(night):
        causes.append(_not_yet_repaired(night, task, rows, flags))
    hopeful = task.state not in ENDED and task.state not in HOLDING_ROOM and task.state is not TaskState.HELD
    hopeful = hopeful and not any(cause.kind in _NOBODY_KNOWS_UNTIL for cause in causes)
    eta = _eta(plan, rows, plans, now_us) if hopeful and not night.is_abandoned else None
    return Why(
        night,
        task,
        plan,
        headline(task, is_abandoned=night.is_abandoned),
        shown(causes),
        eta,
        commands(night, task, flags),
        tuple(attempts),
        now_us,
        _promises(task.task_id, night, plans),
    )


def shown(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """The first of them, and how many more there are."""
    first = tuple(causes[:MOST_CAUSES])
    if len(causes) > MOST_CAUSES:
        first += (Cause("upstream", f"and {len(causes) - MOST_CAUSES} more"),)
    return first


def _promises(task_id: str, night: Night, plans: Mapping[str, TaskPlan]) -> tuple[SloPlan, ...]:
    """The promises that are not settled and of which a task is this one or comes after it."""
    settled = {slo.slo_id for slo in night.slos if slo.state in (SloState.MET, SloState.MISSED)}
    after = {task_id}
    for plan in night.run.plan.tasks:  # each comes after those it waits for
        if after.intersection(plan.after):
            after.add(plan.task_id)
    return tuple(
        slo for slo in night.run.plan.slos if slo.slo_id not in settled and after.intersection(slo.task_ids)
    )


def _is_led(night: Night) -> bool:
    """Whether some process works on the run: nobody else can take it up."""
    return night.run.state is RunState.RUNNING and not night.is_abandoned


def _not_yet_repaired(night: Night, task: TaskRow, rows: Mapping[str, TaskRow], flags: str) -> Cause:
    """Why a task that is done, but not in full, is not run again yet, and what does it later."""
    readers = [
        rows[plan.task_id].job
        for plan in night.run.plan.tasks
        if task.task_id in plan.after and rows[plan.task_id].state in HOLDING_ROOM
    ]
    said = (
        what_forbids(Verb.RETRY, task.state, readers)
        or "it is not in full, and nothing is repaired by itself"
    )
    return Cause("repair", f"{said}; once nobody works on the run any more: {_rerun(night, flags)} --repair")


def _market(market: str, now_us: int) -> list[Cause]:
    """What the market is doing, when a task waits for its time; nothing for one without a calendar."""
    try:
        calendar = TradingCalendar(market)
        state, until = calendar.state_at(from_us(now_us)), calendar.next_transition(from_us(now_us))
    except CalendarError:
        return []
    return [Cause("market", f"{market} is {state} until {iso(to_us(until))}", at_us=to_us(until))]


def headline(task: TaskRow, *, is_abandoned: bool = False) -> str:
    """One sentence: the state and the scheduler's reason for it, where that says more."""
    return f"{task.task_id} {_how_it_stands(task, is_abandoned)}"


def _how_it_stands(task: TaskRow, is_abandoned: bool, said: str | None = None) -> str:
    """A verb and the reason, or `said` in its place; without what every task or every success says."""
    how = _HAS_COME_TO.get(task.state) or f"is {task.state.value.replace('_', ' ')}"
    if is_abandoned and task.state in HOLDING_ROOM:
        return f"was {task.state.value} when its program ended"
    reason = said or task.reason
    return f"{how}: {reason}" if reason and reason != OPENED and how != f"is {reason}" else how


def clock_of(night: Night, now_us: int) -> int:
    """Now, by the night's clock: the wall's, or of a replayed night the latest instant that it has recorded."""
    if not night.run.plan.replayed:
        return now_us
    seen = [night.run.opened_us, night.run.ended_us or 0]
    for task in night.tasks:
        seen += [task.ready_us or 0, task.started_us or 0, task.ended_us or 0]
    return max(seen)


def _upstream(plan: TaskPlan, rows: Mapping[str, TaskRow], is_abandoned: bool) -> list[Cause]:
    found = []
    for task_id in plan.after:
        row = rows.get(task_id)
        if row is None:
            found.append(Cause("upstream", f"it comes after {task_id}, which is in another run", task_id))
        elif row.state not in DONE:
            how = _how_it_stands(row, is_abandoned)
            found.append(Cause("upstream", f"it comes after {row.job}, which {how}", task_id))
    return found


def _roots(
    plan: TaskPlan, rows: Mapping[str, TaskRow], plans: Mapping[str, TaskPlan], is_abandoned: bool
) -> list[Cause]:
    """Further up: tasks that are not done and do not themselves only wait for others."""
    direct = set(plan.after)
    found = []
    for task_id in _ancestors(plan, plans):
        row = rows.get(task_id)
        if row is None or task_id in direct or row.state in DONE or row.state in _HANGS_ON_OTHERS:
            continue
        how = _how_it_stands(row, is_abandoned, row.refusal)
        found.append(Cause("root", f"further up, {row.job} {how}", task_id))
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


def _refused(
    task: TaskRow, rows: Mapping[str, TaskRow], plans: Mapping[str, TaskPlan], prospect: Prospect | None
) -> Cause:
    """The refusal that the scheduler recorded; only the head of a queue has one of its own."""
    if task.refusal is not None:
        return Cause(kind_of(task.refusal), task.refusal)
    first = None if prospect is None else prospect.scheduler.first_in_queue(task.task_id)
    if first is not None and rows[first].refusal is not None:
        heads = [rows[first]]
    else:
        plan = plans[task.task_id]
        refused = [row for row in rows.values() if row.refusal and row.state is TaskState.READY]
        alike = [row for row in refused if row.tier == task.tier and plans[row.task_id].demand == plan.demand]
        heads = alike or refused
    for row in heads:
        said = row.refusal or ""
        return Cause(kind_of(said), f"{row.job} stands before it, and of that: {said}", row.task_id)
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


def commands(night: Night, task: TaskRow, flags: str = "") -> tuple[str, ...]:
    """Commands that would help, as they can be typed."""
    needs_hand = task.state in {TaskState.FAILED, TaskState.BLOCKED, TaskState.CANCELLED}
    is_over = night.run.state is not RunState.RUNNING
    command = _rerun(night, flags)
    if (needs_hand and is_over) or (task.state not in DONE and night.is_abandoned):
        return (command,)
    if to_repair([task]) and not _is_led(night):
        return (f"{command} --repair",)
    return ()


def _rerun(night: Night, flags: str) -> str:
    return rerun_command(asked_as(night.run.plan.pipeline), night.run.plan.session, flags)


def asked_as(pipeline: str) -> str:
    """How a pipeline is named on the command line; where a user's file lies is not in the ledger."""
    from prometheus.orchestrator.loading import shipped_names

    return pipeline if pipeline in shipped_names() else "FILE.py:VARIABLE"


def rerun_command(pipeline: str, session: date, flags: str = "") -> str:
    """The command that takes a run up again; what had finished is not done twice."""
    return f"prometheus run {pipeline} --session {session.isoformat()}{flags}"
