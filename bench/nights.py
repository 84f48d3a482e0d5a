"""Benchmark nights: six markets' Tier 1 pipelines, Tier 2 jobs and Tier 3 backtests on one machine, from a seed.

    python -m bench.nights --seed 7 --load 1.0 > night.json
    python -m bench.nights --compare --nights 200         the first table of docs/simulation.md
    python -m bench.nights --sensitivity --nights 100     the second

A night has 14 hours. Durations are lognormal: sigma 0.45, a factor of the market (0.15) and a scale of the task (0.3);
the scheduler sees 30 past durations of each task. Each market closes once and has 40 Tier 1 tasks with deadlines 155
and 165 minutes later; 48 Tier 2 jobs; Tier 3 of one to eight cores fills the machine to the offered load, half of it
saving its work every 15 minutes. Two attempts in a hundred fail. The order in which random numbers are drawn is part
of the definition: equal seeds give equal nights, here and wherever the family is implemented.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.mixes import mixed

CLOSES_MIN = (90, 150, 300, 330, 480, 600)
PAST_RUNS = 30
FAILING = 0.02
BACKTEST_MEDIANS_MIN = (20, 60, 120, 180)
LONGEST_BACKTEST_MIN = 600
TIER1_CORE_MIN_A_MARKET = 700  # on the average; what is left of the load is Tier 2's and Tier 3's

Task = dict[str, Any]  # a task as the workload file has it


@dataclass(slots=True)
class _Maker:
    """The random numbers and the tasks so far."""

    rng: random.Random
    tasks: list[Task] = field(default_factory=list)

    def lognormal(self, median: float, sigma: float) -> float:
        return median * math.exp(self.rng.gauss(0, sigma))

    def past(self, median: float, sigma: float) -> list[float]:
        return [self.lognormal(median, sigma) for _ in range(PAST_RUNS)]

    def add(
        self,
        name: str,
        tier: int,
        cores: int,
        release_min: float,
        past_min: Iterable[float],
        truth_min: float,
        deadline_min: float | None = None,
        checkpoint_s: int | None = None,
    ) -> Task:
        failures = []
        while self.rng.random() < FAILING:
            failures.append(round(self.rng.random(), 4))
        task: Task = {
            "id": name,
            "tier": tier,
            "release_s": _seconds(release_min),
            "demand": {"cpu": cores},
            "after": [],
            "deadline_s": None if deadline_min is None else _seconds(deadline_min),
            "history_s": [_seconds(past) for past in past_min],
            "duration_s": _seconds(truth_min),
            "failures": failures,
            "checkpoint_every_s": checkpoint_s,
        }
        self.tasks.append(task)
        return task


def make_night(
    seed: int,
    load: float,
    cores: int = 16,
    deadline_min: int = 165,
    checkpointable: float = 0.5,
    horizon_min: int = 840,
) -> dict[str, Any]:
    """The workload of one night at the offered load (1.0 = the machine exactly full)."""
    maker = _Maker(random.Random(seed))  # a benchmark's dice
    for market, close_min in enumerate(CLOSES_MIN):
        _market(maker, market, close_min, deadline_min)
    spent_min = 0.0
    for number in range(48):
        release_min = maker.rng.uniform(0, horizon_min - 120)
        wide = maker.rng.choice((1, 1, 2))
        past = maker.past(15, 0.5)
        task = maker.add(
            f"t2.{number}", 2, wide, release_min, past, maker.lognormal(15, 0.5), release_min + 180
        )
        spent_min += wide * task["duration_s"] / 60
    _backtests(
        maker,
        load * cores * horizon_min - 6 * TIER1_CORE_MIN_A_MARKET - spent_min,
        checkpointable,
        horizon_min,
    )
    return {
        "capacity": {"cpu": cores},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": horizon_min * 60,
        "checkpoint_overhead_s": 60,
        "retry_delay_s": 60,
        "tasks": maker.tasks,
    }


def _market(maker: _Maker, market: int, close_min: int, deadline_min: int) -> None:
    """One market's pipeline: ingest, check, feature, engine, report, decisions."""
    rng = maker.rng
    of_market = maker.lognormal(1, 0.15)

    def tier1(layer: str, number: int, cores: int, median_min: float, release_min: float) -> Task:
        scale = maker.lognormal(median_min, 0.3)
        past = [scale * maker.lognormal(1, 0.15) * maker.lognormal(1, 0.45) for _ in range(PAST_RUNS)]
        truth = scale * of_market * maker.lognormal(1, 0.45)
        return maker.add(f"m{market}.{layer}.{number}", 1, cores, release_min, past, truth)

    ingest = [tier1("ingest", i, 1, 5, close_min + late) for i, late in enumerate((0, 0, 5, 5, 10, 15))]
    check = [tier1("check", i, 1, 4, close_min) for i in range(6)]
    feature = [tier1("feature", i, rng.choice((1, 2, 2, 4)), 12, close_min) for i in range(16)]
    engine = [tier1("engine", i, 2, 8, close_min) for i in range(6)]
    report = [tier1("report", i, 1, 4, close_min) for i in range(5)]
    decisions = tier1("decisions", 0, 1, 3, close_min)
    for before, after in zip(ingest, check, strict=True):
        _link(after, [before])
    for task in feature:
        _link(task, rng.sample(check, rng.choice((2, 3))))
    for task in engine:
        _link(task, rng.sample(feature, 4))
    _leave_none_out(rng, feature, engine)
    for task in report:
        _link(task, rng.sample(engine, 3))
        task["deadline_s"] = (close_min + deadline_min - 10) * 60
    _leave_none_out(rng, engine, report)
    _link(decisions, report)
    decisions["deadline_s"] = (close_min + deadline_min) * 60


def _backtests(maker: _Maker, budget_min: float, checkpointable: float, horizon_min: int) -> None:
    """Tier 3, until the core minutes are used up."""
    rng = maker.rng
    past = {median: maker.past(median, 0.6) for median in BACKTEST_MEDIANS_MIN}
    used_min, number = 0.0, 0
    while used_min < budget_min:
        median = rng.choices(BACKTEST_MEDIANS_MIN, (0.3, 0.3, 0.25, 0.15))[0]
        cores = rng.choices((1, 2, 4, 8), (0.3, 0.3, 0.3, 0.1))[0]
        release_min = rng.uniform(0, 30) if rng.random() < 0.5 else rng.uniform(0, horizon_min)
        checkpoint_s = 900 if rng.random() < checkpointable else None
        truth_min = min(maker.lognormal(median, 0.6), LONGEST_BACKTEST_MIN)
        task = maker.add(f"t3.{number}", 3, cores, release_min, past[median], truth_min, None, checkpoint_s)
        used_min += cores * task["duration_s"] / 60
        number += 1


def _link(task: Task, upstream: Sequence[Task]) -> None:
    task["after"] += [one["id"] for one in upstream if one["id"] not in task["after"]]


def _leave_none_out(rng: random.Random, before: Sequence[Task], after: Sequence[Task]) -> None:
    """Everything of one layer is needed by something of the next."""
    for task in before:
        if not any(task["id"] in one["after"] for one in after):
            _link(rng.choice(after), [task])


def _seconds(minutes: float) -> float:
    return round(minutes * 60, 3)


@dataclass(frozen=True, slots=True)
class Score:
    """One night's figures."""

    slo: float  # share of Tier 1 deadlines met, per cent
    useful: float  # Tier 3 core-hours
    wasted: float
    preemptions: float
    longest_wait_h: (
        float  # of a Tier 3 task from its release to its first start, those that never started included
    )


def score(night: dict[str, Any], result: dict[str, Any]) -> Score:
    """What the night came to."""
    due = met = 0
    useful = wasted = waited = 0.0
    for task in night["tasks"]:
        got = result["tasks"][task["id"]]
        if task["tier"] == 1 and task["deadline_s"] is not None:
            due += 1
            met += got["end_s"] is not None and got["end_s"] <= task["deadline_s"]
        if task["tier"] == 3:
            useful += got["useful_cpu_s"]
            wasted += got["wasted_cpu_s"]
            began = night["horizon_s"] if got["first_start_s"] is None else got["first_start_s"]
            waited = max(waited, began - task["release_s"])
    preempted = sum(got["preemptions"] for got in result["tasks"].values())
    return Score(100 * met / due, useful / 3600, wasted / 3600, preempted, waited / 3600)


def alone(night: dict[str, Any]) -> dict[str, Any]:
    """The same night with nothing but Tier 1: the bound for its SLO."""
    return {**night, "tasks": [task for task in night["tasks"] if task["tier"] == 1]}


def main() -> None:
    """Print a night, or compare policies."""
    from bench.comparing import SENSITIVITY, Kept, Kind, table  # it imports this module

    parser = argparse.ArgumentParser(description="Benchmark nights.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--mix", default="", help="memory, gpus, nodes, pools or all")
    parser.add_argument("--compare", action="store_true", help="print the table of policies over loads")
    parser.add_argument("--sensitivity", action="store_true", help="print the table over kinds of nights")
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--loads", default="0.7,0.85,1.0,1.2")
    parser.add_argument("--policies")
    parser.add_argument("--cache", type=Path, help="a file that keeps the figures of nights played")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.nights)
    if arguments.compare:
        policies = arguments.policies or "first-in,weights,strict,eager,reserved-only,reserving"
        kinds = [Kind(load=float(load)) for load in arguments.loads.split(",")]
        table(kinds, policies.split(","), seeds, Kept(arguments.cache), names_kind=False)
    elif arguments.sensitivity:
        policies = arguments.policies or "eager,reserved-only,reserving"
        table(SENSITIVITY, policies.split(","), seeds, Kept(arguments.cache), names_kind=True)
    else:
        night = mixed(make_night(arguments.seed, arguments.load), arguments.mix, arguments.seed)
        json.dump(night, sys.stdout)


if __name__ == "__main__":
    main()
