"""By when must each task start, for what comes after it, in this run and in others?

A latest start is the earliest of a task's own and of those downstream. It is a function of all runs that are open and of
nothing else, whatever the order in which they were opened, so that a rebuilt scheduler has the same. Where tasks wait for
each other in a circle, deadlines behind it hurry nobody before it: they cannot be met. Nothing here recurses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.circles import circles_behind
from prometheus.scheduler.rules import NEVER_US, latest_start
from prometheus.scheduler.states import TaskState


def inherit(books: Books, own: Sequence[TaskBook], before: Sequence[TaskBook], *, in_order: bool) -> None:
    """Latest starts after the tasks of one more run were entered.

    `before` are tasks of other runs that some of them wait for; `in_order` says that each comes after those of its own
    run that it waits for, as in every run that was planned.
    """
    if books.has_circle:
        _inherit_anew(books)
        return
    if in_order:
        for book in reversed(own):
            _set(books, book, book.downstream)
    is_whole = in_order or _inherit_within(books, own)
    if not is_whole or (before and _closes_a_circle(books, own)):
        books.has_circle = True
        _inherit_anew(books)
        return
    waiting = deque(before)  # first in, first out: what is near moves before what is further up
    while waiting:
        book = waiting.popleft()
        if _set(books, book, book.downstream):
            waiting.extend(books.tasks[i] for i in book.plan.after if i in books.tasks)


def _inherit_within(books: Books, own: Sequence[TaskBook]) -> bool:
    """From the last tasks of the run upward; whether all were reached, else some wait for each other in a circle."""
    run = own[0].run
    after_it = {book: sum(one.run is run for one in book.downstream) for book in own}
    stack = [book for book, count in after_it.items() if count == 0]
    reached = 0
    while stack:
        book = stack.pop()
        reached += 1
        _set(books, book, book.downstream)
        for upstream_id in book.plan.after:
            upstream = books.tasks.get(upstream_id)
            if upstream in after_it:
                after_it[upstream] -= 1
                if after_it[upstream] == 0:
                    stack.append(upstream)
    return reached == len(own)


def _set(books: Books, book: TaskBook, downstream: Iterable[TaskBook]) -> bool:
    """Whether the latest start of the task has changed; a ready one is queued anew then."""
    downstream_us = NEVER_US
    for one in downstream:
        if one.latest_start_us < downstream_us:
            downstream_us = one.latest_start_us
    found = latest_start(book.plan, book.run.opened_us, downstream_us)
    if found == book.latest_start_us:
        return False
    book.latest_start_us = found
    if book.state is TaskState.READY:
        books.enqueue(book)
    return True


def _inherit_anew(books: Books) -> None:
    """All latest starts, where circles are: what leads into a circle inherits nothing through it."""
    after_it = {task_id: len(book.downstream) for task_id, book in books.tasks.items()}
    stack = [task_id for task_id, count in after_it.items() if count == 0]
    known: set[TaskBook] = set()
    while stack:
        book = books.tasks[stack.pop()]
        known.add(book)
        _set(books, book, book.downstream)
        for upstream_id in book.plan.after:
            if upstream_id in after_it:
                after_it[upstream_id] -= 1
                if after_it[upstream_id] == 0:
                    stack.append(upstream_id)
    for book in books.tasks.values():
        if book not in known:
            _set(books, book, [one for one in book.downstream if one in known])


def _closes_a_circle(books: Books, own: Sequence[TaskBook]) -> bool:
    """Whether tasks of other runs that wait for this one are also before it."""
    run = own[0].run
    awaited = [book.plan.task_id for book in own if any(one.run is not run for one in book.downstream)]
    return bool(awaited) and bool(circles_behind(books, awaited, frozenset()))
