"""Orders and verdicts of the scheduler, each with its reason.

The union is closed. `StartAttempt` and `StopAttempt` are obeyed by an executor, after the commit of the turn and
idempotently on (task, attempt); the others are what the scheduler has concluded, and are what the ledger's rows say.
"""

from __future__ import annotations

from prometheus.core.values import value
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState


@value
class StartAttempt:
    """Begin this attempt in this bin."""

    at_us: int
    task_id: str
    attempt: int  # from 1, rising
    bin_id: str
    devices: tuple[int, ...]  # indexes of the GPUs in its bin: none, one for a share, several whole ones
    mode: str  # "full" or a rung of the task's ladder
    reason: str


@value
class StopAttempt:
    """End this attempt."""

    at_us: int
    task_id: str
    attempt: int
    cause: StopCause
    reason: str


@value
class SetTask:
    """The task is in this state from now on."""

    at_us: int
    task_id: str
    state: TaskState
    reason: str
    not_before_us: int | None = None  # with `backing_off`: when the next attempt may begin


@value
class RefuseStart:
    """The head of a queue cannot start now; said again only when the reason changes."""

    at_us: int
    task_id: str
    reason: str


@value
class CloseRun:
    """No task of the run can go on."""

    at_us: int
    run_id: str
    state: RunState
    reason: str


@value
class JudgeSlo:
    """What is now known of a promise."""

    at_us: int
    slo_id: str
    state: SloState
    finished_us: int | None  # when the last of its tasks was done
    reason: str


@value
class SetPressure:
    """A forecast presses the lower tiers, or does so no longer: `level` is in force from now on.

    0 = nothing; n = Tier 3 is held, and Tier 2 that would be late in full is on rung n of its ladders.
    """

    at_us: int
    level: int
    slo_id: str  # the promise that it is for
    miss: float  # its P(miss) by the forecast: 0..1
    made_us: int  # from where that forecast looked ahead
    reason: str


Decision = StartAttempt | StopAttempt | SetTask | RefuseStart | CloseRun | JudgeSlo | SetPressure
