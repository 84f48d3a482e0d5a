"""A plan of the reservation that goes on from the one before it is the plan that is made from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.mixes import mixed
from bench.nights import make_night
from bench.simulation import make_world
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import run_ahead
from prometheus.orchestrator.simulation.opening import first_events, world_of
from prometheus.orchestrator.simulation.workload import Workload, make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.reserving import plan
from prometheus.scheduler.rules import NEVER_US

EVERY_US = 25 * MINUTE_US


def moments(workload: Workload) -> Iterator[Scheduler]:
    """A night, looked at on its way."""
    scheduler, world = Scheduler(), world_of(workload, traced=False)
    first: Any = first_events(workload)
    for at_us in range(workload.start_us, workload.horizon_us, EVERY_US):
        run_ahead(scheduler, world, first, at_us)
        first = ()
        yield scheduler


def planned(scheduler: Scheduler, *, from_nothing: bool) -> tuple[tuple[Any, list[int]], bool]:
    """What a fork would plan at this moment, and whether it took some of that from its last plan."""
    books = scheduler.fork()._books
    books.reservation.is_stale = True
    if from_nothing:
        books.reservation.frame = books.reservation.standing = None
    plan(books)
    standing = books.reservation.standing
    assert standing is not None
    late = sorted(books.reservation.behind_us.values())  # parts have other numbers in another frame
    return (
        books.reservation.planned,
        late,
    ), standing.trail is not None and standing.trail.taken_us < NEVER_US


NIGHTS = {
    "a full night": make_night(3, 1.2),
    "deadlines that no cap is enough for": make_night(5, 1.0, 12, 120),
    "memory": mixed(make_night(2, 1.0), "memory", 2),
    "pools": mixed(make_night(4, 1.0), "pools", 4),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_it_is_the_same_at_every_moment_of(name: str) -> None:
    went_on, late = 0, False
    for scheduler in moments(make_workload(NIGHTS[name])):
        following, has_taken = planned(scheduler, from_nothing=False)
        assert following == planned(scheduler, from_nothing=True)[0]
        went_on += has_taken
        late |= bool(following[1])
    assert went_on > 3
    assert late or name != "deadlines that no cap is enough for"


def test_it_is_the_same_where_sixty_markets_overlap() -> None:
    went_on = 0
    for scheduler in moments(make_world(900)):
        following, has_taken = planned(scheduler, from_nothing=False)
        assert following == planned(scheduler, from_nothing=True)[0]
        went_on += has_taken
    assert went_on > 3
