"""What the night found out about each dataset of its session, where engines and people look it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from prometheus.core.ids import Json
from prometheus.data_ingestion.validation.findings import Finding, quality_of
from prometheus.stores.desk import Desk


@dataclass(frozen=True, slots=True)
class DatasetVerdict:
    """One dataset on one session: findings, and how many rows came, stayed, and broke each rule."""

    dataset: str
    findings: tuple[Finding, ...]
    rows: int
    clean: int
    quarantined: Mapping[str, int]

    def as_json(self) -> dict[str, Json]:
        return {
            "verdict": quality_of(self.findings),
            "findings": [finding.text for finding in self.findings],
            "counts": {"rows": self.rows, "clean": self.clean, "quarantined": dict(self.quarantined)},
        }


def record_verdicts(desk: Desk, session: date, verdicts: Sequence[DatasetVerdict]) -> None:
    """Keep the verdicts in `data_quality`, in place of earlier ones of the same session and datasets."""
    market = desk.writer.market
    with desk.writer.commit() as connection:
        for verdict in verdicts:
            key = {"as_of_date": session, "market_id": market, "dataset": verdict.dataset}
            row = {**verdict.as_json(), "run_id": desk.writer.run_id}
            desk.runtime.replace(connection, "data_quality", key, [row])
