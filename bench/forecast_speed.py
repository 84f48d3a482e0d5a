"""What a forecast costs: 100 samples of a night of 300 tasks, from its first minute to its end.

    python -m bench.forecast_speed                 processor seconds, beside what a bare heap needs in the same run

Wall time on a shared machine says more about the others; processor time still depends on how much of the memory's
bandwidth they leave. So the floor is measured in between: events through a heap and nothing else.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import time

from bench.forecasts import Setting, learned
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.ahead import Told
from prometheus.forecast.foresee import View, foresee
from prometheus.forecast.outlook import Outlook
from prometheus.forecast.world import World
from prometheus.orchestrator.machine import usable_cores
from prometheus.orchestrator.sharing import draw_shared
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, RunOpened
from prometheus.scheduler.policies import POLICIES

SEED = 7
IN_HEAP = 300


def floor_us(facts: int = 100_000) -> float:
    """Microseconds of processor an event: each is taken from a heap of 300 and another put in."""
    heap = [(number * 7919 % 104_729, number, "task", 1) for number in range(IN_HEAP)]
    heapq.heapify(heap)
    begun = time.process_time()
    for number in range(facts):
        at_us, _, task_id, attempt = heapq.heappop(heap)
        heapq.heappush(heap, (at_us + number % 104_729, number, task_id, attempt))
    return (time.process_time() - begun) * 1e6 / facts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a forecast costs.")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--load", type=float, default=1.0)
    chosen = parser.parse_args()
    for name in ("reserving", "strict"):
        setting = Setting(chosen.load, policy=POLICIES[name])
        night = setting.night(SEED)
        workload = night.workload
        known = learned(setting, nights=4)
        outlook = Outlook(night.histories, failing_share=known.failing_share)
        scheduler = Scheduler(0, setting.policy)
        start_us = workload.start_us
        scheduler.handle([CapacityChanged(start_us, workload.capacity), RunOpened(start_us, workload.plan)])
        facts: list[int] = []

        def count(_: int, __: World, told: Told) -> None:
            facts.append(told.events)  # noqa: B023  # it is called within this round

        floors, spent = [floor_us()], 0.0
        for skip in range(0, chosen.samples, 20):
            begun = time.process_time()
            foresee(
                scheduler,
                outlook,
                until_us=workload.horizon_us - MINUTE_US,
                samples=min(20, chosen.samples - skip),
                skip=skip,
                watch=count,
            )
            spent += time.process_time() - begun
            floors.append(floor_us())
        view = View(scheduler, outlook, until_us=workload.horizon_us - MINUTE_US)
        begun = time.perf_counter()
        draw_shared(view.draw, 0, chosen.samples)
        wall_s = time.perf_counter() - begun
        each_us = spent * 1e6 / sum(facts)
        print(
            f"{name}: {len(workload.plan.tasks)} tasks x {chosen.samples} samples: {spent:.2f} s of processor, "
            f"{1e3 * spent / chosen.samples:.1f} ms a sample, {each_us:.1f} us an event; "
            f"the heap alone {statistics.median(floors):.2f} us ({each_us / statistics.median(floors):.0f} times); "
            f"{wall_s:.2f} s when it is shared among processes, of {usable_cores()} cores"
        )


if __name__ == "__main__":
    main()
