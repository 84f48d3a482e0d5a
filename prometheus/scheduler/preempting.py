"""Whose work is given up, so that a Tier 1 task that is running out of time can start, or a Tier 3 task in its window?

For Tier 1, victims are running tasks of lower tiers: first Tier 3, then Tier 2; first those that lose least work (time
since they began, or since their last checkpoint, times cores). They are taken one by one until the task fits; then those
that turned out superfluous are dropped, the dearest first (as Kueue does). Of several bins the one whose victims lose
least is chosen. A victim that checkpoints is stopped just after it has saved, where there is time to wait for that.

For a window, only Tier 3 tasks that checkpoint make room. For a task's first turn they do so at once, whenever they began,
or within five minutes where they save by then: a task has one first turn, so nobody is stopped for ever. For a later turn
each does just after it has saved, and none that has not saved since it began: everybody gets on with its work between two
stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus.core.instants import MINUTE_US
from prometheus.scheduler import admitting
from prometheus.scheduler.books import Books, TaskBook
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.slack import slack_of
from prometheus.scheduler.states import TaskState
from prometheus.scheduler.windows import can_make_room, is_first_turn

FRESH_US = 2 * MINUTE_US  # who saved so lately loses next to nothing
BRIEF_US = 5 * MINUTE_US  # worth waiting for a save


def victims_for(books: Books, book: TaskBook, *, is_desperate: bool = False) -> list[TaskBook]:
    """Who must end now for `book` to fit, or nobody: it has slack enough, it will fit by itself, or none would help.

    `is_desperate` asks who would have to end once its slack has run out.
    """
    policy, demand = books.policy, book.plan.demand
    slack_us = 0 if is_desperate else slack_of(books, book)
    if slack_us >= policy.soft_us or books.room.fits_without(demand, books.stopping()):
        return []
    by_bin: dict[str, list[TaskBook]] = {}
    for task_id in books.room.holders:
        other = books.tasks[task_id]
        if other.place is not None and may_be_preempted(books, other, slack_us):
            by_bin.setdefault(other.place.bin_id, []).append(other)
    best: tuple[tuple[int, int], str, list[TaskBook]] | None = None
    for bin_id, candidates in by_bin.items():
        chosen = _choose(books, candidates, lambda gone: books.room.fits_without(demand, gone))
        if chosen:
            cost = _cost(books, chosen)
            if best is None or (cost, bin_id) < best[:2]:
                best = (cost, bin_id, chosen)
    if best is None and len(by_bin) > 1:  # a pool may be held in one bin, and cores be needed in another
        everybody = [one for candidates in by_bin.values() for one in candidates]
        best = (0, 0), "", _choose(books, everybody, lambda gone: books.room.fits_without(demand, gone))
    if best is None:
        return []
    by_us = books.now_us + slack_us - policy.hard_us
    if not policy.waits_for_saves:
        return best[2]
    return _now(books, best[2], [one for one in best[2] if not _saves_by(books, one, by_us)])


def victims_for_window(books: Books, book: TaskBook) -> list[TaskBook]:
    """Who must end now for a Tier 3 task to start in its window, which has begun."""
    policy = books.policy
    would_do = admitting.who_would_do(books, book) if policy.preempts else None
    if would_do is None or would_do(books.stopping()):
        return []
    candidates = []
    is_first, can_wait = is_first_turn(books, book), can_make_room(books, book)
    brief_us = min(BRIEF_US, book.ready_us + policy.starts_within_us - FRESH_US - books.now_us)
    for task_id in books.room.holders:
        other = books.tasks[task_id]
        if other.plan.tier != 3 or other.state is not TaskState.RUNNING or not can_make_room(books, other):
            continue
        assert other.attempt_started_us is not None, f"{task_id} runs and has not begun"
        ran_us = books.now_us - other.attempt_started_us
        has_worked = other.saved_us is not None and (not can_wait or ran_us >= policy.slice_us)
        if is_first or has_worked:
            candidates.append(other)
    chosen = _choose(books, candidates, would_do)
    if is_first:
        by_us = books.now_us + brief_us
        return _now(books, chosen, [one for one in chosen if not _saves_by(books, one, by_us)])
    return _now(books, chosen, [one for one in chosen if _has_just_saved(books, one)])


def _cost(books: Books, chosen: list[TaskBook]) -> tuple[int, int]:
    """What Tier 2 would lose, and what all would: of two bins, that whose Tier 2 loses less."""
    lost = [(victim.plan.tier, lost_work(books, victim)) for victim in chosen]
    return sum(one for tier, one in lost if tier == 2), sum(one for _, one in lost)


def _now(books: Books, chosen: list[TaskBook], at_once: list[TaskBook]) -> list[TaskBook]:
    """Who is stopped at once; the other chosen ones are when they have saved."""
    books.awaits_saves |= len(at_once) < len(chosen)
    return at_once


def may_be_preempted(books: Books, victim: TaskBook, slack_us: int) -> bool:
    """Whether a Tier 1 task with so much slack may take this one's room."""
    policy: Policy = books.policy
    if victim.plan.tier == 1 or victim.state not in (TaskState.RUNNING, TaskState.STARTING):
        return False
    if victim.preempted >= policy.spared_after and slack_us >= policy.desperate_us:
        return policy.waits_for_saves and slack_us < policy.soft_us and _has_just_saved(books, victim)
    limit_us = policy.hard_us if victim.plan.checkpoint_every_us is None else policy.soft_us
    return slack_us < limit_us


def lost_work(books: Books, victim: TaskBook) -> int:
    """Core-microseconds that are lost if it ends now."""
    return (books.now_us - _kept_us(books, victim)) * max(victim.plan.demand.cpu_milli, 1)


def _kept_us(books: Books, victim: TaskBook) -> int:
    """Until when the work of its present attempt is saved."""
    began_us = books.now_us if victim.attempt_started_us is None else victim.attempt_started_us
    return began_us if victim.saved_us is None else max(began_us, victim.saved_us)


def _has_just_saved(books: Books, victim: TaskBook) -> bool:
    return victim.saved_us is not None and books.now_us - victim.saved_us <= FRESH_US


def _saves_by(books: Books, victim: TaskBook, by_us: int) -> bool:
    """Whether it is worth waiting for its next checkpoint: it comes by then, and is not overdue."""
    every_us = victim.plan.checkpoint_every_us
    if every_us is None or _has_just_saved(books, victim):
        return False
    return books.now_us <= _kept_us(books, victim) + every_us + FRESH_US <= by_us


def _choose(books: Books, candidates: Sequence[TaskBook], fits: Callable[[set[str]], bool]) -> list[TaskBook]:
    ordered = sorted(candidates, key=lambda one: (-one.plan.tier, lost_work(books, one), one.plan.task_id))
    gone = books.stopping()
    chosen: list[TaskBook] = []
    for victim in ordered:
        chosen.append(victim)
        gone.add(victim.plan.task_id)
        if fits(gone):
            break
    else:
        return []
    for victim in sorted(chosen, key=lambda one: (one.plan.tier, -lost_work(books, one), one.plan.task_id)):
        if len(chosen) == 1:
            break
        if fits(gone - {victim.plan.task_id}):
            gone.discard(victim.plan.task_id)
            chosen.remove(victim)
    return chosen
