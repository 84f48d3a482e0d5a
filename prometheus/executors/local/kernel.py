"""What only the kernel can do for us: die with the parent, adopt orphans, name children, be the first to go.

Everything here does nothing, and says so by its result, where the kernel is not Linux.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
OOM_SCORE: Final = 500  # of 1000; the kernel takes a job before the scheduler when memory runs out

if sys.platform == "linux":
    import ctypes

    _libc = ctypes.CDLL(None, use_errno=True)

    def _prctl(option: int, value: int) -> bool:
        return int(_libc.prctl(option, value, 0, 0, 0)) == 0
else:

    def _prctl(option: int, value: int) -> bool:
        return False


def die_with_parent() -> bool:
    """Be killed when the thread that forked this process ends; kept over exec, not over fork."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> bool:
    """Become the parent of descendants whose own parent ends, so that none can slip away; kept over exec, not over fork."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def go_first() -> None:
    """Ask the out-of-memory killer to prefer this process and its children."""
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            if int(file.read()) < OOM_SCORE:
                file.write(str(OOM_SCORE).encode())
    except (OSError, ValueError):  # not Linux, or a hardened /proc
        return


def children_of(pid: int) -> list[int]:
    """The direct children of a process, the dead but unburied among them; empty when it is gone or cannot be asked."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        if os.path.isdir(f"/proc/{pid}") and not os.path.exists(f"/proc/{pid}/task/{pid}/children"):
            return _children_by_search(pid)
    except OSError:  # ended meanwhile
        pass
    return found


def _children_by_search(pid: int) -> list[int]:
    """The same for kernels without the `children` file: every process is asked for its parent."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(name))
    return found


def kill(pid: int, signal_number: int, group: bool = False) -> None:
    """Signal a process or its whole group; one that is gone is no error.

    A process that was forked just now may not lead its group yet: then it is signalled alone, and has no children.
    """
    if group:
        try:
            os.killpg(pid, signal_number)
        except (ProcessLookupError, PermissionError):
            pass
        else:
            return
    try:
        os.kill(pid, signal_number)
    except (ProcessLookupError, PermissionError):
        return
