"""A night in virtual time with a ledger, in which the scheduler itself may die: every turn is committed, then obeyed.

The executor's facts are repeated until they are acknowledged, which happens after the orders of their turn are obeyed.
A scheduler that dies is rebuilt from the rows, as at start-up: the new one is told of the machine, adopts what lives,
and sends again what the executor proves that it never got.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from prometheus.core.instants import SECOND_US
from prometheus.forecast.ahead import Told
from prometheus.forecast.world import World
from prometheus.ledger.contract import Ledger
from prometheus.orchestrator.simulation.faults import Death, Faults, Loss
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    TimePassed,
)
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.snapshot import AttemptRow
from prometheus.scheduler.states import AttemptState

SENT_AGAIN = "sent again: the scheduler before died before it was obeyed"
ZOMBIE_US = 30 * SECOND_US  # so long after its loss a worker that was not dead at all says that it is done

_OPEN = frozenset({AttemptState.STARTING, AttemptState.RUNNING, AttemptState.STOPPING})
_OF_EXECUTORS = (AttemptStarted, AttemptCheckpointed, AttemptSucceeded, AttemptFailed)

# Sees each committed turn: the events as the scheduler heard them, its decisions, and itself.
Watch = Callable[[Sequence[Event], Sequence[Decision], Scheduler], None]


@dataclass(slots=True)
class Night:
    """One night, its world, and the scheduler that leads at the moment."""

    world: World
    ledger: Ledger
    faults: Faults
    policy: Policy
    seed: int = 0
    watch: Watch | None = None
    scheduler: Scheduler = field(init=False)
    happened: Counter[str] = field(default_factory=Counter)  # faults that met somebody, by kind
    told: int = 0
    decided: int = 0
    _epoch: int = 0
    _offset_us: int = 0  # what the scheduler's clock shows more than the true time
    _capacity: CapacityChanged | None = None  # the last that was told
    _bins: dict[str, str] = field(default_factory=dict)  # task -> where its last attempt runs
    _coming: list[tuple[int, int, Event]] = field(default_factory=list)  # late and repeated facts
    _known: list[Event] = field(default_factory=list)  # facts that an executor may repeat
    _facts: int = 0  # that executors have told
    _held: int = 0  # that came or will come later than they might have
    _plot: list[tuple[int, str, int]] = field(
        default_factory=list
    )  # instant, what, number; the next one last
    _deaths: list[Death] = field(default_factory=list)  # due, the next one last

    def run(self, first: Sequence[Event], until_us: int) -> Told:
        """Drive the night from the world's present to `until_us`; `first` are the events of the first turn."""
        self.scheduler = Scheduler(self.seed, self.policy)
        self._epoch = self.ledger.acquire("simulation", self.world.now_us)
        faults = self.faults
        plot = [(one.at_us, "lost", number) for number, one in enumerate(faults.losses)]
        plot += [(one.at_us, "restarts", number) for number, one in enumerate(faults.restarts)]
        plot += [(one.at_us, "clock", number) for number, one in enumerate(faults.steps)]
        plot += [(one.at_us, "repeated", number) for number, one in enumerate(faults.repeats)]
        self._plot = sorted(plot, reverse=True)
        events = list(first)
        while True:
            if events:
                events = self._turn(events)
                continue
            at_us = self._next_us()
            if at_us is None or at_us > until_us:
                break
            events = self._advance(max(at_us, self.world.now_us))
        self.world.now_us = until_us
        return Told(self.told, self.decided)

    def _next_us(self) -> int | None:
        """The true instant at which something comes next."""
        wakeup_us = self.scheduler.next_wakeup_us()
        world_us = self.world.next_us()
        due = [] if world_us >= NEVER_US else [world_us]
        if wakeup_us is not None:
            due.append(wakeup_us - self._offset_us)
        if self._coming:
            due.append(self._coming[0][0])
        if self._plot:
            due.append(self._plot[-1][0])
        return min(due, default=None)

    def _advance(self, at_us: int) -> list[Event]:
        facts = self.world.advance(at_us)
        while self._plot and self._plot[-1][0] <= at_us:
            _, what, number = self._plot.pop()
            facts += self._happen(what, number)
        events = self._told(facts)
        while self._coming and self._coming[0][0] <= at_us:
            events.append(heapq.heappop(self._coming)[2])
        wakeup_us = self.scheduler.next_wakeup_us()
        if not events and (self._deaths or (wakeup_us is not None and wakeup_us <= at_us + self._offset_us)):
            events.append(TimePassed(at_us))
        return events

    def _happen(self, what: str, number: int) -> list[Event]:
        """A fault comes; the facts that follow from it."""
        if what == "lost":
            return self._lose(self.faults.losses[number])
        if what == "restarts":
            self._deaths.insert(0, self.faults.restarts[number].when)
        elif what == "clock":
            self._offset_us += self.faults.steps[number].by_us
            self.happened["clock"] += 1
        elif self._known:
            self._hold(self._known[int(self.faults.repeats[number].pick * len(self._known))], 0)
            self.happened["repeated"] += 1
        return []

    def _lose(self, loss: Loss) -> list[Event]:
        running = sorted(task_id for task_id, life in self.world.lives.items() if life.began_us is not None)
        if not running:
            return []
        chosen = running[int(loss.pick * len(running))]
        gone = [chosen]
        if loss.whole_bin:
            gone = [task_id for task_id in running if self._bins[task_id] == self._bins[chosen]]
        self.happened["lost"] += len(gone)
        facts = [self.world.lose(task_id) for task_id in gone]
        return [fact for fact in facts if fact is not None]

    def _told(self, facts: Sequence[Event]) -> list[Event]:
        """Those of the executor's facts that come at once; the others come later."""
        events: list[Event] = []
        for fact in facts:
            if isinstance(fact, CapacityChanged):
                self._capacity = fact
                events.append(fact)
                continue
            delay_us = self.faults.delay_us(self._facts)
            self._facts += 1
            self._known.append(fact)
            if delay_us:
                self.happened["late"] += 1
                self._hold(fact, delay_us)
            else:
                events.append(fact)
            if isinstance(fact, AttemptFailed) and fact.failure is Failure.LOST:
                zombie = AttemptSucceeded(fact.at_us, fact.task_id, fact.attempt)
                self._hold(zombie, delay_us + ZOMBIE_US)
        return events

    def _hold(self, event: Event, delay_us: int) -> None:
        self._held += 1
        heapq.heappush(self._coming, (self.world.now_us + delay_us, self._held, event))

    def _turn(self, events: list[Event]) -> list[Event]:
        """Decide, commit, obey; the facts that follow at once, and those that are repeated to a new scheduler."""
        death = self._deaths.pop() if self._deaths else None
        if death == "between_turns":
            events, death = self._rebuild() + events, None
        clock_us = self.world.now_us + self._offset_us
        heard = [event if event.at_us == clock_us else replace(event, at_us=clock_us) for event in events]
        for event in events:
            if isinstance(event, CapacityChanged):
                self._capacity = event
        decisions = self.scheduler.handle(heard)
        if death == "before_commit":
            return self._rebuild() + events
        self.ledger.commit(self._epoch, self.ledger.revision() + 1, self.scheduler.now_us, heard, decisions)
        self.told += len(heard)
        self.decided += len(decisions)
        if self.watch is not None:
            self.watch(heard, decisions, self.scheduler)
        repeated = [event for event in events if isinstance(event, _OF_EXECUTORS)]
        if death == "before_obeying":
            return self._rebuild() + repeated
        facts = self._told(self._obey(decisions))
        if death == "before_acknowledging":
            return self._rebuild() + repeated + facts
        return facts

    def _obey(self, decisions: Sequence[Decision]) -> list[Event]:
        facts = []
        for decision in decisions:
            if isinstance(decision, StartAttempt):
                self._start(decision)
            elif isinstance(decision, StopAttempt):
                facts.append(self.world.stop(decision))
        return [fact for fact in facts if fact is not None]

    def _start(self, order: StartAttempt) -> None:
        self.world.start(order.task_id, order.attempt, order.mode)
        self._bins[order.task_id] = order.bin_id
        self.happened["hung"] += order.attempt in self.faults.hangs.get(order.task_id, ())

    def _rebuild(self) -> list[Event]:
        """A new scheduler from the rows; what it is told first."""
        self.happened["restarts"] += 1
        now_us = self.world.now_us
        self._epoch = self.ledger.acquire("simulation, started again", now_us)
        snapshot = self.ledger.load()
        self.scheduler = Scheduler.restore(snapshot, self.seed, self.policy)
        events: list[Event] = [] if self._capacity is None else [replace(self._capacity, at_us=now_us)]
        last = {row.task_id: row.attempts for row in snapshot.tasks}
        facts = []
        for row in snapshot.attempts:
            if row.attempt == last[row.task_id] and row.state in _OPEN:
                facts += self._ask_again(row)
        return events + self._told(facts)

    def _ask_again(self, row: AttemptRow) -> list[Event]:
        """Send again what the executor never got of an attempt that the rows call open; the facts that follow."""
        life = self.world.lives.get(row.task_id)
        if life is None or life.attempts < row.attempt:
            self._start(
                StartAttempt(
                    row.ordered_us, row.task_id, row.attempt, row.bin_id, row.devices, row.mode, SENT_AGAIN
                )
            )
        if row.stop_cause is None:
            return []
        fact = self.world.stop(
            StopAttempt(row.ordered_us, row.task_id, row.attempt, row.stop_cause, SENT_AGAIN)
        )
        return [] if fact is None else [fact]
