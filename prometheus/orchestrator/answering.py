"""`prometheus why`: from what was asked to the whole answer, rows and forecast together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prometheus.core.settings import Settings
from prometheus.forecast.foresee import Forecast
from prometheus.orchestrator.blocking import (
    Cause,
    Why,
    clock_of,
    commands,
    explain,
    find,
    find_slo,
    headline,
    shown,
)
from prometheus.orchestrator.curing import Cure, Target, cures
from prometheus.orchestrator.prospect import Prospect, prospect_of
from prometheus.orchestrator.views import NIGHTS, Night, attempts_of, nights
from prometheus.scheduler.snapshot import AttemptRow, SloRow, TaskRow
from prometheus.scheduler.states import DONE


@dataclass(frozen=True, slots=True)
class WhySlo:
    """The whole answer about one promise."""

    night: Night
    slo: SloRow
    causes: tuple[Cause, ...]  # the tasks of it that are not done, and what stands before them
    now_us: int
    commands: tuple[str, ...] = ()  # what takes the run up again
    forecast: Forecast | None = None
    ranked: tuple[Cure, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How much is asked for beyond the rows."""

    samples: int = 0  # 0 = no forecast
    with_cures: bool = False
    progress: Callable[[int, int], None] = lambda done, of: None


def why(
    settings: Settings, words: Sequence[str], now_us: int, flags: str = "", wish: Wish | None = None
) -> Why:
    """The answer for a task named by its full id, by `run job`, or by the job's name in the newest run that has it.

    Raises `UserError` when nothing has that name.
    """
    night, task = find(nights(settings, NIGHTS * 10, ".".join(words)), words)
    now = clock_of(night, now_us)
    prospect = prospect_of(settings, night, now)
    return answer(night, task, attempts_of(night, [task]), now, prospect, wish or Wish(), flags)


def why_slo(settings: Settings, name: str, now_us: int, flags: str = "", wish: Wish | None = None) -> WhySlo:
    """The answer for a promise named by its id, or by its name in the newest run that has it."""
    known = nights(settings, NIGHTS * 10, name)
    night, slo = find_slo(known, name)
    now = clock_of(night, now_us)
    return answer_slo(night, slo, now, prospect_of(settings, night, now), wish or Wish(), flags)


def answer(
    night: Night,
    task: TaskRow,
    attempts: Sequence[AttemptRow],
    now_us: int,
    prospect: Prospect | None,
    wish: Wish,
    flags: str = "",
) -> Why:
    """What the rows of a night say of a task, and what its forecast does."""
    told = explain(night, task, attempts, now_us, flags, prospect)
    if prospect is None or not wish.samples or task.state in DONE:
        return told
    target = Target((task.task_id,), tuple(slo.slo_id for slo in told.slos))
    forecast, ranked = _looked_ahead(prospect, target, wish)
    causes = tuple(_foreseen(cause, forecast) for cause in told.causes)
    return replace(told, forecast=forecast, ranked=ranked, causes=causes)


def answer_slo(
    night: Night, slo: SloRow, now_us: int, prospect: Prospect | None, wish: Wish, flags: str = ""
) -> WhySlo:
    """What the rows of a night say of a promise, and what its forecast does."""
    rows = {row.task_id: row for row in night.tasks}
    plan = next(one for one in night.run.plan.slos if one.slo_id == slo.slo_id)
    left = [rows[task_id] for task_id in plan.task_ids if rows[task_id].state not in DONE]
    causes: dict[Cause, None] = {}
    for row in left:
        causes[Cause("task", headline(row, is_abandoned=night.is_abandoned), row.task_id)] = None
        causes.update((cause, None) for cause in explain(night, row, (), now_us, "", prospect).causes)
    first = shown(list(causes))
    going_on = dict.fromkeys(one for i in plan.task_ids for one in commands(night, rows[i], flags))
    told = WhySlo(night, slo, first, now_us, tuple(going_on))
    if prospect is None or not wish.samples or not left:
        return told
    target = Target(tuple(row.task_id for row in left), (slo.slo_id,))
    forecast, ranked = _looked_ahead(prospect, target, wish)
    with_ends = tuple(_foreseen(one, forecast) for one in first)
    return replace(told, causes=with_ends, forecast=forecast, ranked=ranked)


def _looked_ahead(prospect: Prospect, target: Target, wish: Wish) -> tuple[Forecast, tuple[Cure, ...]]:
    if wish.with_cures:
        return cures(prospect, target, wish.samples, wish.progress)
    return prospect.foresee((), wish.samples), ()


def _foreseen(cause: Cause, forecast: Forecast) -> Cause:
    """The cause with the instant at which the task that it names is done in half of the samples."""
    if cause.at_us is not None or cause.task_id is None or cause.task_id not in forecast.tasks:
        return cause
    return replace(cause, at_us=forecast.tasks[cause.task_id].end_p50_us)
