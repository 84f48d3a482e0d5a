"""A decision as it is kept: its id is the hash of what was decided, from what, by which configuration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from prometheus.core.ids import Json, content_hash


@dataclass(frozen=True, slots=True)
class Decision:
    """What an engine decided for a date. Refs and action are JSON values; nothing in them depends on clock or chance.

    `context_id` is one for all engines of a night; `input_refs` and `output_refs` name tables, keys and decision ids.
    """

    engine: str
    context_id: str
    as_of_date: date
    market_id: str
    config_id: str
    input_refs: Json
    output_refs: Json
    proposed_action: Json
    run_id: str
    task: str

    @property
    def decision_id(self) -> str:
        """32 hex digits: equal decisions have equal ids, on any machine and in any run."""
        return content_hash(
            {
                "engine": self.engine,
                "context_id": self.context_id,
                "as_of_date": self.as_of_date.isoformat(),
                "market_id": self.market_id,
                "config_id": self.config_id,
                "input_refs": self.input_refs,
                "proposed_action": self.proposed_action,
            }
        )[:32]

    def row(self) -> dict[str, Any]:
        """The row of `engine_decisions`."""
        return {
            "decision_id": self.decision_id,
            "engine": self.engine,
            "context_id": self.context_id,
            "as_of_date": self.as_of_date,
            "market_id": self.market_id,
            "config_id": self.config_id,
            "input_refs": self.input_refs,
            "output_refs": self.output_refs,
            "proposed_action": self.proposed_action,
            "run_id": self.run_id,
            "task": self.task,
        }
