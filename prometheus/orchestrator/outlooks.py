"""What a forecast assumes of a run: what its jobs took before on days of this kind, and how slow tonight is so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus.forecast.foresee import Outlook
from prometheus.orchestrator.histories import (
    Histories,
    ascending_by_task,
    failing_by_task,
    spread_of_nights,
    whole_durations,
)
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Basis:
    """What past runs say of a run's tasks, in plain values: the forecaster's process gets them as JSON."""

    histories: Mapping[str, Sequence[int]] = field(default_factory=dict)  # task -> durations, shortest first
    failing: Mapping[str, float] = field(default_factory=dict)  # task -> share of its attempts that fail
    spread: float = 0.0  # how much nights differ as a whole, in log durations; 0 = not known


def basis_of(plan: RunPlan, histories: Histories) -> Basis:
    """From what the jobs of a run took before; of jobs with too little history nothing is said."""
    return Basis(
        ascending_by_task(plan, histories), failing_by_task(plan, histories), spread_of_nights(histories)
    )


def outlook_of(snapshot: Snapshot, basis: Basis) -> Outlook:
    """The outlook of a run that has got so far: what ended tonight tells how slow the rest will be."""
    return Outlook(
        histories=basis.histories,
        failing=basis.failing,
        groups={row.task_id: row.run_id for row in snapshot.tasks},
        shared={run.run_id: basis.spread for run in snapshot.runs} if basis.spread > 0 else {},
        tonight={task_id: took_us for task_id, took_us, _ in whole_durations(snapshot.attempts)},
    )
