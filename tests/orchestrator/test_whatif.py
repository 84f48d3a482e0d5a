"""Tonight, an assumption, the expected answer: nights small enough to be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest
from whatifs import MONDAY_NOON_US, asked, misses, night, two_at_once

from prometheus.core.demand import Bin, Capacity
from prometheus.core.errors import UserError
from prometheus.core.instants import HOUR_US, SECOND_US
from prometheus.forecast.foresee import reached_by
from prometheus.orchestrator.tonight import stage_of
from prometheus.orchestrator.whatif.assuming import (
    Gone,
    PoolSized,
    Sized,
    Slower,
    Without,
    assume,
)
from prometheus.orchestrator.whatif.closing import Closes
from prometheus.orchestrator.whatif.sampling import Drawer
from prometheus.orchestrator.whatif.shares import Share, at_most
from prometheus.orchestrator.whatif.sweeping import NEEDED, Swept, Verdict, sweep, verdict_of


def test_a_second_core_keeps_the_promise_that_one_core_breaks() -> None:
    found = asked(two_at_once(), Sized("cpu", 2000))
    assert misses(found) == {"a": (0, 0), "b": (1, 0)}
    late = found.rows[1]
    assert (late.newly_kept, late.newly_missed, late.differing) == (5, 0, 5)
    assert late.p50_later_us == late.p90_later_us == -60 * SECOND_US
    assert found.words == ("the machine has 2 cores instead of 1 core",)
    assert not found.makes_no_difference


def test_what_changes_nothing_is_said_to_change_nothing() -> None:
    tonight = night({"id": "a", "deadline_s": 90})
    found = asked(tonight, Sized("cpu", 8000))
    assert found.makes_no_difference
    assert asked(tonight, Sized("cpu", 1000)).words == ("the machine has 1 core already: nothing changes",)


def test_what_no_task_asks_for_is_said_to_be_asked_for_by_none() -> None:
    tonight = night({"id": "a", "deadline_s": 90}, pools={"db": 1})
    assert asked(tonight, Sized("gpu", 2)).words == (
        "the machine has 2 GPUs instead of 0 GPUs; no task of tonight asks for a GPU",
    )
    for what, pool, name in (("gpu", "", "a GPU"), ("memory", "", "memory"), (None, "db", "the pool 'db'")):
        found = sweep(tonight, [], Swept(what, pool, (1, 2)), samples=2, seed=0)  # type: ignore[arg-type]  # as given
        assert found.words == (f"no task of tonight asks for {name}: every size is the same night",)
    using = night({"id": "a", "demand": {"cpu": 1, "gpu": 1}}, gpu=1)
    assert sweep(using, [], Swept("gpu", "", (1, 2)), samples=2, seed=0).words == ()


def test_without_an_assumption_it_is_a_forecast() -> None:
    found = asked(two_at_once())
    assert found.is_forecast
    assert misses(found) == {"a": (0, 0), "b": (1, 1)}


def test_slower_jobs_take_longer_and_the_scheduler_is_not_told() -> None:
    tonight = night({"id": "m0.feature.1", "deadline_s": 90})
    found = asked(tonight, Slower("m0.feature.*", 2.0))
    assert misses(found) == {"m0.feature.1": (0, 1)}
    assert found.rows[0].p50_later_us == 60 * SECOND_US
    (task,) = assume(tonight, [Slower("m0.feature.1", 2.0)]).tonight.tasks()
    assert task.typical_us == 60 * SECOND_US


def test_factors_on_the_same_task_multiply() -> None:
    tonight = night({"id": "a"}, {"id": "b"})
    both = assume(tonight, [Slower("a", 2.0), Slower("*", 1.5)]).tonight
    assert both.slower == {"a": 3.0, "b": 1.5}


def test_a_task_that_fits_no_worker_is_named_with_its_reason() -> None:
    tonight = night({"id": "wide", "demand": {"cpu": 4}, "deadline_s": 900}, cpu=8)
    found = asked(tonight, Sized("cpu", 2000))
    (one,) = found.never
    assert (one.task.task_id, one.reason) == ("wide", "it needs 4 cores (the most in one machine: 2)")
    assert misses(found) == {"wide": (0, 1)}
    assert found.never_before == ()


def test_a_change_of_the_machine_holds_for_what_it_becomes_later_too() -> None:
    later = (MONDAY_NOON_US + HOUR_US, Capacity((Bin("machine", 16_000, 1024),)))
    tonight = replace(night({"id": "a"}, cpu=8), announced=(later,))
    changed = assume(tonight, [Sized("cpu", 2000)]).tonight
    assert [one.bins[0].cpu_milli for one in (changed.capacity, changed.announced[0][1])] == [2000, 2000]


def test_a_machine_that_will_shrink_is_known_to_both_sides_and_an_unannounced_change_to_none() -> None:
    tonight = two_at_once()
    wider = replace(
        tonight, announced=((MONDAY_NOON_US + SECOND_US, Capacity((Bin("machine", 2000, 1 << 30),))),)
    )
    assert misses(asked(wider)) == {"a": (0, 0), "b": (0, 0)}
    assert misses(asked(wider, Sized("cpu", 1000))) == {"a": (0, 0), "b": (0, 1)}


def test_a_pool_that_shrinks_makes_its_users_wait() -> None:
    tonight = night(
        *({"id": name, "demand": {"cpu": 1, "pools": {"db": 1}}, "deadline_s": 90} for name in "ab"),
        cpu=2,
        pools={"db": 2},
    )
    found = asked(tonight, PoolSized("db", 1))
    assert misses(found) == {"a": (0, 0), "b": (0, 1)}
    with pytest.raises(UserError, match="there is no pool 'dbs'"):
        assume(tonight, [PoolSized("dbs", 1)])


def test_without_some_tasks_what_comes_after_does_not_wait_for_them() -> None:
    tonight = night({"id": "slow"}, {"id": "last", "after": ["slow"], "deadline_s": 90})
    found = asked(tonight, Without("slow"))
    assert misses(found) == {"last": (1, 0)}
    assert found.words == ("without the task slow (1 task); what comes after does not wait for it: last",)


def test_names_that_nothing_has_are_told_those_that_are_near() -> None:
    with pytest.raises(UserError) as caught:
        assume(two_at_once(), [Slower("aa", 2.0)])
    assert "nothing that is still to be done is called 'aa'" in str(caught.value)
    with pytest.raises(UserError, match="there is no worker 'other'"):
        assume(two_at_once(), [Gone("other")])
    with pytest.raises(UserError, match="a workload follows no market"):
        assume(two_at_once(), [Closes("XHKG", time(12))])


def test_the_same_numbers_are_the_same_nights_wherever_they_are_drawn() -> None:
    tonight = night({"id": "a", "history_s": [10, 20, 30], "deadline_s": 25})
    alone, shared = Drawer([stage_of(tonight)], 7), Drawer([stage_of(tonight)], 7)
    with alone, shared:
        alone.draw([(0, number) for number in range(24)], lambda drawn, wanted: None)
        shared._share([(0, 12, 12), (0, 0, 12)], 0, 24, lambda drawn, wanted: None)
    assert alone.seen == shared.seen
    assert alone.seen[0].samples == 24


def test_a_sweep_marks_the_smallest_size_that_keeps_each_promise() -> None:
    found = sweep(two_at_once(), [], Swept("cpu", "", (1000, 2000, 3000)), samples=600, seed=0)
    a, b = found.smallest
    assert (a.size, a.is_first, a.verdict) == (1000, True, Verdict.KEPT)
    assert (b.size, b.is_first, b.verdict) == (2000, False, Verdict.KEPT)
    assert found.enough == b
    assert found.present == 1000
    # More are drawn where there was doubt: not at one core, where the second is late in every night.
    assert [point.samples for point in found.points] == [600, 600, 100]
    told = found.as_json()
    assert told["enough_down_to_tier"] == {"1": 2}
    assert told["points"][0]["p_miss"]["slo.b"]["p"] == 1


def test_too_few_samples_resolve_nothing_and_say_so() -> None:
    found = sweep(two_at_once(), [], Swept("cpu", "", (1000, 2000)), samples=50, seed=0)
    assert [one.verdict for one in found.smallest] == [Verdict.OPEN, Verdict.OPEN]
    assert found.enough is not None
    assert found.enough.size == 2000


def test_a_promise_that_no_size_keeps_has_no_smallest() -> None:
    late = night({"id": "a", "deadline_s": 30})
    found = sweep(late, [], Swept("cpu", "", (1000, 2000)), samples=100, seed=0)
    assert found.smallest[0].size is None
    assert found.smallest[0].verdict is Verdict.BROKEN
    assert found.enough is None


def test_sizes_on_which_something_never_fits_are_marked() -> None:
    tonight = night({"id": "wide", "tier": 3, "demand": {"cpu": 2}}, {"id": "a", "deadline_s": 90}, cpu=2)
    found = sweep(tonight, [], Swept("cpu", "", (1000, 2000)), samples=2, seed=0)
    assert [[one.task.task_id for one in point.never] for point in found.points] == [["wide"], []]
    assert found.points[0].lower == 0
    assert found.points[1].lower == pytest.approx(2 / 60)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Share(0, NEEDED), Verdict.KEPT),
        (Share(0, NEEDED - 1), Verdict.OPEN),
        (Share(0, 539), Verdict.OPEN),  # Wilson's bound is content, the exact chance is 6.7 %
        (Share(1, 600), Verdict.OPEN),
        (Share(6, 600), Verdict.OPEN),  # 8.3 % at a true 0.5 %
        (Share(7, 600), Verdict.BROKEN),
        (Share(1, 1), Verdict.BROKEN),
        (Share(2, 100), Verdict.OPEN),
        (Share(3, 100), Verdict.BROKEN),
    ],
)
def test_a_verdict_is_given_only_when_it_is_95_per_cent_sure(missed: Share, expected: Verdict) -> None:
    assert verdict_of(missed) is expected


def test_the_interval_of_a_share_is_wilson_s() -> None:
    # Brown, Cai and DasGupta (2001): 0 of 20 and 10 of 20 at 95 %.
    assert Share(0, 20).interval() == pytest.approx((0, 0.1611), abs=1e-4)
    assert Share(10, 20).interval() == pytest.approx((0.2993, 0.7007), abs=1e-4)


def test_the_chance_of_so_few_is_the_binomial_one() -> None:
    assert at_most(0, 539, 0.005) == pytest.approx(0.995**539)
    assert at_most(1, 3, 0.5) == pytest.approx(0.5)
    assert at_most(-1, 3, 0.5) == 0
    assert at_most(3, 3, 0.5) == 1
    # A bound that is 95 % sure: just as many samples as are needed, and none fewer.
    assert at_most(0, NEEDED, 0.005) <= 0.05 < at_most(0, NEEDED - 1, 0.005)


def test_the_instant_that_a_share_reaches_counts_those_that_never_do() -> None:
    instants = [10, None, 20, 30]
    assert reached_by(instants, 0.5) == 20
    assert reached_by(instants, 0.75) == 30
    assert reached_by(instants, 0.9) is None
