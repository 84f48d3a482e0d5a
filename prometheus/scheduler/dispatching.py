"""Which ready tasks start now, where, and why do the others not?

Strict order of tiers; within a tier the task with the earliest latest start first (ties: release, id). A task that
does not fit lets others of its tier pass, so no room lies idle for a wide one of the same tier; but while a task of a
higher tier waits for room, nothing of a lower tier starts, or the small would for ever take what the wide one needs.
One that waits for a pool holds back only those of lower tiers that need the same pool. What lower tiers may take of the
room that is free says `admitting`; whose work a blocked Tier 1 task may end, `preempting`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

from prometheus.core.demand import Demand
from prometheus.scheduler import admitting, announced, pressing, windows
from prometheus.scheduler.bins import Place
from prometheus.scheduler.books import Books, Line, ReadyQueue, TaskBook
from prometheus.scheduler.decisions import RefuseStart, StartAttempt
from prometheus.scheduler.moving import move
from prometheus.scheduler.preempting import victims_for, victims_for_window
from prometheus.scheduler.rules import NEVER_US
from prometheus.scheduler.shares import in_order
from prometheus.scheduler.shortages import NO_CPU, Shortage
from prometheus.scheduler.states import STARTING, StopCause
from prometheus.scheduler.verbs import stop

_TIER_GOES_FIRST = ["", *(f"tier {tier} goes first" for tier in (1, 2, 3))]  # causes of refusals, by tier
ITS_WINDOW = "its window has begun"  # why a task starts that may stand behind others


def dispatch(books: Books) -> None:
    """Start what may start; refuse the heads of the other queues, each with its reason."""
    policy, is_pressed = books.policy, pressing.level_of(books) > 0
    has_other = books.line_up()
    if books.answered_room == books.room.version and not (has_other or is_pressed):
        books.answered_us = books.now_us
        return
    books.awaits_saves = False
    turn = _Turn()
    if not policy.has_tiers:
        _dispatch(books, 0, turn)
    else:
        turn.heeds_time = is_pressed or policy.reserves or bool(books.accounts)
        if policy.reserves and policy.preempts:
            _enter_windows(books, turn, is_early=True)
        for tier in range(1, 4):
            if tier == 3:
                if policy.reserves and turn.room is None:
                    _enter_windows(books, turn)
                if books.accounts:
                    _dispatch_behind(books, turn)
            if tier < len(books.lines) and books.lines[tier]:
                blocked = _dispatch(books, tier, turn)
                if blocked and policy.preempts:
                    turn.heeds_time = True
                    turn.has_more |= _make_room(books, blocked)
            turn.rise()
        if books.accounts:
            for account in in_order(books.accounts):  # what is above its share takes what other Tier 3 leaves
                _dispatch(books, 3, turn, account.line)
            turn.has_more = True  # shares move with every start
    if not turn.has_more and turn.doubtful:
        turn.has_more = any(books.room.answer(queue.want) is not said for queue, said in turn.doubtful)
    books.answered_us = -1 if turn.has_more else books.now_us
    books.answered_room = -1 if turn.has_more or turn.heeds_time else books.room.version


def _enter_windows(books: Books, turn: _Turn, *, is_early: bool = False) -> None:
    """Start the tasks whose windows have begun, wherever they stand in their queues, or have room made for them.

    `is_early` is before higher tiers: as long as all that wait there can wait, first turns go first.
    """
    admitting.watch(books)
    if not books.reservation.windows or (is_early and _is_in_a_hurry(books)):
        return
    for book in windows.due(books):
        task_id, demand = book.plan.task_id, book.plan.demand
        if is_early and not windows.is_first_turn(books, book):
            continue
        if turn.stops(demand) is not None or pressing.why_held(books, book) is not None:
            continue
        place = books.room.find(demand)
        if place is not None and admitting.what_is_kept(books, book) is None:
            if not pressing.skips(books, book):
                start(books, book, place, ITS_WINDOW)
            turn.has_more = True  # others may use now what its window kept
        elif windows.has_begun(books, book):  # still, after a new plan
            for victim in victims_for_window(books, book):
                stop(books, victim, StopCause.PREEMPTED, f"makes room for {task_id}, whose window has begun")
                turn.has_more = True
    books.line_up()


def _is_in_a_hurry(books: Books) -> bool:
    """Whether the most urgent ready task of a higher tier cannot wait."""
    return any(line and not windows.can_wait(books, line[0][4]) for line in books.lines[1:3])


def _dispatch_behind(books: Books, turn: _Turn) -> None:
    """Backfills that are behind their shares go before other Tier 3, each until it is so no longer."""
    cpu_milli = books.room.totals().get("cpu", 0)
    for account in in_order(books.accounts):
        _dispatch(books, 3, turn, account.line, partial(account.is_behind, books.now_us, cpu_milli))


def _make_room(books: Books, blocked: list[TaskBook]) -> bool:
    """Let lower work end for Tier 1 tasks that run out of time, the most urgent first; wake when others will.

    Whether any was told to end.
    """
    is_due = any(book.latest_start_us < NEVER_US for book in blocked)
    if is_due and books.policy.reserves and any(books.lower_use.values()) and admitting.is_old(books):
        admitting.look_again(books)  # how long they may wait depends on the plan
    has_ended = False
    for book in blocked:
        victims = victims_for(books, book)
        for victim in victims:
            stop(books, victim, StopCause.PREEMPTED, f"makes room for {book.plan.task_id}")
        if victims:
            has_ended = True
            books.reservation.is_stale |= books.policy.replans_at_once
            continue
        if book.latest_start_us >= NEVER_US:
            continue
        for limit_us in (books.policy.soft_us, books.policy.hard_us, books.policy.desperate_us):
            at_us = book.latest_start_us - limit_us + 1
            if books.now_us < at_us:
                books.alarms.set("slack", book.plan.task_id, at_us)
                break
    return has_ended


class _Turn:
    """What tasks of higher tiers wait for, and which of them: the wall that lower tiers stand before.

    And whether the same question would be answered otherwise at once, for what was started since: `has_more` if so;
    `doubtful` are queues whose first task was told something that later starts may have changed.
    """

    __slots__ = (
        "_coming_pools",
        "_coming_room",
        "doubtful",
        "has_kept",
        "has_more",
        "heeds_time",
        "pools",
        "room",
    )

    def __init__(self) -> None:
        self.room: str | None = None
        self.pools: dict[str, str] | None = None
        self._coming_room: str | None = None
        self._coming_pools: dict[str, str] | None = None
        self.has_more = False
        self.heeds_time = False  # a little later the answers might be others, though nothing had happened
        self.has_kept = False  # a task was told for what room is kept, which a later start may change
        self.doubtful: list[tuple[ReadyQueue, Shortage]] = []

    def note(self, task_id: str, shortage: Shortage) -> None:
        """A task of the tier that is looked at waits for this."""
        if shortage.is_for_ever or shortage.kind == "capacity":
            return
        if shortage.kind == "pool":
            if self._coming_pools is None:
                self._coming_pools = {}
            self._coming_pools.setdefault(shortage.what, task_id)
        elif self._coming_room is None:
            self._coming_room = task_id

    def rise(self) -> None:
        """From now on lower tiers meet what was noted."""
        self.room = self.room or self._coming_room
        if self._coming_pools is not None:
            self.pools = self._coming_pools | (self.pools or {})

    def stops(self, demand: Demand) -> str | None:
        """The id of the task that goes first, or None."""
        pools = self.pools
        if self.room is not None or not pools:
            return self.room
        return next((pools[pool] for pool, _ in demand.pools if pool in pools), None)


def _dispatch(
    books: Books,
    tier: int,
    turn: _Turn,
    line_number: int = 0,
    goes_on: Callable[[], bool] | None = None,
) -> list[TaskBook]:
    """One tier, or 0 for all of them if the policy knows none; the heads of Tier 1 that wait for room, in order.

    `line_number` is that of a backfill's own line; it is worked off as long as `goes_on` says so.
    """
    blocked: list[TaskBook] = []
    number_of_line = line_number or tier
    if number_of_line >= len(books.lines):
        return blocked
    line = books.lines[number_of_line]
    if not line:
        return blocked
    wall = turn.room
    if wall is not None:
        _wall_off(books, number_of_line, line, wall)
        return blocked
    queues, room = books.queues, books.room
    has_lower, reserves = tier in (1, 2), books.policy.reserves and tier in (2, 3)
    is_walled = bool(turn.pools)
    may_wait = tier == 1 and books.policy.preempts and not pressing.level_of(books)
    may_be_held = tier == 3 and pressing.level_of(books) > 0
    if books.walled:
        books.walled.pop(number_of_line, None)
    place_in_line, noted = 0, None
    while place_in_line < len(line) and (goes_on is None or goes_on()):
        book: TaskBook = line[place_in_line][4]
        place_in_line += 1
        queue = queues[book.queue]
        if is_walled and (first := turn.stops(queue.demand)) is not None:
            _refuse_for_higher(books, queue, book, first)
            continue
        if may_be_held and (held := pressing.why_held(books, book)) is not None:
            queue.told = books.pressure
            _refuse(books, book, books.pressure, held)
            continue
        answer = room.answer(queue.want)
        if type(answer) is Shortage:
            if has_lower:
                if answer is not noted:  # whoever is short of the same after it changes nothing
                    turn.note(book.plan.task_id, answer)
                    noted = answer
                if tier == 1:
                    blocked.append(book)
            if answer is not NO_CPU or queue.demand.pools:
                turn.doubtful.append((queue, answer))  # it may come to be short of what is told before this
            if queue.told is not answer:
                queue.told = answer
                _refuse_for_room(books, book, answer)
            continue
        if may_wait and (first := windows.stands_before(books, book)) is not None:
            queue.told = first
            said = f"fits and can wait, and would take what the plan leaves for the first turn of {first}"
            _refuse(books, book, first, said)
            books.alarms.set("slack", book.plan.task_id, book.latest_start_us - books.policy.hard_us + 1)
            continue
        assert type(answer) is Place, f"{answer} is neither a place nor a shortage"
        if reserves:
            had_window = book.plan.task_id in books.reservation.windows
            if not admitting.is_waited_for(books, book):
                kept = admitting.what_is_kept(books, book)
                if kept is not None:
                    queue.told = kept.what
                    turn.has_kept = True
                    if book.refused_for != kept.what:
                        _refuse(books, book, kept.what, kept.reason)
                    continue
            # Others may use now what its window kept, or are kept from by something else.
            turn.has_more |= had_window or turn.has_kept
        if not pressing.skips(books, book):
            start(books, book, answer)
        books.line_up()
        place_in_line -= 1  # whoever stands there now comes after the one that left
    return blocked


def _wall_off(books: Books, number_of_line: int, line: Line, wall: str) -> None:
    """Nothing of this line starts while `wall`, of a higher tier, waits for room."""
    cause = _TIER_GOES_FIRST[books.tasks[wall].plan.tier]
    if books.walled.get(number_of_line) is cause:
        return  # all that stand in it know
    for entry in line:
        book: TaskBook = entry[4]
        _refuse_for_higher(books, books.queues[book.queue], book, wall)
    books.walled[number_of_line] = cause


def _refuse_for_higher(books: Books, queue: ReadyQueue, book: TaskBook, first: str) -> None:
    """Say that a higher tier goes first. Who of it stands at the front changes with every start, the reason does not."""
    tier = books.tasks[first].plan.tier
    cause = _TIER_GOES_FIRST[tier]
    if queue.told is not cause:
        queue.told = cause
        _refuse(
            books,
            book,
            cause,
            f"Tier {tier} goes first: it waits for room ({first} was next)",
        )


def _refuse(books: Books, book: TaskBook, cause: Hashable, reason: str) -> None:
    """Say why it does not start, unless it was said before."""
    if book.refused_for != cause:
        _tell_refusal(books, book, cause, reason)


def _tell_refusal(books: Books, book: TaskBook, cause: Hashable, reason: str) -> None:
    book.refused_for = cause
    books.decisions.append(RefuseStart(books.now_us, book.plan.task_id, reason))


def _refuse_for_room(books: Books, book: TaskBook, shortage: Shortage) -> None:
    if book.refused_for is not shortage:  # equal ones are one object
        demand = book.plan.demand
        reason = books.room.explain(demand, shortage) + announced.said_of(books, demand)
        _tell_refusal(books, book, shortage, reason)


def start(books: Books, book: TaskBook, place: Place, its_turn: str = "first in its queue") -> None:
    """Order the next attempt of a ready task."""
    plan = book.plan
    task_id, tier = plan.task_id, plan.tier
    book.attempts += 1
    book.place = place
    book.mode = pressing.mode_now(books, book)
    book.stop_cause, book.stop_reason = None, ""
    books.room.take(task_id, plan.demand, place)
    books.moved.append(book)
    if tier > 1 and books.policy.reserves:
        admitting.admit(books, book, books.now_us)
    if books.accounts and (account := books.accounts.get(plan.run_id)) is not None:
        account.begin(task_id, books.now_us, plan.demand.cpu_milli, plan.typical_us)
    move(books, book, STARTING, "")
    if book.latest_start_us >= NEVER_US:
        reason = f"Tier {tier}, {its_turn}, and it fits"
    else:
        slack_min = (book.latest_start_us - books.now_us) // 60_000_000
        reason = f"Tier {tier}, {slack_min} min before its latest start, and it fits"
    if plan.ladder and pressing.is_by_rule(plan, book.failures, book.mode):
        reason += f"; in mode {book.mode!r}: {pressing.why_degraded(books, book)}"
    books.decisions.append(
        StartAttempt(books.now_us, task_id, book.attempts, place.bin_id, place.devices, book.mode, reason)
    )
