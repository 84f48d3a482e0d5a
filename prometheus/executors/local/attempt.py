"""What is known of an attempt between its order and its end?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prometheus.executors.contract import Launch
from prometheus.executors.local.logs import AttemptLog
from prometheus.executors.local.worker_link import WorkerLink
from prometheus.scheduler.events import Failure

Key = tuple[str, int]  # task, number of the attempt


@dataclass(slots=True)
class Attempt:
    """An attempt that has not ended, and the worker that it has."""

    launch: Launch
    worker: WorkerLink
    log: AttemptLog
    folder: Path | None  # a command's files
    stop: tuple[Failure, str] | None = None  # asked to stop, so this is how it ends
    kill_at_us: int | None = None
    peak_mib: int | None = None
