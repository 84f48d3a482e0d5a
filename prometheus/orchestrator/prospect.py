"""A night that is going on, as a scheduler that can be run ahead: restored from its rows, with what durations it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus.core.errors import UserError
from prometheus.core.instants import DAY_US, iso
from prometheus.core.settings import Settings
from prometheus.forecast.foresee import Forecast, Outlook, foresee
from prometheus.forecast.world import World
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.histories import history_of
from prometheus.orchestrator.outlooks import basis_of, outlook_of
from prometheus.orchestrator.simulation.contradictions import RUN
from prometheus.orchestrator.simulation.faults import Faults
from prometheus.orchestrator.simulation.troubled import Night as VirtualNight
from prometheus.orchestrator.simulation.workload import read_workload
from prometheus.orchestrator.views import Night
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened, TimePassed
from prometheus.scheduler.plan import SloPlan
from prometheus.scheduler.policies import RESERVING
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import DONE, ENDED, RunState

AHEAD_US = DAY_US  # how long after the last deadline late work is still followed


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
        made = foresee(
            twin,
            self.outlook,
            until_us=last_us + AHEAD_US,
            samples=samples,
            seed=self.seed,
            concerning={slo.slo_id for slo in twin.open_slos()} if promises_alone else None,
        )
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

    Raises `UserError` for a file with faults, and for an instant after its horizon.
    """
    workload = read_workload(path)
    now_us = workload.start_us + after_us
    if now_us > workload.horizon_us:
        raise UserError(
            f"--at is {iso(now_us)} in the night of {path}",
            allowed=f"an instant up to its horizon, {iso(workload.horizon_us)}",
        )
    ledger = MemoryLedger()
    world = World(workload.truths, workload.start_us, workload.checkpoint_overhead_us, workload.changes)
    first: list[Event] = [
        CapacityChanged(workload.start_us, workload.capacity),
        RunOpened(workload.start_us, workload.plan),
    ]
    VirtualNight(world, ledger, Faults(), RESERVING, seed).run(first, now_us)
    run = ledger.run(RUN)
    assert run is not None, "the night was opened"
    night = Night(run, tuple(ledger.tasks(RUN)), tuple(ledger.slos(RUN)), str(path), "a simulation")
    outlook = Outlook(
        histories=workload.histories,
        overhead_us=workload.checkpoint_overhead_us,
        changes=tuple(change for change in workload.changes if change[0] > now_us),
    )
    return night, _prospect(replace(ledger.load(), at_us=now_us), outlook, now_us, seed), ledger


def _prospect(snapshot: Snapshot, outlook: Outlook, now_us: int, seed: int) -> Prospect:
    scheduler = Scheduler.restore(snapshot, seed)
    return Prospect(snapshot, scheduler, outlook, max(now_us, scheduler.now_us), seed)
