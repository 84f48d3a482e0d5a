"""Whose work is given up, so that a Tier 1 task that is running out of time can start?

Victims are running tasks of lower tiers: first Tier 3, then Tier 2; first those that lose least work (time since
they began, or since their last checkpoint, times cores). They are taken one by one until the task fits in their bin;
then those that turned out superfluous are dropped, the dearest first (as Kueue does). Of several bins the one whose
victims lose least is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.states import TaskState


def victims_for(books: Books, book: TaskBook, *, is_desperate: bool = False) -> list[TaskBook]:
    """Who must end for `book` to fit, or nobody: it has slack enough, it will fit by itself, or none would help.

    Under forecast pressure nobody waits for the slack to become short. `is_desperate` asks who would have to end once
    it has run out.
    """
    slack_us = 0 if is_desperate else book.latest_start_us - books.now_us
    if books.pressure is not None and books.pressure.level and book.latest_start_us < NEVER_US:
        slack_us = min(slack_us, books.policy.hard_us - 1)  # the forecast says that it will be short
    if slack_us >= books.policy.soft_us or books.room.fits_without(book.plan.demand, books.stopping()):
        return []
    by_bin: dict[str, list[TaskBook]] = {}
    for task_id in books.holding:
        other = books.tasks[task_id]
        if other.place is not None and may_be_preempted(other, slack_us, books.policy):
            by_bin.setdefault(other.place.bin_id, []).append(other)
    best: tuple[int, str, list[TaskBook]] | None = None
    for bin_id, candidates in by_bin.items():
        chosen = _choose(books, book, candidates)
        if chosen:
            cost = sum(lost_work(books, victim) for victim in chosen)
            if best is None or (cost, bin_id) < best[:2]:
                best = (cost, bin_id, chosen)
    return [] if best is None else best[2]


def may_be_preempted(victim: TaskBook, slack_us: int, policy: Policy) -> bool:
    """Whether a Tier 1 task with so much slack may take this one's room."""
    if victim.plan.tier == 1 or victim.state not in (TaskState.RUNNING, TaskState.STARTING):
        return False
    if victim.preempted >= policy.spared_after and slack_us >= policy.desperate_us:
        return False
    limit_us = policy.hard_us if victim.plan.checkpoint_every_us is None else policy.soft_us
    return slack_us < limit_us


def lost_work(books: Books, victim: TaskBook) -> int:
    """Core-microseconds that are lost if it ends now."""
    began_us = books.now_us if victim.attempt_started_us is None else victim.attempt_started_us
    kept_us = began_us if victim.saved_us is None else max(began_us, victim.saved_us)
    return (books.now_us - kept_us) * max(victim.plan.demand.cpu_milli, 1)


def _choose(books: Books, book: TaskBook, candidates: Sequence[TaskBook]) -> list[TaskBook]:
    ordered = sorted(candidates, key=lambda one: (-one.plan.tier, lost_work(books, one), one.plan.task_id))
    gone = books.stopping()
    chosen: list[TaskBook] = []
    for victim in ordered:
        chosen.append(victim)
        gone.add(victim.plan.task_id)
        if books.room.fits_without(book.plan.demand, gone):
            break
    else:
        return []
    for victim in sorted(chosen, key=lambda one: (one.plan.tier, -lost_work(books, one), one.plan.task_id)):
        if len(chosen) == 1:
            break
        if books.room.fits_without(book.plan.demand, gone - {victim.plan.task_id}):
            gone.discard(victim.plan.task_id)
            chosen.remove(victim)
    return chosen
