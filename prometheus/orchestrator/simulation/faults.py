"""What goes wrong in a simulated night besides the work itself: asked for as numbers, drawn from a seed.

Values only. `draw_faults` turns what was asked for into instants and names; `burdened` writes into a workload what its
world and its machine do differently; what happens to the scheduler itself does `troubled`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prometheus.core.demand import Bin, Capacity
from prometheus.core.errors import UserError
from prometheus.core.instants import HOUR_US, MINUTE_US, SECOND_US
from prometheus.forecast.world import Truth
from prometheus.pipelines.defaults import near

if TYPE_CHECKING:
    from prometheus.orchestrator.simulation.workload import Workload

Change = tuple[int, Capacity]
Death = Literal["between_turns", "before_commit", "before_obeying", "before_acknowledging"]
DEATHS: tuple[Death, ...] = ("between_turns", "before_commit", "before_obeying", "before_acknowledging")
STEPS_US = (-3 * HOUR_US, -HOUR_US, -SECOND_US, SECOND_US, 10 * MINUTE_US, 2 * HOUR_US)

Count = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]


class FaultsPart(BaseModel):
    """How much of each kind; the `faults` section of a workload file, and what `--faults` says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: int | None = None  # None = the simulation's own
    lost: Count = 0  # how often a worker, or all that runs in one bin, is lost
    hung: Share = 0  # of the tasks: their first attempt never ends
    lying: Factor = 1  # durations in the history are the true ones times this
    saves_less: Factor = 1  # the time between checkpoints is what was declared times this
    capacity: Count = 0  # how often the machine shrinks, or loses a bin, for a while
    restarts: Count = 0  # how often the scheduler dies and is rebuilt from the ledger
    clock: Count = 0  # how often the scheduler's clock is set
    repeated: Count = 0  # how often an executor tells an old fact again
    late: Share = 0  # of the executor's facts: they come up to ten minutes late


_FRACTIONS = ("hung", "lying", "saves_less", "late")

# Some of everything: what `--faults all` asks for.
ALL = FaultsPart(
    lost=4, hung=0.05, lying=0.6, saves_less=2, capacity=3, restarts=8, clock=2, repeated=10, late=0.1
)


def read_faults(text: str) -> FaultsPart:
    """What `--faults` says: `all`, or pairs as in `lost=3,restarts=8,seed=7`, or both (`all,lost=0`).

    Raises `UserError` with every word that cannot be used.
    """
    asked: dict[str, int | float | None] = {}
    words = [word for word in (word.strip() for word in text.split(",")) if word]
    wrong = [] if words else [f"{text!r} asks for nothing"]
    for word in words:
        name, _, value = word.partition("=")
        if word == "all":
            asked = {**ALL.model_dump(), **asked}
        elif name not in FaultsPart.model_fields:
            wrong.append(f"{word!r}: there is no fault {name!r}" + _or_near(name))
        else:
            try:
                asked[name] = float(value) if name in _FRACTIONS else int(value)
            except ValueError:
                wrong.append(f"{word!r}: a number was expected after {name}=")
    if not wrong:
        try:
            return FaultsPart.model_validate(asked)
        except ValidationError as error:
            wrong = [f"{one['loc'][0]}={one['input']}: {one['msg']}" for one in error.errors()]
    raise UserError(
        f"--faults cannot be used: {'; '.join(wrong)}",
        allowed="all, or " + ", ".join(f"{name}=" for name in FaultsPart.model_fields),
        hint="docs/simulation.md says what each is",
    )


def _or_near(name: str) -> str:
    hint = near(name, list(FaultsPart.model_fields))
    return "" if hint is None else f" ({hint})"


@dataclass(frozen=True, slots=True)
class Loss:
    """Workers are lost. `pick` in [0, 1) chooses among the attempts that run then, in order of their ids."""

    at_us: int
    whole_bin: bool
    pick: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The scheduler dies in the first turn at or after this instant."""

    at_us: int
    when: Death


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The scheduler's clock is set: from now on it shows so much more (or less, when negative)."""

    at_us: int
    by_us: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """An executor tells one of its earlier facts again; `pick` in [0, 1) chooses among them, oldest first."""

    at_us: int
    pick: float


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that will go wrong, by true instants. The same value gives the same night."""

    seed: int = 0
    losses: tuple[Loss, ...] = ()
    restarts: tuple[Restart, ...] = ()
    steps: tuple[ClockStep, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    late: float = 0
    hangs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # task -> attempts that never end
    lying: float = 1
    saves_less: float = 1
    changes: tuple[Change, ...] | None = None  # all changes of the machine, the workload's own included

    def delay_us(self, number: int) -> int:
        """How late the executor's fact of this number (from 0) is told."""
        if not self.late:
            return 0
        drawn = int.from_bytes(blake2b(f"{self.seed}/late/{number}".encode(), digest_size=8).digest(), "big")
        share, seconds = drawn / 2**64, 1 + drawn % 600
        return seconds * SECOND_US if share < self.late else 0


def draw_faults(asked: FaultsPart, workload: Workload, seed: int) -> Faults:
    """The faults of a night; `seed` counts where the part has none of its own. Same input, same faults."""
    own = seed if asked.seed is None else asked.seed
    rng = random.Random(f"faults/{own}")  # noqa: S311 - a simulation's dice, not a secret
    first_us, last_us = workload.start_us, _busy_until(workload)

    def instants(count: int) -> list[int]:
        return sorted(rng.randint(first_us, last_us) for _ in range(count))

    losses = tuple(Loss(at_us, rng.random() < 0.3, rng.random()) for at_us in instants(asked.lost))
    restarts = tuple(Restart(at_us, rng.choice(DEATHS)) for at_us in instants(asked.restarts))
    steps = tuple(ClockStep(at_us, rng.choice(STEPS_US)) for at_us in instants(asked.clock))
    repeats = tuple(Repeat(at_us, rng.random()) for at_us in instants(asked.repeated))
    hangs = {task.task_id: (1,) for task in workload.plan.tasks if asked.hung and rng.random() < asked.hung}
    spells = []
    for at_us in instants(asked.capacity):
        until_us = at_us + rng.randint(MINUTE_US, max(MINUTE_US, (last_us - first_us) // 4))
        spells.append(Spell(at_us, until_us, rng.choice(("cores", "bin", "pools")), rng.random()))
    return Faults(
        seed=own,
        losses=losses,
        restarts=restarts,
        steps=steps,
        repeats=repeats,
        late=asked.late,
        hangs=hangs,
        lying=asked.lying,
        saves_less=asked.saves_less,
        changes=changes_with(workload.capacity, workload.changes, spells) if spells else None,
    )


def burdened(workload: Workload, faults: Faults) -> Workload:
    """The workload as this night has it: what the history says, what hangs, and what the machine is when."""
    truths: dict[str, Truth] = {}
    for task_id, truth in workload.truths.items():
        every_us = truth.checkpoint_every_us
        truths[task_id] = replace(
            truth,
            checkpoint_every_us=None if every_us is None else max(1, round(every_us * faults.saves_less)),
            hangs=faults.hangs.get(task_id, ()),
        )
    tasks, histories = workload.plan.tasks, workload.histories
    if faults.lying != 1:
        histories = {
            task_id: tuple(round(one * faults.lying) for one in past) for task_id, past in histories.items()
        }
        tasks = tuple(
            replace(
                task,
                typical_us=round(task.typical_us * faults.lying),
                cautious_us=round(task.cautious_us * faults.lying),
                late_us=round(task.late_us * faults.lying),
            )
            for task in tasks
        )
    return replace(
        workload,
        plan=replace(workload.plan, tasks=tasks),
        truths=truths,
        histories=histories,
        changes=workload.changes if faults.changes is None else faults.changes,
    )


@dataclass(frozen=True, slots=True)
class Spell:
    """For a while the machine has less: a share of the cores and memory of each bin, a whole bin, or the pools."""

    from_us: int
    until_us: int
    what: Literal["cores", "bin", "pools"]
    pick: float  # in [0, 1): the share that is left, or which bin


def changes_with(
    capacity: Capacity, changes: Sequence[Change], spells: Sequence[Spell]
) -> tuple[Change, ...]:
    """All changes of a machine that is `capacity`, changes by itself, and has less during the spells."""
    instants = {at_us for at_us, _ in changes}
    instants |= {spell.from_us for spell in spells} | {spell.until_us for spell in spells}
    found = []
    for at_us in sorted(instants):
        now = capacity
        for changed_us, changed in changes:
            if changed_us <= at_us:
                now = changed
        for spell in spells:
            if spell.from_us <= at_us < spell.until_us:
                now = _less(now, spell)
        found.append((at_us, now))
    return tuple(found)


def _less(capacity: Capacity, spell: Spell) -> Capacity:
    bins, pools = capacity.bins, capacity.pools
    if spell.what == "pools":
        return Capacity(bins, tuple((pool, int(units * spell.pick)) for pool, units in pools))
    if spell.what == "bin" and len(bins) > 1:
        gone = int(spell.pick * len(bins))
        return Capacity(bins[:gone] + bins[gone + 1 :], pools)
    left = tuple(
        Bin(one.bin_id, int(one.cpu_milli * spell.pick), int(one.memory_mib * spell.pick), one.gpu_milli)
        for one in bins
    )
    return Capacity(left, pools)


def _busy_until(workload: Workload) -> int:
    """About when the work may be over: faults after that would hit nobody."""
    cores = max(1, sum(one.cpu_milli for one in workload.capacity.bins))
    work_us = longest_us = 0
    release_us = workload.start_us
    for task in workload.plan.tasks:
        duration_us = workload.truths[task.task_id].duration_us
        work_us += duration_us * max(1, task.demand.cpu_milli)
        longest_us = max(longest_us, duration_us)
        release_us = max(release_us, task.release_us)
    return min(workload.horizon_us, release_us + 2 * (work_us // cores) + longest_us)
