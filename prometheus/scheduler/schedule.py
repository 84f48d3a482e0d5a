"""What would be in use, from when on, if all of Tier 1's unfinished work were placed now?

It is a parallel schedule generation scheme (Kolisch, EJOR 1996): tasks in order of latest start, each part of them under a
cap on the cores in use. Every part has the smallest cap under which its deadlines are met with a margin. When a part turns
out late, its cap is raised and the schedule goes back to the instant at which that part began, by undoing what it did.

Two plans that follow each other differ near their beginning, in the parts that have moved. As soon as the new one stands
where the last one stood at the same instant, all that follows is the same, and is taken from there. "Stands where" is what
has not begun and what runs until when, as one 64-bit key. A stand of the last one counts only if what followed it did not
depend on more: between the instants at which no part is halfway, none of its parts may have turned out late.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from prometheus.scheduler.frame import NO_KEY, Frame, Late, Standing, Trail, key_of
from prometheus.scheduler.packing import FIELD_BITS, guards
from prometheus.scheduler.rules import NEVER_US

RETURNS_AT_MOST = (
    128  # of a plan to the beginning of a part; after them every late part has the whole machine
)

Step = tuple[int, int]  # (instant, packed use from then on)
_WAITING, _COMING, _READY, _RUNNING = range(4)  # where a task may stand
_CAME, _STARTED, _ENDED = range(3)  # what may be undone


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the schedule stood when the first task of a part came."""

    at_us: int
    used: int
    key: int
    steps: int  # how many had been written
    undoable: int  # how much had been noted to be undone
    late: int  # how much had been found to be late
    pending: int
    unlike: int


class Schedule:
    """The work of one plan. `limits` is what the machine has, and from when; cores are counted twice: in the first field
    beside that, in the last beside the cap.
    """

    def __init__(self, frame: Frame, standing: Standing, limits: list[Step]) -> None:
        self._frame, self._standing, self._limits = frame, standing, limits
        self._at_us = limits[0][0]
        self._waits, self._earliest = [0] * len(frame.task_ids), [0] * len(frame.task_ids)
        self._caps: dict[int, list[int]] = {}
        self._coming: list[tuple[int, int]] = []  # heap of (instant, task that may start then)
        self._running: list[tuple[int, int]] = []  # heap of (instant, task that ends then)
        self._ready: dict[int, list[int]] = {}  # need, lifted by what the cap leaves out -> heap of tasks
        self._came_us: dict[int, int] = {}  # task -> instant that it came for; of those that may be undone
        self._ends_us: dict[int, int] = {}  # the same of when it ends
        self._marks: dict[int, _Mark] = {}  # part that may turn out late -> where it began, in order
        self._undoable: list[tuple[int, int]] = []  # (what, task)
        self._steps: tuple[list[int], list[int], list[int]] = [], [], []
        self._late: list[Late] = []  # what is late though its part has the whole machine
        self._capped = len(frame.names) * FIELD_BITS  # where the last field begins
        for number in standing.live:
            self._enter(number)

    def _enter(self, number: int) -> None:
        """A part may begin from now on."""
        part = self._standing.parts[number]
        for task, earliest_us, waits in zip(part.open, part.earliest, part.waits, strict=True):
            self._earliest[task], self._waits[task] = earliest_us, waits
        self._caps[number] = part.left_out[:]
        for entry in part.ready:
            heapq.heappush(self._coming, entry)
        for entry in part.running:
            heapq.heappush(self._running, entry)
            self._ends_us[entry[1]] = entry[0]

    def run(self, last: Trail | None) -> Trail:
        """Place everything. `last` is the trail of the plan before, if nothing but the changed parts is otherwise."""
        frame, standing, limits = self._frame, self._standing, self._limits
        needs, takes, due, part_of, after = frame.needs, frame.takes, frame.due, frame.part, frame.after
        parts, later, changed = standing.parts, standing.later, frozenset(standing.changed)
        waits, earliest, caps, marks = self._waits, self._earliest, self._caps, self._marks
        came_us, ends_us, undoable = self._came_us, self._ends_us, self._undoable
        coming, running, ready = self._coming, self._running, self._ready
        steps_at, steps_used, steps_key = self._steps
        heappush, heappop, capped = heapq.heappush, heapq.heappop, self._capped
        guard = guards(len(frame.names) + 1)
        limit_at, limit = 0, limits[0][1] | guard
        at_us, entered, returns = self._at_us, 0, 0
        used = sum(needs[number] for _, number in running)
        key = standing.key
        for end_us, number in running:
            key ^= hash((number, end_us))
        pending = 0  # tasks that have not begun, of parts that may turn out late
        # The same of parts that have changed: while there are any, the last schedule cannot be gone on with.
        unlike = sum(parts[one].startable for one in changed if one in parts)
        clear_steps, is_spoilt = NO_KEY, False  # steps when it was clear; whether there was a return since
        while True:
            if not pending and len(steps_at) != clear_steps:
                # Clear: what may turn out late has either begun or not come, so nothing before this is ever undone.
                clear_steps, is_spoilt = len(steps_at), False
                if marks:
                    marks.clear()
                    undoable.clear()
            if last is not None and not unlike and not is_spoilt and self._meets(last, at_us, key):
                return Trail(*self._steps, at_us, self._late)
            key_before = NO_KEY if is_spoilt and len(steps_at) != clear_steps else key
            while coming and coming[0][0] <= at_us:
                number = coming[0][1]
                number_of_part = part_of[number]
                own = caps[number_of_part]
                if len(own) > 1 and number_of_part not in marks and parts[number_of_part].is_hurried:
                    marks[number_of_part] = _Mark(
                        at_us, used, key, len(steps_at), len(undoable), len(self._late), pending, unlike
                    )
                    pending += parts[number_of_part].startable
                came_us[number] = heappop(coming)[0]
                if marks:
                    undoable.append((_CAME, number))
                heappush(ready.setdefault(needs[number] + (own[-1] << capped), []), number)
            # In order of number, start what fits. What is free only shrinks meanwhile, so a need that does not fit is done.
            room = limit - used
            heads = [(queue[0], need) for need, queue in ready.items() if (room - need) & guard == guard]
            heapq.heapify(heads)
            late = -1
            while heads:
                number, lifted = heads[0]
                if (limit - used - lifted) & guard != guard:
                    heappop(heads)
                    continue
                end_us = at_us + takes[number]
                number_of_part = part_of[number]
                if end_us > due[number]:
                    if len(caps[number_of_part]) > 1:
                        late = number_of_part
                        break
                    self._late.append((at_us, number_of_part, end_us - due[number]))
                used += needs[number]
                key ^= key_of(number) ^ hash((number, end_us))
                ends_us[number] = end_us
                pending -= number_of_part in marks
                unlike -= number_of_part in changed
                if marks:
                    undoable.append((_STARTED, number))
                heappush(running, (end_us, number))
                queue = ready[lifted]
                heappop(queue)
                if queue:
                    heapq.heapreplace(heads, (queue[0], lifted))
                else:
                    del ready[lifted]
                    heappop(heads)
            if late >= 0:
                returns += 1
                caps[late].pop()
                if returns >= RETURNS_AT_MOST:
                    del caps[late][1:]
                mark = self._go_back(late)
                coming, running, ready = self._coming, self._running, self._ready
                at_us, used, key, pending, unlike = mark.at_us, mark.used, mark.key, mark.pending, mark.unlike
                limit_at = bisect_right(limits, at_us, key=_instant) - 1
                limit = limits[limit_at][1] | guard
                is_spoilt = True
                for place in range(clear_steps + 1, len(steps_key)):
                    steps_key[place] = NO_KEY
                continue
            steps_at.append(at_us)
            steps_used.append(used)
            steps_key.append(key_before)
            next_us = running[0][0] if running else NEVER_US
            if coming and coming[0][0] < next_us:
                next_us = coming[0][0]
            while entered < len(later) and later[entered][0] <= next_us:
                self._enter(later[entered][1])
                entered += 1
                if coming and coming[0][0] < next_us:
                    next_us = coming[0][0]
            if next_us < NEVER_US:
                at_us = next_us
            elif ready and limit_at + 1 < len(limits):
                at_us = limits[limit_at + 1][0]
            else:
                # What is left waits for something that is not planned.
                return Trail(*self._steps, NEVER_US, self._late)
            if limit_at + 1 < len(limits) and limits[limit_at + 1][0] <= at_us:
                limit_at += 1
                at_us, limit = limits[limit_at][0], limits[limit_at][1] | guard
            while running and running[0][0] <= at_us:
                end_us, number = heappop(running)
                used -= needs[number]
                key ^= hash((number, end_us))
                if marks:
                    undoable.append((_ENDED, number))
                for following in after[number]:
                    waits[following] -= 1
                    if not waits[following]:
                        heappush(coming, (max(at_us, earliest[following]), following))

    def _meets(self, last: Trail, at_us: int, key: int) -> bool:
        """Whether the last schedule stood at this instant as this one does; the rest of it is then taken."""
        place = bisect_left(last.at_us, at_us)
        if place == len(last.at_us) or last.at_us[place] != at_us or last.keys[place] != key:
            return False
        for steps, taken in zip(self._steps, (last.at_us, last.used, last.keys), strict=True):
            steps.extend(taken[place:])
        self._late += [one for one in last.late if one[0] >= at_us]
        return True

    def _go_back(self, part: int) -> _Mark:
        """Undo all since the first task of the part came."""
        mark, waits, after = self._marks[part], self._waits, self._frame.after
        begun = list(self._marks)
        for one in begun[begun.index(part) :]:
            del self._marks[one]
        for steps in self._steps:
            del steps[mark.steps :]
        del self._late[mark.late :]
        where: dict[int, int] = {}  # task -> where it was then
        while len(self._undoable) > mark.undoable:
            what, number = self._undoable.pop()
            if what == _ENDED:
                where[number] = _RUNNING
                for following in after[number]:
                    if not waits[following]:
                        where[following] = _WAITING
                    waits[following] += 1
            else:
                where[number] = _READY if what == _STARTED else _COMING
        self._coming = [entry for entry in self._coming if entry[1] not in where]
        self._running = [entry for entry in self._running if entry[1] not in where]
        kept = {need: [one for one in queue if one not in where] for need, queue in self._ready.items()}
        self._ready = {need: queue for need, queue in kept.items() if queue}
        for number, place in where.items():
            if place == _COMING:
                self._coming.append((self._came_us[number], number))
            elif place == _RUNNING:
                self._running.append((self._ends_us[number], number))
            elif place == _READY:
                self._ready.setdefault(self._lifted(number), []).append(number)
        heapq.heapify(self._coming)
        heapq.heapify(self._running)
        for queue in self._ready.values():
            heapq.heapify(queue)
        return mark

    def _lifted(self, number: int) -> int:
        """What a task needs, with what the cap of its part leaves out as if it needed that, too."""
        left_out = self._caps[self._frame.part[number]][-1]
        return self._frame.needs[number] + (left_out << self._capped)


def _instant(step: Step) -> int:
    return step[0]
