"""What would help? Each thing that an operator could do now, run ahead over the same worlds, and put in order of effect.

Candidates: work of lower tiers that stands in the way is held or cancelled, alone or a whole run of it; what is held or
has failed before the task goes on; an upstream that may be left out by its ladder is; the machine or a pool grows by a step.
They are compared over common random numbers, so that a difference is the cure's and not the draw's: first all over few
samples, then the best over many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from prometheus.core.counting import counted
from prometheus.core.demand import Capacity
from prometheus.core.instants import SECOND_US
from prometheus.forecast.foresee import Forecast
from prometheus.orchestrator.capacity import machine_at
from prometheus.orchestrator.clock import monotonic_us
from prometheus.orchestrator.prospect import Prospect
from prometheus.scheduler.events import CapacityChanged, Event, TaskAsked, Verb
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.snapshot import TaskRow
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, TaskState
from prometheus.scheduler.verbs import what_forbids

GROUPS = 4  # runs of lower work that are tried
SINGLES = 3  # tasks of lower work, running and queued each
SHOWN = 5  # cures, and how many are looked at over many samples
LEAST_EFFECT = 0.02  # on P(miss); less is not told from chance
LEAST_EARLIER_US = 30 * SECOND_US  # on the median end of a task that no promise needs
LEAST_HARM = 0.1  # on P(miss) of another promise
FEWEST = 8  # samples by which a candidate is judged at first
BUDGET_US = 20 * SECOND_US  # what all forecasts together may take
WHO = "a cure that is being considered"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be in time: tasks that must be done, and the promises that hang on them."""

    task_ids: tuple[str, ...]
    slo_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could be done now. Of equal effect the first by `weight` is shown first."""

    words: str
    events: tuple[Event, ...]
    weight: tuple[int, int]  # how much is interfered with: kind, then number of tasks


@dataclass(frozen=True, slots=True)
class Cure:
    """A candidate that helps. P(miss) is that of `slo_id`; without one, ends are medians of the task's."""

    words: str
    command: str | None  # as it can be typed; None where no command does it yet
    slo_id: str | None
    before: float | None
    after: float | None
    end_before_us: int | None
    end_after_us: int | None
    samples: int
    harms: tuple[str, ...]  # other promises that it makes likelier to be missed


def cures(
    prospect: Prospect,
    target: Target,
    samples: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Forecast, tuple[Cure, ...]]:
    """The night as it stands, and what would help the target most, best first.

    The night as it stands comes first: of as many samples as were asked for, or as there is time for. The cures share
    what is left of the time.
    """
    tried = candidates(prospect, target)
    begun_us = monotonic_us()
    base = prospect.foresee((), min(FEWEST, samples))
    each_us = max(1, (monotonic_us() - begun_us) // base.samples)
    left_us = BUDGET_US - (monotonic_us() - begun_us)
    wanted = affordable(samples, each_us, left_us, 1)
    if wanted > base.samples:
        base = prospect.foresee((), wanted)
    slo_id = _worst(base, target)
    if not tried or (slo_id is not None and miss_of(base, slo_id) < LEAST_EFFECT):
        return base, ()  # a promise that is kept needs no cure
    is_promise = slo_id is not None
    left_us = BUDGET_US - (monotonic_us() - begun_us)
    many = affordable(base.samples, each_us, left_us, 2 * SHOWN + 2)
    few = affordable(many, each_us, left_us, 2 * len(tried) + 2)
    said, base = base, base if many == base.samples else prospect.foresee((), many, promises_alone=is_promise)
    if few < base.samples:
        rough = prospect.foresee((), few, promises_alone=is_promise)
        scored = []
        for number, one in enumerate(tried):
            progress(number, len(tried) + SHOWN)
            effect = _effect(
                rough, prospect.foresee(one.events, few, promises_alone=is_promise), target, slo_id
            )
            scored.append((-effect, one.weight, one.words, one))
        tried = [one for *_, one in sorted(scored, key=lambda row: row[:3])][:SHOWN]
    found = []
    for number, one in enumerate(tried):
        progress(number, len(tried))
        after = prospect.foresee(one.events, base.samples, promises_alone=is_promise)
        effect = _effect(base, after, target, slo_id)
        if effect >= (LEAST_EFFECT if slo_id is not None else LEAST_EARLIER_US):
            found.append((-effect, one.weight, one.words, _cure(one, base, after, target, slo_id)))
    return said, tuple(cure for *_, cure in sorted(found, key=lambda row: row[:3]))[:SHOWN]


def affordable(samples: int, each_us: int, left_us: int, forecasts: int) -> int:
    """How many samples each of so many forecasts may have in the time that is left: a few even if there is none."""
    return min(samples, max(FEWEST, left_us // each_us // forecasts))


def _worst(base: Forecast, target: Target) -> str | None:
    """The promise of the target's that is missed most often; without any it is the target's end that counts."""
    open_ones = [one for one in base.slos if one.slo_id in target.slo_ids]
    return max(open_ones, key=lambda one: (one.miss, one.slo_id)).slo_id if open_ones else None


def _effect(before: Forecast, after: Forecast, target: Target, slo_id: str | None) -> float:
    if slo_id is not None:
        return miss_of(before, slo_id) - miss_of(after, slo_id)
    ends = [_end_of(forecast, target.task_ids) for forecast in (before, after)]
    if ends[1] is None:
        return 0.0
    return float(LEAST_EARLIER_US if ends[0] is None else ends[0] - ends[1])


def miss_of(forecast: Forecast, slo_id: str) -> float:
    """P(miss) of a promise; 0 for one that is not open any more."""
    return next((one.miss for one in forecast.slos if one.slo_id == slo_id), 0.0)


def _end_of(forecast: Forecast, task_ids: Iterable[str]) -> int | None:
    ends = [forecast.tasks[task_id].end_p50_us for task_id in task_ids if task_id in forecast.tasks]
    return None if None in ends or not ends else max(end for end in ends if end is not None)


def _cure(one: Candidate, before: Forecast, after: Forecast, target: Target, slo_id: str | None) -> Cure:
    harms = tuple(
        said.slo_id
        for said in before.slos
        if said.slo_id != slo_id and miss_of(after, said.slo_id) - said.miss >= LEAST_HARM
    )
    is_promise = slo_id is not None
    return Cure(
        one.words,
        None,  # the command line has no operator verbs yet; the words name the verb
        slo_id,
        miss_of(before, slo_id) if slo_id is not None else None,
        miss_of(after, slo_id) if slo_id is not None else None,
        None if is_promise else _end_of(before, target.task_ids),
        None if is_promise else _end_of(after, target.task_ids),
        after.samples,
        harms,
    )


# --- what could be done ---


def candidates(prospect: Prospect, target: Target) -> list[Candidate]:
    """Everything that could be done now for the target, a bounded number."""
    rows = {row.task_id: row for row in prospect.snapshot.tasks}
    plans = {task.task_id: task for run in prospect.snapshot.runs for task in run.plan.tasks}
    before = [i for i in _with_ancestors(target.task_ids, plans) if rows[i].state not in DONE]
    if not before:
        return []
    return [
        *_freed(prospect, before, rows),
        *_left_out(prospect, before, target, rows, plans),
        *_out_of_the_way(prospect, before, rows, plans),
        *_grown(prospect, [plans[i] for i in before]),
    ]


def _freed(prospect: Prospect, before: Sequence[str], rows: Mapping[str, TaskRow]) -> list[Candidate]:
    found = []
    for task_id in before:
        state = rows[task_id].state
        if state is TaskState.HELD:
            found.append(_asked(prospect, Verb.RELEASE, f"release {task_id}", [task_id], 0))
        elif state in (TaskState.FAILED, TaskState.CANCELLED, TaskState.BACKING_OFF):
            found.append(_asked(prospect, Verb.RETRY, f"retry {task_id}", [task_id], 0))
    return found


def _left_out(
    prospect: Prospect,
    before: Sequence[str],
    target: Target,
    rows: Mapping[str, TaskRow],
    plans: Mapping[str, TaskPlan],
) -> list[Candidate]:
    return [
        _asked(prospect, Verb.SKIP, f"skip {task_id}, as its ladder allows", [task_id], 2)
        for task_id in before
        if "skip" in plans[task_id].ladder
        and task_id not in target.task_ids
        and what_forbids(Verb.SKIP, rows[task_id].state) is None
    ]


def _out_of_the_way(
    prospect: Prospect, before: Sequence[str], rows: Mapping[str, TaskRow], plans: Mapping[str, TaskPlan]
) -> list[Candidate]:
    """Lower work that wants what the target wants: whole runs of it, and the largest tasks."""
    tier = min(plans[task_id].tier for task_id in before)
    wanted = {name for task_id in before for name in _resources(plans[task_id])}
    own = set(before)
    lower = [
        plan
        for task_id, plan in plans.items()
        if (plan.tier > tier or plan.tier == 3)
        and task_id not in own
        and rows[task_id].state not in ENDED
        and wanted & _resources(plan)
    ]
    groups: dict[str, list[TaskPlan]] = {}
    for plan in lower:
        groups.setdefault(plan.task_id.rpartition(".")[0], []).append(plan)
    groups.pop("", None)
    found = []
    for name, members in sorted(groups.items(), key=lambda item: (-_work(item[1]), item[0]))[:GROUPS]:
        if len(members) > 1:
            ids = [plan.task_id for plan in members]
            found += _held(prospect, f"hold {name}", ids, rows, 1)
            found.append(
                _asked(prospect, Verb.CANCEL, f"cancel {name} ({counted(len(ids), 'task')})", ids, 3)
            )
    by_work = sorted(lower, key=lambda plan: (-_work([plan]), plan.task_id))
    running = [plan.task_id for plan in by_work if rows[plan.task_id].state in HOLDING_ROOM]
    queued = [plan.task_id for plan in by_work if rows[plan.task_id].state not in HOLDING_ROOM]
    for task_id in running[:SINGLES]:
        if what_forbids(Verb.CANCEL, rows[task_id].state) is None:
            found.append(_asked(prospect, Verb.CANCEL, f"cancel {task_id}", [task_id], 3))
    for task_id in queued[:SINGLES]:
        found += _held(prospect, f"hold {task_id}", [task_id], rows, 1)
    return found


def _held(
    prospect: Prospect, words: str, task_ids: Sequence[str], rows: Mapping[str, TaskRow], kind: int
) -> list[Candidate]:
    """Holding what has not begun; what runs goes on to its end."""
    ids = [task_id for task_id in task_ids if what_forbids(Verb.HOLD, rows[task_id].state) is None]
    if not ids:
        return []
    if len(task_ids) > 1:
        goes_on = len([task_id for task_id in task_ids if rows[task_id].state in HOLDING_ROOM])
        words += f" ({counted(len(ids), 'task')} that wait" + (
            f"; {goes_on} that run go on)" if goes_on else ")"
        )
    return [_asked(prospect, Verb.HOLD, words, ids, kind)]


def _grown(prospect: Prospect, wanted: Sequence[TaskPlan]) -> list[Candidate]:
    """One step more of what the target uses: a core, a gibibyte, a unit of a pool."""
    told = prospect.snapshot.capacity
    if told is None:
        return []
    capacity, coming = machine_at(told, prospect.snapshot.coming, prospect.now_us)
    if not capacity.bins:
        return []
    names = {name for plan in wanted for name in _resources(plan)}
    largest = max(capacity.bins, key=lambda one: (one.cpu_milli, one.bin_id))
    grown: list[tuple[str, Callable[[Capacity], Capacity]]] = []
    if "cpu" in names:
        cores = largest.cpu_milli / 1000
        words = f"one core more in {largest.bin_id} ({cores:g} -> {cores + 1:g})"
        grown.append((words, partial(_larger, bin_id=largest.bin_id, cpu_milli=1_000)))
    if "memory" in names:
        words = f"1 GiB of memory more in {largest.bin_id}"
        grown.append((words, partial(_larger, bin_id=largest.bin_id, memory_mib=1_024)))
    for pool, size in capacity.pools:
        if f"pool {pool}" in names:
            words = f"pool {pool!r} larger by one ({size} -> {size + 1})"
            grown.append((words, partial(_larger, pool=pool)))
    return [
        Candidate(
            words,
            (CapacityChanged(prospect.now_us, more(capacity), tuple((at, more(one)) for at, one in coming)),),
            (4, 0),
        )
        for words, more in grown
    ]


def _larger(
    capacity: Capacity, bin_id: str = "", cpu_milli: int = 0, memory_mib: int = 0, pool: str | None = None
) -> Capacity:
    """The machine with so much more in one of its bins, or a unit more of a pool; what it does not have stays away."""
    return replace(
        capacity,
        bins=tuple(
            replace(one, cpu_milli=one.cpu_milli + cpu_milli, memory_mib=one.memory_mib + memory_mib)
            if one.bin_id == bin_id
            else one
            for one in capacity.bins
        ),
        pools=tuple((name, units + (name == pool)) for name, units in capacity.pools),
    )


def _asked(prospect: Prospect, verb: Verb, words: str, task_ids: Sequence[str], kind: int) -> Candidate:
    events = tuple(TaskAsked(prospect.now_us, task_id, verb, "to see", WHO) for task_id in task_ids)
    return Candidate(words, events, (kind, len(task_ids)))


def _resources(plan: TaskPlan) -> set[str]:
    demand = plan.demand
    sizes = (("cpu", demand.cpu_milli), ("memory", demand.memory_mib), ("gpu", demand.gpu_milli))
    return {name for name, size in sizes if size} | {f"pool {pool}" for pool, _ in demand.pools}


def _work(plans: Iterable[TaskPlan]) -> int:
    return sum(max(1, plan.demand.cpu_milli) * plan.typical_us for plan in plans)


def _with_ancestors(task_ids: Sequence[str], plans: Mapping[str, TaskPlan]) -> list[str]:
    found = dict.fromkeys(task_id for task_id in task_ids if task_id in plans)
    queue = list(found)
    for task_id in queue:  # grows while it is walked
        for before in plans[task_id].after:
            if before in plans and before not in found:
                found[before] = None
                queue.append(before)
    return queue
