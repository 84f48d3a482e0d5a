"""How much memory a worker and its descendants hold: asked of /proc, a few microseconds a process.

Elsewhere than on Linux nothing is found and no limit is held; `can_sample` says so.
"""

from __future__ import annotations

import os
import sys
from typing import Final, NamedTuple

from prometheus.executors.local import kernel

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20
_PROCESSES_AT_MOST: Final = 2_000  # of one worker that are looked at in one sample
can_sample: Final = sys.platform == "linux"


class Process(NamedTuple):
    """One process, told from a later one of the same pid by when it began (clock ticks since boot)."""

    pid: int
    began: int
    session: int
    resident_bytes: int


def look_at(pid: int) -> Process | None:
    """The process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[19]), int(fields[3]), int(fields[21]) * _PAGE)


def tree_of(pid: int) -> list[Process]:
    """A worker and all its descendants, itself first; empty when it is gone."""
    found: list[Process] = []
    ahead = [pid]
    while ahead and len(found) < _PROCESSES_AT_MOST:
        process = look_at(ahead.pop())
        if process is not None:
            found.append(process)
            ahead += kernel.children_of(process.pid)
    return found


def resident_mib(tree: list[Process]) -> int:
    """Memory in use, pages that processes share counted for each of them."""
    return sum(process.resident_bytes for process in tree) // _MIB


def proportional_mib(tree: list[Process]) -> int:
    """Memory in use, shared pages counted once; slower, so asked only when it decides something."""
    return sum(map(_proportional_bytes, tree)) // _MIB


def _proportional_bytes(process: Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb", buffering=0) as file:
            for line in file.read().splitlines():
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except ProcessLookupError:
        return 0
    except FileNotFoundError:  # it is gone, or the kernel is older than this file
        return process.resident_bytes if os.path.exists(f"/proc/{process.pid}/smaps") else 0
    except OSError:  # not allowed to ask
        return process.resident_bytes
    return 0  # it has given its memory back already


def machine_mib() -> int:
    """What this machine, or the container around us, has."""
    found = [os.sysconf("SC_PHYS_PAGES") * _PAGE]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, "rb") as file:
                found.append(int(file.read()))
        except (OSError, ValueError):  # no such control group, or "max"
            continue
    return min(found) // _MIB


def sessions_and_groups() -> list[Process]:
    """Every process of the machine that may be looked at; slow, for the one moment when a fork server was killed."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()] if can_sample else []
    return [process for process in map(look_at, pids) if process is not None]


def text_of(mib: float) -> str:
    """Memory for people: "512 MiB", "2.1 GiB"."""
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"
