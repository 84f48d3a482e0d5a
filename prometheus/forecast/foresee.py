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

__all__ = ["Forecast", "Outlook", "Samples", "TaskForecast", "View", "foresee", "reached_by"]

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


@dataclass(slots=True)
class Samples:
    """What became of each task and promise in some samples; those of several processes can be put together."""

    count: int = 0
    starts: dict[str, list[int | None]] = field(default_factory=dict)
    ends: dict[str, list[int | None]] = field(default_factory=dict)
    finishes: dict[str, list[int | None]] = field(default_factory=dict)  # of promises
    critical: dict[str, Counter[str]] = field(default_factory=dict)  # promise -> task -> in how many samples

    def add(self, other: Samples) -> None:
        """Take in other samples of the same view; in which order makes no difference to a forecast."""
        self.count += other.count
        for own, new in (
            (self.starts, other.starts),
            (self.ends, other.ends),
            (self.finishes, other.finishes),
        ):
            for name, instants in new.items():
                own.setdefault(name, []).extend(instants)
        for name, counted in other.critical.items():
            self.critical.setdefault(name, Counter()).update(counted)


Watch = Callable[[int, World, Told], None]


def foresee(
    scheduler: Scheduler,
    outlook: Outlook,
    *,
    until_us: int,
    samples: int = 100,
    seed: int = 0,
    first: Sequence[Event] = (),
    skip: int = 0,
    watch: Watch | None = None,
    concerning: Collection[str] | None = None,
) -> Forecast:
    """Run forks of the scheduler ahead to `until_us`: a `View`, the samples from number `skip` on, and what they say."""
    view = View(scheduler, outlook, until_us=until_us, seed=seed, first=first, concerning=concerning)
    return view.forecast(view.draw(skip, samples, watch))


class View:
    """What lies before a scheduler, to be drawn sample by sample; the scheduler itself is not touched.

    `first` is told to each fork before: what if this happened now? With `concerning`, promises by id, only these are
    judged, and a sample ends when all of them are finished. What happens in a sample hangs on its number and the seed
    alone, so several processes may share them.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        outlook: Outlook,
        *,
        until_us: int,
        seed: int = 0,
        first: Sequence[Event] = (),
        concerning: Collection[str] | None = None,
    ) -> None:
        self._now_us = max([scheduler.now_us, *(event.at_us for event in first)])
        opened = [event.run for event in first if isinstance(event, RunOpened)]
        slos = [*scheduler.open_slos(), *(slo for run in opened for slo in run.slos)]
        self._slos = [slo for slo in slos if concerning is None or slo.slo_id in concerning]
        self._awaited = None if concerning is None else [slo.slo_id for slo in self._slos]
        here = scheduler.standings()
        coming = [task for run in opened for task in run.tasks]
        self._outlook = outlook
        self._draws = Draws(here, coming, outlook, self._now_us, seed)
        self._ahead = _Ahead(scheduler, outlook, here, first, self._now_us, until_us)
        self._plans = {plan.task_id: plan for plan in (*(one.plan for one in here), *coming)}

    def draw(self, skip: int, count: int, watch: Watch | None = None) -> Samples:
        """The samples from number `skip` on; `watch` is shown each with its world and what was said, at its end."""
        found = Samples()
        for sample in range(skip, skip + count):
            world, told, expected = self._ahead.run(self._draws, sample, self._awaited)
            self._count(found, world, told, expected)
            if watch is not None:
                watch(sample, world, told)
        return found

    def _count(self, into: Samples, world: World, told: Told, expected: Sequence[TaskPlan]) -> None:
        into.count += 1
        for task_id in self._plans:
            life = world.lives.get(task_id)
            into.starts.setdefault(task_id, []).append(None if life is None else life.first_start_us)
            into.ends.setdefault(task_id, []).append(told.done.get(task_id))
        plans = {**self._plans, **{plan.task_id: plan for plan in expected}} if expected else self._plans
        tracer = Tracer(plans, world.lives, told.done, world.freed)
        for slo in self._slos:
            into.finishes.setdefault(slo.slo_id, []).append(told.finished.get(slo.slo_id))
            open_ids = [task_id for task_id in slo.task_ids if task_id in self._plans]
            into.critical.setdefault(slo.slo_id, Counter()).update(tracer.chain(open_ids))

    def forecast(self, samples: Samples) -> Forecast:
        """What the samples say."""
        drawn = {
            slo.slo_id: missed(slo.deadline_us, samples.finishes[slo.slo_id]) / samples.count
            for slo in self._slos
        }
        return Forecast(
            self._now_us,
            samples.count,
            tuple(self._slo(slo, drawn[slo.slo_id], samples) for slo in self._slos),
            {
                task_id: TaskForecast(
                    reached_by(samples.starts[task_id], 0.5), reached_by(ends, 0.5), reached_by(ends, 0.9)
                )
                for task_id, ends in samples.ends.items()
            },
            drawn,
        )

    def _slo(self, slo: SloPlan, drawn: float, samples: Samples) -> SloForecast:
        finishes = samples.finishes[slo.slo_id]
        counted = samples.critical[slo.slo_id].items()
        found = sorted((-count, task_id) for task_id, count in counted if not is_expected(task_id))
        return SloForecast(
            slo.slo_id,
            self._outlook.calibration.of(drawn),
            reached_by(finishes, 0.5),
            reached_by(finishes, 0.9),
            reached_by(finishes, 0.99),
            tuple((task_id, -count / samples.count) for count, task_id in found[:CRITICAL_AT_MOST]),
            self._known(slo),
        )

    def _known(self, slo: SloPlan) -> float:
        """The share of the open tasks that a promise waits for, its own and those before them, that have a history."""
        waited_for = dict.fromkeys(task_id for task_id in slo.task_ids if task_id in self._plans)
        queue = list(waited_for)
        for task_id in queue:  # grows while it is walked
            for before in self._plans[task_id].after:
                if before in self._plans and before not in waited_for:
                    waited_for[before] = None
                    queue.append(before)
        histories = self._outlook.histories
        return sum(bool(histories.get(task_id)) for task_id in queue) / len(queue) if queue else 1.0


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
            truths,
            now_us,
            outlook.overhead_us,
            outlook.changes,
            is_patient=True,
            timeouts=self._timeouts,
            is_followed=True,
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
