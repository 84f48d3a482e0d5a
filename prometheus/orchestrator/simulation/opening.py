"""A workload as a night that begins: the world that it happens in, what is told first, and what a forecast may assume.

One place for `simulate`, `why` and `whatif`, so that the three speak of the same night.
"""

from __future__ import annotations

from prometheus.forecast.outlook import Outlook
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened


def world_of(workload: Workload, *, traced: bool = False) -> World:
    """The world at the start, with its secrets: durations, failures, and changes that nobody announced."""
    return World(
        workload.truths,
        workload.start_us,
        workload.checkpoint_overhead_us,
        workload.changes,
        coming=workload.coming,
        trace=[] if traced else None,
    )


def first_events(workload: Workload) -> list[Event]:
    """What the scheduler is told at the start: the machine, what was announced of it, and every run."""
    return [
        CapacityChanged(workload.start_us, workload.capacity, workload.coming),
        *(RunOpened(workload.start_us, run) for run in workload.runs),
    ]


def outlook_on(workload: Workload) -> Outlook:
    """What a forecast may assume: the histories. What was announced the scheduler knows; the rest is nobody's to know."""
    return Outlook(workload.histories, overhead_us=workload.checkpoint_overhead_us)
