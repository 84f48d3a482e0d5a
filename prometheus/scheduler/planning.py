"""What would run when: a pipeline and a session become the run that the scheduler is asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from prometheus.core.calendar_errors import NotATradingDayError
from prometheus.core.errors import UserError
from prometheus.core.ids import run_id_of, task_id_of
from prometheus.core.instants import iso
from prometheus.core.session_algebra import bounds_of
from prometheus.pipelines.checking import topological
from prometheus.pipelines.model import FaultsError, JobSpec, PipelineSpec, SloSpec, slug_of
from prometheus.pipelines.moments import Barrier, Clock, Edge, Every, Moment, TradingDayOf
from prometheus.pipelines.resolving import (
    Calendars,
    NoMomentError,
    SessionCalendar,
    resolve,
    session_of,
)
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan

CAUTION = (
    2  # q80 over q50 of a duration, until there is a history (durations of batch jobs: research, lognormal)
)


def plan_run(
    spec: PipelineSpec,
    session: date,
    calendars: Calendars,
    pin: str,
    replayed: bool,
    durations: Mapping[str, tuple[int, int]] | None = None,
    asked_us: int | None = None,
) -> RunPlan:
    """The run of `spec` for `session`, its tasks in an order in which each comes after those it waits for.

    `durations` holds (q50, q80) in microseconds by job, where there is a history; other jobs have what was declared.
    `asked_us` is when somebody asked for the run: the release of a pipeline that no moment starts (none given: the
    latest that it can be, a barrier's cut-off, or else the session's close). Raises `NotATradingDayError`, the
    calendars' other errors, and `FaultsError` with every SLO that could never be met or has no deadline on that session.
    """
    calendar = calendars(spec.market)
    _check_session(spec, session, calendar)
    run_id = run_id_of(spec.name, session)
    release_us = _release_us(spec, session, calendars, asked_us)
    slos = _slos(spec, session, run_id, release_us, calendars)
    deadlines: dict[str, int] = {}
    for slo in slos:
        for task_id in slo.task_ids:
            deadlines[task_id] = min(slo.deadline_us, deadlines.get(task_id, slo.deadline_us))
    jobs = {job.name: job for job in spec.jobs}
    order, cycles = topological({job.name: job.after for job in spec.jobs})
    assert not cycles, "a spec that was built has no cycles"
    return RunPlan(
        run_id=run_id,
        pipeline=spec.name,
        market=spec.market,
        session=session,
        pin=pin,
        release_us=release_us,
        tasks=tuple(_task(jobs[name], run_id, release_us, deadlines, durations or {}) for name in order),
        slos=slos,
        replayed=replayed,
    )


def backfill_of(plan: RunPlan, share: float | None = None) -> RunPlan:
    """The same run as a backfill: Tier 3 throughout, and no promises, for what it is about is past.

    `share` is the part of the machine's core time that it is to have over seven days, above 0 and at most 1.
    """
    if share is not None and not 0 < share <= 1:
        raise UserError(f"a share of {share} is not possible", allowed="above 0 and at most 1")
    tasks = tuple(replace(task, tier=3, deadline_us=None) for task in plan.tasks)
    return replace(plan, tasks=tasks, slos=(), share=share)


def sessions_of(spec: PipelineSpec, calendar: SessionCalendar, first: date, last: date) -> list[date]:
    """The sessions from `first` to `last` for which the pipeline has a run; `calendar` is that of its market."""
    days = calendar.sessions(first, last)
    start = spec.start
    if isinstance(start, Edge) and isinstance(start.of, TradingDayOf):
        return [day for day in days if _is_that_day(start.of, day, calendar)]
    if isinstance(start, Clock) and start.gap == "skip":
        return [day for day in days if _has_moment(start, day, spec.market, calendar)]
    return list(days)


def _check_session(spec: PipelineSpec, session: date, calendar: SessionCalendar) -> None:
    if not calendar.is_trading_day(session):
        before, after = calendar.previous_trading_day(session), calendar.next_trading_day(session)
        raise NotATradingDayError(
            f"{session} is not a trading day of {spec.market}, so {spec.name} has no run for it",
            hint=f"the session before is {before}, the next one {after}",
        )
    if sessions_of(spec, calendar, session, session):
        return
    near = ""
    if isinstance(spec.start, Edge) and isinstance(spec.start.of, TradingDayOf):
        around = bounds_of(spec.start.of.period, session)
        found = sessions_of(spec, calendar, *around)
        near = f"; the one of that {spec.start.of.period} is {found[0]}" if found else ""
    raise UserError(
        f"{spec.name} has no run for {session}",
        hint=f"it starts at {spec.start}{near}; `prometheus plan` shows its runs",
    )


def _release_us(spec: PipelineSpec, session: date, calendars: Calendars, asked_us: int | None) -> int:
    if isinstance(spec.start, Edge | Clock):
        return resolve(spec.start, session, spec.market, calendars)
    if asked_us is not None:
        return asked_us
    if isinstance(spec.start, Barrier):
        return resolve(spec.start.cutoff, session, spec.market, calendars)
    calendar = calendars(spec.market)
    return calendar.open_us(session) if isinstance(spec.start, Every) else calendar.close_us(session)


def _slos(
    spec: PipelineSpec, session: date, run_id: str, release_us: int, calendars: Calendars
) -> tuple[SloPlan, ...]:
    slos, faults = [], []
    is_released_by_moment = isinstance(spec.start, Edge | Clock)
    for slo in spec.slos:
        try:
            deadline_us = _deadline_us(slo, session, spec.market, release_us, calendars)
        except NoMomentError as error:
            faults.append(f"SLO {slo.name!r}: {error}")
            continue
        if is_released_by_moment and deadline_us <= release_us:
            faults.append(
                f"SLO {slo.name!r}: its deadline {slo.by} is {iso(deadline_us)}, and the run is released only at "
                f"{iso(release_us)} ({spec.start})"
            )
        task_ids = tuple(task_id_of(run_id, job) for job in slo.jobs)
        slos.append(SloPlan(f"{run_id}.slo.{slug_of(slo.name)}", run_id, slo.name, task_ids, deadline_us))
    if faults:
        raise FaultsError(f"the run {run_id}", tuple(faults))
    return tuple(slos)


def _deadline_us(slo: SloSpec, session: date, market: str, release_us: int, calendars: Calendars) -> int:
    if slo.by is None:
        assert slo.within_us is not None, "an SLO has one deadline"
        return release_us + slo.within_us
    return resolve(slo.by, session, market, calendars)


def _task(
    job: JobSpec,
    run_id: str,
    release_us: int,
    deadlines: Mapping[str, int],
    durations: Mapping[str, tuple[int, int]],
) -> TaskPlan:
    task_id = task_id_of(run_id, job.name)
    typical_us, cautious_us = durations.get(job.name, (job.typical_us, CAUTION * job.typical_us))
    return TaskPlan(
        task_id=task_id,
        run_id=run_id,
        job=job.name,
        tier=job.tier,
        demand=job.demand,
        after=tuple(task_id_of(run_id, upstream) for upstream in job.after),
        release_us=release_us,
        deadline_us=deadlines.get(task_id),
        timeout_us=job.timeout_us,
        retries=job.retries,
        backoff_us=job.backoff_us,
        typical_us=typical_us,
        cautious_us=cautious_us,
        late_us=max(3 * cautious_us // 2, typical_us),
        checkpoint_every_us=job.checkpoint_every_us,
        ladder=job.degrade,
    )


def _is_that_day(of: TradingDayOf, day: date, calendar: SessionCalendar) -> bool:
    try:
        return session_of(of, day, calendar) == day
    except NoMomentError:
        return False


def _has_moment(start: Moment, day: date, market: str, calendar: SessionCalendar) -> bool:
    try:
        resolve(start, day, market, lambda _: calendar)
    except NoMomentError:
        return False
    return True
