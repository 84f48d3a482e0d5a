"""What will the machine be, and from when: changes of capacity that are announced before they come.

The scheduler makes them by itself when their instant is here. Until then the plan of Tier 1 and the admission of lower
tasks see a loss that comes as room that is not there, and a gain as room that is there from then on.
"""

from __future__ import annotations

from prometheus.core.demand import Capacity, Demand
from prometheus.core.instants import DAY_US, from_us
from prometheus.scheduler.books import Books
from prometheus.scheduler.reservation import BIN_US, PROMISED_BINS_AT_MOST, totals_of
from prometheus.scheduler.room import Room

ALARM = "capacity"
BEYOND_US = 30 * DAY_US  # how long the last change that is announced is taken to last

Gap = tuple[int, int, str, int]  # from, to, resource, how much less of it there is than now


def take(books: Books, capacity: Capacity, coming: tuple[tuple[int, Capacity], ...]) -> None:
    """The machine is this from now on, and what is announced replaces what was announced before."""
    books.room.set_capacity(capacity)
    books.coming = tuple(sorted(coming, key=lambda change: change[0]))
    switch(books)


def switch(books: Books) -> None:
    """Make the changes that are due, and wait for the next one."""
    due = [capacity for at_us, capacity in books.coming if at_us <= books.now_us]
    if due:
        books.room.set_capacity(due[-1])
        books.coming = books.coming[len(due) :]
    books.reservation.is_stale, books.reservation.standing = True, None
    if books.coming:
        books.alarms.set(ALARM, "", books.coming[0][0])
    else:
        books.alarms.drop(ALARM, "")


def gaps(books: Books) -> list[Gap]:
    """What there will be less of than now, in order of time."""
    now = books.room.totals()
    found: list[Gap] = []
    for place, (at_us, capacity) in enumerate(books.coming):
        last = place + 1 == len(books.coming)
        end_us = at_us + BEYOND_US if last else books.coming[place + 1][0]
        then = totals_of(capacity)
        found += [
            (at_us, end_us, name, had - then.get(name, 0))
            for name, had in now.items()
            if had > then.get(name, 0)
        ]
    return found


def withhold(books: Books) -> None:
    """Enter into the plan, which has just been made, what the machine will have less of than now; or more.

    Each bin of time counts with the worst moment in it.
    """
    if not books.coming:
        return
    now, planned = books.room.totals(), books.reservation.planned
    here = books.now_us // BIN_US
    end = here + PROMISED_BINS_AT_MOST
    changes = [(books.now_us, now), *((at_us, totals_of(capacity)) for at_us, capacity in books.coming)]
    ends_us = [at_us for at_us, _ in changes[1:]] + [end * BIN_US]
    for name in {name for _, then in changes for name in then}:
        worst: dict[int, int] = {}
        for (begin_us, then), end_us in zip(changes, ends_us, strict=True):
            if end_us <= begin_us:
                continue
            less = now.get(name, 0) - then.get(name, 0)
            for place in range(begin_us // BIN_US, min(-(-end_us // BIN_US), end)):
                worst[place] = max(less, worst.get(place, less))
        bins = planned.setdefault(name, {})
        for place, less in worst.items():
            if less:
                bins[place] = bins.get(place, 0) + less


def said_of(books: Books, demand: Demand) -> str:
    """When a machine comes that the demand fits, if it fits none now; empty if it fits now, or none that is announced."""
    if not books.coming or books.room.fits_empty(demand):
        return ""
    for at_us, capacity in books.coming:
        then = Room()
        then.set_capacity(capacity)
        if then.fits_empty(demand):
            return f"; from {from_us(at_us):%Y-%m-%d %H:%M} UTC the machine is larger"
    return ""
