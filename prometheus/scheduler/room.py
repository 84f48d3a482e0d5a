"""What is in use and what is free: bins, GPU devices and pools.

Usage is booked when an attempt is ordered and returned when it has ended. It always equals the sum over the attempts
that hold room (`audit`). When capacity shrinks below what is in use, the surplus stays in the books of usage and the
free amount is 0, never negative.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import islice

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.scheduler.bins import WHOLE_DEVICE_MILLI, BinBook, Place
from prometheus.scheduler.packing import LIMIT
from prometheus.scheduler.reservation import totals_of
from prometheus.scheduler.shortages import (
    NO_CPU,
    Shortage,
    amount_of,
    amount_words,
    demand_words,
    held_by,
    short_of,
)

HOLDERS_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """A demand as one asks for it, made once by `Room.want`: the demands that were asked for have numbers."""

    demand: Demand
    number: int


class Room:
    """The books of one scheduler. What it has answered holds until anything is taken, given back or offered."""

    def __init__(self) -> None:
        self.is_known = False
        self.version = 0  # another as soon as anything is taken, given back or offered
        self._bins: dict[str, BinBook] = {}
        self._by_free: list[tuple[int, str]] = []  # (free cpu, bin id) of the bins that are offered, in order
        self.holders: dict[str, tuple[Demand, Place]] = {}  # who holds what and where, oldest first
        # The first of them, who are named, and they in words; fewer than are named = to be looked up.
        self._oldest: list[str] = []
        self._named = ""
        self._pool_size: dict[str, int] = {}
        self._pool_used: dict[str, int] = {}
        self._pool_holders: dict[str, dict[str, None]] = {}  # oldest first
        self._totals: dict[str, int] = {}
        self._largest: dict[str, int] = {}  # the most that one bin offers
        self._fits_empty: dict[Demand, bool] = {}  # what was found out since the capacity last changed
        self._wants: dict[Demand, Want] = {}
        # What was answered to each want, at which version, and whether it fits the empty machine, needs cores and no pool.
        self._answers: list[Place | Shortage] = []
        self._answered: list[int] = []
        self._only_room: list[bool] = []
        self._most_cpu_free = 0  # in one bin

    def set_capacity(self, capacity: Capacity) -> None:
        """Take a new capacity; what is in use stays booked, in bins that are gone too, until it ends."""
        self.is_known = True
        self.version += 1
        self._only_room = [False] * len(self._only_room)
        self._fits_empty = {}
        offered = {bin_.bin_id: bin_ for bin_ in capacity.bins}
        still_there = frozenset(offered)
        in_use = {place.bin_id for _, place in self.holders.values()}
        for bin_id in list(self._bins):
            if bin_id not in offered:
                if bin_id in in_use:
                    offered[bin_id] = Bin(bin_id, 0, 0)
                else:
                    del self._bins[bin_id]
        for bin_id in sorted(offered):
            self._book_of(offered[bin_id], is_offered=bin_id in still_there)
        self._by_free = self._sorted_by_free()
        self._most_cpu_free = self._by_free[-1][0] if self._by_free else 0
        self._pool_size = dict(capacity.pools)
        bins = capacity.bins
        self._largest = {
            "cpu": max((one.cpu_milli for one in bins), default=0),
            "memory": max((one.memory_mib for one in bins), default=0),
            "gpu": max((sum(one.gpu_milli) for one in bins), default=0),
        }
        self._totals = totals_of(capacity)

    def _book_of(self, one: Bin, *, is_offered: bool) -> BinBook:
        assert max(one.cpu_milli, one.memory_mib) <= LIMIT, f"bin {one.bin_id} is larger than {LIMIT}"
        book = self._bins.setdefault(one.bin_id, BinBook(one, Place(one.bin_id)))
        book.bin, book.is_offered = one, is_offered
        book.gpu_used += [0] * (len(one.gpu_milli) - len(book.gpu_used))
        book.refresh()
        return book

    def fork(self) -> Room:
        """The same room, going its own way. What is replaced as a whole or never changed is shared."""
        twin = Room()
        twin.is_known, twin.version = self.is_known, self.version
        twin._bins = {
            bin_id: replace(book, gpu_used=list(book.gpu_used)) for bin_id, book in self._bins.items()
        }
        twin._by_free = self._by_free[:]
        twin.holders = dict(self.holders)
        twin._pool_size, twin._totals, twin._largest = self._pool_size, self._totals, self._largest
        twin._pool_used = dict(self._pool_used)
        twin._pool_holders = {pool: dict(holders) for pool, holders in self._pool_holders.items()}
        twin._fits_empty = dict(self._fits_empty)
        twin._wants, twin._answers, twin._answered = dict(self._wants), self._answers[:], self._answered[:]
        twin._only_room, twin._most_cpu_free = self._only_room[:], self._most_cpu_free
        return twin

    def _sorted_by_free(self) -> list[tuple[int, str]]:
        return sorted((book.cpu_free, bin_id) for bin_id, book in self._bins.items() if book.is_offered)

    def want(self, demand: Demand) -> Want:
        """The demand as `answer` takes it; equal demands get the same."""
        found = self._wants.get(demand)
        if found is None:
            found = self._wants[demand] = Want(demand, len(self._answers))
            self._answers.append(NO_CPU)
            self._answered.append(-1)
            self._only_room.append(False)
        return found

    def answer(self, want: Want) -> Place | Shortage:
        """Where it fits now, or why it does not."""
        number = want.number
        if self._answered[number] == self.version:
            return self._answers[number]
        said: Place | Shortage
        if want.demand.cpu_milli > self._most_cpu_free and self._only_room[number]:
            said = NO_CPU  # as both of those below would find
        else:
            said = self.find(want.demand) or self._shortage(want)
        self._answers[number] = said
        self._answered[number] = self.version
        return said

    def find(self, demand: Demand) -> Place | None:
        """The fullest bin in which the demand fits now (ties: bin id), or None."""
        if demand.pools and self.short_pool(demand) is not None:
            return None
        # Bins with less cpu free cannot do. One that shrank below its use has less than nothing, which is enough for none.
        by_free = self._by_free
        for at in range(
            bisect_left(by_free, (demand.cpu_milli, "")) if demand.cpu_milli else 0, len(by_free)
        ):
            bin_id = by_free[at][1]
            book = self._bins[bin_id]
            if book.memory_free < demand.memory_mib and demand.memory_mib:
                continue
            if not demand.gpu_milli:
                return book.place
            devices = book.devices_for(demand.gpu_milli)
            if devices is not None:
                return Place(bin_id, devices)
        return None

    def totals(self) -> dict[str, int]:
        """All that is offered, by the names of `amounts_of`: cpu, memory and gpu summed over the bins, and the pools."""
        return self._totals

    def fits_without(self, demand: Demand, gone: Collection[str]) -> bool:
        """Whether the demand would fit if the holders `gone` had ended."""
        if not gone:
            return self.find(demand) is not None
        freed: dict[str, int] = {}
        leaving: dict[str, list[tuple[Demand, Place]]] = {}  # by bin
        for holder in gone:
            held = self.holders.get(holder)
            if held is not None:
                leaving.setdefault(held[1].bin_id, []).append(held)
                for pool, units in held[0].pools:
                    freed[pool] = freed.get(pool, 0) + units
        for pool, units in demand.pools:
            used = self._pool_used.get(pool, 0) - freed.get(pool, 0)
            if self._pool_size.get(pool, 0) - used < units:
                return False
        return any(book.fits(demand, leaving.get(bin_id, ())) for bin_id, book in self._bins.items())

    def fits_empty(self, demand: Demand) -> bool:
        """Whether the demand would fit the machine as it is now if nothing ran."""
        found = self._fits_empty.get(demand)
        if found is None:
            has_pools = all(self._pool_size.get(pool, 0) >= units for pool, units in demand.pools)
            found = self._fits_empty[demand] = has_pools and any(
                book.emptied().fits(demand) for book in self._bins.values()
            )
        return found

    def short_pool(self, demand: Demand) -> str | None:
        """The first pool that has too few free units, or None."""
        for pool, units in demand.pools:
            if self._pool_size.get(pool, 0) - self._pool_used.get(pool, 0) < units:
                return pool
        return None

    def take(self, holder: str, demand: Demand, place: Place) -> None:
        """Book a demand; `answer` has just said that it fits (or it already ran when this scheduler was rebuilt)."""
        assert holder not in self.holders, f"{holder} already holds room in {self.holders[holder][1].bin_id}"
        self.holders[holder] = demand, place
        if demand.pools:
            for pool, _ in demand.pools:
                self._pool_holders.setdefault(pool, {})[holder] = None
        self._book(demand, place, is_taken=True)

    def give_back(self, holder: str, place: Place) -> None:
        """Return what `holder` took at `place`."""
        demand, _ = self.holders.pop(holder)
        if holder in self._oldest:
            self._oldest.clear()
        if demand.pools:
            for pool, _ in demand.pools:
                del self._pool_holders[pool][holder]
        self._book(demand, place, is_taken=False)

    def _book(self, demand: Demand, place: Place, *, is_taken: bool) -> None:
        self.version += 1
        bin_id = place.bin_id
        book = self._bins.get(bin_id)
        if book is None:
            book = self._book_of(Bin(bin_id, 0, 0), is_offered=False)
        before = book.cpu_free
        if is_taken:
            book.cpu_used += demand.cpu_milli
            book.memory_used += demand.memory_mib
        else:
            book.cpu_used -= demand.cpu_milli
            book.memory_used -= demand.memory_mib
        sign = 1 if is_taken else -1
        if place.devices:
            share = min(demand.gpu_milli, WHOLE_DEVICE_MILLI)
            for device in place.devices:
                book.gpu_used += [0] * (device + 1 - len(book.gpu_used))
                book.gpu_used[device] += sign * share
        if demand.pools:
            for pool, units in demand.pools:
                self._pool_used[pool] = self._pool_used.get(pool, 0) + sign * units
        book.refresh()
        if demand.cpu_milli and book.is_offered:
            by_free, entry = self._by_free, (book.cpu_free, bin_id)
            if len(by_free) == 1:
                by_free[0] = entry
            else:
                del by_free[bisect_left(by_free, (before, bin_id))]
                insort(by_free, entry)
            self._most_cpu_free = by_free[-1][0]

    def _shortage(self, want: Want) -> Shortage:
        """What keeps the demand from fitting, when it does not."""
        demand = want.demand
        if not self.is_known:
            return short_of("capacity", "capacity", is_for_ever=False)
        if not self.fits_empty(demand):
            return self._why_never(demand)
        pool = self.short_pool(demand)
        if pool is not None:
            return short_of("pool", pool, is_for_ever=False)
        if demand.cpu_milli and not demand.pools:
            self._only_room[want.number] = True
        if demand.cpu_milli > self._most_cpu_free:
            return NO_CPU
        books = self._bins.values()
        if demand.memory_mib > max((b.memory_free for b in books), default=0):
            return short_of("bin", "memory", is_for_ever=False)
        return short_of("bin", "gpu" if demand.gpu_milli else "both", is_for_ever=False)

    def _why_never(self, demand: Demand) -> Shortage:
        """What keeps the demand from fitting an empty machine: a pool, one resource, or all of them in one bin."""
        for pool, units in demand.pools:
            if self._pool_size.get(pool, 0) < units:
                return short_of("pool", pool, is_for_ever=True)
        for label in ("cpu", "memory", "gpu"):
            if amount_of(demand, label) > self._largest.get(label, 0):
                return short_of("bin", label, is_for_ever=True)
        return short_of("bin", "all", is_for_ever=True)

    def explain(self, demand: Demand, shortage: Shortage) -> str:
        """The sentence for people: what is needed, what is free, and who holds the rest."""
        label = shortage.what
        if shortage.kind == "capacity":
            return "no capacity is known yet"
        if shortage.kind == "pool":
            size = self._pool_size.get(label, 0)
            free = max(0, size - self._pool_used.get(label, 0))
            need = dict(demand.pools)[label]
            if shortage.is_for_ever:
                return f"needs {need} of pool {label!r}, which has {size}"
            holders = self._pool_holders.get(label, {})
            held = held_by(", ".join(islice(holders, HOLDERS_SHOWN)), len(holders) - HOLDERS_SHOWN)
            return f"needs {need} of pool {label!r}: {free} of {size} free{held}"
        if len(self._oldest) < HOLDERS_SHOWN:
            self._oldest = list(islice(self.holders, HOLDERS_SHOWN))
            self._named = ", ".join(self._oldest)
        held = held_by(self._named, len(self.holders) - HOLDERS_SHOWN)
        if label == "all":
            return f"no bin could hold {demand_words(demand)} at once, even if nothing else ran"
        if label == "both":
            return f"no bin has {demand_words(demand)} free at once{held}"
        need = amount_of(demand, label)
        if shortage.is_for_ever:
            most = amount_words(label, self._largest.get(label, 0))
            return f"needs {amount_words(label, need)}, but the largest bin has {most}"
        return f"needs {amount_words(label, need)}: {amount_words(label, self._most_free(label, need))} free{held}"

    def _most_free(self, label: str, need: int) -> int:
        """The most of a resource that is free in one bin; of GPUs, where a share is needed, in one device."""
        if label == "cpu":
            return max(0, self._most_cpu_free)
        books = self._bins.values()
        if label == "memory":
            return max(0, max((b.memory_free for b in books), default=0))
        free = [[b.gpu_free(device) for device in range(len(b.bin.gpu_milli))] for b in books]
        if need <= WHOLE_DEVICE_MILLI:
            return max((milli for devices in free for milli in devices), default=0)
        return max((sum(m for m in devices if m == WHOLE_DEVICE_MILLI) for devices in free), default=0)

    def audit(self) -> None:
        """Assert that what is booked of each bin and pool is the sum over all that hold room."""
        held: dict[str, list[Demand]] = {}
        pools: dict[str, int] = {}
        for demand, place in self.holders.values():
            held.setdefault(place.bin_id, []).append(demand)
            for pool, units in demand.pools:
                pools[pool] = pools.get(pool, 0) + units
        for bin_id, book in self._bins.items():
            demands = held.get(bin_id, [])
            assert book.cpu_used == sum(d.cpu_milli for d in demands), f"cpu of {bin_id} drifted"
            assert book.memory_used == sum(d.memory_mib for d in demands), f"memory of {bin_id} drifted"
            free = book.bin.cpu_milli - book.cpu_used, book.bin.memory_mib - book.memory_used
            assert (book.cpu_free, book.memory_free) == free, f"what is free of {bin_id} drifted"
        used = {pool: units for pool, units in self._pool_used.items() if units}
        assert used == pools, f"pools drifted: booked {used}, held {pools}"
        assert self._by_free == self._sorted_by_free(), "the order of bins has drifted"

    def audit_one(self, holder: str, demand: Demand, place: Place | None) -> None:
        """Assert that one task is booked with what it holds; `place` None = with nothing."""
        booked = self.holders.get(holder)
        if booked is not None and booked[0] is demand and booked[1] is place:
            return  # nearly always, and comparing their fields costs as much as a decision's other books together
        is_same = place is None if booked is None else booked == (demand, place)
        assert is_same, f"{holder} is booked with {booked}, and is at {place}"

    def usage(self) -> dict[str, tuple[int, int]]:
        """(used, size) of `cpu_milli`, `memory_mib` over all bins, and of each pool under its name."""
        found = {
            "cpu_milli": (
                sum(b.cpu_used for b in self._bins.values()),
                sum(b.bin.cpu_milli for b in self._bins.values()),
            ),
            "memory_mib": (
                sum(b.memory_used for b in self._bins.values()),
                sum(b.bin.memory_mib for b in self._bins.values()),
            ),
        }
        for pool, size in self._pool_size.items():
            found[pool] = (self._pool_used.get(pool, 0), size)
        return found
