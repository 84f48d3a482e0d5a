"""What is assumed of the world that a forecast looks into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus.core.demand import Capacity
from prometheus.core.instants import DAY_US, MINUTE_US
from prometheus.forecast.arrivals import NOTHING_EXPECTED, Arrivals
from prometheus.forecast.calibration import AS_DRAWN, Calibration

AHEAD_US = DAY_US  # how long after the last deadline late work is still followed


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is assumed of the world. A task without a history is drawn from the quantiles of its plan.

    What is not given is not made up: no history of failures is none that fail, no past nights is nothing that comes, and
    a group whose nights were never compared shares nothing.
    """

    histories: Mapping[str, Sequence[int]] = field(default_factory=dict)  # task -> past durations
    slower: Mapping[str, float] = field(default_factory=dict)  # task -> factor on its durations
    overhead_us: int = MINUTE_US  # what it costs to go on from a checkpoint
    changes: tuple[tuple[int, Capacity], ...] = ()  # what the machine is from an instant on
    failing: Mapping[str, float] = field(
        default_factory=dict
    )  # task -> share of its attempts that fail, 0..1
    failing_share: float = 0.0  # of the tasks that `failing` does not name
    groups: Mapping[str, str] = field(default_factory=dict)  # task -> those that are slow together, by name
    shared: Mapping[str, float] = field(
        default_factory=dict
    )  # group -> spread of its nights, in log durations
    tonight: Mapping[str, int] = field(default_factory=dict)  # task that ended tonight -> what it took
    arrivals: Arrivals = NOTHING_EXPECTED  # lower work that will still come
    calibration: Calibration = AS_DRAWN  # what a share of samples has meant in the past
    replan_us: int = 60 * MINUTE_US  # how old a fork's reservation may be: planning is what costs most
