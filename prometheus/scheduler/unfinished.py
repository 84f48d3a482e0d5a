"""What does Tier 1 still have to do, and when may each of its tasks start at the earliest?

The plan of the reservation asks this every few minutes of a night. What does not change between two plans (who waits for
whom, which demand, due when) is laid out once, as a `Frame` of arrays in order of latest start, and again when a run
is opened or much of it has ended.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Sequence

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.frame import Frame, Part, Standing, key_of
from prometheus.scheduler.packing import FIELD_BITS, LIMIT
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.rules import NEVER_US, deadline_that_counts
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, TaskState

PLANNED_AT_MOST = 5_000  # tasks; of more, those with the earliest latest starts
CAPS = (3, 4, 5, 6, 7, 8)  # eighths of the machine's cores
FRAME_SLACK = 1_000  # ended tasks that a frame may carry along beside as many as have not ended


def stand(books: Books) -> Standing:
    """Where Tier 1's unfinished work stands now. Parts that cannot have changed since the last plan are not looked at."""
    reservation = books.reservation
    frame = frame_of(books)
    standing = reservation.standing
    if standing is None or standing.frame is not frame:
        standing = reservation.standing = Standing(frame)
        again = {part: _look_at(books, frame, numbers) for part, numbers in _by_part(frame, 0).items()}
    else:
        parts = standing.parts
        due = bisect_right(standing.later, (books.now_us, NEVER_US))
        moved = [frame.parts.get(task_id, -1) for task_id in reservation.moved]
        stale = {*standing.live, *(part for _, part in standing.later[:due]), *moved}
        again = {
            part: _look_at(books, frame, parts[part].unfinished) for part in sorted(stale & parts.keys())
        }
    reservation.moved.clear()
    _enter(standing, again)
    if frame.rest and standing.unfinished < PLANNED_AT_MOST:
        longer = _extended(books, frame, PLANNED_AT_MOST - standing.unfinished)
        if longer is None:
            reservation.frame = _lay_out(books, frame)
            return stand(books)
        begin, frame = len(frame.task_ids), longer
        reservation.frame = standing.frame = frame
        for part, more in _by_part(frame, begin).items():
            known = standing.parts.get(part)
            again[part] = _look_at(books, frame, more if known is None else known.unfinished + more)
        _enter(standing, again)
    return standing


def _by_part(frame: Frame, begin: int) -> dict[int, list[int]]:
    """The numbers from `begin` on, by part."""
    found: dict[int, list[int]] = {}
    for number in range(begin, len(frame.task_ids)):
        found.setdefault(frame.part[number], []).append(number)
    return found


def _enter(standing: Standing, again: dict[int, Part]) -> None:
    """Note where these parts stand now."""
    parts = standing.parts
    later = [entry for entry in standing.later if entry[1] not in again]
    for number, part in again.items():
        before = parts.pop(number, None)
        if before is not None:
            standing.unfinished -= len(before.unfinished)
            standing.key ^= before.key
        if part.unfinished:
            parts[number] = part
            standing.unfinished += len(part.unfinished)
            standing.key ^= part.key
            if not part.is_live:
                insort(later, (part.first_us, number))
    standing.later = later
    standing.live = [number for number, part in again.items() if part.unfinished and part.is_live]
    standing.changed = list(again)


def _look_at(books: Books, frame: Frame, numbers: Sequence[int]) -> Part:
    """Where these tasks stand, which are all of a part that had not ended when it was last looked at."""
    now_us, tasks, task_ids, needs = books.now_us, books.tasks, frame.task_ids, frame.needs
    not_ended: list[int] = []
    open_: list[int] = []
    earliest: list[int] = []
    waits: list[int] = []
    ready: list[tuple[int, int]] = []
    running: list[tuple[int, int]] = []
    in_vain: list[int] = []
    has_outside, key = False, 0
    may_ever: dict[int, bool] = {}
    begins: list[int] = []
    ends: dict[int, int] = {}  # no schedule can be quicker
    for number in numbers:
        book = tasks[task_ids[number]]
        state = book.state
        if state in ENDED:
            continue
        not_ended.append(number)
        if state in HOLDING_ROOM:
            ends[number] = now_us + left_of(books, book)
            running.append((ends[number], number))
            continue
        at_us = max(book.plan.release_us, book.not_before_us, now_us)
        begin_us, planned, unknown = at_us, 0, 0
        has_outside |= bool(frame.outside[number])
        if book.missing or book.broken:
            for before in frame.before[number]:
                planned += tasks[task_ids[before]].state not in DONE
                begin_us = max(begin_us, ends.get(before, 0))
            for upstream_id in frame.outside[number]:
                upstream = tasks.get(upstream_id)
                if upstream is None or (upstream.state not in DONE and upstream.state not in HOLDING_ROOM):
                    unknown += 1  # nobody knows when: nothing is kept for what may not come, or the upstream's own way
                elif upstream.state in HOLDING_ROOM:
                    at_us = max(at_us, now_us + left_of(books, upstream))
        need = needs[number]
        if need not in may_ever:
            may_ever[need] = books.room.fits_empty(book.plan.demand)
        unknown += state is TaskState.HELD or not may_ever[need]
        if unknown:
            in_vain.append(number)
        open_.append(number)
        earliest.append(at_us)
        waits.append(planned + unknown)
        begins.append(begin_us)
        ends[number] = begin_us + frame.takes[number]
        key ^= key_of(number)
        if not planned and not unknown:
            ready.append((at_us, number))
    first_us = min(earliest, default=NEVER_US)
    return Part(
        unfinished=not_ended,
        open=open_,
        earliest=earliest,
        waits=waits,
        ready=ready,
        running=running,
        left_out=_caps(frame, open_, earliest, begins, books.room.totals().get("cpu", 0)) if open_ else [0],
        startable=len(open_) - (_in_vain(frame, in_vain, open_) if in_vain else 0),
        is_hurried=any(frame.due[number] < NEVER_US for number in open_),
        first_us=first_us,
        is_live=bool(running) or has_outside or first_us <= now_us,
        key=key,
    )


def _in_vain(frame: Frame, found: list[int], open_: list[int]) -> int:
    """How many tasks wait for these, which nobody knows to begin; they themselves count."""
    among, seen, stack = set(open_), set(found), list(found)
    while stack:
        for following in frame.after[stack.pop()]:
            if following in among and following not in seen:
                seen.add(following)
                stack.append(following)
    return len(seen)


def _caps(frame: Frame, numbers: list[int], earliest: list[int], begins: list[int], cores: int) -> list[int]:
    """What the caps of a part leave out of the cores, from the whole machine (0) to the smallest that may do.

    A cap is no narrower than the part's widest task, and not so narrow that it would have to be full for more than three
    quarters of the time to the part's last deadline, which tasks that wait for each other hardly reach.
    """
    cores = min(cores, LIMIT)
    wide = [frame.cores[number] for number in numbers]
    least = min(max(wide), cores)
    area, begin_us, end_us = 0, NEVER_US, 0
    for number, own, at_us in zip(numbers, wide, earliest, strict=True):
        due_us = frame.due[number]
        if due_us < NEVER_US:
            area += own * frame.takes[number]
            begin_us, end_us = min(begin_us, at_us), max(end_us, due_us)
    if begin_us < NEVER_US:
        span_us = end_us - begin_us
        least = max(least, area * 4 // (3 * span_us)) if span_us > 0 else cores
        least = max(least, min(cores, _least(frame, numbers, begins, cores)))
    return sorted({0, *(max(0, cores - max(cores * eighths // CAPS[-1], least)) for eighths in CAPS)})


def _least(frame: Frame, numbers: list[int], begins: list[int], cores: int) -> int:
    """Under fewer cores some deadline is missed for sure; all of them where a chain of tasks is late by itself."""
    area, begin_us, least = 0, NEVER_US, 0
    for due_us, at_us, number in sorted(
        (frame.due[number], at_us, number) for number, at_us in zip(numbers, begins, strict=True)
    ):
        if due_us >= NEVER_US:
            break
        takes_us = frame.takes[number]
        if at_us + takes_us > due_us:
            return cores
        area += frame.cores[number] * takes_us
        begin_us = min(begin_us, at_us)
        if area:  # tasks of no duration may all be due at the very instant at which they begin
            least = max(least, -(-area // (due_us - begin_us)))
    return least


def frame_of(books: Books) -> Frame:
    """The frame of the present; it is kept from plan to plan while it holds little that has ended."""
    frame, left = books.reservation.frame, min(len(books.critical), PLANNED_AT_MOST)
    is_for = frame is not None and frame.rule == rule_of(books.policy)
    if frame is None or not is_for or len(frame.task_ids) > 2 * left + FRAME_SLACK:
        frame = books.reservation.frame = _lay_out(books, frame if is_for else None)
    return frame


def _lay_out(books: Books, known: Frame | None) -> Frame:
    """The frame; with a known one it costs no more where a hundred times as many tasks come later."""
    if known is None:
        in_order = [book.plan.task_id for book in sorted(books.critical.values(), key=_urgency)]
    else:
        in_order = [*known.task_ids, *known.rest]
    chosen, looked_at = _first_of(books, in_order, PLANNED_AT_MOST)
    names = ("cpu", *sorted({name for book in chosen for name, _ in book.amounts} - {"cpu"}))
    place_of = {name: place for place, name in enumerate(names)}
    index = {book.plan.task_id: number for number, book in enumerate(chosen)}
    after: list[list[int]] = [[] for _ in chosen]
    before = [[index[i] for i in book.plan.after if i in index] for book in chosen]
    for number, numbers in enumerate(before):
        for upstream in numbers:
            after[upstream].append(number)
    takes = [planned_us(book.plan, books.policy) for book in chosen]
    due = [_own_due(books, book) for book in chosen]
    _hurry_all(due, takes, before, after)
    parts = known.parts if known else {}
    return Frame(
        rule=rule_of(books.policy),
        task_ids=tuple(index),
        names=names,
        needs=[_packed(book, place_of) for book in chosen],
        cores=[book.plan.demand.cpu_milli for book in chosen],
        takes=takes,
        due=due,
        before=before,
        outside=[[i for i in book.plan.after if i not in index] for book in chosen],
        after=after,
        part=_parts(books, index, parts),
        rest=in_order[looked_at:],
        parts=parts,
    )


def _extended(books: Books, frame: Frame, count: int) -> Frame | None:
    """The frame with so many of the tasks that come next; None if it must be laid out anew for them."""
    chosen, looked_at = _first_of(books, frame.rest, count)
    place_of = {name: place for place, name in enumerate(frame.names)}
    if books.has_circle or any(name not in place_of for book in chosen for name, _ in book.amounts):
        return None
    begin = len(frame.task_ids)
    task_ids = (*frame.task_ids, *(book.plan.task_id for book in chosen))
    index = {task_id: number for number, task_id in enumerate(task_ids)}
    before, after, outside = frame.before[:], frame.after[:], frame.outside[:]
    for book in chosen:
        before.append([index[i] for i in book.plan.after if i in index])
        outside.append([i for i in book.plan.after if i not in index])
        after.append([])
    for number, book in enumerate(chosen, begin):
        for upstream in before[number]:
            after[upstream] = [*after[upstream], number]
        for downstream in book.downstream:
            follower = index.get(downstream.plan.task_id, begin)
            if follower < begin:  # as urgent as this one, and known before
                before[follower] = [*before[follower], number]
                outside[follower] = [i for i in outside[follower] if i != book.plan.task_id]
                after[number].append(follower)
    takes = frame.takes + [planned_us(book.plan, books.policy) for book in chosen]
    due = frame.due + [_own_due(books, book) for book in chosen]
    _hurry(due, takes, before, {*range(begin, len(due)), *(one for found in after[begin:] for one in found)})
    return Frame(
        rule=frame.rule,
        task_ids=task_ids,
        names=frame.names,
        needs=frame.needs + [_packed(book, place_of) for book in chosen],
        cores=frame.cores + [book.plan.demand.cpu_milli for book in chosen],
        takes=takes,
        due=due,
        before=before,
        outside=outside,
        after=after,
        part=frame.part + _parts(books, task_ids[begin:], frame.parts),
        rest=frame.rest[looked_at:],
        parts=frame.parts,
    )


def _first_of(books: Books, in_order: Sequence[str], count: int) -> tuple[list[TaskBook], int]:
    """The first so many that have not ended, and how many were looked at for it."""
    chosen: list[TaskBook] = []
    looked_at = 0
    for task_id in in_order:
        if len(chosen) == count:
            break
        looked_at += 1
        if task_id in books.critical:
            chosen.append(books.critical[task_id])
    return chosen, looked_at


def _packed(book: TaskBook, place_of: dict[str, int]) -> int:
    """Its amounts, and its cores once more in a field of their own."""
    need = book.plan.demand.cpu_milli << (len(place_of) * FIELD_BITS)
    for name, amount in book.amounts:
        need += amount << (place_of[name] * FIELD_BITS)
    return need


def rule_of(policy: Policy) -> tuple[float, int]:
    """What of a policy a frame depends on."""
    return policy.caution, policy.margin_us


def planned_us(plan: TaskPlan, policy: Policy) -> int:
    """How long a task is planned to take."""
    return plan.typical_us + round(policy.caution * max(0, plan.cautious_us - plan.typical_us))


def _own_due(books: Books, book: TaskBook) -> int:
    """When it should have ended for its own deadline, with a margin; NEVER_US if it has none."""
    deadline_us = deadline_that_counts(book.plan, books.runs[book.plan.run_id].opened_us)
    return NEVER_US if deadline_us is None else deadline_us - books.policy.margin_us


def _hurry_all(due: list[int], takes: list[int], before: list[list[int]], after: list[list[int]]) -> None:
    """Let what is before others be due in time for them; a circle hurries nobody before it."""
    left = [len(numbers) for numbers in after]
    stack = [number for number, count in enumerate(left) if not count]
    while stack:
        number = stack.pop()
        by_us = due[number] if due[number] >= NEVER_US else due[number] - takes[number]
        for upstream in before[number]:
            due[upstream] = min(due[upstream], by_us)
            left[upstream] -= 1
            if not left[upstream]:
                stack.append(upstream)


def _hurry(due: list[int], takes: list[int], before: list[list[int]], changed: Collection[int]) -> None:
    """The same where only these have changed, and there is no circle: the least urgent first, as most come after others."""
    waiting = [-number for number in changed]
    heapq.heapify(waiting)
    while waiting:
        number = -heapq.heappop(waiting)
        if due[number] >= NEVER_US:
            continue
        by_us = due[number] - takes[number]
        for upstream in before[number]:
            if by_us < due[upstream]:
                due[upstream] = by_us
                heapq.heappush(waiting, -upstream)


def _parts(books: Books, task_ids: Iterable[str], part_of: dict[str, int]) -> list[int]:
    """What hangs together by edges among Tier 1, tasks that have ended included; `part_of` is told what it lacks."""
    for first in task_ids:
        if first in part_of:
            continue
        number = part_of[first] = len(part_of)  # no other has it
        stack = [first]
        while stack:
            book = books.tasks[stack.pop()]
            for other in (*book.plan.after, *(one.plan.task_id for one in book.downstream)):
                known = books.tasks.get(other)
                if known is not None and known.plan.tier == 1 and other not in part_of:
                    part_of[other] = number
                    stack.append(other)
    return [part_of[task_id] for task_id in task_ids]


def _urgency(book: TaskBook) -> tuple[int, str]:
    return book.latest_start_us, book.plan.task_id


def left_of(books: Books, book: TaskBook) -> int:
    """The median of what is left of a task that holds room."""
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
