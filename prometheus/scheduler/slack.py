"""How long may a task still wait?

To its latest start, as if it then had all the room it wants. Where the plan of Tier 1, which has no room but the machine's,
does not keep its margin before the deadlines of what hangs together with the task, no longer than the plan leaves.
"""

from __future__ import annotations

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.rules import NEVER_US


def slack_of(books: Books, book: TaskBook) -> int:
    """The shorter of the two; negative when it is late."""
    return min(book.latest_start_us - books.now_us, _left_by_plan(books, book.plan.task_id))


def _left_by_plan(books: Books, task_id: str) -> int:
    """How long before their deadlines the tasks of its part end by the plan; NEVER_US if they have all of their margin."""
    reservation = books.reservation
    if not reservation.behind_us or reservation.frame is None:
        return NEVER_US
    late_us = reservation.behind_us.get(reservation.frame.parts.get(task_id, -1))
    return NEVER_US if late_us is None else books.policy.margin_us - late_us
