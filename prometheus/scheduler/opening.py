"""How do runs enter the books: opened by a fact, or restored from rows?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus.scheduler import admitting, announced
from prometheus.scheduler.bins import Place
from prometheus.scheduler.books import Books, RunBook, SloBook, TaskBook
from prometheus.scheduler.circles import CIRCLE, circles_behind, said_of
from prometheus.scheduler.events import Failure
from prometheus.scheduler.inheriting import inherit
from prometheus.scheduler.moving import BROKEN, move, saved_by
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.rules import counts_against_retries
from prometheus.scheduler.shares import FIRST_LINE, Account
from prometheus.scheduler.snapshot import AttemptRow, Snapshot, TaskRow
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, SloState, TaskState
from prometheus.scheduler.windows import can_make_room

LOOKING_AGAIN = frozenset({"slack", "replan", "window"})  # alarms that only look again at what may start


def open_run(books: Books, plan: RunPlan) -> None:
    """Enter a run, its tasks and its promises. A run that is already known changes nothing."""
    if plan.run_id in books.runs:
        return
    books.unsettled += enter_run(books, plan, books.now_us)
    if books.has_circle:
        _block_circles(books, plan)
    if not plan.tasks:
        books.ended_runs.append(plan.run_id)
    for slo in plan.slos:
        books.alarms.set("slo", slo.slo_id, slo.deadline_us + 1)


def _block_circles(books: Books, plan: RunPlan) -> None:
    """Block what closes a circle in a run that has just been opened; what waits for it is blocked by that."""
    own = {task.task_id for task in plan.tasks}
    for circle in circles_behind(books, own, DONE):
        closing = next((i for i in circle if i in own), None)
        if closing is not None:
            books.tasks[closing].closes_circle = True
            move(books, books.tasks[closing], TaskState.BLOCKED, said_of(circle))


def _count_upstream(book: TaskBook, upstream: TaskBook | None) -> None:
    if upstream is None or upstream.state not in DONE:
        book.missing += 1
        book.broken += upstream is not None and upstream.state in BROKEN
    elif upstream.state is not TaskState.SUCCEEDED:
        book.is_tainted = True


def enter_run(books: Books, plan: RunPlan, opened_us: int) -> list[TaskBook]:
    """Make the records and the edges of a run, and let deadlines flow upstream; its tasks."""
    if plan.share is not None:
        line = FIRST_LINE + len(books.accounts)
        books.accounts[plan.run_id] = Account(plan.share, line, opened_us)
    run = books.runs[plan.run_id] = RunBook(plan, open=len(plan.tasks), opened_us=opened_us)
    own: list[TaskBook] = []
    before: list[TaskBook] = []  # tasks of other runs that some of these wait for
    in_order, has_tier_1 = True, False
    for task in plan.tasks:
        assert task.task_id not in books.tasks, f"task {task.task_id} is in two runs"
        queue = books.queue_of(task)
        book = TaskBook(task, run, queue=queue.number, amounts=queue.amounts)
        own.append(book)
        books.tasks[task.task_id] = book
        if books.expected and (waiting := books.expected.pop(task.task_id, None)) is not None:
            book.downstream = waiting
            in_order = in_order and all(one.run is not run for one in waiting)
        if task.tier == 1:
            books.critical[task.task_id] = book
            has_tier_1 = True
        for upstream_id in task.after:
            upstream = books.tasks.get(upstream_id)
            _count_upstream(book, upstream)
            if upstream is None:
                books.expected.setdefault(upstream_id, []).append(book)
            else:
                upstream.downstream.append(book)
                if upstream.run is not run:
                    before.append(upstream)
                elif upstream is book:
                    in_order = False
    for slo in plan.slos:
        promised = [books.tasks[task_id] for task_id in slo.task_ids]
        tier = min((one.plan.tier for one in promised), default=3)
        record = books.slos[slo.slo_id] = SloBook(slo, open=len(promised), tier=tier)
        for one in promised:
            one.slos += (record,)
    inherit(books, own, before, in_order=in_order)
    books.reservation.is_stale = True
    # Tier 1, what it waits for, or its latest starts may be others now.
    if has_tier_1 or before or books.has_circle:
        books.reservation.frame = None
    if books.policy.order == "weight":
        _weigh(own)
    return own


def _weigh(books: Iterable[TaskBook]) -> None:
    """Weight of a task = its own plus those of all that are downstream, each once: Airflow's default rule."""
    for book in books:
        seen, stack = {book}, [book]
        while stack:
            for downstream in stack.pop().downstream:
                if downstream not in seen:
                    seen.add(downstream)
                    stack.append(downstream)
        book.weight = len(seen)


def restore(books: Books, snapshot: Snapshot) -> None:
    """Fill empty books from rows."""
    books.now_us, books.pressure = snapshot.at_us, snapshot.pressure
    if snapshot.capacity is not None:
        announced.take(books, snapshot.capacity, snapshot.coming)
    attempts: dict[str, list[AttemptRow]] = {}
    for attempt in snapshot.attempts:
        attempts.setdefault(attempt.task_id, []).append(attempt)
    for run in snapshot.runs:
        enter_run(books, run.plan, run.opened_us)
    for row in snapshot.tasks:
        _restore_task(books, row, attempts.get(row.task_id, []))
    holding = [row for row in snapshot.tasks if row.state in HOLDING_ROOM]
    for row in sorted(holding, key=lambda one: _begun_order(books, attempts[one.task_id][-1])):
        _restore_room(books, row, attempts[row.task_id][-1])
    for run in snapshot.runs:
        run_book = books.runs[run.run_id]
        run_book.state = run.state
        run_book.open = sum(books.tasks[task.task_id].state not in ENDED for task in run.plan.tasks)
    for book in books.tasks.values():
        book.missing = book.broken = 0  # states were not known when it was entered
        for upstream_id in book.plan.after:
            _count_upstream(book, books.tasks.get(upstream_id))
        _restore_alarm(books, book)
    # The plan and the windows are not kept: the first turn makes them anew, and this alarm has that turn come at once.
    if any(book.state is TaskState.READY for book in books.tasks.values()):
        books.alarms.set("replan", "", books.now_us)
    for slo in snapshot.slos:
        slo_book = books.slos[slo.slo_id]
        slo_book.state, slo_book.finished_us, slo_book.foreseen = slo.state, slo.finished_us, slo.foreseen
        states = [books.tasks[task_id].state for task_id in slo_book.plan.task_ids]
        slo_book.open = sum(state not in DONE for state in states)
        slo_book.broken = sum(state in BROKEN for state in states)
        if slo_book.open and slo.finished_us is None and slo.state is not SloState.MISSED:
            books.alarms.set("slo", slo.slo_id, slo.deadline_us + 1)


def _restore_task(books: Books, row: TaskRow, attempts: list[AttemptRow]) -> None:
    book = books.tasks[row.task_id]
    book.state, book.attempts, book.mode = row.state, row.attempts, row.mode
    book.not_before_us = row.not_before_us or 0
    book.ready_us = -1 if row.ready_us is None else row.ready_us
    book.preempted = sum(attempt.failure is Failure.PREEMPTED for attempt in attempts)
    book.closes_circle = row.state is TaskState.BLOCKED and row.reason.startswith(CIRCLE)
    if row.state in ENDED:
        books.critical.pop(row.task_id, None)
    for attempt in attempts:
        if attempt.attempt > row.counted_from and attempt.failure is not None:
            book.failures += counts_against_retries(attempt.failure)
            book.lost += attempt.failure is Failure.LOST
            book.last_failure = attempt.failure
    account = books.accounts.get(row.run_id)
    if account is not None:
        _restore_account(books, account, book, attempts)
    ended = attempts[:-1] if row.state in HOLDING_ROOM else attempts
    book.kept_us = sum(saved_by(attempt.started_us, attempt.saved_us) for attempt in ended)
    if row.state is TaskState.READY:
        books.enqueue(book)


def _begun_order(books: Books, attempt: AttemptRow) -> tuple[int, int, int, str]:
    """The oldest first, as the running scheduler has them; of one turn as a turn goes about it."""
    book = books.tasks[attempt.task_id]
    return attempt.ordered_us, book.plan.tier, book.latest_start_us, attempt.task_id


def _restore_room(books: Books, row: TaskRow, current: AttemptRow) -> None:
    """Give a task whose attempt has not ended the room that it holds."""
    book = books.tasks[row.task_id]
    assert current.attempt == row.attempts, f"{row.task_id}: attempt {row.attempts} is not the last"
    book.place = Place(current.bin_id, current.devices)
    book.attempt_started_us = current.started_us
    book.stop_cause = current.stop_cause
    book.stop_reason = row.reason if row.state is TaskState.STOPPING else ""
    books.room.take(row.task_id, book.plan.demand, book.place)
    if row.state is TaskState.STOPPING:
        books.ending[row.task_id] = None
    book.saved_us = current.saved_us
    if book.plan.tier > 1 and books.policy.reserves:
        admitting.admit(books, book, current.ordered_us)


def _restore_account(books: Books, account: Account, book: TaskBook, attempts: list[AttemptRow]) -> None:
    cpu_milli = book.plan.demand.cpu_milli
    for attempt in attempts:
        if attempt.ended_us is not None:
            account.charge(attempt.ordered_us, attempt.ended_us, cpu_milli, books.now_us)
        elif book.state in HOLDING_ROOM and attempt.attempt == book.attempts:
            account.begin(book.plan.task_id, attempt.ordered_us, cpu_milli, book.plan.typical_us)


def _restore_alarm(books: Books, book: TaskBook) -> None:
    task_id, plan = book.plan.task_id, book.plan
    if book.state is TaskState.BACKING_OFF:
        books.alarms.set("release", task_id, book.not_before_us)
    elif book.state is TaskState.WAITING and book.missing == 0:
        books.alarms.set("release", task_id, plan.release_us)
    elif (
        book.state is TaskState.RUNNING
        and plan.timeout_us is not None
        and book.attempt_started_us is not None
    ):
        books.alarms.set("timeout", task_id, book.attempt_started_us + plan.timeout_us)


def check_counts(books: Books) -> None:
    """Assert every count in the books against the states that it counts."""
    for task_id, book in books.tasks.items():
        states = [books.tasks[i].state if i in books.tasks else None for i in book.plan.after]
        missing = sum(state not in DONE for state in states)
        broken = sum(state in BROKEN for state in states)
        assert book.missing == missing, f"{task_id} counts {book.missing} missing, there are {missing}"
        assert book.broken == broken, f"{task_id} counts {book.broken} broken, there are {broken}"
        assert (book.place is not None) == (book.state in HOLDING_ROOM), (
            f"{task_id} is {book.state} at {book.place}"
        )
        is_queued = task_id in books.queues[book.queue].living()
        assert book.queue == books.queue_of(book.plan).number, f"{task_id} is in a queue of another shape"
        books.room.audit_one(task_id, book.plan.demand, book.place)
        assert is_queued == (book.state is TaskState.READY), f"{task_id} is {book.state}, queued: {is_queued}"
        if book.state is TaskState.WAITING and missing == 0 and not broken:
            assert book.plan.release_us > books.now_us, f"{task_id} waits for nothing"
    for run_id, run in books.runs.items():
        still_open = sum(books.tasks[task.task_id].state not in ENDED for task in run.plan.tasks)
        assert run.open == still_open, f"{run_id} counts {run.open} open, there are {still_open}"
    for slo_id, slo in books.slos.items():
        states = [books.tasks[task_id].state for task_id in slo.plan.task_ids]
        assert slo.open == sum(state not in DONE for state in states), f"{slo_id} miscounts its open tasks"
        assert slo.broken == sum(state in BROKEN for state in states), f"{slo_id} miscounts its broken tasks"
    _check_lines(books)
    _check_reservation(books)


def _check_lines(books: Books) -> None:
    """Assert that every queue that is not empty stands in its line with its first task."""
    books.line_up()
    for tier, line in enumerate(books.lines):
        heads = [q.head() for q in books.queues if q.line == tier]
        assert line == sorted(head for head in heads if head is not None), (
            f"the line of tier {tier} has drifted"
        )
    stopping = [i for i in books.room.holders if books.tasks[i].state is TaskState.STOPPING]
    assert books.stopping() == set(stopping), (
        f"ending are {sorted(books.ending)}, stopping {sorted(stopping)}"
    )


def _check_reservation(books: Books) -> None:
    """Assert what is kept for Tier 1 and what lower tiers hold against the states of the tasks."""
    unfinished = {i for i, book in books.tasks.items() if book.plan.tier == 1 and book.state not in ENDED}
    assert books.critical.keys() == unfinished, "critical is not the unfinished Tier 1"
    lower = [books.tasks[i] for i in books.room.holders if books.tasks[i].plan.tier > 1]
    if not books.policy.reserves:
        lower = []  # nobody asks
    held: dict[str, int] = {}
    for book in lower:
        for name, amount in book.amounts:
            held[name] = held.get(name, 0) + amount
    booked = _without_zeros(books.lower_use)
    assert booked == held, f"lower tiers are booked with {booked} and hold {held}"
    reservation = books.reservation
    bound = {b.plan.task_id for b in lower if not can_make_room(books, b)}
    assert reservation.promises.keys() == bound, (
        f"promised are {sorted(reservation.promises)}, holding {sorted(bound)}"
    )
    assert len(reservation.windows) <= books.policy.windows, "more windows than the policy allows"
    for task_id in reservation.windows:
        book = books.tasks[task_id]
        assert (book.plan.tier, book.state) == (3, TaskState.READY), f"{task_id} has a window as {book.state}"
    reservation.check()


def _without_zeros(amounts: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


def fingerprint(books: Books) -> dict[str, Any]:
    """Everything that future decisions depend on, but what is made anew from it: the plan, the windows and their alarms."""
    return {
        "now_us": books.now_us,
        "pressure": books.pressure,
        "coming": books.coming,
        "tasks": {
            task_id: (
                book.state,
                book.missing,
                book.broken,
                book.attempts,
                book.failures,
                book.lost,
                book.latest_start_us,
                book.place,
                book.attempt_started_us,
                book.is_tainted,
                book.mode if book.state in HOLDING_ROOM else None,
                book.saved_us,
                book.kept_us,
                book.preempted,
                book.ready_us,
                book.closes_circle and book.state is TaskState.BLOCKED,
                book.last_failure,
            )
            for task_id, book in sorted(books.tasks.items())
        },
        "runs": {run_id: (run.state, run.open) for run_id, run in sorted(books.runs.items())},
        "slos": {
            i: (s.state, s.open, s.broken, s.finished_us, s.foreseen if s.open else None)
            for i, s in sorted(books.slos.items())
        },
        "alarms": {
            (kind, key): at_us
            for (kind, key), at_us in books.alarms.pending().items()
            if kind not in LOOKING_AGAIN
        },
        "accounts": {
            run_id: (account.opened_us, account.standing(books.now_us), dict(account.holding))
            for run_id, account in books.accounts.items()
        },
        "lower_use": _without_zeros(books.lower_use),
        "promises": dict(sorted(books.reservation.promises.items())),
        "usage": books.room.usage(),
    }
