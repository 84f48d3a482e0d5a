"""Which ready tasks start now, where, and why do the others not?

Strict order of tiers; within a tier the task with the earliest latest start first (ties: release, id). A task that
does not fit lets others of its tier pass, so no room lies idle for a wide one of the same tier; but while a task of a
higher tier waits for room, nothing of a lower tier starts, or the small would for ever take what the wide one needs.
One that waits for a pool holds back only those of lower tiers that need the same pool.
"""

from __future__ import annotations

import heapq

from prometheus.scheduler.books import Books, ReadyQueue, TaskBook
from prometheus.scheduler.decisions import RefuseStart, StartAttempt
from prometheus.scheduler.moving import move
from prometheus.scheduler.room import Place, Shortage
from prometheus.scheduler.rules import NEVER_US, mode_after
from prometheus.scheduler.states import TaskState

TIERS = (1, 2, 3)


def dispatch(books: Books) -> None:
    """Start what may start; refuse the heads of the other queues, each with its reason."""
    wall = _Wall()
    for tier in TIERS:
        _dispatch_tier(books, tier, wall)
        wall.rise()


class _Wall:
    """What tasks of higher tiers wait for, and which of them."""

    def __init__(self) -> None:
        self.room: str | None = None
        self.pools: dict[str, str] = {}
        self._coming_room: str | None = None
        self._coming_pools: dict[str, str] = {}

    def note(self, task_id: str, shortage: Shortage) -> None:
        if shortage.is_for_ever or shortage.kind == "capacity":
            return
        if shortage.kind == "pool":
            self._coming_pools.setdefault(shortage.what, task_id)
        elif self._coming_room is None:
            self._coming_room = task_id

    def rise(self) -> None:
        """From now on lower tiers meet what was noted."""
        self.room = self.room or self._coming_room
        self.pools = self._coming_pools | self.pools

    def stops(self, queue: ReadyQueue) -> str | None:
        """The id of the task that goes first, or None."""
        if self.room is not None:
            return self.room
        return next((self.pools[pool] for pool, _ in queue.demand.pools if pool in self.pools), None)


def _dispatch_tier(books: Books, tier: int, wall: _Wall) -> None:
    heads: list[tuple[tuple[int, int, str], int, ReadyQueue]] = []
    for number, queue in enumerate(books.queues.values()):
        if queue.tier == tier:
            key = queue.head(books.tasks)
            if key is not None:
                heads.append((key, number, queue))
    heapq.heapify(heads)
    while heads:
        key, number, queue = heads[0]
        book = books.tasks[key[2]]
        first = wall.stops(queue)
        if first is not None:
            _refuse_for_tier(books, book, first)
            heapq.heappop(heads)
            continue
        place = books.room.find(queue.demand)
        if place is None:
            shortage = books.room.shortage(queue.demand)
            wall.note(book.plan.task_id, shortage)
            if book.refused_for != shortage:
                book.refused_for = shortage
                reason = books.room.explain(queue.demand, shortage)
                books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, reason))
            heapq.heappop(heads)
            continue
        start(books, book, place)
        following = queue.head(books.tasks)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following, number, queue))


def _refuse_for_tier(books: Books, book: TaskBook, first: str) -> None:
    if book.refused_for != first:
        book.refused_for = first
        reason = f"Tier {books.tasks[first].plan.tier} goes first: {first} waits for room"
        books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, reason))


def start(books: Books, book: TaskBook, place: Place) -> None:
    """Order the next attempt of a ready task."""
    plan = book.plan
    book.attempts += 1
    book.place = place
    book.mode = mode_after(plan, book.failures)
    book.stop_cause, book.stop_reason = None, ""
    books.room.take(plan.task_id, plan.demand, place)
    books.holding[plan.task_id] = None
    move(books, book, TaskState.STARTING, "")
    if book.latest_start_us >= NEVER_US:
        reason = f"Tier {plan.tier}, first in its queue, and it fits"
    else:
        slack_min = (book.latest_start_us - books.now_us) // 60_000_000
        reason = f"Tier {plan.tier}, {slack_min} min before its latest start, and it fits"
    books.decisions.append(
        StartAttempt(
            books.now_us, plan.task_id, book.attempts, place.bin_id, place.devices, book.mode, reason
        )
    )
