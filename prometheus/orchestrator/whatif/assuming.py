"""What is assumed: a larger machine, slower jobs, a worker or a pipeline less. Each assumption makes of one tonight another.

Nothing is recorded and nothing asked of the running system. Each says in words what it changed, or that it changed
nothing; one that names what is not there is the asker's error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal, assert_never

from prometheus.core.counting import counted
from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.errors import UserError
from prometheus.orchestrator.tonight import Tonight, only
from prometheus.orchestrator.whatif.closing import Closes, close
from prometheus.pipelines.checking import why_never
from prometheus.pipelines.defaults import near
from prometheus.scheduler.plan import RunPlan, TaskPlan
from prometheus.scheduler.states import HOLDING_ROOM

PLENTY_MIB = 1_000_000 * 1024  # what a workload that says nothing of memory has
NAMES_SHOWN = 6
_NAMES = {"cpu": "a core", "memory": "memory", "gpu": "a GPU"}

Resource = Literal["cpu", "memory", "gpu"]


@dataclass(frozen=True, slots=True)
class Sized:
    """Each worker has so much of a resource: milli-cores, MiB, or whole devices."""

    what: Resource
    amount: int


@dataclass(frozen=True, slots=True)
class PoolSized:
    """A pool has so many units."""

    pool: str
    units: int


@dataclass(frozen=True, slots=True)
class Slower:
    """The jobs of that name take so many times what they would: a kind, a job, a pipeline or a task, or a pattern of ids."""

    what: str
    factor: float


@dataclass(frozen=True, slots=True)
class Gone:
    """That worker is not there from now on; what it runs is lost and begins again."""

    bin_id: str


@dataclass(frozen=True, slots=True)
class Without:
    """That pipeline does not run (of a workload: the tasks of that pattern)."""

    what: str


Assumption = Sized | PoolSized | Slower | Gone | Without | Closes


@dataclass(frozen=True, slots=True)
class Assumed:
    """Tonight as it would be, and what was changed, in words."""

    tonight: Tonight
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """A task that no worker could ever hold."""

    task: TaskPlan
    reason: str


def assume(tonight: Tonight, assumptions: Sequence[Assumption]) -> Assumed:
    """All of them, one after the other. Raises `UserError` for one that names what is not there."""
    words: list[str] = []
    for one in assumptions:
        tonight, said = _assume(tonight, one)
        words += said
    return Assumed(tonight, tuple(words))


def _assume(tonight: Tonight, one: Assumption) -> tuple[Tonight, list[str]]:
    match one:
        case Sized():
            return _sized(tonight, one)
        case PoolSized():
            return _pool_sized(tonight, one)
        case Slower():
            return _slower(tonight, one)
        case Gone():
            return _gone(tonight, one)
        case Without():
            return _without(tonight, one)
        case Closes():
            return close(tonight, one)
        case _:
            assert_never(one)


def never(tonight: Tonight) -> list[Never]:
    """The tasks that have not ended and fit no worker, now or after any change that is announced; in their order."""
    machines = [tonight.capacity, *(capacity for _, capacity in tonight.announced)]
    verdicts: dict[object, str | None] = {}
    found = []
    for task in tonight.tasks():
        if task.demand not in verdicts:
            reasons = [why_never(task.demand, machine) for machine in machines]
            verdicts[task.demand] = None if None in reasons else reasons[0]
        reason = verdicts[task.demand]
        if reason is not None:
            found.append(Never(task, reason))
    return found


def amount_words(what: Resource, amount: int) -> str:
    """As in 12 cores, 64 GB, 1 GPU."""
    if what == "memory":
        if amount >= PLENTY_MIB:
            return "as much memory as anyone wants"
        return f"{round(amount / 1024, 1):g} GB" if amount >= 1024 else f"{amount} MB"
    number = amount / 1000 if what == "cpu" else amount
    noun = "core" if what == "cpu" else "GPU"
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def size_of(what: Resource, one: Bin) -> int:
    """What a worker has of a resource, in the units of `Sized`."""
    return {"cpu": one.cpu_milli, "memory": one.memory_mib, "gpu": len(one.gpu_milli)}[what]


def _everywhere(tonight: Tonight, change: Callable[[Capacity], Capacity]) -> Tonight:
    """The machine changed, now and at each announced instant at which it changes by itself."""
    return replace(
        tonight,
        capacity=change(tonight.capacity),
        announced=tuple((at_us, change(capacity)) for at_us, capacity in tonight.announced),
    )


def _sized(tonight: Tonight, one: Sized) -> tuple[Tonight, list[str]]:
    def resized(bin_: Bin) -> Bin:
        match one.what:
            case "cpu":
                return replace(bin_, cpu_milli=one.amount)
            case "memory":
                return replace(bin_, memory_mib=one.amount)
            case "gpu":
                return replace(bin_, gpu_milli=(1000,) * one.amount)

    bins = tonight.capacity.bins
    had = sorted({size_of(one.what, bin_) for bin_ in bins})
    was = " or ".join(amount_words(one.what, amount) for amount in had)
    who = "the machine has" if len(bins) == 1 else f"each of {len(bins)} workers has"
    changed = _everywhere(
        tonight, lambda capacity: replace(capacity, bins=tuple(resized(bin_) for bin_ in capacity.bins))
    )
    if changed == tonight:
        return tonight, [f"{who} {amount_words(one.what, one.amount)} already: nothing changes"]
    parts = [f"{who} {amount_words(one.what, one.amount)} instead of {was}", unasked_words(tonight, one)]
    return changed, ["; ".join(filter(None, parts))]


def unasked_words(tonight: Tonight, one: Sized | PoolSized) -> str:
    """That nobody wants any of it, so that more or less of it changes nothing; empty where a task does."""
    if any(_wanted(task.demand, one) for task in tonight.tasks()):
        return ""
    name = f"the pool {one.pool!r}" if isinstance(one, PoolSized) else _NAMES[one.what]
    return f"no task of tonight asks for {name}"


def _wanted(demand: Demand, one: Sized | PoolSized) -> int:
    match one:
        case PoolSized():
            return dict(demand.pools).get(one.pool, 0)
        case Sized(what="cpu"):
            return demand.cpu_milli
        case Sized(what="memory"):
            return demand.memory_mib
        case Sized():
            return demand.gpu_milli


def _pool_sized(tonight: Tonight, one: PoolSized) -> tuple[Tonight, list[str]]:
    had = dict(tonight.capacity.pools)
    known = sorted({*had, *(pool for task in tonight.tasks() for pool, _ in task.demand.pools)})
    if one.pool not in known:
        raise UserError(
            f"there is no pool {one.pool!r}, and no task of tonight asks for it",
            allowed=", ".join(known) or "no pool is set up ([resources] pools in prometheus.toml)",
            hint=near(one.pool, known),
        )
    changed = _everywhere(
        tonight,
        lambda capacity: replace(
            capacity, pools=tuple(sorted({**dict(capacity.pools), one.pool: one.units}.items()))
        ),
    )
    was = had.get(one.pool)
    if changed == tonight:
        return tonight, [f"the pool {one.pool!r} has {one.units} already: nothing changes"]
    said = f"the pool {one.pool!r} has {one.units} instead of {'none' if was is None else was}"
    return changed, [f"{said}; no task of tonight asks for it" if unasked_words(tonight, one) else said]


def _slower(tonight: Tonight, one: Slower) -> tuple[Tonight, list[str]]:
    what, tasks = _named(tonight, one.what)
    slower = dict(tonight.slower)
    for task in tasks:
        slower[task.task_id] = slower.get(task.task_id, 1.0) * one.factor
    said = f"{what}: {one.factor:g} times as long ({counted(len(tasks), 'task')}); the scheduler is not told beforehand"
    return replace(tonight, slower=slower), [said]


def _gone(tonight: Tonight, one: Gone) -> tuple[Tonight, list[str]]:
    bins = {bin_.bin_id: bin_ for bin_ in tonight.capacity.bins}
    if one.bin_id not in bins:
        raise UserError(
            f"there is no worker {one.bin_id!r}", allowed=", ".join(bins), hint=near(one.bin_id, list(bins))
        )
    had = bins[one.bin_id]
    lost = []
    if tonight.begun is not None:
        places = {(row.task_id, row.attempt): row.bin_id for row in tonight.begun.attempts}
        lost = [
            row.task_id
            for row in tonight.begun.tasks
            if row.state in HOLDING_ROOM and places[row.task_id, row.attempts] == one.bin_id
        ]
    changed = _everywhere(
        tonight,
        lambda capacity: replace(
            capacity, bins=tuple(bin_ for bin_ in capacity.bins if bin_.bin_id != one.bin_id)
        ),
    )
    parts = [amount_words("cpu", had.cpu_milli), amount_words("memory", had.memory_mib)]
    if had.gpu_milli:
        parts.append(amount_words("gpu", len(had.gpu_milli)))
    said = f"the worker {one.bin_id} is gone ({', '.join(parts)})"
    if len(bins) == 1:
        said += "; it was the only one, so nothing can run"
    if lost:
        said += f"; what runs there is lost and begins again: {_names(lost)}"
    return changed, [said]


def _without(tonight: Tonight, one: Without) -> tuple[Tonight, list[str]]:
    pipelines = {run.pipeline for run in tonight.runs()}
    if one.what in pipelines and tonight.specs:
        gone = {run.run_id for run in tonight.runs() if run.pipeline == one.what}
        ids = {task.task_id for run in tonight.runs() if run.run_id in gone for task in run.tasks}
        said = f"without {one.what} ({_names(sorted(gone))})"
    else:
        what, tasks = _named(tonight, one.what)
        if tonight.specs:
            raise UserError(
                f"--without {one.what}: that is no pipeline of tonight",
                allowed=", ".join(sorted(pipelines)),
                hint="a job that takes next to no time is --slower JOB=0.01",
            )
        gone, ids = set(), {task.task_id for task in tasks}
        said = f"without {what} ({counted(len(ids), 'task')})"
    waiting = [task.task_id for task in tonight.tasks() if task.task_id not in ids and ids & set(task.after)]
    begun = tonight.begun
    if begun is not None:
        begun = only(begun, {row.run_id for row in begun.runs} - gone)
        begun = replace(begun, runs=tuple(replace(row, plan=_less(row.plan, ids)) for row in begun.runs))
    changed = replace(
        tonight,
        begun=begun,
        coming=tuple(_less(run, ids) for run in tonight.coming if run.run_id not in gone),
    )
    if waiting:
        said += f"; what comes after does not wait for it: {_names(waiting)}"
    return changed, [said]


def _less(run: RunPlan, gone: set[str]) -> RunPlan:
    """The run without these tasks, and without whatever hangs on them."""
    tasks = tuple(
        replace(task, after=tuple(i for i in task.after if i not in gone)) if gone & set(task.after) else task
        for task in run.tasks
        if task.task_id not in gone
    )
    slos = [replace(slo, task_ids=tuple(i for i in slo.task_ids if i not in gone)) for slo in run.slos]
    return replace(run, tasks=tasks, slos=tuple(slo for slo in slos if slo.task_ids))


def _named(tonight: Tonight, what: str) -> tuple[str, list[TaskPlan]]:
    """The tasks that a name means, and the name in words: a pipeline, else a kind, a job, a task id, a pattern of ids."""
    left = {task.task_id for task in tonight.tasks()}
    tasks = [(run, task) for run in tonight.runs() for task in run.tasks if task.task_id in left]
    kinds = {(name, job.name): job.kind for name, spec in tonight.specs.items() for job in spec.jobs}
    readings: tuple[tuple[str, Callable[[RunPlan, TaskPlan], bool]], ...] = (
        (f"the pipeline {what}", lambda run, task: run.pipeline == what and bool(tonight.specs)),
        (f"the kind {what}", lambda run, task: kinds.get((run.pipeline, task.job)) == what),
        (f"the {'job' if tonight.specs else 'task'} {what}", lambda run, task: task.job == what),
        (f"the task {what}", lambda run, task: task.task_id == what),
        (
            f"tasks like {what}",
            lambda run, task: fnmatchcase(task.task_id, what) or fnmatchcase(task.job, what),
        ),
    )
    for words, is_meant in readings:
        found = [task for run, task in tasks if is_meant(run, task)]
        if found:
            return words, found
    known = (
        sorted(
            {
                *(kinds.get((run.pipeline, task.job), "") for run, task in tasks),
                *(run.pipeline for run, _ in tasks),
            }
            - {""}
        )
        if tonight.specs
        else []
    )
    jobs = sorted({task.job for _, task in tasks})
    shown = [*known, *jobs[:20], *(["..."] if len(jobs) > 20 else [])]
    raise UserError(
        f"nothing that is still to be done is called {what!r}",
        allowed=f"{', '.join(shown)}; or a pattern such as 'm0.*'",
        hint=near(what, [*known, *jobs]),
    )


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMES_SHOWN} more" if len(ids) > NAMES_SHOWN else ""
    return ", ".join(ids[:NAMES_SHOWN]) + more
