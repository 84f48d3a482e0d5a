"""The turn in virtual time: the scheduler and a world, driven until an instant or until nothing can come any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus.forecast.world import World
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt, StopAttempt
from prometheus.scheduler.events import Event, TimePassed


@dataclass(frozen=True, slots=True)
class Told:
    """How much was said on the way."""

    events: int
    decisions: int


def run_ahead(scheduler: Scheduler, world: World, first: Sequence[Event], until_us: int) -> Told:
    """Drive the scheduler through the world from its present to `until_us`; `first` are the events of the first turn."""
    told = decided = 0
    events: Sequence[Event] = first
    while True:
        if events:
            decisions = scheduler.handle(events)
            told += len(events)
            decided += len(decisions)
            facts: list[Event] = []
            for decision in decisions:
                if type(decision) is StartAttempt:
                    world.start(decision.task_id, decision.attempt)
                elif type(decision) is StopAttempt:
                    fact = world.stop(decision)
                    if fact is not None:
                        facts.append(fact)
            events = facts
            continue
        due = [at_us for at_us in (world.next_us(), scheduler.next_wakeup_us()) if at_us is not None]
        if not due or min(due) > until_us:
            break
        at_us = max(min(due), world.now_us)
        events = world.advance(at_us) or [TimePassed(at_us)]
    world.now_us = until_us
    return Told(told, decided)
