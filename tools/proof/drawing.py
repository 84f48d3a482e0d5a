"""Small nights with everything in them: tiers, edges, bins, GPUs, pools, deadlines, a changing machine, and faults.

One description for two drawers: Hypothesis, which shrinks what it finds, and a plain generator of seeds, which is fast.
`pick(options)` chooses one; the first option of each is the plainest, so that a shrunk night is a plain one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from prometheus.orchestrator.simulation.faults import (
    DEATHS,
    STEPS_US,
    ClockStep,
    Faults,
    Loss,
    Repeat,
    Restart,
    Spell,
    changes_with,
)
from prometheus.orchestrator.simulation.workload import Workload, make_workload

T = TypeVar("T")

JOBS = tuple("abcdefghij")
SECOND_US = 1_000_000
SECONDS = (0, 1, 59, 60, 300, 301, 900, 1800, 3000, 3600, 7200, 9000, 20_000)  # at which faults come
HORIZON_S = 3_000_000  # far beyond the longest chain of retries

ONE: Mapping[str, Any] = {"cpu": 2, "memory_gb": 8, "gpu": 1, "pools": {"db": 2}}
SEVERAL: Mapping[str, Any] = {
    "bins": [
        {"id": "x", "cpu": 2, "memory_gb": 4, "gpu": 2},
        {"id": "y", "cpu": 1, "memory_gb": 8},
        {"id": "z", "cpu": 2, "memory_gb": 2, "gpu": 1},
    ],
    "pools": {"db": 1},
}
ANOTHER = (False, *[True] * 7)

DEMANDS: Sequence[Mapping[str, Any]] = (
    {"cpu": 1},
    {"cpu": 2},
    {"cpu": 0.5, "memory_gb": 2},
    {"cpu": 1, "memory_gb": 8},
    {"cpu": 1, "gpu": 0.5},
    {"cpu": 0.5, "gpu": 0.7},
    {"cpu": 1, "gpu": 1},
    {"cpu": 1, "pools": {"db": 1}},
    {"cpu": 0, "pools": {"db": 1}},
    {"cpu": 2, "memory_gb": 2, "gpu": 0.3, "pools": {"db": 1}},
)
DEMANDS_OF_SEVERAL = (*DEMANDS, {"cpu": 1, "gpu": 2})


class Pick(Protocol):
    """Chooses one of several."""

    def __call__(self, options: Sequence[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """A night as a workload file would say it, and what goes wrong besides."""

    given: Mapping[str, Any]
    workload: Workload
    faults: Faults


def draw_night(pick: Pick, *, most: int = len(JOBS), with_faults: bool = True) -> Drawn:
    """A night of one to `most` tasks."""
    machine = pick((ONE, SEVERAL))
    demands = DEMANDS if machine is ONE else DEMANDS_OF_SEVERAL
    tasks = [_task(pick, 0, demands)]
    while len(tasks) < most and pick(
        ANOTHER
    ):  # asked before each, so that one in the middle can be shrunk away
        tasks.append(_task(pick, len(tasks), demands))
    given = {
        "capacity": dict(machine),
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": HORIZON_S,
        "checkpoint_overhead_s": pick((0, 60)),
        "retry_delay_s": pick((60, 0)),
        "tasks": tasks,
    }
    workload = make_workload(given)
    return Drawn(given, workload, _faults(pick, workload) if with_faults else Faults())


def _task(pick: Pick, place: int, demands: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    tier = pick((1, 2, 3))
    release_s = pick((0, 60, 299, 3600))
    back = {
        place - pick((1, 2, 3, 5)) for _ in range(pick((0, 0, 1, 2)))
    }  # drawn alike wherever the task stands
    degrade = pick(([], [], ["reduced", "skip"]))
    return {
        "id": JOBS[place],
        "tier": tier,
        "release_s": release_s,
        "demand": dict(pick(demands)),
        "after": [JOBS[before] for before in sorted(back) if before >= 0],
        "deadline_s": pick((None, release_s + 600, release_s + 3000, release_s + 9000)),
        "history_s": pick(([60], [300], [3000], [60, 600, 3600], [])),
        "duration_s": pick((60, 0, 900, 3000, 9000)),
        "failures": pick(([], [], [0.5], [0.1, 1])),
        "checkpoint_every_s": pick((None, 600, 60)),
        "timeout_s": pick((None, None, 20_000)),
        "degrade": degrade if tier > 1 else [],
    }


def _faults(pick: Pick, workload: Workload) -> Faults:
    def several(most: int) -> list[int]:
        found: list[int] = []
        while len(found) < most and pick((False, True)):
            found.append(workload.start_us + pick(SECONDS) * SECOND_US)
        return sorted(found)

    shares = (0.0, 0.3, 0.5, 0.99)
    spells = [
        Spell(
            at_us, at_us + pick((60, 3000, 20_000)) * SECOND_US, pick(("cores", "bin", "pools")), pick(shares)
        )
        for at_us in several(2)
    ]
    ids = [task.task_id for task in workload.plan.tasks]
    return Faults(
        losses=tuple(Loss(at_us, pick((False, True)), pick(shares)) for at_us in several(3)),
        restarts=tuple(Restart(at_us, pick(DEATHS)) for at_us in several(4)),
        steps=tuple(ClockStep(at_us, pick(STEPS_US)) for at_us in several(2)),
        repeats=tuple(Repeat(at_us, pick(shares)) for at_us in several(2)),
        late=pick((0, 0, 0.3)),
        hangs={pick(ids): (1,) for _ in range(pick((0, 0, 1)))},
        lying=pick((1, 0.2, 5)),
        saves_less=pick((1, 3)),
        changes=changes_with(workload.capacity, workload.changes, spells) if spells else None,
    )
