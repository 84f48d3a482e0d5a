"""`prometheus calendar`: the sessions of a market, in UTC and on its own wall clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli import calendar_diff, calendar_overrides, calendar_world
from prometheus.cli.face import AsJson, Home, NoColor, cell, iso_of, open_face, parse_day, print_json, table

if TYPE_CHECKING:
    from prometheus.core.ids import Json
    from prometheus.core.time import TradingCalendar

DAYS_SHOWN = 21  # about a fortnight of sessions, when no range is asked for

app = typer.Typer(help="Sessions of a market.", no_args_is_help=True, rich_markup_mode=None)
app.command("next")(calendar_world.next_edge)
app.command()(calendar_world.world)
app.command()(calendar_world.sun)
app.command()(calendar_world.horizon)
app.command()(calendar_world.export)
app.command()(calendar_diff.diff)
app.command()(calendar_overrides.override)
app.command()(calendar_overrides.overrides)


@app.callback()
def _calendar() -> None:
    """Sessions of a market."""


@app.command()
def show(
    market: Annotated[str, typer.Argument(help="A market id (US_EQ) or an exchange's MIC (XNYS).")],
    year: Annotated[int | None, typer.Option("--year", help="A whole year.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day.")] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Sessions with opens and closes, half days and holidays, and what the market is doing now."""
    from prometheus.core.instants import from_us
    from prometheus.core.time import TradingCalendar
    from prometheus.orchestrator.calendars import install_desk_book
    from prometheus.orchestrator.clock import LiveClock

    face = open_face(as_json, home, None, no_color)
    install_desk_book(face.settings)
    calendar = TradingCalendar(market)
    now = from_us(LiveClock().now_us())
    start, end = _range(calendar, year, first, last, now)
    report = _report(calendar, start, end, now)
    if as_json:
        print_json(report)
        return
    shown = table("session", "opens UTC", "closes UTC", "local", "")
    for session in report["sessions"]:
        shown.add_row(
            f"{date.fromisoformat(session['session']):%a} {session['session']}",
            _clock(session["open"], session["session"]),
            _clock(session["close"], session["session"]),
            session["local"],
            cell(", ".join(_notes(session))),
        )
    face.out.print(shown)
    holidays: list[str] = report["holidays"]
    if holidays:
        face.out.print()
        face.out.print(f"no session on the weekdays: {', '.join(holidays)}")
    face.err.print(f"\n{_now_words(report)}")
    face.err.print(
        f"{market} is known from {calendar.valid_from} to {calendar.verified_through} "
        "(holidays published by the exchange)"
    )


def _range(
    calendar: TradingCalendar, year: int | None, first: str | None, last: str | None, now: datetime
) -> tuple[date, date]:
    from prometheus.core.errors import UserError

    if year is not None:
        if first or last:
            raise UserError("--year and --from/--to were both given", allowed="one of the two")
        if not 1 <= year <= 9999:
            raise UserError(f"--year is {year}", allowed="a year such as 2026")
        return date(year, 1, 1), date(year, 12, 31)
    if first or last:
        start = (
            parse_day(first, "--from") if first else parse_day(str(last), "--to") - timedelta(days=DAYS_SHOWN)
        )
        end = parse_day(last, "--to") if last else start + timedelta(days=DAYS_SHOWN)
        if start > end:
            raise UserError(f"--from {start} is after --to {end}", hint="swap the two")
        return start, end
    today = min(max(now.date(), calendar.valid_from), calendar.last_day)
    return max(today - timedelta(days=7), calendar.valid_from), min(
        today + timedelta(days=DAYS_SHOWN - 7), calendar.last_day
    )


def _report(calendar: TradingCalendar, start: date, end: date, now: datetime) -> dict[str, Json]:
    """Everything the command says, as plain values. Raises `CalendarRangeError` for days that are not known."""
    from prometheus.monitoring.night import place_of

    years = range(start.year, end.year + 1)
    early = {day for year in years for day in _in_year(calendar.early_closes, year)}
    late = {day for year in years for day in _in_year(calendar.late_opens, year)}
    sessions = calendar.sessions(start, end)
    held = set(sessions)
    days = (start + timedelta(days=offset) for offset in range((end - start).days + 1))
    return {
        "market": calendar.market_id,
        "place": place_of(calendar),
        "from": start.isoformat(),
        "to": end.isoformat(),
        "sessions": [_session(calendar, day, day in early, day in late) for day in sessions],
        "holidays": [day.isoformat() for day in days if day.weekday() < 5 and day not in held],
        "valid_from": calendar.valid_from.isoformat(),
        "verified_through": calendar.verified_through.isoformat(),
        "now": _state(calendar, now),
    }


def _in_year(ask: object, year: int) -> list[date]:
    """A calendar's list for a year, or nothing where the year is only partly known."""
    from prometheus.core.time import CalendarRangeError

    assert callable(ask)
    try:
        return list(ask(year))
    except CalendarRangeError:
        return []


def _session(calendar: TradingCalendar, day: date, early: bool, late: bool) -> dict[str, Json]:
    opens, closes = calendar.session_open(day), calendar.session_close(day)
    local = [f"{at + calendar.local_offset(at):%H:%M}" for at in (opens, closes)]
    return {
        "session": day.isoformat(),
        "open": iso_of(opens),
        "close": iso_of(closes),
        "local": "-".join(local),
        "early_close": early,
        "late_open": late,
        "breaks": [[iso_of(start), iso_of(end)] for start, end in calendar.breaks(day)],
        "members": calendar.members_open(day),
    }


def _state(calendar: TradingCalendar, now: datetime) -> dict[str, Json] | None:
    """What the market is doing at `now`; None outside of what is known."""
    from prometheus.core.time import CalendarRangeError

    try:
        return {
            "at": iso_of(now.replace(microsecond=0)),
            "state": calendar.state_at(now).value,
            "in_break": calendar.is_in_break(now),
            "until": iso_of(calendar.next_transition(now)),
        }
    except CalendarRangeError:
        return None


def _clock(iso: str, session: str) -> str:
    """HH:MM, with the date when it is not the label's."""
    return iso[11:16] if iso[:10] == session else f"{iso[:10]} {iso[11:16]}"


def _notes(session: dict[str, Json]) -> list[str]:
    notes = []
    if session["late_open"]:
        notes.append("late open")
    if session["early_close"]:
        notes.append("early close")
    notes += [f"break {start[11:16]}-{end[11:16]}" for start, end in session["breaks"]]
    return notes


def _now_words(report: dict[str, Json]) -> str:
    now = report["now"]
    if now is None:
        return f"what {report['market']} is doing now is not known: this is past its published holidays"
    pause = ", in a break" if now["in_break"] else ""
    return f"now ({now['at']}) {report['market']} is in {now['state']}{pause}, until {now['until']}"
