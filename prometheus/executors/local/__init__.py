"""Worker processes on this machine: how is a job run, watched and ended without anything left behind?

`LocalExecutor` is the scheduler's side. `forkserver` makes and buries workers, `runner` is what a worker does. What a
worker imports (`wire`, `kernel`, `runner`, `targets`, `worker_task`) is the standard library alone, so that a fork is
cheap and a job starts in a process that holds nothing of ours; so this file imports nothing before it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus.executors.local.executor import LocalExecutor

__all__ = ["LocalExecutor"]


def __getattr__(name: str) -> Any:
    if name == "LocalExecutor":
        from prometheus.executors.local.executor import LocalExecutor

        return LocalExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
