"""What is in use and what is free: bins, GPU devices and pools.

Usage is booked when an attempt is ordered and returned when it has ended. It always equals the sum over the attempts
that hold room (`audit`). When capacity shrinks below what is in use, the surplus stays in the books of usage and the
free amount is 0, never negative.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.scheduler.packing import guards, is_within, pack
from prometheus.scheduler.reservation import POOL

_BIN_FIELDS = 2  # cpu_milli, memory_mib
_BIN_GUARDS = guards(_BIN_FIELDS)
WHOLE_DEVICE_MILLI = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt holds its demand."""

    bin_id: str
    devices: tuple[int, ...] = ()  # GPUs: none, one for a share, several whole ones


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a demand does not fit: `kind` capacity, pool or bin; `what` names the pool or the resource."""

    kind: str
    what: str
    is_for_ever: bool  # it would not fit an empty machine either


@dataclass(slots=True)
class _BinBook:
    bin: Bin
    cpu_used: int = 0
    memory_used: int = 0
    gpu_used: list[int] = field(default_factory=list)
    holders: dict[str, tuple[Demand, Place]] = field(default_factory=dict)
    free: int = 0
    is_offered: bool = True  # False for a bin that is gone and whose attempts have not ended yet

    def refresh(self) -> None:
        self.free = pack(
            (max(0, self.bin.cpu_milli - self.cpu_used), max(0, self.bin.memory_mib - self.memory_used))
        )

    def gpu_free(self, device: int) -> int:
        capacity = self.bin.gpu_milli[device] if device < len(self.bin.gpu_milli) else 0
        return max(0, capacity - self.gpu_used[device])


class Room:
    """The books of one scheduler."""

    def __init__(self) -> None:
        self.is_known = False
        self._bins: dict[str, _BinBook] = {}
        self._pool_size: dict[str, int] = {}
        self._pool_used: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._fits_empty: dict[Demand, bool] = {}  # what was found out since the capacity last changed

    def set_capacity(self, capacity: Capacity) -> None:
        """Take a new capacity; what is in use stays booked, in bins that are gone too, until it ends."""
        self.is_known = True
        self._fits_empty = {}
        offered = {bin_.bin_id: bin_ for bin_ in capacity.bins}
        still_there = frozenset(offered)
        for bin_id, book in list(self._bins.items()):
            if bin_id not in offered:
                if book.holders:
                    offered[bin_id] = Bin(bin_id, 0, 0)
                else:
                    del self._bins[bin_id]
        for bin_id in sorted(offered):
            book = self._bins.setdefault(bin_id, _BinBook(offered[bin_id]))
            book.bin, book.is_offered = offered[bin_id], bin_id in still_there
            book.gpu_used += [0] * (len(book.bin.gpu_milli) - len(book.gpu_used))
            book.refresh()
        self._pool_size = dict(capacity.pools)
        self._totals = {
            "cpu": sum(one.cpu_milli for one in capacity.bins),
            "memory": sum(one.memory_mib for one in capacity.bins),
            "gpu": sum(sum(one.gpu_milli) for one in capacity.bins),
            **{POOL + pool: size for pool, size in self._pool_size.items()},
        }

    def fork(self) -> Room:
        """The same room, going its own way."""
        twin = Room()
        twin.is_known = self.is_known
        twin._bins = {
            bin_id: replace(book, gpu_used=list(book.gpu_used), holders=dict(book.holders))
            for bin_id, book in self._bins.items()
        }
        twin._pool_size, twin._totals = self._pool_size, self._totals  # replaced as a whole, never changed
        twin._fits_empty = dict(self._fits_empty)
        twin._pool_used = dict(self._pool_used)
        return twin

    def find(self, demand: Demand) -> Place | None:
        """The fullest bin in which the demand fits now (ties: bin id), or None."""
        if self.short_pool(demand) is not None:
            return None
        need = pack((demand.cpu_milli, demand.memory_mib))
        best: tuple[int, str] | None = None
        place: Place | None = None
        for bin_id, book in self._bins.items():
            if not is_within(need, book.free, _BIN_GUARDS) or not book.is_offered:
                continue
            score = (book.bin.cpu_milli - book.cpu_used, bin_id)
            if best is not None and score >= best:
                continue
            if demand.gpu_milli:
                found = _find_devices(book, demand.gpu_milli)
                if found is None:
                    continue
                place = Place(bin_id, found)
            else:
                place = Place(bin_id)
            best = score
        return place

    def totals(self) -> dict[str, int]:
        """All that is offered, by the names of `amounts_of`: cpu, memory and gpu summed over the bins, and the pools."""
        return self._totals

    def fits_without(self, demand: Demand, gone: Collection[str]) -> bool:
        """Whether the demand would fit if the holders `gone` had ended."""
        if not gone:
            return self.find(demand) is not None
        freed: dict[str, int] = {}
        for book in self._bins.values():
            for holder in gone:
                if holder in book.holders:
                    for pool, units in book.holders[holder][0].pools:
                        freed[pool] = freed.get(pool, 0) + units
        for pool, units in demand.pools:
            used = self._pool_used.get(pool, 0) - freed.get(pool, 0)
            if self._pool_size.get(pool, 0) - used < units:
                return False
        return any(_fits_bin(book, demand, gone) for book in self._bins.values())

    def fits_empty(self, demand: Demand) -> bool:
        """Whether the demand would fit the machine as it is now if nothing ran."""
        found = self._fits_empty.get(demand)
        if found is None:
            has_pools = all(self._pool_size.get(pool, 0) >= units for pool, units in demand.pools)
            found = has_pools and any(_fits_bin(book, demand, book.holders) for book in self._bins.values())
            self._fits_empty[demand] = found
        return found

    def short_pool(self, demand: Demand) -> str | None:
        """The first pool that has too few free units, or None."""
        for pool, units in demand.pools:
            if self._pool_size.get(pool, 0) - self._pool_used.get(pool, 0) < units:
                return pool
        return None

    def take(self, holder: str, demand: Demand, place: Place) -> None:
        """Book a demand; `find` has just said that it fits (or it already ran when this scheduler was rebuilt)."""
        book = self._bins.get(place.bin_id)
        if book is None:
            book = self._bins[place.bin_id] = _BinBook(Bin(place.bin_id, 0, 0), is_offered=False)
        assert holder not in book.holders, f"{holder} already holds room in {place.bin_id}"
        book.holders[holder] = (demand, place)
        self._book(book, demand, place, +1)

    def give_back(self, holder: str, place: Place) -> None:
        """Return what `holder` took at `place`."""
        book = self._bins[place.bin_id]
        demand, _ = book.holders.pop(holder)
        self._book(book, demand, place, -1)

    def _book(self, book: _BinBook, demand: Demand, place: Place, sign: int) -> None:
        book.cpu_used += sign * demand.cpu_milli
        book.memory_used += sign * demand.memory_mib
        share = min(demand.gpu_milli, WHOLE_DEVICE_MILLI)
        for device in place.devices:
            book.gpu_used += [0] * (device + 1 - len(book.gpu_used))
            book.gpu_used[device] += sign * share
        for pool, units in demand.pools:
            self._pool_used[pool] = self._pool_used.get(pool, 0) + sign * units
        book.refresh()

    def shortage(self, demand: Demand) -> Shortage:
        """What keeps the demand from fitting. Called when `find` has just said None."""
        if not self.is_known:
            return Shortage("capacity", "capacity", is_for_ever=False)
        if not self.fits_empty(demand):
            return self._why_never(demand)
        pool = self.short_pool(demand)
        if pool is not None:
            return Shortage("pool", pool, is_for_ever=False)
        books = self._bins.values()
        if demand.cpu_milli > max((b.bin.cpu_milli - b.cpu_used for b in books), default=0):
            return Shortage("bin", "cpu", is_for_ever=False)
        if demand.memory_mib > max((b.bin.memory_mib - b.memory_used for b in books), default=0):
            return Shortage("bin", "memory", is_for_ever=False)
        return Shortage("bin", "gpu" if demand.gpu_milli else "both", is_for_ever=False)

    def _why_never(self, demand: Demand) -> Shortage:
        """What keeps the demand from fitting an empty machine: a pool, one resource, or all of them in one bin."""
        for pool, units in demand.pools:
            if self._pool_size.get(pool, 0) < units:
                return Shortage("pool", pool, is_for_ever=True)
        books = [book for book in self._bins.values() if book.is_offered]
        for label, need, offered in (
            ("cpu", demand.cpu_milli, max((b.bin.cpu_milli for b in books), default=0)),
            ("memory", demand.memory_mib, max((b.bin.memory_mib for b in books), default=0)),
            ("gpu", demand.gpu_milli, max((sum(b.bin.gpu_milli) for b in books), default=0)),
        ):
            if need > offered:
                return Shortage("bin", label, is_for_ever=True)
        return Shortage("bin", "all", is_for_ever=True)

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
            return f"needs {need} of pool {label!r}: {free} of {size} free{self._held_by(label)}"
        books = self._bins.values()
        amounts = {
            "cpu": (demand.cpu_milli, [b.bin.cpu_milli for b in books], [b.cpu_used for b in books]),
            "memory": (demand.memory_mib, [b.bin.memory_mib for b in books], [b.memory_used for b in books]),
            "gpu": (
                demand.gpu_milli,
                [sum(b.bin.gpu_milli) for b in books],
                [sum(b.gpu_used) for b in books],
            ),
        }
        if label == "all":
            return f"no bin could hold {_describe(demand)} at once, even if nothing else ran"
        if label not in amounts:
            return f"no bin has {_describe(demand)} free at once{self._held_by(None)}"
        need, offered, used = amounts[label]
        if shortage.is_for_ever:
            return f"needs {_amount(label, need)}, but the largest bin has {_amount(label, max(offered, default=0))}"
        free = max((max(0, o - u) for o, u in zip(offered, used, strict=True)), default=0)
        return f"needs {_amount(label, need)}: {_amount(label, free)} free{self._held_by(None)}"

    def _held_by(self, pool: str | None) -> str:
        names = [
            holder
            for book in self._bins.values()
            for holder, (demand, _) in book.holders.items()
            if pool is None or pool in dict(demand.pools)
        ]
        if not names:
            return ""
        shown = ", ".join(names[:3])
        return f"; in use by {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def audit(self, holders: Mapping[str, tuple[Demand, Place]]) -> None:
        """Assert that the books equal the sum over `holders` (task id -> what it holds and where)."""
        booked = {holder: entry for book in self._bins.values() for holder, entry in book.holders.items()}
        assert booked == dict(holders), f"room is held by {sorted(booked)}, attempts hold {sorted(holders)}"
        pools: dict[str, int] = {}
        for book in self._bins.values():
            demands = [demand for demand, _ in book.holders.values()]
            assert book.cpu_used == sum(d.cpu_milli for d in demands), f"cpu of {book.bin.bin_id} drifted"
            assert book.memory_used == sum(d.memory_mib for d in demands), (
                f"memory of {book.bin.bin_id} drifted"
            )
            for demand in demands:
                for pool, units in demand.pools:
                    pools[pool] = pools.get(pool, 0) + units
        used = {pool: units for pool, units in self._pool_used.items() if units}
        assert used == pools, f"pools drifted: booked {used}, held {pools}"

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


def _fits_bin(book: _BinBook, demand: Demand, gone: Collection[str]) -> bool:
    """Whether the demand would fit this bin if the holders `gone` had ended."""
    if not book.is_offered:
        return False
    cpu, memory, gpu = book.cpu_used, book.memory_used, list(book.gpu_used)
    for holder in gone:
        if holder in book.holders:
            held, place = book.holders[holder]
            cpu, memory = cpu - held.cpu_milli, memory - held.memory_mib
            for device in place.devices:
                gpu[device] -= min(held.gpu_milli, WHOLE_DEVICE_MILLI)
    free_cpu, free_memory = max(0, book.bin.cpu_milli - cpu), max(0, book.bin.memory_mib - memory)
    if free_cpu < demand.cpu_milli or free_memory < demand.memory_mib:
        return False
    if not demand.gpu_milli:
        return True
    trial = _BinBook(book.bin, gpu_used=gpu)
    return _find_devices(trial, demand.gpu_milli) is not None


def _find_devices(book: _BinBook, milli: int) -> tuple[int, ...] | None:
    """Devices for a GPU demand in this bin: the fullest one where a share fits, or so many whole empty ones."""
    count = len(book.bin.gpu_milli)
    if milli <= WHOLE_DEVICE_MILLI:
        fitting = [
            (book.gpu_free(device), device) for device in range(count) if book.gpu_free(device) >= milli
        ]
        return (min(fitting)[1],) if fitting else None
    wanted = -(-milli // WHOLE_DEVICE_MILLI)
    empty = [d for d in range(count) if book.gpu_used[d] == 0 and book.bin.gpu_milli[d] >= WHOLE_DEVICE_MILLI]
    return tuple(empty[:wanted]) if len(empty) >= wanted else None


def _amount(label: str, amount: int) -> str:
    if label == "memory":
        return f"{amount} MiB" if amount < 1024 else f"{amount / 1024:.3g} GiB"
    unit = "core" if label == "cpu" else "GPU"
    return f"{amount / 1000:g} {unit}{'' if amount == 1000 else 's'}"


def _describe(demand: Demand) -> str:
    parts = [_amount("cpu", demand.cpu_milli), _amount("memory", demand.memory_mib)]
    if demand.gpu_milli:
        parts.append(_amount("gpu", demand.gpu_milli))
    return ", ".join(parts)
