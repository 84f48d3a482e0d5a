"""A fork goes its own way: no record that a turn may write is in both, wherever the books refer to it."""

from __future__ import annotations

import gc

import pytest

from bench.mixes import mixed
from bench.nights import make_night
from prometheus.core.instants import HOUR_US
from prometheus.forecast.ahead import run_ahead
from prometheus.orchestrator.simulation.opening import first_events, world_of
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.agenda import Agenda
from prometheus.scheduler.bins import BinBook
from prometheus.scheduler.books import Alarms, Books, ReadyQueue, RunBook, SloBook, TaskBook
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.policies import POLICIES
from prometheus.scheduler.reservation import Reservation
from prometheus.scheduler.room import Room
from prometheus.scheduler.shares import Account

WRITTEN = (
    Account,
    Agenda,
    Alarms,
    BinBook,
    Books,
    ReadyQueue,
    Reservation,
    Room,
    RunBook,
    SloBook,
    TaskBook,
)


def written(books: Books) -> dict[int, object]:
    """Every record that a turn may write and that these books refer to, by whatever way."""
    found: dict[int, object] = {}
    seen: set[int] = set()
    stack: list[object] = [books]
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, type) or type(one).__name__ == "module":
            continue
        seen.add(id(one))
        if isinstance(one, WRITTEN):
            found[id(one)] = one
        if isinstance(one, WRITTEN) or type(one) in (list, dict, tuple, set):
            stack += gc.get_referents(one)
    return found


@pytest.mark.parametrize("policy", ["reserving", "strict"])
def test_a_fork_refers_to_no_record_of_the_books_that_it_came_from(policy: str) -> None:
    workload = make_workload(mixed(make_night(3, 1.2), "all", 3))
    scheduler = Scheduler(3, POLICIES[policy])
    at_us = workload.start_us + 5 * HOUR_US
    run_ahead(scheduler, world_of(workload, traced=False), first_events(workload), at_us)
    twin = scheduler.fork()
    own, other = written(scheduler._books), written(twin._books)
    kinds = {type(one).__name__ for one in own.values()}
    assert {"TaskBook", "RunBook", "SloBook", "ReadyQueue", "BinBook"} <= kinds
    assert sum(isinstance(one, TaskBook) for one in own.values()) == len(workload.tasks)
    assert len(own) == len(other)
    assert [one for place, one in own.items() if place in other] == []
