"""A workload file: a machine, tasks, and what the world will do to them. Read whole, every fault named at once.

Seconds count from `start`. `duration_s` and `failures` are the world's secret: they become `Truth`, which only the
virtual world reads; the scheduler's plan is made of `history_s` alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.errors import UserError
from prometheus.core.instants import SECOND_US, to_us
from prometheus.forecast.world import Truth
from prometheus.orchestrator.simulation.faults import FaultsPart
from prometheus.pipelines.checking import describe_cycle, topological
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.quantiles import quantile

RUN = "night"
FAULTS_SHOWN = 20
RETRIES = 20  # of a simulated task; what kills it more often is a workload's joke

Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BinPart(_Part):
    """One node."""

    id: str
    cpu: Amount
    memory_gb: Amount = 0
    gpu: int = Field(default=0, ge=0, le=1_000)


class CapacityPart(_Part):
    """The machine: one bin, or a list of them; pools are counted once for all."""

    cpu: Amount = 0
    memory_gb: Amount | None = None
    gpu: int = Field(default=0, ge=0, le=1_000)
    pools: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
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
    pools: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)


class TaskPart(_Part):
    """One task of the file."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    tier: Annotated[int, Field(ge=1, le=3)]
    release_s: Seconds = 0
    demand: DemandPart = DemandPart()
    after: tuple[str, ...] = ()
    deadline_s: Seconds | None = None
    history_s: tuple[Seconds, ...] = ()
    duration_s: Seconds
    failures: tuple[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)], ...] = ()
    checkpoint_every_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    degrade: tuple[str, ...] = ()


class WorkloadPart(_Part):
    """The file."""

    capacity: CapacityPart
    start: datetime
    horizon_s: Annotated[float, Field(gt=0, le=1e9)]
    checkpoint_overhead_s: Seconds = 0
    retry_delay_s: Seconds = 60
    capacity_changes: tuple[ChangePart, ...] = ()
    faults: FaultsPart | None = None
    tasks: tuple[TaskPart, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """`plan` and `capacity` are what the scheduler may see; `truths` is the world's."""

    plan: RunPlan
    capacity: Capacity
    changes: tuple[tuple[int, Capacity], ...]  # (instant, what the machine is from then on)
    truths: Mapping[str, Truth]
    start_us: int
    horizon_us: int  # instant at which the simulation ends
    checkpoint_overhead_us: int
    cores: Mapping[str, float]
    histories: Mapping[
        str, tuple[int, ...]
    ]  # task -> past durations, ascending; the scheduler and forecasts may see them
    faults: FaultsPart | None = None  # what goes wrong besides, as the file asks


def read_workload(path: Path) -> Workload:
    """The workload of a file; `UserError` that lists its faults (the first twenty), each with its task and value."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the workload {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(
            f"the workload {path} is no JSON: {error}", hint="docs/simulation.md has the form"
        ) from None
    return make_workload(given, str(path))


def make_workload(given: object, name: str = "the workload") -> Workload:
    """The workload that plain values say; `UserError` that lists its faults."""
    try:
        part = WorkloadPart.model_validate(given)
    except ValidationError as error:
        faults = [
            f"{_where(given, fault['loc'])}: {fault['input']!r}: {fault['msg']}" for fault in error.errors()
        ]
        raise _refused(name, faults) from None
    if part.start.utcoffset() is None:
        raise _refused(name, [f"start: {part.start!s}: an instant with its offset was expected"])
    faults = _contradictions(part)
    if faults:
        raise _refused(name, faults)
    start_us = to_us(part.start)
    tasks = tuple(_task(task, part, start_us) for task in part.tasks)
    slos = tuple(
        SloPlan(f"slo.{task.task_id}", RUN, task.task_id, (task.task_id,), task.deadline_us)
        for task in tasks
        if task.deadline_us is not None
    )
    plan = RunPlan(RUN, RUN, "SIM", part.start.date(), "0" * 64, start_us, tasks, slos, replayed=True)
    return Workload(
        plan=plan,
        capacity=_capacity(part.capacity),
        changes=tuple(
            sorted(
                ((start_us + _us(one.at_s), _capacity(one.capacity)) for one in part.capacity_changes),
                key=lambda pair: pair[0],
            )
        ),
        truths={
            task.id: Truth(
                _us(task.duration_s),
                task.failures,
                None if task.checkpoint_every_s is None else _us(task.checkpoint_every_s),
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
        run_id=RUN,
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
    faults: list[str] = []
    known: set[str] = set()
    for task in part.tasks:
        if task.id in known:
            faults.append(f"task {task.id!r}: its id is used twice")
        known.add(task.id)
    for task in part.tasks:
        faults += [
            f"task {task.id!r}: after {name!r}, which is no task" for name in task.after if name not in known
        ]
        if task.deadline_s is not None and task.deadline_s < task.release_s:
            faults.append(
                f"task {task.id!r}: deadline_s {task.deadline_s} is before release_s {task.release_s}"
            )
    if not faults:
        _, cycles = topological({task.id: task.after for task in part.tasks})
        faults += [f"tasks wait for each other in a circle: {describe_cycle(one)}" for one in cycles[:1]]
    machines = [part.capacity, *(change.capacity for change in part.capacity_changes)]
    shapes: dict[DemandKey, str] = {}
    for task in part.tasks:
        shapes.setdefault(_key(task.demand), task.id)
    for key, example in shapes.items():
        if not any(_fits(key, machine) for machine in machines):
            faults.append(f"task {example!r}: its demand fits no bin of the machine, now or later")
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


def _where(given: Any, location: Sequence[int | str]) -> str:
    """The place of a fault in people's words: a task by its id, not by its number."""
    if len(location) >= 2 and location[0] == "tasks" and isinstance(location[1], int):
        try:
            name = repr(given["tasks"][location[1]]["id"])
        except (KeyError, IndexError, TypeError):
            name = f"number {location[1] + 1}"
        return f"task {name} {'.'.join(str(part) for part in location[2:])}".strip()
    return ".".join(str(part) for part in location)


def _refused(name: str, faults: list[str]) -> UserError:
    shown = "; ".join(faults[:FAULTS_SHOWN])
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return UserError(
        f"{name} cannot be used: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}: {shown}{more}",
        hint="docs/simulation.md has the form",
    )
