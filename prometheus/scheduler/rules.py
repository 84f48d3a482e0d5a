"""The rules, each a pure function named by its question."""

from __future__ import annotations

import hashlib

from prometheus.core.instants import DAY_US, SECOND_US, format_duration
from prometheus.scheduler.events import Failure
from prometheus.scheduler.plan import TaskPlan

LOST_LIMIT = 5  # attempts that vanished before the task is given up: the job may be what kills its machine
BACKOFF_LIMIT_US = DAY_US // 24
NEVER_US = 1 << 61  # an instant that does not come; an int that a machine's word holds

_UNCOUNTED = frozenset({Failure.LOST, Failure.PREEMPTED, Failure.CANCELLED})


def counts_against_retries(failure: Failure) -> bool:
    """False for endings that were not the job's own doing."""
    return failure not in _UNCOUNTED


def what_after_failure(plan: TaskPlan, failure: Failure, failures: int, lost: int) -> tuple[str | None, str]:
    """The mode of the next attempt ("skip" = close without work, None = give up), and why.

    `failures` and `lost` count the endings since the task was last asked to run, this one included. A lost attempt is
    repeated; a failed one is retried `plan.retries` times, then the ladder of degraded modes is climbed.
    """
    if failure is Failure.LOST:
        if lost >= LOST_LIMIT:
            return None, f"given up: lost {lost} times, which looks as if the job brings its machine down"
        return mode_after(plan, failures), "its worker was lost: run again"
    if failure is Failure.PREEMPTED:
        return mode_after(plan, failures), "made room for a higher tier: run again"
    if failure is Failure.REFUSED:
        return None, "given up: it cannot begin, and trying again would not change that"
    if failures <= plan.retries:
        return "full", f"retry {failures} of {plan.retries}"
    rung = failures - plan.retries - 1
    if rung < len(plan.ladder):
        mode = plan.ladder[rung]
        return mode, f"no retry left: degraded to {mode!r}"
    return None, f"given up after {failures} failed {'attempt' if failures == 1 else 'attempts'}"


def keeps_its_age(failure: Failure, saved_us: int | None) -> bool:
    """Whether a task waits on as if the attempt that ended so had not been: nothing was saved, by no fault of its own."""
    return failure in (Failure.PREEMPTED, Failure.LOST) and saved_us is None


def mode_after(plan: TaskPlan, failures: int) -> str:
    """The mode that an attempt runs in after so many counted failures."""
    rung = failures - plan.retries - 1
    if rung < 0 or not plan.ladder:
        return "full"
    return plan.ladder[min(rung, len(plan.ladder) - 1)]


def how_long_to_back_off(plan: TaskPlan, failure: Failure, failures: int, slack_us: int, seed: int) -> int:
    """Microseconds to wait before the next attempt.

    Exponential from `plan.backoff_us` with a jitter of +-25 % that depends only on seed, task and number, at most one
    hour, and never so long that the latest start would pass while waiting. When it has passed, Tier 1 tries at once as
    long as that can still help; what asked to be tried again later is not hurried. A lost worker costs no wait.
    """
    if failure in (Failure.LOST, Failure.PREEMPTED) or plan.backoff_us == 0:
        return 0
    digest = hashlib.blake2b(f"{seed}/{plan.task_id}/{failures}".encode(), digest_size=4).digest()
    jitter = 0.75 + 0.5 * int.from_bytes(digest, "big") / 2**32
    wait = int(min(plan.backoff_us << min(failures - 1, 30), BACKOFF_LIMIT_US) * jitter)
    if slack_us > 0:
        return min(wait, max(slack_us, SECOND_US))
    is_urgent = plan.tier == 1 and failure is not Failure.TRY_AGAIN
    return 0 if is_urgent and can_be_in_time(plan, slack_us) else wait


def can_be_in_time(plan: TaskPlan, slack_us: int) -> bool:
    """Whether an attempt that starts now and takes its usual time ends before it, or what follows it, is due.

    `slack_us` is the time until the latest start, which reckons with the cautious duration.
    """
    return slack_us + plan.cautious_us >= plan.typical_us


def is_hopeless_in_full(plan: TaskPlan, last_failure: Failure | None, slack_us: int) -> bool:
    """Whether a task that has failed would be late in full, and declares something shorter.

    One that asked to be tried again later waits for that; Tier 1 has no ladder to climb for lack of time.
    """
    has_failed = last_failure is not None and counts_against_retries(last_failure)
    may_degrade = plan.tier > 1 and bool(plan.ladder) and last_failure is not Failure.TRY_AGAIN
    return has_failed and may_degrade and not can_be_in_time(plan, slack_us)


def deadline_that_counts(plan: TaskPlan, opened_us: int) -> int | None:
    """Its deadline, if that was still to come when its run was opened: runs of past sessions have no hurry."""
    return None if plan.deadline_us is None or plan.deadline_us <= opened_us else plan.deadline_us


def latest_start(plan: TaskPlan, opened_us: int, downstream_us: int) -> int:
    """Instant by which the task must start for its deadline and those downstream to be met; NEVER_US if there is none.

    `opened_us` is when its run was opened. `downstream_us` is the earliest latest start of the tasks after it. Source:
    the backward pass of the critical path method with the cautious (q80) duration.
    """
    deadline_us = deadline_that_counts(plan, opened_us)
    due = downstream_us if deadline_us is None else min(downstream_us, deadline_us)
    return due if due >= NEVER_US else due - plan.cautious_us


def describe_timeout(plan: TaskPlan) -> str:
    """The sentence for an attempt that is stopped because of its timeout."""
    assert plan.timeout_us is not None
    return f"ran longer than its timeout of {format_duration(plan.timeout_us)}"
