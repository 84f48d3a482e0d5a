"""P50, P90, P99 and P(miss) of each promise: the scheduler is forked and run ahead over worlds that are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prometheus.forecast.ahead import Told, run_ahead
from prometheus.forecast.arrivals import is_expected
from prometheus.forecast.criticality import Tracer
from prometheus.forecast.draws import Draws
from prometheus.forecast.outlook import Outlook
from prometheus.forecast.world import World
from prometheus.scheduler.core import Scheduler, Standing
from prometheus.scheduler.events import FAILURE_OF, AttemptFailed, Event, RunOpened, SloForecast, TimePassed
from prometheus.scheduler.moving import saved_by
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.states import TaskState

__all__ = ["Forecast", "Outlook", "TaskForecast", "foresee", "reached_by"]

CRITICAL_AT_MOST = 20  # tasks of a promise that are named


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
    drawn: Mapping[str, float] = field(
        default_factory=dict
    )  # promise -> share of samples that miss it, as drawn


def foresee(
    scheduler: Scheduler,
    outlook: Outlook,
    *,
    until_us: int,
    samples: int = 100,
    seed: int = 0,
    first: Sequence[Event] = (),
    skip: int = 0,
    watch: Callable[[int, World, Told], None] | None = None,
    concerning: Collection[str] | None = None,
) -> Forecast:
    """Run forks of the scheduler ahead to `until_us`. `first` is told to each fork before: what if this happened now?

    The scheduler itself is not touched. The samples are those from number `skip` on, so that several processes may
    share them; `watch` is shown each with its world and what was said, at its end. With `concerning`, promises by id,
    only these are judged, and a sample ends when all of them are finished.
    """
    now_us = max([scheduler.now_us, *(event.at_us for event in first)])
    opened = [event.run for event in first if isinstance(event, RunOpened)]
    slos = [*scheduler.open_slos(), *(slo for run in opened for slo in run.slos)]
    if concerning is not None:
        slos = [slo for slo in slos if slo.slo_id in concerning]
    here = scheduler.standings()
    coming = [task for run in opened for task in run.tasks]
    draws = Draws(here, coming, outlook, now_us, seed)
    ahead = _Ahead(scheduler, outlook, here, first, now_us, until_us)
    tally = _Tally(slos, {plan.task_id: plan for plan in (*(one.plan for one in here), *coming)})
    awaited = None if concerning is None else [slo.slo_id for slo in slos]
    for sample in range(skip, skip + samples):
        world, told, expected = ahead.run(draws, sample, awaited)
        tally.count(world, told, expected)
        if watch is not None:
            watch(sample, world, told)
    return tally.forecast(now_us, samples, outlook)


class _Ahead:
    """The present, from which every sample begins."""

    def __init__(
        self,
        scheduler: Scheduler,
        outlook: Outlook,
        here: Sequence[Standing],
        first: Sequence[Event],
        now_us: int,
        until_us: int,
    ) -> None:
        self._scheduler, self._outlook, self._here = scheduler, outlook, here
        self._now_us, self._until_us = now_us, until_us
        self._first = [
            *first,
            *(_ended(one, now_us) for one in here if one.state is TaskState.STOPPING),
        ]
        policy = scheduler.policy
        if outlook.replan_us > policy.replan_us:
            policy = replace(policy, replan_us=outlook.replan_us, replans_at_once=False)
        self._policy = policy
        opened = (task for event in first if isinstance(event, RunOpened) for task in event.run.tasks)
        plans = (*(one.plan for one in here), *opened)
        self._timeouts = {plan.task_id: plan.timeout_us for plan in plans if plan.timeout_us is not None}

    def run(
        self, draws: Draws, sample: int, awaited: Collection[str] | None
    ) -> tuple[World, Told, Sequence[TaskPlan]]:
        """One sample: its world at the end, what was said on the way, and the lower work that came."""
        outlook, now_us = self._outlook, self._now_us
        truths = draws.truths(sample)
        told = list(self._first)
        expected: Sequence[TaskPlan] = ()
        coming = outlook.arrivals.expected(draws.share("arrivals", sample), now_us, self._until_us)
        if coming is not None:
            run, more = coming
            truths.update(more)
            told.append(RunOpened(now_us, run))
            expected = run.tasks
        world = World(
            truths, now_us, outlook.overhead_us, outlook.changes, is_patient=True, timeouts=self._timeouts
        )
        for one in self._here:
            if one.began_us is not None and one.state is TaskState.RUNNING:
                world.go_on(one.plan.task_id, one.attempt, one.began_us, one.saved_us, one.kept_us)
                continue
            is_starting = one.state is TaskState.STARTING
            if one.attempt:
                kept_us = one.kept_us + saved_by(
                    one.began_us, one.saved_us
                )  # of one that is told to stop, too
                world.keep(one.plan.task_id, one.attempt - is_starting, kept_us)
            if is_starting:
                world.start(one.plan.task_id, one.attempt)
        fork = self._scheduler.fork(self._policy)
        said = run_ahead(fork, world, told or [TimePassed(now_us)], self._until_us, awaited)
        return world, said, expected


class _Tally:
    """What the samples have come to so far."""

    def __init__(self, slos: Sequence[SloPlan], plans: Mapping[str, TaskPlan]) -> None:
        self._slos, self._plans = slos, plans
        self._starts: dict[str, list[int | None]] = {task_id: [] for task_id in plans}
        self._ends: dict[str, list[int | None]] = {task_id: [] for task_id in plans}
        self._finishes: dict[str, list[int | None]] = {slo.slo_id: [] for slo in slos}
        self._critical: dict[str, Counter[str]] = {slo.slo_id: Counter() for slo in slos}

    def count(self, world: World, told: Told, expected: Sequence[TaskPlan]) -> None:
        for task_id, starting in self._starts.items():
            life = world.lives.get(task_id)
            starting.append(None if life is None else life.first_start_us)
            self._ends[task_id].append(told.done.get(task_id))
        plans = {**self._plans, **{plan.task_id: plan for plan in expected}} if expected else self._plans
        tracer = Tracer(plans, world.lives, told.done, world.freed)
        for slo in self._slos:
            self._finishes[slo.slo_id].append(told.finished.get(slo.slo_id))
            open_ids = [task_id for task_id in slo.task_ids if task_id in self._plans]
            self._critical[slo.slo_id].update(tracer.chain(open_ids))

    def forecast(self, made_us: int, samples: int, outlook: Outlook) -> Forecast:
        drawn = {
            slo.slo_id: missed(slo.deadline_us, self._finishes[slo.slo_id]) / samples for slo in self._slos
        }
        return Forecast(
            made_us,
            samples,
            tuple(self._slo(slo, outlook, drawn[slo.slo_id], samples) for slo in self._slos),
            {
                task_id: TaskForecast(
                    reached_by(self._starts[task_id], 0.5), reached_by(ends, 0.5), reached_by(ends, 0.9)
                )
                for task_id, ends in self._ends.items()
            },
            drawn,
        )

    def _slo(self, slo: SloPlan, outlook: Outlook, drawn: float, samples: int) -> SloForecast:
        finishes = self._finishes[slo.slo_id]
        counted = self._critical[slo.slo_id].items()
        found = sorted((-count, task_id) for task_id, count in counted if not is_expected(task_id))
        return SloForecast(
            slo.slo_id,
            outlook.calibration.of(drawn),
            reached_by(finishes, 0.5),
            reached_by(finishes, 0.9),
            reached_by(finishes, 0.99),
            tuple((task_id, -count / samples) for count, task_id in found[:CRITICAL_AT_MOST]),
            self._known(slo, outlook),
        )

    def _known(self, slo: SloPlan, outlook: Outlook) -> float:
        """The share of the open tasks that a promise waits for, its own and those before them, that have a history."""
        waited_for = dict.fromkeys(task_id for task_id in slo.task_ids if task_id in self._plans)
        queue = list(waited_for)
        for task_id in queue:  # grows while it is walked
            for before in self._plans[task_id].after:
                if before in self._plans and before not in waited_for:
                    waited_for[before] = None
                    queue.append(before)
        return sum(bool(outlook.histories.get(task_id)) for task_id in queue) / len(queue) if queue else 1.0


def _ended(one: Standing, now_us: int) -> AttemptFailed:
    """What was told to stop does so at once."""
    assert one.stop_cause is not None, f"{one.plan.task_id} stops for no cause"
    return AttemptFailed(now_us, one.plan.task_id, one.attempt, FAILURE_OF[one.stop_cause], "told to stop")


def missed(deadline_us: int, finishes: Sequence[int | None]) -> int:
    """How many samples have it done too late, or never."""
    return sum(at_us is None or at_us > deadline_us for at_us in finishes)


def reached_by(instants: Sequence[int | None], share: float) -> int | None:
    """The instant by which that share of the samples is there; None if fewer ever are."""
    there = sorted(at for at in instants if at is not None)
    place = int(-(-share * len(instants) // 1)) - 1
    return there[place] if place < len(there) else None
