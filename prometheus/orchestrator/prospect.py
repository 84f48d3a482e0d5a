"""A night that is going on, as a scheduler that can be run ahead: restored from its rows, with what durations it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus.core.errors import UserError
from prometheus.core.instants import iso
from prometheus.core.settings import Settings
from prometheus.forecast.foresee import Forecast, Outlook, View
from prometheus.forecast.outlook import AHEAD_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.histories import history_of
from prometheus.orchestrator.outlooks import basis_of, outlook_of
from prometheus.orchestrator.sharing import draw_shared
from prometheus.orchestrator.simulation.contradictions import RUN
from prometheus.orchestrator.simulation.faults import Faults, burdened, draw_faults
from prometheus.orchestrator.simulation.opening import first_events, outlook_on, world_of
from prometheus.orchestrator.simulation.troubled import Night as VirtualNight
from prometheus.orchestrator.simulation.workload import Workload, read_workload
from prometheus.orchestrator.views import Night
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import Event, TimePassed
from prometheus.scheduler.plan import SloPlan
from prometheus.scheduler.policies import RESERVING
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import DONE, ENDED, RunState


@dataclass(frozen=True, slots=True)
class Prospect:
    """Where a night stands at `now_us`, and what is assumed of what comes."""

    snapshot: Snapshot
    scheduler: Scheduler
    outlook: Outlook
    now_us: int
    seed: int

    def foresee(self, events: Sequence[Event], samples: int, *, promises_alone: bool = False) -> Forecast:
        """The night run ahead if these events came now. The same seed and number of samples see the same worlds.

        With `promises_alone` a sample ends with the last promise, and what comes later has no end.
        """
        twin = self.scheduler.fork()
        twin.handle([TimePassed(self.now_us), *events])
        last_us = max(
            [self.now_us, *(slo.deadline_us for run in self.snapshot.runs for slo in run.plan.slos)]
        )
        view = View(
            twin,
            self.outlook,
            until_us=last_us + AHEAD_US,
            seed=self.seed,
            concerning={slo.slo_id for slo in twin.open_slos()} if promises_alone else None,
        )
        made = view.forecast(draw_shared(view.draw, 0, samples))
        broken = {slo.slo_id for run in self.snapshot.runs for slo in run.plan.slos if _is_broken(twin, slo)}
        said = tuple(replace(one, miss=1.0) if one.slo_id in broken else one for one in made.slos)
        return replace(made, slos=said)


def _is_broken(scheduler: Scheduler, slo: SloPlan) -> bool:
    """Whether a task that it needs has ended without being done: only a person can still help."""
    return any(scheduler.task_state(task_id) in ENDED - DONE for task_id in slo.task_ids)


def prospect_of(settings: Settings, night: Night, now_us: int) -> Prospect | None:
    """What lies before a night of a ledger; None when it is over or nobody works on it."""
    if night.run.state is not RunState.RUNNING or night.is_abandoned:
        return None
    ledger = open_ledger(night.ledger_url, create=False)
    try:
        snapshot = ledger.load(night.run.run_id)  # a run in the foreground has the machine to itself
    finally:
        ledger.close()
    basis = basis_of(night.run.plan, history_of(settings, night.run.plan.pipeline))
    return _prospect(snapshot, outlook_of(snapshot, basis), now_us, settings.seed)


def night_of_workload(path: Path, after_us: int, seed: int) -> tuple[Night, Prospect, MemoryLedger]:
    """A workload's night so long after its start, reached in virtual time: its rows, and what lies before it.

    What goes wrong by the file, up to then, has gone wrong as in `simulate` with this seed; what comes later a forecast
    does not know. Its backfills are shown as part of the night's one run.

    Raises `UserError` for a file with faults, and for an instant after its horizon.
    """
    workload = read_workload(path)
    now_us = workload.start_us + after_us
    if now_us > workload.horizon_us:
        raise UserError(
            f"--at is {iso(now_us)} in the night of {path}",
            allowed=f"an instant up to its horizon, {iso(workload.horizon_us)}",
        )
    faults = Faults()
    if workload.faults is not None:
        faults = draw_faults(workload.faults, workload, seed)
        workload = burdened(workload, faults)
    ledger = MemoryLedger()
    VirtualNight(world_of(workload), ledger, faults, RESERVING, seed).run(first_events(workload), now_us)
    snapshot = ledger.load()
    at_us = max(now_us, snapshot.at_us)  # a fault may have set the scheduler's clock forward
    return (
        _as_one_run(snapshot, workload, str(path)),
        _prospect(replace(snapshot, at_us=at_us), outlook_on(workload), now_us, seed),
        ledger,
    )


def _as_one_run(snapshot: Snapshot, workload: Workload, name: str) -> Night:
    """The night and its backfills seen as one: they are in each other's way."""
    run = next(row for row in snapshot.runs if row.run_id == RUN)
    whole = replace(run, plan=replace(run.plan, tasks=workload.tasks))
    return Night(whole, snapshot.tasks, snapshot.slos, name, "a simulation")


def _prospect(snapshot: Snapshot, outlook: Outlook, now_us: int, seed: int) -> Prospect:
    scheduler = Scheduler.restore(snapshot, seed)
    return Prospect(snapshot, scheduler, outlook, max(now_us, scheduler.now_us), seed)
