"""Drive the production core through a workload in virtual time: the same turn as every other driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus.core.errors import UserError
from prometheus.core.instants import SECOND_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.world import Life, Trace, useful_us
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.orchestrator.clock import monotonic_us
from prometheus.orchestrator.simulation.faults import Faults, burdened, draw_faults
from prometheus.orchestrator.simulation.foreseeing import Forecasts, Foreseen, run_foreseeing
from prometheus.orchestrator.simulation.opening import first_events, world_of
from prometheus.orchestrator.simulation.troubled import Night, Watch
from prometheus.orchestrator.simulation.uncollected import without_collection
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.policies import RESERVING, Policy
from prometheus.scheduler.states import ENDED, TaskState


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of every task."""

    workload: Workload
    lives: Mapping[str, Life]
    events: int
    decisions: int
    wall_us: int
    trace: tuple[Trace, ...]
    states: Mapping[
        str, TaskState
    ]  # at the horizon, of the tasks that the world has not ended or that are degraded
    faults: Faults | None = None  # what went wrong besides the work itself; None = nothing was to
    happened: Mapping[str, int] = field(default_factory=dict)  # faults that met somebody, by kind
    foreseen: Foreseen | None = None  # if forecasts were made

    def as_json(self) -> dict[str, Any]:
        """The result as CONTRACT's form has it; seconds from the workload's start."""
        return {
            "tasks": {task.task_id: self._task(task.task_id) for task in self.workload.tasks},
            "decisions": self.decisions,
            "events": self.events,
            "wall_s": self.wall_us / SECOND_US,
            **({} if self.foreseen is None else {"forecasts": self.foreseen.as_json(self.workload.start_us)}),
            **(
                {}
                if self.faults is None
                else {"faults": {"seed": self.faults.seed, **dict(sorted(self.happened.items()))}}
            ),
        }

    def _task(self, task_id: str) -> dict[str, Any]:
        life, truth = self.lives.get(task_id, Life()), self.workload.truths[task_id]
        cores = self.workload.cores[task_id]
        horizon_us = self.workload.horizon_us
        spent_us = life.spent_us + (0 if life.began_us is None else horizon_us - life.began_us)
        useful = useful_us(life, truth, horizon_us)
        return {
            "state": self._state(task_id, life),
            "first_start_s": self._seconds(life.first_start_us),
            "end_s": self._seconds(life.end_us),
            "attempts": life.attempts,
            "preemptions": life.preemptions,
            "useful_cpu_s": cores * useful / SECOND_US,
            "wasted_cpu_s": cores * max(0, spent_us - useful) / SECOND_US,
        }

    def _state(self, task_id: str, life: Life) -> str:
        """`hung` is a running attempt that will never end; a state that the scheduler gave up in is told as it is."""
        if life.end_us is not None:
            return str(self.states.get(task_id, "succeeded"))
        if life.began_us is not None:
            return (
                "hung" if self.faults and life.attempts in self.faults.hangs.get(task_id, ()) else "running"
            )
        state = self.states[task_id]
        return str(state) if state in ENDED else "waiting"

    def _seconds(self, at_us: int | None) -> float | None:
        return None if at_us is None else (at_us - self.workload.start_us) / SECOND_US


@without_collection()
def simulate(
    workload: Workload,
    *,
    policy: Policy = RESERVING,
    seed: int = 0,
    traced: bool = False,
    faults: Faults | None = None,
    ledger: Ledger | None = None,
    watch: Watch | None = None,
    forecasts: Forecasts | None = None,
) -> Simulated:
    """Run the workload to its horizon. The same workload, policy, seed and faults give the same result.

    Without `faults` those happen for which the file asks, drawn from `seed`. With faults, a `ledger` or a `watch` every
    turn is committed, to a ledger in memory if there is no other; the decisions are the same. `forecasts` are made in
    virtual time and told to the scheduler; not in a night with faults or a ledger.
    """
    begun_us = monotonic_us()
    if faults is None and workload.faults is not None:
        faults = draw_faults(workload.faults, workload, seed)
    if faults is not None:
        workload = burdened(workload, faults)
    world, first = world_of(workload, traced=traced), first_events(workload)
    happened: Mapping[str, int] = {}
    foreseen = None
    if faults is None and ledger is None and watch is None:
        scheduler = Scheduler(seed, policy)
        if forecasts is None:
            told = run_ahead(scheduler, world, first, workload.horizon_us)
        else:
            foreseen = Foreseen()
            told = run_foreseeing(scheduler, world, first, workload, forecasts, foreseen)
    elif forecasts is not None:
        raise UserError(
            "forecasts are not made in a night with faults",
            hint="leave out --forecast-every, or what asks for faults: --faults, or `faults` in the file",
        )
    else:
        night = Night(world, ledger or MemoryLedger(), faults or Faults(), policy, seed, watch)
        told = night.run(first, workload.horizon_us)
        scheduler, happened = night.scheduler, +night.happened
    return Simulated(
        workload,
        world.lives,
        told.events,
        told.decisions,
        monotonic_us() - begun_us,
        tuple(world.trace or ()),
        {
            task.task_id: scheduler.task_state(task.task_id)
            for task in workload.tasks
            if task.task_id not in world.lives
            or world.lives[task.task_id].end_us is None
            or scheduler.task_state(task.task_id) is TaskState.DEGRADED
        },
        faults,
        happened,
        foreseen,
    )
