"""A market that closes at another hour, or not at all: releases and deadlines follow the calendar that it makes.

The book with the override is a value that nobody else sees. A run whose session is gone is skipped, as it would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from prometheus.core.calendar_book import CalendarBook
from prometheus.core.calendar_errors import NotATradingDayError
from prometheus.core.calendar_overrides import Override
from prometheus.core.errors import UserError
from prometheus.core.instants import from_us
from prometheus.core.time import TradingCalendar
from prometheus.orchestrator.tonight import Tonight, only
from prometheus.pipelines.model import PipelineSpec
from prometheus.pipelines.moments import Barrier, Clock, Edge, Session, Trigger
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.planning import plan_run
from prometheus.scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Closes:
    """A market, or one exchange, closes at that hour of its own clock (or of UTC); `at` None = it does not open."""

    market: str
    at: time | None
    is_utc: bool = False
    day: date | None = None  # a session's label; None = each session that tonight's runs are for


def close(tonight: Tonight, one: Closes) -> tuple[Tonight, list[str]]:
    """Tonight under the calendar with that override. Raises what the calendars raise for one that cannot be."""
    if tonight.book is None:
        raise UserError(
            f"--close {one.market}: a workload follows no market; its releases and deadlines are seconds",
            hint="ask about pipelines: prometheus whatif us_eq_daily --close XNYS@13:00",
        )
    exchanges = exchanges_of(tonight.book, one.market)
    concerned = [run for run in tonight.runs() if exchanges & _used_by(tonight, run)]
    if not concerned:
        markets = sorted({market for run in tonight.runs() for market in _markets_of(tonight, run)})
        return tonight, [
            f"no run of tonight follows {one.market} (they follow {', '.join(markets) or 'none'}): nothing changes"
        ]
    days = sorted({run.session for run in concerned}) if one.day is None else [one.day]
    overrides, words = [], []
    for exchange in sorted(exchanges):
        for day in days:
            override, said = _override(tonight.book, exchange, day, one)
            words.append(said)
            if override is not None:
                overrides.append(override)
    if not overrides:
        return tonight, words
    changed = replace(tonight, book=tonight.book.with_overrides(*overrides))
    known = {run.run_id for run in concerned}
    return _planned_anew(changed, known, words)


def exchanges_of(book: CalendarBook, market: str) -> set[str]:
    """The exchanges of a market; `UnknownMarketError` lists what exists."""
    book.schedule(market)
    return set(book.exchanges_of(market))


def _override(book: CalendarBook, exchange: str, day: date, one: Closes) -> tuple[Override | None, str]:
    calendar = TradingCalendar(exchange, book=book)
    when = f"{day:%a} {day.day} {day:%b %Y}"
    if not calendar.is_trading_day(day):
        return None, f"{exchange} has no session on {when} anyway"
    opens, closes = calendar.session_open(day), calendar.session_close(day)
    place = zone_of(book, exchange)
    if one.at is None:
        kept = Override(exchange, day, "closed", "assumed", "prometheus whatif", opens)
        return kept, f"{exchange} does not open on {when}"
    wanted = datetime.combine(day, one.at, UTC if one.is_utc else place).astimezone(UTC)
    hours = f"{_both(opens, place)} to {_both(closes, place)}"
    if wanted <= opens:
        raise UserError(
            f"--close {one.market}@{one.at:%H:%M}: on {when} {exchange} would close before it opens",
            allowed=f"an hour after its open; its session is {hours}",
            hint=f"--close {one.market} without an hour: it does not open at all; 12:00Z is an hour of UTC",
        )
    if wanted == closes:
        return None, f"{exchange} closes at {_both(closes, place)} on {when} anyway"
    kept = Override(exchange, day, "hours", "assumed", "prometheus whatif", opens, opens, wanted)
    return kept, f"{exchange} closes at {_both(wanted, place)} instead of {_both(closes, place)} on {when}"


def zone_of(book: CalendarBook, exchange: str) -> ZoneInfo:
    """The clock on the exchange's wall."""
    return ZoneInfo(book.table.exchange(exchange).zone)


def _both(at: datetime, place: ZoneInfo) -> str:
    """An hour on both clocks: 12:00 Hong Kong (04:00 UTC)."""
    local = at.astimezone(place)
    return f"{local:%H:%M} {place.key.rpartition('/')[2].replace('_', ' ')} ({at:%H:%M} UTC)"


def _planned_anew(tonight: Tonight, concerned: set[str], words: list[str]) -> tuple[Tonight, list[str]]:
    """The concerned runs as the calendars have them now; those without a session are skipped."""
    coming = []
    for run in tonight.coming:
        plan = _planned(tonight, run, words) if run.run_id in concerned else run
        if plan is not None:
            coming.append(plan)
    begun = tonight.begun
    if begun is not None:
        plans = {
            row.run_id: _planned(tonight, row.plan, words) if row.run_id in concerned else row.plan
            for row in begun.runs
        }
        begun = _with_plans(begun, {run_id: plan for run_id, plan in plans.items() if plan is not None})
    return replace(tonight, coming=tuple(coming), begun=begun), words


def _planned(tonight: Tonight, run: RunPlan, words: list[str]) -> RunPlan | None:
    spec, book = tonight.specs.get(run.pipeline), tonight.book
    assert book is not None, "asked before"
    if spec is None:
        words.append(
            f"{run.run_id} stays as it was: the declaration of {run.pipeline} is not at hand; name its file"
        )
        return run
    try:
        plan = plan_run(
            spec,
            run.session,
            lambda market: TradingCalendar(market, book=book),
            run.pin,
            run.replayed,
            tonight.durations.get(run.pipeline),
            asked_us=run.release_us,
        )
    except NotATradingDayError:
        words.append(f"{run.run_id} is skipped: {spec.market} has no session then")
        return None
    said = []
    if plan.release_us != run.release_us:
        past = " (which is past: it starts now)" if plan.release_us < tonight.now_us else ""
        said.append(f"may start {_clock(plan.release_us)}{past} instead of {_clock(run.release_us)}")
    before = {slo.slo_id: slo for slo in run.slos}
    for slo in plan.slos:
        was = before[slo.slo_id].deadline_us
        if slo.deadline_us != was:
            said.append(f"{slo.name!r} is due {_clock(slo.deadline_us)} instead of {_clock(was)}")
    words.append(f"{run.run_id} {', '.join(said) or 'keeps its release and deadlines'}")
    return plan


def _with_plans(begun: Snapshot, plans: dict[str, RunPlan]) -> Snapshot:
    kept = only(begun, set(plans))
    due = {slo.slo_id: slo.deadline_us for plan in plans.values() for slo in plan.slos}
    return replace(
        kept,
        runs=tuple(replace(row, plan=plans[row.run_id]) for row in kept.runs),
        slos=tuple(replace(row, deadline_us=due.get(row.slo_id, row.deadline_us)) for row in kept.slos),
    )


def _clock(at_us: int) -> str:
    return f"{from_us(at_us):%a %H:%M} UTC"


def _used_by(tonight: Tonight, run: RunPlan) -> set[str]:
    """The exchanges that a run's moments follow."""
    assert tonight.book is not None, "asked before"
    return {code for market in _markets_of(tonight, run) for code in tonight.book.exchanges_of(market)}


def _markets_of(tonight: Tonight, run: RunPlan) -> list[str]:
    spec = tonight.specs.get(run.pipeline)
    return [run.market] if spec is None else markets_of(spec)


def markets_of(spec: PipelineSpec) -> list[str]:
    """The markets that a pipeline names: its own, and those of its start and its deadlines."""
    found = [spec.market]
    moments: Sequence[Trigger | None] = [spec.start, *(slo.by for slo in spec.slos)]
    for moment in moments:
        cut = moment.cutoff if isinstance(moment, Barrier) else moment
        if isinstance(cut, Clock) or not isinstance(cut, Edge):
            continue
        if isinstance(cut.of, Session) and cut.of.market_id is not None:
            found.append(cut.of.market_id)
    return list(dict.fromkeys(found))
