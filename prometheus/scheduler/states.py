"""The states that tasks, attempts, runs and SLOs are in, and which may follow which.

The tables are the law: the scheduler asserts every step of a task against `NEXT`, and the diagrams in the docs are
drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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
    WILL_MISS = "will_miss"  # a task it needs has failed; a retry puts it back on track
    MET = "met"
    MISSED = "missed"  # the deadline has passed; stays missed, with `finished` when it is done after all


class StopCause(StrEnum):
    """Why a running attempt is told to stop."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"


DONE = frozenset({TaskState.SUCCEEDED, TaskState.DEGRADED, TaskState.SKIPPED})  # what follows may go on
ENDED = DONE | {TaskState.FAILED, TaskState.BLOCKED, TaskState.CANCELLED}
HOLDING_ROOM = frozenset({TaskState.STARTING, TaskState.RUNNING, TaskState.STOPPING})

NEXT: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset(
        {
            TaskState.READY,
            TaskState.HELD,
            TaskState.BLOCKED,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
            TaskState.SUCCEEDED,
        }
    ),
    TaskState.READY: frozenset(
        {
            TaskState.STARTING,
            TaskState.WAITING,
            TaskState.HELD,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
            TaskState.SUCCEEDED,
            TaskState.BLOCKED,
        }
    ),
    TaskState.STARTING: frozenset(
        {
            TaskState.RUNNING,
            TaskState.STOPPING,
            TaskState.SUCCEEDED,
            TaskState.DEGRADED,
            TaskState.BACKING_OFF,
            TaskState.FAILED,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.RUNNING: frozenset(
        {
            TaskState.STOPPING,
            TaskState.SUCCEEDED,
            TaskState.DEGRADED,
            TaskState.BACKING_OFF,
            TaskState.FAILED,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.STOPPING: frozenset(
        {
            TaskState.SUCCEEDED,
            TaskState.DEGRADED,
            TaskState.BACKING_OFF,
            TaskState.FAILED,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.BACKING_OFF: frozenset(
        {TaskState.READY, TaskState.HELD, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.SUCCEEDED}
    ),
    TaskState.HELD: frozenset(
        {
            TaskState.WAITING,
            TaskState.READY,
            TaskState.BLOCKED,
            TaskState.SKIPPED,
            TaskState.CANCELLED,
            TaskState.SUCCEEDED,
        }
    ),
    TaskState.FAILED: frozenset({TaskState.READY, TaskState.SKIPPED, TaskState.SUCCEEDED}),
    TaskState.BLOCKED: frozenset(
        {TaskState.WAITING, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.SUCCEEDED}
    ),
    TaskState.CANCELLED: frozenset(
        {TaskState.WAITING, TaskState.READY, TaskState.SKIPPED, TaskState.SUCCEEDED}
    ),
    TaskState.SUCCEEDED: frozenset(),
    TaskState.DEGRADED: frozenset(),
    TaskState.SKIPPED: frozenset(),
}
