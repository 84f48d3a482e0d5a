"""How long have jobs taken? Past durations from the ledgers, for plans and forecasts. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from prometheus.core.calendar_errors import CalendarError
from prometheus.core.day_type import DayType, day_type
from prometheus.core.errors import StoreError
from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar
from prometheus.forecast import durations
from prometheus.forecast.shared import learned_spread
from prometheus.ledger.contract import Ledger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.views import exists
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.quantiles import quantile
from prometheus.scheduler.rules import counts_against_retries
from prometheus.scheduler.snapshot import AttemptRow
from prometheus.scheduler.states import AttemptState

NEWEST = 40  # runs of a pipeline that are looked at
ENOUGH = 3  # past durations from which a plan believes them more than the declaration
ENOUGH_NIGHTS = 8  # from which how much they differ is learned
FAILING_WEIGHT = 10  # attempts of the whole pipeline that weigh in each job's share of failures


@dataclass(frozen=True, slots=True)
class Past:
    """One attempt that did the whole work and succeeded."""

    session: date
    duration_us: int  # from its beginning to its end; what it waited before does not count
    is_replay: bool
    failures: int = 0  # attempts of the same task that failed before it


JobPast = tuple[str, Past]
Histories = Mapping[str, Sequence[Past]]  # by job of one pipeline, the newest session first


def history_of(settings: Settings, pipeline: str) -> Histories:
    """What the ledgers know of a pipeline's jobs: the newest runs of the settings' ledger and of the replays.

    A ledger that cannot be read tells nothing: a history is no condition of a run.
    """
    found: list[JobPast] = []
    for url in urls_of(settings, pipeline):
        try:
            ledger = open_ledger(url, create=False)
        except StoreError:
            continue
        try:
            found += pasts_in(ledger, pipeline)
        finally:
            ledger.close()
    return by_job(found)


def by_job(pasts: Iterable[JobPast]) -> Histories:
    """The newest past durations of each job, from those of all ledgers."""
    found: dict[str, list[Past]] = {}
    for job, one in pasts:
        found.setdefault(job, []).append(one)
    return {
        job: sorted(own, key=lambda one: one.session, reverse=True)[:NEWEST] for job, own in found.items()
    }


def durations_of(histories: Histories) -> dict[str, tuple[int, int]]:
    """(q50, q80) in microseconds of each job that has history enough: what `plan_run` takes."""
    found = {}
    for job, pasts in histories.items():
        ascending = sorted(one.duration_us for one in pasts)
        if len(ascending) >= ENOUGH:
            found[job] = max(1, quantile(ascending, 0.5)), max(1, quantile(ascending, 0.8))
    return found


def ascending_by_task(plan: RunPlan, histories: Histories) -> dict[str, tuple[int, ...]]:
    """Past durations of each task of a run, shortest first: what a forecast draws from. Without enough, none.

    As they would have been on a day of the session's kind (half day, month end, expiry, after a holiday).
    """
    found = {}
    today = _kind(plan.market, plan.session)
    kinds = {
        session: _kind(plan.market, session)
        for session in {one.session for pasts in histories.values() for one in pasts}
    }
    for task in plan.tasks:
        pasts = histories.get(task.job, ())
        if len(pasts) >= ENOUGH:
            history = [durations.Past(one.duration_us, kinds[one.session]) for one in pasts]
            found[task.task_id] = durations.conditioned(history, today)
    return found


def failing_by_task(plan: RunPlan, histories: Histories) -> dict[str, float]:
    """Share of attempts that fail, by task: the job's own, with the pipeline's while few are known."""
    failed = {job: sum(one.failures for one in pasts) for job, pasts in histories.items()}
    tried = {job: failed[job] + len(pasts) for job, pasts in histories.items()}
    if not sum(tried.values()):
        return {}
    usual = sum(failed.values()) / sum(tried.values())
    return {
        task.task_id: (failed.get(task.job, 0) + FAILING_WEIGHT * usual)
        / (tried.get(task.job, 0) + FAILING_WEIGHT)
        for task in plan.tasks
    }


def spread_of_nights(histories: Histories) -> float:
    """How much the nights of a pipeline differ, all jobs together, in log durations; 0 while too few are known."""
    nights: dict[date, list[tuple[durations.Curve, int]]] = {}
    for pasts in histories.values():
        if len(pasts) >= ENOUGH:
            curve = durations.Curve([one.duration_us for one in pasts])
            for one in pasts:
                nights.setdefault(one.session, []).append((curve, one.duration_us))
    return learned_spread(nights.values()) if len(nights) >= ENOUGH_NIGHTS else 0.0


def _kind(market: str, session: date) -> DayType:
    try:
        return day_type(TradingCalendar(market), session)
    except CalendarError:
        return DayType.NORMAL  # a day or a market that this desk's calendars no longer know


def urls_of(settings: Settings, pipeline: str) -> list[str]:
    """Where runs of this pipeline may be: the settings' ledger, and the files that replays named after them."""
    found = [settings.ledger_url] if exists(settings.ledger_url) else []
    if settings.ledger.alone:
        return found
    files = sorted((settings.home / "replay").glob(f"{pipeline}.????-??-??.db"), reverse=True)
    return found + [f"sqlite:///{path}" for path in files[:NEWEST]]


def pasts_in(ledger: Ledger, pipeline: str) -> list[JobPast]:
    """What one ledger knows of a pipeline's jobs; nothing where it cannot be read."""
    try:
        return list(_pasts(ledger, pipeline))
    except StoreError:
        return []


def _pasts(ledger: Ledger, pipeline: str) -> Iterable[JobPast]:
    for run in ledger.runs(pipeline, NEWEST):
        job_of = {task.task_id: task.job for task in run.plan.tasks}
        for task_id, took_us, failures in whole_durations(ledger.attempts_of(run.run_id)):
            yield job_of[task_id], Past(run.plan.session, took_us, run.plan.replayed, failures)


def whole_durations(attempts: Iterable[AttemptRow]) -> Iterable[tuple[str, int, int]]:
    """(task, microseconds, attempts that failed before) of what did the whole work in full mode and succeeded.

    `attempts` are in order. One that went on from a checkpoint did only what was left.
    """
    failures: dict[str, int] = {}
    resumed = set()
    for row in attempts:
        if row.failure is not None and counts_against_retries(row.failure):
            failures[row.task_id] = failures.get(row.task_id, 0) + 1
        is_whole = row.state is AttemptState.SUCCEEDED and row.mode == "full" and row.task_id not in resumed
        if is_whole and row.started_us is not None and row.ended_us is not None:
            yield row.task_id, row.ended_us - row.started_us, failures.get(row.task_id, 0)
        if row.saved_us is not None:
            resumed.add(row.task_id)
