"""`prometheus calendar next`, `world`, `sun`, `horizon`, `export`: market time for cron lines, walls and diaries."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prometheus.cli.face import (
    AsJson,
    Home,
    NoColor,
    cell,
    iso_of,
    open_face,
    parse_day,
    parse_instant,
    print_json,
    table,
)

if TYPE_CHECKING:
    from prometheus.core.ids import Json
    from prometheus.core.time import CalendarBook, TradingCalendar

At = Annotated[str | None, typer.Option("--at", metavar="INSTANT", help="As of this instant. [now]")]
SOON_DAYS = 60  # a horizon nearer than this wants attention


def next_edge(
    market: Annotated[str, typer.Argument(help="A market id (US_EQ) or an exchange's MIC (XNYS).")],
    edge: Annotated[Literal["open", "close"], typer.Argument(help="open or close")],
    within: Annotated[
        str | None,
        typer.Option("--within", metavar="DURATION", help="Exit 1 unless it is at most so far away."),
    ] = None,
    at: At = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """The next open or close, as one line `2026-11-25T21:00:00Z`; strictly after now. For cron: --within 15min."""
    from prometheus.core.instants import from_us, parse_duration, to_us
    from prometheus.core.time import TradingCalendar
    from prometheus.orchestrator.calendars import install_desk_book

    face = open_face(as_json, home, None, no_color)
    install_desk_book(face.settings)
    now = _now(at)
    limit_us = None if within is None else parse_duration(within)
    session, found = _next(TradingCalendar(market), edge, now)
    away_us = to_us(found) - to_us(now)
    if as_json:
        print_json(
            {
                "market": market,
                "edge": edge,
                "session": session.isoformat(),
                "at": iso_of(found),
                "seconds": away_us // 1_000_000,
            }
        )
    else:
        face.out.print(iso_of(from_us(to_us(found))))
    if limit_us is not None and away_us > limit_us:
        raise typer.Exit(1)


def world(at: At = None, as_json: AsJson = False, home: Home = None, no_color: NoColor = False) -> None:
    """Every market at one instant: what it is doing, and until when."""
    from prometheus.core.world import MARKETS
    from prometheus.core.world import world as look
    from prometheus.orchestrator.calendars import install_desk_book

    face = open_face(as_json, home, None, no_color)
    book = install_desk_book(face.settings)
    now = _now(at)
    own = [market.market_id for market in book.markets if market.market_id not in MARKETS]
    found = look(now, (*MARKETS, *own))
    if as_json:
        print_json(
            {
                "at": iso_of(now),
                "markets": [
                    {
                        "market": one.market_id,
                        "state": None if one.state is None else one.state.value,
                        "in_break": one.is_in_break,
                        "session": None if one.session is None else one.session.isoformat(),
                        "until": None if one.until is None else iso_of(one.until),
                        "why": one.why,
                    }
                    for one in found
                ],
            }
        )
        return
    shown = table("market", "state", "session", "until (UTC)", "in")
    for one in found:
        state = (
            "not known" if one.state is None else one.state.value + (" (break)" if one.is_in_break else "")
        )
        until = "" if one.until is None else f"{one.until:%a %Y-%m-%d %H:%M}"
        left = "" if one.until is None else _left(one.until - now)
        shown.add_row(one.market_id, state, str(one.session or ""), until, cell(left))
    face.out.print(shown)


def sun(
    day: Annotated[str, typer.Argument(metavar="DATE", help="The label of the sessions.")],
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """The order in which the markets close on a day, around the globe."""
    from prometheus.core.world import follow_the_sun
    from prometheus.orchestrator.calendars import install_desk_book

    face = open_face(as_json, home, None, no_color)
    install_desk_book(face.settings)
    found = follow_the_sun(parse_day(day, "DATE"))
    if as_json:
        print_json(
            [
                {
                    "market": one.market_id,
                    "open": None if one.open is None else iso_of(one.open),
                    "close": None if one.close is None else iso_of(one.close),
                    "members": list(one.members),
                    "why": one.why,
                }
                for one in found
            ]
        )
        return
    shown = table("market", "opens (UTC)", "closes (UTC)", "members that trade")
    for one in found:
        opens = "" if one.open is None else f"{one.open:%Y-%m-%d %H:%M}"
        closes = one.why if one.close is None else f"{one.close:%Y-%m-%d %H:%M}"
        shown.add_row(one.market_id, opens, cell(closes), ", ".join(one.members))
    face.out.print(shown)


def horizon(as_json: AsJson = False, home: Home = None, no_color: NoColor = False) -> None:
    """How far each exchange is known: from when, through when, by whose word; exit 1 if one ends within 60 days."""
    from prometheus.orchestrator.calendars import install_desk_book

    face = open_face(as_json, home, None, no_color)
    book = install_desk_book(face.settings)
    today = _now(None).date()
    rows = [_horizon(book, code, today) for code in book.table.codes]
    near = [row["exchange"] for row in rows if row["verified"] and row["days_left"] < SOON_DAYS]
    if as_json:
        print_json(
            {"release": book.table.release, "today": today.isoformat(), "exchanges": rows, "near": near}
        )
    else:
        shown = table(
            "exchange",
            "name",
            "valid from",
            "hours from",
            "published through",
            "days left",
            "projected to",
            "verified",
        )
        for row in rows:
            shown.add_row(
                row["exchange"],
                cell(row["name"]),
                row["valid_from"],
                row["hours_verified_from"],
                row["verified_through"],
                str(row["days_left"]),
                row["last_day"],
                "yes" if row["verified"] else "no, as upstream has it",
            )
        face.out.print(shown)
        if near:
            face.err.print(f"under {SOON_DAYS} days left: {', '.join(near)}; install a newer table")
    if near:
        raise typer.Exit(1)


def export(
    market: Annotated[str, typer.Argument(help="A market id (US_EQ) or an exchange's MIC (XNYS).")],
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first day. [today]")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="The last day. [all that is published]")
    ] = None,
    odd_days: Annotated[
        bool, typer.Option("--odd-days", help="Only closed weekdays and short sessions.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here. [stdout]")] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """The sessions as an iCalendar file (RFC 5545) that any diary reads."""
    from prometheus.core.time import TradingCalendar
    from prometheus.monitoring.ical import icalendar
    from prometheus.orchestrator.calendars import install_desk_book

    face = open_face(as_json, home, None, no_color)
    install_desk_book(face.settings)
    calendar = TradingCalendar(market)
    start = parse_day(first, "--from") if first else max(_now(None).date(), calendar.valid_from)
    end = parse_day(last, "--to") if last else calendar.verified_through
    text = icalendar(calendar, start, end, odd_days_only=odd_days)
    if out is not None:
        out.write_text(text, encoding="utf-8", newline="")
        face.err.print(f"written to {out}")
    if as_json:
        print_json({"market": market, "events": text.count("BEGIN:VEVENT"), "out": out, "ical": text})
    elif out is None:
        typer.echo(text, nl=False)


def _next(calendar: TradingCalendar, edge: str, now: datetime) -> tuple[date, datetime]:
    """The first session whose edge lies after `now`, and that edge."""
    day = max(now.date() - timedelta(days=3), calendar.valid_from)
    for _ in range(1_000):  # three years without a session: never, and the calendar's end says so first
        if calendar.is_trading_day(day):
            at = calendar.session_open(day) if edge == "open" else calendar.session_close(day)
            if at > now:
                return day, at
        day = calendar.next_trading_day(day)
    raise AssertionError("a calendar of three years has a session")


def _horizon(book: CalendarBook, code: str, today: date) -> dict[str, Json]:
    from prometheus.core.time import TradingCalendar

    exchange = book.table.exchange(code)
    calendar = TradingCalendar(code, book=book)
    projected = TradingCalendar(code, book=book, projected=True)
    return {
        "exchange": code,
        "name": exchange.name,
        "valid_from": calendar.valid_from.isoformat(),
        "hours_verified_from": calendar.hours_verified_from.isoformat(),
        "verified_through": calendar.verified_through.isoformat(),
        "days_left": (calendar.verified_through - today).days,
        "last_day": projected.last_day.isoformat(),
        "verified": exchange.is_verified,
        "source": exchange.source,
    }


def _now(at: str | None) -> datetime:
    from prometheus.core.instants import from_us
    from prometheus.orchestrator.clock import LiveClock

    return from_us(LiveClock().now_us()) if at is None else parse_instant(at, "--at", "2026-11-25T14:00:00Z")


def _left(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    days, rest = divmod(minutes, 1440)
    return (f"{days} d " if days else "") + f"{rest // 60} h {rest % 60:02} min"
