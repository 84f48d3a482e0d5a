"""What no single field of a workload file can say: unknown and repeated ids, circles, demands that fit no bin."""

from __future__ import annotations

from collections import Counter

from prometheus.orchestrator.simulation.form import (
    BinPart,
    CapacityPart,
    DemandPart,
    TaskPart,
    WorkloadPart,
    capacity_of,
    demand_of,
    memory_of,
)
from prometheus.orchestrator.simulation.refusing import or_near
from prometheus.pipelines.checking import describe_cycle, topological, why_never

RUN = "night"
SAVED_AT_MOST = 1_000_000  # times, by one task: a finer grain would simulate nothing but saving
FIRST_YEAR, LAST_YEAR = 1970, 2200  # instants are counted from the first, and shown by the calendar


def contradictions(part: WorkloadPart) -> list[str]:
    """A sentence for each."""
    faults = _of_the_machine(part)
    if part.start.utcoffset() is None:
        faults.append(f"start: {part.start!s}: an instant with its offset was expected")
    elif not FIRST_YEAR < part.start.year < LAST_YEAR:
        faults.append(f"start: {part.start!s}: a year between {FIRST_YEAR} and {LAST_YEAR} was expected")
    if RUN in part.backfills:
        faults.append(f"backfills: {RUN!r} is the name of the night itself")
    uses = Counter(task.id for task in part.tasks)
    faults += [f"task {name!r}: its id is used {count} times" for name, count in uses.items() if count > 1]
    names = list(uses)
    for task in part.tasks:
        unknown = [name for name in task.after if name not in uses]
        faults += [
            f"task {task.id!r}: after {name!r}, which is no task{or_near(name, names)}" for name in unknown
        ]
        faults += of_one(task)
        if task.backfill is not None and task.backfill not in part.backfills:
            known = ", ".join(sorted(part.backfills)) or "none"
            faults.append(f"task {task.id!r}: backfill {task.backfill!r} is none of backfills ({known})")
    if part.tasks and not faults:
        _, cycles = topological({task.id: task.after for task in part.tasks})
        faults += [f"tasks wait for each other in a circle: {describe_cycle(one)}" for one in cycles]
    return faults + _too_large(part)


def of_one(task: TaskPart) -> list[str]:
    """What contradicts itself within one task."""
    faults = []
    if not task.id.isprintable():
        faults.append(f"task {task.id!r}: its id holds what cannot be shown")
    if task.deadline_s is not None and task.deadline_s < task.release_s:
        faults.append(f"task {task.id!r}: deadline_s {task.deadline_s} is before release_s {task.release_s}")
    faults += [
        f"task {task.id!r}: degraded_s {mode!r}, which is no working mode of its ladder degrade"
        for mode in task.degraded_s
        if mode == "skip" or mode not in task.degrade
    ]
    if "skip" in task.degrade[:-1]:
        faults.append(f"task {task.id!r}: degrade {list(task.degrade)}: 'skip' can only be the last rung")
    if task.backfill is not None and (task.tier != 3 or task.deadline_s is not None):
        faults.append(f"task {task.id!r}: a task of a backfill is of tier 3 and has no deadline_s")
    every_s = task.checkpoint_every_s
    if every_s is not None and task.duration_s / every_s > SAVED_AT_MOST:
        faults.append(
            f"task {task.id!r}: checkpoint_every_s {every_s}: it would save its work {task.duration_s / every_s:.0f} times"
        )
    for name, amount in (("cpu", task.demand.cpu), ("gpu", task.demand.gpu)):
        if 0 < amount < 0.001:
            faults.append(
                f"task {task.id!r}: demand.{name} {amount}: less than a thousandth is not counted; 0 or more was expected"
            )
    return faults


def _of_the_machine(part: WorkloadPart) -> list[str]:
    faults = []
    machines = [("capacity", part.capacity)]
    machines += [(f"capacity_changes.{n}", one.capacity) for n, one in enumerate(part.capacity_changes)]
    machines += [(f"capacity_schedule.{n}", one.capacity) for n, one in enumerate(part.capacity_schedule)]
    for where, machine in machines:
        uses = Counter(one.id for one in machine.bins)
        faults += [
            f"{where}: bin {name!r} is there {count} times" for name, count in uses.items() if count > 1
        ]
        if machine.bins and (machine.cpu or machine.gpu or machine.memory_gb is not None):
            faults.append(f"{where}: bins, or cpu, memory_gb and gpu of the only one; not both")
    return faults


def _too_large(part: WorkloadPart) -> list[str]:
    """Demands that fit no bin of the machine, now or later: one sentence for all tasks that ask for the same."""
    machines = machines_of(part)
    shapes: dict[DemandKey, list[TaskPart]] = {}
    for task in part.tasks:
        shapes.setdefault(key_of(task.demand), []).append(task)
    faults = []
    for key, tasks in shapes.items():
        if any(fits(key, machine) for machine in machines):
            continue
        others = f" and {len(tasks) - 1} more that ask for the same" if len(tasks) > 1 else ""
        why = why_never(demand_of(tasks[0].demand), capacity_of(part.capacity))
        faults.append(
            f"task {tasks[0].id!r}{others}: its demand fits no bin of the machine, now or later: {why}"
        )
    return faults


def machines_of(part: WorkloadPart) -> list[CapacityPart]:
    """All that the machine will ever be."""
    changes = (*part.capacity_changes, *part.capacity_schedule)
    return [part.capacity, *(change.capacity for change in changes)]


DemandKey = tuple[float, float, float, tuple[tuple[str, int], ...]]


def key_of(demand: DemandPart) -> DemandKey:
    """What is the same for all tasks that ask for the same."""
    return demand.cpu, demand.memory_gb, demand.gpu, tuple(sorted(demand.pools.items()))


def fits(key: DemandKey, machine: CapacityPart) -> bool:
    """Whether the demand fits one bin of the machine."""
    cpu, memory, gpu, pools = key
    bins = machine.bins or (
        BinPart(id="one", cpu=machine.cpu, memory_gb=memory_of(machine), gpu=machine.gpu),
    )
    if any(machine.pools.get(pool, 0) < units for pool, units in pools):
        return False
    return any(cpu <= one.cpu and memory <= one.memory_gb and gpu <= one.gpu for one in bins)
