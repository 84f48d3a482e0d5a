"""The stores as one attempt of one job sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date

import polars as pl
import sqlalchemy as sa

from prometheus.core.settings import Settings, load_settings
from prometheus.pipelines.task import Task
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId, WriteResult
from prometheus.stores.runtime import Claim, RuntimeDb


@dataclass(frozen=True, slots=True)
class TaskWriter:
    """The one way for a job to write: every write carries the attempt's claim."""

    historical: HistoricalDb
    runtime: RuntimeDb
    claim: Claim
    run_id: str
    task: str
    pin: str
    market: str

    def write_days(
        self,
        table: str,
        frame: pl.DataFrame,
        *,
        days: Collection[date] | None = None,
        stamps: Mapping[date, int | None] | None = None,
    ) -> WriteResult:
        """`HistoricalDb.write_days`, after a look that no later attempt has taken over."""
        with self.runtime.commit(self.claim):
            pass
        write = WriteId(self.run_id, self.task, table, self.claim.attempt, self.pin)
        return self.historical.write_days(table, frame, write, days=days, market=self.market, stamps=stamps)

    def commit(self) -> AbstractContextManager[sa.Connection]:
        """One transaction on runtime_db that is kept only if this attempt still holds the claim."""
        return self.runtime.commit(self.claim)


@dataclass(frozen=True, slots=True)
class Desk:
    """Both stores, and the writer of this attempt."""

    historical: HistoricalDb
    runtime: RuntimeDb
    writer: TaskWriter
    settings: Settings

    def as_of(self, day: date) -> HistoricalView:
        """What the task's market knew at the end of `day`."""
        return self.historical.as_of(day, market=self.writer.market)


def open_desk(task: Task, settings: Settings | None = None) -> Desk:
    """The desk of `task`'s settings, with the claim of its attempt raised.

    Raises `ClaimLostError` if a later attempt of the task has begun.
    """
    settings = load_settings() if settings is None else settings
    historical = HistoricalDb(settings.historical_path)
    runtime = RuntimeDb(settings.runtime_url)
    claim = runtime.claim(task.task_id, task.attempt)
    writer = TaskWriter(historical, runtime, claim, task.run_id, task.name, task.pin, task.market)
    return Desk(historical, runtime, writer, settings)
