"""Who has waited too long, and when may it start for sure?

A Tier 3 task that has been ready for longer than the policy's patience gets a window, and at once one of a backfill that
is behind its share. A window is the earliest stretch in which the task fits beside Tier 1's plan, the promises to lower
tasks and the windows of those that have waited longer. It is as long as the task's q90; for one that can checkpoint it is
an hour, after which it may have to make room again. No other Tier 3 task may take room there, and when the window begins,
those that checkpoint make room for its task.

A window that is the first turn of its task means more. It is looked for before others, and is half or a quarter as long
where that brings it within the time in which a task should start; while Tier 1 and 2 can wait, its
task starts before theirs; and Tier 1 then keeps to its plan there, where else it starts whatever fits.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.reservation import BIN_US, Amounts
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.slack import slack_of
from prometheus.scheduler.unfinished import left_of, planned_us

WITHIN_BINS = 12 * 24  # a window further off than a day is no help
LOOKED_AT = 4  # of a queue, times the number of windows: those that have run before may stand in front


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


def earliest_stretch(
    books: Books, book: TaskBook, count: int, outrun: Sequence[tuple[Amounts, int]], within: int = WITHIN_BINS
) -> int | None:
    """The first bin from which on it would fit for so many bins; None if there is none so soon.

    `outrun` is what `outrunning` found.
    """
    here, capacity = books.now_us // BIN_US, books.room.totals()
    first = books.reservation.earliest(book.amounts, capacity, here, count, here + within)
    while first is not None and any(first < until for _, until in outrun):
        if _fits_beside(books, book, outrun, first):
            break
        first = books.reservation.earliest(book.amounts, capacity, first + 1, count, here + within)
    return first


def outrunning(books: Books) -> list[tuple[Amounts, int]]:
    """What lower tasks hold that are promised no room and make none, for they run beyond their q90; until which bin."""
    here, promises = books.now_us // BIN_US, books.reservation.promises
    found = []
    for task_id in books.room.holders:
        book = books.tasks[task_id]
        if book.plan.tier == 1 or (book.plan.tier == 3 and can_make_room(books, book)):
            continue
        if task_id not in promises or promises[task_id][2] <= here:
            found.append((book.amounts, _ends_us(books, book) // BIN_US + 1))
    return found


def _ends_us(books: Books, book: TaskBook) -> int:
    """When what runs should end."""
    return books.now_us + left_of(books, book)


def _fits_beside(books: Books, book: TaskBook, outrun: Sequence[tuple[Amounts, int]], place: int) -> bool:
    """Whether it fits in one bin beside all else and those that outrun what was promised to them."""
    more = dict(book.amounts)
    for amounts, until in outrun:
        if place < until:
            for name, amount in amounts:
                if name in more:
                    more[name] += amount
    blocked = books.reservation.blocks(tuple(more.items()), books.room.totals(), place, 1, heeds_windows=True)
    totals = books.room.totals()
    return blocked is None and all(amount <= totals.get(name, 0) for name, amount in more.items())


def open_windows(books: Books) -> None:
    """Give a window each to the Tier 3 tasks that have waited longest, as many as the policy allows at once."""
    reservation, policy = books.reservation, books.policy
    reservation.close_windows()
    waiting = [
        (_turn_of(books, book), book.plan.task_id)
        for queue in books.queues
        if policy.windows and queue.tier == 3
        for book in queue.leading(LOOKED_AT * policy.windows)
        if _due_us(books, book) <= books.now_us
    ]
    here = books.now_us // BIN_US
    outrun = outrunning(books) if waiting else []
    for _, task_id in sorted(waiting):
        book = books.tasks[task_id]
        first, count = _stretch_for(books, book, outrun)
        if first is not None:
            reservation.open_window(task_id, book.amounts, first, count)
            if first > here:
                books.alarms.set("window", task_id, first * BIN_US)
            if len(reservation.windows) == policy.windows:
                break


def _stretch_for(
    books: Books, book: TaskBook, outrun: Sequence[tuple[Amounts, int]]
) -> tuple[int | None, int]:
    """Where the window of a task is to be, and its length: shorter for a first turn that would come too late otherwise."""
    count, here = stretch_of(books, book), books.now_us // BIN_US
    first = earliest_stretch(books, book, count, outrun)
    if not can_make_room(books, book) or not is_first_turn(books, book):
        return first, count
    by = (book.ready_us + books.policy.starts_within_us) // BIN_US
    if (first is not None and first <= by) or by < here:
        return first, count
    for shorter in (count // 2, count // 4):
        sooner = earliest_stretch(books, book, shorter, outrun, by + 1 - here) if shorter else None
        if sooner is not None:
            return sooner, shorter
    return first, count


def _turn_of(books: Books, book: TaskBook) -> tuple[int, int]:
    """Whose window is looked for first: a backfill's that is behind, then a first turn's, then that of the longest wait."""
    if _is_owed(books, book):
        return 0, 0
    return 1 if is_first_turn(books, book) else 2, book.ready_us


def is_first_turn(books: Books, book: TaskBook) -> bool:
    """Whether it has never begun and has waited too long: its window then means more than that of others."""
    return not book.attempts and books.now_us - book.ready_us > books.policy.patience_us


def can_wait(books: Books, book: TaskBook) -> bool:
    """Whether a task of a higher tier has so much time to its deadlines that it would stop nobody."""
    return books.policy.hard_us <= slack_of(books, book) and book.latest_start_us < NEVER_US


def keeps_out(books: Books, book: TaskBook) -> bool:
    """Whether a lower task may take no room in windows: of Tier 3 none may; of Tier 2 none that can wait, while a first turn
    has begun and room is made for it. Kept out of windows that only come, Tier 2 is in Tier 1's way when it does start.
    """
    if book.plan.tier == 3:
        return True
    return can_wait(books, book) and any(is_first_turn(books, other) for other in due(books))


def stands_before(books: Books, book: TaskBook) -> str | None:
    """The task that may have its first turn in a window of which a Tier 1 task that can wait would take too much.

    That is more than the plan, beside which the window lies, lets all of Tier 1 have when the window begins.
    """
    windows, here = books.reservation.windows, books.now_us // BIN_US
    if not windows or not can_wait(books, book):
        return None
    end = (books.now_us + planned_us(book.plan, books.policy)) // BIN_US
    for task_id, (amounts, first, last) in windows.items():
        if here < last and first <= end and is_first_turn(books, books.tasks[task_id]):
            place = max(first, here)
            taken = _by_tier_1(books, place)
            for name, amount in book.amounts:
                taken[name] = taken.get(name, 0) + amount
            planned = books.reservation.planned
            if any(taken.get(name, 0) > planned.get(name, {}).get(place, 0) for name, _ in amounts):
                return task_id
    return None


def _by_tier_1(books: Books, place: int) -> dict[str, int]:
    """What those of Tier 1 that run now will still hold when a bin begins."""
    is_now, taken = place <= books.now_us // BIN_US, dict[str, int]()
    for task_id in books.room.holders:
        book = books.tasks[task_id]
        if book.plan.tier == 1 and (is_now or _ends_us(books, book) > place * BIN_US):
            for name, amount in book.amounts:
                taken[name] = taken.get(name, 0) + amount
    return taken


def next_due_us(books: Books) -> int | None:
    """When the first of the Tier 3 tasks that wait will have waited too long; None if none waits."""
    heads = [q.first[4] for q in books.queues if q.tier == 3 and q.first is not None]
    return min((_due_us(books, book) for book in heads), default=None)


def _due_us(books: Books, book: TaskBook) -> int:
    """When it may have a window; at once if it is of a backfill that is behind its share."""
    due_us = book.ready_us + books.policy.patience_us + 1
    return min(due_us, books.now_us) if _is_owed(books, book) else due_us


def _is_owed(books: Books, book: TaskBook) -> bool:
    account = books.accounts.get(book.plan.run_id) if books.accounts else None
    return account is not None and account.is_behind(books.now_us, books.room.totals().get("cpu", 0))


def due(books: Books) -> list[TaskBook]:
    """The tasks whose windows have begun, those that have waited longest first."""
    return [books.tasks[i] for i in books.reservation.windows if has_begun(books, books.tasks[i])]


def has_just_begun(books: Books) -> bool:
    """Whether a window has begun since it was found: who was to have ended by now may run on."""
    made_us, now_us = books.reservation.made_us, books.now_us
    return any(made_us < first * BIN_US <= now_us for _, first, _ in books.reservation.windows.values())


def has_begun(books: Books, book: TaskBook) -> bool:
    """Whether the task has a window, and it has begun."""
    window = books.reservation.windows.get(book.plan.task_id)
    return window is not None and window[1] <= books.now_us // BIN_US
