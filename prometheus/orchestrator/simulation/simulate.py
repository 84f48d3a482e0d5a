"""Drive the production core through a workload in virtual time: the same turn as every other driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus.core.instants import SECOND_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.world import Life, Trace, World, useful_us
from prometheus.orchestrator.clock import monotonic_us
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened
from prometheus.scheduler.policies import Policy


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of every task."""

    workload: Workload
    lives: Mapping[str, Life]
    events: int
    decisions: int
    wall_us: int
    trace: tuple[Trace, ...]

    def as_json(self) -> dict[str, Any]:
        """The result as CONTRACT's form has it; seconds from the workload's start."""
        return {
            "tasks": {task.task_id: self._task(task.task_id) for task in self.workload.plan.tasks},
            "decisions": self.decisions,
            "events": self.events,
            "wall_s": self.wall_us / SECOND_US,
        }

    def _task(self, task_id: str) -> dict[str, Any]:
        life, truth = self.lives.get(task_id, Life()), self.workload.truths[task_id]
        cores = self.workload.cores[task_id]
        horizon_us = self.workload.horizon_us
        spent_us = life.spent_us + (0 if life.began_us is None else horizon_us - life.began_us)
        useful = useful_us(life, truth, horizon_us)
        state = (
            "succeeded" if life.end_us is not None else "running" if life.began_us is not None else "waiting"
        )
        return {
            "state": state,
            "first_start_s": self._seconds(life.first_start_us),
            "end_s": self._seconds(life.end_us),
            "attempts": life.attempts,
            "preemptions": life.preemptions,
            "useful_cpu_s": cores * useful / SECOND_US,
            "wasted_cpu_s": cores * max(0, spent_us - useful) / SECOND_US,
        }

    def _seconds(self, at_us: int | None) -> float | None:
        return None if at_us is None else (at_us - self.workload.start_us) / SECOND_US


def simulate(
    workload: Workload, *, policy: Policy | None = None, seed: int = 0, traced: bool = False
) -> Simulated:
    """Run the workload to its horizon. The same workload, policy and seed give the same result."""
    begun_us = monotonic_us()
    scheduler = Scheduler(seed) if policy is None else Scheduler(seed, policy)
    world = World(
        workload.truths,
        workload.start_us,
        workload.checkpoint_overhead_us,
        workload.changes,
        trace=[] if traced else None,
    )
    first: list[Event] = [
        CapacityChanged(workload.start_us, workload.capacity),
        RunOpened(workload.start_us, workload.plan),
    ]
    told = run_ahead(scheduler, world, first, workload.horizon_us)
    return Simulated(
        workload,
        world.lives,
        told.events,
        told.decisions,
        monotonic_us() - begun_us,
        tuple(world.trace or ()),
    )
