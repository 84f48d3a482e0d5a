"""Which runs are tonight's? Those of the ledgers that have not ended, and those that are to come, with their plans.

A past session is asked about as its replay would run: from its first release, or from where an unfinished replay stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import chain

from prometheus.core.calendar_book import CalendarBook
from prometheus.core.calendar_errors import NotATradingDayError
from prometheus.core.counting import counted
from prometheus.core.errors import StoreError, UserError
from prometheus.core.instants import DAY_US, HOUR_US, from_us
from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar
from prometheus.forecast.outlook import AHEAD_US
from prometheus.ledger.contract import Ledger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.calendars import install_desk_book
from prometheus.orchestrator.capacity import announce, machine_at
from prometheus.orchestrator.histories import (
    ENOUGH,
    Histories,
    JobPast,
    ascending_by_task,
    by_job,
    durations_of,
    pasts_in,
    urls_of,
)
from prometheus.orchestrator.loading import LoadedPipeline, load_pipeline, shipped_names
from prometheus.orchestrator.machine import capacity_of
from prometheus.orchestrator.outlooks import basis_of
from prometheus.orchestrator.tonight import Tonight, only
from prometheus.orchestrator.views import exists, leader_of, leave_out, ledger_urls
from prometheus.pipelines.moments import Clock, Edge
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.planning import plan_run, sessions_of
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import RunState

LOOKS_BACK = timedelta(days=4)  # a run of the session before a weekend may still be due
LOOKS_AHEAD = timedelta(days=100)  # a pipeline that runs once a quarter has a run in any such span
TONIGHT_US = DAY_US  # what starts later is not tonight's, unless asked for by name
WITHOUT_DEADLINE_US = 6 * HOUR_US  # after its release a run without deadlines counts as over
LONGEST_NOTE = 8  # runs that are named in one


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where to look, and what was found there."""

    settings: Settings
    book: CalendarBook
    loaded: Mapping[str, LoadedPipeline]
    histories: Mapping[str, Histories]
    unfinished: Mapping[str, tuple[str, Snapshot]]  # run -> its ledger and what that says of it
    ended: Mapping[str, RunState]
    now_us: int

    def calendar(self, market: str) -> TradingCalendar:
        return TradingCalendar(market, book=self.book)

    def plan(self, one: LoadedPipeline, session: date) -> RunPlan:
        """The run of a session; replayed if all its deadlines have passed."""
        durations = durations_of(self.histories[one.spec.name])
        plan = plan_run(one.spec, session, self.calendar, one.pin, replayed=False, durations=durations)
        return replace(plan, replayed=_over_us(plan) < self.now_us)


@dataclass(frozen=True, slots=True)
class _Read:
    """What the ledgers say."""

    unfinished: dict[str, tuple[str, Snapshot]] = field(default_factory=dict)
    ended: dict[str, RunState] = field(default_factory=dict)
    unread: list[tuple[str, StoreError]] = field(default_factory=list)  # ledgers that cannot be, and why
    histories: dict[str, Histories] = field(default_factory=dict)  # by pipeline


def gather(settings: Settings, names: Sequence[str], session: date | None, now_us: int) -> Tonight:
    """Tonight's runs of these pipelines; with none named, of all shipped ones and of whatever the ledger has begun.

    Raises `UserError` where a name leads nowhere, a pipeline has no run for the session, or there is nothing at all.
    """
    book = install_desk_book(settings)
    loaded = {one.spec.name: one for one in (load_pipeline(n, settings) for n in names or shipped_names())}
    read = _in_ledgers(settings, list(loaded))
    desk = _Desk(settings, book, loaded, read.histories, read.unfinished, read.ended, now_us)
    plans = []
    for one in loaded.values():
        plan = (
            _next_run(desk, one, bool(names)) if session is None else _run_of(desk, one, session, bool(names))
        )
        if plan is not None:
            plans.append(plan)
    asked_for = {plan.run_id for plan in plans}
    for url, error in read.unread:
        leave_out(settings, url, error, asked_for if names else ())
    if not names and session is None:
        asked_for |= {run_id for run_id, (url, _) in read.unfinished.items() if url == settings.ledger_url}
    begun = {run_id: found for run_id, found in read.unfinished.items() if run_id in asked_for}
    coming = [plan for plan in plans if plan.run_id not in begun]
    if not coming and not begun:
        raise UserError(
            "nothing runs tonight",
            hint="name a pipeline and a session: prometheus whatif us_eq_daily --session 2016-06-24",
        )
    return _tonight(desk, sorted(coming, key=lambda run: (run.release_us, run.run_id)), begun)


def _in_ledgers(settings: Settings, names: Sequence[str]) -> _Read:
    """Every run of the ledgers, and what they know of these pipelines; each is opened once. The own ledger counts first."""
    found = _Read()
    looked_at = ledger_urls(settings) if _may_look(settings) else []
    pasts: dict[str, list[JobPast]] = {name: [] for name in names}
    urls = {name: urls_of(settings, name) for name in names}
    for url in dict.fromkeys([*looked_at, *chain.from_iterable(urls.values())]):
        try:
            ledger = open_ledger(url, create=False)
        except StoreError as error:
            if url in looked_at:
                found.unread.append((url, error))
            continue
        try:
            if url in looked_at:
                _note_runs(ledger, url, found)
            for name in names:
                if url in urls[name]:
                    pasts[name] += pasts_in(ledger, name)
        finally:
            ledger.close()
    found.histories.update((name, by_job(own)) for name, own in pasts.items())
    return found


def _note_runs(ledger: Ledger, url: str, found: _Read) -> None:
    """How the runs of a ledger stand, and what it says of those that have not ended."""
    try:
        states = {run.run_id: run.state for run in ledger.runs(limit=1_000)}
        snapshot = ledger.load() if RunState.RUNNING in states.values() else None
    except StoreError as error:
        found.unread.append((url, error))
        return
    for run_id, state in states.items():
        if run_id in found.unfinished or run_id in found.ended:
            continue
        if state is RunState.RUNNING and snapshot is not None:
            found.unfinished[run_id] = url, only(snapshot, {run_id})
        else:
            found.ended[run_id] = state


def _may_look(settings: Settings) -> bool:
    """A ledger that was named must be there; one that nobody has made yet says nothing."""
    return settings.ledger.alone or exists(settings.ledger_url) or (settings.home / "replay").is_dir()


def _run_of(desk: _Desk, one: LoadedPipeline, session: date, is_named: bool) -> RunPlan | None:
    """The run of that session; None for a pipeline that nobody named and that has none."""
    try:
        return desk.plan(one, session)
    except (NotATradingDayError, UserError):
        if is_named:
            raise
        return None


def _next_run(desk: _Desk, one: LoadedPipeline, is_named: bool) -> RunPlan | None:
    """The first run that is not over; None for a pipeline that nobody named and that does not start tonight."""
    calendar, today = desk.calendar(one.spec.market), from_us(desk.now_us).date()
    last = min(today + LOOKS_AHEAD, calendar.last_day)
    if last < today:
        if is_named:
            raise UserError(
                f"nothing is known of the sessions of {one.spec.market} after {calendar.last_day}",
                hint="name one with --session; `prometheus calendar horizon` lists them",
            )
        return None
    for session in sessions_of(one.spec, calendar, today - LOOKS_BACK, last):
        plan = desk.plan(one, session)
        if _over_us(plan) <= desk.now_us or plan.run_id in desk.ended:
            continue
        return plan if is_named or plan.release_us <= desk.now_us + TONIGHT_US else None
    return None


def _over_us(plan: RunPlan) -> int:
    """When a run is past caring: its last deadline."""
    return max((slo.deadline_us for slo in plan.slos), default=plan.release_us + WITHOUT_DEADLINE_US)


def _tonight(desk: _Desk, coming: list[RunPlan], begun: dict[str, tuple[str, Snapshot]]) -> Tonight:
    snapshot = _merged([one for _, one in begun.values()])
    leaders = {url: leader_of(url) for url, _ in begun.values()}
    plans = [*(row.plan for row in (() if snapshot is None else snapshot.runs)), *coming]
    is_past = all(_over_us(plan) < desk.now_us for plan in plans)
    first_us = min(plan.release_us for plan in plans)
    past_us = first_us if snapshot is None else snapshot.at_us
    now_us = past_us if is_past else desk.now_us
    bases = {plan.run_id: basis_of(plan, desk.histories.get(plan.pipeline, {})) for plan in plans}
    changes = desk.settings.resources.changes
    capacity, announced = announce(changes, capacity_of(desk.settings), now_us, desk.calendar)
    if snapshot is not None and snapshot.capacity is not None and any(leaders.values()):
        capacity, announced = machine_at(snapshot.capacity, snapshot.coming, now_us)
    return Tonight(
        name=_named([plan.run_id for plan in plans]),
        now_us=now_us,
        until_us=max(now_us, *(max(_over_us(plan), plan.release_us) for plan in plans)) + AHEAD_US,
        capacity=capacity,
        announced=announced,
        coming=tuple(coming),
        begun=snapshot,
        left_alone=frozenset(run_id for run_id, (url, _) in begun.items() if leaders[url] is None),
        specs={name: one.spec for name, one in desk.loaded.items()},
        book=desk.book,
        histories={task_id: past for one in bases.values() for task_id, past in one.histories.items()},
        failing={task_id: share for one in bases.values() for task_id, share in one.failing.items()},
        spreads={run_id: one.spread for run_id, one in bases.items()},
        durations={name: durations_of(known) for name, known in desk.histories.items()},
        seed=desk.settings.seed,
        notes=tuple(_notes(desk, plans, begun, leaders, is_past)),
    )


def _merged(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """Runs of several ledgers as if they were of one: replays have a file each."""
    if not snapshots:
        return None
    return Snapshot(
        at_us=max(one.at_us for one in snapshots),
        capacity=snapshots[0].capacity,
        coming=snapshots[0].coming,
        pressure=snapshots[0].pressure,
        runs=tuple(row for one in snapshots for row in one.runs),
        tasks=tuple(row for one in snapshots for row in one.tasks),
        attempts=tuple(row for one in snapshots for row in one.attempts),
        slos=tuple(row for one in snapshots for row in one.slos),
    )


def _notes(
    desk: _Desk,
    plans: Sequence[RunPlan],
    begun: Mapping[str, tuple[str, Snapshot]],
    leaders: Mapping[str, str | None],
    is_past: bool,
) -> list[str]:
    """Where tonight comes from, how old its histories are, and what is not in it."""
    notes = []
    for run_id, (url, _) in begun.items():
        who = leaders[url]
        notes.append(
            f"{run_id} goes on from where it stands"
            if who is not None
            else f"{run_id} was left by its program: as if it were taken up now"
        )
    again = [plan.run_id for plan in plans if plan.run_id in desk.ended]
    if again:
        notes.append(f"ended already, and here again from its start: {_named(again)}")
    if is_past and not begun:
        notes.append("a past session: as its replay would begin now")
    said: dict[str, list[str]] = {}
    for plan in plans:
        said.setdefault(_history_note(desk, plan), []).append(plan.run_id)
    notes += [f"{what}: {_named(run_ids)}" for what, run_ids in said.items()]
    for plan in plans:
        spec = desk.loaded[plan.pipeline].spec if plan.pipeline in desk.loaded else None
        if spec is not None and plan.run_id not in begun and not isinstance(spec.start, Edge | Clock):
            at = f"{from_us(plan.release_us):%a %H:%M} UTC"
            notes.append(
                f"{plan.run_id} is taken to start {at}, which is the latest: its start is {spec.start}"
            )
    notes.append("not in it: runs that are asked for later, other programs on the machine")
    return notes


def _history_note(desk: _Desk, plan: RunPlan) -> str:
    history = desk.histories.get(plan.pipeline)
    if history is None:
        return "durations as the plan has them, the declaration not being at hand"
    known = set(ascending_by_task(plan, history))
    sessions = {past.session for pasts in history.values() for past in pasts}
    if not known:
        few = f": {counted(len(sessions), 'past run')}, and it takes {ENOUGH}"
        why = few if sessions else ", for there is no history yet"
        return f"durations as declared{why}; their spread is a guess"
    when = f"sessions {min(sessions)} to {max(sessions)}" if len(sessions) > 1 else f"session {min(sessions)}"
    said = f"durations of {counted(len(sessions), 'past run')}, {when}"
    missing = len(plan.tasks) - len(known)
    return f"{said} (of {len(plan.tasks)} tasks {missing} as declared: too few)" if missing else said


def _named(run_ids: Sequence[str]) -> str:
    more = f" and {len(run_ids) - LONGEST_NOTE} more" if len(run_ids) > LONGEST_NOTE else ""
    return ", ".join(run_ids[:LONGEST_NOTE]) + more
