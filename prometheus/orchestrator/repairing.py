"""What is to be repaired: tasks that are done, and not in full. Redoing them is asked for, never done by itself."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus.scheduler.events import Event, TaskAsked, Verb
from prometheus.scheduler.snapshot import TaskRow
from prometheus.scheduler.states import TaskState


def to_repair(tasks: Sequence[TaskRow]) -> list[TaskRow]:
    """Tasks that a retry would run again in full, in the order given: degraded ones, and those that a rule skipped.

    What an operator skipped is not among them: that was meant.
    """
    return [
        task
        for task in tasks
        if task.state is TaskState.DEGRADED
        or (task.state is TaskState.SKIPPED and not task.reason.startswith(f"{Verb.SKIP} by "))
    ]


def repairs(tasks: Sequence[TaskRow], now_us: int, by: str) -> list[Event]:
    """What asks for all of it; `tasks` in an order in which each comes after those it waits for."""
    return [
        TaskAsked(now_us, task.task_id, Verb.RETRY, "it is to be done in full", by)
        for task in to_repair(tasks)
    ]
