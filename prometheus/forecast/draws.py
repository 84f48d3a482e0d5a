"""Worlds that may be: what each task would take, and at which attempt it would fail, in each sample.

A draw belongs to its seed, sample and task alone: two forecasts that differ in one assumption see otherwise the same
worlds (common random numbers), so that their difference is that of the assumption. Durations are drawn by strata: of
each twenty samples one has each twentieth of a task's durations, which tells a mean with fewer samples.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from zlib import crc32

from prometheus.forecast.durations import Curve
from prometheus.forecast.outlook import Outlook
from prometheus.forecast.shared import Factor, infer, own_spread
from prometheus.forecast.world import Truth
from prometheus.scheduler.core import Standing
from prometheus.scheduler.plan import TaskPlan

STRATA = 20
FAILURES_AT_MOST = 8  # of one task in one sample
_MASK = (1 << 64) - 1
_OF_NIGHTS, _OF_FAILURES = 0x5BD1E995, 0x2545F491  # what a name's other draws are told apart by


class Draws:
    """The worlds of one forecast."""

    def __init__(
        self, here: Sequence[Standing], coming: Sequence[TaskPlan], outlook: Outlook, now_us: int, seed: int
    ) -> None:
        """`here` are the tasks that have not ended, `coming` those of runs that would be opened now."""
        self._outlook = outlook
        self._seed = seed
        self._curves = _Curves(outlook)
        self._factors = self._infer(here, now_us)
        standing: list[tuple[TaskPlan, Standing | None]] = [(one.plan, one) for one in here]
        standing += [(plan, None) for plan in coming]
        self._tasks = {plan.task_id: self._task(plan, at, now_us) for plan, at in standing}
        self._strata: dict[
            int, tuple[int, list[int]]
        ] = {}  # name -> block and its order, of the latest block

    def truths(self, sample: int) -> dict[str, Truth]:
        """What the tasks are in truth in this sample; drawn when first asked for, since many never begin."""
        block, place = divmod(sample, STRATA)
        nights = {
            group: factor.at(self._share(crc32(group.encode()) ^ _OF_NIGHTS, block, place))
            for group, factor in self._factors.items()
        }
        tasks = self._tasks
        return _Drawn(lambda task_id: self._truth(tasks[task_id], nights, sample, block, place))

    def share(self, name: str, sample: int) -> float:
        """A number of this sample that belongs to the name alone, by strata; 0 <= share < 1."""
        return self._share(crc32(name.encode()), *divmod(sample, STRATA))

    def _infer(self, here: Sequence[Standing], now_us: int) -> dict[str, Factor]:
        outlook = self._outlook
        ended: dict[str, list[tuple[Curve, int]]] = {}
        running: dict[str, list[tuple[Curve, int]]] = {}
        for task_id, took_us in outlook.tonight.items():
            group = outlook.groups.get(task_id)
            if group is not None and outlook.histories.get(task_id):
                ended.setdefault(group, []).append((self._curves.of(task_id, None), took_us))
        for one in here:
            group = outlook.groups.get(one.plan.task_id)
            if group is not None and one.began_us is not None:
                curve = self._curves.of(one.plan.task_id, one.plan)
                running.setdefault(group, []).append((curve, _done_us(one, now_us, outlook)))
        return {
            group: infer(spread, ended.get(group, ()), running.get(group, ()))
            for group, spread in outlook.shared.items()
            if spread > 0
        }

    def _task(self, plan: TaskPlan, at: Standing | None, now_us: int) -> _Task:
        outlook = self._outlook
        curve = self._curves.of(plan.task_id, plan)
        group = outlook.groups.get(plan.task_id)
        shared = outlook.shared.get(group, 0.0) if group is not None else 0.0
        narrower = own_spread(curve, shared) / curve.spread if shared > 0 and curve.spread else 1.0
        wider = _for_few(curve.count)
        done_us = 0 if at is None else _done_us(at, now_us, outlook)
        in_attempt_us = 0 if at is None else done_us - at.kept_us
        return _Task(
            plan,
            crc32(plan.task_id.encode()),
            curve,
            curve.mean + log(outlook.slower.get(plan.task_id, 1.0)),
            narrower * wider,
            group if shared > 0 else None,
            done_us,
            in_attempt_us,
            outlook.failing.get(plan.task_id, outlook.failing_share),
            self._at_most_us(plan, at),
        )

    def _at_most_us(self, plan: TaskPlan, at: Standing | None) -> int | None:
        """The longest whole work that is guessed; None where it is known from the past, or nothing bounds it.

        Whoever set a timeout expects the job to end within it, which says more than a guess around a default does. What
        is assumed to slow the job down comes on top, so that it may well run into its timeout.
        """
        if plan.timeout_us is None or self._outlook.histories.get(plan.task_id):
            return None
        kept_us = 0 if at is None else at.kept_us
        again_us = self._outlook.overhead_us if kept_us else 0
        within_us = kept_us + max(1, plan.timeout_us - again_us - 1)
        return round(within_us * self._outlook.slower.get(plan.task_id, 1.0))

    def _truth(self, task: _Task, nights: Mapping[str, float], sample: int, block: int, place: int) -> Truth:
        centre = task.centre if task.group is None else task.centre + nights[task.group]
        left = 1 - self._share(task.crc, block, place)
        if task.done_us > 0:
            deviation = task.curve.beyond((log(task.done_us) - centre) / task.scale, left)
        else:
            deviation = task.curve.deviation(left)
        duration_us = round(exp(centre + task.scale * deviation))
        if task.at_most_us is not None:
            duration_us = min(duration_us, task.at_most_us)
        duration_us = max(duration_us, task.done_us + 1)
        failures: tuple[float, ...] = ()
        if task.failing > 0:
            failures = self._failures(task, duration_us, sample, block, place)
        return Truth(duration_us, failures, task.plan.checkpoint_every_us)

    def _failures(
        self, task: _Task, duration_us: int, sample: int, block: int, place: int
    ) -> tuple[float, ...]:
        found: list[float] = []
        dice = self._share(task.crc ^ _OF_FAILURES, block, place)
        while dice < task.failing and len(found) < FAILURES_AT_MOST:
            number = 2 * len(found)
            found.append(_dice(self._seed, sample, task.crc, number + 1))
            dice = _dice(self._seed, sample, task.crc, number + 2)
        if found and task.in_attempt_us:
            # The present attempt has come so far without failing.
            left_us = duration_us - (task.done_us - task.in_attempt_us)
            while found and found[0] * left_us <= task.in_attempt_us:
                del found[0]
        return tuple(found)

    def _share(self, crc: int, block: int, place: int) -> float:
        known, strata = self._strata.get(crc, (-1, []))
        if known != block:
            strata = _strata(self._seed, crc, block)
            self._strata[crc] = block, strata
        return (strata[place] + _dice(self._seed, block * STRATA + place, crc, 0)) / STRATA


class _Task:
    """What a task's draws are made of."""

    __slots__ = (
        "at_most_us",
        "centre",
        "crc",
        "curve",
        "done_us",
        "failing",
        "group",
        "in_attempt_us",
        "plan",
        "scale",
    )

    def __init__(
        self,
        plan: TaskPlan,
        crc: int,
        curve: Curve,
        centre: float,  # of log durations
        scale: float,  # on the curve's deviations
        group: str | None,  # whose factor of the night it shares
        done_us: int,  # of the whole work, by all attempts
        in_attempt_us: int,  # by the present one
        failing: float,
        at_most_us: int | None,  # of a guessed duration
    ) -> None:
        self.plan, self.crc, self.curve, self.centre, self.scale = plan, crc, curve, centre, scale
        self.group, self.done_us, self.in_attempt_us, self.failing = group, done_us, in_attempt_us, failing
        self.at_most_us = at_most_us


class _Drawn(dict[str, Truth]):
    """Truths that are drawn when they are first asked for."""

    def __init__(self, draw: Callable[[str], Truth]) -> None:
        super().__init__()
        self._draw = draw

    def __missing__(self, task_id: str) -> Truth:
        found = self[task_id] = self._draw(task_id)
        return found


class _Curves:
    """A curve a history; tasks of one history share it."""

    def __init__(self, outlook: Outlook) -> None:
        self._histories = outlook.histories
        self._made: dict[tuple[int, ...], Curve] = {}
        self._of: dict[str, Curve] = {}

    def of(self, task_id: str, plan: TaskPlan | None) -> Curve:
        found = self._of.get(task_id)
        if found is None:
            history = tuple(self._histories.get(task_id) or (() if plan is None else _from_plan(plan)))
            found = self._made.get(history)
            if found is None:
                found = self._made[history] = Curve(history)
            self._of[task_id] = found
        return found


def _done_us(one: Standing, now_us: int, outlook: Outlook) -> int:
    """The work that is done of a task: what earlier attempts saved and what the present one has done."""
    if one.began_us is None:
        return one.kept_us
    again_us = outlook.overhead_us if one.kept_us else 0
    return one.kept_us + max(0, now_us - one.began_us - again_us)


def _for_few(count: int) -> float:
    """How much wider one must draw because a history of so many values only estimates mean and spread."""
    return (1 + 1 / count) ** 0.5 * (1 + 0.5 / (count - 1)) if count > 1 else 1.0


def _from_plan(plan: TaskPlan) -> Sequence[int]:
    """Five durations that a plan's quantiles suggest: as much shorter than the typical one as the cautious is longer."""
    typical_us = max(1, plan.typical_us)
    share = min(1.0, typical_us / max(1, plan.cautious_us))
    shorter = round(typical_us * share), round(typical_us * share**0.5)
    return sorted((*shorter, typical_us, plan.cautious_us, plan.late_us))


def _strata(seed: int, crc: int, block: int) -> list[int]:
    places = list(range(STRATA))
    random.Random((seed << 64) ^ (crc << 24) ^ block).shuffle(places)  # noqa: S311  # a drawn world
    return places


def _dice(seed: int, sample: int, crc: int, number: int) -> float:
    """A number in [0, 1) that belongs to these alone (splitmix64, Steele et al. 2014)."""
    mixed = (
        crc * 0x9E3779B97F4A7C15 + sample * 0xBF58476D1CE4E5B9 + number * 0xD6E8FEB86659FD93 + seed
    ) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) / 2**64
