"""What does Tier 1 still have to do, and when may each of its tasks start at the earliest?

The plan of the reservation asks this every few minutes of a night. What does not change between two plans (who waits for
whom, which demand, due when) is laid out once, as a `Frame` of arrays in order of latest start, and again when a run
is opened or much of it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.core.demand import Demand
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.packing import FIELD_BITS
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.reservation import Frame
from prometheus.scheduler.rules import NEVER_US, deadline_that_counts
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, TaskState

PLANNED_AT_MOST = 5_000  # tasks; of more, those with the earliest latest starts
FRAME_SLACK = 64  # ended tasks that a frame may carry along beside as many as have not ended


@dataclass(slots=True)
class Unfinished:
    """Where the tasks of a frame stand, by their numbers."""

    earliest: list[int]
    waits: list[int]  # planned tasks before it, and one more if nobody knows when it may start
    running: list[tuple[int, int]]  # (instant at which it ends, task)
    ready: list[tuple[int, int]]  # (instant from which it may start, task): those that wait for no other
    open: list[int]  # those that have not begun


def unfinished(books: Books, frame: Frame) -> Unfinished:
    """Where the tasks of the frame stand now."""
    now_us, tasks = books.now_us, books.tasks
    count = len(frame.task_ids)
    earliest, waits = [now_us] * count, [0] * count
    found = Unfinished(earliest, waits, [], [], [])
    may_ever: dict[Demand, bool] = {}
    for number, task_id in enumerate(frame.task_ids):
        book = tasks[task_id]
        state = book.state
        if state in ENDED:
            continue
        if state in HOLDING_ROOM:
            found.running.append((now_us + _left_of(books, book), number))
            continue
        plan = book.plan
        at_us = max(plan.release_us, book.not_before_us, now_us)
        missing = 0
        if book.missing or book.broken:
            for before in frame.before[number]:
                missing += tasks[frame.task_ids[before]].state not in DONE
            for upstream_id in frame.outside[number]:
                upstream = tasks.get(upstream_id)
                if upstream is None or (upstream.state not in DONE and upstream.state not in HOLDING_ROOM):
                    missing += 1  # nobody knows when: nothing is kept for what may not come, or the upstream's own way
                elif upstream.state in HOLDING_ROOM:
                    at_us = max(at_us, now_us + _left_of(books, upstream))
        demand = plan.demand
        if demand not in may_ever:
            may_ever[demand] = books.room.fits_empty(demand)
        missing += state is TaskState.HELD or not may_ever[demand]
        earliest[number], waits[number] = at_us, missing
        found.open.append(number)
        if not missing:
            found.ready.append((at_us, number))
    return found


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
