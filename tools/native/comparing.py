"""Does the compiled core decide the same? The same nights by both, every decision and its reason compared.

python tools/native/comparing.py build/compiled [--nights 20]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOADS = (0.85, 1.2)


def decided(nights: int) -> list[str]:
    """A line for each night: its numbers, and a digest of all that was decided in it; the first says by which core."""
    sys.path.append(str(ROOT))
    from bench.mixes import mixed
    from bench.nights import make_night
    from prometheus.forecast.ahead import run_ahead
    from prometheus.orchestrator.simulation.opening import first_events, world_of
    from prometheus.orchestrator.simulation.workload import make_workload
    from prometheus.scheduler.core import IS_COMPILED, Scheduler
    from prometheus.scheduler.decisions import Decision
    from prometheus.scheduler.policies import POLICIES

    lines = [f"compiled: {IS_COMPILED}"]
    for seed in range(nights):
        for load in LOADS:
            night = mixed(
                make_night(seed, load, cores=12 if seed % 2 else 16), "all" if seed % 3 else "", seed
            )
            workload = make_workload(night)
            for policy in ("reserving", "eager", "first-in"):
                digest = hashlib.sha256()
                scheduler = Scheduler(seed, POLICIES[policy])
                said: list[Decision] = []
                told = run_ahead(
                    scheduler,
                    world_of(workload, traced=False),
                    first_events(workload),
                    workload.horizon_us,
                    watch=said.extend,
                )
                for decision in said:
                    digest.update(repr(decision).encode())
                lines.append(f"{seed} {load} {policy} {told.decisions} {digest.hexdigest()}")
    return lines


def main() -> None:
    """Print what was compared; end with 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Compares the compiled core with its source.")
    parser.add_argument("compiled", type=Path, help="folder in which the compiled package is installed")
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--tell", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tell:
        print("\n".join(decided(chosen.nights)))
        return
    asked = [sys.executable, "-P", __file__, str(chosen.compiled), "--nights", str(chosen.nights), "--tell"]
    told = [
        subprocess.run(  # this script itself
            asked, env={**os.environ, "PYTHONPATH": str(place)}, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        for place in (ROOT, chosen.compiled.resolve())
    ]
    source, compiled = told
    if (source[0], compiled[0]) != ("compiled: False", "compiled: True"):
        sys.exit(f"compared were {source[0]} and {compiled[0]}, and not the source and what is compiled")
    wrong = [(one, other) for one, other in zip(source[1:], compiled[1:], strict=True) if one != other]
    for one, other in wrong:
        print(f"source:   {one}\ncompiled: {other}")
    decisions = sum(int(line.split()[3]) for line in source[1:])
    print(f"{len(source) - 1} nights, {decisions} decisions, {len(wrong)} nights decided otherwise")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
