"""What is wrong with a declaration: every fault at once, as sentences. Nothing here recurses, so depth has no limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.pipelines.model import PipelineSpec
from prometheus.pipelines.moments import AfterRun, Barrier

CYCLE_SHOWN = 12  # names of one cycle that a message shows


def topological(after: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Names in an order in which each comes after those it waits for, first declared first, and the cycles found.

    `after` maps each name to those it waits for (all of them keys). Names on or behind a cycle are not in the order.
    Each cycle is given once, in the order of work, from its first declared name.
    """
    rank = {name: place for place, name in enumerate(after)}
    names = list(after)
    followers: dict[str, list[str]] = {name: [] for name in after}
    missing = {}
    for name, before in after.items():
        unique = set(before)
        missing[name] = len(unique)
        for upstream in unique:
            followers[upstream].append(name)
    free = [rank[name] for name in names if not missing[name]]
    heapify(free)
    order: list[str] = []
    while free:
        name = names[heappop(free)]
        order.append(name)
        for follower in followers[name]:
            missing[follower] -= 1
            if not missing[follower]:
                heappush(free, rank[follower])
    return order, _cycles(after, followers, missing, set(order), rank)


def _cycles(
    after: Mapping[str, Sequence[str]],
    followers: Mapping[str, Sequence[str]],
    missing: dict[str, int],
    done: set[str],
    rank: Mapping[str, int],
) -> list[list[str]]:
    """Cycles among the names that are not `done`: walk upstream into one, note it, count it as done, go on."""
    cycles: list[list[str]] = []
    looked_at: dict[str, int] = {}  # upstreams of a name that are done, from the first on
    path: list[str] = []
    place: dict[str, int] = {}
    for start in after:
        name = start
        while name not in done or path:
            if name in done:  # by the end of a cycle that it waited for
                name = path.pop()
                del place[name]
            elif name in place:
                cycle = path[place[name] :][::-1]
                del path[place[name] :]
                for member in cycle:
                    del place[member]
                first = min(range(len(cycle)), key=lambda index: rank[cycle[index]])
                cycles.append(cycle[first:] + cycle[:first])
                _count_as_done(cycle, followers, missing, done)
            else:
                place[name] = len(path)
                path.append(name)
                index = looked_at.get(name, 0)
                while after[name][index] in done:
                    index += 1
                looked_at[name] = index
                name = after[name][index]
    return cycles


def _count_as_done(
    cycle: Sequence[str], followers: Mapping[str, Sequence[str]], missing: dict[str, int], done: set[str]
) -> None:
    done.update(cycle)
    stack = list(cycle)
    while stack:
        for follower in followers[stack.pop()]:
            missing[follower] -= 1
            if not missing[follower] and follower not in done:
                done.add(follower)
                stack.append(follower)


def describe_cycle(cycle: Sequence[str]) -> str:
    """The names as `a -> b -> a`, with the middle of a long one left out."""
    names = [*cycle, cycle[0]]
    if len(names) > CYCLE_SHOWN:
        hidden = len(names) - CYCLE_SHOWN
        names = [*names[: CYCLE_SHOWN // 2], f"({hidden:,} more)", *names[-(CYCLE_SHOWN // 2) :]]
    return " -> ".join(names)


def check_circles(specs: Sequence[PipelineSpec]) -> list[str]:
    """Sentences about pipelines whose runs of one session wait for each other; empty if none do.

    Runs of another session (`after_run(..., session="previous")`) close no circle.
    """
    known = {spec.name for spec in specs}
    after: dict[str, list[str]] = {}
    for spec in specs:
        before: tuple[str, ...] = ()
        if isinstance(spec.start, AfterRun) and spec.start.session == "same":
            before = (spec.start.pipeline,)
        elif isinstance(spec.start, Barrier):
            before = spec.start.pipelines
        after[spec.name] = [name for name in before if name in known]
    return [
        f"runs of the same session wait for each other in a circle: {describe_cycle(cycle)}"
        for cycle in topological(after)[1]
    ]


def check_fits(spec: PipelineSpec, capacity: Capacity) -> list[str]:
    """Sentences about the jobs that no bin of `capacity` could ever hold; empty if all fit."""
    verdicts: dict[Demand, str | None] = {}
    faults = []
    for job in spec.jobs:
        if job.demand not in verdicts:
            verdicts[job.demand] = why_never(job.demand, capacity)
        reason = verdicts[job.demand]
        if reason is not None:
            faults.append(f"job {job.name!r} can never start: {reason}")
    return faults


def why_never(demand: Demand, capacity: Capacity) -> str | None:
    """Why `demand` fits in no bin of `capacity`, even an idle one; None if it does."""
    pools = dict(capacity.pools)
    for pool, units in demand.pools:
        if pool not in pools:
            known = ", ".join(pools) or "none"
            return f"it needs the pool {pool!r}, which is not set up (set up: {known}; see [resources] pools)"
        if units > pools[pool]:
            return f"it needs {units} of the pool {pool!r}, which has {pools[pool]}"
    if any(_fits(demand, one) for one in capacity.bins):
        return None
    if not capacity.bins:
        return "there is no machine to run it on"
    largest = max(capacity.bins, key=lambda one: (one.cpu_milli, one.memory_mib))
    wants = [
        f"{wanted:g} {unit} (the most in one machine: {most:g})"
        for wanted, most, unit in (
            (demand.cpu_milli / 1000, max(one.cpu_milli for one in capacity.bins) / 1000, "cores"),
            (demand.memory_mib, max(one.memory_mib for one in capacity.bins), "MB of memory"),
            (demand.gpu_milli / 1000, max(_most_gpu(one, demand) for one in capacity.bins) / 1000, "GPUs"),
        )
        if wanted > most
    ]
    if wants:
        return f"it needs {' and '.join(wants)}"
    return (
        f"it needs {demand.cpu_milli / 1000:g} cores, {demand.memory_mib} MB and {demand.gpu_milli / 1000:g} GPUs in "
        f"one machine; the largest, {largest.bin_id}, has {largest.cpu_milli / 1000:g} cores and "
        f"{largest.memory_mib} MB"
    )


def _fits(demand: Demand, one: Bin) -> bool:
    return (
        demand.cpu_milli <= one.cpu_milli
        and demand.memory_mib <= one.memory_mib
        and demand.gpu_milli <= _most_gpu(one, demand)
    )


def _most_gpu(one: Bin, demand: Demand) -> int:
    """The most that a demand of this shape could get: of one device for a fraction, else whole devices together."""
    if demand.gpu_milli <= 1000:
        return max(one.gpu_milli, default=0)
    return 1000 * sum(device >= 1000 for device in one.gpu_milli)
