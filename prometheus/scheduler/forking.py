"""A second scheduler that stands where the first does, and goes its own way from there.

Plans, demands and everything else that never changes is shared; what a turn may write is copied.
"""

from __future__ import annotations

from dataclasses import fields, replace
from operator import attrgetter

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.policies import Policy

_contents = attrgetter(
    *(field.name for field in fields(TaskBook))
)  # `copy` takes thrice as long, and a night has hundreds


def fork(books: Books, policy: Policy) -> Books:
    """Books with the same content under `policy`, which share nothing that changes."""
    assert not books.unsettled, "books are forked between turns"
    assert not books.moved, "books are forked between turns"
    assert not books.ended_runs, "books are forked between turns"
    twin = replace(
        books,
        policy=policy,
        reservation=books.reservation.fork(),
        tasks={},
        runs={run_id: replace(run) for run_id, run in books.runs.items()},
        accounts={run_id: account.fork() for run_id, account in books.accounts.items()},
        slos={slo_id: replace(slo) for slo_id, slo in books.slos.items()},
        slos_of={task_id: list(slos) for task_id, slos in books.slos_of.items()},
        expected={task_id: list(waiting) for task_id, waiting in books.expected.items()},
        queues={number: queue.fork() for number, queue in books.queues.items()},
        queue_numbers=dict(books.queue_numbers),
        lines={tier: line[:] for tier, line in books.lines.items()},
        walled=dict(books.walled),
        stirred=dict(books.stirred),
        alarms=books.alarms.fork(),
        room=books.room.fork(),
        lower_use=dict(books.lower_use),
        holding=dict(books.holding),
        ending=dict(books.ending),
        moved=[],
        unsettled=[],
        ended_runs=[],
        decisions=[],
    )
    for task_id, book in books.tasks.items():
        own = twin.tasks[task_id] = TaskBook(*_contents(book))
        own.downstream = book.downstream[:]
    twin.critical = {task_id: twin.tasks[task_id] for task_id in books.critical}
    return twin
