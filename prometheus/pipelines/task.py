"""What a job is given: the one argument of every job function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Protocol

from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar


class Task(Protocol):
    """One attempt of one job for one session, as the job function sees it."""

    @property
    def session(self) -> date:
        """The session label that this run is about."""

    @property
    def market(self) -> str:
        """The market id of the pipeline."""

    @property
    def name(self) -> str:
        """The job's name."""

    @property
    def run_id(self) -> str: ...

    @property
    def task_id(self) -> str: ...

    @property
    def attempt(self) -> int:
        """Number of this try, from 1; it rises with each try and fences the writes of earlier ones."""

    @property
    def params(self) -> Mapping[str, Json]:
        """The job's declared `params`."""

    @property
    def mode(self) -> str:
        """The mode: `full`, or the degraded one that the scheduler chose."""

    @property
    def resume(self) -> Json:
        """What the last `checkpoint` of an earlier attempt saved, or None."""

    @property
    def pin(self) -> str:
        """Content hash that this run is pinned to: declaration, sources and environment."""

    def calendar(self, market: str | None = None) -> TradingCalendar:
        """The trading calendar of `market` (default: the run's) as it was known when the run was opened."""

    def output(self, job: str | Callable[..., object]) -> Json:
        """The JSON value that an upstream job returned; `UserError` if that job is not upstream of this one."""

    def checkpoint(self, state: Json) -> None:
        """Save a small JSON value that a later attempt finds in `resume`."""
