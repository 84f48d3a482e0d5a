"""Runs that wait for each other's tasks in a circle: the closing run is told so at once, and nothing hangs."""

from __future__ import annotations

from itertools import permutations

import pytest
from nights import machine, run_of, task, tid

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import CloseRun, Decision, SetTask, StartAttempt
from prometheus.scheduler.events import AttemptSucceeded, CapacityChanged, Event, RunOpened, TaskAsked, Verb
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import RunState, TaskState

ONE, TWO, THREE = "one.2026-03-02", "two.2026-03-02", "three.2026-03-02"


class Desk:
    """A scheduler and its ledger; after every turn the books are audited and a rebuilt one must equal it."""

    def __init__(self) -> None:
        self.core, self.ledger = Scheduler(), MemoryLedger()
        self.epoch = self.ledger.acquire("test", 0)
        self.feed(CapacityChanged(0, machine()))

    def feed(self, *events: Event) -> list[Decision]:
        decisions = self.core.handle(events)
        self.ledger.commit(self.epoch, self.ledger.revision() + 1, self.core.now_us, events, decisions)
        self.core.check_invariants(is_thorough=True)
        assert Scheduler.restore(self.ledger.load()).fingerprint() == self.core.fingerprint()
        return decisions

    def open(self, *runs: RunPlan) -> list[Decision]:
        return self.feed(*[RunOpened(0, run) for run in runs])

    def ask(self, verb: Verb, task_id: str) -> list[Decision]:
        return self.feed(TaskAsked(0, task_id, verb, "why not", "ann"))


def said(decisions: list[Decision]) -> dict[str, tuple[TaskState, str]]:
    return {d.task_id: (d.state, d.reason) for d in decisions if isinstance(d, SetTask)}


def started(decisions: list[Decision]) -> list[str]:
    return [d.task_id for d in decisions if isinstance(d, StartAttempt)]


def circle() -> tuple[RunPlan, RunPlan, RunPlan]:
    a = task("a", tid("c", THREE), run=ONE)
    b = task("b", tid("a", ONE), run=TWO)
    c = task("c", tid("b", TWO), run=THREE)
    return (
        run_of(a, task("free", run=ONE), run=ONE),
        run_of(b, task("behind", "b", run=TWO, deadline_us=HOUR_US), run=TWO),
        run_of(c, run=THREE),
    )


def test_the_run_that_closes_a_circle_is_told_the_names_on_it_and_the_others_go_on() -> None:
    desk = Desk()
    one, two, three = circle()
    assert started(desk.open(one, two)) == [tid("free", ONE)]
    decisions = desk.open(three)
    told = said(decisions)
    state, reason = told[tid("c", THREE)]
    assert state is TaskState.BLOCKED
    names = [tid("a", ONE), tid("b", TWO), tid("c", THREE)]
    assert any(f"in a circle: {' -> '.join((*p, p[0]))};" in reason for p in permutations(names))
    assert told[tid("a", ONE)] == (TaskState.BLOCKED, f"{tid('c', THREE)} is blocked")
    assert told[tid("behind", TWO)] == (TaskState.BLOCKED, f"{tid('b', TWO)} is blocked")
    closed = {d.run_id: d.state for d in decisions if isinstance(d, CloseRun)}
    assert closed == {TWO: RunState.FAILED, THREE: RunState.FAILED}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_the_runs_are_opened(order: tuple[int, ...]) -> None:
    desk, runs = Desk(), circle()
    for place in order:
        decisions = desk.open(runs[place])
    assert sum("in a circle" in reason for _, reason in said(decisions).values()) == 1
    for run_id, job in ((ONE, "a"), (TWO, "b"), (THREE, "c")):
        assert desk.core.task_state(tid(job, run_id)) is TaskState.BLOCKED


def test_one_that_is_skipped_or_marked_done_opens_the_circle() -> None:
    desk = Desk()
    desk.open(*circle())
    decisions = desk.ask(Verb.MARK_DONE, tid("c", THREE))
    assert started(decisions) == [tid("a", ONE)]
    assert started(desk.feed(AttemptSucceeded(1, tid("a", ONE), 1))) == [tid("b", TWO)]


def test_one_that_was_cancelled_and_is_retried_is_told_of_the_circle_too() -> None:
    desk = Desk()
    one, two, three = circle()
    desk.open(one, two)
    desk.ask(Verb.CANCEL, tid("a", ONE))
    desk.open(three)
    state, reason = said(desk.ask(Verb.RETRY, tid("a", ONE)))[tid("a", ONE)]
    assert state is TaskState.BLOCKED
    assert "in a circle" in reason


def test_a_circle_within_one_run_does_not_hang_the_core_either() -> None:
    desk = Desk()
    a, b, c = task("a", "b"), task("b", "a"), task("c")
    decisions = desk.open(run_of(a, b, c))
    assert {said(decisions)[tid(job)][0] for job in "ab"} == {TaskState.BLOCKED}
    assert any("in a circle" in reason for _, reason in said(decisions).values())
    assert started(decisions) == [tid("c")]
    himself = task("x", tid("x", ONE), run=ONE)
    assert "in a circle" in said(desk.open(run_of(himself, run=ONE)))[tid("x", ONE)][1]


def test_after_a_circle_other_runs_still_inherit_their_deadlines() -> None:
    desk = Desk()
    desk.open(*circle())
    up = task("up", run="four.2026-03-02")
    desk.open(run_of(up, run="four.2026-03-02"))
    down = task("down", up.task_id, run="five.2026-03-02", deadline_us=HOUR_US, cautious_us=MINUTE_US)
    desk.open(run_of(down, run="five.2026-03-02"))
    latest_start_us = desk.core.fingerprint()["tasks"][up.task_id][6]
    assert latest_start_us == HOUR_US - MINUTE_US - up.cautious_us


def test_a_deadline_is_inherited_through_another_run_and_back_whatever_was_opened_first() -> None:
    """two.u -> one.d -> two.w, and two.u -> two.v: the way through the other run must not hide the deadline of v."""
    found = set()
    for order in permutations(range(2)):
        desk = Desk()
        d = task("d", tid("u", TWO), run=ONE)
        u, w = task("u", run=TWO), task("w", tid("d", ONE), run=TWO, deadline_us=9 * HOUR_US)
        v = task("v", "u", run=TWO, deadline_us=HOUR_US, cautious_us=MINUTE_US)
        runs = (run_of(d, run=ONE), run_of(u, v, w, run=TWO))
        for place in order:
            desk.open(runs[place])
        found.add(desk.core.fingerprint()["tasks"][u.task_id][6])
    assert found == {HOUR_US - MINUTE_US - u.cautious_us}
