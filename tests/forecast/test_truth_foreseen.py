"""Who knows the truth foresees what comes: a forecast without chance is the night itself, from wherever it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.nights import make_night
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.foresee import Outlook, foresee
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.workload import Workload, make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, RunOpened
from prometheus.scheduler.policies import POLICIES


def night_without_failures(seed: int, load: float) -> Workload:
    made = make_workload(make_night(seed, load))
    return replace(made, truths={i: replace(truth, failures=()) for i, truth in made.truths.items()})


@pytest.mark.parametrize("policy", ["strict", "reserving"])
@pytest.mark.parametrize("at_min", [0, 200, 345, 520])
def test_what_is_foreseen_with_the_true_durations_is_what_comes(policy: str, at_min: int) -> None:
    night = night_without_failures(3, 1.0)
    outlook = Outlook(
        {task_id: (truth.duration_us,) for task_id, truth in night.truths.items()},
        overhead_us=night.checkpoint_overhead_us,
        replan_us=0,
    )
    scheduler = Scheduler(0, POLICIES[policy])
    world = World(night.truths, night.start_us, night.checkpoint_overhead_us)
    first = [CapacityChanged(night.start_us, night.capacity), RunOpened(night.start_us, night.plan)]
    at_us = night.start_us + at_min * MINUTE_US
    run_ahead(scheduler, world, first, at_us)
    made = foresee(scheduler, outlook, until_us=night.horizon_us, samples=1)
    run_ahead(scheduler, world, (), night.horizon_us)
    # A checkpoint calls for no turn of its own in a forecast, where the real night's turn at that instant may find
    # that a lower task may start now. So with a reservation lower tasks may be foreseen later than they come.
    exactly = [one.task_id for one in night.plan.tasks if one.tier == 1 or policy == "strict"]
    came = {i: world.lives[i].end_us if i in world.lives else None for i in exactly if i in made.tasks}
    assert {task_id: made.tasks[task_id].end_p50_us for task_id in came} == came
    assert came
