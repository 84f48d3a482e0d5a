"""A world in virtual time: it obeys orders, lets time pass, and tells facts. It alone knows what tasks are in truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus.core.demand import Capacity
from prometheus.scheduler.agenda import Agenda, Entry
from prometheus.scheduler.decisions import StopAttempt
from prometheus.scheduler.events import (
    FAILURE_OF,
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
)
from prometheus.scheduler.rules import NEVER_US

Trace = tuple[int, str, str, int]  # instant, what (start, end, fail, preempt), task, attempt

_BEGIN = 0  # what happens
_SAVE = 1
_END = 2
_FAIL = 3
_CAPACITY = 4


@dataclass(frozen=True, slots=True)
class Truth:
    """What a task is in truth. The scheduler must not see it."""

    duration_us: int  # of the whole work
    failures: tuple[float, ...] = ()  # attempt k dies after that share of what it still had to do
    checkpoint_every_us: int | None = None  # of work; None = it saves nothing
    hangs: tuple[int, ...] = ()  # numbers of attempts that never end by themselves and save nothing
    degraded: tuple[
        tuple[str, int], ...
    ] = ()  # (mode, duration of the whole work in it); others take as long as in full

    def duration_in(self, mode: str) -> int:
        """How long the whole work takes in this mode."""
        return dict(self.degraded).get(mode, self.duration_us) if self.degraded else self.duration_us


@dataclass(slots=True)
class Life:
    """What became of a task so far. Work counts in microseconds of the whole task."""

    first_start_us: int | None = None
    end_us: int | None = None
    attempts: int = 0
    earlier: int = 0  # attempts from before this world
    preemptions: int = 0
    lost: int = 0  # attempts whose worker was lost
    saved_us: int = 0  # work that a later attempt need not do again
    spent_us: int = 0  # time in which attempts held room
    began_us: int | None = None  # of the present attempt
    overhead_us: int = 0  # of the present attempt, before it goes on
    mode: str = "full"  # of the last attempt


@dataclass(slots=True)
class World:
    """Attempts in virtual time."""

    truths: Mapping[str, Truth]
    now_us: int
    overhead_us: int = 0  # what it costs to go on from a checkpoint
    changes: tuple[tuple[int, Capacity], ...] = ()  # (instant, what the machine is from then on)
    coming: tuple[tuple[int, Capacity], ...] = ()  # the same, of changes that the scheduler was told before
    lives: dict[str, Life] = field(default_factory=dict)
    trace: list[Trace] | None = None
    # Facts that an attempt has begun or saved its work call for no turn of their own, unless a decision waits for them:
    # they may be told, in order and with their own instants, when the next turn comes. `timeouts` says of which attempts
    # the beginning must be told at once.
    is_patient: bool = False
    timeouts: Mapping[str, int] = field(default_factory=dict)  # task -> how long an attempt may run
    is_followed: bool = False  # what critical chains are traced back by is noted
    freed: list[tuple[int, str]] = field(default_factory=list)  # if so: when each attempt gave back its room
    # Entries: instant, serial, what, task, attempt, and what became of the task so far.
    _agenda: Agenda = field(default_factory=Agenda)
    _begun: list[Entry] = field(
        default_factory=list
    )  # what happens at this very instant; the agenda is for later
    _asides: Agenda = field(default_factory=Agenda)  # what calls for no turn
    _serial: int = 0

    def __post_init__(self) -> None:
        for number, (at_us, _) in enumerate(self.changes):
            self._at(at_us, _CAPACITY, "", number, Life())

    def start(self, task_id: str, attempt: int, mode: str = "full") -> None:
        """Begin an attempt now."""
        life = self.lives.get(task_id)
        if life is None:
            life = self.lives[task_id] = Life(first_start_us=self.now_us)
        elif life.first_start_us is None:
            life.first_start_us = self.now_us
        life.attempts, life.mode = attempt, mode
        life.began_us = self.now_us
        self._note("start", task_id, attempt)
        truth = self.truths[task_id]
        left_us = max(0, truth.duration_in(mode) - life.saved_us)
        life.overhead_us = self.overhead_us if life.saved_us else 0
        fails, runs_us = self._fate(life, truth, left_us)
        hangs = bool(truth.hangs) and attempt in truth.hangs
        limit_us = self.timeouts.get(task_id) if self.timeouts else None
        will_time_out = limit_us is not None and (hangs or life.overhead_us + runs_us >= limit_us)
        if not self.is_patient:
            self._serial += 1
            self._begun.append((self.now_us, self._serial, _BEGIN, task_id, attempt, life))
        else:
            self._at(self.now_us, _BEGIN, task_id, attempt, life, is_aside=not will_time_out)
        if hangs:
            return
        self._at(self.now_us + life.overhead_us + runs_us, _FAIL if fails else _END, task_id, attempt, life)
        if truth.checkpoint_every_us is not None and truth.checkpoint_every_us < runs_us:
            self._at(
                self.now_us + life.overhead_us + truth.checkpoint_every_us,
                _SAVE,
                task_id,
                attempt,
                life,
                is_aside=self.is_patient,
            )

    def keep(self, task_id: str, attempts: int, kept_us: int) -> None:
        """A task that was tried before this world began; `kept_us` is the work that it need not do again."""
        self.lives[task_id] = Life(attempts=attempts, earlier=attempts, saved_us=kept_us)

    def go_on(
        self, task_id: str, attempt: int, began_us: int, saved_us: int | None, kept_us: int = 0
    ) -> None:
        """An attempt that began before this world did; `saved_us` is the instant of its last checkpoint.

        `kept_us` is the work that earlier attempts had saved: this one did not begin from nothing.
        """
        truth = self.truths[task_id]
        overhead_us = self.overhead_us if kept_us else 0
        worked_from_us = began_us + overhead_us
        in_it_us = 0 if saved_us is None else max(0, saved_us - worked_from_us)
        life = self.lives[task_id] = Life(
            first_start_us=began_us,
            attempts=attempt,
            earlier=attempt - 1,
            saved_us=kept_us + in_it_us,
            began_us=began_us,
            overhead_us=overhead_us,
        )
        fails, runs_us = self._fate(life, truth, truth.duration_us - kept_us)
        ends_us = max(self.now_us, worked_from_us + runs_us)
        self._at(ends_us, _FAIL if fails else _END, task_id, attempt, life)
        every_us = truth.checkpoint_every_us
        if every_us is not None:
            next_us = max(self.now_us, worked_from_us + in_it_us + every_us)
            if next_us < ends_us:
                self._at(next_us, _SAVE, task_id, attempt, life, is_aside=self.is_patient)

    def _fate(self, life: Life, truth: Truth, left_us: int) -> tuple[bool, int]:
        """Whether the attempt will fail, and how long it works until it does or ends."""
        own = life.attempts - life.earlier - life.preemptions - life.lost  # of those that nobody else ended
        fails = own <= len(truth.failures)
        return fails, round(left_us * truth.failures[own - 1]) if fails else left_us

    def stop(self, order: StopAttempt) -> Event | None:
        """End an attempt at once, by its last checkpoint; None if it has ended already."""
        life = self.lives[order.task_id]
        if life.began_us is None or life.attempts != order.attempt:
            return None
        self._close(order.task_id, life)
        failure = FAILURE_OF[order.cause]
        is_preempted = failure is Failure.PREEMPTED
        life.preemptions += is_preempted
        self._note("preempt" if is_preempted else "fail", order.task_id, order.attempt)
        return AttemptFailed(self.now_us, order.task_id, order.attempt, failure, order.reason)

    def lose(self, task_id: str) -> Event | None:
        """The worker of the present attempt is gone, and the attempt with it; None if there is none."""
        life = self.lives[task_id]
        if life.began_us is None:
            return None
        self._close(task_id, life)
        life.lost += 1
        self._note("fail", task_id, life.attempts)
        return AttemptFailed(self.now_us, task_id, life.attempts, Failure.LOST, "its worker was lost")

    def next_us(self) -> int:
        """When something happens next that calls for a turn; NEVER_US if nothing will."""
        while self._begun:
            at_us: int = self._begun[0][0]
            if not _is_void(self._begun[0]):
                return at_us
            del self._begun[0]
        return _first_us(self._agenda)

    def next_aside_us(self) -> int:
        """When something happens next that calls for a turn only if somebody waits for it; NEVER_US if nothing will."""
        return _first_us(self._asides)

    def advance(self, to_us: int) -> list[Event]:
        """Let time pass until `to_us`; the facts until then, each with its instant."""
        found: list[Event] = []
        agenda, asides = self._agenda, self._asides
        if not self.is_patient:  # then nothing is an aside
            self.now_us = to_us
            begun = self._begun
            if begun:
                if begun[0][0] == to_us and _first_us(agenda) > to_us:
                    found = [AttemptStarted(to_us, e[3], e[4]) for e in begun if not _is_void(e)]
                    begun.clear()
                    return found
                for entry in begun:
                    agenda.push(entry)
                begun.clear()
            while _first_us(agenda) <= to_us:
                found.append(self._happen(agenda.pop()))
            return found
        while True:
            next_us, aside_us = _first_us(agenda), _first_us(asides)
            if min(next_us, aside_us) > to_us:
                break
            next_one, aside = agenda.first(), asides.first()
            is_aside = next_one is None or (aside is not None and aside < next_one)
            entry = asides.pop() if is_aside else agenda.pop()
            self.now_us = entry[0]
            found.append(self._happen(entry))
        self.now_us = to_us
        return found

    def _happen(self, entry: Entry) -> Event:
        what: int = entry[2]
        task_id: str = entry[3]
        attempt: int = entry[4]
        life: Life = entry[5]
        now_us = self.now_us
        if what == _BEGIN:
            return AttemptStarted(now_us, task_id, attempt)
        if what == _END:
            self._close(task_id, life)
            life.end_us = now_us
            self._note("end", task_id, attempt)
            return AttemptSucceeded(now_us, task_id, attempt)
        if what == _CAPACITY:
            still_coming = tuple(change for change in self.coming if change[0] > now_us)
            return CapacityChanged(now_us, self.changes[attempt][1], still_coming)
        if what == _SAVE:
            every_us = self.truths[task_id].checkpoint_every_us
            assert every_us is not None
            life.saved_us += every_us
            self._at(now_us + every_us, _SAVE, task_id, attempt, life, is_aside=self.is_patient)
            return AttemptCheckpointed(now_us, task_id, attempt, "null")
        self._close(task_id, life)
        self._note("fail", task_id, attempt)
        return AttemptFailed(now_us, task_id, attempt, Failure.ERROR, "failed, as the workload says")

    def _close(self, task_id: str, life: Life) -> None:
        assert life.began_us is not None
        life.spent_us += self.now_us - life.began_us
        life.began_us = None
        if self.is_followed:
            self.freed.append((self.now_us, task_id))

    def _note(self, what: str, task_id: str, attempt: int) -> None:
        if self.trace is not None:
            self.trace.append((self.now_us, what, task_id, attempt))

    def _at(
        self, at_us: int, what: int, task_id: str, attempt: int, life: Life, *, is_aside: bool = False
    ) -> None:
        self._serial += 1
        entry: Entry = (at_us, self._serial, what, task_id, attempt, life)
        agenda = self._asides if is_aside else self._agenda
        agenda.push(entry)


def _first_us(agenda: Agenda) -> int:
    """When the next thing on it happens; NEVER_US if nothing will."""
    while (entry := agenda.first()) is not None:
        if not _is_void(entry):
            at_us: int = entry[0]
            return at_us
        agenda.pop()
    return NEVER_US


def _is_void(entry: Entry) -> bool:
    """Whether what was to happen will not: its attempt has ended."""
    what: int = entry[2]
    attempt: int = entry[4]
    life: Life = entry[5]
    return what != _CAPACITY and (life.began_us is None or life.attempts != attempt)


def useful_us(life: Life, truth: Truth, horizon_us: int) -> int:
    """Work of a task that is done for good: all of it when it ended, else what is saved and what runs at the horizon."""
    if life.end_us is not None:
        return truth.duration_in(life.mode)
    running = 0
    if life.began_us is not None and life.attempts not in truth.hangs:
        since_save = horizon_us - life.began_us - life.overhead_us
        every = truth.checkpoint_every_us
        running = max(0, since_save % every if every else since_save)
    return life.saved_us + running
