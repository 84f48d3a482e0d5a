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
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.rules import NEVER_US, latest_start
from prometheus.scheduler.states import TaskState


def inherit(books: Books, tasks: Sequence[TaskPlan]) -> None:
    """Latest starts after the tasks of one more run were entered."""
    if books.has_circle:
        _inherit_anew(books)
        return
    is_whole, foreign = _inherit_within(books, tasks)
    if not is_whole or (foreign and _closes_a_circle(books, tasks)):
        books.has_circle = True
        _inherit_anew(books)
        return
    waiting = deque(foreign)  # first in, first out: what is near moves before what is further up
    while waiting:
        book = books.tasks[waiting.popleft()]
        if _set(books, book, book.downstream):
            waiting.extend(i for i in book.plan.after if i in books.tasks)


def _inherit_within(books: Books, tasks: Sequence[TaskPlan]) -> tuple[bool, list[str]]:
    """From the last tasks of the run upward; whether all were reached (else some wait for each other in a circle),
    and the tasks of other runs that are before them.
    """
    own = {task.task_id for task in tasks}
    after_it = {task.task_id: sum(d in own for d in books.tasks[task.task_id].downstream) for task in tasks}
    stack = [task_id for task_id, count in after_it.items() if count == 0]
    reached, foreign = 0, []
    while stack:
        book = books.tasks[stack.pop()]
        reached += 1
        _set(books, book, book.downstream)
        for upstream_id in book.plan.after:
            if upstream_id in own:
                after_it[upstream_id] -= 1
                if after_it[upstream_id] == 0:
                    stack.append(upstream_id)
            elif upstream_id in books.tasks:
                foreign.append(upstream_id)
    return reached == len(own), foreign


def _set(books: Books, book: TaskBook, downstream: Iterable[str]) -> bool:
    """Whether the latest start of the task has changed; a ready one is queued anew then."""
    downstream_us = min((books.tasks[d].latest_start_us for d in downstream), default=NEVER_US)
    found = latest_start(book.plan, books.runs[book.plan.run_id].opened_us, downstream_us)
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
    known: set[str] = set()
    while stack:
        task_id = stack.pop()
        book = books.tasks[task_id]
        known.add(task_id)
        _set(books, book, book.downstream)
        for upstream_id in book.plan.after:
            if upstream_id in after_it:
                after_it[upstream_id] -= 1
                if after_it[upstream_id] == 0:
                    stack.append(upstream_id)
    for task_id, book in books.tasks.items():
        if task_id not in known:
            _set(books, book, [d for d in book.downstream if d in known])


def _closes_a_circle(books: Books, tasks: Sequence[TaskPlan]) -> bool:
    """Whether tasks of other runs that wait for this one are also before it."""
    own = {task.task_id for task in tasks}
    awaited = [
        task.task_id for task in tasks if any(d not in own for d in books.tasks[task.task_id].downstream)
    ]
    return bool(awaited) and bool(circles_behind(books, awaited, frozenset()))
