"""Of more unfinished Tier 1 tasks than a plan takes, those with the earliest latest starts are planned."""

from __future__ import annotations

from dataclasses import replace

from nights import machine, run_of, task

from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt
from prometheus.scheduler.events import (
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    RunOpened,
    TaskAsked,
    Verb,
)
from prometheus.scheduler.unfinished import PLANNED_AT_MOST, frame_of

MANY = PLANNED_AT_MOST + 1_000


def a_long_night() -> tuple[Scheduler, list[StartAttempt]]:
    """Pairs of tasks, each due a minute after the one before it; six run."""
    tasks = [
        task(f"t{n:05}", *([f"t{n - 1:05}"] if n % 2 else []), deadline_us=(1_000 + n) * MINUTE_US)
        for n in range(MANY)
    ]
    scheduler = Scheduler()
    orders = scheduler.handle([CapacityChanged(0, machine(6)), RunOpened(0, run_of(*tasks))])
    return scheduler, [one for one in orders if isinstance(one, StartAttempt)]


def end(scheduler: Scheduler, order: StartAttempt, at_us: int) -> list[StartAttempt]:
    scheduler.handle([AttemptStarted(at_us, order.task_id, order.attempt)])
    told = scheduler.handle([AttemptSucceeded(at_us + 1, order.task_id, order.attempt)])
    return [one for one in told if isinstance(one, StartAttempt)]


def test_the_most_urgent_are_planned() -> None:
    scheduler, _ = a_long_night()
    books = scheduler._books
    urgent = sorted(books.critical, key=lambda i: (books.critical[i].latest_start_us, i))
    assert list(frame_of(books).task_ids) == urgent[:PLANNED_AT_MOST]


def test_a_frame_that_goes_on_from_the_last_is_the_one_laid_out_from_nothing() -> None:
    scheduler, running = a_long_night()
    books = scheduler._books
    frame_of(books)
    for number in range(40):
        running += end(scheduler, running.pop(0), 10 * number + 1)
        if number == 20:  # out of turn
            last = max(books.critical)
            scheduler.handle([TaskAsked(10 * number + 5, last, Verb.CANCEL, "no use", "ann")])
        gone_on = frame_of(books)
        books.reservation.frame = None
        anew = frame_of(books)
        labels = {(a, b) for a, b in zip(gone_on.part, anew.part, strict=True)}
        assert len(labels) == len(set(gone_on.part)) == len(set(anew.part)), "parts are the same"
        assert replace(gone_on, part=anew.part, parts=anew.parts) == anew
        books.reservation.frame = gone_on
