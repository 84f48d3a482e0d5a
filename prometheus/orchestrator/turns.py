"""The turn: wait for facts, decide, commit, obey, acknowledge. Every driver does exactly this.

No turn begins before the last one's commit is settled. A commit that fails is tried again with the same revision; one
of unknown outcome is settled by reading the revision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from prometheus.core.instants import SECOND_US, parse_duration
from prometheus.executors.contract import Began, Checkpointed, Executor, Fact, Failed, Succeeded
from prometheus.ledger.contract import Ledger, LedgerUnavailableError
from prometheus.orchestrator.clock import Clock, monotonic_us, pause
from prometheus.orchestrator.launching import Launcher
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, SetTask, StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    FAILURE_OF,
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    TimePassed,
)

Hearer = Callable[[Sequence[Event], Sequence[Decision]], None]

FIRST_PAUSE_US = SECOND_US // 10
LONGEST_PAUSE_US = 2 * SECOND_US


@dataclass(slots=True)
class Driver:
    """One leader: a scheduler, the ledger that it writes, and the executor that obeys it."""

    scheduler: Scheduler
    ledger: Ledger
    epoch: int
    revision: int  # of the last committed turn
    executor: Executor
    clock: Clock
    launcher: Launcher
    grace_us: int = parse_duration("10s")
    patience_us: int = 30 * SECOND_US  # how long a ledger may be away before the driver gives up
    note: Callable[[str], None] = field(default=lambda text: None)  # tells people what it waits for
    hearers: list[Hearer] = field(default_factory=list)  # told of each turn that is committed

    def turn(self, events: Sequence[Event], facts: Sequence[Fact] = ()) -> list[Decision]:
        """One turn over these events; `facts` are those among them that the executor waits to hear acknowledged."""
        for event in events:
            self.launcher.learn(event)
        decisions = self.scheduler.handle(events)
        if events or decisions:
            self._commit(events, decisions)
        self._obey(decisions)
        if facts:
            self.executor.acknowledge(facts)
        for heard in self.hearers:
            heard(events, decisions)
        return decisions

    def wait(self, at_most_us: int | None = None) -> list[Decision] | None:
        """Wait for what comes next and do its turn; None when nothing can come any more.

        After `at_most_us` it returns an empty list, so that the caller may show what it has not shown yet.
        """
        timeout_us = self._how_long()
        if timeout_us is None and not self.scheduler.in_flight:
            return None
        if at_most_us is not None:
            timeout_us = at_most_us if timeout_us is None else min(timeout_us, at_most_us)
        facts = self.executor.facts(timeout_us)
        now_us = self.clock.now_us()
        events = [event_of(fact, now_us) for fact in facts]
        wakeup_us = self.scheduler.next_wakeup_us()
        if not events:
            if wakeup_us is None or wakeup_us > now_us:
                return []
            events.append(TimePassed(now_us))
        return self.turn(events, facts)

    def _how_long(self) -> int | None:
        """Microseconds until the scheduler wants to be woken; None = it waits for facts only."""
        wakeup_us = self.scheduler.next_wakeup_us()
        if wakeup_us is None:
            return None
        if not self.scheduler.in_flight:
            self.clock.skip_to(wakeup_us)
        return max(0, wakeup_us - self.clock.now_us())

    def _commit(self, events: Sequence[Event], decisions: Sequence[Decision]) -> None:
        revision, pause_us, begun_us = self.revision + 1, FIRST_PAUSE_US, monotonic_us()
        while True:
            try:
                self.ledger.commit(self.epoch, revision, self.scheduler.now_us, events, decisions)
            except LedgerUnavailableError as error:
                if self._is_there(revision):
                    break
                if monotonic_us() - begun_us > self.patience_us:
                    raise
                self.note(f"waiting for the ledger, nothing is lost: {error.message}")
                pause(pause_us)
                pause_us = min(2 * pause_us, LONGEST_PAUSE_US)
            else:
                break
        if pause_us > FIRST_PAUSE_US:
            self.note("")
        self.revision = revision

    def _is_there(self, revision: int) -> bool:
        try:
            return self.ledger.revision() >= revision
        except LedgerUnavailableError:
            return False

    def _obey(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, SetTask):
                self.launcher.forget(decision)
            elif isinstance(decision, StartAttempt):
                self.executor.start(self.launcher.launch(decision))
            elif isinstance(decision, StopAttempt):
                failure = FAILURE_OF[decision.cause]
                self.executor.cancel(
                    decision.task_id, decision.attempt, failure, decision.reason, self.grace_us
                )


def event_of(fact: Fact, at_us: int) -> Event:
    """The event that tells the scheduler of an executor's fact, learnt at `at_us`."""
    match fact:
        case Began():
            return AttemptStarted(at_us, fact.task_id, fact.attempt)
        case Checkpointed():
            return AttemptCheckpointed(at_us, fact.task_id, fact.attempt, fact.state)
        case Succeeded():
            return AttemptSucceeded(
                at_us, fact.task_id, fact.attempt, fact.output, fact.cpu_us, fact.peak_mib
            )
        case Failed():
            return AttemptFailed(
                at_us,
                fact.task_id,
                fact.attempt,
                fact.failure,
                fact.message,
                fact.tail,
                fact.cpu_us,
                fact.peak_mib,
            )
        case _:
            assert_never(fact)
