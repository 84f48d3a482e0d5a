"""The states that tasks, attempts, runs and SLOs are in, and which may follow which.

The tables are the law: the scheduler asserts every step of a task against `NEXT`, and the diagrams in the docs are
drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"  # for its release or for tasks before it
    READY = "ready"  # only for room, or for its turn
    STARTING = "starting"  # ordered to start; the executor has not said that it began
    RUNNING = "running"
    STOPPING = "stopping"  # told to stop; the executor has not said that it ended
    BACKING_OFF = "backing_off"  # an attempt failed; the next may begin later
    HELD = "held"  # an operator holds it
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"  # done in a degraded mode
    FAILED = "failed"  # no attempt is left
    BLOCKED = "blocked"  # a task before it failed
    SKIPPED = "skipped"  # closed without work, by its ladder or an operator; what follows goes on
    CANCELLED = "cancelled"

    # As text hashes. Enum's own hash is a Python function, and states are looked up in the tables below all the time.
    __hash__ = str.__hash__


# The states by their names alone: in Python 3.11 it costs as much as a call to look one up in its class.
WAITING: Final = TaskState.WAITING
READY: Final = TaskState.READY
STARTING: Final = TaskState.STARTING
RUNNING: Final = TaskState.RUNNING
STOPPING: Final = TaskState.STOPPING
BACKING_OFF: Final = TaskState.BACKING_OFF
HELD: Final = TaskState.HELD
SUCCEEDED: Final = TaskState.SUCCEEDED
DEGRADED: Final = TaskState.DEGRADED
FAILED: Final = TaskState.FAILED
BLOCKED: Final = TaskState.BLOCKED
SKIPPED: Final = TaskState.SKIPPED
CANCELLED: Final = TaskState.CANCELLED


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"  # done, with something degraded or skipped
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    """Where one try of a task stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # for the reason that its `failure` names


class SloState(StrEnum):
    """What is known of a promise."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"  # the forecast misses it too often
    WILL_MISS = "will_miss"  # the forecast misses it nearly always, or a task that it needs has failed
    RECOVERED = "recovered"  # was at risk or would have missed, and is on track again
    MET = "met"
    MISSED = "missed"  # the deadline has passed; stays missed, with `finished` when it is done after all


class StopCause(StrEnum):
    """Why a running attempt is told to stop."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"


DONE = frozenset({SUCCEEDED, DEGRADED, SKIPPED})  # what follows may go on
ENDED = DONE | {FAILED, BLOCKED, CANCELLED}
HOLDING_ROOM = frozenset({STARTING, RUNNING, STOPPING})

NEXT: Mapping[TaskState, frozenset[TaskState]] = {
    WAITING: frozenset({READY, HELD, BLOCKED, SKIPPED, CANCELLED, SUCCEEDED}),
    READY: frozenset({STARTING, WAITING, HELD, SKIPPED, CANCELLED, SUCCEEDED, BLOCKED}),
    STARTING: frozenset({RUNNING, STOPPING, SUCCEEDED, DEGRADED, BACKING_OFF, FAILED, SKIPPED, CANCELLED}),
    RUNNING: frozenset({STOPPING, SUCCEEDED, DEGRADED, BACKING_OFF, FAILED, SKIPPED, CANCELLED}),
    STOPPING: frozenset({SUCCEEDED, DEGRADED, BACKING_OFF, FAILED, SKIPPED, CANCELLED}),
    BACKING_OFF: frozenset({READY, HELD, SKIPPED, CANCELLED, SUCCEEDED}),
    HELD: frozenset({WAITING, READY, BLOCKED, SKIPPED, CANCELLED, SUCCEEDED}),
    FAILED: frozenset({READY, SKIPPED, SUCCEEDED}),
    BLOCKED: frozenset({WAITING, SKIPPED, CANCELLED, SUCCEEDED}),
    CANCELLED: frozenset({WAITING, READY, SKIPPED, SUCCEEDED}),
    SUCCEEDED: frozenset(),
    DEGRADED: frozenset({READY, WAITING}),  # only when it is asked for again
    SKIPPED: frozenset({READY, WAITING}),
}
