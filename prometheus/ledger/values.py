"""The values inside the log's records as JSON, and the way back: machines, plans, forecasts.

What a value has gained since the first version has here what it was before.
"""

from __future__ import annotations

from datetime import date

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.ids import Json
from prometheus.scheduler.events import SloForecast
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.snapshot import Foreseen

Coming = tuple[tuple[int, Capacity], ...]  # (instant, what the machine is from then on)


def capacity_to_json(capacity: Capacity) -> Json:
    """A capacity as an object."""
    bins = [
        {"bin_id": b.bin_id, "cpu_milli": b.cpu_milli, "memory_mib": b.memory_mib, "gpu_milli": b.gpu_milli}
        for b in capacity.bins
    ]
    return {"bins": bins, "pools": capacity.pools}


def capacity_of(o: Json) -> Capacity:
    """The capacity of `capacity_to_json`."""
    bins = tuple(Bin(b["bin_id"], b["cpu_milli"], b["memory_mib"], tuple(b["gpu_milli"])) for b in o["bins"])
    return Capacity(bins, _pools_of(o["pools"]))


def coming_to_json(coming: Coming) -> Json:
    """Announced changes of the capacity as pairs."""
    return [[at_us, capacity_to_json(capacity)] for at_us, capacity in coming]


def coming_of(o: Json) -> Coming:
    """The changes in an object under `coming`; none where it was written before there were any."""
    return tuple((at_us, capacity_of(capacity)) for at_us, capacity in o.get("coming", ()))


def _pools_of(o: Json) -> tuple[tuple[str, int], ...]:
    return tuple((pool, units) for pool, units in o)


def slo_forecast_to_json(said: SloForecast) -> Json:
    """What a forecast says of one promise as an object."""
    return {
        "slo_id": said.slo_id,
        "miss": said.miss,
        "p50_us": said.p50_us,
        "p90_us": said.p90_us,
        "p99_us": said.p99_us,
        "critical": said.critical,
        "known": said.known,
    }


def foreseen_of(o: Json) -> Foreseen:
    """What a forecast said of a promise, and how it was made."""
    return Foreseen(o["made_us"], o["samples"], slo_forecast_of(o["said"]))


def slo_forecast_of(o: Json) -> SloForecast:
    """The value of `slo_forecast_to_json`, also as it was before `known`."""
    critical = tuple((task_id, share) for task_id, share in o["critical"])
    return SloForecast(
        o["slo_id"], o["miss"], o["p50_us"], o["p90_us"], o["p99_us"], critical, o.get("known", 1.0)
    )


def plan_to_json(plan: RunPlan) -> Json:
    """The plan of a run as an object, its version left out."""
    return {
        "run_id": plan.run_id,
        "pipeline": plan.pipeline,
        "market": plan.market,
        "session": plan.session.isoformat(),
        "pin": plan.pin,
        "release_us": plan.release_us,
        "replayed": plan.replayed,
        "share": plan.share,
        "tasks": [_task_to_json(task) for task in plan.tasks],
        "slos": [
            {
                "slo_id": slo.slo_id,
                "run_id": slo.run_id,
                "name": slo.name,
                "task_ids": slo.task_ids,
                "deadline_us": slo.deadline_us,
            }
            for slo in plan.slos
        ],
    }


def plan_of(o: Json) -> RunPlan:
    """The plan of `plan_to_json`, also as it was before `share`."""
    return RunPlan(
        run_id=o["run_id"],
        pipeline=o["pipeline"],
        market=o["market"],
        session=date.fromisoformat(o["session"]),
        pin=o["pin"],
        release_us=o["release_us"],
        tasks=tuple(_task_of(task) for task in o["tasks"]),
        slos=tuple(
            SloPlan(s["slo_id"], s["run_id"], s["name"], tuple(s["task_ids"]), s["deadline_us"])
            for s in o["slos"]
        ),
        replayed=o["replayed"],
        share=o.get("share"),
    )


def _task_to_json(task: TaskPlan) -> Json:
    demand = task.demand
    return {
        "task_id": task.task_id,
        "run_id": task.run_id,
        "job": task.job,
        "tier": task.tier,
        "demand": {
            "cpu_milli": demand.cpu_milli,
            "memory_mib": demand.memory_mib,
            "gpu_milli": demand.gpu_milli,
            "pools": demand.pools,
        },
        "after": task.after,
        "release_us": task.release_us,
        "deadline_us": task.deadline_us,
        "timeout_us": task.timeout_us,
        "retries": task.retries,
        "backoff_us": task.backoff_us,
        "typical_us": task.typical_us,
        "cautious_us": task.cautious_us,
        "late_us": task.late_us,
        "checkpoint_every_us": task.checkpoint_every_us,
        "ladder": task.ladder,
    }


def _task_of(o: Json) -> TaskPlan:
    demand = o["demand"]
    return TaskPlan(
        task_id=o["task_id"],
        run_id=o["run_id"],
        job=o["job"],
        tier=o["tier"],
        demand=Demand(
            demand["cpu_milli"], demand["memory_mib"], demand["gpu_milli"], _pools_of(demand["pools"])
        ),
        after=tuple(o["after"]),
        release_us=o["release_us"],
        deadline_us=o["deadline_us"],
        timeout_us=o["timeout_us"],
        retries=o["retries"],
        backoff_us=o["backoff_us"],
        typical_us=o["typical_us"],
        cautious_us=o["cautious_us"],
        late_us=o.get("late_us", 3 * o["cautious_us"] // 2),  # plans of before it was kept
        checkpoint_every_us=o["checkpoint_every_us"],
        ladder=tuple(o["ladder"]),
    )
