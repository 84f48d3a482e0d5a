"""The task that feature and engine jobs are given in tests: a value, no worker behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar


@dataclass(frozen=True, slots=True)
class NightTask:
    """A task value: what a run would hand to a job."""

    session: date
    name: str
    attempt: int = 1
    market: str = "US_EQ"
    mode: str = "full"
    resume: Json = None
    pin: str = "0" * 64
    params: Mapping[str, Json] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return f"us_eq_daily.{self.session.isoformat()}"

    @property
    def task_id(self) -> str:
        return f"{self.run_id}.{self.name}"

    def calendar(self, market: str | None = None) -> TradingCalendar:
        return TradingCalendar(market or self.market)

    def output(self, job: str | Callable[..., object]) -> Json:
        raise AssertionError(f"features and engines read the stores, not the output of {job}")

    def checkpoint(self, state: Json) -> None:
        raise AssertionError(f"features and engines are short and keep no {state}")
