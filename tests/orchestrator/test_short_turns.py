"""A turn that looks only at what may have changed is short: it says what a whole one would have said."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.events import Event
from prometheus.scheduler.policies import POLICIES
from tools.proof.drawing import draw_night

NIGHTS = 250


class Twice(Scheduler):
    """Beside the first a second one, whose turns are never short."""

    second: Scheduler | None = None

    def handle(self, events: Sequence[Event]) -> list[Decision]:
        if self.second is None:
            self.second = Scheduler(self._books.seed, self._books.policy)
        said = super().handle(events)
        books = self.second._books
        books.answered_us = books.answered_room = -1
        books.walled.clear()
        for queue in books.queues:
            queue.told = None
        assert self.second.handle(events) == said
        return said


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_short_turns_say_what_whole_ones_would(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prometheus.orchestrator.simulation.simulate.Scheduler", Twice)
    for seed in range(NIGHTS if policy == "reserving" else NIGHTS // 5):
        night = draw_night(random.Random(seed).choice, with_faults=False)
        simulate(night.workload, policy=POLICIES[policy], seed=seed)
