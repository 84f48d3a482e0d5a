"""The virtual executor does what its works say, when they say it, the same each time."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.demand import Demand
from prometheus.executors.contract import Began, Checkpointed, Fact, Failed, Launch, Succeeded
from prometheus.executors.virtual import DeadlockError, Lies, VirtualExecutor, Work, drawn
from prometheus.scheduler.events import Failure


def launch(task: str = "t", attempt: int = 1, resume: str | None = None) -> Launch:
    return Launch(
        *(task, "run", task, attempt, date(2024, 3, 1), "US_EQ", "full", "pin", "jobs:job", Demand()),
        resume=resume,
    )


def story(executor: VirtualExecutor) -> list[tuple[int, Fact]]:
    """Everything that is told until nothing more can happen, each with its instant."""
    told: list[tuple[int, Fact]] = []
    while True:
        try:
            facts = executor.facts(None)
        except DeadlockError:
            return told
        executor.acknowledge(facts)
        told += [(executor.now_us, fact) for fact in facts]


def test_work_takes_its_time() -> None:
    executor = VirtualExecutor({"t": Work(500, starting_us=20)}, now_us=1_000)
    executor.start(launch())
    assert story(executor) == [(1_020, Began("t", 1)), (1_520, Succeeded("t", 1))]


def test_time_stands_still_while_facts_wait_and_never_passes_the_timeout() -> None:
    executor = VirtualExecutor({"t": Work(500)})
    executor.start(launch())
    assert executor.facts(None) == executor.facts(None) == (Began("t", 1),)
    executor.acknowledge([Began("t", 1)])
    assert (executor.facts(300), executor.now_us) == ((), 300)
    assert (executor.facts(300), executor.now_us) == ((Succeeded("t", 1),), 500)


def test_attempts_fail_after_their_share_of_the_work_until_one_does_not() -> None:
    executor = VirtualExecutor({"t": Work(1_000, failures=(0.25, 0.5))})
    ends = []
    for attempt in (1, 2, 3):
        began = executor.now_us
        executor.start(launch(attempt=attempt))
        (_, (at, end)) = story(executor)
        ends.append((at - began, type(end)))
    assert ends == [(250, Failed), (500, Failed), (1_000, Succeeded)]


def test_a_preempted_attempt_loses_only_what_it_had_not_saved() -> None:
    executor = VirtualExecutor({"t": Work(1_000, checkpoint_every_us=300)}, checkpoint_overhead_us=60)
    executor.start(launch())
    executor.advance_to(700)
    executor.cancel("t", 1, Failure.PREEMPTED, "made room", 0)
    told = story(executor)
    saved = [fact for _, fact in told if isinstance(fact, Checkpointed)]
    assert isinstance(told[-1][1], Failed)
    assert json.loads(saved[-1].state) == {"done_us": 600}
    executor.start(launch(attempt=2, resume=saved[-1].state))
    told = story(executor)
    assert told[-1] == (700 + 60 + 400, Succeeded("t", 2))
    assert [json.loads(f.state)["done_us"] for _, f in told if isinstance(f, Checkpointed)] == [900]


@pytest.mark.parametrize(
    ("stopping_us", "grace_us", "ends_us"), [(0, 50, 100), (20, 50, 120), (900, 50, 150)]
)
def test_stopping_takes_its_time_but_no_longer_than_the_grace(
    stopping_us: int, grace_us: int, ends_us: int
) -> None:
    executor = VirtualExecutor({"t": Work(None, stopping_us=stopping_us)})
    executor.start(launch())
    executor.advance_to(100)
    executor.cancel("t", 1, Failure.TIMEOUT, "too long", grace_us)
    assert max(at for at, _ in story(executor)) == ends_us


def test_waiting_for_ever_for_nothing_is_an_error_and_no_endless_wait() -> None:
    executor = VirtualExecutor({"t": Work(None)})
    executor.start(launch())
    executor.acknowledge(executor.facts(None))
    with pytest.raises(DeadlockError):
        executor.facts(None)


def test_crashes_and_the_death_of_all_workers_are_told() -> None:
    executor = VirtualExecutor(lambda _: Work(None))
    for task in ("a", "b", "c"):
        executor.start(launch(task))
    executor.advance_to(1)
    executor.crash("a", 1)
    executor.die()
    ends = {fact.task_id: fact.failure for _, fact in story(executor) if isinstance(fact, Failed)}
    assert ends == {"a": Failure.CRASH, "b": Failure.LOST, "c": Failure.LOST}
    assert executor.living() == frozenset()


def lived(seed: int, lies: Lies) -> list[tuple[int, Fact]]:
    executor = VirtualExecutor(drawn(seed, 1_000_000, failing=0.3), lies=lies, seed=seed)
    for i in range(10):
        executor.start(launch(f"t{i}"))
    return story(executor)


@given(st.integers(min_value=0, max_value=10_000))
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    lies = Lies(late_us=500_000, repeated=0.3)
    assert lived(seed, lies) == lived(seed, lies)


@given(st.integers(min_value=0, max_value=10_000))
def test_a_liar_tells_every_fact_late_twice_or_out_of_order_but_invents_none(seed: int) -> None:
    honest = {fact: at for at, fact in lived(seed, Lies())}
    told = lived(seed, Lies(late_us=500_000, repeated=0.5))
    assert {fact for _, fact in told} == set(honest)
    assert all(honest[fact] <= at <= honest[fact] + 500_000 for at, fact in told)


def test_a_liar_does_lie() -> None:
    told = [lived(seed, Lies(late_us=3_000_000, repeated=0.5)) for seed in range(10)]
    facts: list[list[Any]] = [[fact for _, fact in one] for one in told]
    assert any(len(set(one)) < len(one) for one in facts)
    assert any(
        one.index(fact) < one.index(Began(fact.task_id, 1))
        for one in facts
        for fact in one
        if not isinstance(fact, Began)
    )
