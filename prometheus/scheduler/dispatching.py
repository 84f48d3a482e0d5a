"""Which ready tasks start now, where, and why do the others not?

Strict order of tiers; within a tier the task with the earliest latest start first (ties: release, id). A task that
does not fit lets others of its tier pass, so no room lies idle for a wide one of the same tier; but while a task of a
higher tier waits for room, nothing of a lower tier starts, or the small would for ever take what the wide one needs.
One that waits for a pool holds back only those of lower tiers that need the same pool. What lower tiers may take of the
room that is free says `admitting`; whose work a blocked Tier 1 task may end, `preempting`.
"""

from __future__ import annotations

import heapq

from prometheus.scheduler import admitting, announced, pressing
from prometheus.scheduler.books import Books, ReadyQueue, TaskBook
from prometheus.scheduler.decisions import RefuseStart, StartAttempt
from prometheus.scheduler.moving import move
from prometheus.scheduler.preempting import victims_for
from prometheus.scheduler.room import Place, Shortage
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.states import StopCause, TaskState
from prometheus.scheduler.verbs import stop

TIERS = (1, 2, 3)


def dispatch(books: Books) -> None:
    """Start what may start; refuse the heads of the other queues, each with its reason."""
    wall = _Wall()
    if not books.policy.has_tiers:
        _dispatch(books, None, wall)
        return
    for tier in TIERS:
        blocked = _dispatch(books, tier, wall)
        if tier == 1 and blocked and books.policy.preempts:
            _make_room(books, blocked)
        wall.rise()


def _make_room(books: Books, blocked: list[TaskBook]) -> None:
    """Let lower work end for Tier 1 tasks that run out of time, the most urgent first; wake when others will."""
    for book in blocked:
        victims = victims_for(books, book)
        for victim in victims:
            stop(books, victim, StopCause.PREEMPTED, f"makes room for {book.plan.task_id}")
        if victims:
            books.reservation.is_stale = True
            continue
        if book.latest_start_us >= NEVER_US:
            continue
        for limit_us in (books.policy.soft_us, books.policy.hard_us, books.policy.desperate_us):
            at_us = book.latest_start_us - limit_us + 1
            if books.now_us < at_us:
                books.alarms.set("slack", book.plan.task_id, at_us)
                break


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


def _dispatch(books: Books, tier: int | None, wall: _Wall) -> list[TaskBook]:
    """One tier, or all of them for a policy that knows none; the heads that wait for room, in order."""
    blocked: list[TaskBook] = []
    reserves = books.policy.reserves and tier is not None and tier > 1
    heads: list[tuple[tuple[int, int, str], int, ReadyQueue]] = []
    for number, queue in enumerate(books.queues.values()):
        if tier is None or queue.tier == tier:
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
        if tier == 3 and (held := pressing.why_held(books, book)) is not None:
            if book.refused_for != books.pressure:
                book.refused_for = books.pressure
                books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, held))
            heapq.heappop(heads)
            continue
        place = books.room.find(queue.demand)
        if place is None:
            shortage = books.room.shortage(queue.demand)
            if tier is not None:
                wall.note(book.plan.task_id, shortage)
            blocked.append(book)
            if book.refused_for != shortage:
                book.refused_for = shortage
                reason = books.room.explain(queue.demand, shortage) + announced.said_of(books, queue.demand)
                books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, reason))
            heapq.heappop(heads)
            continue
        if reserves and (kept := admitting.what_is_kept(books, book)) is not None:
            if book.refused_for != kept.what:
                book.refused_for = kept.what
                books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, kept.reason))
            heapq.heappop(heads)
            continue
        if not pressing.skips(books, book):
            start(books, book, place)
        following = queue.head(books.tasks)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following, number, queue))
    return blocked


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
    book.mode = pressing.mode_now(books, book)
    book.stop_cause, book.stop_reason = None, ""
    books.room.take(plan.task_id, plan.demand, place)
    books.holding[plan.task_id] = None
    if plan.tier > 1:
        admitting.admit(books, book, books.now_us)
    move(books, book, TaskState.STARTING, "")
    if book.latest_start_us >= NEVER_US:
        reason = f"Tier {plan.tier}, first in its queue, and it fits"
    else:
        slack_min = (book.latest_start_us - books.now_us) // 60_000_000
        reason = f"Tier {plan.tier}, {slack_min} min before its latest start, and it fits"
    if pressing.is_by_pressure(plan, book.failures, book.mode) and books.pressure is not None:
        reason += f"; in mode {book.mode!r}, for {pressing.said_of(books, books.pressure)}"
    books.decisions.append(
        StartAttempt(
            books.now_us, plan.task_id, book.attempts, place.bin_id, place.devices, book.mode, reason
        )
    )
