"""What must stay free for Tier 1, and from when: the plan of the reservation.

It is a parallel schedule generation scheme (Kolisch, EJOR 1996): all unfinished Tier 1 work in order of latest start,
from its known releases, each part of it (a market's pipeline: what hangs together by edges) under a cap on the cores in
use. Every part has the smallest cap under which its deadlines are met with a margin, so that Tier 1's work is spread
thin and the rest stays free for others; the whole machine if none is enough. When a part turns out late, its cap is
raised and the plan goes on from the instant at which that part began, not from the start.

It is a function of where everything stands now and of nothing before, so that a scheduler which was rebuilt plans as
the one before it would have.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from prometheus.scheduler import announced
from prometheus.scheduler.books import Books
from prometheus.scheduler.packing import FIELD_BITS, LIMIT, guards, pack
from prometheus.scheduler.reservation import BIN_US, Frame
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.unfinished import Unfinished, frame_of, rule_of, unfinished

CAPS = (3, 4, 5, 6, 7, 8)  # eighths of the machine's cores
RETURNS_AT_MOST = (
    128  # of a plan to the beginning of a part; after them every late part has the whole machine
)

Step = tuple[int, int]  # (instant, packed use from then on)


def plan(books: Books) -> None:
    """Make the plan anew, from where everything stands now."""
    reservation, now_us = books.reservation, books.now_us
    was_stale, reservation.made_us, reservation.is_stale = reservation.is_stale, now_us, False
    if (
        not was_stale
        and now_us < reservation.quiet_until_us
        and _is_for(reservation.frame, rule_of(books.policy))
    ):
        return  # all of Tier 1 is still to come, so it would be the same again
    frame = frame_of(books)
    totals = books.room.totals()
    offered = [min(totals.get(name, 0), LIMIT) for name in frame.names]
    limits = _limits(books, frame, offered)
    work = unfinished(books, frame)
    reservation.planned = _by_bin(frame, _schedule(frame, work, offered[0], limits))
    is_quiet = not work.running and not books.coming and not any(frame.outside[one] for one in work.open)
    reservation.quiet_until_us = _first_us(work) if is_quiet else 0


def _is_for(frame: Frame | None, rule: tuple[float, int]) -> bool:
    return frame is not None and frame.rule == rule


def _first_us(work: Unfinished) -> int:
    """Until when nothing can happen to the tasks that have not begun, by the clock alone."""
    return min((work.earliest[number] for number in work.open), default=NEVER_US)


def _limits(books: Books, frame: Frame, offered: list[int]) -> list[Step]:
    """What the machine has for Tier 1, and from when; later only what it is known to lose, as if it got nothing more."""
    coming = announced.gaps(books) if frame.task_ids else []
    at = sorted({books.now_us, *(at_us for begin_us, end_us, _, _ in coming for at_us in (begin_us, end_us))})
    place_of = {name: place for place, name in enumerate(frame.names)}
    found: list[Step] = []
    for at_us in at:
        fields = offered[:]
        for begin_us, end_us, name, less in coming:
            if begin_us <= at_us < end_us and name in place_of:
                fields[place_of[name]] = max(0, fields[place_of[name]] - less)
        found.append((at_us, pack([*fields, offered[0]])))
    return found


@dataclass(slots=True)
class _State:
    """Where a schedule stands at an instant."""

    at_us: int
    used: int  # packed
    waits: list[int]
    coming: list[tuple[int, int]]  # heap of (instant, task that may start then)
    running: list[tuple[int, int]]  # heap of (instant, task that ends then)
    ready: dict[int, list[int]]  # need, lifted by what the cap leaves out -> heap of tasks
    steps: int  # how many have been written

    def copy(self, at_us: int, used: int, steps: int) -> _State:
        ready = {need: queue[:] for need, queue in self.ready.items()}
        return _State(at_us, used, self.waits[:], self.coming[:], self.running[:], ready, steps)


def _schedule(frame: Frame, work: Unfinished, cores: int, limits: list[Step]) -> list[Step]:
    """What would be in use, from when on, each part under the smallest of its caps that is enough.

    Cores are counted twice: in the first field beside what the machine will have then, in the last beside the cap.
    """
    needs, takes, due, part_of, after = frame.needs, frame.takes, frame.due, frame.part, frame.after
    earliest, guard = work.earliest, guards(len(frame.names) + 1)
    caps = _caps(frame, work, cores)
    hurried = {part_of[number] for number in work.open if due[number] < NEVER_US}  # no other is ever late
    now_us, limit_at = limits[0][0], 0
    limit = limits[0][1] | guard
    used = sum(needs[number] for _, number in work.running)
    state = _State(now_us, used, work.waits[:], work.ready[:], work.running[:], {}, 0)
    heapq.heapify(state.coming)
    heapq.heapify(state.running)
    steps: list[Step] = []
    begun: dict[int, _State] = {}  # part -> where the schedule stood when its first task came
    capped = len(frame.names) * FIELD_BITS  # where the last field begins
    returns = 0
    at_us, waits, coming, running, ready = now_us, state.waits, state.coming, state.running, state.ready
    while True:
        late = -1
        while coming and coming[0][0] <= at_us:
            number = coming[0][1]
            part = part_of[number]
            if part in hurried and part not in begun and len(caps[part]) > 1:
                begun[part] = state.copy(at_us, used, len(steps))
            heapq.heappop(coming)
            heapq.heappush(ready.setdefault(needs[number] + (caps[part][-1] << capped), []), number)
        # In order of number, start what fits. What is free only shrinks meanwhile, so a need that does not fit is done.
        room = limit - used
        heads = [(queue[0], need) for need, queue in ready.items() if (room - need) & guard == guard]
        heapq.heapify(heads)
        while heads:
            number, lifted = heads[0]
            if (limit - used - lifted) & guard != guard:
                heapq.heappop(heads)
                continue
            end_us = at_us + takes[number]
            if end_us > due[number] and len(caps[part_of[number]]) > 1:
                late = part_of[number]
                break
            used += needs[number]
            heapq.heappush(running, (end_us, number))
            queue = ready[lifted]
            heapq.heappop(queue)
            if queue:
                heapq.heapreplace(heads, (queue[0], lifted))
            else:
                del ready[lifted]
                heapq.heappop(heads)
        if late >= 0:
            returns += 1
            caps[late].pop()
            if returns >= RETURNS_AT_MOST:
                del caps[late][1:]
            state = begun[late]
            del steps[state.steps :]
            for part in list(begun)[list(begun).index(late) :]:
                del begun[part]
            if len(caps[late]) > 1:
                begun[late] = state.copy(state.at_us, state.used, state.steps)
            at_us, used = state.at_us, state.used
            waits, coming, running, ready = state.waits, state.coming, state.running, state.ready
            limit_at = bisect_right(limits, at_us, key=_instant) - 1
            limit = limits[limit_at][1] | guard
            continue
        steps.append((at_us, used))
        if running and (not coming or running[0][0] <= coming[0][0]):
            at_us = running[0][0]
        elif coming:
            at_us = coming[0][0]
        elif ready and limit_at + 1 < len(limits):
            at_us = limits[limit_at + 1][0]
        else:
            return steps  # what is left waits for something that is not planned
        if limit_at + 1 < len(limits) and limits[limit_at + 1][0] <= at_us:
            limit_at += 1
            at_us, limit = limits[limit_at][0], limits[limit_at][1] | guard
        while running and running[0][0] <= at_us:
            number = heapq.heappop(running)[1]
            used -= needs[number]
            for following in after[number]:
                waits[following] -= 1
                if not waits[following]:
                    heapq.heappush(coming, (max(at_us, earliest[following]), following))


def _instant(step: Step) -> int:
    return step[0]


def _caps(frame: Frame, work: Unfinished, cores: int) -> dict[int, list[int]]:
    """Of each part, what its caps leave out of the cores, from the whole machine (0) to the smallest that may do.

    A cap is no narrower than the part's widest task, and not so narrow that it would have to be full for more than three
    quarters of the time to the part's last deadline, which tasks that wait for each other hardly reach.
    """
    widest: dict[int, int] = {}
    area: dict[int, int] = {}
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for number in work.open:
        part, wide = frame.part[number], frame.cores[number]
        widest[part] = max(widest.get(part, 0), wide)
        due_us = frame.due[number]
        if due_us < NEVER_US:
            area[part] = area.get(part, 0) + wide * frame.takes[number]
            begin[part] = min(begin.get(part, NEVER_US), work.earliest[number])
            end[part] = max(end.get(part, 0), due_us)
    found: dict[int, list[int]] = {}
    for part, wide in widest.items():
        least = min(wide, cores)
        if part in area:
            span_us = end[part] - begin[part]
            least = max(least, area[part] * 4 // (3 * span_us)) if span_us > 0 else cores
        left_out = [cores - max(cores * eighths // CAPS[-1], least) for eighths in reversed(CAPS)]
        found[part] = sorted({max(0, out) for out in left_out} | {0})
    return found


def _by_bin(frame: Frame, steps: list[Step]) -> dict[str, dict[int, int]]:
    """The most that is in use of each resource in each bin of time."""
    planned: dict[str, dict[int, int]] = {name: {} for name in frame.names}
    for (begin_us, used), (end_us, _) in pairwise(steps):
        if not used or end_us <= begin_us:
            continue
        first, last = begin_us // BIN_US, (end_us - 1) // BIN_US
        for place, name in enumerate(frame.names):
            amount = (used >> (place * FIELD_BITS)) & LIMIT
            if amount:
                bins = planned[name]
                for one in range(first, last + 1):
                    if bins.get(one, 0) < amount:
                        bins[one] = amount
    return {name: bins for name, bins in planned.items() if bins}
