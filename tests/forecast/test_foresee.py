"""State, outlook, expected forecast: small cases that can be worked out by hand."""

from collections.abc import Callable

from prometheus.core.demand import Bin, Capacity
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.foresee import Outlook, foresee
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import AttemptStarted, CapacityChanged, RunOpened, TimePassed

HOUR_S = 3600


def night(*tasks: dict[str, object], cpu: int = 1) -> Scheduler:
    """A scheduler at the first instant of a workload."""
    given = [{"duration_s": 1, "demand": {"cpu": 1}, **task} for task in tasks]
    made = make_workload(
        {"capacity": {"cpu": cpu}, "start": "2026-03-02T12:00:00Z", "horizon_s": 9 * HOUR_S, "tasks": given}
    )
    scheduler = Scheduler()
    scheduler.handle([CapacityChanged(made.start_us, made.capacity), RunOpened(made.start_us, made.plan)])
    return scheduler


def test_a_promise_that_half_of_the_past_would_keep_is_missed_in_about_half_of_the_samples() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 150, "history_s": [100, 200]})
    at_us = scheduler.now_us
    history = {"a": (100_000_000, 200_000_000)}
    made = foresee(scheduler, Outlook(history), until_us=at_us + 60 * MINUTE_US, samples=400)
    assert 0.4 < made.slos[0].miss < 0.6
    assert made.slos[0].p99_us == at_us + 200_000_000


def test_what_has_run_longer_than_the_short_half_is_one_of_the_long() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 150, "history_s": [100, 200]})
    at_us = scheduler.now_us
    scheduler.handle([AttemptStarted(at_us, "a", 1)])
    scheduler.handle([TimePassed(at_us + 120_000_000)])
    made = foresee(
        scheduler, Outlook({"a": (100_000_000, 200_000_000)}), until_us=at_us + 60 * MINUTE_US, samples=50
    )
    assert made.slos[0].miss == 1


def test_a_forecast_changes_nothing_and_the_same_seed_says_the_same() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    before = scheduler.fingerprint()
    until_us = scheduler.now_us + 60 * MINUTE_US
    made = foresee(scheduler, Outlook(), until_us=until_us, samples=20, seed=3)
    assert scheduler.fingerprint() == before
    assert foresee(scheduler, Outlook(), until_us=until_us, samples=20, seed=3) == made


def test_a_larger_machine_is_seen_in_the_promise_of_the_second_task() -> None:
    """On one core the second waits for the first."""
    history = {"a": (60_000_000,), "b": (60_000_000,)}
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    until_us = scheduler.now_us + 60 * MINUTE_US
    alone = foresee(scheduler, Outlook(history), until_us=until_us, samples=5)
    assert sorted(one.miss for one in alone.slos) == [0, 1]
    wider = CapacityChanged(scheduler.now_us, Capacity((Bin("machine", 2000, 1_000_000),)))
    both = foresee(scheduler, Outlook(history), until_us=until_us, samples=5, first=[wider])
    assert [one.miss for one in both.slos] == [0, 0]


def test_samples_that_several_share_are_those_that_one_would_draw() -> None:
    scheduler = night({"id": "a", "tier": 1, "deadline_s": 90}, {"id": "b", "tier": 1, "deadline_s": 90})
    until_us = scheduler.now_us + 60 * MINUTE_US
    seen: list[tuple[int, int | None]] = []
    together: list[tuple[int, int | None]] = []
    foresee(scheduler, Outlook(), until_us=until_us, samples=4, skip=0, watch=_ends_of(seen))
    foresee(scheduler, Outlook(), until_us=until_us, samples=4, skip=4, watch=_ends_of(seen))
    foresee(scheduler, Outlook(), until_us=until_us, samples=8, watch=_ends_of(together))
    assert seen == together
    assert [number for number, _ in seen] == list(range(8))


def _ends_of(into: list[tuple[int, int | None]]) -> Callable[[int, World], None]:
    return lambda number, world: into.append((number, world.lives["b"].end_us))
