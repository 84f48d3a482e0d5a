"""What every executor promises, asked of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prometheus.executors.contract import Began, Checkpointed, Failed, Launch, Succeeded
from prometheus.executors.virtual import VirtualExecutor, Work
from prometheus.scheduler.events import Failure

JOBS = """
import time

def good(task):
    return {"rows": 500}

def bad(task):
    raise ValueError("no such column")

def saving(task):
    done = (task.resume or {"done_us": 0})["done_us"]
    while done < 3:
        done += 1
        task.checkpoint({"done_us": done})
        time.sleep(0.02)  # so that each is seen
    return None

def hanging(task):
    while True:
        time.sleep(0.05)
"""
WORKS = {
    "jobs.py:good": Work(1_000, output='{"rows":500}'),
    "jobs.py:bad": Work(1_000, failures=(1.0,)),
    "jobs.py:saving": Work(4, checkpoint_every_us=1),
    "jobs.py:hanging": Work(None),
}


@pytest.fixture(params=["local", "virtual"])
def hands(request: pytest.FixtureRequest, folder: Path, make_local: Callable[..., Any]) -> Any:
    local = make_local()
    local.code(JOBS)
    if request.param == "virtual":
        local.executor.close()
        local.executor = VirtualExecutor(lambda launch: WORKS[str(launch.target)])
    return local


def kinds(facts: list[Any]) -> list[type]:
    return [type(fact) for fact in facts]


def test_an_attempt_begins_and_then_succeeds_with_its_output(hands: Any) -> None:
    launch = hands.start("jobs.py:good")
    ended = hands.end(launch)
    assert ended.output == '{"rows":500}'
    assert kinds(hands.of(launch)) == [Began, Succeeded]


def test_a_job_that_raises_ends_in_failed(hands: Any) -> None:
    launch = hands.start("jobs.py:bad")
    assert hands.end(launch).failure is Failure.ERROR
    assert kinds(hands.of(launch)) == [Began, Failed]


def test_checkpoints_come_in_order_before_the_end(hands: Any) -> None:
    launch = hands.start("jobs.py:saving")
    hands.end(launch)
    told = hands.of(launch)
    assert kinds(told) == [Began, Checkpointed, Checkpointed, Checkpointed, Succeeded]
    assert [fact.state.replace(" ", "") for fact in told[1:-1]] == [f'{{"done_us":{i}}}' for i in (1, 2, 3)]


def test_a_later_attempt_goes_on_from_the_checkpoint(hands: Any) -> None:
    launch = hands.start("jobs.py:saving", attempt=2, resume='{"done_us":2}')
    hands.end(launch)
    assert kinds(hands.of(launch)) == [Began, Checkpointed, Succeeded]


def test_a_second_order_for_an_attempt_is_ignored(hands: Any) -> None:
    launch = hands.start("jobs.py:good")
    hands.executor.start(launch)
    hands.end(launch)
    hands.executor.start(launch)
    assert hands.take(50_000) == []
    assert kinds(hands.of(launch)) == [Began, Succeeded]


def test_the_next_attempt_of_a_task_is_another_one(hands: Any) -> None:
    assert hands.run("jobs.py:good", attempt=1).attempt == 1
    assert hands.run("jobs.py:good", attempt=2).attempt == 2


def test_facts_are_repeated_until_they_are_acknowledged(hands: Any) -> None:
    hands.executor.start(hands.launch("jobs.py:good"))
    seen: list[Any] = []
    while len(seen) < 2:
        facts = hands.executor.facts(10_000_000)
        assert facts
        assert hands.executor.facts(0)[: len(facts)] == facts
        hands.executor.acknowledge([replace(fact) for fact in facts])
        seen += facts
    assert kinds(seen) == [Began, Succeeded]
    assert not hands.executor.facts(0)


def test_what_is_acknowledged_is_forgotten_alone(hands: Any) -> None:
    for task in ("a", "b"):
        hands.executor.start(hands.launch("jobs.py:hanging", task=task))
        hands.executor.facts(10_000_000)
    facts: Any = ()
    while len(facts) < 2:  # both have begun; nobody has acknowledged the first
        hands.executor.wake()
        facts = hands.executor.facts(1_000)
        if isinstance(hands.executor, VirtualExecutor):
            hands.executor.advance_to(hands.executor.now_us + 1)
    hands.executor.acknowledge(facts[:1])
    assert hands.executor.facts(0) == facts[1:]


def test_acknowledging_what_was_never_told_changes_nothing(hands: Any) -> None:
    hands.executor.acknowledge([Began("jobs.py:good", 1)])
    launch = hands.start("jobs.py:good")
    hands.end(launch)
    assert kinds(hands.of(launch)) == [Began, Succeeded]


def test_waiting_ends_when_its_time_is_over(hands: Any) -> None:
    assert not hands.executor.facts(1_000)


def test_a_wake_up_before_the_wait_ends_it(hands: Any) -> None:
    hands.executor.wake()
    assert not hands.executor.facts(None)


def test_a_wake_up_may_come_from_another_thread(hands: Any) -> None:
    launch = hands.start("jobs.py:hanging")
    hands.until(launch, Began)
    caller = threading.Thread(target=hands.executor.wake)
    caller.start()
    if isinstance(hands.executor, VirtualExecutor):
        caller.join()  # its waits take no time, so there is no waiting to be woken from
    assert not hands.executor.facts(None)
    caller.join()


def test_what_runs_is_living_until_it_ends(hands: Any) -> None:
    launch = hands.start("jobs.py:hanging")
    hands.until(launch, Began)
    assert hands.executor.living() == {(launch.task_id, 1)}
    hands.executor.cancel(launch.task_id, 1, Failure.CANCELLED, "asked", 0)
    hands.end(launch)
    assert hands.executor.living() == frozenset()


@pytest.mark.parametrize("grace_us", [0, 5_000_000])
def test_a_cancelled_attempt_ends_in_failed_with_the_given_failure(hands: Any, grace_us: int) -> None:
    launch = hands.start("jobs.py:hanging")
    hands.until(launch, Began)
    for failure in (Failure.TIMEOUT, Failure.CANCELLED):  # the second order changes nothing
        hands.executor.cancel(launch.task_id, 1, failure, "ran for 20 min, may run for 20 min", grace_us)
    ended = hands.end(launch)
    assert (ended.failure, ended.message) == (Failure.TIMEOUT, "ran for 20 min, may run for 20 min")
    assert kinds(hands.of(launch)) == [Began, Failed]


def test_an_attempt_may_be_cancelled_before_it_has_begun(hands: Any) -> None:
    launch = hands.start("jobs.py:hanging")
    hands.executor.cancel(launch.task_id, 1, Failure.PREEMPTED, "made room", 0)
    assert hands.end(launch).failure is Failure.PREEMPTED


def test_cancelling_what_is_unknown_or_over_is_ignored(hands: Any) -> None:
    hands.executor.cancel("nobody", 1, Failure.CANCELLED, "asked", 0)
    launch = hands.start("jobs.py:good")
    hands.end(launch)
    hands.executor.cancel(launch.task_id, 1, Failure.CANCELLED, "asked", 0)
    assert hands.take(50_000) == []


def test_closing_ends_what_runs_and_says_so(hands: Any) -> None:
    launches: list[Launch] = [hands.start("jobs.py:hanging", task=f"t{i}") for i in range(3)]
    hands.until(launches[0], Began)
    hands.executor.close()
    assert hands.executor.living() == frozenset()
    hands.take(0)
    assert [hands.end(launch).failure for launch in launches] == [Failure.CANCELLED] * 3
    hands.executor.close()
    assert not hands.executor.facts(None)
