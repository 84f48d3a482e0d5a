"""How long have jobs taken? Past durations from the ledgers, for plans and forecasts. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from prometheus.core.errors import StoreError
from prometheus.core.settings import Settings
from prometheus.ledger.contract import Ledger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.views import exists
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.quantiles import quantile
from prometheus.scheduler.states import AttemptState

NEWEST = 40  # runs of a pipeline that are looked at
ENOUGH = 3  # past durations from which a plan believes them more than the declaration


@dataclass(frozen=True, slots=True)
class Past:
    """One attempt that did the whole work and succeeded."""

    session: date
    duration_us: int  # from its beginning to its end; what it waited before does not count
    is_replay: bool


Histories = Mapping[str, Sequence[Past]]  # by job of one pipeline, the newest session first


def history_of(settings: Settings, pipeline: str) -> Histories:
    """What the ledgers know of a pipeline's jobs: the newest runs of the settings' ledger and of the replays.

    A ledger that cannot be read tells nothing: a history is no condition of a run.
    """
    found: dict[str, list[Past]] = {}
    for url in _urls(settings, pipeline):
        try:
            ledger = open_ledger(url, create=False)
        except StoreError:
            continue
        try:
            for job, one in _pasts(ledger, pipeline):
                found.setdefault(job, []).append(one)
        except StoreError:
            continue
        finally:
            ledger.close()
    return {
        job: sorted(pasts, key=lambda one: one.session, reverse=True)[:NEWEST] for job, pasts in found.items()
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
    """Past durations of each task of a run, shortest first: what a forecast draws from. Without enough, none."""
    found = {}
    for task in plan.tasks:
        pasts = histories.get(task.job, ())
        if len(pasts) >= ENOUGH:
            found[task.task_id] = tuple(sorted(one.duration_us for one in pasts))
    return found


def _urls(settings: Settings, pipeline: str) -> list[str]:
    """Where runs of this pipeline may be: the settings' ledger, and the files that replays named after them."""
    found = [settings.ledger_url] if exists(settings.ledger_url) else []
    if settings.ledger.alone:
        return found
    files = sorted((settings.home / "replay").glob(f"{pipeline}.????-??-??.db"), reverse=True)
    return found + [f"sqlite:///{path}" for path in files[:NEWEST]]


def _pasts(ledger: Ledger, pipeline: str) -> Iterable[tuple[str, Past]]:
    for run in ledger.runs(pipeline, NEWEST):
        job_of = {task.task_id: task.job for task in run.plan.tasks}
        for row in ledger.attempts_of(run.run_id):
            if row.state is not AttemptState.SUCCEEDED or row.mode != "full":
                continue
            if row.started_us is None or row.ended_us is None:
                continue
            past = Past(run.plan.session, row.ended_us - row.started_us, run.plan.replayed)
            yield job_of[row.task_id], past
