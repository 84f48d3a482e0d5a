"""Running a stage ahead many times, shared among processes: what became of each promise in each sample.

A sample has a number, and what happens in it belongs to that number and the seed alone: it does not matter which
process draws it, and the same number of two stages is the same night under two assumptions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from math import fsum
from multiprocessing import get_context

from prometheus.core.instants import HOUR_US, SECOND_US
from prometheus.forecast.ahead import Told
from prometheus.forecast.foresee import foresee
from prometheus.forecast.world import Life, World, useful_us
from prometheus.orchestrator.clock import monotonic_us
from prometheus.orchestrator.machine import usable_cores
from prometheus.orchestrator.tonight import Stage

ALONE_US = 2 * SECOND_US  # work that is foreseen to last less is not worth other processes
SHARE = 20  # samples that are drawn in one go: what a go costs by itself is less than one of them
NICENESS = 10  # whoever asks what would be must not slow down what is

Draw = tuple[int, int]  # stage, number of the sample
Part = tuple[int, int, int]  # stage, first number, how many
Progress = Callable[[int, int], None]  # drawn, of how many


@dataclass(slots=True)
class Seen:
    """What became of a stage, by the number of the sample."""

    finishes: dict[int, tuple[int | None, ...]] = field(
        default_factory=dict
    )  # instant of each promise, in order
    lower: dict[int, float] = field(default_factory=dict)  # useful core-hours of Tier 3

    @property
    def samples(self) -> int:
        return len(self.finishes)

    def of(self, place: int) -> list[int | None]:
        """When the promise in that place was kept, sample by sample; None = not while it was looked at."""
        return [self.finishes[number][place] for number in sorted(self.finishes)]

    def core_hours(self) -> float:
        """The mean of Tier 3's useful core-hours."""
        return fsum(self.lower.values()) / max(1, len(self.lower))


class Drawer:
    """Draws samples of some stages, in processes of its own where that pays; `seen` holds one for each stage."""

    def __init__(self, stages: Sequence[Stage], seed: int) -> None:
        self._stages, self._seed = list(stages), seed
        self._pool: ProcessPoolExecutor | None = None
        self.seen = [Seen() for _ in stages]

    def __enter__(self) -> Drawer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def draw(self, wanted: Iterable[Draw], progress: Progress) -> None:
        """Draw these samples; they do not depend on where they are drawn."""
        parts = _parts(wanted)
        count, drawn, begun_us = sum(many for _, _, many in parts), 0, monotonic_us()
        while parts and self._pool is None:
            stage, first, many = parts.pop(0)
            _look(self._stages[stage], first, many, self._seed, self.seen[stage])
            drawn += many
            progress(drawn, count)
            if (monotonic_us() - begun_us) // drawn * (count - drawn) > ALONE_US and usable_cores() > 1:
                break
        if parts:
            self._share(parts, drawn, count, progress)

    def _share(self, parts: Sequence[Part], drawn: int, wanted: int, progress: Progress) -> None:
        if self._pool is None:
            told = self._stages, self._seed
            self._pool = ProcessPoolExecutor(usable_cores(), get_context("spawn"), _begin, told)
        futures = [self._pool.submit(_part, *part) for part in parts]
        for future in as_completed(futures):
            stage, count, seen = future.result()
            self.seen[stage].finishes.update(seen.finishes)
            self.seen[stage].lower.update(seen.lower)
            drawn += count
            progress(drawn, wanted)


def _parts(wanted: Iterable[Draw]) -> list[Part]:
    """Neighbours that are drawn in one go."""
    parts: list[Part] = []
    for stage, number in sorted(wanted):
        if parts:
            last, first, count = parts[-1]
            if last == stage and first + count == number and count < SHARE:
                parts[-1] = last, first, count + 1
                continue
        parts.append((stage, number, 1))
    return parts


_own: tuple[list[Stage], int] | None = None  # of a process that was made to draw


def _begin(stages: list[Stage], seed: int) -> None:
    global _own
    _own = stages, seed
    with suppress(OSError):
        os.nice(NICENESS)


def _part(stage: int, first: int, count: int) -> tuple[int, int, Seen]:
    assert _own is not None, "this process was not told what to draw from"
    seen = Seen()
    _look(_own[0][stage], first, count, _own[1], seen)
    return stage, count, seen


def _look(stage: Stage, first: int, count: int, seed: int, into: Seen) -> None:
    """Draw `count` samples from number `first` on."""

    def watch(number: int, world: World, told: Told) -> None:
        into.finishes[number] = tuple(
            None if one.is_broken else told.finished.get(one.slo.slo_id) for one in stage.promises
        )
        into.lower[number] = (
            fsum(
                cores * useful_us(world.lives.get(task_id, _NOTHING), world.truths[task_id], stage.until_us)
                for task_id, cores in stage.lower_cores.items()
            )
            / HOUR_US
        )

    foresee(
        stage.scheduler,
        stage.outlook,
        until_us=stage.until_us,
        samples=count,
        seed=seed,
        skip=first,
        watch=watch,
    )


_NOTHING = Life()
