"""Small nights, and what is asked of them."""

from __future__ import annotations

from prometheus.core.instants import HOUR_US
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.orchestrator.tonight import Tonight, of_workload
from prometheus.orchestrator.whatif.comparing import Comparison, compare

MONDAY_NOON_US = 20_514 * 24 * HOUR_US + 12 * HOUR_US  # 2026-03-02


def night(*tasks: dict[str, object], **capacity: object) -> Tonight:
    """A workload's night; tasks take one core and a minute unless they say otherwise."""
    given = [{"tier": 1, "duration_s": 1, "demand": {"cpu": 1}, "history_s": [60], **task} for task in tasks]
    made = make_workload(
        {
            "capacity": capacity if "bins" in capacity else {"cpu": 1, **capacity},
            "start": "2026-03-02T12:00:00Z",
            "horizon_s": 9 * 3600,
            "tasks": given,
        }
    )
    return of_workload(made, "night.json")


def two_at_once() -> Tonight:
    """Two tasks of a minute, each due in 90 s, and one core: one of them is late."""
    return night({"id": "a", "deadline_s": 90}, {"id": "b", "deadline_s": 90})


def asked(tonight: Tonight, *assumptions: object, samples: int = 5) -> Comparison:
    return compare(tonight, list(assumptions), samples=samples, seed=0)  # type: ignore[arg-type]  # as given


def misses(found: Comparison) -> dict[str, tuple[float | None, float | None]]:
    return {
        row.promise.slo.name: (
            None if row.before is None else row.before.missed.value,
            None if row.after is None else row.after.missed.value,
        )
        for row in found.rows
    }
