"""Two common ways to foretell a deadline that look at the graph of tasks alone, to compare the forecast with.

Written from public descriptions: a Gaussian estimate along the critical path of mean durations (PERT, as workload
automation products do), and drawn durations along the longest path, as if every task had a machine for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist, fmean, pvariance

from prometheus.forecast.draws import Draws
from prometheus.forecast.outlook import Outlook
from prometheus.scheduler.core import Standing
from prometheus.scheduler.plan import SloPlan

_NORMAL = NormalDist()


def pert(
    here: Sequence[Standing], slos: Sequence[SloPlan], histories: Mapping[str, Sequence[int]], now_us: int
) -> dict[str, float]:
    """P(miss) of each promise: normal, with the means and variances along the path that is longest by its means."""
    ends: dict[str, tuple[float, float]] = {}  # task -> mean and variance of its end
    for one in here:  # in the order in which they came: each after those it waits for
        plan, past = one.plan, histories[one.plan.task_id]
        mean, variance = fmean(past), pvariance(past)
        if one.began_us is not None:
            ends[plan.task_id] = max(one.began_us + mean, now_us), variance
            continue
        begin, spread = max(
            ((float(max(now_us, plan.release_us)), 0.0), *(ends[i] for i in plan.after if i in ends))
        )
        ends[plan.task_id] = begin + mean, spread + variance
    found = {}
    for slo in slos:
        open_ids = [task_id for task_id in slo.task_ids if task_id in ends]
        mean, variance = max(ends[task_id] for task_id in open_ids)
        found[slo.slo_id] = 1 - _NORMAL.cdf((slo.deadline_us - mean) / max(1.0, sqrt(variance)))
    return found


def longest_path(
    here: Sequence[Standing],
    slos: Sequence[SloPlan],
    outlook: Outlook,
    now_us: int,
    samples: int,
    seed: int = 0,
) -> dict[str, float]:
    """P(miss) of each promise: the same drawn durations as the forecast's, on a machine that is never full."""
    draws = Draws(here, (), outlook, now_us, seed)
    missed = dict.fromkeys((slo.slo_id for slo in slos), 0)
    for sample in range(samples):
        truths = draws.truths(sample)
        ends: dict[str, int] = {}
        for one in here:
            plan = one.plan
            left_us = truths[plan.task_id].duration_us - one.kept_us
            begin_us = one.began_us
            if begin_us is None:
                begin_us = max(now_us, plan.release_us, *(ends.get(i, 0) for i in plan.after), 0)
            ends[plan.task_id] = max(now_us, begin_us + left_us)
        for slo in slos:
            missed[slo.slo_id] += any(ends.get(i, 0) > slo.deadline_us for i in slo.task_ids)
    return {slo_id: count / samples for slo_id, count in missed.items()}
