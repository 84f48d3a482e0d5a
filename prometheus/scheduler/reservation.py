"""The reservation as a value: what stays free for Tier 1, and what lower tiers have been promised, by bin of time.

Amounts are summed over the machine's bins of resources, which is optimistic where a machine is cut into many small ones;
what really fits is asked of `Room` before each start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from prometheus.core.demand import Capacity, Demand
from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.frame import Frame, Standing

BIN_US = 5 * MINUTE_US
PROMISED_BINS_AT_MOST = 12 * 24 * 7  # a job that may take longer than a week is promised a week

POOL = "pool:"  # before a pool's name, for a pool may be called "cpu"
Bins = dict[str, dict[int, int]]  # resource -> bin of time -> amount
_EMPTY: dict[int, int] = {}
_Get = Callable[[int, int], int]
_Row = tuple[str, int, _Get, _Get, _Get]
Amounts = tuple[tuple[str, int], ...]  # resource -> amount: "cpu", "memory", "gpu", or POOL and a name


@lru_cache(maxsize=4096)  # few shapes, many tasks
def amounts_of(demand: Demand) -> Amounts:
    """What a demand takes of each resource that it takes anything of."""
    found = [("cpu", demand.cpu_milli), ("memory", demand.memory_mib), ("gpu", demand.gpu_milli)]
    found += [(POOL + pool, units) for pool, units in demand.pools]
    return tuple((name, amount) for name, amount in found if amount)


def totals_of(capacity: Capacity) -> dict[str, int]:
    """All that a machine offers, by the names of `amounts_of`: cpu, memory and gpu summed over the bins, and the pools."""
    return {
        "cpu": sum(one.cpu_milli for one in capacity.bins),
        "memory": sum(one.memory_mib for one in capacity.bins),
        "gpu": sum(sum(one.gpu_milli) for one in capacity.bins),
        **{POOL + pool: size for pool, size in capacity.pools},
    }


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
    frame: Frame | None = None  # None = to be laid out anew
    standing: Standing | None = None  # None, or of another frame = to be looked at anew
    moved: set[str] = field(default_factory=set)  # Tier 1 tasks that have, since parts were looked at
    quiet_until_us: int = 0  # before then the plan stays the same unless a Tier 1 task moves or it is stale
    planned: dict[str, dict[int, int]] = field(default_factory=dict)
    behind_us: dict[int, int] = field(
        default_factory=dict
    )  # part -> by how much it misses its margin, by the plan
    promised: dict[str, dict[int, int]] = field(default_factory=dict)  # the sum of promises
    windowed: dict[str, dict[int, int]] = field(default_factory=dict)  # the sum of windows
    promises: dict[str, tuple[Amounts, int, int]] = field(
        default_factory=dict
    )  # task -> amounts, bins [from, to)
    windows: dict[str, tuple[Amounts, int, int]] = field(default_factory=dict)  # waiting task -> the same
    _beside: dict[str, Bins] = field(default_factory=dict)  # task with a window -> the sum of the others

    def tier_1_moved(self, task_id: str) -> None:
        """A Tier 1 task is in another state: the next plan may be another."""
        self.quiet_until_us = 0
        if self.frame is not None:
            self.moved.add(task_id)

    def promise(self, task_id: str, amounts: Amounts, first: int, count: int) -> None:
        """A lower task that cannot checkpoint has begun: these bins are its own until it ends."""
        self.promises[task_id] = amounts, first, first + min(count, PROMISED_BINS_AT_MOST)
        _add(self.promised, *self.promises[task_id], 1)

    def end(self, task_id: str) -> None:
        """The task has ended; what was promised to it is free again."""
        found = self.promises.pop(task_id, None)
        if found is not None:
            _add(self.promised, *found, -1)

    def open_window(self, task_id: str, amounts: Amounts, first: int, count: int) -> None:
        """A task that has waited too long may start in bin `first`, and others keep out of its way."""
        self.windows[task_id] = amounts, first, first + min(count, PROMISED_BINS_AT_MOST)
        _add(self.windowed, *self.windows[task_id], 1)
        self._beside.clear()

    def close_window(self, task_id: str) -> tuple[Amounts, int, int] | None:
        """The task starts, or its window is to be looked for anew; the window that it had."""
        found = self.windows.pop(task_id, None)
        if found is not None:
            _add(self.windowed, *found, -1)
            self._beside.clear()
        return found

    def close_windows(self) -> None:
        """All windows are looked for anew."""
        self.windows.clear()
        self.windowed.clear()
        self._beside.clear()

    def windowed_beside(self, task_id: str) -> Bins:
        """The sum of the windows that are not the task's own."""
        own = self.windows.get(task_id)
        if own is None:
            return self.windowed
        found = self._beside.get(task_id)
        if found is None:
            found = self._beside[task_id] = {name: dict(bins) for name, bins in self.windowed.items()}
            _add(found, *own, -1)
        return found

    def fork(self) -> Reservation:
        """The same reservation, going its own way. The plan is never changed, only replaced: it is shared."""
        return replace(
            self,
            promised={name: dict(bins) for name, bins in self.promised.items()},
            windowed={name: dict(bins) for name, bins in self.windowed.items()},
            promises=dict(self.promises),
            windows=dict(self.windows),
            standing=None if self.standing is None else self.standing.fork(),
            moved=set(self.moved),
            _beside={},
        )

    def blocks(
        self,
        amounts: Amounts,
        capacity: dict[str, int],
        first: int,
        count: int,
        *,
        heeds_windows: bool,
        own: str = "",
    ) -> tuple[str, int] | None:
        """The first (resource, bin) of `count` bins from `first` in which the amounts do not fit; None if they do.

        The window of the task `own`, if it has one, keeps nothing.
        """
        rows = self._rows(amounts, capacity, self.windowed_beside(own) if heeds_windows else {})
        if not rows:
            return None
        for place in range(first, first + min(count, PROMISED_BINS_AT_MOST)):
            for name, spare, planned_in, promised_in, windowed_in in rows:
                if planned_in(place, 0) + promised_in(place, 0) + windowed_in(place, 0) > spare:
                    return name, place
        return None

    def earliest(
        self, amounts: Amounts, capacity: dict[str, int], first: int, count: int, end: int
    ) -> int | None:
        """The first bin from `first` on, before `end`, from which the amounts fit beside all that is kept, for `count` bins.

        Each stretch is looked at from its end, for no other can begin before the last bin that is taken in it.
        """
        rows = self._rows(amounts, capacity, self.windowed)
        count, clear = min(count, PROMISED_BINS_AT_MOST), first  # from `first` to `clear` they fit
        place = first + count - 1
        while rows and place >= clear and first < end:
            for _, spare, planned_in, promised_in, windowed_in in rows:
                if planned_in(place, 0) + promised_in(place, 0) + windowed_in(place, 0) > spare:
                    first, clear, place = place + 1, first + count, place + count
                    break
            else:
                place -= 1
        return first if first < end else None

    def _rows(self, amounts: Amounts, capacity: dict[str, int], windows: Bins) -> list[_Row]:
        """Of each resource of which something is kept: what may be kept beside the amounts, and what is, by bin."""
        rows: list[_Row] = []
        for name, amount in amounts:
            planned, promised = self.planned.get(name, _EMPTY), self.promised.get(name, _EMPTY)
            windowed = windows.get(name, _EMPTY)
            if planned or promised or windowed:
                rows.append((name, capacity.get(name, 0) - amount, planned.get, promised.get, windowed.get))
        return rows

    def check(self) -> None:
        """Assert that what is promised is the sum of the promises and the windows."""
        for what, said, entries in (
            ("promised", self.promised, self.promises),
            ("windowed", self.windowed, self.windows),
        ):
            sums: Bins = {}
            for amounts, first, last in entries.values():
                _add(sums, amounts, first, last, 1)
            kept, own = ({name: bins for name, bins in one.items() if bins} for one in (said, sums))
            assert kept == own, f"{what} use has drifted"


def _add(to: Bins, amounts: Amounts, first: int, last: int, sign: int) -> None:
    for name, amount in amounts:
        bins = to.setdefault(name, {})
        for place in range(first, last):
            left = bins.get(place, 0) + sign * amount
            if left:
                bins[place] = left
            else:
                bins.pop(place, None)
