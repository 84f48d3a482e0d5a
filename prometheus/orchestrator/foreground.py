"""One run in the foreground: opened or resumed, driven to its end, reported.

A past session is replayed: it has a ledger file of its own, and a clock that starts at the run's first release,
advances by real durations and jumps over idle gaps. A run that a crash left unfinished is resumed: what had finished
does not run again, what was running is closed as lost and tried anew, and what had failed is retried.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from prometheus.core.errors import UserError
from prometheus.core.instants import DAY_US, SECOND_US, from_us, iso, midnight_us, parse_duration
from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar, current_book
from prometheus.executors.contract import Executor
from prometheus.executors.local import LocalExecutor
from prometheus.ledger.contract import Ledger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.calendars import book_text, install_desk_book
from prometheus.orchestrator.capacity import announce
from prometheus.orchestrator.clock import Clock, LiveClock, ReplayClock, monotonic_us
from prometheus.orchestrator.forecaster import Ask
from prometheus.orchestrator.forecasting import Forecasting
from prometheus.orchestrator.histories import Histories, durations_of, history_of
from prometheus.orchestrator.launching import Launcher
from prometheus.orchestrator.loading import LoadedPipeline, load_pipeline
from prometheus.orchestrator.machine import capacity_of
from prometheus.orchestrator.outlooks import basis_of
from prometheus.orchestrator.repairing import repairs, to_repair
from prometheus.orchestrator.turns import Driver
from prometheus.pipelines.checking import check_fits
from prometheus.pipelines.model import FaultsError, PipelineSpec
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.events import (
    AttemptFailed,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
    TaskAsked,
    Verb,
)
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.planning import plan_run, sessions_of
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, Snapshot, TaskRow
from prometheus.scheduler.states import HOLDING_ROOM, RunState, TaskState

OBSERVED_EVERY_US = SECOND_US // 10

# A pipeline that runs once a quarter has had a run in any span of this length.
LONGEST_PERIOD = timedelta(days=200)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for."""

    pipeline: str  # a shipped name, or path/file.py:variable
    session: date | None = None  # None = the latest closed session
    ledger_url: str | None = None  # None = a replay's own file, or the settings' ledger
    replay: bool | None = None  # None = a session is replayed when all its deadlines have passed
    repair: bool = False  # run again in full what was degraded or skipped
    again: bool = False  # put the ledger of an earlier replay aside and begin anew


@dataclass(frozen=True, slots=True)
class Progress:
    """How the run stands after a turn."""

    now_us: int  # on the run's clock
    run: RunRow
    tasks: tuple[TaskRow, ...]
    slos: tuple[SloRow, ...]
    attempts: tuple[AttemptRow, ...]
    note: str = ""  # what it waits for, when that is not the work itself


@dataclass(frozen=True, slots=True)
class RunReport:
    """How the run ended, or why it can go no further."""

    run: RunRow
    tasks: tuple[TaskRow, ...]
    slos: tuple[SloRow, ...]
    attempts: tuple[AttemptRow, ...]
    ledger_url: str
    log_dir: Path
    resumed: bool  # an earlier, unfinished try was taken up
    was_finished: bool  # it had ended before and nothing was done
    is_stuck: bool  # tasks are left, but nothing can start them: held, or larger than the machine


def run_pipeline(request: RunRequest, settings: Settings, observe: Callable[[Progress], None]) -> RunReport:
    """Open or resume the run and drive it to its end, in this process.

    Raises `UserError` where the request cannot be used, the store's errors where the ledger stays away, and
    KeyboardInterrupt, after its workers have been stopped, when interrupted.
    """
    with ExitStack() as stack:
        executor = LocalExecutor()
        stack.callback(executor.close)
        install_desk_book(settings)
        loaded = load_pipeline(request.pipeline, settings)
        histories = history_of(settings, loaded.spec.name)  # read once: it may mean dozens of files
        plan = _plan(request, loaded, histories)
        if request.ledger_url is not None:
            url = request.ledger_url
        elif not plan.replayed:
            url = settings.ledger_url
        else:
            url = replay_ledger_url(settings, plan.run_id)
            if request.again:
                _put_aside(settings, plan.run_id)
        ledger = open_ledger(url)
        stack.callback(ledger.close)
        return _drive(
            settings, loaded, histories, plan, ledger, url, executor, observe, is_repair=request.repair
        )


def replay_ledger_url(settings: Settings, run_id: str) -> str:
    """The ledger of a replayed run."""
    return f"sqlite:///{settings.home / 'replay' / f'{run_id}.db'}"


def _put_aside(settings: Settings, run_id: str) -> None:
    folder = settings.home / "replay"
    names = sorted(folder.glob(f"{run_id}.db*"))
    if not names:
        return
    number = 1
    while (aside := folder / f"{run_id}.earlier{number}").exists():
        number += 1
    aside.mkdir()
    for path in names:
        path.rename(aside / path.name)


def _plan(request: RunRequest, loaded: LoadedPipeline, histories: Histories) -> RunPlan:
    """The run as it would be opened: its latest starts come from what its jobs took before, where that is known."""
    durations = durations_of(histories)
    now_us = LiveClock().now_us()
    session = request.session or _latest_closed(loaded.spec, now_us)
    plan = plan_run(loaded.spec, session, TradingCalendar, loaded.pin, True, durations)
    over_us = max((slo.deadline_us for slo in plan.slos), default=midnight_us(session) + 2 * DAY_US)
    is_replay = now_us > over_us if request.replay is None else request.replay
    if is_replay:
        return plan
    return plan_run(loaded.spec, session, TradingCalendar, loaded.pin, False, durations, now_us)


def _latest_closed(spec: PipelineSpec, now_us: int) -> date:
    """The latest closed session for which the pipeline has a run: of a weekly one, the last one that ended a week."""
    calendar = TradingCalendar(spec.market)
    closed = calendar.latest_closed_session(from_us(now_us))
    having = sessions_of(spec, calendar, closed - LONGEST_PERIOD, closed)
    return having[-1] if having else closed


def _drive(
    settings: Settings,
    loaded: LoadedPipeline,
    histories: Histories,
    plan: RunPlan,
    ledger: Ledger,
    url: str,
    executor: Executor,
    observe: Callable[[Progress], None],
    *,
    is_repair: bool,
) -> RunReport:
    wall_us = LiveClock().now_us()
    epoch = ledger.acquire(f"prometheus run, process {os.getpid()} on {socket.gethostname()}", wall_us)
    snapshot = ledger.load(plan.run_id)  # a run in the foreground leaves the others of its ledger alone
    row = snapshot.runs[0] if snapshot.runs else None
    has_repairs = is_repair and bool(to_repair(snapshot.tasks))
    if row is not None and row.state in (RunState.SUCCEEDED, RunState.DEGRADED) and not has_repairs:
        return _report(settings, ledger, url, plan.run_id, resumed=False, was_finished=True, is_stuck=False)
    if row is not None:
        _check_pin(row.plan, loaded)
        plan = row.plan
    if plan.replayed:
        _check_time(plan, row, snapshot.at_us, url)
    clock: Clock = ReplayClock(max(plan.release_us, snapshot.at_us)) if plan.replayed else LiveClock()
    capacity, coming = announce(
        settings.resources.changes, capacity_of(settings), clock.now_us(), TradingCalendar
    )
    faults = check_fits(loaded.spec, capacity)
    if faults and all(check_fits(loaded.spec, later) for _, later in coming):
        raise FaultsError(f"pipeline {plan.pipeline}", tuple(faults))
    launcher = Launcher(settings, Path.cwd(), book_text(current_book()))
    launcher.know(plan, loaded)
    launcher.recall(snapshot)
    scheduler = Scheduler.restore(snapshot, settings.seed)
    watch = _Watch(ledger, scheduler, plan.run_id, clock, observe)
    driver = Driver(
        scheduler=scheduler,
        ledger=ledger,
        epoch=epoch,
        revision=ledger.revision(),
        executor=executor,
        clock=clock,
        launcher=launcher,
        grace_us=parse_duration(settings.executor.grace),
        patience_us=parse_duration(settings.ledger.patience),
        note=watch.note,
    )
    now_us = clock.now_us()
    events: list[Event] = [CapacityChanged(now_us, capacity, coming)]
    events += [RunOpened(now_us, plan)] if row is None else _resumption(snapshot, now_us)
    if has_repairs:
        events += repairs(snapshot.tasks, now_us, _who())
    with ExitStack() as stack:
        foresight = _foresight(settings, histories, plan, url, driver, watch.note)
        driver.hearers.append(watch.heard)
        if foresight is not None:
            stack.callback(foresight.close)
            driver.hearers.append(foresight.heard)
        decisions: object = driver.turn(events)
        watch.look(is_forced=True)
        while decisions is not None and driver.scheduler.run_state(plan.run_id) is RunState.RUNNING:
            patience = [watch.unshown_for_us(), None if foresight is None else foresight.idle_for_us()]
            decisions = driver.wait(min((one for one in patience if one is not None), default=None))
            forecast = None if foresight is None or decisions is None else foresight.look()
            if forecast is not None:
                decisions = driver.turn([forecast])
            if watch.unshown_for_us() is not None:
                watch.look()
        watch.look(is_forced=True)
    ledger.release(epoch)
    return _report(
        settings,
        ledger,
        url,
        plan.run_id,
        resumed=row is not None,
        was_finished=False,
        is_stuck=decisions is None,
    )


def _foresight(
    settings: Settings,
    histories: Histories,
    plan: RunPlan,
    url: str,
    driver: Driver,
    tell: Callable[[str], None],
) -> Forecasting | None:
    """Who looks ahead; None where there is nothing to look for, or no other process could read the ledger."""
    if not settings.forecast.enabled or not plan.slos or url == "memory:":
        return None
    basis = basis_of(plan, histories)
    return Forecasting(
        Ask(
            url,
            plan.run_id,
            driver.clock.now_us(),
            settings.forecast.samples,
            settings.seed,
            basis.histories,
            basis.failing,
            basis.spread,
        ),
        driver.scheduler,
        {task.task_id: task.tier for task in plan.tasks},
        driver.clock.now_us,
        every_us=parse_duration(settings.forecast.every),
        wake=driver.executor.wake,
        tell=tell,
    )


def _check_time(plan: RunPlan, row: RunRow | None, at_us: int, url: str) -> None:
    """A ledger's time never goes back, so a replay cannot be written into one that has seen a later night."""
    if row is None and at_us > plan.release_us:
        raise UserError(
            f"the ledger {url} has seen {iso(at_us)}, but {plan.run_id} begins at {iso(plan.release_us)}",
            allowed="a ledger in which nothing later has happened",
            hint="leave --ledger out: a replay gets a file of its own",
        )


def _resumption(snapshot: Snapshot, now_us: int) -> list[Event]:
    """What a fresh leader knows of the one before: its attempts are gone, and what failed is asked for again."""
    who = _who()
    events: list[Event] = []
    for task in snapshot.tasks:
        if task.state in HOLDING_ROOM:
            message = "the program that ran it ended before it did"
            events.append(AttemptFailed(now_us, task.task_id, task.attempts, Failure.LOST, message))
        elif task.state in (TaskState.FAILED, TaskState.CANCELLED):
            events.append(TaskAsked(now_us, task.task_id, Verb.RETRY, "the run was started again", who))
    return events


def _who() -> str:
    return os.environ.get("USER") or "the user"


def _check_pin(plan: RunPlan, loaded: LoadedPipeline) -> None:
    if plan.pin == loaded.pin:
        return
    raise UserError(
        f"the run {plan.run_id} began with other code: it is pinned to {plan.pin[:12]}, "
        f"the pipeline, its sources, the settings' engines or the installed packages are now {loaded.pin[:12]}",
        allowed="going on with the code that it began with",
        hint="put that code back, or begin the night anew with --again"
        if plan.replayed
        else "put that code back",
    )


class _Watch:
    """Shows the run as it goes, at most ten times a second."""

    def __init__(
        self,
        ledger: Ledger,
        scheduler: Scheduler,
        run_id: str,
        clock: Clock,
        observe: Callable[[Progress], None],
    ) -> None:
        self._ledger = ledger
        self._scheduler = scheduler
        self._run: RunRow | None = None
        self._run_id = run_id
        self._clock = clock
        self._observe = observe
        self._note = ""
        self._last: Progress | None = None
        self._next_look_us = 0
        self._is_behind = False  # something has changed since the last look

    def heard(self, events: Sequence[Event], decisions: Sequence[Decision]) -> None:
        """A turn was committed: also one that decided nothing may have changed what is shown."""
        self._is_behind = True

    def look(self, is_forced: bool = False) -> None:
        if not is_forced and monotonic_us() < self._next_look_us:
            return
        self._is_behind = False
        begun_us = monotonic_us()
        if self._run is None:
            self._run = ledger_run(self._ledger, self._run_id)  # its plan may be large and does not change
        self._last = Progress(
            self._clock.now_us(),
            replace(self._run, state=self._scheduler.run_state(self._run_id)),
            tuple(self._ledger.tasks(self._run_id)),
            tuple(self._ledger.slos(self._run_id)),
            tuple(self._ledger.attempts_of(self._run_id)),
            self._note,
        )
        self._observe(self._last)
        # A look at a large run costs more: at most one part in thirty of the time goes into looking.
        self._next_look_us = monotonic_us() + max(OBSERVED_EVERY_US, 29 * (monotonic_us() - begun_us))

    def unshown_for_us(self) -> int | None:
        """How long the next look must still wait when something is unshown; None when all is shown."""
        return max(0, self._next_look_us - monotonic_us()) if self._is_behind else None

    def note(self, text: str) -> None:
        """Show a note with what was last seen; the ledger may be away."""
        self._note = text
        if self._last is not None:
            last = self._last
            self._observe(
                Progress(self._clock.now_us(), last.run, last.tasks, last.slos, last.attempts, text)
            )


def ledger_run(ledger: Ledger, run_id: str) -> RunRow:
    """The row of a run that is known to exist."""
    run = ledger.run(run_id)
    assert run is not None, f"the ledger has lost the run {run_id}"
    return run


def rows_of(
    ledger: Ledger, run_id: str
) -> tuple[RunRow, tuple[TaskRow, ...], tuple[SloRow, ...], tuple[AttemptRow, ...]]:
    """Everything that the ledger says of one run."""
    tasks = tuple(ledger.tasks(run_id))
    attempts = tuple(ledger.attempts_of(run_id))
    return ledger_run(ledger, run_id), tasks, tuple(ledger.slos(run_id)), attempts


def _report(
    settings: Settings,
    ledger: Ledger,
    url: str,
    run_id: str,
    *,
    resumed: bool,
    was_finished: bool,
    is_stuck: bool,
) -> RunReport:
    run, tasks, slos, attempts = rows_of(ledger, run_id)
    return RunReport(
        run, tasks, slos, attempts, url, settings.home / "logs" / run_id, resumed, was_finished, is_stuck
    )
