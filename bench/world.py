"""A night of 60 markets as a workload file, of any size: written, read, and run to its end.

    python -m bench.world --tasks 100000                             write it, read it, run it under `reserving`
    python -m bench.world --tasks 1000000 --policy strict            the same of a million, by tiers alone
    python -m bench.world --kind independent --tasks 1000000         no edges, three tiers
    python -m bench.world --kind chain --tasks 100000                each task waits for the one before it
    python -m bench.world --tasks 1000000 --file night.json          only write the file

The closes are spread over 24 hours. 40 % of the tasks are Tier 1 in five layers behind their market's close, with a deadline
on the last; 15 % are Tier 2 with deadlines; the rest is Tier 3, half of which saves its work and a tenth of which has a
deadline. Twelve demands (thirty, counted by tier), two failures in a hundred attempts, pasts of eight runs a kind of job,
and a machine that is as full as `--load` says. The same size, load and seed are the same file. It is measured in a process
of its own, which has its own peak of memory; processor seconds are measured, not those of a wall clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

sys.path.append(str(Path(__file__).parents[1]))  # what is installed goes first: it may be compiled

from bench.simulation import peak_mib, timed
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import read_workload
from prometheus.scheduler.policies import POLICIES

MARKETS = 60
LAYERS = 5
NIGHT_S = 24 * 3600
TAIL_S = 6 * 3600  # after the last close
MEDIANS_S = {1: 300, 2: 600, 3: 1200}
SHAPES = {  # tier -> (cores, GiB)
    1: [(cores, cores * gib) for cores in (1, 2, 4) for gib in (1, 2, 4)],
    2: [(cores, cores * gib) for cores in (1, 2, 4) for gib in (1, 2, 4)],
    3: [(cores, cores * gib) for cores in (1, 2, 4, 8) for gib in (1, 2, 4)],
}
KINDS = 200  # kinds of job a tier: tasks of one kind have one past
Task = dict[str, Any]


class Dice:
    """The random numbers, the kinds of job, and the work so far."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # a benchmark's dice
        self.core_s = 0.0
        self.kinds = {tier: [self._kind(tier) for _ in range(KINDS)] for tier in MEDIANS_S}

    def _kind(self, tier: int) -> tuple[float, list[float]]:
        median_s = MEDIANS_S[tier] * math.exp(self.rng.gauss(0, 0.4))
        return median_s, [round(median_s * math.exp(self.rng.gauss(0, 0.35)), 1) for _ in range(8)]

    def task(self, name: str, tier: int, release_s: float, **more: Any) -> Task:
        """One task; its truth is drawn from where its past was drawn."""
        rng = self.rng
        median_s, history = rng.choice(self.kinds[tier])
        cores, gib = rng.choice(SHAPES[tier])
        lasts_s = round(median_s * math.exp(rng.gauss(0, 0.35)), 1)
        self.core_s += lasts_s * cores
        failures = {"failures": [0.5]} if rng.random() < 0.02 else {}
        return {
            "id": name,
            "tier": tier,
            "release_s": round(release_s, 1),
            "demand": {"cpu": cores, "memory_gb": gib},
            "history_s": history,
            "duration_s": lasts_s,
            **failures,
            **more,
        }


def markets(count: int, dice: Dice) -> Iterator[Task]:
    """The night of 60 markets."""
    wide = max(1, round(0.4 * count / MARKETS / LAYERS))
    made = 0
    for market in range(MARKETS):
        close_s = NIGHT_S * market / MARKETS
        for layer in range(LAYERS):
            for number in range(wide if made < count else 0):
                more: Task = {}
                if layer:
                    before = dict.fromkeys(f"m{market}.{layer - 1}.{(number + n) % wide}" for n in (0, 7))
                    more["after"] = list(before)
                if layer == LAYERS - 1:
                    more["deadline_s"] = close_s + 3 * 3600
                yield dice.task(f"m{market}.{layer}.{number}", 1, close_s, **more)
                made += 1
    for number in range(count - made):
        release_s = dice.rng.uniform(0, NIGHT_S)
        if number % 4 == 0:
            yield dice.task(f"t2.{number}", 2, release_s, deadline_s=round(release_s) + 4 * 3600)
        else:
            more = {"checkpoint_every_s": 900} if number % 2 else {}
            if number % 10 == 3:
                more["deadline_s"] = round(release_s) + 12 * 3600
            yield dice.task(f"t3.{number}", 3, release_s, **more)


def independent(count: int, dice: Dice) -> Iterator[Task]:
    """Tasks that wait for nobody."""
    for number in range(count):
        yield dice.task(f"t{number}", 1 + number % 3, dice.rng.uniform(0, NIGHT_S))


def hurried(count: int, dice: Dice) -> Iterator[Task]:
    """Tasks that wait for nobody; those of Tier 1 have a deadline each."""
    for number in range(count):
        release_s = dice.rng.uniform(0, NIGHT_S)
        more: Task = {} if number % 3 else {"deadline_s": round(release_s) + 2 * 3600}
        yield dice.task(f"t{number}", 1 + number % 3, release_s, **more)


def chain(count: int, dice: Dice) -> Iterator[Task]:
    """Each after the one before it, with a deadline on the last; a second each, so that a night is enough."""
    for number in range(count):
        more: Task = {"after": [f"t{number - 1}"]} if number else {}
        if number == count - 1:
            more["deadline_s"] = 2.0 * count
        task = dice.task(f"t{number}", 1, 0, **more)
        yield {**task, "duration_s": 1, "history_s": [1], "failures": []}


WORLDS = {"markets": markets, "independent": independent, "hurried": hurried, "chain": chain}


def write(file: IO[str], kind: str, count: int, seed: int, load: float) -> None:
    """The file; tasks come first, for the machine is as large as they ask for."""
    dice = Dice(seed)
    file.write('{"tasks": [')
    for number, task in enumerate(WORLDS[kind](count, dice)):
        file.write(("," if number else "") + "\n" + json.dumps(task))
    cores = math.ceil(dice.core_s / (NIGHT_S + TAIL_S / 2) / load) + 8
    rest = {
        "capacity": {"cpu": cores, "memory_gb": 4 * cores},
        "start": "2026-03-02T00:00:00Z",
        "horizon_s": max(NIGHT_S + TAIL_S, 2 * count if kind == "chain" else 0),
        "checkpoint_overhead_s": 30,
    }
    file.write("],\n" + json.dumps(rest)[1:] + "\n")


def measure(path: Path, policy: str | None) -> dict[str, float]:
    """Read the file and, with a policy, run it; in this process."""
    workload, read_s = timed(lambda: read_workload(path))
    found = {"tasks": len(workload.plan.tasks), "read_s": read_s, "read_mib": peak_mib()}
    if policy is not None:
        gc.collect()
        gc.freeze()
        result, run_s = timed(lambda: simulate(workload, policy=POLICIES[policy]))
        ended = {name for name, life in result.lives.items() if life.end_us is not None}
        kept = [
            (result.lives[slo.name].end_us or workload.horizon_us + 1) <= slo.deadline_us
            for slo in workload.plan.slos
            if slo.name in result.lives
        ]
        found |= {
            "ended": len(ended),
            "deadlines": len(workload.plan.slos),
            "kept": sum(kept),
            "events": result.events,
            "run_s": run_s,
            "events_per_s": result.events / run_s,
            "peak_mib": peak_mib(),
        }
    return found


def main() -> None:
    """Write the file and, unless it is to be kept, measure in a process of its own."""
    parser = argparse.ArgumentParser(description="A night of 60 markets, of any size.")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--kind", choices=sorted(WORLDS), default="markets")
    parser.add_argument("--policy", choices=[*sorted(POLICIES), "none"], default="reserving")
    parser.add_argument(
        "--load", type=float, default=0.9, help="of the machine, over the night and half its tail"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="write it here, and do no more")
    parser.add_argument("--measure", type=Path, help="a file that was written before: only measure")
    chosen = parser.parse_args()
    if chosen.measure is not None:
        print(json.dumps(measure(chosen.measure, None if chosen.policy == "none" else chosen.policy)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.file or Path(folder) / "night.json"
        with path.open("w", encoding="utf-8") as file:
            write(file, chosen.kind, chosen.tasks, chosen.seed, chosen.load)
        if chosen.file is None:
            command = [sys.executable, __file__, "--measure", str(path), "--policy", chosen.policy]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
