"""The turn in virtual time: the scheduler and a world, driven until an instant or until nothing can come any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from prometheus.forecast.world import World
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import (
    Decision,
    JudgeSlo,
    RefuseStart,
    SetPressure,
    SetTask,
    StartAttempt,
    StopAttempt,
)
from prometheus.scheduler.events import Event, TimePassed
from prometheus.scheduler.states import DONE


@dataclass(slots=True)
class Told:
    """How much was said on the way, and what was done when."""

    events: int = 0
    decisions: int = 0
    done: dict[str, int] = field(default_factory=dict)  # task -> instant, if the world is followed
    finished: dict[str, int] = field(
        default_factory=dict
    )  # promise -> instant at which its last task was done
    pressures: list[SetPressure] = field(default_factory=list)  # what was said of forecast pressure


def run_ahead(
    scheduler: Scheduler,
    world: World,
    first: Sequence[Event],
    until_us: int,
    awaited: Collection[str] | None = None,
    watch: Callable[[Sequence[Decision]], None] | None = None,
) -> Told:
    """Drive the scheduler through the world from its present to `until_us`; `first` are the events of the first turn.

    With `awaited`, promises by id, it is enough when all of these are finished. `watch` is told the decisions of each turn.
    """
    told = Told()
    missing = None if awaited is None else set(awaited)
    events = list(first)
    while True:
        while events:
            decisions = scheduler.handle(events)
            if watch is not None:
                watch(decisions)
            told.events += len(events)
            told.decisions += len(decisions)
            events = _obey(decisions, world, told, missing)
        if missing is not None and not missing:
            break
        at_us = min(world.next_us(), scheduler.next_alarm_us())
        if scheduler.awaits_saves:
            at_us = min(at_us, world.next_aside_us())
        if at_us > until_us:
            break
        at_us = max(at_us, world.now_us)
        found = world.advance(at_us)
        if not found or found[-1].at_us < at_us:
            found.append(TimePassed(at_us))
        events = found
    world.now_us = until_us
    return told


def _obey(decisions: list[Decision], world: World, told: Told, missing: set[str] | None) -> list[Event]:
    """Do in the world what was ordered, and note what was said; the attempts that ended by it at once."""
    facts: list[Event] = []
    for decision in decisions:
        if type(decision) is RefuseStart:
            continue
        if type(decision) is SetTask:
            if world.is_followed and decision.state in DONE:
                told.done[decision.task_id] = decision.at_us
        elif type(decision) is StartAttempt:
            world.start(decision.task_id, decision.attempt, decision.mode)
        elif type(decision) is StopAttempt:
            fact = world.stop(decision)
            if fact is not None:
                facts.append(fact)
        elif type(decision) is JudgeSlo and decision.finished_us is not None:
            told.finished[decision.slo_id] = decision.finished_us
            if missing is not None:
                missing.discard(decision.slo_id)
        elif type(decision) is SetPressure:
            told.pressures.append(decision)
    return facts
