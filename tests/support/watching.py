"""An account of every turn of a night that knows nothing of the scheduler's books: what it was told, and what it said.

It holds after each turn what must hold at every instant: order, releases, room in each bin, on each GPU and of each pool,
no task twice at the same time, attempts numbered, and nothing left lying that is ready and fits. `ended` says what must
hold when nothing can come any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, RefuseStart, SetTask, StartAttempt, StopAttempt
from prometheus.scheduler.events import AttemptFailed, AttemptSucceeded, CapacityChanged, Event
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.states import DONE, ENDED, StopCause, TaskState

DEVICE = 1000


@dataclass(slots=True)
class Account:
    """What is known of the night so far. `watch` is what `simulate` is given."""

    workload: Workload
    is_thorough: bool = True  # have the scheduler audit all its books after each turn
    now_us: int = 0
    capacity: Capacity | None = None
    states: dict[str, TaskState] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    running: dict[str, StartAttempt] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    starts: int = 0

    def __post_init__(self) -> None:
        self.states = {task.task_id: TaskState.WAITING for task in self.workload.plan.tasks}

    def watch(self, events: Sequence[Event], decisions: Sequence[Decision], scheduler: Scheduler) -> None:
        """One committed turn."""
        for event in events:
            self.now_us = max(self.now_us, event.at_us)
            self._hear(event)
        for decision in decisions:
            assert decision.at_us == self.now_us, f"{decision} at {self.now_us}"
            assert decision.reason, f"{decision} has no reason"
            self._account(decision)
        if self.is_thorough:
            scheduler.check_invariants(is_thorough=True)
        assert scheduler.in_flight == len(self.running), f"{scheduler.in_flight} in flight, {self.running}"
        self._nothing_lies_idle(scheduler.next_wakeup_us())

    def _hear(self, event: Event) -> None:
        if isinstance(event, CapacityChanged):
            self.capacity = event.capacity
        elif isinstance(event, AttemptSucceeded | AttemptFailed):
            order = self.running.get(event.task_id)
            if order is not None and order.attempt == event.attempt:
                del self.running[event.task_id]

    def _account(self, decision: Decision) -> None:
        if isinstance(decision, SetTask):
            assert self.states[decision.task_id] not in DONE, f"{decision} of what is done"
            self.states[decision.task_id] = decision.state
        elif isinstance(decision, StartAttempt):
            self._start(decision)
        elif isinstance(decision, StopAttempt):
            order = self.running.get(decision.task_id)
            assert order is not None, f"{decision} of what does not run"
            assert order.attempt == decision.attempt, f"{decision} of another attempt than {order}"
            if decision.cause is StopCause.PREEMPTED:
                assert self._task(decision.task_id).tier > 1, f"{decision} of Tier 1"
        elif isinstance(decision, RefuseStart):
            self.refusals[decision.task_id] = decision.reason

    def _start(self, order: StartAttempt) -> None:
        task_id, task = order.task_id, self._task(order.task_id)
        self.starts += 1
        assert task_id not in self.running, f"{order}: it runs already"
        assert self.states[task_id] not in ENDED, f"{order}: it is {self.states[task_id]}"
        assert order.attempt == self.attempts.get(task_id, 0) + 1, f"{order} skips a number"
        missing = [i for i in task.after if self.states[i] not in DONE]
        assert not missing, f"{order} before {missing}"
        assert task.release_us <= self.now_us, f"{order} before its release"
        assert self.capacity is not None, f"{order} on no machine"
        self.attempts[task_id] = order.attempt
        self.states[task_id] = TaskState.STARTING
        self.running[task_id] = order
        over = overbooked(task.demand, order, self._held(), self.capacity)
        assert over is None, f"{order}: {over}"

    def _held(self) -> list[tuple[StartAttempt, Demand]]:
        return [(order, self._task(task_id).demand) for task_id, order in self.running.items()]

    def _task(self, task_id: str) -> TaskPlan:
        return next(task for task in self.workload.plan.tasks if task.task_id == task_id)

    def _nothing_lies_idle(self, wakeup_us: int | None) -> None:
        if self.capacity is None:
            return
        waiting = [
            task for task in self.workload.plan.tasks if self.states[task.task_id] is TaskState.WAITING
        ]
        for task in waiting:
            awaited = [i for i in task.after if self.states[i] not in DONE]
            assert awaited or task.release_us > self.now_us, f"{task.task_id} waits for nothing"
            lost = [i for i in task.after if self.states[i] in ENDED - DONE]
            assert not lost, f"{task.task_id} waits for {lost}, which will not come"
        ready = [task for task in self.workload.plan.tasks if self.states[task.task_id] is TaskState.READY]
        first = min((task.tier for task in ready), default=0)
        kept = [task for task in ready if self.refusals.get(task.task_id, "").startswith("fits now, but")]
        held = self._held()
        for task in ready:
            if not could_start(task.demand, held, self.capacity):
                continue
            if task.tier == first:
                assert task.tier > 1, f"{task.task_id} is ready, fits, and was not started"
                assert kept, f"{task.task_id} is ready, fits, was not started, and nobody said why"
            assert held or wakeup_us is not None, (
                f"{task.task_id} fits the empty machine and nothing will come"
            )

    def ended(self) -> None:
        """The night is over: nothing can come any more. Whatever did not end has its reason in sight."""
        hung = set(self.running)
        for task in self.workload.plan.tasks:
            state = self.states[task.task_id]
            if state in ENDED or task.task_id in hung:
                continue
            if state is TaskState.WAITING:
                assert any(self.states[i] not in DONE for i in task.after), f"{task.task_id} was forgotten"
                continue
            assert state is TaskState.READY, f"{task.task_id} is left {state}"
            assert self.capacity is not None
            assert hung or not could_start(task.demand, [], self.capacity), f"{task.task_id} is left lying"


def overbooked(
    demand: Demand, order: StartAttempt, held: Sequence[tuple[StartAttempt, Demand]], capacity: Capacity
) -> str | None:
    """What the start took that was not there; `held` includes it. Only what it needs itself counts."""
    place = next((one for one in capacity.bins if one.bin_id == order.bin_id), None)
    if place is None:
        return f"there is no bin {order.bin_id}"
    here = [(other, need) for other, need in held if other.bin_id == order.bin_id]
    cpu, memory = sum(n.cpu_milli for _, n in here), sum(n.memory_mib for _, n in here)
    if demand.cpu_milli and cpu > place.cpu_milli:
        return f"{cpu} of {place.cpu_milli} cpu"
    if demand.memory_mib and memory > place.memory_mib:
        return f"{memory} of {place.memory_mib} memory"
    wanted = -(-demand.gpu_milli // DEVICE)
    if len(order.devices) != wanted or len(set(order.devices)) != wanted:
        return f"devices {order.devices} for {demand.gpu_milli} milli-GPU"
    for device in order.devices:
        offered = place.gpu_milli[device] if device < len(place.gpu_milli) else 0
        used = sum(min(n.gpu_milli, DEVICE) for other, n in here if device in other.devices)
        if used > offered:
            return f"{used} of {offered} on device {device}"
    for pool, _ in demand.pools:
        used = sum(dict(n.pools).get(pool, 0) for _, n in held)
        if used > dict(capacity.pools).get(pool, 0):
            return f"{used} of pool {pool}"
    return None


def could_start(demand: Demand, held: Sequence[tuple[StartAttempt, Demand]], capacity: Capacity) -> bool:
    """Whether some bin, with some devices, has room for the demand beside what is held."""
    for pool, units in demand.pools:
        used = sum(dict(n.pools).get(pool, 0) for _, n in held)
        if used + units > dict(capacity.pools).get(pool, 0):
            return False
    return any(_has_room(demand, held, one) for one in capacity.bins)


def _has_room(demand: Demand, held: Sequence[tuple[StartAttempt, Demand]], place: Bin) -> bool:
    here = [(order, need) for order, need in held if order.bin_id == place.bin_id]
    if demand.cpu_milli and demand.cpu_milli + sum(n.cpu_milli for _, n in here) > place.cpu_milli:
        return False
    if demand.memory_mib and demand.memory_mib + sum(n.memory_mib for _, n in here) > place.memory_mib:
        return False
    if not demand.gpu_milli:
        return True
    free = [
        offered - sum(min(n.gpu_milli, DEVICE) for order, n in here if device in order.devices)
        for device, offered in enumerate(place.gpu_milli)
    ]
    if demand.gpu_milli <= DEVICE:
        return any(one >= demand.gpu_milli for one in free)
    return sum(one >= DEVICE for one in free) >= -(-demand.gpu_milli // DEVICE)
