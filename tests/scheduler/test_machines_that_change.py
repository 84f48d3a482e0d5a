"""Bins that go while something runs in them, and demands that no bin could ever hold: found by nights with faults."""

from __future__ import annotations

from nights import run_of, task, tid

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, RefuseStart, StartAttempt
from prometheus.scheduler.events import AttemptSucceeded, CapacityChanged, RunOpened

X, Y = Bin("x", 2000, 4096), Bin("y", 1000, 8192)
NO_CORES = Demand(0, 0, 0, (("db", 1),))


def started(decisions: list[Decision]) -> dict[str, str]:
    return {d.task_id: d.bin_id for d in decisions if isinstance(d, StartAttempt)}


def refused(decisions: list[Decision]) -> dict[str, str]:
    return {d.task_id: d.reason for d in decisions if isinstance(d, RefuseStart)}


def test_nothing_starts_in_a_bin_that_is_gone_though_it_takes_no_cores() -> None:
    core = Scheduler()
    first, second = task("a", cpu=2), task("b", demand=NO_CORES)
    core.handle([CapacityChanged(0, Capacity((X, Y), (("db", 1),))), RunOpened(0, run_of(first))])
    core.handle(
        [CapacityChanged(1, Capacity((), (("db", 1),)))]
    )  # x is gone, and the first task still runs there
    assert started(core.handle([RunOpened(2, run_of(second, run="later.2026-03-02"))])) == {}
    back = core.handle([CapacityChanged(3, Capacity((Y,), (("db", 1),)))])
    assert started(back) == {tid("b"): "y"}
    core.handle([AttemptSucceeded(4, tid("a"), 1)])
    core.check_invariants(is_thorough=True)


def test_what_fits_no_bin_in_all_its_parts_at_once_holds_back_nobody_and_says_so() -> None:
    """Cores enough are in one bin, memory enough in another: each alone, so no single resource is short."""
    core = Scheduler()
    wide, small = task("a", demand=Demand(2000, 8192)), task("b", tier=3)
    decisions = core.handle([CapacityChanged(0, Capacity((X, Y))), RunOpened(0, run_of(wide, small))])
    assert started(decisions) == {tid("b"): "y"}
    assert refused(decisions) == {
        tid("a"): "no bin could hold 2 cores, 8 GiB at once, even if nothing else ran",
    }


def test_a_share_of_a_device_is_never_summed_and_says_so() -> None:
    core = Scheduler()
    halves = Capacity((Bin("x", 4000, 0, (500, 500)),))
    decisions = core.handle(
        [
            CapacityChanged(0, halves),
            RunOpened(0, run_of(task("a", demand=Demand(1000, 0, 700)), task("b", tier=3))),
        ]
    )
    assert started(decisions) == {tid("b"): "x"}
    assert "no bin could hold 1 core, 0 MiB, 0.7 GPUs at once" in refused(decisions)[tid("a")]


def test_a_pool_that_is_too_small_for_ever_is_told_before_one_that_is_only_in_use() -> None:
    core = Scheduler()
    a, b = task("a", demand=Demand(1000, 0, 0, (("db", 1), ("ftp", 9)))), task("b", demand=NO_CORES, tier=2)
    decisions = core.handle(
        [CapacityChanged(0, Capacity((X,), (("db", 1), ("ftp", 2)))), RunOpened(0, run_of(a, b))]
    )
    assert started(decisions) == {tid("b"): "x"}
    assert refused(decisions) == {tid("a"): "needs 9 of pool 'ftp', which has 2"}
