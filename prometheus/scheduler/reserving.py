"""What must stay free for Tier 1, and from when: the plan of the reservation.

It is a parallel schedule generation scheme (Kolisch, EJOR 1996): all unfinished Tier 1 work in order of latest start,
with q50 durations and known releases, under a cap on the cores. The smallest cap under which every deadline is met with
a margin is taken, so that Tier 1's work is spread thin and the rest stays free for others; the whole machine if none is
enough. It is a function of where everything stands now and of nothing before, so that a scheduler which was rebuilt
plans as the one before it would have.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prometheus.core.demand import Demand
from prometheus.scheduler import announced
from prometheus.scheduler.announced import Gap
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.packing import FIELD_BITS, LIMIT, guards, pack, unpack
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.reservation import BIN_US, Amounts
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.states import DONE, HOLDING_ROOM, TaskState

CAPS = (3, 4, 5, 6, 7, 8)  # eighths of the machine's cores
SMALL = {
    "cpu": 1_000,
    "gpu": 1_000,
    "memory": 1_024,
}  # of what a machine will lose, the parts that go one by one
PARTS_AT_MOST = 64
_NOBODY = TaskBook(TaskPlan("", "", "", 1, Demand(0)))  # stands for what is lost; it takes nothing by itself
PLANNED_AT_MOST = 5_000  # tasks; of more, those with the earliest latest starts


def plan(books: Books) -> None:
    """Make the plan anew, from where everything stands now."""
    reservation = books.reservation
    reservation.made_us, reservation.is_stale = books.now_us, False
    work = _work_of(books)
    gaps = announced.gaps(books) if work.books else []
    for eighths in CAPS:
        seen = _beside(work, gaps, eighths) if gaps else work
        found = _schedule(seen, eighths, may_fail=eighths < CAPS[-1])
        if found is not None:
            reservation.planned = _by_bin(seen, found)
            return
    raise AssertionError("the whole machine is always a plan")


@dataclass(slots=True)
class _Work:
    """Tier 1's unfinished work as arrays over its tasks, in order of latest start; demands are packed vectors."""

    now_us: int
    books: list[TaskBook]
    needs: list[int]
    earliest: list[int]
    typical: list[int]
    due: list[int]  # deadline less the margin; NEVER_US if there is none
    waits: list[
        int
    ]  # tasks before it that are planned here too, and one more if nobody knows when it may start
    after_it: list[list[int]]
    running: list[tuple[int, int]]  # (instant at which it ends, task)
    ready: list[
        tuple[int, int]
    ]  # (instant from which it may start, task): those that wait for none of the others
    free: list[int]  # what the machine has of each resource; cores first
    widest: int  # cores of the widest task
    guard: int
    places: dict[str, int]  # resource -> its field


def _work_of(books: Books) -> _Work:
    chosen = list(books.critical.values())
    if len(chosen) > PLANNED_AT_MOST:
        chosen = heapq.nsmallest(PLANNED_AT_MOST, chosen, key=_urgency)
    chosen.sort(key=_urgency)
    capacity, now_us, margin_us = books.room.totals(), books.now_us, books.policy.margin_us
    names = ["cpu", *sorted({name for book in chosen for name, _ in book.amounts} - {"cpu"})]
    place_of = {name: place for place, name in enumerate(names)}
    index = {book.plan.task_id: number for number, book in enumerate(chosen)}
    packed: dict[Amounts, int] = {}
    may_ever: dict[Demand, bool] = {}
    needs, earliest, typical, due, waits = [], [], [], [], []
    after_it: list[list[int]] = [[] for _ in chosen]
    running, ready = [], []
    for number, book in enumerate(chosen):
        task = book.plan
        need = packed.get(book.amounts)
        if need is None:
            need = packed[book.amounts] = sum(
                amount << (place_of[name] * FIELD_BITS) for name, amount in book.amounts
            )
        needs.append(need)
        typical.append(task.typical_us)
        due.append(NEVER_US if task.deadline_us is None else task.deadline_us - margin_us)
        count = 0
        if book.state in HOLDING_ROOM:
            running.append((now_us + _left_of(books, book), number))
            earliest.append(now_us)
        else:
            found = max(task.release_us, book.not_before_us, now_us)
            count = _never_counts(books, book, may_ever)
            for upstream_id in task.after:
                before = index.get(upstream_id)
                upstream = books.tasks.get(upstream_id)
                if before is not None:
                    after_it[before].append(number)
                    count += 1
                elif upstream is None or (upstream.state not in DONE and upstream.state not in HOLDING_ROOM):
                    count += 1  # nobody knows when: nothing is kept for what may not come, or the upstream's own way
                elif upstream.state in HOLDING_ROOM:
                    found = max(found, now_us + _left_of(books, upstream))
            earliest.append(found)
            if not count:
                ready.append((found, number))
        waits.append(count)
    return _Work(
        now_us,
        chosen,
        needs,
        earliest,
        typical,
        due,
        waits,
        after_it,
        running,
        ready,
        [min(capacity.get(name, 0), LIMIT) for name in names],
        max((book.plan.demand.cpu_milli for book in chosen), default=0),
        guards(len(names)),
        place_of,
    )


def _beside(work: _Work, gaps: Sequence[Gap], eighths: int) -> _Work:
    """The same work on a machine that will be smaller: what it loses is as many small tasks that nothing goes before.

    They are small, so that each takes the first room that gets free, as the loss does. Their numbers are negative,
    which puts them before all others and finds them at the end of the arrays. Of cores that the cap leaves unused
    none is lost.
    """
    spared = work.free[0] - work.free[0] * eighths // 8
    needs: list[int] = []
    begins: list[int] = []
    lengths: list[int] = []
    for begin_us, end_us, name, amount in gaps:
        left = amount - spared if name == "cpu" else amount
        if name not in work.places or left <= 0:
            continue
        step = max(SMALL.get(name, 1), -(-left // PARTS_AT_MOST))
        for part in range(0, left, step):
            needs.append(min(step, left - part) << (work.places[name] * FIELD_BITS))
            begins.append(begin_us)
            lengths.append(end_us - begin_us)
    count = len(needs)
    return replace(
        work,
        books=work.books + [_NOBODY] * count,
        needs=work.needs + needs,
        earliest=work.earliest + begins,
        typical=work.typical + lengths,
        due=work.due + [NEVER_US] * count,
        waits=work.waits + [0] * count,
        after_it=[*work.after_it, *([] for _ in needs)],
        ready=work.ready + [(begin_us, place - count) for place, begin_us in enumerate(begins)],
    )


def _never_counts(books: Books, book: TaskBook, may_ever: dict[Demand, bool]) -> int:
    """1 for a task that cannot start whatever ends before it: held, or larger than any bin of the machine as it is."""
    demand = book.plan.demand
    if demand not in may_ever:
        may_ever[demand] = books.room.fits_empty(demand)
    return int(book.state is TaskState.HELD or not may_ever[demand])


def _urgency(book: TaskBook) -> tuple[int, str]:
    return book.latest_start_us, book.plan.task_id


Interval = tuple[int, int, int]  # begin, end, task


def _schedule(work: _Work, eighths: int, *, may_fail: bool) -> list[Interval] | None:
    """When each task would run under the cap; None if a deadline is not met with its margin (and `may_fail`)."""
    needs, typical, due, earliest, guard = work.needs, work.typical, work.due, work.earliest, work.guard
    cores = max(work.free[0] * eighths // 8, min(work.widest, work.free[0]))
    free = _less(work, cores)
    waits = work.waits[:]
    coming, running = work.ready[:], work.running[:]
    heapq.heapify(coming)
    heapq.heapify(running)
    found = [(work.now_us, end_us, number) for end_us, number in running]
    ready: dict[int, list[int]] = {}  # need -> heap of tasks; their numbers are in order of latest start
    at_us = work.now_us
    while True:
        while coming and coming[0][0] <= at_us:
            number = heapq.heappop(coming)[1]
            heapq.heappush(ready.setdefault(needs[number], []), number)
        # In order of number, start what fits. What is free only shrinks meanwhile, so a need that does not fit is done.
        heads = [
            (queue[0], need)
            for need, queue in ready.items()
            if queue and ((free | guard) - need) & guard == guard
        ]
        heapq.heapify(heads)
        while heads:
            number, need = heads[0]
            rest = (free | guard) - need
            if rest & guard != guard:
                heapq.heappop(heads)
                continue
            end_us = at_us + typical[number]
            if may_fail and end_us > due[number]:
                return None
            free = rest & ~guard
            found.append((at_us, end_us, number))
            heapq.heappush(running, (end_us, number))
            queue = ready[need]
            heapq.heappop(queue)
            if queue:
                heapq.heapreplace(heads, (queue[0], need))
            else:
                heapq.heappop(heads)
        if running and (not coming or running[0][0] <= coming[0][0]):
            at_us = running[0][0]
        elif coming:
            at_us = coming[0][0]
        else:
            break  # what is left waits for something that is not planned
        while running and running[0][0] <= at_us:
            number = heapq.heappop(running)[1]
            free += needs[number]
            for after in work.after_it[number]:
                waits[after] -= 1
                if not waits[after]:
                    heapq.heappush(coming, (max(at_us, earliest[after]), after))
    return found


def _less(work: _Work, cores: int) -> int:
    """What is free beside what runs; where that is more than the cap, the cap is lifted to it."""
    fields = [cores, *work.free[1:]]
    held = [0] * len(fields)
    for _, number in work.running:
        for place, amount in enumerate(unpack(work.needs[number], len(fields))):
            held[place] += amount
    return pack([max(0, offered - used) for offered, used in zip(fields, held, strict=True)])


def _by_bin(work: _Work, intervals: list[Interval]) -> dict[str, dict[int, int]]:
    planned: dict[str, dict[int, int]] = {}
    for begin_us, end_us, number in intervals:
        first, last = begin_us // BIN_US, (end_us - 1) // BIN_US + 1
        for name, amount in work.books[number].amounts:
            bins = planned.setdefault(name, {})
            for place in range(first, last):
                bins[place] = bins.get(place, 0) + amount
    return planned


def _left_of(books: Books, book: TaskBook) -> int:
    began_us = books.now_us if book.attempt_started_us is None else book.attempt_started_us
    return left_us(book, books.now_us - began_us)


def left_us(book: TaskBook, elapsed_us: int) -> int:
    """The median of what is left of an attempt that has run so long: piecewise from its q50, q80 and q90."""
    plan = book.plan
    tail = max(plan.late_us - plan.typical_us, plan.typical_us // 10, 1)
    if elapsed_us < plan.typical_us:
        return max(plan.typical_us - elapsed_us, tail // 4)
    if elapsed_us < plan.late_us:
        return max((plan.late_us - elapsed_us) // 2, tail // 4)
    return tail // 2
