"""The benchmark's nights of any size, here of a few hundred tasks: a seed is a file, and a night comes to its end."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from bench.world import WORLDS, write
from prometheus.orchestrator.simulation.plain import Reader
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload

SIZE = 600


def written(kind: str, seed: int = 0) -> str:
    file = io.StringIO()
    write(file, kind, SIZE, seed, 0.9)
    return file.getvalue()


@pytest.mark.parametrize("kind", WORLDS)
def test_a_night_has_the_size_that_was_asked_for_and_every_task_ends(kind: str) -> None:
    given: dict[str, Any] = json.loads(written(kind))
    assert len(given["tasks"]) == SIZE
    assert all(Reader().by_hand(task) for task in given["tasks"]), "a million of them need no model each"
    result = simulate(make_workload(given))
    assert sum(life.end_us is not None for life in result.lives.values()) == SIZE


def test_the_same_seed_is_the_same_file_and_another_seed_is_not() -> None:
    assert written("markets") == written("markets")
    assert written("markets") != written("markets", seed=1)


def test_there_are_at_most_thirty_shapes_of_demand_and_sixty_closes() -> None:
    tasks = json.loads(written("markets"))["tasks"]
    assert len({json.dumps(task["demand"]) for task in tasks}) <= 30
    assert len({task["release_s"] for task in tasks if task["tier"] == 1}) == 60
