"""What a user's file says: `Pipeline`, its jobs and its promises, kept as said and checked together at the end.

Declaring never raises for a bad value (only the session language does, where an expression makes no sense): `spec`
looks at everything and lists all faults at once, so that a file is mended in one go and a worker that imports it is
not bothered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, Unpack, overload

from prometheus.core.ids import Json
from prometheus.pipelines.moments import Duration, Moment, Trigger

# Any function may be a job; what it takes and returns is between it and the task.
F = TypeVar("F", bound=Callable[..., Any])
Function = Callable[..., object]


class JobOptions(TypedDict, total=False):
    """What may be said about a job; what is left out comes from its kind and cost (`defaults`)."""

    name: str
    kind: str  # ingestion, features (the default), engine, research, monitoring
    cost: str  # io, cpu, gpu
    tier: int  # 1 must run, 2 may degrade, 3 takes what is left
    after: Sequence[str | Function] | str | Function
    cpu: float  # cores
    memory: str  # "2GB"
    gpu: float  # a fraction of one device, or whole devices
    pools: Mapping[str, int]
    params: Mapping[str, Json]
    timeout: Duration  # of running time, each attempt
    retries: int  # attempts after the first
    backoff: Duration  # before the first retry; doubles with each
    expect: Duration  # how long it usually takes, until there is a history
    checkpoint_every: Duration
    degrade: Sequence[str]  # rungs, the mildest first: "reduced", "last_good", your own words, "skip"


@dataclass(frozen=True, slots=True)
class DeclaredJob:
    """A job as the user said it, unchecked."""

    target: object  # a function, "module:name", or a command
    options: Mapping[str, Any]  # JobOptions, but unchecked: the user's file may say anything
    line: int  # of the user's file


@dataclass(frozen=True, slots=True)
class DeclaredSlo:
    """A promise as the user said it, unchecked."""

    name: object
    jobs: object
    by: object
    within: object
    line: int


class Pipeline:
    """Jobs of one market, started by a moment of its session (or another trigger), with promises about them.

        prices = Pipeline("us_prices", market="US_EQ", start=session.close + "30min")

        @prices.job(kind="ingestion", timeout="20min")
        def fetch(task): ...

        prices.add(["Rscript", "risk.R"], name="risk", after=[fetch])
        prices.slo("prices ready", by="D+1 00:00 UTC")

    Without `start` a run begins when it is asked for. `missed` says what becomes of runs that an outage swallowed:
    "run" them all, "skip" them, or only the "latest".
    """

    def __init__(
        self,
        name: str,
        market: str,
        start: Trigger | str | None = None,
        missed: str = "run",
        description: str = "",
    ) -> None:
        self.name = name
        self.market = market
        self.start = start
        self.missed = missed
        self.description = description
        self.declared_jobs: list[DeclaredJob] = []
        self.declared_slos: list[DeclaredSlo] = []

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, market={self.market!r}, start={self.start!r})"

    @overload
    def job(self, function: F, /) -> F: ...

    @overload
    def job(self, /, **options: Unpack[JobOptions]) -> Callable[[F], F]: ...

    def job(self, function: F | None = None, /, **options: Unpack[JobOptions]) -> F | Callable[[F], F]:
        """Declare the decorated function, which takes the task, as a job; the function itself is returned unchanged."""
        line = sys._getframe(1).f_lineno

        def declare(function: F) -> F:
            self.declared_jobs.append(DeclaredJob(function, options, line))
            return function

        return declare if function is None else declare(function)

    def add(self, target: Function | str | Sequence[str], /, **options: Unpack[JobOptions]) -> str:
        """Declare a job by a function, by name ("package.module:function"), or as a command (a list of words).

        Returns the job's name, for `after=`.
        """
        declared = DeclaredJob(target, options, sys._getframe(1).f_lineno)
        self.declared_jobs.append(declared)
        return str(options.get("name") or name_of_target(target))

    def slo(
        self,
        name: str,
        jobs: Sequence[str | Function] | str | Function | None = None,
        by: Moment | str | None = None,
        within: Duration | None = None,
    ) -> None:
        """Promise that `jobs` (default: all) are done `by` a moment, or `within` a time from the run's first release."""
        self.declared_slos.append(DeclaredSlo(name, jobs, by, within, sys._getframe(1).f_lineno))


def name_of_target(target: object) -> str | None:
    """The name that a job has when it is given none: its function's; a command has none."""
    if isinstance(target, str):
        return target.rpartition(":")[2].rpartition(".")[2]
    found = getattr(target, "__name__", None)
    return found if isinstance(found, str) else None
