"""How fast the decision core is, beside a floor in the same run: simulated events a second, one decision, one night.

    python -m bench.simulation                                  10,000 and 100,000 tasks
    python -m bench.simulation --sizes 1000000                  a million: 60 markets, one night

The workload: 60 markets close one after another; 40 % of the tasks are Tier 1 in five layers behind their market's close,
with deadlines on the last; 15 % are Tier 2; the rest is Tier 3, half of which saves its work. Ten shapes of demand, two
failures in a hundred attempts, a machine that is nine tenths full. An event is a fact that the scheduler is told.

The floor does the least that any simulator of the same workload must: a heap of ends and releases, counters of what is
missing, a heap of ready tasks a shape, and one packed vector of what is free. It has no tiers beyond the order of the
heaps, no reasons, no plan, no promises, no audit. Each figure is measured in a process of its own, the floor right after
what it is beside; only ratios travel between machines.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # what is installed goes first: it may be compiled

from bench.nights import make_night
from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.world import Truth
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import Workload, make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt
from prometheus.scheduler.events import AttemptStarted, AttemptSucceeded, CapacityChanged, Event, RunOpened
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.policies import POLICIES

MARKETS = 60
LAYERS = 5
NIGHT_MIN = 840
START_US = 1_772_452_800_000_000  # 2026-03-02 12:00 UTC
SHAPES = {  # tier -> (cores, GiB)
    1: ((1, 2), (1, 4), (2, 4), (4, 8)),
    2: ((1, 2), (2, 4)),
    3: ((1, 2), (2, 4), (4, 8), (8, 32)),
}
CHECKPOINT_US = 15 * MINUTE_US
RUN = "night"


@dataclass(slots=True)
class _Maker:
    """The random numbers and the tasks so far."""

    rng: random.Random
    tasks: list[TaskPlan] = field(default_factory=list)
    truths: dict[str, Truth] = field(default_factory=dict)
    slos: list[SloPlan] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)
    core_min: float = 0.0
    demands: dict[tuple[int, int], Demand] = field(
        default_factory=lambda: {
            shape: Demand(shape[0] * 1000, shape[1] * 1024) for shapes in SHAPES.values() for shape in shapes
        }
    )

    def add(
        self,
        name: str,
        tier: int,
        release_min: float,
        median_min: float,
        after: tuple[str, ...] = (),
        due_min: float | None = None,
        checkpoint_us: int | None = None,
    ) -> None:
        rng = self.rng
        shape = rng.choice(SHAPES[tier])
        typical = median_min * math.exp(rng.gauss(0, 0.3))
        truth = typical * math.exp(rng.gauss(0, 0.45))
        due_us = None if due_min is None else START_US + round(due_min * MINUTE_US)
        self.tasks.append(
            TaskPlan(
                task_id=name,
                run_id=RUN,
                job=name,
                tier=tier,
                demand=self.demands[shape],
                after=after,
                release_us=START_US + round(release_min * MINUTE_US),
                deadline_us=due_us,
                retries=20,
                backoff_us=MINUTE_US,
                typical_us=round(typical * MINUTE_US),
                cautious_us=round(1.46 * typical * MINUTE_US),  # q80 and q90 of a lognormal of sigma 0.45
                late_us=round(1.78 * typical * MINUTE_US),
                checkpoint_every_us=checkpoint_us,
            )
        )
        if due_us is not None:
            self.slos.append(SloPlan(f"slo.{name}", RUN, name, (name,), due_us))
        failures = (0.5,) if rng.random() < 0.02 else ()
        self.truths[name] = Truth(round(truth * MINUTE_US), failures, checkpoint_us)
        self.cores[name] = shape[0]
        self.core_min += truth * shape[0]


def make_world(count: int, seed: int = 0, bins: int = 1) -> Workload:
    """A night of `count` tasks in 60 markets; the machine is cut into `bins` of equal size."""
    maker = _Maker(random.Random(seed))  # a benchmark's dice
    wide = max(1, round(0.4 * count / MARKETS / LAYERS))
    for market in range(MARKETS):
        close_min = 60 + 600 * market / MARKETS
        before: list[str] = []
        for layer in range(LAYERS):
            names = [f"m{market}.{layer}.{number}" for number in range(wide)]
            for number, name in enumerate(names):
                after = tuple(dict.fromkeys(before[(number + step) % wide] for step in (0, 7) if before))
                maker.add(name, 1, close_min, 5, after, close_min + 165 if layer == LAYERS - 1 else None)
            before = names
    number = 0
    while len(maker.tasks) < count:
        if number % 4 == 0:
            release_min = maker.rng.uniform(0, NIGHT_MIN - 120)
            maker.add(f"t2.{number}", 2, release_min, 10, (), release_min + 180)
        else:
            early = maker.rng.random() < 0.5
            release_min = maker.rng.uniform(0, 30 if early else NIGHT_MIN)
            maker.add(f"t3.{number}", 3, release_min, 20, (), None, CHECKPOINT_US if number % 2 else None)
        number += 1
    each = math.ceil((maker.core_min / NIGHT_MIN / 0.9 + 8) / bins)
    plan = RunPlan(
        RUN, RUN, "SIM", date(2026, 3, 2), "0" * 64, START_US, tuple(maker.tasks), tuple(maker.slos), True
    )
    return Workload(
        plan=plan,
        capacity=Capacity(tuple(Bin(f"n{i:04}", each * 1000, each * 4 * 1024) for i in range(bins))),
        changes=(),
        truths=maker.truths,
        start_us=START_US,
        horizon_us=START_US + NIGHT_MIN * MINUTE_US,
        checkpoint_overhead_us=MINUTE_US,
        cores=maker.cores,
        histories={},
    )


def run_floor(workload: Workload) -> int:
    """The same tasks with heaps alone; how many came to their end before the horizon."""
    tasks = workload.plan.tasks
    index = {task.task_id: number for number, task in enumerate(tasks)}
    missing = [len(task.after) for task in tasks]
    after: list[list[int]] = [[] for _ in tasks]
    for number, task in enumerate(tasks):
        for name in task.after:
            after[index[name]].append(number)
    needs = [task.demand.cpu_milli | task.demand.memory_mib << 40 for task in tasks]
    tiers, releases = [task.tier for task in tasks], [task.release_us for task in tasks]
    lasts = [workload.truths[task.task_id].duration_us for task in tasks]
    free = sum(one.cpu_milli for one in workload.capacity.bins)
    free |= sum(one.memory_mib for one in workload.capacity.bins) << 40
    guard = 1 << 39 | 1 << 79
    ready: dict[tuple[int, int], list[tuple[int, int]]] = {}  # (tier, need) -> heap
    agenda = [(releases[number], number, 0) for number in range(len(tasks)) if not missing[number]]
    heapq.heapify(agenda)
    done = 0
    while agenda and agenda[0][0] <= workload.horizon_us:
        at_us, number, is_end = heapq.heappop(agenda)
        if is_end:
            done += 1
            free += needs[number]
            for one in after[number]:
                missing[one] -= 1
                if not missing[one]:
                    if releases[one] > at_us:
                        heapq.heappush(agenda, (releases[one], one, 0))
                    else:
                        heapq.heappush(ready.setdefault((tiers[one], needs[one]), []), (releases[one], one))
        else:
            heapq.heappush(ready.setdefault((tiers[number], needs[number]), []), (at_us, number))
        for shape in sorted(ready):
            queue, need = ready[shape], shape[1]
            while queue and ((free | guard) - need) & guard == guard:
                one = heapq.heappop(queue)[1]
                free -= need
                heapq.heappush(agenda, (at_us + lasts[one], one, 1))
    return done


def measure_world(count: int, policy: str, bins: int) -> dict[str, float]:
    """One simulated night of `count` tasks, and the floor under it, in this process."""
    workload = make_world(count, bins=bins)
    made_mib = peak_mib()
    gc.collect()
    gc.freeze()
    result, seconds = timed(lambda: simulate(workload, policy=POLICIES[policy]))
    peak = peak_mib()
    gc.disable()
    done, floor_s = timed(lambda: run_floor(workload))
    ended = sum(life.end_us is not None for life in result.lives.values())
    assert ended > 0.8 * count, f"only {ended} of {count} tasks ended"
    assert done > 0.8 * count, f"only {done} of {count} tasks ended on the floor"
    return {
        "tasks": count,
        "events": result.events,
        "decisions": result.decisions,
        "seconds": seconds,
        "events_per_s": result.events / seconds,
        "floor_events_per_s": result.events / floor_s,
        "times_the_floor": seconds / floor_s,
        "workload_mib": made_mib,
        "peak_mib": peak,
    }


def measure_decision(count: int, policy: str) -> dict[str, float]:
    """One turn with `count` tasks ready on a machine that is full: an attempt has ended, the next is ordered."""
    rng = random.Random(7)  # a benchmark's dice
    maker = _Maker(rng)
    for number in range(count + 4_000):
        tier = rng.choice((2, 3, 3))
        maker.add(f"t{number}", tier, 0, 20, (), None, CHECKPOINT_US if number % 2 else None)
    plan = RunPlan(RUN, RUN, "SIM", date(2026, 3, 2), "0" * 64, START_US, tuple(maker.tasks), replayed=True)
    capacity = Capacity((Bin("machine", 1_000_000, 1 << 30),))
    scheduler = Scheduler(0, POLICIES[policy])
    gc.collect()
    gc.freeze()
    gc.disable()
    decisions = scheduler.handle([CapacityChanged(START_US, capacity), RunOpened(START_US, plan)])
    running = [d for d in decisions if type(d) is StartAttempt]
    began: list[Event] = [AttemptStarted(START_US, d.task_id, d.attempt) for d in running]
    scheduler.handle(began)
    taken: list[float] = []
    now_us = START_US
    for number in range(2_000):
        now_us += 1_000
        order = running[number]
        begun = time.process_time_ns()
        decisions = scheduler.handle([AttemptSucceeded(now_us, order.task_id, order.attempt)])
        taken.append((time.process_time_ns() - begun) / 1e3)
        started = [d for d in decisions if type(d) is StartAttempt]
        running += started
        if started:
            scheduler.handle([AttemptStarted(now_us, d.task_id, d.attempt) for d in started])
    taken.sort()
    return {"ready": count, "p50_us": taken[len(taken) // 2], "p99_us": taken[int(0.99 * len(taken))]}


def measure_night(nights: int) -> dict[str, float]:
    """Benchmark nights of about 325 tasks at load 1.0 under the production policy: seconds each."""
    workloads = [make_workload(make_night(seed, 1.0)) for seed in range(nights)]
    taken, events, floors = [], 0, []
    for workload in workloads:
        result, seconds = timed(lambda workload=workload: simulate(workload))  # type: ignore[misc]
        taken.append(seconds)
        events += result.events
        floors.append(timed(lambda workload=workload: run_floor(workload))[1])  # type: ignore[misc]
    return {
        "nights": nights,
        "median_s": statistics.median(taken),
        "longest_s": max(taken),
        "events_per_s": events / sum(taken),
        "times_the_floor": sum(taken) / sum(floors),
    }


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the processor seconds that it took."""
    begun = time.process_time()
    result = do()
    return result, time.process_time() - begun


def peak_mib() -> float:
    """Most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_its_own_process(*arguments: str) -> dict[str, float]:
    """The figures that this script prints for one measurement."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the decision core is, beside a floor.")
    parser.add_argument("--json", action="store_true", help="one object to stdout")
    parser.add_argument("--sizes", default="10000,100000", help="tasks a night")
    parser.add_argument(
        "--ready", default="1000,10000,100000", help="ready tasks while one decision is timed"
    )
    parser.add_argument("--policies", default="strict,reserving", help="reserving is what production does")
    parser.add_argument("--bins", type=int, default=1, help="nodes that the machine is cut into")
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        kind, count = chosen.one[0], int(chosen.one[1])
        if kind == "world":
            found = measure_world(count, chosen.policies, chosen.bins)
        elif kind == "decision":
            found = measure_decision(count, chosen.policies)
        else:
            found = measure_night(count)
        print(json.dumps(found))
        return
    policies = chosen.policies.split(",")
    worlds = {
        (policy, count): in_its_own_process(
            "--one", "world", count, "--policies", policy, "--bins", str(chosen.bins)
        )
        for count in filter(None, chosen.sizes.split(","))
        for policy in policies
    }
    decisions = {
        (policy, count): in_its_own_process("--one", "decision", count, "--policies", policy)
        for count in filter(None, chosen.ready.split(","))
        for policy in policies
    }
    night = in_its_own_process("--one", "night", str(chosen.nights))
    if chosen.json:
        sections = {"worlds": worlds, "decisions": decisions}
        flat = {
            name: [{"policy": policy, **found} for (policy, _), found in section.items()]
            for name, section in sections.items()
        }
        print(json.dumps({**flat, "night": night}))
        return
    print(
        f"{'tasks':>9} {'policy':10}{'events':>10}{'events/s':>10}{'floor/s':>10}{'times':>7}{'peak MiB':>10}"
    )
    for (policy, _), run in worlds.items():
        print(
            f"{run['tasks']:9,.0f} {policy:10}{run['events']:10,.0f}{run['events_per_s']:10,.0f}"
            f"{run['floor_events_per_s']:10,.0f}{run['times_the_floor']:7.1f}{run['peak_mib']:10,.0f}"
        )
    print(f"{'ready':>9} {'policy':10}{'p50 us':>10}{'p99 us':>10}")
    for (policy, _), run in decisions.items():
        print(f"{run['ready']:9,.0f} {policy:10}{run['p50_us']:10.1f}{run['p99_us']:10.1f}")
    print(
        f"a night of 325 tasks: {night['median_s']:.3f} s (longest of {night['nights']:.0f}: {night['longest_s']:.3f} s), "
        f"{night['events_per_s']:,.0f} events/s, {night['times_the_floor']:.0f} times the floor"
    )


if __name__ == "__main__":
    main()
