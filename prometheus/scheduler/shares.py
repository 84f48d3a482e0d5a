"""Is a backfill behind the share of the machine that it was promised?

A run may carry a share: that part of the machine's core time is to be its own, over seven days or since it was opened if
that is later, outside of what Tier 1 needs. What it had is kept by the hour, so the account stays small; it follows from
the attempts' rows, from their order to their end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus.core.instants import DAY_US, HOUR_US

WINDOW_US = 7 * DAY_US
FIRST_LINE = 4  # lines of queues 1 to 3 are those of the tiers


@dataclass(slots=True)
class Account:
    """What one run with a share may have and has had."""

    share: float
    line: int  # where its queues stand
    opened_us: int = 0
    spent: dict[int, int] = field(
        default_factory=dict
    )  # hour -> core time, in thousandths of a core times us
    holding: dict[str, tuple[int, int, int]] = field(
        default_factory=dict
    )  # task that holds room -> since when, cores in thousandths, usual duration

    def begin(self, task_id: str, at_us: int, cpu_milli: int, typical_us: int) -> None:
        """A task of the run holds room from now on."""
        self.holding[task_id] = at_us, cpu_milli, typical_us

    def end(self, task_id: str, now_us: int) -> None:
        """It holds room no longer."""
        begun_us, cpu_milli, _ = self.holding.pop(task_id)
        self.charge(begun_us, now_us, cpu_milli, now_us)

    def charge(self, begun_us: int, ended_us: int, cpu_milli: int, now_us: int) -> None:
        """Enter what an attempt has had, hour by hour, and forget what is out of the window."""
        first = _first_hour(now_us)
        at_us = max(begun_us, first * HOUR_US)
        while at_us < ended_us:
            hour = at_us // HOUR_US
            until_us = min(ended_us, (hour + 1) * HOUR_US)
            self.spent[hour] = self.spent.get(hour, 0) + cpu_milli * (until_us - at_us)
            at_us = until_us
        for hour in [hour for hour in self.spent if hour < first]:
            del self.spent[hour]

    def is_behind(self, now_us: int, cpu_milli: int) -> bool:
        """Whether it has had, and will have had when what runs ends as usual, no more than its share of the machine."""
        window_us = min(now_us - self.opened_us, WINDOW_US)
        had = sum(self.standing(now_us).values())
        for begun_us, cores, typical_us in self.holding.values():
            had += cores * max(typical_us, now_us - begun_us)
        return had <= self.share * cpu_milli * window_us

    def standing(self, now_us: int) -> dict[int, int]:
        """What it has had in the window, by hour."""
        first = _first_hour(now_us)
        return {hour: spent for hour, spent in sorted(self.spent.items()) if hour >= first}

    def fork(self) -> Account:
        """The same account, going its own way."""
        return Account(self.share, self.line, self.opened_us, dict(self.spent), dict(self.holding))


def in_order(accounts: Mapping[str, Account]) -> list[Account]:
    """The accounts, whose run was opened first before the others; ties: run id."""
    found = sorted(accounts.items(), key=lambda item: (item[1].opened_us, item[0]))
    return [account for _, account in found]


def _first_hour(now_us: int) -> int:
    return max(0, now_us - WINDOW_US) // HOUR_US
