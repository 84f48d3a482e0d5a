"""Tonight as it is and as it would be, over the same samples: what becomes of each promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus.core.ids import Json
from prometheus.core.instants import SECOND_US, iso
from prometheus.forecast.foresee import missed, reached_by
from prometheus.orchestrator.tonight import Promise, Stage, Tonight, stage_of
from prometheus.orchestrator.whatif.assuming import Assumption, Never, assume, never
from prometheus.orchestrator.whatif.sampling import Drawer, Progress, Seen
from prometheus.orchestrator.whatif.shares import Share

NEVER_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the samples say of a promise. Instants are None where so many samples never get there."""

    deadline_us: int
    missed: Share
    p50_us: int | None
    p90_us: int | None
    p99_us: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One promise on both sides; None where its run does not take place."""

    promise: Promise
    before: Outcome | None
    after: Outcome | None
    newly_missed: int = 0  # samples in which it is kept before and missed after
    newly_kept: int = 0
    differing: int = 0  # samples in which it finishes at another instant

    @property
    def p50_later_us(self) -> int | None:
        """How much later half of the samples have it (negative = earlier); None where a side does not get there."""
        if self.before is None or self.after is None:
            return None
        return _difference(self.before.p50_us, self.after.p50_us)

    @property
    def p90_later_us(self) -> int | None:
        """The same of 90 % of the samples."""
        if self.before is None or self.after is None:
            return None
        return _difference(self.before.p90_us, self.after.p90_us)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole answer. Without assumptions it is a forecast, and both sides are the same."""

    name: str
    now_us: int
    until_us: int
    samples: int
    seed: int
    rows: tuple[Row, ...]  # by deadline
    lower: tuple[float, float]  # mean useful core-hours of Tier 3, before and after
    words: tuple[str, ...]  # what was changed
    notes: tuple[str, ...]  # where this comes from, and what is not in it
    never: tuple[Never, ...]  # tasks that no worker can hold as it would be
    never_before: tuple[Never, ...]  # nor as it is
    can_start: tuple[Never, ...]  # tasks that no worker can hold as it is, but one can as it would be

    @property
    def is_forecast(self) -> bool:
        """Nothing was assumed otherwise."""
        return not self.words

    @property
    def makes_no_difference(self) -> bool:
        """No promise finishes at another instant in any sample, and Tier 3 gets as much done."""
        same = self.lower[0] == self.lower[1] and self.never == self.never_before
        return same and all(row.before == row.after and not row.differing for row in self.rows)

    def as_json(self) -> Json:
        return {
            "tonight": self.name,
            "now": iso(self.now_us),
            "until": iso(self.until_us),
            "samples": self.samples,
            "seed": self.seed,
            "changed": list(self.words),
            "notes": list(self.notes),
            "makes_no_difference": self.makes_no_difference,
            "slos": [_row(row) for row in self.rows],
            "tier3_core_hours": {"before": self.lower[0], "after": self.lower[1]},
            "never_start": [{"task": one.task.task_id, "reason": one.reason} for one in self.never],
            "can_start_now": [one.task.task_id for one in self.can_start],
        }


def compare(
    tonight: Tonight,
    assumptions: Sequence[Assumption],
    *,
    samples: int,
    seed: int,
    progress: Progress = lambda drawn, wanted: None,
) -> Comparison:
    """Draw the samples of both sides. Raises `UserError` for an assumption that names what is not there."""
    assumed = assume(tonight, assumptions)
    stages = [stage_of(tonight)]
    if assumed.tonight != tonight:
        stages.append(stage_of(assumed.tonight))
    places = range(len(stages))
    with Drawer(stages, seed) as drawer:
        drawer.draw([(place, number) for number in range(samples) for place in places], progress)
    seen = drawer.seen
    never_after, never_before = never(assumed.tonight), never(tonight)
    able = {task.task_id for task in assumed.tonight.tasks()} - {one.task.task_id for one in never_after}
    return Comparison(
        tonight.name,
        stages[0].scheduler.now_us,
        tonight.until_us,
        samples,
        seed,
        tuple(_rows(stages[0], stages[-1], seen[0], seen[-1])),
        (seen[0].core_hours(), seen[-1].core_hours()),
        assumed.words,
        tonight.notes,
        tuple(never_after),
        tuple(never_before),
        tuple(one for one in never_before if one.task.task_id in able),
    )


def never_words(found: Sequence[Never]) -> list[str]:
    """Sentences about tasks that can never start, the same reason said once."""
    by_reason: dict[str, list[Never]] = {}
    for one in found:
        by_reason.setdefault(one.reason, []).append(one)
    return [f"can never start: {_ids(alike)}: {reason}" for reason, alike in by_reason.items()]


def can_start_words(found: Sequence[Never]) -> list[str]:
    """The tasks that could never start, and can."""
    return [f"can start now: {_ids(found)}"] if found else []


def _ids(found: Sequence[Never]) -> str:
    more = f" and {len(found) - NEVER_SHOWN} more" if len(found) > NEVER_SHOWN else ""
    return ", ".join(one.task.task_id for one in found[:NEVER_SHOWN]) + more


def outcome(promise: Promise, finishes: Sequence[int | None]) -> Outcome:
    """What the samples of one promise come to."""
    due = promise.slo.deadline_us
    p50, p90, p99 = (reached_by(finishes, share) for share in (0.5, 0.9, 0.99))
    return Outcome(due, Share(missed(due, finishes), len(finishes)), p50, p90, p99)


def _rows(before: Stage, after: Stage, seen_before: Seen, seen_after: Seen) -> list[Row]:
    places = [
        {one.slo.slo_id: place for place, one in enumerate(stage.promises)} for stage in (before, after)
    ]
    promises = {one.slo.slo_id: one for one in (*after.promises, *before.promises)}
    rows = []
    for slo_id, promise in promises.items():
        at = [place.get(slo_id) for place in places]
        finishes = [
            None if place is None else seen.of(place)
            for place, seen in zip(at, (seen_before, seen_after), strict=True)
        ]
        sides = [
            None if found is None or place is None else outcome(stage.promises[place], found)
            for found, place, stage in zip(finishes, at, (before, after), strict=True)
        ]
        if finishes[0] is None or finishes[1] is None or sides[0] is None or sides[1] is None:
            rows.append(Row(promise, sides[0], sides[1]))
            continue
        due = sides[0].deadline_us, sides[1].deadline_us
        late = [
            (one is None or one > due[0], other is None or other > due[1])
            for one, other in zip(finishes[0], finishes[1], strict=True)
        ]
        rows.append(
            Row(
                promise,
                sides[0],
                sides[1],
                newly_missed=sum(is_late and not was_late for was_late, is_late in late),
                newly_kept=sum(was_late and not is_late for was_late, is_late in late),
                differing=sum(one != other for one, other in zip(finishes[0], finishes[1], strict=True)),
            )
        )
    return sorted(rows, key=lambda row: (_due(row), row.promise.slo.slo_id))


def _due(row: Row) -> int:
    side = row.before or row.after
    assert side is not None, "a promise is on one side at least"
    return side.deadline_us


def _row(row: Row) -> Json:
    return {
        "slo_id": row.promise.slo.slo_id,
        "run_id": row.promise.slo.run_id,
        "name": row.promise.slo.name,
        "pipeline": row.promise.pipeline,
        "tier": row.promise.tier,
        "before": _outcome(row.before),
        "after": _outcome(row.after),
        "newly_missed": row.newly_missed,
        "newly_kept": row.newly_kept,
        "differing": row.differing,
        "p50_later_s": _seconds(row.p50_later_us),
        "p90_later_s": _seconds(row.p90_later_us),
    }


def _outcome(found: Outcome | None) -> Json:
    if found is None:
        return None
    low, high = found.missed.interval()
    return {
        "deadline": iso(found.deadline_us),
        "p_miss": found.missed.value,
        "p_miss_low": low,
        "p_miss_high": high,
        "p50": iso(found.p50_us),
        "p90": iso(found.p90_us),
        "p99": iso(found.p99_us),
    }


def _difference(before_us: int | None, after_us: int | None) -> int | None:
    return None if before_us is None or after_us is None else after_us - before_us


def _seconds(later_us: int | None) -> float | None:
    return None if later_us is None else later_us / SECOND_US
