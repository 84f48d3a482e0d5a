"""`prometheus calendar override` and `overrides`: correcting a day, with a look at what changes before it does."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import (
    AsJson,
    Home,
    LedgerUrl,
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
    from prometheus.cli.face import Face
    from prometheus.core.calendar_overrides import Override
    from prometheus.core.ids import Json
    from prometheus.core.time import CalendarBook
    from prometheus.ledger.contract import RecordedOverride
    from prometheus.orchestrator.calendars import Change


def override(
    exchange: Annotated[str, typer.Argument(help="The exchange's MIC (XNYS), or a market of one exchange.")],
    day: Annotated[str, typer.Argument(metavar="DATE", help="The session's label.")],
    closed: Annotated[bool, typer.Option("--closed", help="There is no session.")] = False,
    hours: Annotated[
        str | None,
        typer.Option("--hours", metavar="HH:MM-HH:MM", help="Its hours, on the exchange's own clock."),
    ] = None,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="What the table says holds again; history is kept.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why. Needed.")] = None,
    source: Annotated[str, typer.Option("--source", help="Who announced it.")] = "the desk",
    known_at: Annotated[
        str | None, typer.Option("--known-at", metavar="INSTANT", help="When it was announced. [now]")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who records it. [you]")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    home: Home = None,
    ledger: LedgerUrl = None,
    no_color: NoColor = False,
) -> None:
    """Correct one day of an exchange: shows what changes, asks, and keeps it in the ledger from now on."""
    from prometheus.core.errors import UserError
    from prometheus.core.instants import from_us
    from prometheus.orchestrator import calendars
    from prometheus.orchestrator.clock import LiveClock

    face = open_face(as_json, home, ledger, no_color)
    now_us = LiveClock().now_us()
    book = calendars.desk_book(face.settings)
    label = parse_day(day, "DATE")
    announced = (
        from_us(now_us) if known_at is None else parse_instant(known_at, "--known-at", "2027-01-02T15:00:00Z")
    )
    wanted = _override(book, exchange, label, closed, hours, take_back, reason, source, announced)
    changed = calendars.changes(book, book.with_overrides(wanted), exchange, label)
    if not as_json:
        _show(face, wanted, changed)
    if not yes:
        if as_json:
            raise UserError("with --json nobody can be asked", hint="add --yes to record it")
        if not typer.confirm("Record it?", default=False, err=True):
            face.err.print("nothing was recorded")
            raise typer.Exit(1)
    kept = calendars.record_override(face.settings, wanted, now_us, by)
    if as_json:
        print_json({**_recorded(kept), "changes": [_change(one) for one in changed]})
    else:
        face.err.print(
            f"recorded as number {kept.number} by {kept.recorded_by}; to take it back: "
            f"prometheus calendar override {exchange} {label} --take-back --reason ..."
        )


def overrides(
    as_json: AsJson = False, home: Home = None, ledger: LedgerUrl = None, no_color: NoColor = False
) -> None:
    """Every override: those of prometheus.toml, and those recorded, with who and when."""
    from prometheus.core.calendar_settings import read_overrides
    from prometheus.orchestrator import calendars

    face = open_face(as_json, home, ledger, no_color)
    recorded = calendars.recorded_overrides(face.settings)
    written = read_overrides(face.settings.overrides)
    if as_json:
        print_json(
            {"settings": [one.to_plain() for one in written], "ledger": [_recorded(one) for one in recorded]}
        )
        return
    shown = table("number", "exchange", "day", "what", "known at", "recorded", "by", "reason")
    for one in written:
        shown.add_row(
            "-",
            one.exchange,
            str(one.day),
            _what(one),
            iso_of(one.known_at),
            "",
            "prometheus.toml",
            cell(one.reason),
        )
    for kept in recorded:
        plain = _recorded(kept)
        shown.add_row(
            str(kept.number),
            kept.override.exchange,
            str(kept.override.day),
            _what(kept.override),
            iso_of(kept.override.known_at),
            plain["recorded_at"],
            cell(kept.recorded_by),
            cell(kept.override.reason),
        )
    face.out.print(shown)
    if not written and not recorded:
        face.err.print("there are no overrides: the shipped table is what counts")


def _override(
    book: CalendarBook,
    exchange: str,
    day: date,
    closed: bool,
    hours: str | None,
    take_back: bool,
    reason: str | None,
    source: str,
    known_at: datetime,
) -> Override:
    from prometheus.core.calendar_overrides import Override
    from prometheus.core.errors import UserError

    if closed + (hours is not None) + take_back != 1:
        raise UserError(
            "what becomes of the day is not said", allowed="one of --closed, --hours HH:MM-HH:MM, --take-back"
        )
    if reason is None or not reason.strip():
        raise UserError("an override needs its reason", hint='add --reason "..."; others will ask')
    opens, closes = (None, None) if hours is None else _hours(book, exchange, day, hours)
    return Override(
        exchange=exchange,
        day=day,
        kind="closed" if closed else "hours" if hours is not None else "scheduled",
        reason=reason,
        source=source,
        known_at=known_at,
        open=opens,
        close=closes,
    )


def _hours(book: CalendarBook, exchange: str, day: date, text: str) -> tuple[datetime, datetime]:
    """The instants of "HH:MM-HH:MM" on the exchange's own clock; an open later than the close is the evening before."""
    from zoneinfo import ZoneInfo

    from prometheus.core.errors import UserError

    try:
        opens, closes = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        raise UserError(f"--hours is {text!r}", allowed='"HH:MM-HH:MM", such as "09:30-13:00"') from None
    book.schedule(exchange)  # an unknown one is named, with those that exist
    zone = ZoneInfo(book.table.exchange(book.exchanges_of(exchange)[0]).zone)
    first = day - timedelta(days=1) if opens >= closes else day
    edges = [datetime.combine(first, opens, zone), datetime.combine(day, closes, zone)]
    return edges[0].astimezone(UTC), edges[1].astimezone(UTC)


def _show(face: Face, wanted: Override, changed: list[Change]) -> None:
    face.out.print(f"{wanted.exchange} on {wanted.day:%a} {wanted.day}: {_what(wanted)} ({wanted.reason})")
    if not changed:
        face.out.print("nothing changes: the calendars already say so")
        return
    shown = table("market", "session", "before (UTC)", "after (UTC)")
    for one in changed:
        shown.add_row(one.market, f"{one.day:%a} {one.day}", _span(one.before), _span(one.after))
    face.out.print(shown)


def _what(one: Override) -> str:
    if one.kind == "hours" and one.open is not None and one.close is not None:
        return f"hours {iso_of(one.open)} to {iso_of(one.close)}"
    return {"closed": "closed", "scheduled": "as the table has it"}.get(one.kind, one.kind)


def _span(hours: tuple[datetime, datetime] | None) -> str:
    return "no session" if hours is None else f"{hours[0]:%Y-%m-%d %H:%M} to {hours[1]:%H:%M}"


def _change(one: Change) -> dict[str, Json]:
    def told(hours: tuple[datetime, datetime] | None) -> list[str] | None:
        return None if hours is None else [iso_of(at) for at in hours]

    return {
        "market": one.market,
        "session": one.day.isoformat(),
        "before": told(one.before),
        "after": told(one.after),
    }


def _recorded(one: RecordedOverride) -> dict[str, Json]:
    from prometheus.core.instants import iso

    return {
        "number": one.number,
        **one.override.to_plain(),
        "recorded_at": iso(one.recorded_us),
        "recorded_by": one.recorded_by,
    }
