"""A chain of a hundred thousand, and a circle of many over two runs: opened, checked, rebuilt, forked, explained, drawn.

Nothing recurses and nothing is quadratic; the bounds are processor time, many times what it takes.
"""

from __future__ import annotations

import time
from sys import getrecursionlimit

from nights import RUN, machine, run_of, task, tid

from prometheus.core.time import TradingCalendar
from prometheus.ledger.memory import MemoryLedger
from prometheus.monitoring.night import scene_of_run
from prometheus.monitoring.picture import draw
from prometheus.orchestrator.blocking import explain
from prometheus.orchestrator.views import Night
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, SetTask
from prometheus.scheduler.events import (
    AttemptFailed,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
    TaskAsked,
    Verb,
)
from prometheus.scheduler.reserving import plan as plan_anew
from prometheus.scheduler.states import TaskState

LONG = 100_000
AROUND = 20_000
SECONDS = 120  # of processor time for one of these


class Kept:
    """A scheduler and its ledger."""

    def __init__(self) -> None:
        self.core, self.ledger = Scheduler(), MemoryLedger()
        self.epoch = self.ledger.acquire("test", 0)
        self.feed(CapacityChanged(0, machine()))

    def feed(self, *events: Event) -> list[Decision]:
        decisions = self.core.handle(events)
        self.ledger.commit(self.epoch, self.ledger.revision() + 1, self.core.now_us, events, decisions)
        return decisions


def states(decisions: list[Decision]) -> list[TaskState]:
    return [d.state for d in decisions if isinstance(d, SetTask)]


def test_a_chain_of_a_hundred_thousand_is_opened_checked_rebuilt_forked_and_explained() -> None:
    begun, kept = time.process_time(), Kept()
    chain = [
        task(f"t{n}", *([f"t{n - 1}"] if n else []), deadline_us=10**12 if n == LONG - 1 else None)
        for n in range(LONG)
    ]
    kept.feed(RunOpened(0, run_of(*chain)))
    kept.core.check_invariants(is_thorough=True)
    rebuilt = Scheduler.restore(kept.ledger.load())
    assert rebuilt.fingerprint() == kept.core.fingerprint()
    twin = kept.core.fork()
    plan_anew(twin._books)
    first = tid("t0")
    assert len(states(kept.feed(AttemptFailed(5, first, 1, Failure.REFUSED, "no")))) == LONG
    assert len(states(kept.feed(TaskAsked(6, first, Verb.RETRY, "try", "ann")))) == LONG
    kept.core.check_invariants(is_thorough=True)
    run = kept.ledger.run(RUN)
    assert run is not None
    night = Night(run, tuple(kept.ledger.tasks(RUN)), (), "memory", "ann")
    last = explain(night, night.tasks[-1], (), 10)
    assert any(cause.task_id == first for cause in last.causes)
    assert last.eta_us is not None
    assert last.eta_us >= (LONG - 2) * chain[0].typical_us
    assert time.process_time() - begun < SECONDS


def test_a_circle_of_thousands_over_two_runs_is_named_and_opened() -> None:
    begun, kept = time.process_time(), Kept()
    one, two = "one.2026-03-02", "two.2026-03-02"
    half = AROUND // 2
    ones = [task(f"t{n}", f"t{n - 1}" if n else tid(f"t{half - 1}", two), run=one) for n in range(half)]
    twos = [task(f"t{n}", f"t{n - 1}" if n else tid(f"t{half - 1}", one), run=two) for n in range(half)]
    kept.feed(RunOpened(0, run_of(*ones, run=one)))
    decisions = kept.feed(RunOpened(0, run_of(*twos, run=two)))
    assert states(decisions) == [TaskState.BLOCKED] * AROUND
    assert len([d for d in decisions if isinstance(d, SetTask) and "(19,989 more)" in d.reason]) == 1
    kept.core.check_invariants(is_thorough=True)
    assert Scheduler.restore(kept.ledger.load()).fingerprint() == kept.core.fingerprint()
    freed = states(kept.feed(TaskAsked(1, tid("t7", two), Verb.SKIP, "open it", "ann")))
    assert freed.count(TaskState.WAITING) == AROUND - 1
    assert freed.count(TaskState.READY) == 1
    assert time.process_time() - begun < SECONDS


def test_the_picture_of_a_chain_that_is_deeper_than_any_stack_is_drawn() -> None:
    kept = Kept()
    chain = [task(f"t{n}", *([f"t{n - 1}"] if n else [])) for n in range(2 * getrecursionlimit())]
    kept.feed(RunOpened(0, run_of(*chain)))
    run = kept.ledger.run(RUN)
    assert run is not None
    scene = scene_of_run(run, kept.ledger.tasks(RUN), [], [], TradingCalendar("US_EQ"), 10)
    assert "<svg" in draw(scene)
