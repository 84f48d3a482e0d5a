"""How good are the forecasts? Nights in which they are made on the way, and judged by what came.

    python -m bench.forecasts --nights 20 --load 1.0 --policy strict        a table of docs/forecast.md
    python -m bench.forecasts --nights 20 --keep rows.json                  the same, and what was said is kept
    python -m bench.forecasts --read rows.json                              the table of what was kept

Forecasts are made half an hour before each market's close, at it, and every 15 minutes until an hour before the
deadline, of the promise that the market's decisions are made in time. They know what the desk would know: Tier 1 is
planned, lower work is unknown until it is submitted, and what is expected of it, how much fails and how much nights
differ is learned from other nights, which are never judged. Beside them: Gaussian PERT and the longest path of drawn
durations. Recalibration is learned on the first half of the nights and judged on the second.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.nights import CLOSES_MIN, make_night
from bench.paths import longest_path, pert
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import run_ahead
from prometheus.forecast.arrivals import Arrival, Arrivals
from prometheus.forecast.calibration import AS_DRAWN, Calibration, learn
from prometheus.forecast.durations import Curve
from prometheus.forecast.foresee import Outlook, foresee
from prometheus.forecast.scoring import Foretold, alarms, falling, score
from prometheus.forecast.shared import learned_spread
from prometheus.forecast.world import World
from prometheus.orchestrator.simulation.workload import Workload, make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, Event, RunOpened
from prometheus.scheduler.plan import RunPlan, TaskPlan
from prometheus.scheduler.policies import POLICIES, Policy

BEFORE_MIN = 30
EVERY_MIN = 15
LEAD_MIN = 60  # what comes later is no warning
BANDS = ((-30, -1), (0, 29), (30, 60), (61, 105))  # minutes after the close
ALARM_FROM_MIN = 30  # after the close: the alarm rule that is judged
FIRST_LEARNED = 900_000  # seeds from here on are past nights; judged ones are below
LEARNED_NIGHTS = 20
WAYS = ("forecast", "path", "pert")


@dataclass(frozen=True, slots=True)
class Setting:
    """A family of nights."""

    load: float = 0.85
    cores: int = 16
    deadline_min: int = 165
    policy: Policy = POLICIES["strict"]

    def night(self, seed: int) -> Night:
        """One of them."""
        made = make_night(seed, self.load, self.cores, self.deadline_min)
        return Night(make_workload(made), _histories(made))


@dataclass(frozen=True, slots=True)
class Night:
    """A night, with the past of its tasks."""

    workload: Workload
    histories: dict[str, tuple[int, ...]]

    def runs(self) -> Iterator[RunPlan]:
        """Its runs as a desk would have them: a market's Tier 1 is known before, every lower task when it is submitted."""
        plan = self.workload.plan
        slos = {slo.task_ids[0]: slo for slo in plan.slos}
        markets: dict[str, list[TaskPlan]] = {}
        for task in plan.tasks:
            run_id = task.task_id.split(".")[0] if task.tier == 1 else task.task_id
            markets.setdefault(run_id, []).append(replace(task, run_id=run_id))
        for run_id, tasks in markets.items():
            opened_us = plan.release_us if tasks[0].tier == 1 else tasks[0].release_us
            promised = tuple(slos[task.task_id] for task in tasks if task.task_id in slos)
            yield replace(
                plan,
                run_id=run_id,
                release_us=opened_us,
                tasks=tuple(tasks),
                slos=tuple(replace(slo, run_id=run_id) for slo in promised),
            )


def _histories(night: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {task["id"]: tuple(sorted(round(s * 1e6) for s in task["history_s"])) for task in night["tasks"]}


def promise_of(market: int) -> str:
    """The promise that is judged."""
    return f"slo.m{market}.decisions.0"


def learned(setting: Setting, nights: int = LEARNED_NIGHTS) -> Outlook:
    """What other nights teach: what comes, how much fails, how much nights differ."""
    past = [setting.night(FIRST_LEARNED + number) for number in range(nights)]
    failed = sum(len(truth.failures) for night in past for truth in night.workload.truths.values())
    tried = failed + sum(len(night.workload.truths) for night in past)
    told = [
        [
            (Curve(night.histories[task_id]), night.workload.truths[task_id].duration_us)
            for task_id in night.workload.truths
            if task_id.startswith(f"m{market}.")
        ]
        for night in past
        for market in range(len(CLOSES_MIN))
    ]
    spread = learned_spread(told)
    return Outlook(
        failing_share=failed / tried,
        shared={f"m{market}": spread for market in range(len(CLOSES_MIN))},
        arrivals=Arrivals(past[0].workload.start_us, tuple(_arrivals(night.workload) for night in past)),
    )


def _arrivals(workload: Workload) -> tuple[Arrival, ...]:
    start_us = workload.start_us
    return tuple(
        Arrival(
            task.release_us - start_us,
            replace(task, deadline_us=None if task.deadline_us is None else task.deadline_us - start_us),
            workload.truths[task.task_id],
        )
        for task in workload.plan.tasks
        if task.tier > 1
    )


@dataclass(frozen=True, slots=True)
class Row:
    """What was said of one market at one time, and what came."""

    seed: int
    market: int
    after_min: int  # after the close
    lead_min: int  # before the deadline
    missed: bool
    said: dict[str, float]  # way -> P(miss), as drawn


def play(
    setting: Setting, outlook: Outlook, seed: int, samples: int, minutes: Sequence[int] | None = None
) -> list[Row]:
    """One night, with its forecasts on the way: so many minutes after each close, or at all those that are judged."""
    night = setting.night(seed)
    workload = night.workload
    outlook = replace(outlook, histories=night.histories, groups=_groups(workload))
    world = World(workload.truths, workload.start_us, workload.checkpoint_overhead_us)
    scheduler = Scheduler(0, setting.policy)
    opening: dict[int, list[Event]] = {
        workload.start_us: [CapacityChanged(workload.start_us, workload.capacity)]
    }
    for run in night.runs():
        opening.setdefault(run.release_us, []).append(RunOpened(run.release_us, run))
    if minutes is None:
        minutes = (-BEFORE_MIN, *range(0, setting.deadline_min - LEAD_MIN + 1, EVERY_MIN))
    asked = _asked(minutes, workload.start_us)
    said: list[tuple[int, int, dict[str, float]]] = []
    done: dict[str, int] = {}
    for at_us in sorted({*opening, *asked, workload.horizon_us}):
        done |= run_ahead(scheduler, world, (), at_us).finished
        done |= run_ahead(scheduler, world, opening.get(at_us, ()), at_us).finished
        tonight = {
            task_id: workload.truths[task_id].duration_us
            for task_id, life in world.lives.items()
            if life.end_us is not None and task_id in outlook.groups
        }
        markets = [market for market in asked.get(at_us, ()) if promise_of(market) not in done]
        for market, ways in _say(scheduler, replace(outlook, tonight=tonight), markets, samples).items():
            said.append((market, at_us, ways))
    rows = []
    for market, at_us, ways in said:
        close_us = workload.start_us + CLOSES_MIN[market] * MINUTE_US
        deadline_us = close_us + setting.deadline_min * MINUTE_US
        finished_us = done.get(promise_of(market))
        missed = finished_us is None or finished_us > deadline_us
        after_min, lead_min = (at_us - close_us) // MINUTE_US, (deadline_us - at_us) // MINUTE_US
        rows.append(Row(seed, market, after_min, lead_min, missed, ways))
    return rows


def _groups(workload: Workload) -> dict[str, str]:
    return {task.task_id: task.task_id.split(".")[0] for task in workload.plan.tasks if task.tier == 1}


def _asked(minutes: Sequence[int], start_us: int) -> dict[int, list[int]]:
    """When a forecast is made, and of which markets."""
    found: dict[int, list[int]] = {}
    for market, close_min in enumerate(CLOSES_MIN):
        for after_min in minutes:
            found.setdefault(start_us + (close_min + after_min) * MINUTE_US, []).append(market)
    return found


def _say(
    scheduler: Scheduler, outlook: Outlook, markets: Sequence[int], samples: int
) -> dict[int, dict[str, float]]:
    wanted = {promise_of(market): market for market in markets}
    slos = [slo for slo in scheduler.open_slos() if slo.slo_id in wanted]
    if not slos:
        return {}
    until_us = max(slo.deadline_us for slo in slos) + MINUTE_US
    made = foresee(
        scheduler, outlook, until_us=until_us, samples=samples, concerning=[slo.slo_id for slo in slos]
    )
    here = [one for one in scheduler.standings() if one.plan.tier == 1]
    ways = (
        made.drawn,
        longest_path(here, slos, outlook, scheduler.now_us, samples),
        pert(here, slos, outlook.histories, scheduler.now_us),
    )
    return {
        wanted[slo.slo_id]: {name: way[slo.slo_id] for name, way in zip(WAYS, ways, strict=True)}
        for slo in slos
    }


def foretold(rows: Sequence[Row], way: str, calibration: Calibration = AS_DRAWN) -> list[Foretold]:
    """The rows as scoring wants them."""
    return [
        Foretold(
            f"{row.seed}.{row.market}",
            row.lead_min * MINUTE_US,
            calibration.of(row.said[way]),
            row.missed,
        )
        for row in rows
    ]


def report(rows: Sequence[Row]) -> str:
    """The tables."""
    lines = [
        f"{'minutes after close':20} {'forecasts':>9} {'missed':>6}   "
        + "   ".join(f"{way:^20}" for way in WAYS),
        f"{'':20} {'':>9} {'':>6}   " + "   ".join(f"{'AUC':>6} {'Brier':>6} {'ECE':>6}" for _ in WAYS),
    ]
    for first, last in BANDS:
        chosen = [row for row in rows if first <= row.after_min <= last]
        if not chosen:
            continue
        scores = [score(foretold(chosen, way)) for way in WAYS]
        lines.append(
            f"{f'{first} to {last}':20} {len(chosen):9} {scores[0].missed:6}   "
            + "   ".join(
                f"{'-' if one.auc is None else f'{one.auc:.3f}':>6} {one.brier:6.3f} {one.calibration_error:6.3f}"
                for one in scores
            )
        )
    after = [row for row in rows if row.after_min >= 0]
    whole = score(foretold(after, "forecast"))
    lines += ["", f"from the close on: ECE {whole.calibration_error:.3f}, Brier {whole.brier:.3f}"]
    lines += [f"  said {row.said:.2f}, came {row.came:.2f} ({row.count})" for row in whole.reliability]
    seeds = sorted({row.seed for row in rows})
    first_half = set(seeds[: len(seeds) // 2])
    learned_on = foretold([row for row in after if row.seed in first_half], "forecast")
    if learned_on:
        calibration = learn(learned_on)
        others = [row for row in after if row.seed not in first_half]
        before, then = (
            score(foretold(others, "forecast", one)).calibration_error for one in (AS_DRAWN, calibration)
        )
        lines.append(
            f"recalibrated on the first half (slope {calibration.slope:.2f}, shift {calibration.shift:.2f}): "
            f"ECE on the second {before:.3f} -> {then:.3f}"
        )
    lines += ["", f"alarm from {ALARM_FROM_MIN} min after the close on, when P(miss) is at least"]
    alarmed = foretold([row for row in rows if row.after_min >= ALARM_FROM_MIN], "forecast")
    missed = len({(row.seed, row.market) for row in rows if row.missed})
    kept = len({(row.seed, row.market) for row in rows}) - missed
    rules: list[tuple[str, float | Callable[[int], float]]] = [("falling", falling)]
    rules += [(f"{share:.1f}", share) for share in (0.3, 0.4, 0.5, 0.6, 0.7)]
    for name, at_least in rules:
        said = alarms(alarmed, at_least, LEAD_MIN * MINUTE_US)
        lead = "-" if said.median_lead_us is None else f"{said.median_lead_us // MINUTE_US} min"
        lines.append(
            f"  {name:>7}: {said.in_time} of {missed} misses said at least {LEAD_MIN} min before (median {lead}), "
            f"{said.in_vain} of {kept} kept promises alarmed in vain"
        )
    return "\n".join(lines)


def main() -> None:
    """Play nights, or read what was kept of them, and print the tables."""
    parser = argparse.ArgumentParser(description="How good the forecasts are.")
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first night")
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--deadline", type=int, default=165, help="minutes after the close")
    parser.add_argument("--policy", choices=sorted(POLICIES), default="strict")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="file for what was said")
    parser.add_argument("--read", type=Path, nargs="*", help="print the table of these files")
    chosen = parser.parse_args()
    if chosen.read:
        kept = [Row(**row) for path in chosen.read for row in json.loads(path.read_text())]
        print(report(kept))
        return
    setting = Setting(chosen.load, chosen.cores, chosen.deadline, POLICIES[chosen.policy])
    outlook = learned(setting)
    rows: list[Row] = []
    for seed in range(chosen.seed, chosen.seed + chosen.nights):
        rows += play(setting, outlook, seed, chosen.samples)
        print(f"night {seed}: {time.process_time():.0f} s of cpu so far", file=sys.stderr, flush=True)
        if chosen.keep is not None:
            chosen.keep.write_text(json.dumps([asdict(row) for row in rows]))
    shared = next(iter(outlook.shared.values()))
    print(
        f"{chosen.nights} nights from seed {chosen.seed}: load {chosen.load}, {chosen.cores} cores, policy "
        f"{chosen.policy}, deadline {chosen.deadline} min, {chosen.samples} samples\n"
        f"learned from {LEARNED_NIGHTS} others: {100 * outlook.failing_share:.1f} % fail, nights differ by "
        f"{100 * shared:.0f} %\n"
    )
    print(report(rows))


if __name__ == "__main__":
    main()
