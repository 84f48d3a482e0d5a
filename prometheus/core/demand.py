"""What an attempt takes while it runs, and what a machine offers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """Resources that one attempt holds while it runs. A demand fits in one bin or nowhere."""

    cpu_milli: int = 1_000  # thousandths of a core
    memory_mib: int = 0
    gpu_milli: int = 0  # thousandths of one device; above 1000 = whole devices
    pools: tuple[tuple[str, int], ...] = ()  # (pool, units), sorted by pool, units > 0

    def __hash__(self) -> int:  # as generated; written out it is compiled
        return hash((self.cpu_milli, self.memory_mib, self.gpu_milli, self.pools))


@dataclass(frozen=True, slots=True)
class Bin:
    """One node or one device group with a capacity; a laptop is one bin."""

    bin_id: str
    cpu_milli: int
    memory_mib: int
    gpu_milli: tuple[int, ...] = ()  # one entry a device


@dataclass(frozen=True, slots=True)
class Capacity:
    """Everything that may be in use at once: the bins, and the pools, which are counted once for all bins."""

    bins: tuple[Bin, ...]
    pools: tuple[tuple[str, int], ...] = ()  # (pool, units), sorted by pool
