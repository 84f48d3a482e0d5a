"""How good were the forecasts? Made beforehand, judged by what came.

Brier (1950) for all in one number, reliability for "did 30 % mean 30 %", the area under the ROC curve for "were those in
danger told from those that were not", and for alarms what matters to people: how many misses were said in time, and how
often it was said in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from prometheus.core.instants import MINUTE_US
from prometheus.scheduler.events import ForecastMade

BINS = 10
EARLY_US, LATE_US = 105 * MINUTE_US, 75 * MINUTE_US  # before the deadline
EARLY_FROM, LATE_FROM = 0.8, 0.2


@dataclass(frozen=True, slots=True)
class Foretold:
    """One forecast of one promise whose outcome is known."""

    slo_id: str
    lead_us: int  # from the forecast to the deadline
    miss: float  # what was said
    missed: bool  # what came


@dataclass(frozen=True, slots=True)
class Reliability:
    """The forecasts that said about the same."""

    count: int
    said: float  # their mean
    came: float  # share that was missed


@dataclass(frozen=True, slots=True)
class Score:
    """What a set of forecasts is worth. `auc` is None where all were missed or none was."""

    count: int
    missed: int
    brier: float
    brier_of_base_rate: float  # of one who always says how many are missed on the whole
    auc: float | None
    calibration_error: float  # mean distance of what was said from what came, over the bins by their counts
    reliability: tuple[Reliability, ...]


@dataclass(frozen=True, slots=True)
class Alarms:
    """What an alarm rule would have said, once a promise."""

    missed: int
    kept: int
    in_time: int  # missed promises with an alarm that came early enough
    in_vain: int  # kept promises with an alarm
    median_lead_us: int | None  # of the alarms of missed promises

    @property
    def recall(self) -> float | None:
        """Share of the missed that were said in time."""
        return self.in_time / self.missed if self.missed else None

    @property
    def false_alarms(self) -> float | None:
        """Share of the kept that were said to be in danger."""
        return self.in_vain / self.kept if self.kept else None


def judged(
    forecasts: Iterable[ForecastMade], deadlines_us: Mapping[str, int], missed: Mapping[str, bool]
) -> list[Foretold]:
    """Each forecast of each promise that has come to its end; those made after a deadline foretold nothing."""
    return [
        Foretold(slo.slo_id, deadlines_us[slo.slo_id] - made.made_us, slo.miss, missed[slo.slo_id])
        for made in forecasts
        for slo in made.slos
        if slo.slo_id in missed and made.made_us <= deadlines_us[slo.slo_id]
    ]


def score(foretold: Sequence[Foretold], bins: int = BINS) -> Score:
    """The score of a set of forecasts; of none, all zeros."""
    count, missed = len(foretold), sum(one.missed for one in foretold)
    if not count:
        return Score(0, 0, 0.0, 0.0, None, 0.0, ())
    rate = missed / count
    table = _reliability(foretold, bins)
    return Score(
        count,
        missed,
        fsum((one.miss - one.missed) ** 2 for one in foretold) / count,
        rate * (1 - rate),
        _auc(foretold),
        fsum(row.count * abs(row.said - row.came) for row in table) / count,
        table,
    )


def falling(lead_us: int) -> float:
    """The P(miss) from which we would alarm so long before the deadline: 0.8 until 105 minutes, falling to 0.2 at 75.

    Long before, most dangers pass by themselves and an alarm needs certainty; at the last moment at which something can
    still be done, two in ten are reason enough.
    """
    passed = (EARLY_US - lead_us) / (EARLY_US - LATE_US)
    return EARLY_FROM + (LATE_FROM - EARLY_FROM) * min(max(passed, 0.0), 1.0)


def alarms(
    foretold: Iterable[Foretold], at_least: float | Callable[[int], float], lead_us: int = 0
) -> Alarms:
    """What the rule "alarm when P(miss) is at least so much" would have said; how much may depend on the time left.

    An alarm less than `lead_us` before its deadline comes too late to count.
    """
    first: dict[str, int] = {}  # promise -> lead of its first alarm
    outcome: dict[str, bool] = {}
    for one in foretold:
        outcome[one.slo_id] = one.missed
        threshold = at_least(one.lead_us) if callable(at_least) else at_least
        if one.miss >= threshold and one.lead_us >= lead_us:
            first[one.slo_id] = max(first.get(one.slo_id, 0), one.lead_us)
    leads = sorted(lead for slo_id, lead in first.items() if outcome[slo_id])
    missed = sum(outcome.values())
    return Alarms(
        missed,
        len(outcome) - missed,
        len(leads),
        len(first) - len(leads),
        leads[len(leads) // 2] if leads else None,
    )


def _reliability(foretold: Sequence[Foretold], bins: int) -> tuple[Reliability, ...]:
    filled: dict[int, list[Foretold]] = {}
    for one in foretold:
        filled.setdefault(min(int(one.miss * bins), bins - 1), []).append(one)
    return tuple(
        Reliability(
            len(found),
            fsum(one.miss for one in found) / len(found),
            sum(one.missed for one in found) / len(found),
        )
        for _, found in sorted(filled.items())
    )


def _auc(foretold: Sequence[Foretold]) -> float | None:
    """How often a missed promise was given more than a kept one, ties half: by ranks (Mann and Whitney, 1947)."""
    ordered = sorted(foretold, key=lambda one: one.miss)
    missed = sum(one.missed for one in ordered)
    if missed in (0, len(ordered)):
        return None
    ranks, place = 0.0, 0
    while place < len(ordered):
        end = place
        while end < len(ordered) and ordered[end].miss == ordered[place].miss:
            end += 1
        ranks += sum(one.missed for one in ordered[place:end]) * (place + 1 + end) / 2
        place = end
    return (ranks - missed * (missed + 1) / 2) / (missed * (len(ordered) - missed))
