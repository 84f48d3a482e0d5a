"""The real scheduler, real turns: what is rebuilt from the rows stands exactly where the living one does."""

from __future__ import annotations

import tempfile
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.demand import Demand
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
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
    RunOpened,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.states import TaskState
from tests.ledger.records import LAPTOP

SECOND = 1_000_000


def a_run(data: st.DataObject, number: int, now_us: int) -> RunPlan:
    """A few tasks with random edges, tiers, demands, retries, timeouts, ladders and one promise."""
    run_id = f"r{number}.2016-06-24"
    count = data.draw(st.integers(0, 5))
    ids = [f"{run_id}.t{i}" for i in range(count)]
    tasks = tuple(
        TaskPlan(
            task_id,
            run_id,
            f"t{i}",
            data.draw(st.integers(1, 3)),
            Demand(data.draw(st.sampled_from([1_000, 5_000])), 100),
            after=tuple(data.draw(st.lists(st.sampled_from(ids[:i]), unique=True, max_size=2))) if i else (),
            release_us=now_us + data.draw(st.sampled_from([0, 40 * SECOND])),
            timeout_us=data.draw(st.sampled_from([None, 30 * SECOND])),
            retries=data.draw(st.integers(0, 2)),
            ladder=data.draw(st.sampled_from([(), ("reduced",), ("skip",)])),
        )
        for i, task_id in enumerate(ids)
    )
    slos = (SloPlan(f"{run_id}.slo", run_id, "all", tuple(ids), now_us + 100 * SECOND),) if ids else ()
    return RunPlan(run_id, f"r{number}", "US_EQ", date(2016, 6, 24), "0" * 64, now_us, tasks, slos)


class Night:
    """A scheduler, its ledger, and attempts whose fate is drawn."""

    def __init__(self, data: st.DataObject, ledger: Ledger) -> None:
        self.data, self.ledger = data, ledger
        self.epoch = ledger.acquire("tests", 1)
        self.scheduler = Scheduler(seed=7)
        self.now_us = 1_000 * SECOND
        self.runs = 0
        self.ordered: list[tuple[str, int]] = []  # attempts that have not ended
        self.stopping: set[tuple[str, int]] = set()
        self.past: list[Event] = []
        self.turn([CapacityChanged(self.now_us, LAPTOP)])

    def turn(self, events: list[Event]) -> None:
        decisions = self.scheduler.handle(events)
        self.ledger.commit(self.epoch, self.ledger.revision() + 1, self.scheduler.now_us, events, decisions)
        self.obey(decisions)

    def obey(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, StartAttempt):
                self.ordered.append((decision.task_id, decision.attempt))
            elif isinstance(decision, StopAttempt):
                self.stopping.add((decision.task_id, decision.attempt))

    def an_event(self) -> Event:
        draw = self.data.draw
        kind = draw(st.sampled_from(["run", "time", "attempt", "attempt", "attempt", "ask", "again"]))
        if kind == "run" and self.runs < 4:
            self.runs += 1
            return RunOpened(self.now_us, a_run(self.data, self.runs, self.now_us))
        if kind == "attempt" and self.ordered:
            return self.of_an_attempt(draw(st.sampled_from(self.ordered)))
        if kind == "ask" and self.ordered:
            task_id = draw(st.sampled_from(self.ordered))[0]
            return TaskAsked(self.now_us, task_id, draw(st.sampled_from(Verb)), "because", "ann")
        if kind == "again" and self.past:
            return draw(st.sampled_from(self.past))
        return TimePassed(self.now_us)

    def of_an_attempt(self, attempt: tuple[str, int]) -> Event:
        draw, now_us = self.data.draw, self.now_us
        task_id, number = attempt
        match draw(st.sampled_from(["started", "checkpointed", "succeeded", "failed"])):
            case "started":
                return AttemptStarted(now_us, task_id, number)
            case "checkpointed":
                return AttemptCheckpointed(now_us, task_id, number, '{"done":1}')
            case "succeeded":
                return AttemptSucceeded(now_us, task_id, number, "1")
            case _:
                causes = (
                    [Failure.CANCELLED, Failure.TIMEOUT]
                    if attempt in self.stopping
                    else [Failure.ERROR, Failure.TRY_AGAIN, Failure.LOST, Failure.CRASH]
                )
                return AttemptFailed(now_us, task_id, number, draw(st.sampled_from(causes)), "no")

    def check(self) -> None:
        restored = Scheduler.restore(self.ledger.load(), seed=7)
        assert standing(restored) == standing(self.scheduler)
        restored.check_invariants(is_thorough=True)


def standing(scheduler: Scheduler) -> dict[str, Any]:
    """Where a scheduler stands, but for timeouts of attempts that are being stopped: those ring unheard."""
    found = scheduler.fingerprint()
    stopping = {task_id for task_id, book in found["tasks"].items() if TaskState.STOPPING in book}
    found["alarms"] = {
        alarm: at_us
        for alarm, at_us in found["alarms"].items()
        if alarm[0] != "timeout" or alarm[1] not in stopping
    }
    return found


def live_through(data: st.DataObject, ledger: Ledger, turns: int) -> None:
    night = Night(data, ledger)
    for _ in range(turns):
        night.now_us += data.draw(st.sampled_from([0, SECOND, 12 * SECOND, 45 * SECOND]))
        events = [night.an_event() for _ in range(data.draw(st.integers(1, 3)))]
        night.turn(events)
        night.past += events
        night.check()
    assert ledger.check() == []


@given(st.data())
def test_a_scheduler_rebuilt_from_the_rows_stands_where_the_living_one_does(data: st.DataObject) -> None:
    live_through(data, MemoryLedger(), 15)


@settings(max_examples=settings().max_examples // 12)
@given(st.data())
def test_so_does_one_rebuilt_from_a_file(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
        live_through(data, ledger, 15)
        ledger.close()
