"""What comes next: the earliest first, however many came in whatever order, beside a heap that does nothing else."""

from __future__ import annotations

import heapq
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.scheduler.agenda import HEAP_AT_LEAST, Agenda

STEPS = st.lists(
    st.one_of(st.integers(0, 20), st.none()), max_size=400
)  # an instant that comes; None = take one out


def played(steps: list[int | None]) -> None:
    """The same steps with both, and with a fork that goes its own way from the middle on."""
    agenda = Agenda()
    heap: list[tuple[int, int]] = []
    for serial, at_us in enumerate(steps):
        if serial == len(steps) // 2:
            twin, known = agenda.fork(), sorted(heap)
        if at_us is not None:
            agenda.push((at_us, serial))
            heapq.heappush(heap, (at_us, serial))
        elif heap:
            assert agenda.first() == heap[0]
            assert agenda.pop() == heapq.heappop(heap)
        assert agenda.first() == (heap[0] if heap else None)
    assert [agenda.pop() for _ in list(heap)] == sorted(heap)
    assert agenda.first() is None
    if steps:
        assert [twin.pop() for _ in known] == known
        assert twin.first() is None


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_an_agenda_gives_what_a_heap_would(steps: list[int | None]) -> None:
    played(steps)


def test_also_when_most_of_it_is_sorted_and_little_comes_since() -> None:
    rng = random.Random(3)
    many: list[int | None] = [rng.randrange(50) for _ in range(20 * HEAP_AT_LEAST)]
    since = [None if rng.random() < 0.5 else rng.randrange(50) for _ in range(20 * HEAP_AT_LEAST)]
    played([*many, None, *since])
