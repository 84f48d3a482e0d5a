"""`prometheus plan`: what would run when, from the calendars and the declarations alone."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import AsJson, Face, Home, NoColor, cell, open_face, parse_day, print_json, table

if TYPE_CHECKING:
    from prometheus.core.ids import Json
    from prometheus.core.time import TradingCalendar
    from prometheus.scheduler.plan import RunPlan

DAYS = 7  # planned when no end is given
MOST_DAYS = 800  # in one plan


def plan(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(help="Pipelines: shipped names, path/file.py:variable. [all shipped]"),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First session. [today]")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last session. [a week on]")
    ] = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Also draw it.")] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """What would run when: sessions, early closes, releases, deadlines."""
    from prometheus.core.instants import from_us
    from prometheus.core.time import TradingCalendar
    from prometheus.orchestrator.calendars import install_desk_book
    from prometheus.orchestrator.clock import LiveClock
    from prometheus.orchestrator.loading import load_pipeline, shipped_names
    from prometheus.pipelines.checking import check_circles
    from prometheus.pipelines.model import FaultsError
    from prometheus.scheduler.planning import plan_run, sessions_of

    face = open_face(as_json, home, None, no_color)
    install_desk_book(face.settings)
    start, end = _range(first, last, from_us(LiveClock().now_us()).date())
    calendars: dict[str, TradingCalendar] = {}
    plans: list[RunPlan] = []
    all_loaded = [load_pipeline(name, face.settings) for name in pipelines or shipped_names()]
    circles = check_circles([loaded.spec for loaded in all_loaded])
    if circles:
        raise FaultsError("what is to be planned together", tuple(circles))
    for loaded in all_loaded:
        calendar = calendars.setdefault(loaded.spec.market, TradingCalendar(loaded.spec.market))
        plans += [
            plan_run(loaded.spec, session, TradingCalendar, loaded.pin, replayed=False)
            for session in sessions_of(loaded.spec, calendar, start, end)
        ]
    plans.sort(key=lambda one: (one.release_us, one.run_id))
    if svg is not None:
        _draw(face, svg, plans, calendars, start, end)
    if as_json:
        print_json(_json(plans, calendars, start, end))
    else:
        _tell(face, plans, calendars, start, end)


def _range(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    from prometheus.core.errors import UserError

    start = today if first is None else parse_day(first, "--from")
    end = start + timedelta(days=DAYS - 1) if last is None else parse_day(last, "--to")
    if start > end:
        raise UserError(f"--from {start} is after --to {end}", hint="swap the two")
    if (end - start).days >= MOST_DAYS:
        raise UserError(f"--from {start} --to {end} is too long", allowed=f"{MOST_DAYS} days")
    return start, end


def _draw(
    face: Face, svg: Path, plans: list[RunPlan], calendars: dict[str, TradingCalendar], start: date, end: date
) -> None:
    from prometheus.core.errors import UserError
    from prometheus.monitoring.night import scene_of_plans, weekday_words
    from prometheus.monitoring.picture import draw

    title = weekday_words(start) if start == end else f"{weekday_words(start)} to {weekday_words(end)}"
    text = draw(scene_of_plans(f"Plan for {title}", plans, calendars, start, end, None))
    try:
        svg.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--svg {svg} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    face.err.print(f"drawn: {svg}")


def _holidays(calendar: TradingCalendar, start: date, end: date) -> list[date]:
    held = set(calendar.sessions(start, end))
    days = (start + timedelta(days=offset) for offset in range((end - start).days + 1))
    return [day for day in days if day.weekday() < 5 and day not in held]


def _is_early(calendar: TradingCalendar, day: date) -> bool:
    hours = calendar.schedule.hours(day.toordinal() - date(1970, 1, 1).toordinal())
    return hours is not None and hours.is_early_close


def _json(
    plans: list[RunPlan], calendars: dict[str, TradingCalendar], start: date, end: date
) -> dict[str, Json]:
    from prometheus.core.instants import iso

    return {
        "from": start.isoformat(),
        "to": end.isoformat(),
        "runs": [
            {
                "run_id": one.run_id,
                "pipeline": one.pipeline,
                "market": one.market,
                "session": one.session.isoformat(),
                "open": iso(calendars[one.market].open_us(one.session)),
                "close": iso(calendars[one.market].close_us(one.session)),
                "early_close": _is_early(calendars[one.market], one.session),
                "release": iso(one.release_us),
                "tasks": len(one.tasks),
                "slos": [{"name": slo.name, "deadline": iso(slo.deadline_us)} for slo in one.slos],
            }
            for one in plans
        ],
        "closed": [
            {"market": market, "day": day.isoformat()}
            for market, calendar in calendars.items()
            for day in _holidays(calendar, start, end)
        ],
    }


def _tell(
    face: Face, plans: list[RunPlan], calendars: dict[str, TradingCalendar], start: date, end: date
) -> None:
    from prometheus.core.instants import from_us
    from prometheus.monitoring.axis import clock_words
    from prometheus.monitoring.night import local_clock, place_of, weekday_words

    shown = table("session", "market", "session UTC", "pipeline", "tasks", "starts UTC", "due UTC")
    for one in plans:
        calendar = calendars[one.market]
        opens, closes = calendar.open_us(one.session), calendar.close_us(one.session)
        hours = f"{from_us(opens):%H:%M}-{from_us(closes):%H:%M}"
        if _is_early(calendar, one.session):
            hours += f" early close {local_clock(closes, calendar)} {place_of(calendar)}"
        due = ", ".join(f"{slo.name} {clock_words(slo.deadline_us, one.release_us)}" for slo in one.slos)
        starts = clock_words(one.release_us, opens)
        shown.add_row(
            weekday_words(one.session),
            one.market,
            hours,
            one.pipeline,
            str(len(one.tasks)),
            starts,
            cell(due),
        )
    face.out.print(shown)
    for market, calendar in calendars.items():
        closed = _holidays(calendar, start, end)
        if closed:
            face.out.print(f"{market} is closed on {', '.join(weekday_words(day) for day in closed)}")
    face.err.print(f"{len(plans)} runs from {start} to {end}; times are UTC")
