"""Policies beside each other on the same benchmark nights: the tables of docs/simulation.md.

Every night is played once and its figures are kept in a file, by the night's numbers, the policy and the content of the
code that decides; a table that was interrupted goes on where it stopped, and other code plays anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import prometheus.forecast
import prometheus.scheduler
from bench.mixes import mixed
from bench.nights import alone, make_night, score
from prometheus.core.instants import HOUR_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.simulate import Simulated
from prometheus.orchestrator.simulation.workload import Workload, make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, StartAttempt
from prometheus.scheduler.dispatching import ITS_WINDOW
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened
from prometheus.scheduler.policies import POLICIES, RESERVING, Policy

SOON_US = 6 * HOUR_US  # within which a task that fits a window must start
ALONE = "tier 1 alone"


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of nights."""

    load: float = 1.0
    cores: int = 16
    deadline_min: int = 165
    checkpointable: float = 0.5
    mix: str = ""

    def __str__(self) -> str:
        """What is not as usual."""
        usual = asdict(Kind())
        said = [f"{name} {value}" for name, value in asdict(self).items() if value != usual[name]]
        return ", ".join(said) or "as usual"


@dataclass(frozen=True, slots=True)
class Played:
    """One night under one policy. Tier 3 only counts as waiting if six hours of the night are left when it comes."""

    slo: float  # share of Tier 1 deadlines met, per cent
    useful: float  # Tier 3 core-hours
    wasted: float
    preemptions: float
    came: int  # Tier 3 tasks that started within six hours, or could have been seen not to
    waited: int  # of them, those that did not start within six hours
    fitted: int  # those whose window began within six hours
    kept: int  # of them, those that did not start within six hours
    longest_fitting_h: float


SENSITIVITY = (
    Kind(),
    Kind(checkpointable=0.0),
    Kind(checkpointable=1.0),
    Kind(deadline_min=140),
    Kind(deadline_min=200),
    Kind(cores=12),
    Kind(mix="memory"),
    Kind(mix="gpus"),
    Kind(mix="nodes"),
    Kind(mix="pools"),
    Kind(mix="all"),
)


def play(kind: Kind, seed: int, policy: str) -> Played:
    """One night."""
    night = make_night(seed, kind.load, kind.cores, kind.deadline_min, kind.checkpointable)
    night = mixed(night, kind.mix, seed)
    if policy == ALONE:
        night = alone(night)
    workload = make_workload(night)
    result, windows = _watched(workload, RESERVING if policy == ALONE else POLICIES[policy])
    told = result.as_json()
    figures = score(night, told)
    came = waited = fitted = kept = 0
    longest_us = 0
    for task in workload.plan.tasks:
        if task.tier != 3:
            continue
        life = result.lives.get(task.task_id)
        start_us = None if life is None else life.first_start_us
        wait_us = (workload.horizon_us if start_us is None else start_us) - task.release_us
        if start_us is None and wait_us <= SOON_US:
            continue  # nobody can tell
        came += 1
        waited += wait_us > SOON_US
        if task.task_id in windows and windows[task.task_id] <= task.release_us + SOON_US:
            fitted += 1
            kept += wait_us > SOON_US
            longest_us = max(longest_us, wait_us)
    return Played(
        figures.slo,
        figures.useful,
        figures.wasted,
        figures.preemptions,
        came,
        waited,
        fitted,
        kept,
        longest_us / HOUR_US,
    )


def _watched(workload: Workload, policy: Policy) -> tuple[Simulated, Mapping[str, int]]:
    """The night, and when the first window of each task that had one began."""
    scheduler = Scheduler(0, policy)
    begun: dict[str, int] = {}

    def watch(decisions: Sequence[Decision]) -> None:
        """Note the windows that have begun after a turn, or within it if their tasks then started."""
        for task_id in scheduler.windows_begun():
            begun.setdefault(task_id, scheduler.now_us)
        for decision in decisions:
            if isinstance(decision, StartAttempt) and ITS_WINDOW in decision.reason:
                begun.setdefault(decision.task_id, scheduler.now_us)

    world = World(workload.truths, workload.start_us, workload.checkpoint_overhead_us)
    events: Sequence[Event] = [
        CapacityChanged(workload.start_us, workload.capacity),
        RunOpened(workload.start_us, workload.plan),
    ]
    run_ahead(scheduler, world, events, workload.horizon_us, watch=watch)
    unended = [
        task.task_id
        for task in workload.plan.tasks
        if task.task_id not in world.lives or world.lives[task.task_id].end_us is None
    ]
    states = {task_id: scheduler.task_state(task_id) for task_id in unended}
    return Simulated(workload, world.lives, 0, 0, 0, (), states), begun


class Kept:
    """Figures of nights that were played before."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._code = _code()
        self._found: dict[str, dict[str, float]] = {}
        if path is not None and path.exists():
            self._found = json.loads(path.read_text())

    def play(self, kind: Kind, seed: int, policy: str) -> Played:
        """The night's figures, from the file or played now."""
        rule = RESERVING if policy == ALONE else POLICIES[policy]
        key = f"{kind!r} {seed} {policy} {rule!r} {self._code}"
        if key not in self._found:
            self._found[key] = asdict(play(kind, seed, policy))
        return Played(**self._found[key])  # type: ignore[arg-type]  # as it was written

    def save(self) -> None:
        """Write them down."""
        if self._path is not None:
            self._path.write_text(json.dumps(self._found))


def _code() -> str:
    digest = hashlib.sha256()
    for room in (prometheus.scheduler, prometheus.forecast):
        for path in sorted(Path(room.__path__[0]).glob("*.py")):
            digest.update(path.read_bytes())
    digest.update(Path(__file__).with_name("nights.py").read_bytes())
    return digest.hexdigest()[:16]


def table(
    kinds: Sequence[Kind], policies: Sequence[str], seeds: range, kept: Kept, *, names_kind: bool
) -> None:
    """Print a row for each kind and policy: means over the nights, with half widths of 95 % intervals."""
    first = "nights" if names_kind else "load"
    print(f"{len(seeds)} nights each, from seed {seeds.start}\n")
    print(
        f"| {first} | policy | SLO % | Tier 3 core-h | wasted core-h | preempted | over 6 h | fits, over 6 h |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        for policy in (ALONE, *policies):
            found = []
            for seed in seeds:
                found.append(kept.play(kind, seed, policy))
                if seed % 20 == 19:
                    kept.save()
            kept.save()
            label = str(kind) if names_kind else f"{kind.load:.2f}"
            print(f"| {label} | {_row(policy, found)} |", flush=True)


def _row(policy: str, found: Sequence[Played]) -> str:
    slo = _interval([one.slo for one in found])
    if policy == ALONE:
        return f"*Tier 1 alone* | {slo} |  |  |  |  | "
    came, waited = sum(one.came for one in found), sum(one.waited for one in found)
    fitted, late = sum(one.fitted for one in found), sum(one.kept for one in found)
    fitting = f"{late} of {fitted}" if fitted else ""
    return (
        f"`{policy}` | {slo} | {_interval([one.useful for one in found])} | "
        f"{_interval([one.wasted for one in found])} | {statistics.fmean(one.preemptions for one in found):.1f} | "
        f"{100 * waited / max(came, 1):.0f} % | {fitting}"
    )


def _interval(values: Sequence[float]) -> str:
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.2f} ± {half:.2f}"
