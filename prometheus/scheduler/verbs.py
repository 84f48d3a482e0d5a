"""What an operator may ask of a task, and what becomes of it.

A verb that makes no sense in the task's state changes nothing; faces ask `what_forbids` first and show its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.circles import circle_through
from prometheus.scheduler.decisions import StopAttempt
from prometheus.scheduler.events import TaskAsked, Verb
from prometheus.scheduler.moving import move, reconsider
from prometheus.scheduler.states import DONE, HOLDING_ROOM, NEXT, StopCause, TaskState

_ALLOWED: dict[Verb, frozenset[TaskState]] = {
    Verb.RETRY: frozenset(
        {
            TaskState.FAILED,
            TaskState.CANCELLED,
            TaskState.BACKING_OFF,
            TaskState.DEGRADED,  # repaired: run again in full
            TaskState.SKIPPED,
        }
    ),
    Verb.SKIP: frozenset(TaskState) - DONE - HOLDING_ROOM,
    Verb.HOLD: frozenset({TaskState.WAITING, TaskState.READY, TaskState.BACKING_OFF}),
    Verb.RELEASE: frozenset({TaskState.HELD}),
    Verb.CANCEL: frozenset(TaskState) - DONE - {TaskState.FAILED, TaskState.CANCELLED, TaskState.STOPPING},
    Verb.MARK_DONE: frozenset(TaskState) - DONE - HOLDING_ROOM,
}


def what_forbids(verb: Verb, state: TaskState, readers: Sequence[str] = ()) -> str | None:
    """Why the verb cannot be applied to a task in this state; None when it can.

    `readers` are the tasks right after it that hold room: if what is done ran again now, they would be marked as if
    they had read what it gives then.
    """
    if state not in _ALLOWED[verb]:
        allowed = ", ".join(sorted(_ALLOWED[verb]))
        return f"{verb} does not apply to a task that is {state} (it applies to: {allowed})"
    if state in DONE and readers:
        names = ", ".join(readers)
        return f"{verb} does not apply while what it gave is being read by {names}: ask again when that has ended"
    return None


def ask(books: Books, event: TaskAsked) -> None:
    """Do what was asked, if it applies."""
    book = books.tasks.get(event.task_id)
    if book is None:
        return
    readers = [one.plan.task_id for one in book.downstream if one.state in HOLDING_ROOM]
    if what_forbids(event.verb, book.state, readers) is not None:
        return
    reason = f"{event.verb} by {event.by}: {event.reason}"
    match event.verb:
        case Verb.RETRY:
            _retry(books, book, reason)
        case Verb.SKIP:
            move(books, book, TaskState.SKIPPED, reason)
        case Verb.HOLD:
            move(books, book, TaskState.HELD, reason)
        case Verb.RELEASE:
            _release(books, book, reason)
        case Verb.CANCEL:
            if book.state in HOLDING_ROOM:
                stop(books, book, StopCause.CANCELLED, reason)
            else:
                move(books, book, TaskState.CANCELLED, reason)
        case Verb.MARK_DONE:
            move(books, book, TaskState.SUCCEEDED, reason)
        case _:
            assert_never(event.verb)


def _retry(books: Books, book: TaskBook, reason: str) -> None:
    books.unsettled.append(book)  # what is before it may be about to run again
    may_wait = TaskState.WAITING in NEXT[book.state]
    if may_wait and (book.missing or book.plan.release_us > books.now_us):
        move(books, book, TaskState.WAITING, reason)
        circle = circle_through(books, book.plan.task_id)
        book.closes_circle = circle is not None
        if circle is not None:
            move(books, book, TaskState.BLOCKED, circle)
        return
    if book.state is TaskState.BACKING_OFF:
        books.alarms.drop("release", book.plan.task_id)
    move(books, book, TaskState.READY, reason)


def _release(books: Books, book: TaskBook, reason: str) -> None:
    move(books, book, TaskState.WAITING, reason)
    reconsider(books, book)


def stop(books: Books, book: TaskBook, cause: StopCause, reason: str) -> None:
    """Order a starting or running attempt to end; its room is free when the executor says that it has."""
    book.stop_cause, book.stop_reason = cause, reason
    books.alarms.drop("timeout", book.plan.task_id)
    move(books, book, TaskState.STOPPING, reason)
    books.decisions.append(StopAttempt(books.now_us, book.plan.task_id, book.attempts, cause, reason))
