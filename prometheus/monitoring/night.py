"""From a run's rows, or from plans, to the scene of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from prometheus.core.instants import MINUTE_US, from_us, to_us
from prometheus.core.time import CalendarRangeError, TradingCalendar
from prometheus.monitoring.axis import span_words
from prometheus.monitoring.scene import Bar, Closure, Due, Lane, Scene, SessionBand, Strip, Try
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import DONE, ENDED, AttemptState, SloState, TaskState

_MARGIN_US = 30 * MINUTE_US
_UNEVENTFUL = frozenset({TaskState.SUCCEEDED, TaskState.RUNNING, TaskState.STARTING})


def scene_of_run(
    run: RunRow,
    tasks: Sequence[TaskRow],
    attempts: Sequence[AttemptRow],
    slos: Sequence[SloRow],
    calendar: TradingCalendar | None,
    now_us: int,
    remarks: Sequence[str] = (),
) -> Scene:
    """The picture of one run at `now_us`; `attempts` in order. Without a calendar the session is left out."""
    plan = run.plan
    bars = _bars(tasks, attempts)
    bands = () if calendar is None else _bands(calendar, plan.session, plan.session)
    lane = Lane(plan.market, place_of(calendar), bands)
    ended = run.ended_us is not None
    marks = [run.opened_us, plan.release_us or run.opened_us, *(slo.deadline_us for slo in slos)]
    marks += [edge for band in bands for edge in (band.open_us, band.close_us)]
    marks += [one.start_us for bar in bars for one in bar.tries]
    marks += [one.end_us for bar in bars for one in bar.tries if one.end_us is not None]
    marks += [] if ended else [now_us]
    dues = tuple(Due(slo.name, slo.deadline_us, slo.state, slo.finished_us) for slo in slos)
    at = now_us if run.ended_us is None else run.ended_us
    return Scene(
        title=f"{plan.pipeline}, {day_words(plan.session)}",
        subtitle=run_words(run, tasks, now_us),
        clock=f"{from_us(at):%H:%M:%S} UTC",
        clock_note=("ended · " if ended else "") + _local(at, calendar),
        start_us=min(marks) - _MARGIN_US,
        end_us=max(marks) + _MARGIN_US,
        now_us=None if ended else now_us,
        lanes=(lane,),
        strips=(Strip(plan.pipeline, plan.market, bars, dues, run.state, plan.release_us or None),),
        remarks=tuple(remarks),
    )


def scene_of_plans(
    title: str,
    plans: Sequence[RunPlan],
    calendars: Mapping[str, TradingCalendar],
    first: date,
    last: date,
    now_us: int | None,
) -> Scene:
    """What would run from session `first` to `last`, with the sessions of every market in `calendars`."""
    lanes = []
    for market, calendar in calendars.items():
        bands = _bands(calendar, first, last)
        lanes.append(Lane(market, place_of(calendar), bands, _closures(calendar, first, last)))
    strips = tuple(
        Strip(
            plan.pipeline,
            plan.market,
            _expected(plan),
            tuple(Due(slo.name, slo.deadline_us, SloState.ON_TRACK) for slo in plan.slos),
            None,
            plan.release_us or None,
        )
        for plan in plans
    )
    marks = [to_us(datetime(first.year, first.month, first.day, tzinfo=UTC))]
    marks.append(to_us(datetime(last.year, last.month, last.day, tzinfo=UTC)) + 24 * 60 * MINUTE_US)
    marks += [edge for lane in lanes for band in lane.sessions for edge in (band.open_us, band.close_us)]
    marks += [due.at_us + _MARGIN_US for strip in strips for due in strip.dues]
    marks += [bar.expected[1] + _MARGIN_US for strip in strips for bar in strip.bars if bar.expected]
    sessions = sum(len(lane.sessions) for lane in lanes)
    return Scene(
        title=title,
        subtitle=f"{sessions} session{'s' * (sessions != 1)} · {len(plans)} run{'s' * (len(plans) != 1)}",
        start_us=min(marks),
        end_us=max(marks),
        now_us=now_us,
        lanes=tuple(lanes),
        strips=strips,
    )


def run_words(run: RunRow, tasks: Sequence[TaskRow], now_us: int) -> str:
    """Where a run stands, in one line."""
    done = sum(task.state in DONE for task in tasks)
    starts = [task.started_us for task in tasks if task.started_us is not None]
    ends = [task.ended_us for task in tasks if task.ended_us is not None and task.started_us is not None]
    parts = [f"{run.state.value}: {done} of {len(tasks)} tasks done"]
    if starts:
        until = now_us if run.ended_us is None else max([*ends, *starts])
        parts[0] += f" in {span_words(until - min(starts))}"
    ill = [task for task in tasks if task.state in ENDED and task.state not in DONE]
    if ill:
        counts: dict[str, int] = {}
        for task in ill:
            counts[task.state.value] = counts.get(task.state.value, 0) + 1
        parts.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    if run.plan.replayed:
        parts.append("replayed: the clock of that night, the durations of today")
    return " · ".join(parts)


def day_words(day: date) -> str:
    """As in Friday 24 June 2016."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def place_of(calendar: TradingCalendar | None) -> str:
    """The city whose wall clock a market keeps: "New York"; empty when there is none."""
    if calendar is None:
        return ""
    codes = calendar.book.exchanges_of(calendar.market_id)
    zone = calendar.book.table.exchange(codes[0]).zone if codes[0] in calendar.book.table.codes else ""
    return zone.rpartition("/")[2].replace("_", " ")


def local_clock(at_us: int, calendar: TradingCalendar) -> str:
    """HH:MM on the market's wall clock."""
    at = from_us(at_us)
    return f"{at + calendar.local_offset(at):%H:%M}"


def _local(at_us: int, calendar: TradingCalendar | None) -> str:
    if calendar is None:
        return ""
    try:
        return f"{local_clock(at_us, calendar)} {place_of(calendar)}"
    except CalendarRangeError:
        return ""


def _bands(calendar: TradingCalendar, first: date, last: date) -> tuple[SessionBand, ...]:
    """The sessions from `first` to `last`, as far as the calendar knows them."""
    first, last = max(first, calendar.valid_from), min(last, calendar.last_day)
    if first > last:
        return ()
    bands = []
    for day in calendar.sessions(first, last):
        hours = calendar.schedule.hours(day.toordinal() - date(1970, 1, 1).toordinal())
        assert hours is not None  # `day` is a session
        notes = []
        if hours.is_late_open:
            notes.append(f"late open {local_clock(hours.open_us, calendar)}")
        if hours.is_early_close:
            notes.append(f"early close {local_clock(hours.close_us, calendar)}")
        bands.append(SessionBand(hours.open_us, hours.close_us, tuple(hours.breaks_us), ", ".join(notes)))
    return tuple(bands)


def _closures(calendar: TradingCalendar, first: date, last: date) -> tuple[Closure, ...]:
    found = []
    for year in range(first.year, last.year + 1):
        try:
            holidays = calendar.holidays(year)
        except CalendarRangeError:
            continue
        for day in holidays:
            if first <= day <= last:
                noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
                found.append(Closure(to_us(noon - calendar.local_offset(noon)), "closed"))
    return tuple(found)


def _bars(tasks: Sequence[TaskRow], attempts: Sequence[AttemptRow]) -> tuple[Bar, ...]:
    tries: dict[str, list[AttemptRow]] = {}
    for row in attempts:
        tries.setdefault(row.task_id, []).append(row)
    bars = []
    for task in tasks:
        rows = tries.get(task.task_id, [])
        shown = tuple(
            Try(
                row.ordered_us if row.started_us is None else row.started_us,
                row.ended_us,
                row.state is AttemptState.FAILED,
            )
            for row in rows
        )
        said = rows[-1].message if rows and task.state is TaskState.FAILED else ""
        reason = "" if task.state in _UNEVENTFUL else first_line(said or task.refusal or task.reason)
        bars.append(Bar(task.job, task.tier, task.state, shown, reason))
    return tuple(bars)


def _expected(plan: RunPlan) -> tuple[Bar, ...]:
    """One bar for the run: from its release for as long as its longest chain of tasks usually takes."""
    tasks = {task.task_id: task for task in plan.tasks}
    blocked = {task.task_id: sum(one in tasks for one in task.after) for task in plan.tasks}
    followers: dict[str, list[str]] = {}
    for task in plan.tasks:
        for one in task.after:
            followers.setdefault(one, []).append(task.task_id)
    ends: dict[str, int] = {}
    ready = [task_id for task_id, count in blocked.items() if count == 0]
    while ready:
        task = tasks[ready.pop()]
        start = max([task.release_us, *(ends[one] for one in task.after if one in ends)])
        ends[task.task_id] = start + task.typical_us
        for follower in followers.get(task.task_id, ()):
            blocked[follower] -= 1
            if blocked[follower] == 0:
                ready.append(follower)
    if not ends:
        return ()
    tier = min(task.tier for task in plan.tasks)
    return (Bar(plan.pipeline, tier, TaskState.WAITING, (), "", (plan.release_us, max(ends.values()))),)


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def weekday_words(day: date) -> str:
    """As in Fri 24 Jun 2016."""
    return f"{day:%a} {day.day} {day:%b %Y}"
