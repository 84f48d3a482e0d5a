"""What will this machine offer in the coming days: the settings' `[[resources.changes]]`, resolved to instants.

A change holds from one moment to another of the same label: of a session of its market, or of a calendar day where both
are wall clocks. Of changes that overlap the later one in the file wins, resource by resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from prometheus.core.demand import Capacity
from prometheus.core.errors import SettingsError, UserError
from prometheus.core.instants import from_us, iso
from prometheus.core.settings import CapacityChangeSettings
from prometheus.pipelines.defaults import parse_memory_mib
from prometheus.pipelines.moments import Edge, Moment, Session
from prometheus.pipelines.reading import as_moment
from prometheus.pipelines.resolving import Calendars, NoMomentError, resolve

DAYS_BEFORE, DAYS_AHEAD = 3, 9  # labels whose spells may reach into the coming week

Coming = tuple[tuple[int, Capacity], ...]  # (instant, what the machine is from then on)


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of time in which a change holds."""

    from_us: int
    until_us: int
    change: CapacityChangeSettings


def announce(
    changes: Sequence[CapacityChangeSettings], usual: Capacity, now_us: int, calendars: Calendars
) -> tuple[Capacity, Coming]:
    """What the machine is now, and what it will be from which instant on in the coming days.

    Raises `SettingsError` that names the change, its value and what was allowed.
    """
    spells = [
        spell
        for number, change in enumerate(changes, 1)
        for spell in _spells(number, change, now_us, calendars)
    ]
    edges = sorted({at_us for one in spells for at_us in (one.from_us, one.until_us) if at_us > now_us})
    now = last = _at(usual, spells, now_us)
    coming = []
    for at_us in edges:
        then = _at(usual, spells, at_us)
        if then != last:
            coming.append((at_us, then))
        last = then
    return now, tuple(coming)


def _spells(number: int, change: CapacityChangeSettings, now_us: int, calendars: Calendars) -> list[Spell]:
    place = f"[[resources.changes]] number {number}"
    try:
        begin, end = as_moment(change.begin, "from"), as_moment(change.until, "until")
        markets = [_market_of(moment, change.market) for moment in (begin, end)]
        market = next((one for one in markets if one is not None), None)
        today = from_us(now_us).date()
        found = []
        for label in _labels(market, today, calendars):
            spell = _spell(begin, end, label, market or "", change, calendars)
            if spell is not None and spell.until_us > now_us:
                found.append(spell)
        _overlaid(Capacity(()), change)  # is its memory a size?
    except UserError as error:
        raise SettingsError(
            f"{place}: {error.message}", allowed=error.allowed, hint=error.hint or "see docs/settings.md"
        ) from None
    return found


def _spell(
    begin: Moment, end: Moment, label: date, market: str, change: CapacityChangeSettings, calendars: Calendars
) -> Spell | None:
    try:
        from_us_, until_us = (resolve(moment, label, market, calendars) for moment in (begin, end))
    except NoMomentError:
        return None  # by declaration there is none on that label
    if until_us <= from_us_:
        raise UserError(
            f"for {label} until {change.until} is {iso(until_us)}, not after from {change.begin}, {iso(from_us_)}",
            hint='a night needs the next day: until = "D+1 06:00 Europe/London", or the open of session.next',
        )
    return Spell(from_us_, until_us, change)


def _labels(market: str | None, today: date, calendars: Calendars) -> Sequence[date]:
    first, last = today - timedelta(days=DAYS_BEFORE), today + timedelta(days=DAYS_AHEAD)
    if market is not None:
        return calendars(market).sessions(first, last)
    return [first + timedelta(days=day) for day in range((last - first).days + 1)]


def _market_of(moment: Moment, own: str | None) -> str | None:
    """The market that a moment belongs to; None for a wall clock."""
    if not isinstance(moment, Edge):
        return None
    named = moment.of.market_id if isinstance(moment.of, Session) else None
    if named is None and own is None:
        raise UserError(
            f"{moment} belongs to no market", hint='add market = "US_EQ", or write market("US_EQ").close'
        )
    return named or own


def _at(usual: Capacity, spells: Sequence[Spell], at_us: int) -> Capacity:
    capacity = usual
    for spell in spells:
        if spell.from_us <= at_us < spell.until_us:
            capacity = _overlaid(capacity, spell.change)
    return capacity


def _overlaid(capacity: Capacity, change: CapacityChangeSettings) -> Capacity:
    """The machine with what the change says of it; a machine is one bin."""
    cpu_milli = None if change.cpu is None else round(change.cpu * 1_000)
    memory_mib = None if change.memory is None else parse_memory_mib(change.memory)
    bins = tuple(
        replace(
            one,
            cpu_milli=one.cpu_milli if cpu_milli is None else cpu_milli,
            memory_mib=one.memory_mib if memory_mib is None else memory_mib,
        )
        for one in capacity.bins
    )
    return Capacity(bins, tuple(sorted({**dict(capacity.pools), **change.pools}.items())))


def machine_at(capacity: Capacity, coming: Coming, now_us: int) -> tuple[Capacity, Coming]:
    """What the machine is now, and what is still announced; of what was, that which is due has come since."""
    due = [changed for at_us, changed in coming if at_us <= now_us]
    return due[-1] if due else capacity, coming[len(due) :]
