"""What must stay free for Tier 1, and from when: the plan of the reservation.

All unfinished Tier 1 work is placed in order of latest start, from its known releases, each part of it (a market's pipeline:
what hangs together by edges) under the smallest cap on the cores in use under which its deadlines are met with a margin, so
that it is spread thin and the rest stays free for others; under none if no cap is enough. `schedule` does that.

It is a function of where everything stands now and of nothing before, so that a scheduler which was rebuilt plans as
the one before it would have. What it takes from the plan before is what would come out again.
"""

from __future__ import annotations

from prometheus.scheduler import announced
from prometheus.scheduler.books import Books
from prometheus.scheduler.frame import Frame, Trail
from prometheus.scheduler.packing import FIELD_BITS, LIMIT, pack
from prometheus.scheduler.reservation import BIN_US, Bins
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.schedule import Schedule, Step
from prometheus.scheduler.unfinished import rule_of, stand


def plan(books: Books) -> None:
    """Make the plan anew, from where everything stands now."""
    reservation, now_us = books.reservation, books.now_us
    was_stale, reservation.made_us, reservation.is_stale = reservation.is_stale, now_us, False
    if (
        not was_stale
        and now_us < reservation.quiet_until_us
        and _is_for(reservation.frame, rule_of(books.policy))
    ):
        return  # all of Tier 1 is still to come, so it would be the same again
    standing = stand(books)
    frame = standing.frame
    trail = Schedule(frame, standing, _limits(books, frame)).run(standing.trail)
    reservation.planned = _by_bin(frame, trail, reservation.planned)
    reservation.behind_us = {}
    for _, part, late_us in trail.late:
        reservation.behind_us[part] = max(late_us, reservation.behind_us.get(part, 0))
    standing.trail = None if books.coming else trail  # the machine would be another one as time goes by
    is_quiet = not standing.live and not books.coming
    reservation.quiet_until_us = (standing.later[0][0] if standing.later else NEVER_US) if is_quiet else 0


def _is_for(frame: Frame | None, rule: tuple[float, int]) -> bool:
    return frame is not None and frame.rule == rule


def _limits(books: Books, frame: Frame) -> list[Step]:
    """What the machine has for Tier 1, and from when; later only what it is known to lose, as if it got nothing more."""
    totals = books.room.totals()
    offered = [min(totals.get(name, 0), LIMIT) for name in frame.names]
    coming = announced.gaps(books) if frame.task_ids else []
    at = sorted({books.now_us, *(at_us for begin_us, end_us, _, _ in coming for at_us in (begin_us, end_us))})
    place_of = {name: place for place, name in enumerate(frame.names)}
    found: list[Step] = []
    for at_us in at:
        fields = offered[:]
        for begin_us, end_us, name, less in coming:
            if begin_us <= at_us < end_us and name in place_of:
                fields[place_of[name]] = max(0, fields[place_of[name]] - less)
        found.append((at_us, pack([*fields, offered[0]])))
    return found


def _by_bin(frame: Frame, trail: Trail, before: Bins) -> Bins:
    """The most that is in use of each resource in each bin of time; `before` is that of the trail before this one."""
    taken = trail.taken_us // BIN_US  # what comes after this bin is as it was
    planned: Bins = {name: {} for name in frame.names}
    fields = [(planned[name], place * FIELD_BITS) for place, name in enumerate(frame.names)]
    begin_us, used = 0, 0
    for end_us, then in zip(trail.at_us, trail.used, strict=True):
        if used and end_us > begin_us:
            first, last = begin_us // BIN_US, min((end_us - 1) // BIN_US, taken)
            if first > taken:
                break
            for bins, shift in fields:
                amount = (used >> shift) & LIMIT
                if amount:
                    for one in range(first, last + 1):
                        if bins.get(one, 0) < amount:
                            bins[one] = amount
        begin_us, used = end_us, then
    if trail.taken_us < NEVER_US:
        for name, bins in planned.items():
            bins.update((one, amount) for one, amount in before.get(name, {}).items() if one > taken)
    return {name: bins for name, bins in planned.items() if bins}
