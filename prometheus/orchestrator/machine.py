"""What does this machine offer? The settings' word where they say, else what the system tells."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from prometheus.core.demand import Bin, Capacity
from prometheus.core.settings import Settings
from prometheus.pipelines.defaults import parse_memory_mib

BIN_ID = "local"
_SHARE_OF_MEMORY = 0.9  # the rest is for the system and for us
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_mib() -> int:
    """Memory of the machine, or of the control group that this process lives in if that is less."""
    total: int = psutil.virtual_memory().total
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total // 2**20


def capacity_of(settings: Settings) -> Capacity:
    """One bin for this machine, and the pools of the settings."""
    resources = settings.resources
    cores = resources.cpu if resources.cpu is not None else usable_cores()
    if resources.memory is not None:
        memory = parse_memory_mib(resources.memory)
    else:
        memory = int(memory_mib() * _SHARE_OF_MEMORY)
    bin_ = Bin(BIN_ID, round(cores * 1_000), memory, tuple(round(share * 1_000) for share in resources.gpu))
    return Capacity((bin_,), tuple(sorted(resources.pools.items())))
