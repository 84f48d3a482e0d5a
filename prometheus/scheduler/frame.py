"""Tier 1's unfinished work as arrays: what does not change between two plans, and where its parts stood when looked at.

A part is what hangs together by edges (a market's pipeline). Most parts of a night do not change from one plan to the
next: nothing of them runs, and nothing has moved. They are looked at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Late = tuple[int, int, int]  # (instant at which a task is to begin, its part, by how much it will be late)
NO_KEY = -1  # the schedule did not stand here in a way that another may go on from


@dataclass(frozen=True, slots=True)
class Frame:
    """What does not change of Tier 1's unfinished work between two plans: arrays by number of task, the most urgent first.

    It is never changed, only replaced; but `parts`, which the next frame goes on with, fills up. A task that has ended keeps
    its number.
    """

    rule: tuple[float, int]  # caution and margin of the policy for which it was laid out
    task_ids: tuple[str, ...]
    names: tuple[str, ...]  # the resources in the fields of a packed vector; cores first
    needs: list[int]  # packed, with the cores once more behind the others
    cores: list[int]  # of each, in milli-cores
    takes: list[int]  # how long each is planned to take
    due: list[
        int
    ]  # when each must have ended for all deadlines at it and after it; NEVER_US if there are none
    before: list[list[int]]
    outside: list[list[str]]  # tasks before it that are not in the frame
    after: list[list[int]]
    part: list[int]  # a number for what hangs together
    rest: list[str]  # less urgent tasks that had not ended, in order: of more than are planned
    parts: dict[str, int]  # the number of every task that was looked at; edges stay while a frame is known


@dataclass(frozen=True, slots=True)
class Part:
    """Where the unfinished tasks of one part stand, by their numbers in the frame."""

    unfinished: list[int]
    open: list[int]  # those that have not begun
    earliest: list[int]  # of each of `open`
    waits: list[
        int
    ]  # of each of `open`: planned tasks before it, and one more if nobody knows when it may start
    ready: list[tuple[int, int]]  # (instant from which it may start, task): those that wait for no other
    running: list[tuple[int, int]]  # (instant at which it ends, task)
    left_out: list[int]  # what its caps leave out of the cores, from the whole machine (0) to the smallest
    startable: int  # tasks that have not begun and for which nobody waits in vain
    is_hurried: bool  # a task of it that has not begun has a deadline
    first_us: int  # the earliest of `earliest`
    is_live: bool  # it may stand elsewhere at the next plan though nothing of it moves
    key: int  # of `open`, as a set


@dataclass(frozen=True, slots=True)
class Trail:
    """A schedule that has come to its end: instants, what is in use from each on, and a key of where it stood before each.

    What has not begun and what runs until when make the key: where two schedules of the same parts have the same key at the
    same instant, all that follows is the same.
    """

    at_us: list[int]
    used: list[int]
    keys: list[int]
    taken_us: int  # the first instant that is from the trail before this one; NEVER_US if none is
    late: list[Late]  # what is late, with its margin, though its part has the whole machine; in order


def key_of(number: int) -> int:
    """A key of one task that has not begun; the key of a set is made of those of its tasks by exclusive or."""
    return hash((number, NO_KEY))


@dataclass(slots=True)
class Standing:
    """Where all parts stand. Parts and the trail are values; this record of them is changed at each plan."""

    frame: Frame
    parts: dict[int, Part] = field(default_factory=dict)
    later: list[tuple[int, int]] = field(
        default_factory=list
    )  # (instant, part): those that are not live, in order; replaced as a whole
    live: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)  # parts that were looked at for this plan
    unfinished: int = 0  # tasks of all parts
    key: int = 0  # of all that have not begun
    trail: Trail | None = None  # of the last plan, if the next may go on with it

    def fork(self) -> Standing:
        """The same, going its own way."""
        return Standing(
            self.frame,
            dict(self.parts),
            self.later,
            self.live,
            self.changed,
            self.unfinished,
            self.key,
            self.trail,
        )
