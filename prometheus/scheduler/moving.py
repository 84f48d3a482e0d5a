"""How does a task move from one state to the next, and what follows from it?

Every change of state goes through `move`, which asserts that the step is legal, says it, and keeps the books right:
the room that is held, the queue, the counts of runs and promises, and the tasks downstream. What follows downstream
is put on a list and worked off by `settle`; nothing here recurses, so a chain of any length is safe.
"""

from __future__ import annotations

from prometheus.scheduler import admitting
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.circles import circle_through
from prometheus.scheduler.decisions import CloseRun, SetTask
from prometheus.scheduler.promises import judge
from prometheus.scheduler.states import (
    BACKING_OFF,
    BLOCKED,
    DONE,
    ENDED,
    HELD,
    HOLDING_ROOM,
    NEXT,
    READY,
    RUNNING,
    STARTING,
    STOPPING,
    SUCCEEDED,
    WAITING,
    RunState,
    TaskState,
)

BROKEN = ENDED - DONE


def move(
    books: Books, book: TaskBook, state: TaskState, reason: str, not_before_us: int | None = None
) -> None:
    """Take a task to `state`; `not_before_us` goes with `backing_off`."""
    old, plan = book.state, book.plan
    assert state in NEXT[old], f"{plan.task_id} cannot go from {old} to {state} ({reason})"
    book.state = state
    if plan.tier == 1:
        books.reservation.tier_1_moved(plan.task_id)
    if state is RUNNING:
        return
    if state is not STARTING and state is not STOPPING:  # said by a StartAttempt and a StopAttempt
        books.decisions.append(SetTask(books.now_us, plan.task_id, state, reason, not_before_us))
    if old is READY:
        books.stir(books.queues[book.queue])
        if books.reservation.windows:
            books.reservation.close_window(plan.task_id)
    elif old in HOLDING_ROOM and state is not STOPPING:
        _free_room(books, book)
    elif old in ENDED and state not in ENDED:
        _reopen(books, book, was_done=old in DONE)
    if state is READY:
        book.refused_for = None
        if old is not BACKING_OFF or book.ready_us < 0:
            book.ready_us = books.now_us
        books.enqueue(book)
    elif state in ENDED:
        _end(books, book, old)
    elif state is STOPPING:
        books.ending[plan.task_id] = None
    elif state is HELD:
        books.alarms.drop("release", plan.task_id)
    elif state is BACKING_OFF:
        assert not_before_us is not None, "backing off needs an instant"
        book.not_before_us = not_before_us
        books.alarms.set("release", plan.task_id, not_before_us)


def _free_room(books: Books, book: TaskBook) -> None:
    task_id = book.plan.task_id
    assert book.place is not None, f"{task_id} held no room"
    books.room.give_back(task_id, book.place)
    books.moved.append(book)
    if books.ending:
        books.ending.pop(task_id, None)
    if book.plan.timeout_us is not None:
        books.alarms.drop("timeout", task_id)
    book.kept_us += saved_by(book.attempt_started_us, book.saved_us)
    book.place = None
    book.attempt_started_us = None
    book.saved_us = None
    if book.plan.tier > 1 and books.policy.reserves:
        admitting.release(books, book)
    if books.accounts and (account := books.accounts.get(book.plan.run_id)) is not None:
        account.end(task_id, books.now_us)


def saved_by(began_us: int | None, saved_us: int | None) -> int:
    """The time of an attempt that a later one need not spend again."""
    return 0 if began_us is None or saved_us is None else max(0, saved_us - began_us)


def _end(books: Books, book: TaskBook, old: TaskState) -> None:
    plan, state, held_room = book.plan, book.state, old in HOLDING_ROOM
    task_id, is_done, is_full = plan.task_id, state in DONE, state is SUCCEEDED
    if plan.tier == 1 and books.critical.pop(task_id, None) is not None and not held_room:
        books.reservation.frame = None  # out of turn: tasks before it may be open
    was_broken = old in BROKEN
    if not held_room:  # what runs no longer waits for its release
        books.alarms.drop("release", task_id)
    run = book.run
    run.open -= old not in ENDED
    if run.open == 0:
        run.state = RunState.RUNNING  # to be judged anew, also when an operator changed an ended task
        books.ended_runs.append(plan.run_id)
    for downstream in book.downstream:
        if is_done:
            downstream.missing -= 1
            downstream.broken -= was_broken
            downstream.is_tainted |= not is_full
            if downstream.missing and downstream.state is WAITING:
                continue  # that one only waits on
        elif not was_broken:
            downstream.broken += 1
        books.unsettled.append(downstream)
    for slo in book.slos:
        slo.open -= is_done
        slo.broken += (not is_done) - was_broken
        judge(books, slo)


def _reopen(books: Books, book: TaskBook, *, was_done: bool) -> None:
    """An ended task is to go on: its run is open again, what it blocked may be freed, and what it let go on waits again.

    A promise that was kept stays kept while something degraded is run again in full.
    """
    book.failures = book.lost = 0
    book.last_failure = None
    if was_done:
        book.kept_us = 0  # a repair begins anew: what was saved on the way to less is of no use to it
    if book.plan.tier == 1:
        books.critical[book.plan.task_id] = book
        books.reservation.frame = None
    book.run.open += 1
    book.run.state = RunState.RUNNING
    for downstream in book.downstream:
        downstream.missing += was_done
        downstream.broken -= not was_done
        if was_done:
            downstream.is_tainted = any(_is_less(books, i) for i in downstream.plan.after)
        books.unsettled.append(downstream)
    for slo in book.slos:
        slo.open += was_done
        slo.broken -= not was_done
        judge(books, slo)


def _is_less(books: Books, task_id: str) -> bool:
    """Whether a task is done, and not in full."""
    state = books.tasks[task_id].state if task_id in books.tasks else WAITING
    return state in DONE and state is not SUCCEEDED


def settle(books: Books) -> None:
    """Let every task whose upstream changed become ready, blocked or free again, to a fixed point."""
    for book in books.unsettled:  # it grows meanwhile
        reconsider(books, book)
    books.unsettled.clear()


def reconsider(books: Books, book: TaskBook) -> None:
    """Take a waiting or blocked task to the state that its upstream, its release and the clock allow."""
    if book.state is BLOCKED and not book.broken:
        if book.closes_circle and circle_through(books, book.plan.task_id) is not None:
            return
        book.closes_circle = False
        move(books, book, WAITING, "what failed before it is to run again")
    if book.state is READY and book.missing:
        move(books, book, WAITING, "something before it is to run again")
    if book.state is not WAITING:
        return
    if book.broken:
        culprit = next(i for i in book.plan.after if i in books.tasks and books.tasks[i].state in BROKEN)
        move(books, book, BLOCKED, f"{culprit} is {books.tasks[culprit].state}")
    elif book.missing == 0:
        if book.plan.release_us <= books.now_us:
            move(books, book, READY, "released, and all before it is done")
        else:
            books.alarms.set("release", book.plan.task_id, book.plan.release_us)


def close_runs(books: Books) -> None:
    """Close each run of which no task can go on."""
    for run_id in dict.fromkeys(books.ended_runs):
        run = books.runs[run_id]
        if run.open or run.state is not RunState.RUNNING:
            continue
        run.state, reason = _how_it_ended([books.tasks[task.task_id] for task in run.plan.tasks])
        books.decisions.append(CloseRun(books.now_us, run_id, run.state, reason))
    books.ended_runs.clear()


def _how_it_ended(tasks: list[TaskBook]) -> tuple[RunState, str]:
    by_state: dict[TaskState, list[str]] = {}
    for book in tasks:
        by_state.setdefault(book.state, []).append(book.plan.job)
    for state, outcome in (
        (TaskState.FAILED, RunState.FAILED),
        (TaskState.CANCELLED, RunState.CANCELLED),
        (TaskState.BLOCKED, RunState.FAILED),
        (TaskState.DEGRADED, RunState.DEGRADED),
        (TaskState.SKIPPED, RunState.DEGRADED),
    ):
        if state in by_state:
            jobs = by_state[state]
            shown = ", ".join(jobs[:3]) + (f" and {len(jobs) - 3} more" if len(jobs) > 3 else "")
            return outcome, f"{state}: {shown}"
    return RunState.SUCCEEDED, f"all {len(tasks)} tasks are done"
