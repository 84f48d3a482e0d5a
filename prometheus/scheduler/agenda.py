"""What comes next, of very many things that come: entries in any order in, the earliest out.

Most lie sorted, and what came since lies on a heap, which is sorted in when it has grown to a share of the rest. To sort
tuples takes Python a third to two thirds of the time that taking them from a heap one by one does, and with tens of
thousands on it a heap is where a simulated night spends its time.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

# Of any length to the compiler, which would take a tuple of five apart and put it together again whenever it is handed on.
Entry = tuple[Any, ...]

HEAP_AT_LEAST = 64  # entries that stay on the heap, and at least one to so many that are sorted
HEAP_SHARE = 8


class Agenda:
    """Entries in their order. Two that differ do so before their first item that has none."""

    __slots__ = ("_first", "_heap", "_sorted")

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._sorted: list[Entry] = []  # the earliest last
        self._first: Entry | None = None  # the earliest of all, once it was asked for

    def push(self, entry: Entry) -> None:
        """Enter one more."""
        heappush(self._heap, entry)
        if self._first is not None and entry < self._first:
            self._first = entry

    def first(self) -> Entry | None:
        """The earliest, or None."""
        if self._first is None:
            self._first = self._look()
        return self._first

    def _look(self) -> Entry | None:
        heap, in_order = self._heap, self._sorted
        if len(heap) > HEAP_AT_LEAST and HEAP_SHARE * len(heap) > len(in_order):
            in_order += heap
            in_order.sort(reverse=True)
            heap.clear()
        if not in_order:
            return heap[0] if heap else None
        return heap[0] if heap and heap[0] < in_order[-1] else in_order[-1]

    def pop(self) -> Entry:
        """Take the earliest out; there must be one."""
        entry = self.first()
        assert entry is not None, "nothing comes any more"
        self._first = None
        if self._sorted and self._sorted[-1] is entry:
            self._sorted.pop()
        else:
            heappop(self._heap)
        return entry

    def fork(self) -> Agenda:
        """The same entries, going their own way."""
        twin = Agenda()
        twin._heap, twin._sorted, twin._first = self._heap[:], self._sorted[:], self._first
        return twin
