"""The desk's markets and overrides as `prometheus.toml` writes them.

    [markets.EU_CORE]                    # members: exchanges or markets; mode: any, all, primary
    members = ["XETR", "XPAR"]
    mode = "all"
    pre_open = "90min"

    [[overrides]]
    exchange = "XNYS"
    day = 2027-01-05
    kind = "closed"                      # or "hours" with open and close, or "scheduled" to take it back
    reason = "National day of mourning"
    source = "NYSE release of 2027-01-02"
    known_at = 2027-01-02T15:00:00Z

Every fault is found before anything is used, and named with its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from prometheus.core.calendar_errors import CalendarBookError
from prometheus.core.calendar_overrides import DEFAULT_BUFFER_MINUTES, Override, UserMarket
from prometheus.core.errors import SettingsError, UserError
from prometheus.core.instants import MINUTE_US, parse_duration

_MARKET = ("members", "mode", "pre_open", "post_close")
_OVERRIDE = ("exchange", "day", "kind", "open", "close", "reason", "source", "known_at")


def read_markets(given: Mapping[str, Mapping[str, Any]]) -> tuple[UserMarket, ...]:
    """The tables under [markets]; `SettingsError` lists every fault."""
    return _all("markets", [(f"[markets.{name}]", _market, (name, table)) for name, table in given.items()])


def read_overrides(given: Sequence[Mapping[str, Any]]) -> tuple[Override, ...]:
    """The [[overrides]]; `SettingsError` lists every fault."""
    return _all("overrides", [(f"[[overrides]] number {n}", _override, (t,)) for n, t in enumerate(given, 1)])


def _all(what: str, tables: Sequence[tuple[str, Any, tuple[Any, ...]]]) -> tuple[Any, ...]:
    found, faults = [], []
    for place, read, arguments in tables:
        try:
            found.append(read(*arguments))
        except UserError as error:
            faults.append(f"{place}: {error}")
    if faults:
        raise SettingsError(
            f"the {what} of prometheus.toml cannot be used: {' '.join(faults)}", hint="see docs/calendars.md"
        )
    return tuple(found)


def _market(name: str, table: Mapping[str, Any]) -> UserMarket:
    _refuse_unknown(table, _MARKET)
    members = table.get("members", [])
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise CalendarBookError(f"members is {members!r}.", allowed='a list such as ["XETR", "XPAR"]')
    buffers = {key: _minutes(key, table.get(key)) for key in ("pre_open", "post_close")}
    return UserMarket(
        name, tuple(members), table.get("mode", "any"), buffers["pre_open"], buffers["post_close"]
    )


def _minutes(key: str, value: object) -> int:
    if value is None:
        return DEFAULT_BUFFER_MINUTES
    if not isinstance(value, str):
        raise CalendarBookError(f"{key} is {value!r}.", allowed='a duration such as "90min"')
    minutes, rest = divmod(parse_duration(value), MINUTE_US)
    if rest:
        raise CalendarBookError(f"{key} is {value!r}.", allowed="whole minutes")
    return minutes


def _override(table: Mapping[str, Any]) -> Override:
    _refuse_unknown(table, _OVERRIDE)
    missing = [key for key in ("exchange", "day", "kind", "reason", "source", "known_at") if key not in table]
    if missing:
        raise CalendarBookError(f"{', '.join(missing)} is missing.", allowed=", ".join(_OVERRIDE))
    day = table["day"]
    if isinstance(day, datetime) or not isinstance(day, date):
        raise CalendarBookError(f"day is {day!r}.", allowed="a date without quotes: 2027-01-05")
    texts = {key: str(table[key]) for key in ("exchange", "kind", "reason", "source")}
    return Override(
        exchange=texts["exchange"],
        day=day,
        kind=texts["kind"],  # type: ignore[arg-type]  # Override refuses any other word
        reason=texts["reason"],
        source=texts["source"],
        known_at=_instant("known_at", table["known_at"]),
        open=_edge("open", table.get("open"), day),
        close=_edge("close", table.get("close"), day),
    )


def _edge(key: str, value: object, day: date) -> datetime | None:
    """An instant, or a clock time of the day in UTC."""
    if value is None:
        return None
    if isinstance(value, time):
        return datetime.combine(day, value, UTC)
    return _instant(key, value)


def _instant(key: str, value: object) -> datetime:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value
    raise CalendarBookError(
        f"{key} is {value!r}.", allowed="an instant with its offset and without quotes: 2027-01-02T15:00:00Z"
    )


def _refuse_unknown(table: object, known: Sequence[str]) -> None:
    if not isinstance(table, Mapping):
        raise CalendarBookError(f"{table!r} is no table.", allowed=", ".join(known))
    unknown = [key for key in table if key not in known]
    if unknown:
        raise CalendarBookError(f"{', '.join(unknown)} is not known here.", allowed=", ".join(known))
