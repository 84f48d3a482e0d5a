"""What does Tier 1 still have to do, and when may each of its tasks start at the earliest?

The plan of the reservation asks this every few minutes of a night. What does not change between two plans (who waits for
whom, which demand, due when) is laid out once, as a `Frame` of arrays in order of latest start, and again when a run
is opened or much of it has ended.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.frame import Frame, Part, Standing, key_of
from prometheus.scheduler.packing import FIELD_BITS, LIMIT
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.rules import NEVER_US, deadline_that_counts
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, TaskState

PLANNED_AT_MOST = 5_000  # tasks; of more, those with the earliest latest starts
CAPS = (3, 4, 5, 6, 7, 8)  # eighths of the machine's cores
FRAME_SLACK = 64  # ended tasks that a frame may carry along beside as many as have not ended


def stand(books: Books) -> Standing:
    """Where Tier 1's unfinished work stands now. Parts that cannot have changed since the last plan are not looked at."""
    reservation = books.reservation
    frame = frame_of(books)
    standing = reservation.standing
    if standing is None or standing.frame is not frame:
        standing = reservation.standing = Standing(frame)
        numbers: dict[int, list[int]] = {}
        for number, part in enumerate(frame.part):
            numbers.setdefault(part, []).append(number)
        again = {part: _look_at(books, frame, part_numbers) for part, part_numbers in numbers.items()}
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
    return standing


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
    for number in numbers:
        book = tasks[task_ids[number]]
        state = book.state
        if state in ENDED:
            continue
        not_ended.append(number)
        if state in HOLDING_ROOM:
            running.append((now_us + _left_of(books, book), number))
            continue
        at_us = max(book.plan.release_us, book.not_before_us, now_us)
        planned = unknown = 0
        has_outside |= bool(frame.outside[number])
        if book.missing or book.broken:
            for before in frame.before[number]:
                planned += tasks[task_ids[before]].state not in DONE
            for upstream_id in frame.outside[number]:
                upstream = tasks.get(upstream_id)
                if upstream is None or (upstream.state not in DONE and upstream.state not in HOLDING_ROOM):
                    unknown += 1  # nobody knows when: nothing is kept for what may not come, or the upstream's own way
                elif upstream.state in HOLDING_ROOM:
                    at_us = max(at_us, now_us + _left_of(books, upstream))
        need = needs[number]
        if need not in may_ever:
            may_ever[need] = books.room.fits_empty(book.plan.demand)
        unknown += state is TaskState.HELD or not may_ever[need]
        if unknown:
            in_vain.append(number)
        open_.append(number)
        earliest.append(at_us)
        waits.append(planned + unknown)
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
        left_out=_caps(frame, open_, earliest, books.room.totals().get("cpu", 0)) if open_ else [0],
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


def _caps(frame: Frame, numbers: list[int], earliest: list[int], cores: int) -> list[int]:
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
    return sorted({0, *(max(0, cores - max(cores * eighths // CAPS[-1], least)) for eighths in CAPS)})


def frame_of(books: Books) -> Frame:
    """The frame of the present; it is kept from plan to plan while it holds little that has ended."""
    frame, left = books.reservation.frame, len(books.critical)
    if (
        frame is None
        or frame.rule != rule_of(books.policy)
        or len(frame.task_ids) >= PLANNED_AT_MOST
        or len(frame.task_ids) > 2 * left + FRAME_SLACK
    ):
        known = None if frame is None or frame.rule != rule_of(books.policy) else frame
        frame = books.reservation.frame = _lay_out(books, known)
    return frame


def _lay_out(books: Books, known: Frame | None) -> Frame:
    """The frame; with a known one it costs no more where a hundred times as many tasks come later."""
    critical = books.critical
    in_order = known.in_order if known else [b.plan.task_id for b in sorted(critical.values(), key=_urgency)]
    chosen: list[TaskBook] = []
    looked_at = 0
    for task_id in in_order:
        if len(chosen) == PLANNED_AT_MOST:
            break
        looked_at += 1
        if task_id in critical:
            chosen.append(critical[task_id])
    names = ("cpu", *sorted({name for book in chosen for name, _ in book.amounts} - {"cpu"}))
    place_of = {name: place for place, name in enumerate(names)}
    index = {book.plan.task_id: number for number, book in enumerate(chosen)}
    after: list[list[int]] = [[] for _ in chosen]
    before = [[index[i] for i in book.plan.after if i in index] for book in chosen]
    for number, numbers in enumerate(before):
        for upstream in numbers:
            after[upstream].append(number)
    takes = [planned_us(book.plan, books.policy) for book in chosen]
    parts = known.parts if known else {}
    return Frame(
        rule=rule_of(books.policy),
        task_ids=tuple(index),
        names=names,
        needs=[_packed(book, place_of) for book in chosen],
        cores=[book.plan.demand.cpu_milli for book in chosen],
        takes=takes,
        due=_due(books, chosen, before, after, takes),
        before=before,
        outside=[[i for i in book.plan.after if i not in index] for book in chosen],
        after=after,
        part=_parts(books, index, parts),
        in_order=[*index, *in_order[looked_at:]],
        parts=parts,
    )


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


def _due(
    books: Books,
    chosen: list[TaskBook],
    before: list[list[int]],
    after: list[list[int]],
    takes: list[int],
) -> list[int]:
    deadlines = [deadline_that_counts(b.plan, books.runs[b.plan.run_id].opened_us) for b in chosen]
    due = [NEVER_US if one is None else one - books.policy.margin_us for one in deadlines]
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
    return due


def _parts(books: Books, index: dict[str, int], part_of: dict[str, int]) -> list[int]:
    """What hangs together by edges among Tier 1, tasks that have ended included; `part_of` is told what it lacks."""
    for first in index:
        if first in part_of:
            continue
        number = part_of[first] = len(part_of)  # no other has it
        stack = [first]
        while stack:
            book = books.tasks[stack.pop()]
            for other in (*book.plan.after, *book.downstream):
                known = books.tasks.get(other)
                if known is not None and known.plan.tier == 1 and other not in part_of:
                    part_of[other] = number
                    stack.append(other)
    return [part_of[task_id] for task_id in index]


def _urgency(book: TaskBook) -> tuple[int, str]:
    return book.latest_start_us, book.plan.task_id


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
