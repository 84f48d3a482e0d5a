"""Who waits for himself? Runs may come to wait for each other's tasks in a circle, which no single run shows.

What closes a circle is blocked, with the names on it, and what waits for that is blocked by it: no run hangs in silence.
Skipping one task or marking it done opens the circle. Nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus.pipelines.checking import describe_cycle, topological
from prometheus.scheduler.books import Books
from prometheus.scheduler.states import DONE, TaskState

CIRCLE = "tasks wait for each other in a circle"  # the reason of what closes one begins so, in its row too


def circle_through(books: Books, task_id: str) -> str | None:
    """The sentence for a task that waits for itself; None if it does not."""
    if not books.has_circle:
        return None
    circles = circles_behind(books, [task_id], DONE)
    return next((said_of(circle) for circle in circles if task_id in circle), None)


def said_of(circle: list[str]) -> str:
    """Which tasks are on it, and what to do."""
    return f"{CIRCLE}: {describe_cycle(circle)}; skip one or mark it done"


def circles_behind(books: Books, first: Iterable[str], without: frozenset[TaskState]) -> list[list[str]]:
    """Circles among the tasks downstream of `first` and these, but for tasks in a state of `without`."""
    reached = dict.fromkeys(i for i in first if books.tasks[i].state not in without)
    queue = list(reached)
    for task_id in queue:  # grows while it is walked
        for downstream in books.tasks[task_id].downstream:
            downstream_id = downstream.plan.task_id
            if downstream_id not in reached and downstream.state not in without:
                reached[downstream_id] = None
                queue.append(downstream_id)
    return topological({i: [u for u in books.tasks[i].plan.after if u in reached] for i in reached})[1]
