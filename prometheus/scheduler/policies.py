"""How the ready are put in order, and what lower tiers may do: the rules as numbers, and older rules to compare with.

`RESERVING` is what Prometheus does. The others are written from public descriptions, for the simulator: what a first-in
first-out queue, priority weights without deadlines, strict tiers, and strict tiers with eager preemption would do on
the same night.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus.core.instants import HOUR_US, MINUTE_US

Order = Literal["latest_start", "first_in", "weight"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds in microseconds. `has_tiers` False = one queue for all, first fit."""

    name: str
    order: Order = "latest_start"
    has_tiers: bool = True
    reserves: bool = False
    preempts: bool = False
    # A blocked Tier 1 task takes room from victims that checkpoint when its slack is under `soft_us`, from others
    # under `hard_us`; victims preempted `spared_after` times are spared unless its slack is under `desperate_us`.
    # With `waits_for_saves` it takes one that checkpoints just after it has saved, if that comes before `hard_us`.
    soft_us: int = 120 * MINUTE_US
    hard_us: int = 45 * MINUTE_US
    desperate_us: int = 15 * MINUTE_US
    spared_after: int = 3
    waits_for_saves: bool = False
    caution: float = 0.5  # the reservation plans with durations so far on the way from q50 to q80
    margin_us: int = 60 * MINUTE_US  # what its plan must have to spare before each deadline
    replan_us: int = 5 * MINUTE_US
    replans_at_once: bool = (
        True  # after a preemption; False = when it is due, which is enough for looking ahead
    )
    patience_us: int = 3 * HOUR_US  # a Tier 3 task that waits longer gets a window of its own
    # One that fits a window starts so soon after it became ready: nobody's save is waited for beyond that.
    starts_within_us: int = 6 * HOUR_US
    windows: int = 4
    slice_us: int = (
        HOUR_US  # how long such a window is for a task that checkpoints, and how long one runs undisturbed
    )
    # A promise is at risk from one P(miss) on until it falls under another, so that its state does not flicker. These two
    # also press Tiers 2 and 3, and release them, where forecasts are heeded and are not older than `stale_us`.
    at_risk_from: float = 0.20
    safe_under: float = 0.05
    will_miss_from: float = 0.90
    doubtful_under: float = 0.75  # under it a promise that would be missed is only at risk
    heeds_forecasts: bool = False
    stale_us: int = 10 * MINUTE_US
    known_from: float = 0.5  # a forecast that knows the past of fewer of a promise's tasks presses nobody


RESERVING = Policy("reserving", reserves=True, preempts=True, waits_for_saves=True, heeds_forecasts=True)
STRICT = Policy("strict")
FIRST_IN = Policy("first-in", order="first_in", has_tiers=False)
WEIGHTS = Policy("weights", order="weight", has_tiers=False)
_ALWAYS_US = 1 << 60
EAGER = Policy("eager", preempts=True, soft_us=_ALWAYS_US, hard_us=_ALWAYS_US, spared_after=1 << 30)
RESERVED_ONLY = Policy("reserved-only", reserves=True)

POLICIES = {policy.name: policy for policy in (RESERVING, STRICT, FIRST_IN, WEIGHTS, EAGER, RESERVED_ONLY)}
