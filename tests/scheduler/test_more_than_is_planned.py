"""Of more unfinished Tier 1 tasks than a plan takes, those with the earliest latest starts are planned."""

from __future__ import annotations

from nights import machine, run_of, task, tid

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
from prometheus.scheduler.reserving import plan
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


def test_a_frame_that_goes_on_is_planned_like_one_that_is_laid_out_from_nothing() -> None:
    scheduler, running = a_long_night()
    books = scheduler._books
    plan(books)
    for number in range(6):
        running += end(scheduler, running.pop(0), 10 * number + 1)
        if number == 3:  # out of turn
            last = max(books.critical)
            scheduler.handle([TaskAsked(10 * number + 5, last, Verb.CANCEL, "no use", "ann")])
        assert_planned_as_from_nothing(scheduler)


def test_a_task_that_comes_into_the_frame_after_what_follows_it_hurries_nobody_wrongly() -> None:
    """Without deadlines the order is that of ids, and what follows may have the smaller one."""
    tasks = [task(f"t{n:05}", deadline_us=(1_000 + n) * MINUTE_US) for n in range(PLANNED_AT_MOST - 1)]
    tasks += [task("x1", "x2"), task("x2"), task("x3")]
    scheduler = Scheduler()
    orders = scheduler.handle([CapacityChanged(0, machine(6)), RunOpened(0, run_of(*tasks))])
    books = scheduler._books
    plan(books)
    frame = books.reservation.frame
    assert frame is not None
    assert frame.outside[-1] == [tid("x2")]
    running = [one for one in orders if isinstance(one, StartAttempt)]
    for number in range(3):
        running += end(scheduler, running.pop(0), 10 * number + 1)
        assert_planned_as_from_nothing(scheduler)
    frame = books.reservation.frame
    assert frame is not None
    assert frame.before[frame.task_ids.index(tid("x1"))] == [frame.task_ids.index(tid("x2"))]


def assert_planned_as_from_nothing(scheduler: Scheduler) -> None:
    books = scheduler._books
    books.reservation.is_stale = True
    plan(books)
    twin = scheduler.fork()._books
    twin.reservation.is_stale, twin.reservation.frame = True, None
    plan(twin)
    assert books.reservation.planned == twin.reservation.planned
