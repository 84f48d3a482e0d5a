"""Facts that wait to be acknowledged, oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus.executors.contract import Began, Checkpointed, Fact


class PendingFacts:
    """Repeats every fact until it is acknowledged.

    A `Began` that is alone may be held back until `linger_us` have passed: a short attempt ends meanwhile, and both
    facts cost one turn instead of two. In the same spirit the end of one attempt may wait `gather_us` for the end of
    another that has only just begun: two ends then cost one commit. An attempt that has been running for longer than
    `linger_us` is never waited for. Of two checkpoints of an attempt that nobody has seen yet, the older is dropped.
    """

    __slots__ = ("_due_us", "_facts", "_gather_us", "_linger_us", "_seen", "_young")

    def __init__(self, linger_us: int = 0, gather_us: int = 0) -> None:
        self._facts: list[Fact] = []
        self._seen = 0  # the first so many have been handed out
        self._linger_us = linger_us
        self._gather_us = gather_us
        self._young: dict[tuple[str, int], None] = {}  # attempts that began, unseen, and have not ended
        self._due_us: int | None = None  # when the unseen ones must be handed out

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, fact: Fact, now_us: int) -> None:
        key = (fact.task_id, fact.attempt)
        if isinstance(fact, Began):
            self._young[key] = None
            due_us = now_us + self._linger_us
        elif isinstance(fact, Checkpointed):
            due_us = now_us
        else:
            self._young.pop(key, None)
            due_us = now_us + (self._gather_us if self._young else 0)
        self._due_us = due_us if self._due_us is None else min(self._due_us, due_us)
        if isinstance(fact, Checkpointed):
            for i in range(len(self._facts) - 1, self._seen - 1, -1):
                other = self._facts[i]
                if (
                    isinstance(other, Checkpointed)
                    and other.task_id == fact.task_id
                    and other.attempt == fact.attempt
                ):
                    del self._facts[i]
                    break
        self._facts.append(fact)

    def due_us(self) -> int | None:
        """From when on `take` should be called: 0 for at once, None while there is nothing."""
        return 0 if self._seen else self._due_us

    def take(self) -> tuple[Fact, ...]:
        """All that are not acknowledged."""
        self._seen = len(self._facts)
        self._due_us = None
        self._young.clear()
        return tuple(self._facts)

    def acknowledge(self, facts: Sequence[Fact]) -> None:
        """Forget these; unknown ones are ignored. Of equal facts as many are forgotten as are given."""
        given = Counter(facts)
        kept: list[Fact] = []
        kept_seen = 0
        for i, fact in enumerate(self._facts):
            if i < self._seen and given[fact] > 0:
                given[fact] -= 1
                continue
            kept.append(fact)
            kept_seen += i < self._seen
        self._facts, self._seen = kept, kept_seen
