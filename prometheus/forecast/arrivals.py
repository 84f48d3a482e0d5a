"""Which lower work will still come tonight? As on past nights: one of them, drawn for each sample, comes again.

Whole nights are drawn, not single jobs: what comes together (a researcher's sweep of backtests, the half of all that is
submitted before the first close) then comes together here too, with the mix of demands, durations and checkpoints that
it had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from prometheus.forecast.world import Truth
from prometheus.scheduler.plan import RunPlan, TaskPlan

RUN = "expected"  # the run of what is expected; nobody's pipeline has a name without a dot and a session


@dataclass(frozen=True, slots=True)
class Arrival:
    """A lower task that came on a past night: when, what the scheduler knew of it, and what it turned out to be."""

    offset_us: int  # from the night's origin
    plan: TaskPlan  # its instants count from the night's origin, too
    truth: Truth


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came on past nights. No nights = nothing is expected."""

    origin_us: int = 0  # tonight's: the same moment of the desk's night as theirs
    nights: tuple[tuple[Arrival, ...], ...] = ()

    def expected(self, share: float, now_us: int, until_us: int) -> tuple[RunPlan, dict[str, Truth]] | None:
        """What comes from now until then if tonight goes on as the past night at `share` (0..1) of them; None if nothing.

        One run of tasks that are released one by one: lower tasks that are not released yet change nothing.
        """
        if not self.nights:
            return None
        night = self.nights[min(int(share * len(self.nights)), len(self.nights) - 1)]
        plans, truths = [], {}
        for number, arrival in enumerate(night):
            release_us = self.origin_us + arrival.offset_us
            if now_us < release_us <= until_us:
                task_id = f"{RUN}.{number}"
                plans.append(_moved(arrival.plan, task_id, self.origin_us, release_us))
                truths[task_id] = arrival.truth
        if not plans:
            return None
        return RunPlan(RUN, RUN, "", date.min, "", now_us, tuple(plans)), truths


NOTHING_EXPECTED = Arrivals()


def _moved(plan: TaskPlan, task_id: str, origin_us: int, release_us: int) -> TaskPlan:
    deadline_us = None if plan.deadline_us is None else plan.deadline_us + origin_us
    return replace(
        plan,
        task_id=task_id,
        run_id=RUN,
        after=(),
        release_us=release_us,
        deadline_us=deadline_us,
    )


def is_expected(task_id: str) -> bool:
    """Whether the task is none that exists, but one of those that are expected."""
    return task_id.startswith(RUN + ".")
