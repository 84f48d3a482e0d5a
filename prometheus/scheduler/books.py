"""The scheduler's own books: one record a task, one queue a shape of demand, and the instants it waits for."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from prometheus.core.demand import Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.decisions import Decision, SetPressure
from prometheus.scheduler.events import ForecastMade
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.policies import RESERVING, Order, Policy
from prometheus.scheduler.reservation import Amounts, Reservation
from prometheus.scheduler.room import Place, Room
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.snapshot import Foreseen
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState

DURATION_STEP_US = 5 * MINUTE_US

Shape = tuple[int, Demand, bool, int]  # tier, demand, can checkpoint, class of duration


@dataclass(slots=True)
class TaskBook:
    """Where one task stands. `missing` counts the upstream tasks that are not done."""

    plan: TaskPlan
    state: TaskState = TaskState.WAITING
    missing: int = 0
    broken: int = 0  # upstream tasks that failed, are blocked or were cancelled
    attempts: int = 0  # number of the last attempt
    failures: int = 0  # counted endings since the task was last asked to run
    lost: int = 0
    not_before_us: int = 0
    latest_start_us: int = NEVER_US
    place: Place | None = None  # while it holds room
    attempt_started_us: int | None = None
    mode: str = "full"
    stop_cause: StopCause | None = None  # why the present attempt was told to stop
    stop_reason: str = ""
    refused_for: object = None  # cause of the last refusal, so that it is said only once
    stamp: int = 0  # version of its queue entry; older entries are dead
    is_tainted: bool = False  # an upstream was degraded or skipped
    saved_us: int | None = None  # instant of the present attempt's last checkpoint
    kept_us: int = 0  # work that earlier attempts saved: from their beginnings to their last checkpoints
    preempted: int = 0  # how often it made room
    ready_us: int = 0  # since when it has been ready
    weight: int = 0  # tasks downstream, for policies that order by it
    amounts: Amounts = ()  # what it takes of each resource
    downstream: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RunBook:
    """Where one run stands. `open` counts its tasks that have not ended."""

    plan: RunPlan
    state: RunState = RunState.RUNNING
    open: int = 0


@dataclass(slots=True)
class SloBook:
    """Where one promise stands. `open` counts its tasks that are not done, `broken` those that cannot be."""

    plan: SloPlan
    state: SloState = SloState.ON_TRACK
    open: int = 0
    broken: int = 0
    finished_us: int | None = None
    foreseen: Foreseen | None = None  # the latest forecast of it
    tier: int = 1  # of its most important task


class ReadyQueue:
    """Ready tasks of one shape, in the policy's order: by latest start, then release, then id.

    Entries are dropped lazily: one whose stamp is not the task's present stamp is dead.
    """

    def __init__(self, tier: int, demand: Demand, order: Order) -> None:
        self.tier = tier
        self.demand = demand
        self._order = order
        self._heap: list[tuple[int, int, str, int]] = []

    def push(self, book: TaskBook) -> None:
        """Enter a task; an earlier entry of it dies."""
        book.stamp += 1
        plan = book.plan
        if self._order == "latest_start":
            first, second = book.latest_start_us, plan.release_us
        elif self._order == "first_in":
            first, second = book.ready_us, plan.release_us
        else:
            first, second = -book.weight, book.ready_us
        heapq.heappush(self._heap, (first, second, plan.task_id, book.stamp))

    def head(self, tasks: dict[str, TaskBook]) -> tuple[int, int, str] | None:
        """The order key of the first living entry, or None."""
        while self._heap:
            first, second, task_id, stamp = self._heap[0]
            book = tasks[task_id]
            if book.stamp == stamp and book.state is TaskState.READY:
                return first, second, task_id
            heapq.heappop(self._heap)
        return None

    def fork(self) -> ReadyQueue:
        """The same queue, going its own way."""
        twin = ReadyQueue(self.tier, self.demand, self._order)
        twin._heap = self._heap[:]
        return twin

    def living(self, tasks: dict[str, TaskBook]) -> list[str]:
        """Ids of the tasks in this queue, in order."""
        return [
            task_id
            for _, _, task_id, stamp in sorted(self._heap)
            if tasks[task_id].stamp == stamp and tasks[task_id].state is TaskState.READY
        ]


class Alarms:
    """Instants that the scheduler waits for, each with a key; a later alarm of the same key replaces the earlier."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []
        self._due: dict[tuple[str, str], int] = {}

    def set(self, kind: str, key: str, at_us: int) -> None:
        """Wait for `at_us` under (kind, key)."""
        self._due[kind, key] = at_us
        heapq.heappush(self._heap, (at_us, kind, key))

    def drop(self, kind: str, key: str) -> None:
        """Wait no longer; unknown keys are ignored."""
        self._due.pop((kind, key), None)

    def next_us(self) -> int | None:
        """The earliest instant waited for."""
        while self._heap:
            at_us, kind, key = self._heap[0]
            if self._due.get((kind, key)) == at_us:
                return at_us
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now_us: int) -> tuple[str, str] | None:
        """One (kind, key) that is due, in order of instant, kind and key; None when nothing is."""
        at_us = self.next_us()
        if at_us is None or at_us > now_us:
            return None
        _, kind, key = heapq.heappop(self._heap)
        del self._due[kind, key]
        return kind, key

    def fork(self) -> Alarms:
        """The same alarms, going their own way."""
        twin = Alarms()
        twin._heap, twin._due = self._heap[:], dict(self._due)
        return twin

    def pending(self) -> dict[tuple[str, str], int]:
        """Everything waited for."""
        return dict(self._due)


@dataclass(slots=True)
class Books:
    """Everything the scheduler knows."""

    seed: int = 0
    policy: Policy = RESERVING
    now_us: int = 0
    forecast: ForecastMade | None = None  # the latest
    is_forecast_new: bool = False  # it came in this turn
    pressure: SetPressure | None = None  # what was last said of it; None = there has been none
    coming: tuple[tuple[int, Capacity], ...] = ()  # changes of capacity that are announced and not here yet
    reservation: Reservation = field(default_factory=Reservation)
    critical: dict[str, TaskBook] = field(default_factory=dict)  # Tier 1 tasks that have not ended
    tasks: dict[str, TaskBook] = field(default_factory=dict)
    runs: dict[str, RunBook] = field(default_factory=dict)
    slos: dict[str, SloBook] = field(default_factory=dict)
    slos_of: dict[str, list[str]] = field(default_factory=dict)  # task id -> SLOs that need it
    expected: dict[str, list[str]] = field(
        default_factory=dict
    )  # task not opened yet -> tasks that wait for it
    has_circle: bool = False  # tasks of open runs wait, or have waited, for each other in a circle
    queues: dict[Shape, ReadyQueue] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)
    room: Room = field(default_factory=Room)
    lower_use: dict[str, int] = field(default_factory=dict)  # what Tiers 2 and 3 hold, by resource
    holding: dict[str, None] = field(default_factory=dict)  # tasks that hold room, oldest first
    unsettled: list[str] = field(default_factory=list)  # tasks whose upstream changed in this turn
    ended_runs: list[str] = field(default_factory=list)  # runs whose last open task ended in this turn
    decisions: list[Decision] = field(default_factory=list)  # of this turn

    def queue_of(self, plan: TaskPlan) -> ReadyQueue:
        """The queue of tasks of this shape."""
        can_checkpoint = plan.checkpoint_every_us is not None
        duration_class = 0
        if self.policy.reserves and plan.tier > 1 and not can_checkpoint:
            # Only heads are looked at, and one long job that is kept waiting must not stop short ones behind it.
            duration_class = (plan.late_us // DURATION_STEP_US).bit_length()
        shape = (plan.tier, plan.demand, can_checkpoint, duration_class)
        queue = self.queues.get(shape)
        if queue is None:
            queue = self.queues[shape] = ReadyQueue(plan.tier, plan.demand, self.policy.order)
        return queue

    def stopping(self) -> set[str]:
        """Tasks whose room will be free without any further order."""
        return {task_id for task_id in self.holding if self.tasks[task_id].state is TaskState.STOPPING}
