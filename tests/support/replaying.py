"""An account of a simulation's trace that knows nothing of the scheduler: what may run when, from the workload alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def replay(workload: Mapping[str, Any], trace: Iterable[Mapping[str, Any]]) -> int:
    """Assert that order and capacity hold at every instant of a one-bin workload; the number of starts."""
    tasks = {task["id"]: task for task in workload["tasks"]}
    machines = [(0.0, workload["capacity"])]
    machines += [(change["at_s"], change["capacity"]) for change in workload.get("capacity_changes", ())]
    running: dict[str, int] = {}
    attempts = dict.fromkeys(tasks, 0)
    ended: dict[str, float] = {}
    last_s, starts = 0.0, 0
    for line in trace:
        at_s, event, name = line["at_s"], line["event"], line["task"]
        assert at_s >= last_s, f"{line} goes back in time"
        last_s = at_s
        task = tasks[name]
        if event == "start":
            starts += 1
            assert name not in running, f"{line} runs already"
            assert name not in ended, f"{line} is done already"
            assert line["attempt"] == attempts[name] + 1, f"{line} skips a number"
            attempts[name] += 1
            assert at_s >= task.get("release_s", 0), f"{line} before its release"
            missing = [i for i in task.get("after", ()) if ended.get(i, at_s + 1) > at_s]
            assert not missing, f"{line} before {missing}"
            running[name] = line["attempt"]
            machine = [machine for from_s, machine in machines if from_s <= at_s][-1]
            for resource, used in _used(tasks[i] for i in running).items():
                offered = _offered(machine, resource)
                needs = _used([task]).get(resource, 0)
                assert not needs or used <= offered + 1e-9, f"{line}: {used} of {offered} {resource}"
        else:
            assert running.pop(name, None) == line["attempt"], f"{line} of what does not run"
            if event == "end":
                ended[name] = at_s
            else:
                assert event in ("fail", "preempt"), line
                assert event == "fail" or task["tier"] > 1, f"{line} of Tier 1"
    return starts


def _used(tasks: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    used: dict[str, float] = {}
    for task in tasks:
        demand = task.get("demand", {})
        for resource in ("cpu", "memory_gb", "gpu"):
            used[resource] = used.get(resource, 0) + demand.get(resource, 0)
        for pool, units in demand.get("pools", {}).items():
            used[f"pool {pool}"] = used.get(f"pool {pool}", 0) + units
    return used


def _offered(machine: Mapping[str, Any], resource: str) -> float:
    if resource.startswith("pool "):
        return float(machine.get("pools", {}).get(resource.removeprefix("pool "), 0))
    return float(machine.get(resource, 0) if resource != "memory_gb" else machine.get(resource) or 1e6)
