"""The decision core: facts go in, orders and verdicts come out.

One machine behind one door. It has no clock, does no I/O and draws no random numbers: `now` is the latest instant in
the facts it was given, and a seed makes the jitter. Every driver (live, replay, simulation, what-if) feeds this same
class. A turn is: apply the facts, ring the alarms that are due, settle what follows, start what fits, close what
ended. Invariants are asserted after each turn, in production too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from prometheus.core.instants import from_us
from prometheus.scheduler import announced, forking, opening, pressing, verbs, windows
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.dispatching import dispatch
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    ForecastMade,
    RunOpened,
    TaskAsked,
    TimePassed,
)
from prometheus.scheduler.moving import close_runs, move, reconsider, settle
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.policies import RESERVING, Policy
from prometheus.scheduler.promises import hear, judge
from prometheus.scheduler.rules import (
    NEVER_US,
    can_be_in_time,
    counts_against_retries,
    describe_timeout,
    how_long_to_back_off,
    keeps_its_age,
    what_after_failure,
)
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import (
    BACKING_OFF,
    ENDED,
    HOLDING_ROOM,
    RUNNING,
    STARTING,
    SUCCEEDED,
    RunState,
    SloState,
    StopCause,
    TaskState,
)

# Turns between audits of all attempts that hold room: so many at least, and so many times as many as there are attempts.
AUDITED_EVERY = 32
AUDITED_EACH = 4

IS_COMPILED = not __file__.endswith(".py")  # docs/compiled.md


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an unfinished task stands, for whoever looks ahead."""

    plan: TaskPlan
    state: TaskState
    attempt: int  # number of the last one
    began_us: int | None  # when the present attempt began
    saved_us: int | None  # instant of its last checkpoint
    stop_cause: StopCause | None  # why it was told to stop, if it was
    kept_us: int = 0  # work that earlier attempts saved


class Scheduler:
    """Decides. `seed` only spreads the retries of equal jobs."""

    def __init__(self, seed: int = 0, policy: Policy = RESERVING) -> None:
        self._books = Books(seed=seed, policy=policy)
        self._unaudited = AUDITED_EVERY  # turns until all room is audited

    @classmethod
    def restore(cls, snapshot: Snapshot, seed: int = 0, policy: Policy = RESERVING) -> Scheduler:
        """A scheduler that stands where the rows say; nothing that was decided is decided again."""
        scheduler = cls(seed, policy)
        opening.restore(scheduler._books, snapshot)
        return scheduler

    def fork(self, policy: Policy | None = None) -> Scheduler:
        """A second scheduler that stands here, for what-if: neither feels what the other is told.

        `policy` gives it other thresholds; its order of the ready and what it reserves must be the same.
        """
        chosen = self._books.policy if policy is None else policy
        own = self._books.policy
        assert (chosen.order, chosen.has_tiers) == (own.order, own.has_tiers), "a fork orders alike"
        assert (chosen.reserves, chosen.preempts) == (own.reserves, own.preempts), "a fork promises alike"
        assert chosen.windows >= len(self._books.reservation.windows), "a fork keeps the windows"
        twin = Scheduler(self._books.seed, chosen)
        twin._books = forking.fork(self._books, chosen)
        return twin

    def handle(self, events: Sequence[Event]) -> list[Decision]:
        """One turn. Facts that are stale or repeated change nothing."""
        books = self._books
        books.decisions = []
        only_began = True
        facts = events if isinstance(events, list) else list(events)  # which takes half of the time
        for event in facts:
            at_us: int = event.at_us
            if at_us > books.now_us:
                books.now_us = at_us
            if type(event) is AttemptStarted:  # the commonest, and `_apply` costs as much again
                self._attempt_started(event)
            else:
                only_began = False
                self._apply(event)
        is_due = books.alarms.next_us() <= books.now_us
        if not is_due and only_began and books.answered_us == books.now_us:
            self.check_invariants()  # attempts that were ordered at this very instant began: all has been said
            return books.decisions
        if is_due:
            self._ring()
        if books.unsettled:
            settle(books)
        if books.heard is not None or books.pressure is not None:
            pressing.weigh(books)
        dispatch(books)
        while books.unsettled:  # something was skipped, and what follows it may start
            settle(books)
            dispatch(books)
        if books.ended_runs:
            close_runs(books)
        self.check_invariants()
        return books.decisions

    def standings(self) -> list[Standing]:
        """The tasks that have not ended, in the order in which they came."""
        return [
            Standing(
                book.plan,
                book.state,
                book.attempts,
                book.attempt_started_us,
                book.saved_us,
                book.stop_cause,
                book.kept_us,
            )
            for book in self._books.tasks.values()
            if book.state not in ENDED
        ]

    def open_slos(self) -> list[SloPlan]:
        """The promises of which tasks are still open and which are not yet broken."""
        slos = self._books.slos.values()
        return [
            slo.plan
            for slo in slos
            if slo.open and slo.finished_us is None and slo.state is not SloState.MISSED
        ]

    def first_in_queue(self, task_id: str) -> str | None:
        """Who is looked at before a ready task, in the queue of its shape; None if it is the first, or not ready."""
        book = self._books.tasks[task_id]
        head = self._books.queues[book.queue].head()
        if book.state is not TaskState.READY or head is None or head[4] is book:
            return None
        first: TaskBook = head[4]
        return first.plan.task_id

    def next_wakeup_us(self) -> int | None:
        """The instant at which something is due without any further fact; None if nothing is."""
        at_us = self.next_alarm_us()
        return None if at_us >= NEVER_US else at_us

    def next_alarm_us(self) -> int:
        """The same; NEVER_US if nothing is."""
        return self._books.alarms.next_us()

    @property
    def policy(self) -> Policy:
        """The thresholds that it decides by."""
        return self._books.policy

    @property
    def now_us(self) -> int:
        """Instant of the latest fact."""
        return self._books.now_us

    def _apply(self, event: Event) -> None:
        match event:
            case AttemptStarted():
                self._attempt_started(event)
            case AttemptSucceeded():
                self._attempt_succeeded(event)
            case TimePassed():
                pass
            case AttemptCheckpointed():
                book = self._current(event.task_id, event.attempt)
                if book is not None:
                    book.saved_us = self._books.now_us
            case AttemptFailed():
                self._attempt_failed(event)
            case ForecastMade():
                hear(self._books, event)
            case RunOpened():
                opening.open_run(self._books, event.run)
            case CapacityChanged():
                announced.take(self._books, event.capacity, event.coming)
            case TaskAsked():
                verbs.ask(self._books, event)
            case _:
                assert_never(event)

    def _current(self, task_id: str, attempt: int) -> TaskBook | None:
        """The task if this is its attempt that holds room now; None for a stale fact."""
        book = self._books.tasks.get(task_id)
        return None if book is None or book.attempts != attempt or book.place is None else book

    def _attempt_started(self, event: AttemptStarted) -> None:
        book = self._current(event.task_id, event.attempt)
        if book is None or book.attempt_started_us is not None:
            return
        book.attempt_started_us = self._books.now_us
        if book.state is STARTING:
            move(self._books, book, RUNNING, "")
            if book.plan.timeout_us is not None:
                self._books.alarms.set("timeout", event.task_id, self._books.now_us + book.plan.timeout_us)

    def _attempt_succeeded(self, event: AttemptSucceeded) -> None:
        book = self._current(event.task_id, event.attempt)
        if book is None:
            return
        if book.mode != "full":
            move(self._books, book, TaskState.DEGRADED, f"done in mode {book.mode!r}")
        elif book.is_tainted:
            move(self._books, book, TaskState.DEGRADED, "done, on degraded or skipped input")
        else:
            move(self._books, book, SUCCEEDED, "done")

    def _attempt_failed(self, event: AttemptFailed) -> None:
        book = self._current(event.task_id, event.attempt)
        if book is None:
            return
        books, plan = self._books, book.plan
        book.failures += counts_against_retries(event.failure)
        book.last_failure = event.failure
        book.lost += event.failure is Failure.LOST
        book.preempted += event.failure is Failure.PREEMPTED
        if not keeps_its_age(event.failure, book.saved_us):
            book.ready_us = -1
        if event.failure is Failure.CANCELLED or book.stop_cause is StopCause.CANCELLED:
            move(books, book, TaskState.CANCELLED, book.stop_reason or event.message)
            return
        mode, why = what_after_failure(plan, event.failure, book.failures, book.lost)
        said = f"attempt {event.attempt}: {event.message}"
        if mode is None:
            move(books, book, TaskState.FAILED, f"{said}; {why}")
        elif mode == "skip":
            move(books, book, TaskState.SKIPPED, f"{said}; {why}")
        else:
            slack_us = book.latest_start_us - books.now_us
            wait_us = how_long_to_back_off(plan, event.failure, book.failures, slack_us, books.seed)
            if plan.tier == 1 and not can_be_in_time(plan, slack_us):
                due_us = book.latest_start_us + plan.cautious_us
                why += f"; even at once it would end after it is due, {from_us(due_us):%Y-%m-%d %H:%M} UTC"
            move(books, book, TaskState.BACKING_OFF, f"{said}; {why}", books.now_us + wait_us)

    def _ring(self) -> None:
        """Work off the alarms that are due."""
        books = self._books
        while (due := books.alarms.pop_due(books.now_us)) is not None:
            kind, key = due
            if kind == "slo":
                judge(books, books.slos[key])
                continue
            if kind in opening.LOOKING_AGAIN:
                continue
            if kind == announced.ALARM:
                announced.switch(books)
                continue
            book = books.tasks[key]
            if kind == "timeout":
                reason = describe_timeout(book.plan)
                self._stop(book, StopCause.TIMEOUT, reason)
            elif book.state is BACKING_OFF:
                move(books, book, TaskState.READY, "the wait before its retry is over")
                books.unsettled.append(book)  # what is before it may have been taken up again
            else:
                reconsider(books, book)

    def _stop(self, book: TaskBook, cause: StopCause, reason: str) -> None:
        if book.state in (STARTING, RUNNING):
            verbs.stop(self._books, book, cause, reason)

    def check_invariants(self, is_thorough: bool = False) -> None:
        """Assert that the books agree with each other; `is_thorough` looks at every task."""
        books = self._books
        if books.moved:
            for book in books.moved:
                _assert_room(books, book)
            books.moved.clear()
        self._unaudited -= 1
        if is_thorough or self._unaudited <= 0:
            holders = books.room.holders
            self._unaudited = max(AUDITED_EVERY, AUDITED_EACH * len(holders))
            for task_id in holders:
                _assert_room(books, books.tasks[task_id])
            books.room.audit()
        if is_thorough:
            opening.check_counts(books)

    def windows_begun(self) -> list[str]:
        """The tasks that could start by plan and promises, and have waited so long that room is made for them."""
        return [book.plan.task_id for book in windows.due(self._books)]

    @property
    def awaits_saves(self) -> bool:
        """Whether the next checkpoint of some attempt is what a decision waits for."""
        return self._books.awaits_saves

    @property
    def in_flight(self) -> int:
        """Number of attempts that hold room: ordered, running or told to stop."""
        return len(self._books.room.holders)

    def run_state(self, run_id: str) -> RunState:
        """Where a known run stands."""
        return self._books.runs[run_id].state

    def task_state(self, task_id: str) -> TaskState:
        """Where a known task stands."""
        return self._books.tasks[task_id].state

    def fingerprint(self) -> dict[str, Any]:
        """Everything that future decisions depend on, as plain values: equal fingerprints decide alike."""
        return opening.fingerprint(self._books)

    def usage(self) -> dict[str, tuple[int, int]]:
        """(used, size) of each resource."""
        return self._books.room.usage()


def _assert_room(books: Books, book: TaskBook) -> None:
    """Assert that a task holds room exactly where its state says that it holds any."""
    task_id, place = book.plan.task_id, book.place
    assert (book.state in HOLDING_ROOM) is (place is not None), f"{task_id} is {book.state} at {place}"
    books.room.audit_one(task_id, book.plan.demand, place)
