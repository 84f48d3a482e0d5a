"""Who has waited too long, and when may it start for sure?

A Tier 3 task that has been ready for longer than the policy's patience gets a window, and at once one of a backfill that
is behind its share. A window is the earliest stretch in which the task fits beside Tier 1's plan, the promises to lower
tasks and the windows of those that have waited longer. It is as long as the task's q90; for one that can checkpoint it is
an hour, after which it may have to make room again. No other Tier 3 task may take room there, and when the window begins,
those that checkpoint make room for its task.
"""

from __future__ import annotations

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.reservation import BIN_US

WITHIN_BINS = 12 * 24  # a window further off than a day is no help


def can_make_room(books: Books, book: TaskBook) -> bool:
    """Whether it can be stopped at little loss when its room is needed."""
    return book.plan.checkpoint_every_us is not None and books.policy.preempts


def bins_of(book: TaskBook) -> int:
    """How many bins an attempt may take: its q90."""
    return book.plan.late_us // BIN_US + 1


def stretch_of(books: Books, book: TaskBook) -> int:
    """How many bins a window of it has."""
    if can_make_room(books, book):
        return min(bins_of(book), books.policy.slice_us // BIN_US)
    return bins_of(book)


def earliest_stretch(books: Books, book: TaskBook, within: int = WITHIN_BINS) -> int | None:
    """The first bin from which on it would fit for a window's length; None if there is none so soon."""
    here = first = books.now_us // BIN_US
    count, capacity = stretch_of(books, book), books.room.totals()
    while first < here + within:
        blocked = books.reservation.blocks(book.amounts, capacity, first, count, heeds_windows=True)
        if blocked is None:
            return first
        first = blocked[1] + 1
    return None


def open_windows(books: Books) -> None:
    """Give a window each to the Tier 3 tasks that have waited longest, as many as the policy allows at once."""
    reservation, policy = books.reservation, books.policy
    for task_id in list(reservation.windows):
        reservation.close_window(task_id)
    waiting = [
        (-1 if _is_owed(books, task_id) else books.tasks[task_id].ready_us, task_id)
        for queue in books.queues.values()
        if policy.windows and queue.tier == 3
        for task_id in queue.leading(policy.windows, books.tasks)
        if _due_us(books, task_id) <= books.now_us
    ]
    here = books.now_us // BIN_US
    for _, task_id in sorted(waiting):
        book = books.tasks[task_id]
        first = earliest_stretch(books, book)
        if first is not None:
            reservation.open_window(task_id, book.amounts, first, stretch_of(books, book))
            if first > here:
                books.alarms.set("window", task_id, first * BIN_US)
            if len(reservation.windows) == policy.windows:
                break


def next_due_us(books: Books) -> int | None:
    """When the first of the Tier 3 tasks that wait will have waited too long; None if none waits."""
    heads = [q.first[2] for q in books.queues.values() if q.tier == 3 and q.first is not None]
    return min((_due_us(books, task_id) for task_id in heads), default=None)


def _due_us(books: Books, task_id: str) -> int:
    """When it may have a window; at once if it is of a backfill that is behind its share."""
    due_us = books.tasks[task_id].ready_us + books.policy.patience_us + 1
    return min(due_us, books.now_us) if _is_owed(books, task_id) else due_us


def _is_owed(books: Books, task_id: str) -> bool:
    account = books.accounts.get(books.tasks[task_id].plan.run_id) if books.accounts else None
    return account is not None and account.is_behind(books.now_us, books.room.totals().get("cpu", 0))


def due(books: Books) -> list[TaskBook]:
    """The tasks whose windows have begun, those that have waited longest first."""
    return [books.tasks[i] for i in books.reservation.windows if has_begun(books, books.tasks[i])]


def has_begun(books: Books, book: TaskBook) -> bool:
    """Whether the task has a window, and it has begun."""
    window = books.reservation.windows.get(book.plan.task_id)
    return window is not None and window[1] <= books.now_us // BIN_US
