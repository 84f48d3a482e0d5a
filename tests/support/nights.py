"""Small plans for tests of the scheduler."""

from __future__ import annotations

from datetime import date

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan

RUN = "night.2026-03-02"


def tid(job: str, run: str = RUN) -> str:
    return f"{run}.{job}"


def task(job: str, *after: str, run: str = RUN, tier: int = 1, cpu: float = 1, **fields: object) -> TaskPlan:
    """A task of `run`; `after` names jobs of the same run or whole task ids."""
    values: dict[str, object] = {
        "task_id": tid(job, run),
        "run_id": run,
        "job": job,
        "tier": tier,
        "demand": Demand(cpu_milli=round(cpu * 1000)),
        "after": tuple(name if "." in name else tid(name, run) for name in after),
        "backoff_us": MINUTE_US,
    }
    return TaskPlan(**{**values, **fields})  # type: ignore[arg-type]  # fields of the dataclass by name


def run_of(*tasks: TaskPlan, run: str = RUN, slos: tuple[SloPlan, ...] = ()) -> RunPlan:
    return RunPlan(run, run.split(".", maxsplit=1)[0], "US_EQ", date(2026, 3, 2), "pin", 0, tasks, slos)


def machine(cpu: float = 2, memory_mib: int = 4096, **pools: int) -> Capacity:
    return Capacity((Bin("here", round(cpu * 1000), memory_mib),), tuple(sorted(pools.items())))
