"""What every executor promises: start, stop, and facts that are repeated until they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

from prometheus.core.demand import Demand
from prometheus.scheduler.events import Failure

NO_OVERRIDES = "[]"  # the shipped table and nothing else


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that is needed to run one attempt, as plain values."""

    task_id: str
    run_id: str
    job: str
    attempt: int
    session: date
    market: str
    mode: str
    pin: str  # a worker refuses code of another hash
    target: str | tuple[str, ...]  # "file.py:qualname", "package.module:name", or a command
    demand: Demand
    code_dir: Path | None = None  # stored copy of the sources; None = only installed packages
    source_hash: str = ""  # hash of the stored sources ("" = none to check)
    params: str = "{}"  # JSON text
    resume: str | None = None  # JSON text
    outputs: Mapping[str, str] = field(default_factory=dict)  # upstream job -> JSON text
    job_names: Mapping[str, str] = field(
        default_factory=dict
    )  # qualname of a function -> job, for task.output(fn)
    environment: Mapping[str, str] = field(default_factory=dict)  # added to the worker's environment
    directory: Path | None = None  # working directory of the job
    log_path: Path | None = None  # made when something is written
    log_limit_bytes: int = 10_000_000
    memory_limit_mib: int | None = None
    overrides: str = NO_OVERRIDES  # the desk's calendar book as text (`CalendarBook.to_json`)
    known_at_us: int | None = None  # calendars are pinned to what was known then
    devices: tuple[int, ...] = ()  # indexes of the GPUs that it may use


@dataclass(frozen=True, slots=True)
class Began:
    """The attempt has begun."""

    task_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """The attempt saved a state, JSON text."""

    task_id: str
    attempt: int
    state: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attempt ended well."""

    task_id: str
    attempt: int
    output: str = "null"
    cpu_us: int | None = None
    peak_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without success."""

    task_id: str
    attempt: int
    failure: Failure
    message: str
    tail: str = ""
    cpu_us: int | None = None
    peak_mib: int | None = None


Fact = Began | Checkpointed | Succeeded | Failed


class Executor(Protocol):
    """Runs attempts. Every method returns at once, but `facts`, which waits."""

    def start(self, launch: Launch) -> None:
        """Begin an attempt. Idempotent on (task, attempt): a second order for one that began is ignored."""

    def cancel(self, task_id: str, attempt: int, failure: Failure, reason: str, grace_us: int) -> None:
        """Stop an attempt: ask it to end, after the grace kill its whole process group. Ends in `Failed` with `failure`.

        Idempotent; unknown or ended attempts are ignored.
        """

    def facts(self, timeout_us: int | None) -> Sequence[Fact]:
        """Facts not yet acknowledged, oldest first; waits up to `timeout_us` (None: for ever) for a first one."""

    def acknowledge(self, facts: Sequence[Fact]) -> None:
        """These facts are committed; do not repeat them."""

    def wake(self) -> None:
        """Make a waiting `facts` return now; callable from a signal handler or another thread."""

    def living(self) -> frozenset[tuple[str, int]]:
        """The (task, attempt) pairs that this executor can prove are running."""

    def close(self, grace_us: int = 0) -> None:
        """Stop everything that still runs and free all resources; nothing outlives it."""
