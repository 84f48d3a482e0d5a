"""May a lower task take room that is free now, with what Tier 1 will need?

A task that cannot checkpoint must fit beside the reservation for its whole q90 duration; one that can needs only the
present bin, since it can be stopped at little loss. A Tier 3 task that has waited too long gets a window of its own: the
earliest stretch in which it fits, kept free of other lower work.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.core.instants import from_us
from prometheus.scheduler import announced
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.reservation import BIN_US, Amounts, said_of
from prometheus.scheduler.reserving import plan
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.states import ENDED

FOLLOWED_AT_MOST = 1_000  # tasks downstream that are looked at
WINDOW_WITHIN_BINS = 12 * 24  # a window further off than a day is no help


@dataclass(frozen=True, slots=True)
class Kept:
    """What the room is kept for. `what` changes only when the reason to tell does."""

    what: tuple[str, str]
    reason: str


def what_is_kept(books: Books, book: TaskBook) -> Kept | None:
    """Why a lower task that would fit now may not start; None if it may."""
    reservation, capacity = books.reservation, books.room.totals()
    if reservation.is_stale or books.now_us - reservation.made_us >= books.policy.replan_us:
        plan(books)
        announced.withhold(books)
        _open_windows(books)
    here = books.now_us // BIN_US
    own = reservation.close_window(book.plan.task_id)
    found = _blocked_now(books, book.amounts, capacity, here)
    if found is None and not can_make_room(books, book):
        found = reservation.blocks(book.amounts, capacity, here + 1, bins_of(book) - 1)
    if found is None:
        return None
    if own is not None:
        amounts, first, last = own
        reservation.open_window(book.plan.task_id, amounts, first, last - first)
    books.alarms.set("replan", "", books.now_us + books.policy.replan_us)
    name, place = found
    until = "now" if place == here else f"from {from_us(place * BIN_US):%H:%M} UTC, and it cannot checkpoint"
    return Kept(
        ("kept", name), f"fits now, but {said_of(name)} is kept for Tier 1 and earlier promises {until}"
    )


def is_waited_for(books: Books, book: TaskBook) -> bool:
    """Whether Tier 1 waits for this lower task: nothing is kept from it then, for what is kept may be kept for its sake.

    Priority inheritance (Sha, Rajkumar and Lehoczky, 1990). Without it a job of seconds waits for the next plan while
    the machine lies idle, and Tier 1 with it.
    """
    if book.latest_start_us >= NEVER_US:
        return False  # Tier 1 has deadlines, and what is before it inherits them
    stack, seen = list(book.downstream), set(book.downstream)
    while stack and len(seen) <= FOLLOWED_AT_MOST:
        follower = books.tasks[stack.pop()]
        if follower.state in ENDED:
            continue
        if follower.plan.tier == 1:
            return True
        new = [task_id for task_id in follower.downstream if task_id not in seen]
        seen.update(new)
        stack += new
    return False


def admit(books: Books, book: TaskBook, at_us: int) -> None:
    """A lower task was started at `at_us`: note what it holds and, if it cannot checkpoint, promise it its time."""
    for name, amount in book.amounts:
        books.lower_use[name] = books.lower_use.get(name, 0) + amount
    if books.policy.reserves and not can_make_room(books, book):
        books.reservation.promise(book.plan.task_id, book.amounts, at_us // BIN_US, bins_of(book))


def release(books: Books, book: TaskBook) -> None:
    """A lower task holds its room no longer."""
    for name, amount in book.amounts:
        books.lower_use[name] -= amount
    books.reservation.end(book.plan.task_id)


def can_make_room(books: Books, book: TaskBook) -> bool:
    """Whether it can be stopped at little loss when Tier 1 needs its room."""
    return book.plan.checkpoint_every_us is not None and books.policy.preempts


def bins_of(book: TaskBook) -> int:
    """How many bins an attempt may take: its q90."""
    return book.plan.late_us // BIN_US + 1


def _blocked_now(
    books: Books, amounts: Amounts, capacity: dict[str, int], here: int
) -> tuple[str, int] | None:
    reservation = books.reservation
    for name, amount in amounts:
        planned = reservation.planned.get(name, {}).get(here, 0)
        lower = books.lower_use.get(name, 0) + reservation.windowed(name, here)
        if planned + lower + amount > capacity.get(name, 0):
            return name, here
    return None


def _open_windows(books: Books) -> None:
    """Give the Tier 3 tasks that have waited longest a window each, as many as the policy allows at once."""
    reservation, policy = books.reservation, books.policy
    for task_id in list(reservation.windows):
        reservation.close_window(task_id)
    waiting = []
    for queue in books.queues.values():
        head = queue.head(books.tasks) if queue.tier == 3 else None
        if head is None:
            continue
        book = books.tasks[head[2]]
        account = books.accounts.get(book.plan.run_id)
        if account is not None and account.is_behind(books.now_us, books.room.totals().get("cpu", 0)):
            waiting.append((-1, head[2]))  # it is owed: before whoever has waited longest
        elif books.now_us - book.ready_us > policy.patience_us:
            waiting.append((book.ready_us, head[2]))
    capacity, here = books.room.totals(), books.now_us // BIN_US
    for _, task_id in sorted(waiting)[: policy.windows]:
        book = books.tasks[task_id]
        first, count = here, bins_of(book)
        while first < here + WINDOW_WITHIN_BINS:
            blocked = reservation.blocks(book.amounts, capacity, first, count)
            if blocked is None:
                reservation.open_window(task_id, book.amounts, first, count)
                if first > here:
                    books.alarms.set("window", task_id, first * BIN_US)
                break
            first = blocked[1] + 1
