"""Which calendars does this desk go by: the shipped table, its own markets, and what people have said since.

Overrides come from `prometheus.toml` and from the ledger, which keeps who recorded them and when. Every process of the
desk installs the same book; a run's workers are sent it.
"""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from prometheus.core.calendar_book import CalendarBook, load_table
from prometheus.core.calendar_errors import CalendarTableError
from prometheus.core.calendar_overrides import Override
from prometheus.core.calendar_settings import read_markets, read_overrides
from prometheus.core.settings import Settings
from prometheus.core.time import CalendarRangeError, TradingCalendar, install_book
from prometheus.executors.contract import NO_OVERRIDES
from prometheus.ledger.contract import RecordedOverride
from prometheus.markets.table import Table


@dataclass(frozen=True, slots=True)
class Change:
    """What an override makes of one market's day: hours before and after, None where there is no session."""

    market: str
    day: date
    before: tuple[datetime, datetime] | None
    after: tuple[datetime, datetime] | None


def desk_book(settings: Settings) -> CalendarBook:
    """The book in force. Raises `SettingsError`, `CalendarError` for what cannot be used, and the ledger's errors."""
    recorded = [one.override for one in recorded_overrides(settings)]
    markets = read_markets(settings.markets)
    table = None if settings.calendars.table is None else read_table(settings.calendars.table)
    if table is None and not markets and not recorded and not settings.overrides:
        return CalendarBook()
    return CalendarBook(table, markets, (*read_overrides(settings.overrides), *recorded))


def install_desk_book(settings: Settings) -> CalendarBook:
    """Make the book in force the one that this process sees from now on."""
    book = desk_book(settings)
    install_book(book)
    return book


def read_table(path: Path) -> Table:
    """The table in a file, as `tools/calendars/build.py --out` writes it; `CalendarTableError` if it is damaged."""
    try:
        return load_table(path.read_bytes())
    except OSError as error:
        raise CalendarTableError(
            f"the calendar table {path} cannot be read: {error.strerror}", hint="see [calendars] table"
        ) from None


def book_text(book: CalendarBook) -> str:
    """What a worker is told of the book: its text, or that it is the shipped one."""
    return NO_OVERRIDES if book == CalendarBook() else book.to_json()


def recorded_overrides(settings: Settings) -> list[RecordedOverride]:
    """What the desk's ledger holds; nothing where there is no ledger yet."""
    if not _has_ledger(settings):
        return []
    from prometheus.ledger.opening import open_ledger, schema_revision

    if schema_revision(settings.ledger_url) is None:
        return []
    ledger = open_ledger(settings.ledger_url, create=False)
    try:
        return ledger.overrides()
    finally:
        ledger.close()


def record_override(
    settings: Settings, override: Override, now_us: int, by: str | None = None
) -> RecordedOverride:
    """Keep an override in the desk's ledger, after the book has accepted it.

    Raises what the book raises for one that cannot be used; nothing is kept then.
    """
    desk_book(settings).with_overrides(override)
    from prometheus.ledger.opening import open_ledger

    ledger = open_ledger(settings.ledger_url)
    try:
        return ledger.record_override(override, now_us, by or whoever())
    finally:
        ledger.close()


def changes(before: CalendarBook, after: CalendarBook, exchange: str, day: date) -> list[Change]:
    """What becomes of the days around `day` in each market that holds `exchange`, the exchange itself first."""
    leaves = set(before.exchanges_of(exchange))
    concerned = [exchange] + [
        market
        for market in before.market_ids
        if market != exchange and leaves & set(before.exchanges_of(market))
    ]
    found = []
    for market in concerned:
        calendars = [TradingCalendar(market, book=book, projected=True) for book in (before, after)]
        for offset in range(-1, 2):
            near = day + timedelta(days=offset)
            hours = [_hours(calendar, near) for calendar in calendars]
            if hours[0] != hours[1]:
                found.append(Change(market, near, hours[0], hours[1]))
    return found


def whoever() -> str:
    """The person at this machine, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _hours(calendar: TradingCalendar, day: date) -> tuple[datetime, datetime] | None:
    try:
        if not calendar.is_trading_day(day):
            return None
        return calendar.session_open(day), calendar.session_close(day)
    except CalendarRangeError:
        return None


def _has_ledger(settings: Settings) -> bool:
    """Whether there may be a ledger to ask: a file that is there, or a server."""
    url = settings.ledger_url
    if not url.startswith("sqlite"):
        return not url.startswith("memory")
    return os.path.exists(url.partition(":///")[2])
