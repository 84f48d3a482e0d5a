"""A night in which forecasts are made in virtual time and told to the scheduler, as the live forecaster does.

A forecast sees what it would see on that night: the scheduler's books and the histories. It never sees the truths, nor
changes of capacity that nobody announced. It costs no virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus.core.instants import SECOND_US
from prometheus.forecast.ahead import Told, run_ahead
from prometheus.forecast.foresee import foresee
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.opening import outlook_on
from prometheus.orchestrator.simulation.workload import Workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import SetPressure
from prometheus.scheduler.events import Event, ForecastMade, TimePassed


@dataclass(frozen=True, slots=True)
class Forecasts:
    """How forecasts are made."""

    every_us: int
    samples: int
    seed: int = 0


@dataclass(slots=True)
class Foreseen:
    """What was forecast in a night, and what the scheduler made of it."""

    made: int = 0
    pressures: list[SetPressure] = field(default_factory=list)

    def as_json(self, start_us: int) -> dict[str, Any]:
        """For the result; seconds from the workload's start."""
        return {
            "made": self.made,
            "pressure": [
                {
                    "at_s": (one.at_us - start_us) / SECOND_US,
                    "level": one.level,
                    "miss": one.miss,
                    "reason": one.reason,
                }
                for one in self.pressures
            ],
        }


def run_foreseeing(
    scheduler: Scheduler,
    world: World,
    first: Sequence[Event],
    workload: Workload,
    forecasts: Forecasts,
    foreseen: Foreseen,
) -> Told:
    """Drive the night to its horizon with a forecast every so often, as long as a Tier 1 promise is open."""
    outlook = outlook_on(workload)
    tiers = {task.task_id: task.tier for task in workload.plan.tasks}
    told = decided = 0
    at_us, events = world.now_us, list(first)
    while at_us < workload.horizon_us:
        at_us = min(at_us + forecasts.every_us, workload.horizon_us)
        some = run_ahead(scheduler, world, events, at_us)
        told, decided, events = told + some.events, decided + some.decisions, []
        foreseen.pressures += some.pressures
        due_us = {
            slo.slo_id: slo.deadline_us
            for slo in scheduler.open_slos()
            if any(tiers[task_id] == 1 for task_id in slo.task_ids)
        }
        if not due_us:
            break
        found = foresee(
            scheduler,
            outlook,
            until_us=max(at_us, *due_us.values()),
            samples=forecasts.samples,
            seed=forecasts.seed,
            first=[TimePassed(at_us)],
            skip=foreseen.made * forecasts.samples,
            concerning=due_us,
        )
        events = [ForecastMade(at_us, at_us, found.samples, found.slos)]
        foreseen.made += 1
    some = run_ahead(scheduler, world, events, workload.horizon_us)
    foreseen.pressures += some.pressures
    return Told(told + some.events, decided + some.decisions)
