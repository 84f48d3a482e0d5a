"""What did a promise wait for, in one run of the night?

Traced back from the task that finished it: each task began when the last of those upstream was done, or when it was
released, or, if it waited for room, when some attempt gave back its own. That attempt's task is then what was waited
for, whatever its tier.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus.forecast.world import Life
from prometheus.scheduler.plan import TaskPlan


@dataclass(slots=True)
class Tracer:
    """One run of the night, as it has gone."""

    plans: Mapping[str, TaskPlan]
    lives: Mapping[str, Life]
    done: Mapping[str, int]  # task -> instant
    freed: list[tuple[int, str]]  # ascending
    _before: dict[str, str | None] = field(default_factory=dict)

    def chain(self, task_ids: Iterable[str]) -> list[str]:
        """The critical chain of a promise on these tasks, from its end; empty if one of them never was done."""
        last: tuple[int, str] | None = None
        for task_id in task_ids:
            at_us = self.done.get(task_id)
            if at_us is None:
                return self._of(task_id)
            if last is None or (at_us, task_id) > last:
                last = (at_us, task_id)
        return [] if last is None else self._of(last[1])

    def _of(self, task_id: str) -> list[str]:
        found: dict[str, None] = {}
        here: str | None = task_id
        while here is not None and here not in found:
            found[here] = None
            if here not in self._before:
                self._before[here] = self._waited_for(here)
            here = self._before[here]
        return list(found)

    def _waited_for(self, task_id: str) -> str | None:
        plan, life = self.plans.get(task_id), self.lives.get(task_id)
        if plan is None:
            return None
        last: tuple[int, str] | None = None
        for upstream_id in plan.after:
            if upstream_id in self.done:
                last = max(last or (0, ""), (self.done[upstream_id], upstream_id))
            elif upstream_id in self.plans:
                return upstream_id  # it never was done, and so this never began
        began_us = None if life is None else life.first_start_us
        if began_us is None:
            return None if last is None else last[1]
        if last is not None and last[0] >= began_us:
            return last[1]
        if plan.release_us >= began_us:
            return None
        giver = self._gave_room_at(began_us, plan)
        return giver if giver is not None or last is None else last[1]

    def _gave_room_at(self, at_us: int, plan: TaskPlan) -> str | None:
        """Who gave back room at that instant: the widest of them; None if nobody did."""
        first, last = bisect_left(self.freed, (at_us, "")), bisect_right(self.freed, (at_us, "\U0010ffff"))
        givers = [task_id for _, task_id in self.freed[first:last] if task_id != plan.task_id]
        if not givers:
            return None
        return max(givers, key=lambda one: (self._cores(one), one))

    def _cores(self, task_id: str) -> int:
        plan = self.plans.get(task_id)
        return 0 if plan is None else plan.demand.cpu_milli
