"""P(miss) of each promise against the size of the machine, and the smallest size that keeps each at 99.5 %.

Every size gets a first lot of samples; more are drawn only where a promise's smallest size is still in doubt. All sizes
see the same nights, so their differences are those of the size alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from prometheus.core.ids import Json
from prometheus.core.instants import iso
from prometheus.orchestrator.tonight import Promise, Stage, Tonight, stage_of
from prometheus.orchestrator.whatif.assuming import (
    Assumption,
    Never,
    PoolSized,
    Resource,
    Sized,
    amount_words,
    assume,
    never,
    size_of,
    unasked_words,
)
from prometheus.orchestrator.whatif.comparing import outcome
from prometheus.orchestrator.whatif.sampling import Draw, Drawer, Progress, Seen
from prometheus.orchestrator.whatif.shares import SURE, Share, at_most

KEPT = 0.995  # a promise is kept if so many nights keep it
LOT = 100  # samples that a size gets at once
NEEDED = 598  # samples without a miss that prove 99.5 % (one-sided, 95 %)


@dataclass(frozen=True, slots=True)
class Swept:
    """What is varied: a resource of each worker, or a pool; ascending sizes in the units of `Sized` and `PoolSized`."""

    what: Resource | None
    pool: str
    sizes: tuple[int, ...]

    def at(self, size: int) -> Sized | PoolSized:
        """The assumption of one size."""
        return PoolSized(self.pool, size) if self.what is None else Sized(self.what, size)

    def words(self, size: int) -> str:
        """A size for people: 12 cores."""
        if self.what is None:
            return f"{size} of {self.pool}"
        return amount_words(self.what, size)


class Verdict(Enum):
    """Whether a promise is kept at 99.5 %, as far as the samples tell (95 % sure)."""

    KEPT = "kept"
    BROKEN = "broken"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Point:
    """One size."""

    size: int
    samples: int
    missed: tuple[Share, ...]  # by promise, in order
    lower: float  # mean useful core-hours of Tier 3
    never: tuple[Never, ...]  # tasks that do not fit

    def keeps(self, place: int) -> bool:
        """Whether the promise is kept in 99.5 % of the samples."""
        return 1 - self.missed[place].value >= KEPT


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest size from which on a promise is kept, by the samples; None if no size of the sweep is enough."""

    promise: Promise
    size: int | None
    verdict: Verdict  # of that size; of the largest if there is none
    attained: Share  # of that size: nights that keep it
    is_first: bool = False  # no smaller size was tried


@dataclass(frozen=True, slots=True)
class Sweep:
    """The whole answer."""

    name: str
    now_us: int
    seed: int
    swept: Swept
    present: int | None  # the size that there is; None if workers differ
    promises: tuple[Promise, ...]
    points: tuple[Point, ...]
    smallest: tuple[Smallest, ...]  # by promise
    words: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def enough(self) -> Smallest | None:
        """The one that decides over all promises: that of the one which needs most; see `enough_for`."""
        return self.enough_for(3)

    def enough_for(self, tier: int) -> Smallest | None:
        """The one that decides over the promises of this tier and higher ones; None if one is never kept, or of none."""
        found = [one for one in self.smallest if one.promise.tier <= tier]
        if not found or any(one.size is None for one in found):
            return None
        order = {Verdict.KEPT: 0, Verdict.OPEN: 1, Verdict.BROKEN: 2}
        return max(found, key=lambda one: (one.size or 0, order[one.verdict], -one.attained.value))

    def as_json(self) -> Json:
        swept = self.swept
        enough = {str(tier): self.enough_for(tier) for tier in sorted({one.tier for one in self.promises})}
        return {
            "tonight": self.name,
            "now": iso(self.now_us),
            "seed": self.seed,
            "swept": swept.what or f"pool {swept.pool}",
            "kept_at": KEPT,
            "changed": list(self.words),
            "notes": list(self.notes),
            "points": [
                {
                    "size": plain_size(swept, point.size),
                    "samples": point.samples,
                    "tier3_core_hours": point.lower,
                    "never_start": [one.task.task_id for one in point.never],
                    "p_miss": {
                        promise.slo.slo_id: _share(share)
                        for promise, share in zip(self.promises, point.missed, strict=True)
                    },
                }
                for point in self.points
            ],
            "smallest": [
                {
                    "slo_id": one.promise.slo.slo_id,
                    "name": one.promise.slo.name,
                    "tier": one.promise.tier,
                    "size": None if one.size is None else plain_size(swept, one.size),
                    "verdict": one.verdict.value,
                    "attained": one.attained.value,
                    "attained_interval": list(one.attained.interval()),
                }
                for one in self.smallest
            ],
            "enough_down_to_tier": {
                tier: None if one is None or one.size is None else plain_size(swept, one.size)
                for tier, one in enough.items()
            },
        }


def plain_size(swept: Swept, size: int) -> float:
    """A size as flags have it: cores, GB, devices, units."""
    return size / {"cpu": 1000, "memory": 1024}.get(swept.what or "", 1)


def sweep(
    tonight: Tonight,
    assumptions: Sequence[Assumption],
    swept: Swept,
    *,
    samples: int,
    seed: int,
    progress: Progress = lambda drawn, wanted: None,
) -> Sweep:
    """Draw up to `samples` of each size. Raises `UserError` for an assumption that names what is not there."""
    assumed = assume(tonight, assumptions)
    nights = [assume(assumed.tonight, [swept.at(size)]).tonight for size in swept.sizes]
    stages = [stage_of(night) for night in nights]
    promises = stages[0].promises
    wanted: list[Draw] = [
        (place, number) for number in range(min(LOT, samples)) for place in range(len(stages))
    ]
    drawn = 0
    with Drawer(stages, seed) as drawer:
        while wanted:
            drawer.draw(wanted, _on_top_of(drawn, progress))
            drawn += len(wanted)
            points = _points(swept, nights, stages, drawer.seen)
            wanted = _in_doubt(points, len(promises), samples)
    return Sweep(
        tonight.name,
        stages[0].scheduler.now_us,
        seed,
        swept,
        _present(assumed.tonight, swept),
        promises,
        points,
        tuple(_smallest(points, place, promise) for place, promise in enumerate(promises)),
        (*assumed.words, *_unasked(assumed.tonight, swept)),
        tonight.notes,
    )


def _unasked(tonight: Tonight, swept: Swept) -> tuple[str, ...]:
    said = unasked_words(tonight, swept.at(swept.sizes[0]))
    return (f"{said}: every size is the same night",) if said else ()


def verdict_of(missed: Share) -> Verdict:
    """Kept or broken with 95 % certainty, one-sided, or still open.

    By the exact bound (Clopper and Pearson, Biometrika 1934): with none or one miss in hundreds, approximate ones such as
    Wilson's are too bold.
    """
    allowed = 1 - KEPT
    if at_most(missed.count, missed.samples, allowed) <= SURE:
        return Verdict.KEPT
    so_many_or_more = 1 - at_most(missed.count - 1, missed.samples, allowed)
    return Verdict.BROKEN if so_many_or_more < SURE else Verdict.OPEN


def _points(
    swept: Swept, nights: Sequence[Tonight], stages: Sequence[Stage], seen: Sequence[Seen]
) -> tuple[Point, ...]:
    return tuple(
        Point(
            size,
            found.samples,
            tuple(outcome(promise, found.of(place)).missed for place, promise in enumerate(stage.promises)),
            found.core_hours(),
            tuple(never(night)),
        )
        for size, night, stage, found in zip(swept.sizes, nights, stages, seen, strict=True)
    )


def _on_top_of(drawn: int, progress: Progress) -> Progress:
    """Progress that counts what was drawn before."""
    return lambda new, wanted: progress(drawn + new, drawn + wanted)


def _in_doubt(points: Sequence[Point], promises: int, samples: int) -> list[Draw]:
    """The next lot: at each promise's smallest size and the one below, while their verdicts are open."""
    places: set[int] = set()
    for place in range(promises):
        first = _first_kept(points, place)
        near = [len(points) - 1] if first is None else [first, *([first - 1] if first else [])]
        places |= {
            one
            for one in near
            if points[one].samples < samples and verdict_of(points[one].missed[place]) is Verdict.OPEN
        }
    return [
        (place, number)
        for place in sorted(places)
        for number in range(points[place].samples, min(points[place].samples + LOT, samples))
    ]


def _first_kept(points: Sequence[Point], place: int) -> int | None:
    """The first size from which on every one keeps the promise, by the samples."""
    first = None
    for number in reversed(range(len(points))):
        if not points[number].keeps(place):
            break
        first = number
    return first


def _smallest(points: Sequence[Point], place: int, promise: Promise) -> Smallest:
    first = _first_kept(points, place)
    point = points[-1 if first is None else first]
    missed = point.missed[place]
    return Smallest(
        promise,
        None if first is None else point.size,
        verdict_of(missed),
        Share(missed.samples - missed.count, missed.samples),
        first == 0,
    )


def _present(tonight: Tonight, swept: Swept) -> int | None:
    if swept.what is None:
        return dict(tonight.capacity.pools).get(swept.pool)
    sizes = {size_of(swept.what, one) for one in tonight.capacity.bins}
    return sizes.pop() if len(sizes) == 1 else None


def _share(share: Share) -> Json:
    low, high = share.interval()
    return {"p": share.value, "low": low, "high": high}


def steps(first: int, last: int, step: int) -> tuple[int, ...]:
    """The sizes from `first` to `last`, the last one included whatever the step."""
    sizes = list(range(first, last + 1, step))
    assert all(low < high for low, high in pairwise(sizes)), "a step rises"
    return tuple(sizes if sizes[-1] == last else [*sizes, last])
