"""What a hop to a worker process costs: our local executor beside the primitives that it is made of.

`python bench/executor.py [--json]`. A hop is from `start` to having its `Succeeded` fact in hand, one attempt at a time,
without a ledger. Beside it, in the same run and the same process: `os.fork` and wait, a round trip through a process
pool, and a bare round trip over a socket to a waiting process. Only the ratios travel to another machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from prometheus.core.demand import Demand
from prometheus.executors.contract import Launch, Succeeded
from prometheus.executors.local.executor import LocalExecutor

JOBS = "def nothing(task): ...\n"
WORKERS = 2


def launch(folder: Path, number: int, pin: str = "warm") -> Launch:
    """One no-op attempt; another pin asks for another process."""
    return Launch(
        *(f"bench.{number}", "bench", "nothing", 1, date(2024, 3, 1), "US_EQ", "full", pin),
        *("jobs.py:nothing", Demand()),
        code_dir=folder,
    )


def run_one(executor: LocalExecutor, order: Launch) -> None:
    """Start the attempt and take facts until it has succeeded."""
    executor.start(order)
    while True:
        facts = executor.facts(10_000_000)
        executor.acknowledge(facts)
        if any(isinstance(fact, Succeeded) for fact in facts):
            return
        assert facts, "no fact for 10 s"


def milliseconds(action: Callable[[int], object], times: int, warm_up: int = 5) -> dict[str, float]:
    """Median and 95th percentile of one action."""
    spans = []
    for i in range(warm_up + times):
        began = time.perf_counter()
        action(i)
        spans.append((time.perf_counter() - began) * 1e3)
    spans = sorted(spans[warm_up:])
    return {"median_ms": statistics.median(spans), "p95_ms": spans[int(0.95 * (len(spans) - 1))]}


def warm_rate(executor: LocalExecutor, folder: Path, attempts: int) -> float:
    """No-op attempts a second with two of them in flight."""
    left, number, ended = attempts, 0, 0
    began = time.perf_counter()
    while ended < attempts:
        while left and number - ended < WORKERS:
            executor.start(launch(folder, 1_000_000 + number))
            number, left = number + 1, left - 1
        facts = executor.facts(10_000_000)
        executor.acknowledge(facts)
        ended += sum(isinstance(fact, Succeeded) for fact in facts)
    return attempts / (time.perf_counter() - began)


def fork_and_wait(_number: int) -> None:
    """The least that a process for each task can cost."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _nothing(number: int) -> int:
    return number


def start_up(count: int) -> dict[str, float]:
    """Seconds for constructing an executor, and from there to the end of its first attempt, in a fresh interpreter."""
    code = (
        "import sys, time, pathlib; from bench.executor import *; began = time.perf_counter(); "
        "executor = LocalExecutor(); made = time.perf_counter(); "
        "run_one(executor, launch(pathlib.Path(sys.argv[1]), 0)); first = time.perf_counter(); executor.close(); "
        "print(made - began, first - began)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    made, first = [], []
    with tempfile.TemporaryDirectory() as name:
        Path(name, "jobs.py").write_text(JOBS)
        for _ in range(count):
            said = subprocess.run(
                [sys.executable, "-c", code, name], env=environ, capture_output=True, text=True, check=True
            ).stdout.split()
            made.append(float(said[0]) * 1e3)
            first.append(float(said[1]) * 1e3)
    return {"construct_ms": statistics.median(made), "first_attempt_ms": statistics.median(first)}


def measure(attempts: int) -> dict[str, dict[str, float]]:
    """All figures, measured one after another in this process."""
    found: dict[str, dict[str, float]] = {}
    found["os.fork and wait"] = milliseconds(fork_and_wait, attempts)
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        found["process pool, round trip"] = milliseconds(lambda i: pool.apply(_nothing, (i,)), attempts)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        while data := theirs.recv(100):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()

    def bounce(_number: int) -> None:
        ours.sendall(b"x")
        ours.recv(100)

    found["bare socket, round trip"] = milliseconds(bounce, attempts)
    ours.close()
    os.waitpid(pid, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jobs.py").write_text(JOBS)
        executor = LocalExecutor(idle_workers=WORKERS)
        found["our hop, warm worker"] = milliseconds(lambda i: run_one(executor, launch(folder, i)), attempts)
        fresh = milliseconds(
            lambda i: run_one(executor, launch(folder, 500_000 + i, pin=f"fresh {i}")),
            max(20, attempts // 10),
        )
        found["our hop, fresh worker"] = fresh
        found["our rate, 2 in flight"] = {"attempts_per_s": warm_rate(executor, folder, attempts)}
        executor.close()
    found["our start-up"] = start_up(3)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object to stdout")
    parser.add_argument("--attempts", type=int, default=1_000)
    chosen = parser.parse_args()
    found = measure(chosen.attempts)
    if chosen.json:
        print(json.dumps({"executor": found}))
        return
    for name, figures in found.items():
        print(f"{name:26}", "  ".join(f"{key} {value:,.3f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
