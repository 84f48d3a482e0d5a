"""An executor without processes: work is a number, time a variable, and every misfortune can be ordered.

For simulation and for tests of whatever drives executors. The same works, seed and calls give the same facts.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus.executors.contract import Began, Checkpointed, Fact, Failed, Launch, Succeeded
from prometheus.executors.pending import PendingFacts
from prometheus.scheduler.events import Failure

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Work:
    """What a task is in truth. The scheduler must not see it."""

    duration_us: int | None = 1_000_000  # of the whole work; None = it hangs
    failures: tuple[float, ...] = ()  # attempt k ends badly after that share of the work it still had to do
    failure: Failure = Failure.ERROR  # how it ends badly
    checkpoint_every_us: int | None = None  # of work; None = it saves nothing
    starting_us: int = 0  # from the order to the beginning
    stopping_us: int = 0  # from being asked to stop to the end; the grace cuts it short
    output: str = "null"
    peak_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Lies:
    """How reports go wrong. Delays are drawn for each fact alone, so facts come out of order too."""

    late_us: int = 0  # a fact is told up to so much later
    repeated: float = 0.0  # share of facts that are told once more, whether acknowledged or not


HONEST = Lies()


class DeadlockError(RuntimeError):
    """`facts(None)` would wait for ever: nothing runs, and nothing can happen by itself."""


@dataclass(slots=True)
class _Attempt:
    launch: Launch
    work: Work
    has_begun: bool = False
    stop: tuple[Failure, str] | None = None
    ends_us: int | None = None  # when it is stopped at the latest


class VirtualExecutor:
    """Runs attempts in virtual time, which only `facts` and `advance_to` move (see the contract).

    `works` gives a task's work by task id, or by a function of its launch; see `drawn` for random ones.
    `checkpoint_overhead_us` is paid by an attempt that resumes, before it goes on.
    """

    def __init__(
        self,
        works: Mapping[str, Work] | Callable[[Launch], Work],
        *,
        now_us: int = 0,
        checkpoint_overhead_us: int = 0,
        lies: Lies = HONEST,
        seed: int = 0,
    ) -> None:
        self._work_of = works if callable(works) else lambda launch: works[launch.task_id]
        self._now_us = now_us
        self._overhead_us = checkpoint_overhead_us
        self._lies = lies
        self._seed = seed
        self._pending = PendingFacts()
        self._attempts: dict[Key, _Attempt] = {}
        self._known: set[Key] = set()
        self._agenda: list[
            tuple[int, int, Key | None, Callable[[], None]]
        ] = []  # a heap; when, serial, of whom, what
        self._serial = 0
        self._is_woken = False
        self._is_closed = False

    @property
    def now_us(self) -> int:
        """The virtual instant."""
        return self._now_us

    # The contract

    def start(self, launch: Launch) -> None:
        assert not self._is_closed, "start() after close()"
        key = (launch.task_id, launch.attempt)
        if key in self._known:
            return
        self._known.add(key)
        work = self._work_of(launch)
        self._attempts[key] = _Attempt(launch, work)
        self._at(self._now_us + work.starting_us, key, lambda: self._begin(key))

    def cancel(self, task_id: str, attempt: int, failure: Failure, reason: str, grace_us: int) -> None:
        found = self._attempts.get((task_id, attempt))
        if found is None:
            return
        if found.stop is None:
            found.stop = (failure, reason)
        ends_us = self._now_us + min(max(0, grace_us), found.work.stopping_us)
        if found.ends_us is None or ends_us < found.ends_us:
            found.ends_us = ends_us
            self._at(ends_us, (task_id, attempt), lambda: self._end((task_id, attempt), None))

    def facts(self, timeout_us: int | None) -> Sequence[Fact]:
        until = None if timeout_us is None else self._now_us + max(0, timeout_us)
        while not (len(self._pending) or self._is_woken):
            next_us = self._next_us()
            if next_us is not None and (until is None or next_us <= until):
                self._advance(next_us)
            elif until is not None:
                self._now_us = until
                break
            elif self._is_closed:
                break
            else:
                raise DeadlockError("nothing runs, so no fact can ever come")
        self._is_woken = False
        return self._pending.take()

    def acknowledge(self, facts: Sequence[Fact]) -> None:
        self._pending.acknowledge(facts)

    def wake(self) -> None:
        self._is_woken = True

    def living(self) -> frozenset[Key]:
        return frozenset(key for key, attempt in self._attempts.items() if attempt.has_begun)

    def close(self, grace_us: int = 0) -> None:
        for key in list(self._attempts):
            self.cancel(*key, Failure.CANCELLED, "the scheduler was closed", grace_us)
        while self._attempts and (next_us := self._next_us()) is not None:
            self._advance(next_us)
        self._is_closed = True

    # Orders to the world

    def advance_to(self, at_us: int) -> None:
        """Let time pass until `at_us`; what happens meanwhile is told by the next `facts`."""
        while (next_us := self._next_us()) is not None and next_us <= at_us:
            self._advance(next_us)
        self._now_us = max(self._now_us, at_us)

    def crash(self, task_id: str, attempt: int) -> None:
        """Let the process of a running attempt die."""
        self._end((task_id, attempt), (Failure.CRASH, "the job's process was ended by SIGKILL"))

    def die(self) -> None:
        """Lose every worker at once, as when the fork server is killed."""
        for key in list(self._attempts):
            self._end(key, (Failure.LOST, "its worker was lost"))

    # Within

    def _begin(self, key: Key) -> None:
        attempt = self._attempts[key]
        attempt.has_begun = True
        self._tell(Began(*key))
        work, number = attempt.work, attempt.launch.attempt
        if work.duration_us is None:
            return
        done_us = _done_us(attempt.launch)
        left_us = max(0, work.duration_us - done_us)
        began_us = self._now_us + (self._overhead_us if done_us else 0)
        fails = number <= len(work.failures)
        runs_us = round(left_us * work.failures[number - 1]) if fails else left_us
        if work.checkpoint_every_us:
            for saved_us in range(work.checkpoint_every_us, runs_us, work.checkpoint_every_us):
                self._at(began_us + saved_us, key, partial(self._save, key, done_us + saved_us))
        told = (work.failure, f"failed after {runs_us / 1e6:g} s of work") if fails else None
        self._at(began_us + runs_us, key, lambda: self._end(key, told))

    def _save(self, key: Key, done_us: int) -> None:
        self._tell(Checkpointed(*key, json.dumps({"done_us": done_us})))

    def _end(self, key: Key, failed: tuple[Failure, str] | None) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return
        failed = attempt.stop or failed
        if failed is None:
            self._tell(Succeeded(*key, attempt.work.output, None, attempt.work.peak_mib))
        else:
            self._tell(Failed(*key, *failed, peak_mib=attempt.work.peak_mib))

    def _tell(self, fact: Fact) -> None:
        if self._lies == HONEST:
            self._pending.add(fact, self._now_us)
            return
        dice = random.Random(f"{self._seed}/{fact!r}")  # noqa: S311  # a seeded world, not a secret
        times = 2 if dice.random() < self._lies.repeated else 1
        for _ in range(times):
            later_us = self._now_us + dice.randint(0, self._lies.late_us)
            self._at(later_us, None, lambda: self._pending.add(fact, self._now_us))

    def _at(self, at_us: int, key: Key | None, act: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._agenda, (at_us, self._serial, key, act))

    def _next_us(self) -> int | None:
        """When something happens next. What was to happen to an attempt that has ended does not, and takes no time."""
        while self._agenda and self._agenda[0][2] is not None and self._agenda[0][2] not in self._attempts:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    def _advance(self, to_us: int) -> None:
        """Go to the instant and let everything happen that is due then."""
        self._now_us = max(self._now_us, to_us)
        while (next_us := self._next_us()) is not None and next_us <= self._now_us:
            heapq.heappop(self._agenda)[3]()


def drawn(seed: int, median_us: int, sigma: float = 0.45, failing: float = 0.0) -> Callable[[Launch], Work]:
    """Works with lognormal durations, the same for a task whenever it is asked; a share of attempts fails midway."""

    def work_of(launch: Launch) -> Work:
        dice = random.Random(f"{seed}/{launch.task_id}")  # noqa: S311  # a seeded world, not a secret
        duration_us = round(median_us * dice.lognormvariate(0.0, sigma))
        failures = []
        while dice.random() < failing:
            failures.append(dice.random())
        return Work(duration_us, tuple(failures))

    return work_of


def _done_us(launch: Launch) -> int:
    if launch.resume is None:
        return 0
    saved = json.loads(launch.resume)
    return int(saved["done_us"]) if isinstance(saved, dict) and "done_us" in saved else 0
