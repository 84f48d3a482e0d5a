"""The ordinary task of a workload file, checked by hand in one pass: a million of them are no million models.

What is accepted here is what `TaskPart` accepts, with the same values. Whatever looks unusual is given to `TaskPart`; what
that refuses, or what contradicts itself, is `Odd`, and the file is read again by its form, which names all faults.
Equal demands, histories and lists are one object each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from prometheus.core.demand import Demand
from prometheus.core.instants import SECOND_US
from prometheus.orchestrator.simulation.contradictions import SAVED_AT_MOST, DemandKey, key_of, of_one
from prometheus.orchestrator.simulation.form import DemandPart, TaskPart, demand_of, in_us
from prometheus.scheduler.quantiles import quantile

NUMBERS = frozenset({int, float})  # exact types: True is an int
FIELDS = frozenset(TaskPart.model_fields)
DEMAND_FIELDS = frozenset(DemandPart.model_fields)
SECONDS_AT_MOST = 1e9
UNKNOWN_US = in_us(60.0)  # how long a task without a past is taken to last


class Odd(Exception):
    """Something in the file is not as it should be; reading it by its form says what."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a task's durations."""

    history: tuple[int, ...]  # ascending
    typical_us: int
    cautious_us: int
    late_us: int


@dataclass(slots=True)
class Record:
    """One task of the file in the scheduler's units; instants count from the start."""

    id: str
    tier: int
    release_us: int
    demand: Demand
    cores: float
    after: tuple[str, ...]
    deadline_us: int | None
    past: Past
    duration_us: int
    failures: tuple[float, ...]
    checkpoint_every_us: int | None
    timeout_us: int | None
    ladder: tuple[str, ...]
    degraded: tuple[tuple[str, int], ...]
    backfill: str | None


@dataclass(slots=True)
class Reader:
    """Makes records, and keeps what many of them share."""

    demands: dict[DemandKey, tuple[Demand, float]] = field(default_factory=dict)
    _pasts: dict[tuple[float, ...], Past] = field(default_factory=dict)
    _values: dict[Any, Any] = field(default_factory=dict)  # a tuple -> the first that was equal to it

    def hook(self, given: dict[str, Any]) -> Any:
        """For the JSON reader: a record in place of what looks like a task, so that no million dicts are kept."""
        return self.record(given) if "duration_s" in given and "id" in given else given

    def record(self, given: dict[str, Any]) -> Record:
        """The task that these values say; `Odd` if they say none."""
        found = self.by_hand(given)
        if found is not None:
            return found
        try:
            part = TaskPart.model_validate(given)
        except ValidationError:
            raise Odd from None
        if of_one(part):
            raise Odd
        return self.of_part(part)

    def by_hand(self, given: Mapping[str, Any]) -> Record | None:
        """The task of an ordinary record; None if anything about it is unusual."""
        if not given.keys() <= FIELDS:
            return None
        get: Callable[..., Any] = given.get
        name, tier, duration_s, release_s = get("id"), get("tier"), get("duration_s"), get("release_s", 0)
        if type(name) is not str or not 1 <= len(name) <= 200 or not name.isprintable():
            return None
        if type(tier) is not int or not 1 <= tier <= 3:
            return None
        if type(duration_s) not in NUMBERS or not 0 <= duration_s <= SECONDS_AT_MOST:
            return None
        if type(release_s) not in NUMBERS or not 0 <= release_s <= SECONDS_AT_MOST:
            return None
        deadline_s, backfill = get("deadline_s"), get("backfill")
        if deadline_s is not None and (
            type(deadline_s) not in NUMBERS or not release_s <= deadline_s <= SECONDS_AT_MOST
        ):
            return None
        if backfill is not None and (type(backfill) is not str or tier != 3 or deadline_s is not None):
            return None
        every_s, timeout_s = get("checkpoint_every_s"), get("timeout_s")
        for spell in (every_s, timeout_s):
            if spell is not None and (type(spell) not in NUMBERS or not 1e-3 <= spell <= SECONDS_AT_MOST):
                return None
        if every_s is not None and duration_s / every_s > SAVED_AT_MOST:
            return None
        if get("degrade") or "degraded_s" in given:
            return None
        held = self._demand(get("demand", _NOTHING))
        past = self._past(get("history_s", ()))
        failures = _numbers(get("failures", ()), 1.0)
        after = get("after", ())
        if held is None or past is None or failures is None or type(after) not in _LISTS:
            return None
        for one in after:
            if type(one) is not str:
                return None
        if "degrade" in given and type(given["degrade"]) not in _LISTS:
            return None
        return Record(
            id=name,
            tier=tier,
            release_us=round(release_s * SECOND_US),
            demand=held[0],
            cores=held[1],
            after=tuple(dict.fromkeys(after)) if after else (),
            deadline_us=None if deadline_s is None else round(deadline_s * SECOND_US),
            past=past,
            duration_us=round(duration_s * SECOND_US),
            failures=self._shared(tuple(map(float, failures))) if failures else (),
            checkpoint_every_us=None if every_s is None else self._shared(round(every_s * SECOND_US)),
            timeout_us=None if timeout_s is None else self._shared(round(timeout_s * SECOND_US)),
            ladder=(),
            degraded=(),
            backfill=backfill,
        )

    def of_part(self, part: TaskPart) -> Record:
        """The same of a task that the form has checked."""
        held = self._held(key_of(part.demand))
        return Record(
            id=part.id,
            tier=part.tier,
            release_us=in_us(part.release_s),
            demand=held[0],
            cores=held[1],
            after=tuple(dict.fromkeys(part.after)),
            deadline_us=None if part.deadline_s is None else in_us(part.deadline_s),
            past=self._past_of(part.history_s),
            duration_us=in_us(part.duration_s),
            failures=part.failures,
            checkpoint_every_us=None if part.checkpoint_every_s is None else in_us(part.checkpoint_every_s),
            timeout_us=None if part.timeout_s is None else in_us(part.timeout_s),
            ladder=part.degrade,
            degraded=tuple((mode, in_us(seconds)) for mode, seconds in sorted(part.degraded_s.items())),
            backfill=part.backfill,
        )

    def _demand(self, given: object) -> tuple[Demand, float] | None:
        if type(given) is not dict or not given.keys() <= DEMAND_FIELDS:
            return None
        cpu, memory, gpu = given.get("cpu", 0), given.get("memory_gb", 0), given.get("gpu", 0)
        for amount in (cpu, memory, gpu):
            if type(amount) not in NUMBERS or not 0 <= amount <= 1e6:
                return None
        if 0 < cpu < 0.001 or 0 < gpu < 0.001:
            return None
        pools = given.get("pools")
        if not pools:
            return self._held((cpu, memory, gpu, ())) if pools is None or type(pools) is dict else None
        if type(pools) is not dict:
            return None
        for pool, units in pools.items():
            if type(pool) is not str or not pool.isprintable():
                return None
            if type(units) is not int or not 0 <= units <= 1_000_000_000:
                return None
        return self._held((cpu, memory, gpu, tuple(sorted(pools.items()))))

    def _held(self, key: DemandKey) -> tuple[Demand, float]:
        found = self.demands.get(key)
        if found is None:
            cpu, memory, gpu, pools = key
            part = DemandPart(cpu=cpu, memory_gb=memory, gpu=gpu, pools=dict(pools))
            found = self.demands[key] = demand_of(part), float(cpu)
        return found

    def _past(self, given: object) -> Past | None:
        numbers = _numbers(given, SECONDS_AT_MOST)
        return None if numbers is None else self._past_of(numbers)

    def _past_of(self, seconds: tuple[float, ...]) -> Past:
        found = self._pasts.get(seconds)
        if found is None:
            history = tuple(sorted(in_us(one) for one in seconds))
            known = history or (UNKNOWN_US,)
            found = self._pasts[seconds] = Past(
                history, quantile(known, 0.5), quantile(known, 0.8), quantile(known, 0.9)
            )
        return found

    def _shared(self, value: Any) -> Any:
        return self._values.setdefault(value, value)


_LISTS = frozenset({list, tuple})
_NOTHING: dict[str, Any] = {}


def _numbers(given: object, most: float) -> tuple[float, ...] | None:
    """A list of numbers from 0 to `most`; None if it is none."""
    if not isinstance(given, list | tuple) or type(given) not in _LISTS:
        return None
    for one in given:
        if type(one) not in NUMBERS or not 0 <= one <= most:
            return None
    return tuple(given)
