"""Facts in the past tense, each with the instant at which it became known here.

The union is closed: `match` on it and end with `assert_never`. A fact about an attempt carries its number, so a late
one is merely stale. Facts may be repeated; the scheduler takes the first and ignores the rest.
"""

from __future__ import annotations

from enum import StrEnum

from prometheus.core.demand import Capacity
from prometheus.core.values import value
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import StopCause


class Failure(StrEnum):
    """Why an attempt ended without success."""

    ERROR = "error"  # the job raised, or its command ended with a code other than 0 and 75
    TRY_AGAIN = "try_again"  # exit code 75: nothing is wrong, it is too early
    TIMEOUT = "timeout"  # stopped because it ran longer than its timeout
    MEMORY = "memory"  # stopped because it used more memory than it may
    CRASH = "crash"  # the process died by a signal that was not ours
    REFUSED = "refused"  # could not begin: code missing or of another hash
    LOST = "lost"  # nobody knows: its worker or the scheduler died
    CANCELLED = "cancelled"  # stopped because an operator or a rule asked
    PREEMPTED = "preempted"  # stopped to make room for a higher tier


FAILURE_OF: dict[StopCause, Failure] = {
    StopCause.TIMEOUT: Failure.TIMEOUT,
    StopCause.CANCELLED: Failure.CANCELLED,
    StopCause.PREEMPTED: Failure.PREEMPTED,
}


class Verb(StrEnum):
    """What an operator may ask of a task."""

    RETRY = "retry"
    SKIP = "skip"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    MARK_DONE = "mark-done"


@value
class CapacityChanged:
    """What may be in use at once is this from now on, until the first of the changes that are announced with it."""

    at_us: int
    capacity: Capacity
    coming: tuple[tuple[int, Capacity], ...] = ()  # (instant, what it is from then on), ascending


@value
class RunOpened:
    """A pipeline is to be run for a session."""

    at_us: int
    run: RunPlan


@value
class AttemptStarted:
    """The executor says that the attempt has begun."""

    at_us: int
    task_id: str
    attempt: int


@value
class AttemptCheckpointed:
    """The attempt saved a state that a later one may resume from."""

    at_us: int
    task_id: str
    attempt: int
    state: str  # JSON text


@value
class AttemptSucceeded:
    """The attempt ended well."""

    at_us: int
    task_id: str
    attempt: int
    output: str = "null"  # JSON text
    cpu_us: int | None = None  # processor time used, where it could be measured
    peak_mib: int | None = None  # most memory in use at once


@value
class AttemptFailed:
    """The attempt ended without success."""

    at_us: int
    task_id: str
    attempt: int
    failure: Failure
    message: str  # one line for people
    tail: str = ""  # the last lines of its output
    cpu_us: int | None = None
    peak_mib: int | None = None


@value
class TaskAsked:
    """An operator, or a face on a user's behalf, asked something of a task."""

    at_us: int
    task_id: str
    verb: Verb
    reason: str
    by: str


@value
class SloForecast:
    """What the samples of a forecast say of one promise. Instants are None where so many samples never finish it."""

    slo_id: str
    miss: float  # share of the samples that miss it, recalibrated if the forecaster does so: 0..1
    p50_us: int | None  # instants by which half, 90 % and 99 % of the samples have it finished
    p90_us: int | None
    p99_us: int | None
    critical: tuple[
        tuple[str, float], ...
    ] = ()  # (task, share of samples in which it was critical), most first
    known: float = (
        1.0  # share of the tasks that it still waits for whose past is known; 0 = all of it is a guess
    )


@value
class ForecastMade:
    """The forecaster ran this scheduler ahead from where it stood at `made_us`, so many times."""

    at_us: int
    made_us: int
    samples: int
    slos: tuple[SloForecast, ...]


@value
class TimePassed:
    """Nothing happened but that an instant which the scheduler waited for is here."""

    at_us: int


Event = (
    CapacityChanged
    | RunOpened
    | AttemptStarted
    | AttemptCheckpointed
    | AttemptSucceeded
    | AttemptFailed
    | TaskAsked
    | ForecastMade
    | TimePassed
)
