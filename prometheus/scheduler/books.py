"""The scheduler's own books: one record a task, one queue a shape of demand, and the instants it waits for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from prometheus.core.demand import Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.agenda import Agenda, Entry
from prometheus.scheduler.bins import Place
from prometheus.scheduler.decisions import Decision, SetPressure
from prometheus.scheduler.events import Failure, ForecastMade
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.policies import RESERVING, Order, Policy
from prometheus.scheduler.reservation import Amounts, Reservation, amounts_of
from prometheus.scheduler.room import Room, Want
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.shares import Account
from prometheus.scheduler.snapshot import Foreseen
from prometheus.scheduler.states import READY, RunState, SloState, StopCause, TaskState

DURATION_STEP_US = 5 * MINUTE_US

Shape = tuple[
    int, Demand, bool, int, str
]  # tier, demand, can checkpoint, class of duration, backfill with a share


@dataclass(slots=True)
class RunBook:
    """Where one run stands. `open` counts its tasks that have not ended."""

    plan: RunPlan
    state: RunState = RunState.RUNNING
    open: int = 0
    opened_us: int = 0


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


@dataclass(slots=True, eq=False)
class TaskBook:
    """Where one task stands. `missing` counts the upstream tasks that are not done.

    It holds what comes after it, never what comes before, so that books are freed at once when nobody needs them.
    """

    plan: TaskPlan
    run: RunBook
    state: TaskState = TaskState.WAITING
    missing: int = 0
    broken: int = 0  # upstream tasks that failed, are blocked or were cancelled
    attempts: int = 0  # number of the last attempt
    failures: int = 0  # counted endings since the task was last asked to run
    lost: int = 0
    last_failure: Failure | None = (
        None  # of the last attempt that ended, since the task was last asked to run
    )
    not_before_us: int = 0
    latest_start_us: int = NEVER_US
    place: Place | None = None  # while it holds room
    attempt_started_us: int | None = None
    mode: str = "full"
    stop_cause: StopCause | None = None  # why the present attempt was told to stop
    stop_reason: str = ""
    refused_for: Hashable = None  # cause of the last refusal, so that it is said only once
    stamp: int = 0  # version of its queue entry; older entries are dead
    is_tainted: bool = False  # an upstream was degraded or skipped
    saved_us: int | None = None  # instant of the present attempt's last checkpoint
    kept_us: int = 0  # work that earlier attempts saved: from their beginnings to their last checkpoints
    preempted: int = 0  # how often it made room
    ready_us: int = (
        -1
    )  # since when it waits for its turn; -1 = a wait of its own begins when it is ready again
    weight: int = 0  # tasks downstream, for policies that order by it
    queue: int = -1  # number of the queue of its shape, its place in `Books.queues`
    amounts: Amounts = ()  # what it takes of each resource
    closes_circle: bool = False  # blocked because it waits for itself, over other runs
    slos: tuple[SloBook, ...] = ()  # promises that need it
    downstream: list[TaskBook] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"TaskBook({self.plan.task_id}, {self.state})"


class ReadyQueue:
    """Ready tasks of one shape, in the policy's order: by latest start, then release, then id.

    An entry is two numbers to order by, task id, stamp, and the task. Entries are dropped lazily: one whose stamp is not the
    task's present stamp is dead.
    """

    __slots__ = (
        "_heap",
        "_order",
        "amounts",
        "demand",
        "first",
        "is_stirred",
        "line",
        "number",
        "tier",
        "told",
        "want",
    )

    def __init__(self, number: int, tier: int, want: Want, order: Order, line: int) -> None:
        self.number = number
        self.tier = tier
        self.line = line  # that it stands in: its tier's, or that of a backfill with a share
        self.demand = want.demand
        self.amounts = amounts_of(want.demand)
        self.want = want
        self.first: Entry | None = None  # as it stands in its line
        self.told: object = None  # for what the first was refused; None = it is to be looked at anew
        self.is_stirred = False  # its place in line may have changed
        self._order = order
        self._heap: list[Entry] = []

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
        heappush(self._heap, (first, second, plan.task_id, book.stamp, book))

    def head(self) -> Entry | None:
        """The first living entry, or None."""
        heap = self._heap
        while heap:
            entry = heap[0]
            if _is_living(entry):
                return entry
            heappop(heap)
        return None

    def leading(self, count: int) -> list[TaskBook]:
        """The first tasks, in order, at most `count`; it looks at no more entries than it must."""
        found: list[TaskBook] = []
        edge = [(self._heap[0], 0)] if self.head() is not None else []
        while edge and len(found) < count:
            entry, place = heappop(edge)
            if _is_living(entry):
                found.append(entry[4])
            for child in range(2 * place + 1, min(2 * place + 3, len(self._heap))):
                heappush(edge, (self._heap[child], child))
        return found

    def fork(self, tasks: dict[str, TaskBook]) -> ReadyQueue:
        """The same queue of these tasks, going its own way."""
        twin = ReadyQueue(self.number, self.tier, self.want, self._order, self.line)
        twin.is_stirred, twin.told = self.is_stirred, self.told
        twin._heap = [_entry_of(tasks, entry) for entry in self._heap]
        twin.first = None if self.first is None else _entry_of(tasks, self.first)
        return twin

    def living(self) -> list[str]:
        """Ids of the tasks in this queue, in order."""
        return [entry[2] for entry in sorted(self._heap) if _is_living(entry)]


def _is_living(entry: Entry) -> bool:
    book: TaskBook = entry[4]
    return book.stamp == entry[3] and book.state is READY


def _entry_of(tasks: dict[str, TaskBook], entry: Entry) -> Entry:
    first, second, task_id, stamp, _ = entry
    return first, second, task_id, stamp, tasks[task_id]


Line = list[Entry]  # the first entry of each queue that is not empty, in order


class Alarms:
    """Instants that the scheduler waits for, each with a key; a later alarm of the same key replaces the earlier."""

    __slots__ = ("_agenda", "_due", "_met_us")

    def __init__(self) -> None:
        self._agenda = Agenda()  # instant, kind, key
        self._due: dict[str, dict[str, int]] = {}  # kind -> key -> instant
        self._met_us = -1  # instant of the first entry, if it is known to be waited for

    def set(self, kind: str, key: str, at_us: int) -> None:
        """Wait for `at_us` under (kind, key)."""
        due = self._due.get(kind)
        if due is None:
            due = self._due[kind] = {}
        before_us = due.get(key)
        due[key] = at_us
        if before_us is None or at_us < before_us:
            self._agenda.push((at_us, kind, key))
            if at_us < self._met_us:
                self._met_us = at_us
        else:  # its entry, which comes no later, is moved when it is met
            self._met_us = -1

    def drop(self, kind: str, key: str) -> None:
        """Wait no longer; unknown keys are ignored."""
        due = self._due.get(kind)
        if due and due.pop(key, None) is not None:
            self._met_us = -1

    def next_us(self) -> int:
        """The earliest instant waited for; NEVER_US if there is none."""
        if self._met_us >= 0:
            return self._met_us
        while (first := self._agenda.first()) is not None:
            at_us: int = first[0]
            due_us = self._due[first[1]].get(first[2], -1)
            if due_us == at_us:
                self._met_us = at_us
                return at_us
            self._agenda.pop()
            if due_us > at_us:
                self._agenda.push((due_us, first[1], first[2]))
        return NEVER_US

    def pop_due(self, now_us: int) -> tuple[str, str] | None:
        """One (kind, key) that is due, in order of instant, kind and key; None when nothing is."""
        if self.next_us() > now_us:
            return None
        _, kind, key = self._agenda.pop()
        self._met_us = -1
        del self._due[kind][key]
        return kind, key

    def fork(self) -> Alarms:
        """The same alarms, going their own way."""
        twin = Alarms()
        twin._agenda, twin._met_us = self._agenda.fork(), self._met_us
        twin._due = {kind: dict(due) for kind, due in self._due.items()}
        return twin

    def pending(self) -> dict[tuple[str, str], int]:
        """Everything waited for."""
        return {(kind, key): at_us for kind, due in self._due.items() for key, at_us in due.items()}


@dataclass(slots=True)
class Books:
    """Everything the scheduler knows."""

    seed: int = 0
    policy: Policy = RESERVING
    now_us: int = 0
    heard: ForecastMade | None = None  # the forecast that came in this turn and is to be weighed
    pressure: SetPressure | None = None  # what was last said of it; None = there has been none
    coming: tuple[tuple[int, Capacity], ...] = ()  # changes of capacity that are announced and not here yet
    reservation: Reservation = field(default_factory=Reservation)
    critical: dict[str, TaskBook] = field(default_factory=dict)  # Tier 1 tasks that have not ended
    tasks: dict[str, TaskBook] = field(default_factory=dict)
    runs: dict[str, RunBook] = field(default_factory=dict)
    slos: dict[str, SloBook] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)  # of runs with a share
    expected: dict[str, list[TaskBook]] = field(
        default_factory=dict
    )  # task not opened yet -> tasks that wait for it
    has_circle: bool = False  # tasks of open runs wait, or have waited, for each other in a circle
    queues: list[ReadyQueue] = field(default_factory=list)  # by number
    queue_numbers: dict[Shape, int] = field(default_factory=dict)
    # Where each queue that is not empty stands: by tier, then those of backfills with a share; all are in line 0 for a
    # policy that knows no tiers.
    lines: list[Line] = field(default_factory=list)
    walled: dict[int, str] = field(
        default_factory=dict
    )  # line -> why a higher tier goes first, as all in it know
    stirred: list[ReadyQueue] = field(default_factory=list)  # queues whose place in line may have changed
    alarms: Alarms = field(default_factory=Alarms)
    room: Room = field(default_factory=Room)
    # What Tiers 2 and 3 hold, by resource, if anything is kept from them.
    lower_use: dict[str, int] = field(default_factory=dict)
    ending: dict[str, None] = field(default_factory=dict)  # tasks that hold room and were told to stop
    moved: list[TaskBook] = field(default_factory=list)  # tasks that took or gave back room in this turn
    unsettled: list[TaskBook] = field(default_factory=list)  # tasks whose upstream changed in this turn
    ended_runs: list[str] = field(default_factory=list)  # runs whose last open task ended in this turn
    decisions: list[Decision] = field(default_factory=list)  # of this turn
    awaits_saves: bool = False  # somebody is to be stopped when it has saved its work
    answered_us: int = -1  # instant of a dispatch that would say nothing new if it were asked again at once
    # Version of the room at the last dispatch, if that would say nothing new at any later instant either, as long as the
    # room and the first of each queue stay as they are.
    answered_room: int = -1

    def queue_of(self, plan: TaskPlan) -> ReadyQueue:
        """The queue of tasks of this shape."""
        can_checkpoint = plan.checkpoint_every_us is not None
        duration_class = 0
        if self.policy.reserves and plan.tier > 1 and not can_checkpoint:
            # Only heads are looked at, and one long job that is kept waiting must not stop short ones behind it.
            duration_class = (plan.late_us // DURATION_STEP_US).bit_length()
        account = self.accounts.get(plan.run_id) if self.accounts and plan.tier == 3 else None
        run_id = "" if account is None else plan.run_id
        shape = (plan.tier, plan.demand, can_checkpoint, duration_class, run_id)
        number = self.queue_numbers.get(shape)
        if number is None:
            number = self.queue_numbers[shape] = len(self.queues)
            line = 0 if not self.policy.has_tiers else plan.tier if account is None else account.line
            while len(self.lines) <= line:
                self.lines.append([])
            want = self.room.want(plan.demand)
            self.queues.append(ReadyQueue(number, plan.tier, want, self.policy.order, line))
        return self.queues[number]

    def enqueue(self, book: TaskBook) -> None:
        """Enter a ready task in its queue, anew if its order has changed."""
        queue = self.queues[book.queue]
        queue.push(book)
        self.stir(queue)

    def stir(self, queue: ReadyQueue) -> None:
        """Its first task may be another from now on."""
        if not queue.is_stirred:
            queue.is_stirred = True
            self.stirred.append(queue)

    def line_up(self) -> bool:
        """Let every queue that was stirred stand in its line with its present first entry; whether any has another."""
        lines, has_other = self.lines, False
        for queue in self.stirred:
            queue.is_stirred = False
            entry = queue.head()
            first = queue.first
            if entry is first or entry == first:
                continue
            has_other = True
            line = lines[queue.line]
            if self.walled:
                self.walled.pop(queue.line, None)
            if first is not None:
                del line[bisect_left(line, first)]
            if entry is not None:
                insort(line, entry)
            queue.first, queue.told = entry, None
        self.stirred.clear()
        return has_other

    def stopping(self) -> set[str]:
        """Tasks whose room will be free without any further order."""
        return set(self.ending)
