"""Thousands of small nights in which everything goes wrong, each from a seed, each turn checked by an account of its own.

    python tools/proof/nights.py --nights 5000 [--first 0] [--seconds 600] [--json FILE]

A night that breaks a rule is shrunk, task by task and fault by fault, while it still breaks one, and is printed with
its seed: as a workload and its faults, ready for a test. The account (tests/support/watching.py) knows nothing of the
scheduler's books.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2] / place) for place in ("", "tests/support")]

from watching import Account

from prometheus.orchestrator.simulation.faults import Faults
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.policies import POLICIES, Policy
from tools.proof.drawing import draw_night

OTHERS = ("strict", "eager", "reserved-only")  # one night in four is decided by one of them


@dataclass(frozen=True, slots=True)
class Violation:
    """A night that broke a rule, as drawn and as shrunk."""

    seed: int
    policy: str
    said: str
    given: Mapping[str, Any]
    faults: Faults


def main() -> int:
    """Decide the nights; 1 if any of them broke a rule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--nights", type=int, default=5_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--json", type=Path, help="write the summary there")
    asked = parser.parse_args()
    begun, tried, violations = time.monotonic(), 0, []
    for seed in range(asked.first, asked.first + asked.nights):
        found = look_at(seed)
        tried += 1
        if found is not None:
            violations.append(found)
            print(f"seed {seed}, policy {found.policy}: {found.said}")
            print(f"  workload {json.dumps(found.given)}\n  {found.faults}", flush=True)
        if asked.seconds is not None and time.monotonic() - begun > asked.seconds:
            break
    summary = {
        "nights": tried,
        "first_seed": asked.first,
        "violations": [{"seed": one.seed, "policy": one.policy, "said": one.said} for one in violations],
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary))
    if asked.json is not None:
        asked.json.write_text(json.dumps(summary) + "\n", encoding="utf-8")
    return int(bool(violations))


def look_at(seed: int) -> Violation | None:
    """The night of a seed; None if it holds."""
    rng = random.Random(seed)  # noqa: S311 - a simulation's dice
    policy = POLICIES[rng.choice(OTHERS) if rng.random() < 0.25 else "reserving"]
    night = draw_night(rng.choice)
    said = what_breaks(night.given, night.faults, policy)
    if said is None:
        return None
    given, faults = shrunk(night.given, night.faults, policy)
    return Violation(seed, policy.name, what_breaks(given, faults, policy) or said, given, faults)


def what_breaks(given: Mapping[str, Any], faults: Faults, policy: Policy) -> str | None:
    """The rule that the night breaks, as the account or the scheduler itself says it; None if it holds."""
    workload = make_workload(given)
    account = Account(workload)
    try:
        simulate(workload, policy=policy, faults=faults, watch=account.watch)
        account.ended()
    except Exception as error:  # noqa: BLE001 - whatever a night brings down is what is looked for
        return f"{type(error).__name__}: {error}"
    return None


def shrunk(given: Mapping[str, Any], faults: Faults, policy: Policy) -> tuple[Mapping[str, Any], Faults]:
    """The night without all that it does not need to break a rule."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for fewer, less in _smaller(given, faults):
            if what_breaks(fewer, less, policy) is not None:
                given, faults, is_smaller = fewer, less, True
                break
    return given, faults


def _smaller(given: Mapping[str, Any], faults: Faults) -> Iterator[tuple[Mapping[str, Any], Faults]]:
    for place, gone in enumerate(given["tasks"]):
        left = [
            {**task, "after": [name for name in task["after"] if name != gone["id"]]}
            for other, task in enumerate(given["tasks"])
            if other != place
        ]
        if left:
            hangs = {name: numbers for name, numbers in faults.hangs.items() if name != gone["id"]}
            yield {**given, "tasks": left}, replace(faults, hangs=hangs)
    plain, values = Faults(), {each.name: getattr(faults, each.name) for each in fields(faults)}
    for name, value in values.items():
        if value != getattr(plain, name):
            yield given, replace(faults, **{name: getattr(plain, name)})
        if isinstance(value, tuple) and name != "changes":
            for place in range(len(value)):
                one_less: dict[str, Any] = {name: value[:place] + value[place + 1 :]}
                yield given, replace(faults, **one_less)
    for place, task in enumerate(given["tasks"]):
        for name, simple in _PLAIN.items():
            if task[name] != simple:
                tasks = [*given["tasks"]]
                tasks[place] = {**task, name: simple}
                yield {**given, "tasks": tasks}, faults


_PLAIN: Mapping[str, Any] = {
    "release_s": 0,
    "demand": {"cpu": 1},
    "after": [],
    "deadline_s": None,
    "history_s": [60],
    "duration_s": 60,
    "failures": [],
    "checkpoint_every_s": None,
    "timeout_s": None,
    "degrade": [],
}


if __name__ == "__main__":
    sys.exit(main())
