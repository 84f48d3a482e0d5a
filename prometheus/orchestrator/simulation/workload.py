"""A workload file: a machine, tasks, and what the world will do to them. Read whole, every fault named at once.

Seconds count from `start`. `duration_s` and `failures` are the world's secret: they become `Truth`, which only the
virtual world reads; the scheduler's plan is made of `history_s` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prometheus.core.demand import Capacity
from prometheus.core.errors import UserError
from prometheus.core.instants import to_us
from prometheus.forecast.world import Truth
from prometheus.orchestrator.simulation.contradictions import RUN, contradictions, fits, machines_of
from prometheus.orchestrator.simulation.faults import FaultsPart
from prometheus.orchestrator.simulation.form import ChangePart, WorkloadPart, capacity_of, in_us
from prometheus.orchestrator.simulation.plain import Odd, Reader, Record
from prometheus.orchestrator.simulation.refusing import FORM, refused, sentences
from prometheus.orchestrator.simulation.uncollected import without_collection
from prometheus.pipelines.checking import topological
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan

RETRIES = 20  # of a simulated task; what kills it more often is a workload's joke


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
    def runs(self) -> tuple[RunPlan, ...]:
        """The night and its backfills."""
        return (self.plan, *self.backfills)

    @property
    def tasks(self) -> tuple[TaskPlan, ...]:
        """Those of the night and of its backfills."""
        return self.plan.tasks + tuple(task for run in self.backfills for task in run.tasks)


@without_collection()  # a million tasks are no circles of garbage
def read_workload(path: Path) -> Workload:
    """The workload of a file; `UserError` that lists its faults (the first twenty), each with its task and value."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the workload {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"the workload {path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}",
            hint="save it as UTF-8",
        ) from None
    reader = Reader()
    try:
        checked = _checked(_parsed(text, path, reader.hook), reader)
    except Odd:
        return _by_form(_parsed(text, path), str(path))
    del text, reader
    return _workload(*checked)


def _parsed(text: str, path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> object:
    try:
        return json.loads(text, object_hook=hook)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"the workload {path} is no JSON: {said}", hint=FORM) from None


@without_collection()
def make_workload(given: object, name: str = "the workload") -> Workload:
    """The workload that plain values say; `UserError` that lists its faults."""
    try:
        return _workload(*_checked(given, Reader()))
    except Odd:
        return _by_form(given, name)


def _by_form(given: object, name: str) -> Workload:
    """The same by the form alone, which is slow and finds every fault."""
    try:
        part = WorkloadPart.model_validate(given)
    except ValidationError as error:
        raise refused(name, sentences(given, WorkloadPart, error)) from None
    faults = contradictions(part)
    if faults:
        raise refused(name, faults)
    reader = Reader()
    return _workload(part, [reader.of_part(task) for task in part.tasks])


def _checked(given: object, reader: Reader) -> tuple[WorkloadPart, list[Record]]:
    """The file but for its tasks, and these; `Odd` if anything is wrong with it."""
    if type(given) is not dict or type(given.get("tasks")) is not list:
        raise Odd
    records = [one if type(one) is Record else _recorded(one, reader) for one in given["tasks"]]
    try:
        part = WorkloadPart.model_validate({**given, "tasks": ()})
    except ValidationError:
        raise Odd from None
    machines = machines_of(part)
    if contradictions(part) or not all(any(fits(key, one) for one in machines) for key in reader.demands):
        raise Odd
    _link(records)
    if any(one.backfill is not None and one.backfill not in part.backfills for one in records):
        raise Odd
    return part, records


def _recorded(given: object, reader: Reader) -> Record:
    if type(given) is not dict:
        raise Odd
    return reader.record(given)


def _link(records: list[Record]) -> None:
    """Let those that wait name the others by the others' own strings; `Odd` if ids are unknown, repeated or in circles."""
    names = {one.id: one.id for one in records}
    if len(names) < len(records):
        raise Odd
    seen: set[str] = set()
    in_order = True  # each after all that it waits for: no circle
    for one in records:
        if one.after:
            try:
                one.after = tuple([names[upstream] for upstream in one.after])
            except KeyError:
                raise Odd from None
            in_order = in_order and seen.issuperset(one.after)
        seen.add(one.id)
    if not in_order and topological({one.id: one.after for one in records})[1]:
        raise Odd


def _workload(part: WorkloadPart, records: list[Record]) -> Workload:
    """What was checked, as values; each record is let go as soon as its task is made."""
    start_us, backoff_us = to_us(part.start), in_us(part.retry_delay_s)
    tasks: dict[str | None, list[TaskPlan]] = {None: [], **{group: [] for group in sorted(part.backfills)}}
    truths: dict[str, Truth] = {}
    cores: dict[str, float] = {}
    histories: dict[str, tuple[int, ...]] = {}
    records.reverse()
    while records:
        one = records.pop()
        tasks[one.backfill].append(_task(one, start_us, backoff_us))
        truths[one.id] = Truth(one.duration_us, one.failures, one.checkpoint_every_us, degraded=one.degraded)
        cores[one.id] = one.cores
        if one.past.history:
            histories[one.id] = one.past.history
    night = tuple(tasks.pop(None))
    slos = tuple(
        SloPlan(f"slo.{task.task_id}", RUN, task.task_id, (task.task_id,), task.deadline_us)
        for task in night
        if task.deadline_us is not None
    )
    plan = RunPlan(RUN, RUN, "SIM", part.start.date(), "0" * 64, start_us, night, slos, replayed=True)
    return Workload(
        plan=plan,
        capacity=capacity_of(part.capacity),
        changes=_changes(part.capacity_changes, start_us),
        coming=_changes(part.capacity_schedule, start_us),
        backfills=tuple(
            replace(plan, run_id=group, tasks=tuple(own), slos=(), share=part.backfills[group])
            for group, own in tasks.items()
            if group is not None
        ),
        truths=truths,
        start_us=start_us,
        horizon_us=start_us + in_us(part.horizon_s),
        checkpoint_overhead_us=in_us(part.checkpoint_overhead_s),
        cores=cores,
        histories=histories,
        faults=part.faults,
    )


def _task(one: Record, start_us: int, backoff_us: int) -> TaskPlan:
    return TaskPlan(
        task_id=one.id,
        run_id=RUN if one.backfill is None else one.backfill,
        job=one.id,
        tier=one.tier,
        demand=one.demand,
        after=one.after,
        release_us=start_us + one.release_us,
        deadline_us=None if one.deadline_us is None else start_us + one.deadline_us,
        retries=RETRIES,
        backoff_us=backoff_us,
        typical_us=one.past.typical_us,
        cautious_us=one.past.cautious_us,
        late_us=one.past.late_us,
        checkpoint_every_us=one.checkpoint_every_us,
        timeout_us=one.timeout_us,
        ladder=one.ladder,
    )


def _changes(parts: Sequence[ChangePart], start_us: int) -> tuple[tuple[int, Capacity], ...]:
    found = [(start_us + in_us(one.at_s), capacity_of(one.capacity)) for one in parts]
    return tuple(sorted(found, key=lambda change: change[0]))
