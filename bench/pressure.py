"""Hard nights with and without forecasts that the scheduler heeds: what pressure and ladders give, and what they cost.

    python -m bench.pressure --cores 10 --nights 6

The nights are those of `bench.nights` on fewer cores than they were made for, at the offered load of those cores; Tier 2
declares a ladder ("reduced" takes two fifths of the time, then "skip"). Forecasts see histories and books alone.
"""

from __future__ import annotations

import argparse
import math
import statistics
from typing import Any

from bench.nights import alone, make_night, score
from prometheus.core.instants import MINUTE_US
from prometheus.orchestrator.simulation.foreseeing import Forecasts
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload

REDUCED = 0.4  # of the time that a Tier 2 job takes in full


def hard_night(seed: int, load: float, cores: int) -> dict[str, Any]:
    """A benchmark night on a small machine, whose Tier 2 may be degraded."""
    night = make_night(seed, load, cores=cores)
    for task in night["tasks"]:
        if task["tier"] == 2:
            task["degrade"] = ["reduced", "skip"]
            task["degraded_s"] = {"reduced": round(REDUCED * task["duration_s"], 3)}
    return night


def figures(night: dict[str, Any], told: dict[str, Any]) -> tuple[float, ...]:
    """SLO in per cent, Tier 3 core-hours, wasted core-hours, Tier 2 done in full, degraded, skipped, in time."""
    found = score(night, told)
    lower = [(task, told["tasks"][task["id"]]) for task in night["tasks"] if task["tier"] == 2]
    states = [got["state"] for _, got in lower]
    in_time = sum(got["end_s"] is not None and got["end_s"] <= task["deadline_s"] for task, got in lower)
    counts = [float(states.count(state)) for state in ("succeeded", "degraded", "skipped")]
    return found.slo, found.useful, found.wasted, *counts, float(in_time)


def main() -> None:
    """Print the means over the nights, and the half width of the SLO's 95 % interval."""
    parser = argparse.ArgumentParser(description="Nights under forecast pressure.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nights", type=int, default=6)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--cores", type=int, default=10)
    parser.add_argument("--every", type=int, default=15, help="minutes between forecasts")
    parser.add_argument("--samples", type=int, default=6)
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[float, ...]]] = {
        "tier 1 alone": [],
        "no forecasts": [],
        "forecasts heeded": [],
    }
    for seed in range(arguments.seed, arguments.seed + arguments.nights):
        night = hard_night(seed, arguments.load, arguments.cores)
        forecasts = Forecasts(arguments.every * MINUTE_US, arguments.samples, seed)
        bound = alone(night)
        rows["tier 1 alone"].append((score(bound, simulate(make_workload(bound)).as_json()).slo, *[0.0] * 6))
        for name, asked in (("no forecasts", None), ("forecasts heeded", forecasts)):
            told = simulate(make_workload(night), forecasts=asked).as_json()
            rows[name].append(figures(night, told))
            print(f"# seed {seed}, {name}: SLO {rows[name][-1][0]:.1f} %", flush=True)
    print(
        f"{arguments.nights} nights from seed {arguments.seed}, {arguments.cores} cores, load {arguments.load}"
    )
    print("SLO %, Tier 3 core-h, wasted core-h, Tier 2 in full, degraded, skipped, in time")
    for name, found in rows.items():
        slo = [one[0] for one in found]
        half = 1.96 * statistics.stdev(slo) / math.sqrt(len(slo)) if len(slo) > 1 else 0.0
        means = " ".join(f"{statistics.fmean(column):8.1f}" for column in list(zip(*found, strict=True))[1:])
        print(f"{name:17} {statistics.fmean(slo):7.2f} ±{half:5.2f} {means}")


if __name__ == "__main__":
    main()
