"""The reservation as a value: what stays free for Tier 1, and what lower tiers have been promised, by bin of time.

Amounts are summed over the machine's bins of resources, which is optimistic where a machine is cut into many small ones;
what really fits is asked of `Room` before each start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from prometheus.core.demand import Demand
from prometheus.core.instants import MINUTE_US

BIN_US = 5 * MINUTE_US
PROMISED_BINS_AT_MOST = 12 * 24 * 7  # a job that may take longer than a week is promised a week

POOL = "pool:"  # before a pool's name, for a pool may be called "cpu"
Amounts = tuple[tuple[str, int], ...]  # resource -> amount: "cpu", "memory", "gpu", or POOL and a name


@lru_cache(maxsize=4096)  # few shapes, many tasks
def amounts_of(demand: Demand) -> Amounts:
    """What a demand takes of each resource that it takes anything of."""
    found = [("cpu", demand.cpu_milli), ("memory", demand.memory_mib), ("gpu", demand.gpu_milli)]
    found += [(POOL + pool, units) for pool, units in demand.pools]
    return tuple((name, amount) for name, amount in found if amount)


def said_of(name: str) -> str:
    """A resource in words for people."""
    return f"pool {name.removeprefix(POOL)!r}" if name.startswith(POOL) else name


@dataclass(slots=True)
class Reservation:
    """Tier 1's planned use and the lower tiers' promised use of each resource, by bin of time.

    The plan and the windows are made anew together, from where everything stands then; promises last until the
    attempt that holds them has ended.
    """

    made_us: int = -1
    is_stale: bool = True
    planned: dict[str, dict[int, int]] = field(default_factory=dict)
    promised: dict[str, dict[int, int]] = field(default_factory=dict)  # the sum of promises and windows
    promises: dict[str, tuple[Amounts, int, int]] = field(
        default_factory=dict
    )  # task -> amounts, bins [from, to)
    windows: dict[str, tuple[Amounts, int, int]] = field(default_factory=dict)  # waiting task -> the same

    def promise(self, task_id: str, amounts: Amounts, first: int, count: int) -> None:
        """A lower task that cannot checkpoint has begun: these bins are its own until it ends."""
        self.promises[task_id] = amounts, first, first + min(count, PROMISED_BINS_AT_MOST)
        self._add(*self.promises[task_id], 1)

    def end(self, task_id: str) -> None:
        """The task has ended; what was promised to it is free again."""
        found = self.promises.pop(task_id, None)
        if found is not None:
            self._add(*found, -1)

    def open_window(self, task_id: str, amounts: Amounts, first: int, count: int) -> None:
        """A task that has waited too long may start in bin `first`, and others keep out of its way."""
        self.windows[task_id] = amounts, first, first + min(count, PROMISED_BINS_AT_MOST)
        self._add(*self.windows[task_id], 1)

    def close_window(self, task_id: str) -> tuple[Amounts, int, int] | None:
        """The task starts, or its window is to be looked for anew; the window that it had."""
        found = self.windows.pop(task_id, None)
        if found is not None:
            self._add(*found, -1)
        return found

    def windowed(self, name: str, place: int) -> int:
        """How much of a resource the open windows keep in a bin."""
        kept = 0
        for amounts, first, last in self.windows.values():
            if first <= place < last:
                kept += dict(amounts).get(name, 0)
        return kept

    def fork(self) -> Reservation:
        """The same reservation, going its own way. The plan is never changed, only replaced: it is shared."""
        return replace(
            self,
            promised={name: dict(bins) for name, bins in self.promised.items()},
            promises=dict(self.promises),
            windows=dict(self.windows),
        )

    def _add(self, amounts: Amounts, first: int, last: int, sign: int) -> None:
        for name, amount in amounts:
            bins = self.promised.setdefault(name, {})
            for place in range(first, last):
                left = bins.get(place, 0) + sign * amount
                if left:
                    bins[place] = left
                else:
                    bins.pop(place, None)

    def blocks(
        self, amounts: Amounts, capacity: dict[str, int], first: int, count: int
    ) -> tuple[str, int] | None:
        """The first (resource, bin) of `count` bins from `first` in which the amounts do not fit; None if they do."""
        for name, amount in amounts:
            planned, promised = self.planned.get(name, {}), self.promised.get(name, {})
            if not planned and not promised:
                continue
            spare = capacity.get(name, 0) - amount
            for place in range(first, first + min(count, PROMISED_BINS_AT_MOST)):
                if planned.get(place, 0) + promised.get(place, 0) > spare:
                    return name, place
        return None

    def check(self) -> None:
        """Assert that what is promised is the sum of the promises and the windows."""
        own = Reservation()
        for amounts, first, last in (*self.promises.values(), *self.windows.values()):
            own._add(amounts, first, last, 1)
        kept = {name: bins for name, bins in self.promised.items() if bins}
        assert kept == {name: bins for name, bins in own.promised.items() if bins}, "promised use has drifted"
