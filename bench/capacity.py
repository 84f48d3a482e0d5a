"""How large a machine do benchmark nights need? The same nights on machines of other sizes.

    python -m bench.capacity --nights 60 --cores 10,12,14,16,20,24      the table of docs/whatif.md

The nights are those of `bench.nights` at the load that they are made for (16 cores); only the machine differs. Unlike
`prometheus whatif --sweep`, which draws from what a scheduler may know, this plays each night's true durations once.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys

from bench.nights import make_night, score
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.policies import POLICIES


def table(nights: int, first_seed: int, load: float, sizes: list[int], policies: list[str]) -> None:
    """Print a line for each size and policy: means over the nights, and the half width of the SLO's 95 % interval."""
    print(f"{nights} nights from seed {first_seed}, load {load:g} of 16 cores")
    print(f"{'cores':>5} {'policy':14} {'SLO %':>14} {'T3 core-h':>10} {'wasted':>7} {'preempted':>9}")
    for cores in sizes:
        for name in policies:
            found = []
            for seed in range(first_seed, first_seed + nights):
                night = make_night(seed, load)
                night["capacity"] = {"cpu": cores}
                result = simulate(make_workload(night), policy=POLICIES[name]).as_json()
                found.append(score(night, result))
            slo = [one.slo for one in found]
            half = 1.96 * statistics.stdev(slo) / math.sqrt(len(slo)) if len(slo) > 1 else 0.0
            print(
                f"{cores:5d} {name:14} {statistics.fmean(slo):7.2f} ±{half:5.2f} "
                f"{statistics.fmean(one.useful for one in found):10.1f} "
                f"{statistics.fmean(one.wasted for one in found):7.1f} "
                f"{statistics.fmean(one.preemptions for one in found):9.1f}"
            )
            sys.stdout.flush()


def main() -> None:
    """Read the flags and print the table."""
    parser = argparse.ArgumentParser(description="Benchmark nights on machines of other sizes.")
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--cores", default="10,12,14,16,20,24")
    parser.add_argument("--policies", default="reserving")
    arguments = parser.parse_args()
    sizes = [int(cores) for cores in arguments.cores.split(",")]
    table(arguments.nights, arguments.seed, arguments.load, sizes, arguments.policies.split(","))


if __name__ == "__main__":
    main()
