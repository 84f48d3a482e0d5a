"""Nights with more than cores: the same tasks, from the same seed, on machines with memory, GPUs, nodes or pools.

The base night is drawn first and by itself, so that it stays the same to the byte; what a mix adds has dice of its own.
"""

from __future__ import annotations

import random
from typing import Any

Night = dict[str, Any]


def mixed(night: Night, mix: str, seed: int) -> Night:
    """The night with what the mix adds; "" adds nothing. Raises KeyError for a name that `MIXES` has not."""
    if not mix:
        return night
    rng = random.Random(f"{mix}/{seed}")  # a benchmark's dice
    tasks = [{**task, "demand": dict(task["demand"])} for task in night["tasks"]]
    found = {**night, "capacity": dict(night["capacity"]), "tasks": tasks}
    MIXES[mix](found, rng)
    return found


def _memory(night: Night, rng: random.Random) -> None:
    """64 GB for 16 cores; backtests take 2 to 8 GB a core, so that memory is short before cores are."""
    cores = night["capacity"]["cpu"]
    night["capacity"]["memory_gb"] = 4 * cores
    for task in night["tasks"]:
        demand = task["demand"]
        a_core = rng.choice((2, 4, 8)) if task["tier"] == 3 else 2
        demand["memory_gb"] = min(a_core * demand["cpu"], 3 * cores)


def _gpus(night: Night, rng: random.Random) -> None:
    """Two devices: engines take a quarter of one, every fourth backtest a half or a whole one."""
    night["capacity"]["gpu"] = 2
    for task in night["tasks"]:
        if ".engine." in task["id"]:
            task["demand"]["gpu"] = 0.25
        elif task["tier"] == 3 and rng.random() < 0.25:
            task["demand"]["gpu"] = rng.choice((0.5, 1))


def _nodes(night: Night, rng: random.Random) -> None:
    """Two nodes with half of the cores each; a demand must fit one of them."""
    cores = night["capacity"].pop("cpu")
    night["capacity"]["bins"] = [{"id": f"node{n}", "cpu": cores / 2, "memory_gb": 64} for n in range(2)]


def _pools(night: Night, rng: random.Random) -> None:
    """Six connections to a database: ingestion takes one, and every third lower task."""
    night["capacity"]["pools"] = {"db": 6}
    for task in night["tasks"]:
        if ".ingest." in task["id"] or (task["tier"] > 1 and rng.random() < 1 / 3):
            task["demand"]["pools"] = {"db": 1}


def _all(night: Night, rng: random.Random) -> None:
    """Memory, GPUs and pools at once."""
    for part in (_memory, _gpus, _pools):
        part(night, rng)


MIXES = {"memory": _memory, "gpus": _gpus, "nodes": _nodes, "pools": _pools, "all": _all}
