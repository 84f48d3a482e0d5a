"""What comes next, of very many things that come: entries in any order in, the earliest out.

Most lie sorted, and what came since lies on a heap, which is sorted in when it has grown to a share of the rest. To sort
tuples takes Python a third of the time that taking them from a heap one by one does, and with tens of thousands on it a heap
is where a simulated night spends its time.
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

    __slots__ = ("_heap", "_sorted")

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._sorted: list[Entry] = []  # the earliest last

    def push(self, entry: Entry) -> None:
        """Enter one more."""
        heappush(self._heap, entry)

    def first(self) -> Entry | None:
        """The earliest, or None."""
        heap, in_order = self._heap, self._sorted
        if not in_order:
            if len(heap) <= HEAP_AT_LEAST:
                return heap[0] if heap else None
        elif len(heap) <= HEAP_AT_LEAST or HEAP_SHARE * len(heap) <= len(in_order):
            return heap[0] if heap and heap[0] < in_order[-1] else in_order[-1]
        in_order += heap
        in_order.sort(reverse=True)
        heap.clear()
        return in_order[-1]

    def pop(self) -> Entry:
        """Take the earliest out; there must be one."""
        heap, in_order = self._heap, self._sorted
        if not in_order or (heap and heap[0] < in_order[-1]):
            return heappop(heap)
        return in_order.pop()

    def fork(self) -> Agenda:
        """The same entries, going their own way."""
        twin = Agenda()
        twin._heap, twin._sorted = self._heap[:], self._sorted[:]
        return twin
