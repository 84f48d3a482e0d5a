"""The `Task` that a job function is given in a worker process (`prometheus.pipelines.task` says what it promises)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prometheus.executors.local import wire

if TYPE_CHECKING:
    from prometheus.core.ids import Json
    from prometheus.core.time import TradingCalendar

NO_OVERRIDES = "[]"  # as in `executors.contract`, which a worker need not import


def encode_value(what: str, value: object) -> str:
    """`value` as JSON text. Raises ValueError that says what is wrong with `what`."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply, or holds itself") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} is no JSON value: {error}") from None
    if len(text) > wire.VALUE_BYTES_AT_MOST:
        raise ValueError(
            f"{what} is {len(text):,} bytes of JSON, at most {wire.VALUE_BYTES_AT_MOST:,} are kept: "
            "write data to a store and return where it is"
        )
    return text


class WorkerTask:
    """One attempt of one job for one session, out of the order that the worker was sent."""

    __slots__ = ("_calendars", "_order", "_params", "_say")

    def __init__(self, order: Mapping[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        self._order = order
        self._say = say
        self._params: Mapping[str, Json] | None = None
        self._calendars: dict[str, TradingCalendar] = {}

    def __repr__(self) -> str:
        return f"<task {self.task_id}, attempt {self.attempt}>"

    @property
    def session(self) -> date:
        return date.fromisoformat(self._order["session"])

    @property
    def market(self) -> str:
        return str(self._order["market"])

    @property
    def name(self) -> str:
        return str(self._order["job"])

    @property
    def run_id(self) -> str:
        return str(self._order["run_id"])

    @property
    def task_id(self) -> str:
        return str(self._order["task_id"])

    @property
    def attempt(self) -> int:
        return int(self._order["attempt"])

    @property
    def params(self) -> Mapping[str, Json]:
        if self._params is None:
            self._params = MappingProxyType(json.loads(self._order["params"]))
        return self._params

    @property
    def mode(self) -> str:
        return str(self._order["mode"])

    @property
    def resume(self) -> Json:
        text = self._order["resume"]
        return None if text is None else json.loads(text)

    @property
    def pin(self) -> str:
        return str(self._order["pin"])

    def calendar(self, market: str | None = None) -> TradingCalendar:
        market = self.market if market is None else market
        if market not in self._calendars:
            from datetime import UTC, datetime, timedelta

            from prometheus.core.time import TradingCalendar, current_book

            install_overrides(self._order["overrides"])
            known_at_us = self._order["known_at_us"]
            known_at = None
            if known_at_us is not None:
                known_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=known_at_us)
            self._calendars[market] = TradingCalendar(market, known_at=known_at, book=current_book())
        return self._calendars[market]

    def output(self, job: str | Callable[..., object]) -> Json:
        outputs: Mapping[str, str] = self._order["outputs"]
        name = job if isinstance(job, str) else self._job_of(job)
        if name in outputs:
            return json.loads(outputs[name])
        from prometheus.core.errors import UserError

        raise UserError(
            f"job {self.name!r} asks for the output of {name!r}, which is not upstream of it",
            allowed=", ".join(sorted(outputs)) or "none: it comes after no job",
            hint=f"declare it: after=[{name!r}]",
        )

    def checkpoint(self, state: Json) -> None:
        self._say({"kind": "checkpoint", "state": encode_value("the state of a checkpoint", state)})

    def _job_of(self, function: Callable[..., object]) -> str:
        names: Mapping[str, str] = self._order["job_names"]
        qualname = getattr(function, "__qualname__", repr(function))
        return names.get(f"{getattr(function, '__module__', '')}:{qualname}") or names.get(qualname, qualname)


_installed_overrides = NO_OVERRIDES


def install_overrides(overrides: str) -> None:
    """Make bare calendars in this process see the run's overrides too; done once for each set of them."""
    global _installed_overrides
    if overrides == _installed_overrides:
        return
    from prometheus.core.calendar_book import load_table
    from prometheus.core.time import CalendarBook, install_book

    path = os.environ.get("PROMETHEUS_CALENDAR_TABLE")  # the desk's own, as its settings name it
    table = None
    if path and overrides != NO_OVERRIDES:
        with open(path, "rb") as file:
            table = load_table(file.read())
    install_book(None if overrides == NO_OVERRIDES else CalendarBook.from_json(overrides, table))
    _installed_overrides = overrides


if TYPE_CHECKING:
    from prometheus.pipelines.task import Task

    def _is_a_task(task: WorkerTask) -> Task:
        return task
