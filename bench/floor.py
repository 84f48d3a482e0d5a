"""The floor: what scheduling a task costs when almost nothing is done but made durable.

A small scheduler over warm workers. It writes every transition of a task (ready, started, done) to SQLite (WAL,
synchronous=FULL), and a start before it is sent; one transaction a tick. It has no retries, timeouts, logs,
cancellation or recovery: whatever our own scheduler costs above it is the price of those. `python bench/floor.py
[--json]` measures the three workloads; `run_floor(workload)` is the same for other benches.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path

Workload = Mapping[str, Sequence[str]]  # task -> the tasks it comes after
WORKERS = 2


def w1_independent(n: int = 1_000) -> Workload:
    """`n` tasks that wait for nothing: throughput."""
    return {f"t{i}": () for i in range(n)}


def w2_chain(n: int = 200) -> Workload:
    """`n` tasks in a row: the hop from ready to start."""
    return {f"t{i}": (f"t{i - 1}",) if i else () for i in range(n)}


def w3_markets(markets: int = 6, stages: int = 12, wide: int = 100) -> Workload:
    """1,260 tasks: six markets of twelve stages, stages 3 and 7 a hundred wide, each after all of the stage before."""
    tasks: dict[str, Sequence[str]] = {}
    for market in range(markets):
        before: tuple[str, ...] = ()
        for stage in range(1, stages + 1):
            now = tuple(f"m{market}.s{stage}.{i}" for i in range(wide if stage in (3, 7) else 1))
            tasks.update(dict.fromkeys(now, before))
            before = now
    return tasks


WORKLOADS: Mapping[str, Callable[[], Workload]] = {"W1": w1_independent, "W2": w2_chain, "W3": w3_markets}


def _work(pipe: Connection) -> None:
    """A warm worker: a no-op a message, until None."""
    while (task := pipe.recv()) is not None:
        started = time.perf_counter()
        pipe.send((task, started, time.perf_counter()))


def run_floor(workload: Workload, path: Path | None = None) -> dict[str, float]:
    """Run `workload` on the floor; `path` is the SQLite file (a fresh temporary one by default).

    Returns tasks, seconds (first ready to last done is durable), tasks_per_s, hop_median_ms, hop_p95_ms (from the
    end of a task's last predecessor in its worker to the task's start in its own; says something of scheduling where
    nothing queues, so in W2) and first_task_s (from this call to the first task's start).
    """
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            return run_floor(workload, Path(folder) / "floor.db")
    called = time.perf_counter()
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE moves (task TEXT, state TEXT, at REAL)"
    )
    idle: list[Connection] = []
    workers: list[Process] = []
    for _ in range(WORKERS):
        ours, theirs = Pipe()
        workers.append(Process(target=_work, args=(theirs,), daemon=True))
        workers[-1].start()
        idle.append(ours)
    busy: list[Connection] = []
    waits = {task: len(after) for task, after in workload.items()}
    order = {task: i for i, task in enumerate(workload)}
    heirs: dict[str, list[str]] = {task: [] for task in workload}
    for task, after in workload.items():
        for parent in after:
            heirs[parent].append(task)
    began = time.perf_counter()
    ready_at = {task: began for task, count in waits.items() if count == 0}
    ready = [order[task] for task in ready_at]
    names = list(workload)
    hops: list[float] = []
    moves: list[tuple[str, str, float]] = [(task, "ready", began) for task in ready_at]
    first = 0.0
    left = len(workload)
    while left or moves:
        orders: list[tuple[Connection, str]] = []
        while ready and idle:
            task = names[heapq.heappop(ready)]
            orders.append((idle.pop(), task))
            moves.append((task, "started", time.perf_counter()))
        db.execute("BEGIN")
        db.executemany("INSERT INTO moves VALUES (?, ?, ?)", moves)  # written first,
        db.execute("COMMIT")
        moves.clear()
        for pipe, task in orders:  # obeyed after
            pipe.send(task)
            busy.append(pipe)
        if not left:
            break
        for pipe in [pipe for pipe in wait(busy) if isinstance(pipe, Connection)]:
            task, started, ended = pipe.recv()
            busy.remove(pipe)
            idle.append(pipe)
            left -= 1
            first = first or started - called
            hops.append(started - ready_at[task])
            moves.append((task, "done", ended))
            for heir in heirs[task]:
                waits[heir] -= 1
                if not waits[heir]:
                    ready_at[heir] = ended
                    moves.append((heir, "ready", ended))
                    heapq.heappush(ready, order[heir])
    seconds = time.perf_counter() - began
    for pipe in idle:
        pipe.send(None)
    for worker in workers:
        worker.join()
    db.close()
    return {
        "tasks": len(workload),
        "seconds": seconds,
        "tasks_per_s": len(workload) / seconds,
        "hop_median_ms": statistics.median(hops) * 1e3,
        "hop_p95_ms": sorted(hops)[int(0.95 * (len(hops) - 1))] * 1e3,
        "first_task_s": first,
    }


def command_to_first_task() -> float:
    """Seconds from starting a fresh interpreter on this file to its first task's start and a clean end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--one"], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="What scheduling costs when almost nothing is done but made durable."
    )
    parser.add_argument("--json", action="store_true", help="one object to stdout")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each workload; the median is shown")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        run_floor({"only": ()})
        return
    found: dict[str, dict[str, float]] = {}
    for name, make in WORKLOADS.items():
        runs = [run_floor(make()) for _ in range(chosen.repeat)]
        found[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    first = statistics.median(command_to_first_task() for _ in range(chosen.repeat))
    if chosen.json:
        print(json.dumps({"floor": found, "command_to_first_task_s": first}))
        return
    print(f"{'floor':5} {'tasks':>6} {'tasks/s':>8}")
    for name, run in found.items():
        print(f"{name:5} {run['tasks']:6.0f} {run['tasks_per_s']:8.0f}")
    chain = found["W2"]  # the one workload without a queue
    print(f"hop, median / p95      {chain['hop_median_ms']:.2f} / {chain['hop_p95_ms']:.2f} ms")
    print(f"command to first task  {first:.3f} s")


if __name__ == "__main__":
    main()
