"""Tonight as a value: what has begun, what is to come, the machine, the calendars, and what durations are drawn from.

There are three of them: a workload file, unfinished runs of a ledger, and runs that are to come (these two together where
both are). A question such as "what if there were twelve cores" makes another value of it; `stage_of` makes either into a
scheduler that stands where tonight does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prometheus.core.calendar_book import CalendarBook
from prometheus.core.counting import counted
from prometheus.core.demand import Capacity
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.foresee import Outlook
from prometheus.orchestrator.histories import whole_durations
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.pipelines.model import PipelineSpec
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import AttemptFailed, CapacityChanged, Event, Failure, RunOpened
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, SloState


@dataclass(frozen=True, slots=True)
class Tonight:
    """What is assumed of one night, in plain values."""

    name: str  # for people
    now_us: int
    until_us: int  # how far ahead is looked
    capacity: Capacity
    coming: tuple[RunPlan, ...] = ()  # runs that are opened now
    begun: Snapshot | None = None  # the unfinished runs of a ledger, and the rows that they hang on
    left_alone: frozenset[str] = frozenset()  # runs whose attempts have nobody any more
    specs: Mapping[str, PipelineSpec] = field(
        default_factory=dict
    )  # by pipeline, where its declaration is at hand
    book: CalendarBook | None = None  # None where nothing follows a calendar
    histories: Mapping[str, Sequence[int]] = field(default_factory=dict)  # task -> past durations, ascending
    failing: Mapping[str, float] = field(default_factory=dict)  # task -> share of its attempts that fail
    spreads: Mapping[str, float] = field(
        default_factory=dict
    )  # run -> how much its nights differ as a whole, in log durations
    durations: Mapping[str, Mapping[str, tuple[int, int]]] = field(
        default_factory=dict
    )  # pipeline -> job -> (q50, q80), where there is a history
    slower: Mapping[str, float] = field(default_factory=dict)  # task -> factor on its durations
    overhead_us: int = MINUTE_US  # what it costs to go on from a checkpoint
    announced: tuple[tuple[int, Capacity], ...] = ()  # what the machine will be from an instant on
    seed: int = 0  # of the scheduler
    notes: tuple[str, ...] = ()  # where this comes from, and what is not in it

    def runs(self) -> list[RunPlan]:
        """Every run of tonight: begun, then to come."""
        begun = [] if self.begun is None else [row.plan for row in self.begun.runs]
        return [*begun, *self.coming]

    def tasks(self) -> list[TaskPlan]:
        """Every task that has not ended."""
        ended = set() if self.begun is None else {r.task_id for r in self.begun.tasks if r.state in ENDED}
        return [task for run in self.runs() for task in run.tasks if task.task_id not in ended]


@dataclass(frozen=True, slots=True)
class Promise:
    """An SLO that can still be kept or broken."""

    slo: SloPlan
    pipeline: str
    tier: int  # the highest of its tasks
    pending: tuple[str, ...]  # tasks that have not ended
    is_broken: bool = False  # a task that it needs has ended without being done


@dataclass(frozen=True, slots=True)
class Stage:
    """Tonight as forecasts want it: it can be sent to another process."""

    scheduler: Scheduler
    outlook: Outlook
    until_us: int
    promises: tuple[Promise, ...]
    lower_cores: Mapping[str, float]  # Tier 3 tasks that have not ended -> their cores


def of_workload(workload: Workload, name: str) -> Tonight:
    """The night of a workload file. Its truths stay closed: durations are drawn from the histories alone."""
    without = len(workload.tasks) - len(workload.histories)
    past = sorted(len(history) for history in workload.histories.values())
    notes = [
        "duration_s, failures, faults and unannounced changes are not looked at: a forecast could not know them"
    ]
    if past:
        runs = counted(past[-1], "past run")
        spread = runs if past[0] == past[-1] else f"{past[0]} to {runs}"
        notes.insert(0, f"durations are drawn from {spread} of each task (history_s, of no stated age)")
    if without:
        notes.append(f"{counted(without, 'task')} without history_s: taken to last a minute")
    return Tonight(
        name=name,
        now_us=workload.start_us,
        until_us=max([workload.horizon_us, *(slo.deadline_us for slo in workload.plan.slos)]),
        capacity=workload.capacity,
        coming=workload.runs,
        histories=workload.histories,
        overhead_us=workload.checkpoint_overhead_us,
        announced=workload.coming,
        notes=tuple(notes),
    )


def stage_of(tonight: Tonight) -> Stage:
    """A scheduler that stands where tonight does, told of everything that begins it."""
    now_us = tonight.now_us
    if tonight.begun is None:
        scheduler, lost = Scheduler(tonight.seed), []
    else:
        scheduler = Scheduler.restore(tonight.begun, tonight.seed)
        now_us = max(now_us, tonight.begun.at_us)
        lost = _lost(tonight, tonight.begun, now_us)
    opened: list[Event] = [RunOpened(now_us, run) for run in tonight.coming]
    scheduler.handle([*lost, CapacityChanged(now_us, tonight.capacity, tonight.announced), *opened])
    here = {one.plan.task_id: one.plan for one in scheduler.standings()}
    return Stage(
        scheduler,
        _outlook(tonight),
        tonight.until_us,
        tuple(_promises(tonight, set(here))),
        {task_id: plan.demand.cpu_milli / 1000 for task_id, plan in here.items() if plan.tier == 3},
    )


def _outlook(tonight: Tonight) -> Outlook:
    """As a run's own forecast assumes it: what ended tonight tells how slow the rest of its run will be."""
    ended = () if tonight.begun is None else whole_durations(tonight.begun.attempts)
    return Outlook(
        histories=tonight.histories,
        slower=tonight.slower,
        overhead_us=tonight.overhead_us,
        failing=tonight.failing,
        groups={task.task_id: run.run_id for run in tonight.runs() for task in run.tasks},
        shared={run_id: spread for run_id, spread in tonight.spreads.items() if spread > 0},
        tonight={task_id: took_us for task_id, took_us, _ in ended},
    )


def _lost(tonight: Tonight, begun: Snapshot, now_us: int) -> list[Event]:
    """Attempts that nobody works on any more, or whose worker is no part of the machine."""
    there = {one.bin_id for one in tonight.capacity.bins}
    bins = {(row.task_id, row.attempt): row.bin_id for row in begun.attempts}
    found: list[Event] = []
    for row in begun.tasks:
        if row.state not in HOLDING_ROOM:
            continue
        if row.run_id in tonight.left_alone:
            why = "the program that ran it has ended"
        elif bins[row.task_id, row.attempts] not in there:
            why = "its worker is gone"
        else:
            continue
        found.append(AttemptFailed(now_us, row.task_id, row.attempts, Failure.LOST, why))
    return found


def _promises(tonight: Tonight, pending: set[str]) -> list[Promise]:
    states = {} if tonight.begun is None else {row.task_id: row.state for row in tonight.begun.tasks}
    missed = (
        set()
        if tonight.begun is None
        else {row.slo_id for row in tonight.begun.slos if row.state is SloState.MISSED}
    )
    found = []
    for run in tonight.runs():
        tiers = {task.task_id: task.tier for task in run.tasks}
        for slo in run.slos:
            left = tuple(task_id for task_id in slo.task_ids if task_id in pending)
            broken = any(i in states and states[i] in ENDED - DONE for i in slo.task_ids)
            if slo.slo_id in missed or not (left or broken):
                continue
            tier = min((tiers[i] for i in slo.task_ids if i in tiers), default=3)
            found.append(Promise(slo, run.pipeline, tier, left, broken))
    return found


def only(snapshot: Snapshot, run_ids: set[str]) -> Snapshot:
    """What a snapshot says of these runs."""
    tasks = tuple(task for task in snapshot.tasks if task.run_id in run_ids)
    ids = {task.task_id for task in tasks}
    return replace(
        snapshot,
        runs=tuple(run for run in snapshot.runs if run.run_id in run_ids),
        tasks=tasks,
        attempts=tuple(attempt for attempt in snapshot.attempts if attempt.task_id in ids),
        slos=tuple(slo for slo in snapshot.slos if slo.run_id in run_ids),
    )
