"""A workload file: a machine, tasks, and what the world will do to them. Read whole, every fault named at once.

Seconds count from `start`. `duration_s` and `failures` are the world's secret: they become `Truth`, which only the
virtual world reads; the scheduler's plan is made of `history_s` alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.errors import UserError
from prometheus.core.instants import SECOND_US, to_us
from prometheus.forecast.world import Truth
from prometheus.orchestrator.simulation.faults import FaultsPart
from prometheus.orchestrator.simulation.refusing import (
    FORM,
    or_near,
    plain_number,
    plain_text,
    refused,
    sentences,
)
from prometheus.orchestrator.simulation.uncollected import without_collection
from prometheus.pipelines.checking import describe_cycle, topological, why_never
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.quantiles import quantile

RUN = "night"
RETRIES = 20  # of a simulated task; what kills it more often is a workload's joke

SAVED_AT_MOST = 1_000_000  # times, by one task: a finer grain would simulate nothing but saving
FIRST_YEAR, LAST_YEAR = 1970, 2200  # instants are counted from the first, and shown by the calendar

Number = BeforeValidator(plain_number)
Seconds = Annotated[float, Number, Field(ge=0, le=1e9, allow_inf_nan=False)]
Spell = Annotated[float, Number, Field(ge=1e-3, le=1e9, allow_inf_nan=False)]
Amount = Annotated[float, Number, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Number, Field(ge=0, le=1, allow_inf_nan=False)]
Devices = Annotated[int, Number, Field(ge=0, le=1_000)]
Pools = dict[str, Annotated[int, Number, Field(ge=0, le=1_000_000_000)]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BinPart(_Part):
    """One node."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    cpu: Amount
    memory_gb: Amount = 0
    gpu: Devices = 0


class CapacityPart(_Part):
    """The machine: one bin, or a list of them; pools are counted once for all."""

    cpu: Amount = 0
    memory_gb: Amount | None = None
    gpu: Devices = 0
    pools: Pools = Field(default_factory=dict)
    bins: tuple[BinPart, ...] = ()


class ChangePart(_Part):
    """From `at_s` on the machine is this."""

    at_s: Seconds
    capacity: CapacityPart


class DemandPart(_Part):
    """What one attempt holds."""

    cpu: Amount = 0
    memory_gb: Amount = 0
    gpu: Amount = 0
    pools: Pools = Field(default_factory=dict)


class TaskPart(_Part):
    """One task of the file."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    tier: Annotated[int, Number, Field(ge=1, le=3)]
    release_s: Seconds = 0
    demand: DemandPart = DemandPart()
    after: tuple[str, ...] = ()
    deadline_s: Seconds | None = None
    history_s: tuple[Seconds, ...] = ()
    duration_s: Seconds
    failures: tuple[Share, ...] = ()
    checkpoint_every_s: Spell | None = None
    timeout_s: Spell | None = None
    degrade: tuple[str, ...] = ()
    degraded_s: dict[str, Seconds] = Field(default_factory=dict)
    backfill: str | None = None


class WorkloadPart(_Part):
    """The file."""

    capacity: CapacityPart
    start: Annotated[datetime, BeforeValidator(plain_text)]
    horizon_s: Spell
    checkpoint_overhead_s: Seconds = 0
    retry_delay_s: Seconds = 60
    capacity_changes: tuple[ChangePart, ...] = ()
    capacity_schedule: tuple[ChangePart, ...] = ()
    backfills: dict[str, Annotated[float, Number, Field(gt=0, le=1, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    faults: FaultsPart | None = None
    tasks: tuple[TaskPart, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """`plan` and `capacity` are what the scheduler may see; `truths` is the world's."""

    plan: RunPlan
    capacity: Capacity
    changes: tuple[
        tuple[int, Capacity], ...
    ]  # (instant, what the machine is from then on); nobody knows before
    truths: Mapping[str, Truth]
    start_us: int
    horizon_us: int  # instant at which the simulation ends
    checkpoint_overhead_us: int
    cores: Mapping[str, float]
    histories: Mapping[
        str, tuple[int, ...]
    ]  # task -> past durations, ascending; the scheduler and forecasts may see them
    coming: tuple[tuple[int, Capacity], ...] = ()  # the same, announced from the beginning
    backfills: tuple[RunPlan, ...] = ()  # runs with a share, beside `plan`
    faults: FaultsPart | None = None  # what goes wrong besides, as the file asks

    @property
    def tasks(self) -> tuple[TaskPlan, ...]:
        """Those of the night and of its backfills."""
        return self.plan.tasks + tuple(task for run in self.backfills for task in run.tasks)


def read_workload(path: Path) -> Workload:
    """The workload of a file; `UserError` that lists its faults (the first twenty), each with its task and value."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"the workload {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"the workload {path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}",
            hint="save it as UTF-8",
        ) from None
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"the workload {path} is no JSON: {said}", hint=FORM) from None
    return make_workload(given, str(path))


@without_collection()  # a million tasks are no circles of garbage
def make_workload(given: object, name: str = "the workload") -> Workload:
    """The workload that plain values say; `UserError` that lists its faults."""
    try:
        part = WorkloadPart.model_validate(given)
    except ValidationError as error:
        raise refused(name, sentences(given, WorkloadPart, error)) from None
    faults = _contradictions(part)
    if faults:
        raise refused(name, faults)
    start_us = to_us(part.start)
    tasks = tuple(_task(task, part, start_us) for task in part.tasks if task.backfill is None)
    slos = tuple(
        SloPlan(f"slo.{task.task_id}", RUN, task.task_id, (task.task_id,), task.deadline_us)
        for task in tasks
        if task.deadline_us is not None
    )
    plan = RunPlan(RUN, RUN, "SIM", part.start.date(), "0" * 64, start_us, tasks, slos, replayed=True)
    backfills = tuple(
        replace(
            plan,
            run_id=group,
            tasks=tuple(_task(one, part, start_us) for one in part.tasks if one.backfill == group),
            slos=(),
            share=share,
        )
        for group, share in sorted(part.backfills.items())
    )
    return Workload(
        plan=plan,
        capacity=_capacity(part.capacity),
        changes=_changes(part.capacity_changes, start_us),
        coming=_changes(part.capacity_schedule, start_us),
        backfills=backfills,
        truths={
            task.id: Truth(
                _us(task.duration_s),
                task.failures,
                None if task.checkpoint_every_s is None else _us(task.checkpoint_every_s),
                degraded=tuple((mode, _us(seconds)) for mode, seconds in sorted(task.degraded_s.items())),
            )
            for task in part.tasks
        },
        start_us=start_us,
        horizon_us=start_us + _us(part.horizon_s),
        checkpoint_overhead_us=_us(part.checkpoint_overhead_s),
        cores={task.id: task.demand.cpu for task in part.tasks},
        histories={task.id: _history(task) for task in part.tasks if task.history_s},
        faults=part.faults,
    )


def _task(task: TaskPart, part: WorkloadPart, start_us: int) -> TaskPlan:
    history = _history(task) or (_us(60.0),)
    return TaskPlan(
        task_id=task.id,
        run_id=RUN if task.backfill is None else task.backfill,
        job=task.id,
        tier=task.tier,
        demand=_demand(task.demand),
        after=tuple(dict.fromkeys(task.after)),
        release_us=start_us + _us(task.release_s),
        deadline_us=None if task.deadline_s is None else start_us + _us(task.deadline_s),
        retries=RETRIES,
        backoff_us=_us(part.retry_delay_s),
        typical_us=quantile(history, 0.5),
        cautious_us=quantile(history, 0.8),
        late_us=quantile(history, 0.9),
        checkpoint_every_us=None if task.checkpoint_every_s is None else _us(task.checkpoint_every_s),
        timeout_us=None if task.timeout_s is None else _us(task.timeout_s),
        ladder=task.degrade,
    )


def _history(task: TaskPart) -> tuple[int, ...]:
    return tuple(sorted(_us(seconds) for seconds in task.history_s))


def _contradictions(part: WorkloadPart) -> list[str]:
    """What no single field can say: unknown and repeated ids, cycles, demands that fit no bin."""
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
        faults += _of_one(task)
        if task.backfill is not None and task.backfill not in part.backfills:
            known = ", ".join(sorted(part.backfills)) or "none"
            faults.append(f"task {task.id!r}: backfill {task.backfill!r} is none of backfills ({known})")
    if part.tasks and not faults:
        _, cycles = topological({task.id: task.after for task in part.tasks})
        faults += [f"tasks wait for each other in a circle: {describe_cycle(one)}" for one in cycles]
    return faults + _too_large(part)


def _of_one(task: TaskPart) -> list[str]:
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
    changes = (*part.capacity_changes, *part.capacity_schedule)
    machines = [part.capacity, *(change.capacity for change in changes)]
    shapes: dict[DemandKey, list[TaskPart]] = {}
    for task in part.tasks:
        shapes.setdefault(_key(task.demand), []).append(task)
    faults = []
    for key, tasks in shapes.items():
        if any(_fits(key, machine) for machine in machines):
            continue
        others = f" and {len(tasks) - 1} more that ask for the same" if len(tasks) > 1 else ""
        why = why_never(_demand(tasks[0].demand), _capacity(part.capacity))
        faults.append(
            f"task {tasks[0].id!r}{others}: its demand fits no bin of the machine, now or later: {why}"
        )
    return faults


DemandKey = tuple[float, float, float, tuple[tuple[str, int], ...]]


def _key(demand: DemandPart) -> DemandKey:
    return demand.cpu, demand.memory_gb, demand.gpu, tuple(sorted(demand.pools.items()))


def _fits(key: DemandKey, machine: CapacityPart) -> bool:
    cpu, memory, gpu, pools = key
    bins = machine.bins or (BinPart(id="one", cpu=machine.cpu, memory_gb=_memory(machine), gpu=machine.gpu),)
    if any(machine.pools.get(pool, 0) < units for pool, units in pools):
        return False
    return any(cpu <= one.cpu and memory <= one.memory_gb and gpu <= one.gpu for one in bins)


def _demand(part: DemandPart) -> Demand:
    return Demand(
        cpu_milli=round(part.cpu * 1000),
        memory_mib=round(part.memory_gb * 1024),
        gpu_milli=round(part.gpu * 1000),
        pools=tuple(sorted((pool, units) for pool, units in part.pools.items() if units)),
    )


def _changes(parts: Sequence[ChangePart], start_us: int) -> tuple[tuple[int, Capacity], ...]:
    found = [(start_us + _us(one.at_s), _capacity(one.capacity)) for one in parts]
    return tuple(sorted(found, key=lambda change: change[0]))


def _memory(part: CapacityPart) -> float:
    return 1e6 if part.memory_gb is None else part.memory_gb


def _capacity(part: CapacityPart) -> Capacity:
    bins = part.bins or (BinPart(id="machine", cpu=part.cpu, memory_gb=_memory(part), gpu=part.gpu),)
    return Capacity(
        tuple(
            Bin(one.id, round(one.cpu * 1000), round(one.memory_gb * 1024), (1000,) * one.gpu) for one in bins
        ),
        tuple(sorted(part.pools.items())),
    )


def _us(seconds: float) -> int:
    assert isfinite(seconds)
    return round(seconds * SECOND_US)
