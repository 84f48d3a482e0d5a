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
    tasks: dict[str, TaskBook] = {}
    runs = {run_id: replace(run) for run_id, run in books.runs.items()}
    slos = {slo_id: replace(slo) for slo_id, slo in books.slos.items()}
    for task_id, book in books.tasks.items():
        own = tasks[task_id] = TaskBook(*_contents(book))
        own.run = runs[book.plan.run_id]
        if book.slos:
            own.slos = tuple(slos[slo.plan.slo_id] for slo in book.slos)
    for own in tasks.values():
        own.downstream = [tasks[follower.plan.task_id] for follower in own.downstream]
    queues = [queue.fork(tasks) for queue in books.queues]
    return replace(
        books,
        policy=policy,
        reservation=books.reservation.fork(),
        tasks=tasks,
        critical={task_id: tasks[task_id] for task_id in books.critical},
        runs=runs,
        accounts={run_id: account.fork() for run_id, account in books.accounts.items()},
        slos=slos,
        expected={
            task_id: [tasks[one.plan.task_id] for one in waiting]
            for task_id, waiting in books.expected.items()
        },
        queues=queues,
        queue_numbers=dict(books.queue_numbers),
        lines=[
            [first for entry in line if (first := queues[entry[4].queue].first) is not None]
            for line in books.lines
        ],
        walled=dict(books.walled),
        stirred=[queues[queue.number] for queue in books.stirred],
        alarms=books.alarms.fork(),
        room=books.room.fork(),
        lower_use=dict(books.lower_use),
        ending=dict(books.ending),
        moved=[],
        unsettled=[],
        ended_runs=[],
        decisions=[],
    )
