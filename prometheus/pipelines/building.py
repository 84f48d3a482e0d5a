"""From what a user declared to a frozen spec, or to every fault in it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prometheus.core.demand import Demand
from prometheus.core.errors import UserError
from prometheus.core.ids import check_name
from prometheus.core.instants import DAY_US
from prometheus.pipelines.checking import describe_cycle, topological
from prometheus.pipelines.declaring import (
    DeclaredJob,
    DeclaredSlo,
    JobOptions,
    Pipeline,
    name_of_target,
)
from prometheus.pipelines.defaults import (
    COST_DEFAULTS,
    KIND_DEFAULTS,
    Cost,
    Kind,
    Missed,
    cost_of,
    kind_of,
    missed_of,
    near,
    parse_cpu_milli,
    parse_gpu_milli,
    parse_memory_mib,
)
from prometheus.pipelines.model import FaultsError, JobSpec, PipelineSpec, SloSpec, slug_of
from prometheus.pipelines.moments import check_market
from prometheus.pipelines.options import (
    TIMEOUT_AT_MOST_US,
    read_degrade,
    read_params,
    read_pools,
    read_retries,
    read_target,
    read_text,
    read_tier,
    span_reader,
)
from prometheus.pipelines.reading import as_moment, as_trigger

T = TypeVar("T")

NEAR_AT_MOST = 20  # unknown names of one pipeline for which the nearest known one is looked for
OPTIONS = tuple(JobOptions.__annotations__)


def build(pipeline: Pipeline) -> PipelineSpec:
    """The spec of `pipeline`; raises `FaultsError` with every fault of the declaration."""
    faults = Faults()
    faults.check("", lambda: check_name("pipeline", pipeline.name))
    market = faults.check("", lambda: check_market(pipeline.market), "US_EQ")
    missed: Missed = faults.check("", lambda: missed_of(pipeline.missed), "run")
    start = None
    if pipeline.start is not None:
        start = faults.check("", lambda: as_trigger(pipeline.start, "start"), None)
    faults.check("", lambda: read_text("description", pipeline.description))
    names = _names(pipeline, faults)
    jobs = tuple(
        _job(declared, name, names, faults)
        for declared, name in zip(pipeline.declared_jobs, names.in_order, strict=True)
    )
    if not jobs:
        faults.say(
            "", "it declares no job", hint="decorate a function with @pipeline.job, or use pipeline.add"
        )
    slos = _slos(pipeline.declared_slos, names, faults)
    _, cycles = topological({job.name: [up for up in job.after if up in names.jobs] for job in jobs})
    for cycle in cycles:
        faults.say("", f"jobs wait for each other: {describe_cycle(cycle)}")
    if faults.found:
        raise FaultsError(f"the pipeline {pipeline.name!r}", tuple(faults.found))
    return PipelineSpec(pipeline.name, market, start, missed, pipeline.description, jobs, slos)


class Faults:
    """Faults found so far, as sentences."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def say(self, where: str, message: str, allowed: str | None = None, hint: str | None = None) -> None:
        text = "; ".join([message, *([f"allowed: {allowed}"] if allowed else []), *([hint] if hint else [])])
        self.found.append(f"{where}: {text}" if where else text)

    def check(self, where: str, ask: Callable[[], T], otherwise: T | None = None) -> T:
        """What `ask` gives; if it raises `UserError`, that is noted and `otherwise` goes on in its place."""
        try:
            return ask()
        except UserError as error:
            self.say(where, error.message, error.allowed, error.hint)
            return otherwise  # type: ignore[return-value]  # callers that give none do not use it


class Names:
    """Which job is meant by a name or a function."""

    def __init__(self) -> None:
        self.in_order: list[str] = []
        self.jobs: dict[str, int] = {}  # name -> line
        self.unknown = 0
        self.of_function: dict[int, list[str]] = {}  # id of the function -> names

    def of(self, reference: object, where: str, faults: Faults) -> str | None:
        """The job that `reference` means; None, and a fault, if that is not exactly one."""
        if isinstance(reference, str):
            if reference in self.jobs:
                return reference
            self.unknown += 1
            hint = near(reference, list(self.jobs)) if self.unknown <= NEAR_AT_MOST else None
            faults.say(where, f"no job is named {reference!r}", hint=hint)
            return None
        found = self.of_function.get(id(reference), [])
        if len(found) == 1:
            return found[0]
        shown = name_of_target(reference) or repr(reference)
        if found:
            faults.say(
                where, f"{shown} is the function of {len(found)} jobs", ", ".join(found), "give the name"
            )
        elif callable(reference):
            faults.say(where, f"the function {shown} is not a job of this pipeline", hint="declare it first")
        else:
            faults.say(where, f"{reference!r} is not a job", "names and functions of jobs")
        return None


def _names(pipeline: Pipeline, faults: Faults) -> Names:
    names = Names()
    for declared in pipeline.declared_jobs:
        where = f"line {declared.line}"
        name = declared.options.get("name") or name_of_target(declared.target)
        if name is None:
            faults.say(where, "this job has no name", hint='add name="..."')
            name = f"line_{declared.line}"
        elif declared.options.get("name") or not str(name).startswith("<"):  # "<lambda>" is told of later
            faults.check(where, lambda name=name: check_name("job", name))  # type: ignore[misc]
        name = str(name)
        if name in names.jobs:
            faults.say(where, f"a second job is named {name!r} (the first: line {names.jobs[name]})")
        names.jobs.setdefault(name, declared.line)
        names.in_order.append(name)
        if callable(declared.target):
            names.of_function.setdefault(id(declared.target), []).append(name)
    return names


def _job(declared: DeclaredJob, name: str, names: Names, faults: Faults) -> JobSpec:
    where = f"line {declared.line}, job {name!r}"
    options = declared.options
    for key in options:
        if key not in OPTIONS:
            faults.say(where, f"{key!r} is no option of a job", ", ".join(OPTIONS), near(key, OPTIONS))

    def option(key: str, read: Callable[[Any], T], default: T) -> T:
        value = options.get(key)
        return default if value is None else faults.check(where, lambda: read(value), default)

    kind: Kind = option("kind", kind_of, "features")
    of_kind = KIND_DEFAULTS[kind]
    gpu_milli = option("gpu", parse_gpu_milli, None)
    cost: Cost = option("cost", cost_of, "gpu" if gpu_milli else of_kind.cost)
    of_cost = COST_DEFAULTS[cost]
    memory_mib = option("memory", parse_memory_mib, None)
    after = []
    for reference in _as_list(options.get("after"), where, "after", faults):
        upstream = names.of(reference, where, faults)
        if upstream is not None and upstream not in after:
            after.append(upstream)
    return JobSpec(
        name=name,
        target=faults.check(where, lambda: read_target(declared.target)),
        kind=kind,
        cost=cost,
        tier=option("tier", read_tier, of_kind.tier),
        demand=Demand(
            cpu_milli=option("cpu", parse_cpu_milli, parse_cpu_milli(of_cost.cpu)),
            memory_mib=memory_mib or parse_memory_mib(of_cost.memory),
            gpu_milli=parse_gpu_milli(of_cost.gpu) if gpu_milli is None else gpu_milli,
            pools=option("pools", read_pools, ()),
        ),
        after=tuple(after),
        timeout_us=option("timeout", span_reader("timeout", TIMEOUT_AT_MOST_US), of_kind.timeout_us),
        retries=option("retries", read_retries, of_kind.retries),
        backoff_us=option("backoff", span_reader("backoff", DAY_US), of_kind.backoff_us),
        typical_us=option("expect", span_reader("expect", TIMEOUT_AT_MOST_US), of_kind.typical_us),
        memory_limit_mib=memory_mib,
        params=option("params", read_params, "{}"),
        checkpoint_every_us=option(
            "checkpoint_every", span_reader("checkpoint_every", TIMEOUT_AT_MOST_US), None
        ),
        degrade=option("degrade", read_degrade, ()),
    )


def _slos(declared: Sequence[DeclaredSlo], names: Names, faults: Faults) -> tuple[SloSpec, ...]:
    slos, slugs = [], dict[str, str]()
    for one in declared:
        where = f"line {one.line}, SLO {one.name!r}"
        name = one.name if isinstance(one.name, str) else ""
        slug = slug_of(name)
        if not slug or len(name) > 100 or not name.isprintable():
            faults.say(
                where, "the name cannot be used", "text of at most 100 characters with a letter or digit"
            )
        elif slug in slugs:
            faults.say(where, f"its name is too much like that of the SLO {slugs[slug]!r}")
        slugs.setdefault(slug, name)
        asked = tuple(names.jobs) if one.jobs is None else _as_list(one.jobs, where, "jobs", faults)
        jobs = [job for reference in asked if (job := names.of(reference, where, faults)) is not None]
        if not asked:
            faults.say(where, "it is about no job", hint="leave jobs= out to mean all of them")
        if (one.by is None) == (one.within is None):
            faults.say(where, "it needs one deadline", "by= a moment, or within= a duration")
        by = None if one.by is None else faults.check(where, lambda one=one: as_moment(one.by, "by"))  # type: ignore[misc]
        within_us = None
        if one.within is not None:
            read = span_reader("within", TIMEOUT_AT_MOST_US)
            within_us = faults.check(where, lambda one=one, read=read: read(one.within), 1)  # type: ignore[misc]
        slos.append(SloSpec(name, tuple(dict.fromkeys(jobs)), by, within_us))
    return tuple(slos)


def _as_list(value: object, where: str, what: str, faults: Faults) -> Sequence[object]:
    if value is None:
        return ()
    if isinstance(value, str) or callable(value):
        return (value,)
    if isinstance(value, Sequence | set | frozenset):
        return tuple(value) if isinstance(value, Sequence) else tuple(sorted(value, key=str))
    faults.say(where, f"{what} is {value!r}", "a list of jobs")
    return ()
