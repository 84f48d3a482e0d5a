"""A scheduler rebuilt from rows knows, and says, what the one that went on does."""

from __future__ import annotations

from nights import machine, run_of, task, tid

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, RefuseStart, StartAttempt
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
from prometheus.scheduler.plan import TaskPlan


class Desk:
    """A scheduler and its ledger."""

    def __init__(self, *tasks: TaskPlan, cpu: float = 2) -> None:
        self.core, self.ledger = Scheduler(), MemoryLedger()
        self.epoch = self.ledger.acquire("test", 0)
        self.feed(CapacityChanged(0, machine(cpu)), RunOpened(0, run_of(*tasks)))

    def feed(self, *events: Event) -> list[Decision]:
        decisions = self.core.handle(events)
        self.ledger.commit(self.epoch, self.ledger.revision() + 1, self.core.now_us, events, decisions)
        return decisions

    def both(self) -> tuple[Scheduler, Scheduler]:
        """The one that goes on, and one that is rebuilt here."""
        rebuilt = Scheduler.restore(self.ledger.load())
        assert rebuilt.fingerprint() == self.core.fingerprint()
        return self.core, rebuilt


def kept(scheduler: Scheduler) -> dict[str, int]:
    return {one.plan.job: one.kept_us for one in scheduler.standings()}


def half_done(attempt: int, at_us: int) -> list[Event]:
    """An attempt that saves what it did in half an hour, and dies ten minutes later."""
    return [
        AttemptStarted(at_us, tid("risk"), attempt),
        AttemptCheckpointed(at_us + 30 * MINUTE_US, tid("risk"), attempt, "[1]"),
        AttemptFailed(at_us + 40 * MINUTE_US, tid("risk"), attempt, Failure.ERROR, "no"),
    ]


RISK = task("risk", tier=2, ladder=("reduced",), backoff_us=0, checkpoint_every_us=MINUTE_US)


def test_a_retry_goes_on_from_what_was_saved_and_a_repair_begins_anew() -> None:
    desk = Desk(RISK)
    for fact in half_done(1, 0):
        desk.feed(fact)
    for scheduler in desk.both():
        assert kept(scheduler) == {"risk": 30 * MINUTE_US}
    desk.feed(AttemptSucceeded(HOUR_US, tid("risk"), 2))  # in its reduced mode
    decisions = desk.feed(TaskAsked(2 * HOUR_US, tid("risk"), Verb.RETRY, "in full", "ann"))
    assert [d.mode for d in decisions if isinstance(d, StartAttempt)] == ["full"]
    for scheduler in desk.both():
        assert kept(scheduler) == {"risk": 0}
    for fact in half_done(3, 2 * HOUR_US):
        desk.feed(fact)
    for scheduler in desk.both():
        assert kept(scheduler) == {"risk": 30 * MINUTE_US}, "what the repair itself has saved is kept"


def test_a_repair_of_what_its_ladder_skipped_begins_anew_too() -> None:
    desk = Desk(task("risk", tier=2, ladder=("skip",), checkpoint_every_us=MINUTE_US))
    for fact in half_done(1, 0):
        desk.feed(fact)
    desk.feed(TaskAsked(HOUR_US, tid("risk"), Verb.RETRY, "in full", "ann"))
    for scheduler in desk.both():
        assert kept(scheduler) == {"risk": 0}


def test_a_retry_of_what_was_cancelled_keeps_what_was_saved() -> None:
    desk = Desk(RISK)
    started, saved, _ = half_done(1, 0)
    desk.feed(started)
    desk.feed(saved)
    desk.feed(AttemptFailed(40 * MINUTE_US, tid("risk"), 1, Failure.CANCELLED, "stopped"))
    desk.feed(TaskAsked(HOUR_US, tid("risk"), Verb.RETRY, "after all", "ann"))
    for scheduler in desk.both():
        assert kept(scheduler) == {"risk": 30 * MINUTE_US}


def test_who_holds_the_room_is_named_oldest_first_after_a_restart_too() -> None:
    """In the plan `early` comes last; it has begun first, and of those of one turn the most urgent."""
    desk = Desk(
        task("late", release_us=HOUR_US),
        task("later", release_us=HOUR_US, deadline_us=30 * HOUR_US, cautious_us=0),
        task("latest", release_us=HOUR_US, deadline_us=20 * HOUR_US, cautious_us=0),
        task("early"),
        cpu=4,
    )
    desk.feed(TimePassed(HOUR_US))
    other = "other.2026-03-02"
    opened = RunOpened(2 * HOUR_US, run_of(task("wide", run=other, cpu=3), run=other))
    holders = ", ".join(tid(job) for job in ("early", "latest", "later"))
    for scheduler in desk.both():
        (refused,) = [d for d in scheduler.handle([opened]) if isinstance(d, RefuseStart)]
        assert refused.reason == f"needs 3 cores: 0 cores free; in use by {holders} and 1 more"
