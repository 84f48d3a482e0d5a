"""May a lower task take room that is free now, with what Tier 1 will need?

A task that cannot checkpoint must fit beside the reservation for its whole q90 duration; one that can needs only the
present bin, since it can be stopped at little loss. Tier 3 also keeps out of the windows of those that have waited longer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from prometheus.core.instants import from_us
from prometheus.scheduler import announced
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.reservation import BIN_US, said_of
from prometheus.scheduler.reserving import plan
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.states import ENDED
from prometheus.scheduler.windows import (
    bins_of,
    can_make_room,
    has_just_begun,
    keeps_out,
    next_due_us,
    open_windows,
)

FOLLOWED_AT_MOST = 1_000  # tasks downstream that are looked at


@dataclass(frozen=True, slots=True)
class Kept:
    """What the room is kept for. `what` changes only when the reason to tell does."""

    what: tuple[str, str]
    place: int  # the bin from which it is kept
    is_now: bool

    @property
    def reason(self) -> str:
        """Why the task does not start; made only when it is told, for most turns ask and find nothing new."""
        until = (
            "now"
            if self.is_now
            else f"from {from_us(self.place * BIN_US):%H:%M} UTC, and it cannot checkpoint"
        )
        return f"fits now, but {said_of(self.what[1])} is kept for Tier 1 and earlier promises {until}"


def what_is_kept(books: Books, book: TaskBook) -> Kept | None:
    """Why a lower task that would fit now may not start; None if it may."""
    if is_old(books):
        look_again(books)
    found = _blocks(books, book)
    if found is None:
        return None
    books.alarms.set("replan", "", books.now_us + books.policy.replan_us)
    name, place = found
    return Kept(("kept", name), place, place == books.now_us // BIN_US)


def is_old(books: Books) -> bool:
    """Whether plan and windows are to be made anew before they are asked."""
    return books.reservation.is_stale or books.now_us - books.reservation.made_us >= books.policy.replan_us


def look_again(books: Books) -> None:
    """Make plan and windows anew, from where everything stands now."""
    plan(books)
    announced.withhold(books)
    open_windows(books)


def watch(books: Books) -> None:
    """See to it that those who have waited too long get windows, also while the machine is full and nobody asks."""
    if not books.policy.reserves or not books.policy.windows or not (is_old(books) or has_just_begun(books)):
        return
    due_us = next_due_us(books)
    if due_us is None:
        return
    if books.now_us >= due_us:
        look_again(books)
        due_us = books.now_us + books.policy.replan_us
    books.alarms.set("window", "", due_us)


def _blocks(books: Books, book: TaskBook) -> tuple[str, int] | None:
    heeds_windows = keeps_out(books, book)
    name = kept_now(books, book, (), heeds_windows=heeds_windows)
    if name is not None:
        return name, books.now_us // BIN_US
    return _blocks_later(books, book, heeds_windows=heeds_windows)


def _blocks_later(books: Books, book: TaskBook, *, heeds_windows: bool) -> tuple[str, int] | None:
    """What is kept from a task that could start now, before its time is over; nothing is from one that can make room."""
    if can_make_room(books, book):
        return None
    here, own = books.now_us // BIN_US, book.plan.task_id
    return books.reservation.blocks(
        book.amounts,
        books.room.totals(),
        here + 1,
        bins_of(book) - 1,
        heeds_windows=heeds_windows,
        own=own,
    )


def who_would_do(books: Books, book: TaskBook) -> Callable[[set[str]], bool] | None:
    """A test whether a task could start in its window, which has begun, if these had ended; None if nobody's end helps."""
    if _blocks_later(books, book, heeds_windows=True) is not None:
        return None
    demand = book.plan.demand
    return lambda gone: (
        kept_now(books, book, gone, heeds_windows=True) is None and books.room.fits_without(demand, gone)
    )


def kept_now(books: Books, book: TaskBook, gone: Collection[str], *, heeds_windows: bool) -> str | None:
    """The resource that is kept from it at this moment, beside what lower tasks hold but for `gone`; None if none is.

    Its own window keeps nothing from it.
    """
    reservation, capacity, here = books.reservation, books.room.totals(), books.now_us // BIN_US
    windows = reservation.windowed_beside(book.plan.task_id) if heeds_windows else {}
    freed: dict[str, int] = {}
    for task_id in gone:
        other = books.tasks[task_id]
        if other.plan.tier > 1:
            for name, amount in other.amounts:
                freed[name] = freed.get(name, 0) + amount
    for name, amount in book.amounts:
        used = books.lower_use.get(name, 0) - freed.get(name, 0)
        for bins in (reservation.planned, windows):
            if name in bins:
                used += bins[name].get(here, 0)
        if used + amount > capacity.get(name, 0):
            return name
    return None


def is_waited_for(books: Books, book: TaskBook) -> bool:
    """Whether Tier 1 waits for this lower task: nothing is kept from it then, for what is kept may be kept for its sake.

    Priority inheritance (Sha, Rajkumar and Lehoczky, 1990). Without it a job of seconds waits for the next plan while
    the machine lies idle, and Tier 1 with it.
    """
    if book.latest_start_us >= NEVER_US:
        return False  # Tier 1 has deadlines, and what is before it inherits them
    stack, seen = list(book.downstream), set(book.downstream)
    while stack and len(seen) <= FOLLOWED_AT_MOST:
        follower = stack.pop()
        if follower.state in ENDED:
            continue
        if follower.plan.tier == 1:
            return True
        new = [one for one in follower.downstream if one not in seen]
        seen.update(new)
        stack += new
    return False


def admit(books: Books, book: TaskBook, at_us: int) -> None:
    """A lower task was started at `at_us`: note what it holds and, if it cannot checkpoint, promise it its time."""
    for name, amount in book.amounts:
        books.lower_use[name] = books.lower_use.get(name, 0) + amount
    if not can_make_room(books, book):
        books.reservation.promise(book.plan.task_id, book.amounts, at_us // BIN_US, bins_of(book))


def release(books: Books, book: TaskBook) -> None:
    """A lower task holds its room no longer."""
    for name, amount in book.amounts:
        books.lower_use[name] -= amount
    books.reservation.end(book.plan.task_id)
