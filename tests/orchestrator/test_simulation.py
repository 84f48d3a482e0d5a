"""Whole workloads in virtual time: order and capacity hold at every instant, and equal input gives equal results."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import replay

from bench.nights import make_night
from prometheus.orchestrator.simulation.simulate import Simulated, simulate
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.policies import POLICIES

JOBS = tuple("abcdefghijkl")


def lines(result: Simulated) -> list[dict[str, Any]]:
    start_us = result.workload.start_us
    return [
        {"at_s": (at_us - start_us) / 1e6, "event": event, "task": task, "attempt": attempt}
        for at_us, event, task, attempt in result.trace
    ]


def without_clock(result: Simulated) -> dict[str, Any]:
    return {**result.as_json(), "wall_s": None}


@st.composite
def workloads(draw: st.DrawFn) -> dict[str, Any]:
    """Small nights with everything: tiers, edges, pools, GPUs, failures, checkpoints and a machine that changes."""
    tasks = []
    for position in range(draw(st.integers(1, len(JOBS)))):
        release_s = draw(st.sampled_from((0, 60, 3600)))
        tasks.append(
            {
                "id": JOBS[position],
                "tier": draw(st.integers(1, 3)),
                "release_s": release_s,
                "demand": {
                    "cpu": draw(st.sampled_from((0.5, 1, 2, 4))),
                    "memory_gb": draw(st.sampled_from((0, 1, 8))),
                    "gpu": draw(st.sampled_from((0, 0, 0.5))),
                    "pools": draw(st.sampled_from(({}, {"db": 1}))),
                },
                "after": draw(st.lists(st.sampled_from(JOBS[:position]), unique=True, max_size=2))
                if position
                else [],
                "deadline_s": draw(st.sampled_from((None, release_s + 1800, release_s + 7200))),
                "history_s": draw(st.sampled_from(([], [300], [60, 600, 3600]))),
                "duration_s": draw(st.sampled_from((0, 60, 3000, 9000))),
                "failures": draw(st.sampled_from(([], [0.5], [0.1, 1]))),
                "checkpoint_every_s": draw(st.sampled_from((None, 600))),
            }
        )
    whole = {"cpu": 4, "memory_gb": 8, "gpu": 1, "pools": {"db": 1}}
    changes = draw(
        st.sampled_from(
            (
                [],
                [{"at_s": 1000, "capacity": {**whole, "cpu": 1}}, {"at_s": 5000, "capacity": whole}],
                [
                    {"at_s": 500, "capacity": {**whole, "pools": {}, "gpu": 0}},
                    {"at_s": 9000, "capacity": whole},
                ],
            )
        )
    )
    return {
        "capacity": whole,
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 400_000,
        "checkpoint_overhead_s": draw(st.sampled_from((0, 60))),
        "retry_delay_s": 60,
        "capacity_changes": changes,
        "tasks": tasks,
    }


@settings(deadline=None)
@given(workloads(), st.sampled_from(sorted(POLICIES)))
def test_order_and_capacity_hold_at_every_instant_and_all_comes_to_an_end(
    night: dict[str, Any], policy: str
) -> None:
    result = simulate(make_workload(night), policy=POLICIES[policy], traced=True)
    replay(night, lines(result))
    told = result.as_json()["tasks"]
    assert {task["state"] for task in told.values()} == {"succeeded"}
    for task in night["tasks"]:
        got = told[task["id"]]
        cores = task["demand"]["cpu"]
        assert got["useful_cpu_s"] == pytest.approx(cores * task["duration_s"])
        assert got["wasted_cpu_s"] >= 0
        assert got["attempts"] == 1 + len(task["failures"]) + got["preemptions"]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_benchmark_night_holds_at_every_instant_under_every_policy(policy: str) -> None:
    night = make_night(3, 1.2)
    result = simulate(make_workload(night), policy=POLICIES[policy], traced=True)
    assert replay(night, lines(result)) > 250


def test_the_same_night_twice_is_the_same_result() -> None:
    night = make_workload(make_night(5, 1.0))
    first, second = (simulate(night, traced=True) for _ in range(2))
    assert without_clock(first) == without_clock(second)
    assert first.trace == second.trace


def test_a_replay_that_breaks_a_rule_is_seen() -> None:
    """The account itself can fail: each line that breaks a rule is refused."""
    night = {
        "capacity": {"cpu": 1},
        "tasks": [
            {"id": "a", "tier": 1, "release_s": 5, "demand": {"cpu": 1}},
            {"id": "b", "tier": 1, "demand": {"cpu": 1}, "after": ["a"]},
            {"id": "c", "tier": 1, "demand": {"cpu": 1}},
        ],
    }

    def line(at_s: float, event: str, task: str, attempt: int = 1) -> dict[str, Any]:
        return {"at_s": at_s, "event": event, "task": task, "attempt": attempt}

    good = [
        line(0, "start", "c"),
        line(5, "end", "c"),
        line(5, "start", "a"),
        line(6, "end", "a"),
        line(6, "start", "b"),
    ]
    assert replay(night, good) == 3
    for bad in (
        [line(4, "start", "a")],
        [line(5, "start", "b")],
        [line(5, "start", "c"), line(5, "start", "a")],
        [line(5, "start", "a", 2)],
        [line(5, "end", "a")],
        [line(5, "start", "c"), line(4, "end", "c")],
        [line(5, "start", "c"), line(6, "preempt", "c")],
    ):
        with pytest.raises(AssertionError):
            replay(night, bad)


def test_a_long_chain_is_simulated_without_recursion() -> None:
    tasks = [
        {"id": f"t{n}", "tier": 1, "duration_s": 1, "history_s": [1], "after": [f"t{n - 1}"] if n else []}
        for n in range(5_000)
    ]
    night = {"capacity": {"cpu": 1}, "start": "2026-03-02T12:00:00Z", "horizon_s": 300, "tasks": tasks}
    told = simulate(make_workload(night)).as_json()["tasks"]
    assert sum(task["state"] == "succeeded" for task in told.values()) == 300
