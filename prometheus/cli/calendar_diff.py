"""`prometheus calendar diff`: where the installed calendar libraries disagree with the table, day by day.

The libraries are no dependency: this looks at those that happen to be installed (`pip install prometheus-desk[dev]`
brings them) and says nothing about who is right; `tools/calendars/corrections.csv` says why we differ.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prometheus.cli.face import AsJson, Home, NoColor, iso_of, open_face, parse_day, print_json, table

if TYPE_CHECKING:
    from prometheus.core.time import TradingCalendar

# What each library calls our exchanges.
NAMES: Mapping[str, Mapping[str, str]] = {
    "exchange_calendars": {
        **{
            code: code
            for code in [
                "XNYS",
                "CMES",
                "XETR",
                "XLON",
                "XPAR",
                "XAMS",
                "XTKS",
                "XHKG",
                "XSES",
                "XBRU",
                "XMIL",
                "XSWX",
                "XKRX",
                "XASX",
                "XTAI",
                "XBOM",
                "XSHG",
                "XTSE",
                "BVMF",
            ]
        },
    },
    "pandas_market_calendars": {
        "XNYS": "NYSE",
        "CMES": "CME Globex Equity",
        "XLON": "LSE",
        "XTKS": "JPX",
        "XHKG": "HKEX",
    },
}

Hours = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Difference:
    """One day of one exchange on which a library says otherwise; None = no session."""

    exchange: str
    day: date
    library: str
    ours: Hours | None
    theirs: Hours | None


def diff(
    exchange: Annotated[
        str | None, typer.Argument(help="One exchange's MIC. [all that the libraries know]")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first day. [2000-01-01]")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="The last day. [all that is published]")
    ] = None,
    days_only: Annotated[
        bool, typer.Option("--days-only", help="Leave out days that differ by hours alone.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Days on which installed calendar libraries disagree with the table; exit 1 if there are any."""
    from prometheus.core.errors import UserError
    from prometheus.core.time import TradingCalendar, current_book

    face = open_face(as_json, home, None, no_color)
    installed = [name for name in NAMES if importlib.util.find_spec(name)]
    if not installed:
        raise UserError(
            "no calendar library is installed to compare with",
            allowed=", ".join(NAMES),
            hint="pip install exchange_calendars pandas_market_calendars",
        )
    codes = current_book().table.codes if exchange is None else (exchange,)
    found = []
    for code in codes:
        calendar = TradingCalendar(code)
        start = parse_day(first, "--from") if first else calendar.valid_from
        end = min(parse_day(last, "--to") if last else calendar.last_day, calendar.last_day)
        for library in installed:
            if code in NAMES[library]:
                found += [
                    one
                    for one in differences(calendar, library, start, end)
                    if not (days_only and one.ours and one.theirs)
                ]
    if as_json:
        print_json({"libraries": _versions(installed), "differences": [_plain(one) for one in found]})
    else:
        shown = table("exchange", "day", "library", "ours (UTC)", "theirs (UTC)")
        for one in found:
            shown.add_row(
                one.exchange, f"{one.day:%a} {one.day}", one.library, _span(one.ours), _span(one.theirs)
            )
        face.out.print(shown)
        versions = ", ".join(f"{name} {version}" for name, version in _versions(installed).items())
        face.err.print(f"{len(found)} differences from {versions}")
    if found:
        raise typer.Exit(1)


def differences(calendar: TradingCalendar, library: str, first: date, last: date) -> Iterator[Difference]:
    """What `library` says otherwise of the exchange, day by day, as far as it goes."""
    theirs, end = _theirs(library, NAMES[library][calendar.market_id], first, last)
    for offset in range((end - first).days + 1):
        day = first + timedelta(days=offset)
        ours = (
            (calendar.session_open(day), calendar.session_close(day))
            if calendar.is_trading_day(day)
            else None
        )
        if ours != theirs.get(day):
            yield Difference(calendar.market_id, day, library, ours, theirs.get(day))


def _theirs(library: str, name: str, first: date, last: date) -> tuple[dict[date, Hours], date]:
    """The library's sessions, and the last day it can answer for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each warns about the newer versions of what it is built on
        if library == "exchange_calendars":
            import exchange_calendars

            kind = exchange_calendars.calendar_utils._default_calendar_factories[name]  # the class, unmade
            bound = kind.bound_max()
            end = last if bound is None else min(last, bound.date())
            schedule = exchange_calendars.get_calendar(
                name, start=first.isoformat(), end=end.isoformat()
            ).schedule
            return {row.Index.date(): (_utc(row.open), _utc(row.close)) for row in schedule.itertuples()}, end
        import pandas_market_calendars

        schedule = pandas_market_calendars.get_calendar(name).schedule(first.isoformat(), last.isoformat())
        return {
            row.Index.date(): (_utc(row.market_open), _utc(row.market_close)) for row in schedule.itertuples()
        }, last


def _utc(stamp: Any) -> datetime:  # a pandas Timestamp; pandas ships no types we check with
    found: datetime = stamp.to_pydatetime().astimezone(UTC)
    return found


def _versions(installed: list[str]) -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in installed}


def _span(hours: Hours | None) -> str:
    return "no session" if hours is None else f"{hours[0]:%m-%d %H:%M} to {hours[1]:%H:%M}"


def _plain(one: Difference) -> dict[str, object]:
    def told(hours: Hours | None) -> list[str] | None:
        return None if hours is None else [iso_of(at) for at in hours]

    return {
        "exchange": one.exchange,
        "day": one.day.isoformat(),
        "library": one.library,
        "ours": told(one.ours),
        "theirs": told(one.theirs),
    }
