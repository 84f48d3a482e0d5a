"""When is the next forecast made, and what becomes of its answer? It must never harm the night.

A forecast is made in a process of its own, never more than one at a time, after events that matter. Between two of them
lies many times what the last one took, so that looking ahead costs a small share of one core. One that dies, hangs or says
rubbish is told of once and tried again later.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prometheus.core.errors import StoreError
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.ledger.encoding import event_of
from prometheus.orchestrator.clock import monotonic_us
from prometheus.orchestrator.forecaster import Ask
from prometheus.orchestrator.loading import environment_of_ours
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, JudgeSlo
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    ForecastMade,
    RunOpened,
    TaskAsked,
)

COMMAND = (sys.executable, "-P", "-m", "prometheus.orchestrator.forecaster")
SETTLING_US = 2 * SECOND_US  # what matters seldom comes alone
SPARE = 19  # times what the last forecast took lies before the next: a twentieth of the cores that drew it
SPARE_IN_TROUBLE = 4
LIMIT_SECONDS = 60.0  # of one forecast; it has enough samples in a quarter of that
FIRST_RETRY_US = 30 * SECOND_US
LAST_RETRY_US = 10 * MINUTE_US
ANSWER_AT_MOST = 4_000_000  # bytes


class Pace:
    """When the next forecast is due, by what was asked for and what the last one took. Instants are monotonic."""

    def __init__(self) -> None:
        self.due_us: int | None = None
        self._free_us = 0  # not before this instant
        self._urgent_us = 0  # nor before this one, whatever happens
        self._failures = 0

    def want(self, now_us: int, is_urgent: bool) -> None:
        """Something has happened that a forecast should know of."""
        due_us = max(now_us + SETTLING_US, self._urgent_us if is_urgent else self._free_us)
        self.due_us = due_us if self.due_us is None else min(self.due_us, due_us)

    def made(self, now_us: int, took_us: int) -> None:
        """A forecast has come."""
        self._failures = 0
        self._free_us, self._urgent_us = now_us + SPARE * took_us, now_us + SPARE_IN_TROUBLE * took_us

    def failed(self, now_us: int) -> bool:
        """None has come, and the next is tried later each time; True when this is the first failure after a success."""
        wait_us = min(FIRST_RETRY_US << min(self._failures, 10), LAST_RETRY_US)
        self._failures += 1
        self._free_us = self._urgent_us = self.due_us = now_us + wait_us
        return self._failures == 1


@dataclass(frozen=True, slots=True)
class Answered:
    """What a forecaster's process left behind."""

    output: bytes
    took_us: int
    is_late: bool  # it was ended because it took too long


class Forecasting:
    """The forecasts of one run, as its driver wants them: told of turns, asked for answers."""

    def __init__(
        self,
        ask: Ask,
        scheduler: Scheduler,
        tiers: Mapping[str, int],
        now_us: Callable[[], int],
        *,
        every_us: int,
        wake: Callable[[], None],
        tell: Callable[[str], None],
        command: Sequence[str] = COMMAND,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        """`ask` is what later questions differ from in their instant alone, `tiers` those of the run's tasks.

        `now_us` is the run's clock; `wake` is called from a thread.
        """
        self._ask, self._scheduler, self._tiers = ask, scheduler, tiers
        self._now_us, self._every_us, self._wake, self._tell = now_us, every_us, wake, tell
        self._command, self._limit_seconds = command, limit_seconds
        self.pace = Pace()
        self._last_us = now_us()  # on the run's clock
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._answered: Answered | None = None
        self._is_told = False

    def heard(self, events: Sequence[Event], decisions: Sequence[Decision]) -> None:
        """A turn has been committed."""
        is_own = any(type(event) is ForecastMade for event in events)
        urgent = wanted = False
        for event in events:
            match event:
                case AttemptFailed():
                    urgent |= self._tiers.get(event.task_id) == 1
                case AttemptSucceeded():
                    wanted |= self._tiers.get(event.task_id) == 1
                case CapacityChanged() | TaskAsked():
                    urgent = True
                case RunOpened():
                    wanted = True
                case _:
                    pass
        urgent |= not is_own and any(type(decision) is JudgeSlo for decision in decisions)
        if wanted or urgent:
            self.pace.want(monotonic_us(), urgent)

    def idle_for_us(self) -> int | None:
        """How long nothing needs to be done here; None = until something is heard or `wake` is called."""
        if self._process is not None:
            return None
        if self.pace.due_us is None:
            return max(0, self._every_us - (self._now_us() - self._last_us))
        return max(0, self.pace.due_us - monotonic_us())

    def look(self) -> ForecastMade | None:
        """The answer if one has come; else the next forecast is begun if it is due."""
        if self._answered is not None:
            return self._take(self._answered)
        if self._process is not None:
            return None
        if self.pace.due_us is None and self._now_us() - self._last_us >= self._every_us:
            self._last_us = self._now_us()
            if any(one.plan.tier == 1 for one in self._scheduler.standings()):
                self.pace.want(monotonic_us(), is_urgent=False)
        if self.pace.due_us is not None and self.pace.due_us <= monotonic_us():
            self.pace.due_us = None
            if self._scheduler.open_slos():
                self._begin()
        return None

    def close(self) -> None:
        """End a forecaster that still works; nothing outlives the run."""
        if self._process is not None:
            self._process.kill()
        if self._reader is not None:
            self._reader.join()
        self._process = self._reader = None

    def _begin(self) -> None:
        self._last_us = self._now_us()
        question = replace(self._ask, now_us=self._last_us).to_json().encode() + b"\n"
        try:
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment_of_ours(),
                start_new_session=True,
            )
        except OSError as error:
            self._fail(f"it cannot be started: {error.strerror}")
            return
        self._reader = threading.Thread(target=self._wait, args=(process, question), daemon=True)
        self._reader.start()

    def _wait(self, process: subprocess.Popen[bytes], question: bytes) -> None:
        """In a thread of its own: ask, read until the end or for so long, and wake the driver."""
        assert process.stdin is not None, "it was opened with pipes"
        assert process.stdout is not None, "it was opened with pipes"
        begun_us = monotonic_us()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._limit_seconds, end)
        timer.start()
        output = b""
        with suppress(OSError, ValueError):  # it has died before it was asked
            process.stdin.write(question)
            process.stdin.flush()
        with suppress(OSError, ValueError):
            output = process.stdout.read(ANSWER_AT_MOST)
        process.kill()  # it has answered, or says more than an answer can be
        process.wait()
        timer.cancel()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()
        self._answered = Answered(output, monotonic_us() - begun_us, late.is_set())
        self._wake()

    def _take(self, answered: Answered) -> ForecastMade | None:
        self._process = self._reader = self._answered = None
        if answered.is_late:
            self._fail(f"it had not ended after {self._limit_seconds:g} s")
            return None
        try:
            made = read_answer(answered.output)
        except ValueError as error:
            self._fail(str(error))
            return None
        self.pace.made(monotonic_us(), answered.took_us)
        if self._is_told:
            self._is_told = False
            self._tell("")
        return replace(made, at_us=max(self._now_us(), made.made_us))

    def _fail(self, why: str) -> None:
        """Told once; until one comes again, later failures only put the next try further off."""
        if self.pace.failed(monotonic_us()):
            self._is_told = True
            self._tell(f"no forecast for now, the run goes on without: {why}")


def read_answer(output: bytes) -> ForecastMade:
    """The forecast that a forecaster printed; `ValueError` that says what it printed instead."""
    if not output:
        raise ValueError("the forecaster died")
    try:
        said = json.loads(output)
    except ValueError:
        raise ValueError(f"the forecaster said {output[:80].decode(errors='replace')!r}") from None
    if isinstance(said, dict) and "error" in said:
        raise ValueError(f"the forecaster failed: {str(said['error'])[:200]}")
    try:
        _Forecast.model_validate_json(output)  # as JSON: a list there may be a tuple here
        made = event_of(said)
    except (ValidationError, StoreError) as error:
        raise ValueError(f"the forecaster said what no forecast can be: {str(error)[:200]}") from None
    assert isinstance(made, ForecastMade), "it was looked at"
    return made


# What comes from another process is believed as far as this goes.
_Instant = Annotated[int, Field(ge=0, lt=1 << 62)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Promise(_Part):
    slo_id: str
    miss: _Share
    p50_us: _Instant | None
    p90_us: _Instant | None
    p99_us: _Instant | None
    critical: list[tuple[str, _Share]]
    known: _Share


class _Forecast(_Part):
    v: Literal[1]
    k: Literal["ForecastMade"]
    at_us: _Instant
    made_us: _Instant
    samples: Annotated[int, Field(ge=1)]
    slos: list[_Promise]
