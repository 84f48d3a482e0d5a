"""A pipeline as data: what a declaration says, frozen, with its JSON form and the hash of that.

The JSON form is versioned; moments and triggers are in it as the text of the session language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from prometheus.core.demand import Demand
from prometheus.core.errors import DeclarationError, UserError
from prometheus.core.ids import Json, content_hash
from prometheus.pipelines.defaults import Cost, Kind, Missed, cost_of, kind_of, missed_of
from prometheus.pipelines.moments import Moment, Trigger
from prometheus.pipelines.reading import as_moment, as_trigger

VERSION = 1  # of the JSON form
FAULTS_SHOWN = 100

Target = str | tuple[str, ...]  # "file.py:qualname", "package.module:name", or a command


class FaultsError(DeclarationError):
    """A pipeline cannot be used; `faults` holds every one that was found."""

    def __init__(self, subject: str, faults: tuple[str, ...]) -> None:
        self.faults = faults
        more = len(faults) - FAULTS_SHOWN
        shown = [f"  - {fault}" for fault in faults[:FAULTS_SHOWN]]
        if more > 0:
            shown.append(f"  - and {more:,} more")
        count = "a fault" if len(faults) == 1 else f"{len(faults):,} faults"
        super().__init__("\n".join([f"{subject} has {count}:", *shown]))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One step of a pipeline."""

    name: str
    target: Target
    kind: Kind
    cost: Cost
    tier: int  # 1 must run, 2 may degrade, 3 takes what is left
    demand: Demand
    after: tuple[str, ...]  # names of jobs of this pipeline
    timeout_us: int
    retries: int  # attempts after the first
    backoff_us: int
    typical_us: int  # expected duration, until there is a history
    memory_limit_mib: int | None = None  # stopped above it; None = memory is only a demand (not declared)
    params: str = "{}"  # canonical JSON text of an object
    checkpoint_every_us: int | None = None  # None = cannot checkpoint
    degrade: tuple[str, ...] = ()  # rungs, the mildest first; "skip" can only be the last


@dataclass(frozen=True, slots=True)
class SloSpec:
    """A promise about some jobs; exactly one of `by` and `within_us` is set."""

    name: str
    jobs: tuple[str, ...]
    by: Moment | None = None
    within_us: int | None = None  # from the first release of the run


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A declared pipeline that has passed every check that needs no calendar."""

    name: str
    market: str
    start: Trigger | None  # None = when a run is asked for
    missed: Missed  # what becomes of runs that an outage swallowed
    description: str
    jobs: tuple[JobSpec, ...]
    slos: tuple[SloSpec, ...] = ()

    def content_hash(self) -> str:
        """SHA-256 of the JSON form: equal for equal declarations, wherever they were written."""
        return content_hash(self.to_json())

    def to_json(self) -> Json:
        return {
            "version": VERSION,
            "name": self.name,
            "market": self.market,
            "start": None if self.start is None else str(self.start),
            "missed": self.missed,
            "description": self.description,
            "jobs": [_job_to_json(job) for job in self.jobs],
            "slos": [
                {
                    "name": slo.name,
                    "jobs": list(slo.jobs),
                    "by": None if slo.by is None else str(slo.by),
                    "within_us": slo.within_us,
                }
                for slo in self.slos
            ],
        }

    @staticmethod
    def from_json(value: Json) -> PipelineSpec:
        """The inverse of `to_json`; `DeclarationError` for another version or a form that is not one."""
        version = value.get("version") if isinstance(value, Mapping) else None
        if version != VERSION:
            raise DeclarationError(
                f"the declaration has version {version!r}",
                allowed=str(VERSION),
                hint="declare it again with this release",
            )
        try:
            return _from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
            raise DeclarationError(f"the declaration cannot be read: {error!r}") from None

    def job(self, name: str) -> JobSpec:
        """The job of that name; KeyError if there is none."""
        return next((job for job in self.jobs if job.name == name), None) or _no_job(name)


def slug_of(slo: str) -> str:
    """The name of an SLO as it stands in ids and URLs: "prices ready" -> "prices-ready"; "" if nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", slo.lower()).strip("-")


def function_names(spec: PipelineSpec) -> dict[str, str]:
    """Qualified name of a function -> job, for jobs that are functions and share that name with no other job.

    `task.output(function)` finds the job by it.
    """
    found: dict[str, list[str]] = {}
    for job in spec.jobs:
        if isinstance(job.target, str):
            found.setdefault(job.target.rpartition(":")[2], []).append(job.name)
    return {qualname: jobs[0] for qualname, jobs in found.items() if len(jobs) == 1}


def params_of(job: JobSpec) -> Mapping[str, Json]:
    """The job's parameters as Python values."""
    return cast(Mapping[str, Json], json.loads(job.params))


def _no_job(name: str) -> JobSpec:
    raise KeyError(name)


def _job_to_json(job: JobSpec) -> Json:
    demand = job.demand
    return {
        "name": job.name,
        "target": job.target if isinstance(job.target, str) else list(job.target),
        "kind": job.kind,
        "cost": job.cost,
        "tier": job.tier,
        "demand": {
            "cpu_milli": demand.cpu_milli,
            "memory_mib": demand.memory_mib,
            "gpu_milli": demand.gpu_milli,
            "pools": [list(pool) for pool in demand.pools],
        },
        "after": list(job.after),
        "timeout_us": job.timeout_us,
        "retries": job.retries,
        "backoff_us": job.backoff_us,
        "typical_us": job.typical_us,
        "memory_limit_mib": job.memory_limit_mib,
        "params": job.params,
        "checkpoint_every_us": job.checkpoint_every_us,
        "degrade": list(job.degrade),
    }


def _job_from_json(value: Json) -> JobSpec:
    demand = value["demand"]
    target = value["target"]
    return JobSpec(
        name=value["name"],
        target=target if isinstance(target, str) else tuple(target),
        kind=kind_of(value["kind"]),
        cost=cost_of(value["cost"]),
        tier=value["tier"],
        demand=Demand(
            cpu_milli=demand["cpu_milli"],
            memory_mib=demand["memory_mib"],
            gpu_milli=demand["gpu_milli"],
            pools=tuple((name, units) for name, units in demand["pools"]),
        ),
        after=tuple(value["after"]),
        timeout_us=value["timeout_us"],
        retries=value["retries"],
        backoff_us=value["backoff_us"],
        typical_us=value["typical_us"],
        memory_limit_mib=value["memory_limit_mib"],
        params=value["params"],
        checkpoint_every_us=value["checkpoint_every_us"],
        degrade=tuple(value["degrade"]),
    )


def _from_json(value: Json) -> PipelineSpec:
    moment = partial(as_moment, what="by")
    return PipelineSpec(
        name=value["name"],
        market=value["market"],
        start=None if value["start"] is None else as_trigger(value["start"], "start"),
        missed=missed_of(value["missed"]),
        description=value["description"],
        jobs=tuple(_job_from_json(job) for job in value["jobs"]),
        slos=tuple(
            SloSpec(
                name=slo["name"],
                jobs=tuple(slo["jobs"]),
                by=None if slo["by"] is None else moment(slo["by"]),
                within_us=slo["within_us"],
            )
            for slo in value["slos"]
        ),
    )
