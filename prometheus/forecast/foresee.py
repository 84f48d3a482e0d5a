"""P50, P90, P99 and P(miss) of each promise: the scheduler is forked and run ahead over worlds that are drawn.

A draw belongs to its seed, sample and task alone: two forecasts that differ in one assumption see otherwise the same
worlds (common random numbers), so that their difference is that of the assumption.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from prometheus.core.demand import Capacity
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.world import Truth, World
from prometheus.scheduler.core import Scheduler, Standing
from prometheus.scheduler.events import FAILURE_OF, AttemptFailed, Event, RunOpened, SloForecast, TimePassed
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.states import TaskState

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is assumed of the world. A task without a history is drawn from the quantiles of its plan."""

    histories: Mapping[str, Sequence[int]] = field(default_factory=dict)  # task -> past durations, ascending
    slower: Mapping[str, float] = field(default_factory=dict)  # task -> factor on its durations
    overhead_us: int = MINUTE_US  # what it costs to go on from a checkpoint
    changes: tuple[tuple[int, Capacity], ...] = ()  # what the machine is from an instant on


@dataclass(frozen=True, slots=True)
class TaskForecast:
    """When a task starts and ends; None where so many samples do not get there."""

    start_p50_us: int | None
    end_p50_us: int | None
    end_p90_us: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the samples say."""

    made_us: int
    samples: int
    slos: tuple[SloForecast, ...]
    tasks: Mapping[str, TaskForecast]


def foresee(
    scheduler: Scheduler,
    outlook: Outlook,
    *,
    until_us: int,
    samples: int = 100,
    seed: int = 0,
    first: Sequence[Event] = (),
    skip: int = 0,
    watch: Callable[[int, World], None] | None = None,
) -> Forecast:
    """Run forks of the scheduler ahead to `until_us`. `first` is told to each fork before: what if this happened now?

    The scheduler itself is not touched. The samples are those from number `skip` on, so that several processes may
    share them; `watch` is shown each with its world when that has reached its end.
    """
    now_us = max([scheduler.now_us, *(event.at_us for event in first)])
    opened = [event.run for event in first if isinstance(event, RunOpened)]
    slos = [*scheduler.open_slos(), *(slo for run in opened for slo in run.slos)]
    here = scheduler.standings()
    plans = [*(one.plan for one in here), *(task for run in opened for task in run.tasks)]
    begun_us = {one.plan.task_id: one.began_us for one in here}
    told: list[Event] = [*first, *(_ended(one, now_us) for one in here if one.state is TaskState.STOPPING)]
    starts: dict[str, list[int | None]] = {plan.task_id: [] for plan in plans}
    ends: dict[str, list[int | None]] = {plan.task_id: [] for plan in plans}
    for sample in range(skip, skip + samples):
        truths = {
            plan.task_id: _draw(plan, begun_us.get(plan.task_id), outlook, now_us, seed, sample)
            for plan in plans
        }
        world = World(truths, now_us, outlook.overhead_us, outlook.changes)
        for one in here:
            if one.state is TaskState.RUNNING and one.began_us is not None:
                world.go_on(one.plan.task_id, one.attempt, one.began_us, one.saved_us)
            elif one.state is TaskState.STARTING:
                world.start(one.plan.task_id, one.attempt)
        run_ahead(scheduler.fork(), world, told or [TimePassed(now_us)], until_us)
        for task_id, starting in starts.items():
            life = world.lives.get(task_id)
            starting.append(None if life is None else life.first_start_us)
            ends[task_id].append(None if life is None else life.end_us)
        if watch is not None:
            watch(sample, world)
    return Forecast(
        now_us,
        samples,
        tuple(_judge(slo, ends) for slo in slos),
        {i: TaskForecast(_at(starts[i], 0.5), _at(ends[i], 0.5), _at(ends[i], 0.9)) for i in ends},
    )


def _ended(one: Standing, now_us: int) -> AttemptFailed:
    """What was told to stop does so at once."""
    assert one.stop_cause is not None, f"{one.plan.task_id} stops for no cause"
    return AttemptFailed(now_us, one.plan.task_id, one.attempt, FAILURE_OF[one.stop_cause], "told to stop")


def _draw(
    plan: TaskPlan, began_us: int | None, outlook: Outlook, now_us: int, seed: int, sample: int
) -> Truth:
    history = outlook.histories.get(plan.task_id) or _from_plan(plan)
    elapsed_us = 0 if began_us is None else now_us - began_us
    factor = outlook.slower.get(plan.task_id, 1.0)
    drawn = factor * _longer_than(history, elapsed_us / factor, _dice(seed, sample, plan.task_id))
    return Truth(max(round(drawn), elapsed_us), (), plan.checkpoint_every_us)


def _longer_than(history: Sequence[int], elapsed_us: float, share: float) -> float:
    """The `share` quantile of the past durations that were longer than what has passed."""
    first = bisect_right(history, elapsed_us)
    left = len(history) - first
    if not left:
        return elapsed_us * (1 + share / 2)  # it has never taken so long: nobody knows
    return history[first + int(share * left)]


def _from_plan(plan: TaskPlan) -> Sequence[int]:
    low = max(1, 2 * plan.typical_us - plan.cautious_us)
    return sorted((low, (low + plan.typical_us) // 2, plan.typical_us, plan.cautious_us, plan.late_us))


def _dice(seed: int, sample: int, task_id: str) -> float:
    """A number in [0, 1) that belongs to these three alone (splitmix64, Steele et al. 2014)."""
    mixed = (crc32(task_id.encode()) * 0x9E3779B97F4A7C15 + sample * 0xBF58476D1CE4E5B9 + seed) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) / 2**64


def _judge(slo: SloPlan, ends: Mapping[str, Sequence[int | None]]) -> SloForecast:
    tasks = [ends[task_id] for task_id in slo.task_ids if task_id in ends]
    finishes = [
        None if None in row else max(at for at in row if at is not None) for row in zip(*tasks, strict=True)
    ]
    missed = sum(at is None or at > slo.deadline_us for at in finishes)
    return SloForecast(
        slo.slo_id, missed / len(finishes), _at(finishes, 0.5), _at(finishes, 0.9), _at(finishes, 0.99)
    )


def _at(instants: Sequence[int | None], share: float) -> int | None:
    """The instant by which that share of the samples is there; None if fewer ever are."""
    there = sorted(at for at in instants if at is not None)
    place = -(-share * len(instants) // 1) - 1
    return there[int(place)] if place < len(there) else None
