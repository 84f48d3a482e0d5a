"""A task whose worker ends at a checkpoint, to be taken up from there."""

from __future__ import annotations

from dataclasses import dataclass, field

from night_task import NightTask

from prometheus.core.ids import Json


class EndOfWorkerError(Exception):
    """The worker ended here."""


@dataclass(frozen=True, slots=True)
class ResearchTask(NightTask):
    """A task whose worker ends at its checkpoint number `stop_at`, right after it was saved."""

    saved: list[Json] = field(default_factory=list)
    stop_at: int = 0

    def checkpoint(self, state: Json) -> None:
        self.saved.append(state)
        if len(self.saved) == self.stop_at:
            raise EndOfWorkerError
