"""Thousands of small nights in which everything goes wrong: what must hold does, and what is planted wrong is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from watching import Account

from prometheus.core.demand import Demand
from prometheus.orchestrator.simulation.faults import Faults, Restart
from prometheus.orchestrator.simulation.simulate import Simulated, simulate
from prometheus.scheduler import moving, unfinished
from prometheus.scheduler.bins import BinBook, Place
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.policies import POLICIES, RESERVING, Policy
from prometheus.scheduler.room import Room
from prometheus.scheduler.states import TaskState
from tools.proof.drawing import SECOND_US, SECONDS, Drawn, draw_night

T = TypeVar("T")
OFTEN = settings().max_examples


@st.composite
def nights(draw: st.DrawFn, **how: Any) -> Drawn:
    def pick(options: Sequence[T]) -> T:
        return draw(st.sampled_from(options))

    return draw_night(pick, **how)


def decided(night: Drawn, policy: Policy = RESERVING, faults: Faults | None = None) -> Simulated:
    """The night, with an account of every turn, and of how all ended."""
    account = Account(night.workload)
    result = simulate(
        night.workload, policy=policy, faults=faults or night.faults, traced=True, watch=account.watch
    )
    account.ended()
    return result


@settings(max_examples=15 * OFTEN)
@given(nights())
def test_whatever_goes_wrong_order_and_room_hold_at_every_instant_and_nothing_is_left_lying(
    night: Drawn,
) -> None:
    decided(night)


@given(nights(), st.sampled_from(sorted(POLICIES)))
def test_it_holds_under_every_policy(night: Drawn, policy: str) -> None:
    decided(night, POLICIES[policy])


@given(nights())
def test_the_same_night_twice_is_the_same_to_the_microsecond(night: Drawn) -> None:
    first, second = (simulate(night.workload, faults=night.faults, traced=True) for _ in range(2))
    assert first.trace == second.trace
    assert {**first.as_json(), "wall_s": 0} == {**second.as_json(), "wall_s": 0}


@given(nights(with_faults=False))
def test_a_night_with_a_ledger_is_the_night_without(night: Drawn) -> None:
    quick, kept = (simulate(night.workload, faults=faults, traced=True) for faults in (None, night.faults))
    assert quick.trace == kept.trace
    assert (quick.events, quick.decisions) == (kept.events, kept.decisions)


@given(nights())
def test_caps_under_which_tier_1_is_late_for_sure_need_not_be_tried(night: Drawn) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfinished, "_least", lambda *_: 0)
        tried = simulate(night.workload, faults=night.faults, traced=True)
    assert simulate(night.workload, faults=night.faults, traced=True).trace == tried.trace


@settings(max_examples=4 * OFTEN)
@given(nights(with_faults=False), st.lists(st.sampled_from(SECONDS), min_size=1, max_size=3, unique=True))
def test_a_scheduler_that_is_rebuilt_in_the_middle_decides_as_the_one_that_went_on(
    night: Drawn, seconds: list[int]
) -> None:
    """But for the age of its plan: so the other one is told of the same machine again then, and plans anew too."""
    start_us, capacity = night.workload.start_us, night.workload.capacity
    instants = [start_us + one * SECOND_US for one in sorted(seconds)]
    told_again = replace(night.workload, changes=tuple((at_us, capacity) for at_us in instants))
    went_on = simulate(told_again, faults=Faults(), traced=True)
    restarts = tuple(Restart(at_us, "between_turns") for at_us in instants)
    rebuilt = simulate(told_again, faults=Faults(restarts=restarts), traced=True)
    assert rebuilt.happened == {"restarts": len(instants)}
    assert rebuilt.trace == went_on.trace


# --- what is planted wrong is found, and shrunk to a night that fits on a page ---


def _sees_no_memory(room: Room, demand: Demand) -> Place | None:
    return _find(room, replace(demand, memory_mib=0))


def _whatever_attempt(scheduler: Scheduler, task_id: str, attempt: int) -> TaskBook | None:
    return _current(scheduler, task_id, scheduler._books.tasks[task_id].attempts)


def _shares_of_all_devices(book: Any, milli: int) -> tuple[int, ...] | None:
    free = sum(book.gpu_free(device) for device in range(len(book.bin.gpu_milli)))
    return (0,) if milli and free >= milli else None


def _ready_and_silent(books: Books, book: TaskBook) -> None:
    if book.state is TaskState.BLOCKED or book.plan.job != "c":
        _reconsider(books, book)


_current, _reconsider, _find = Scheduler._current, moving.reconsider, Room.find


@pytest.mark.parametrize(
    ("where", "name", "planted"),
    [
        (Room, "find", _sees_no_memory),
        (BinBook, "devices_for", _shares_of_all_devices),
        (Scheduler, "_current", _whatever_attempt),
        (moving, "reconsider", _ready_and_silent),
    ],
    ids=[
        "memory is not counted",
        "shares of devices are summed",
        "late facts are believed",
        "a task is forgotten",
    ],
)
def test_a_planted_fault_is_found_and_shrunk_to_a_few_tasks(
    where: object, name: str, planted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, planted)

    def is_wrong(night: Drawn) -> bool:
        try:
            decided(night)
        except AssertionError:
            return True
        return False

    shrunk = find(nights(), is_wrong, settings=settings(max_examples=50 * OFTEN))
    assert len(shrunk.given["tasks"]) <= 3
