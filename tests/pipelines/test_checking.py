"""Order, cycles and room: graphs of any depth, and demands that no machine can hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.pipelines import Pipeline, after_run, barrier
from prometheus.pipelines.building import build
from prometheus.pipelines.checking import check_circles, check_fits, describe_cycle, topological, why_never
from prometheus.pipelines.model import FaultsError

LAPTOP = Capacity((Bin("laptop", 2000, 4096),), (("db", 2),))
CLUSTER = Capacity(
    (Bin("small", 16_000, 2048), Bin("large", 4_000, 65_536), Bin("gpus", 8_000, 8_192, (1000, 1000, 500)))
)

graphs = st.integers(1, 12).flatmap(
    lambda n: st.fixed_dictionaries(
        {f"j{i}": st.lists(st.sampled_from([f"j{k}" for k in range(n)]), max_size=3) for i in range(n)}
    )
)


@given(graphs)
def test_the_order_respects_every_edge_and_every_cycle_is_real(after: dict[str, list[str]]) -> None:
    order, cycles = topological(after)
    place = {name: index for index, name in enumerate(order)}
    assert len(place) == len(order)
    for name in order:
        assert all(place[upstream] < place[name] for upstream in after[name])
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        for before, name in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert before in after[name]
    assert bool(cycles) == (len(order) < len(after))
    on_cycles = {name for cycle in cycles for name in cycle}
    broken = {name: [] if name in on_cycles else before for name, before in after.items()}
    assert topological(broken)[1] == []  # mending the cycles that are named mends all


def test_the_order_keeps_to_the_declaration_where_it_may() -> None:
    assert topological({"c": [], "a": ["b"], "b": [], "d": ["a"]})[0] == ["c", "b", "a", "d"]


def test_cycles_are_named_in_the_order_of_work_from_the_first_declared() -> None:
    _, cycles = topological({"a": ["c"], "b": ["a"], "c": ["b"], "x": ["x", "a"], "y": ["x"]})
    assert [describe_cycle(cycle) for cycle in cycles] == ["a -> b -> c -> a", "x -> x"]


def test_a_long_cycle_is_told_briefly() -> None:
    names = [f"job{n}" for n in range(100_000)]
    _, cycles = topological({name: [names[n - 1]] for n, name in enumerate(names)})
    assert len(cycles) == 1
    text = describe_cycle(cycles[0])
    assert text.startswith("job0 -> job1 -> ")
    assert "(99,989 more)" in text
    assert text.endswith(" -> job99999 -> job0")


def work(task: Any) -> None: ...


def test_a_chain_of_a_hundred_thousand_jobs_is_built() -> None:
    pipeline = Pipeline("chain", market="US_EQ")
    for n in range(100_000):
        pipeline.add(work, name=f"job{n}", **({"after": [f"job{n + 1}"]} if n < 99_999 else {}))
    spec = build(pipeline)
    order, cycles = topological({job.name: job.after for job in spec.jobs})
    assert cycles == []
    assert order[:2] == ["job99999", "job99998"]


def test_many_faults_are_all_kept_and_the_first_hundred_shown() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    for n in range(3_000):
        pipeline.add(work, name=f"job{n}", after=[f"jab{n}"])
    with pytest.raises(FaultsError) as caught:
        build(pipeline)
    assert len(caught.value.faults) == 3_000
    assert "3,000 faults" in str(caught.value)
    assert "and 2,900 more" in str(caught.value)


@pytest.mark.parametrize(
    ("demand", "capacity", "complaint"),
    [
        (Demand(2000, 4096), LAPTOP, None),
        (Demand(2001, 1), LAPTOP, "2.001 cores (the most in one machine: 2)"),
        (Demand(1, 4097), LAPTOP, "4097 MB of memory"),
        (Demand(3000, 9999), LAPTOP, "3 cores (the most in one machine: 2) and 9999 MB"),
        (Demand(1, 1, 1), LAPTOP, "0.001 GPUs (the most in one machine: 0)"),
        (Demand(1, 1, 0, (("db", 2),)), LAPTOP, None),
        (Demand(1, 1, 0, (("db", 3),)), LAPTOP, "3 of the pool 'db', which has 2"),
        (Demand(1, 1, 0, (("bd", 1),)), LAPTOP, "the pool 'bd', which is not set up (set up: db"),
        (Demand(16_000, 2048), CLUSTER, None),
        (Demand(16_000, 2049), CLUSTER, "16 cores, 2049 MB and 0 GPUs in one machine"),
        (Demand(1, 1, 1000), CLUSTER, None),
        (Demand(1, 1, 2000), CLUSTER, None),
        (Demand(1, 1, 3000), CLUSTER, "3 GPUs (the most in one machine: 2)"),
        (Demand(1, 1), Capacity(()), "no machine"),
    ],
)
def test_a_demand_must_fit_one_machine(demand: Demand, capacity: Capacity, complaint: str | None) -> None:
    reason = why_never(demand, capacity)
    assert (reason is None) if complaint is None else (reason is not None and complaint in reason)


def test_jobs_that_can_never_start_are_all_named() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(work, name="fits")
    pipeline.add(work, name="wide", cpu=64)
    pipeline.add(work, name="fat", memory="64GB", after="wide")
    faults = check_fits(build(pipeline), LAPTOP)
    assert [fault.partition(":")[0] for fault in faults] == [
        "job 'wide' can never start",
        "job 'fat' can never start",
    ]


def started_by(name: str, start: Any) -> Any:
    pipeline = Pipeline(name, market="US_EQ", start=start)
    pipeline.add(["true"], name="job")
    return build(pipeline)


def test_pipelines_whose_runs_wait_for_each_other_are_named_before_anything_is_planned() -> None:
    a, b = started_by("a", after_run("b")), started_by("b", after_run("c"))
    c = started_by("c", barrier(["a", "elsewhere"], quorum=1, cutoff="D+1 02:00 UTC"))
    said = ["runs of the same session wait for each other in a circle: a -> c -> b -> a"]
    assert check_circles([a, b, c]) == said
    assert check_circles([a, b]) == []
    assert check_circles([a, b, started_by("c", after_run("a", session="previous"))]) == []


@pytest.mark.parametrize("tier", [1.0, True, "1", 0, float("nan"), None])
def test_a_tier_is_one_of_three_whole_numbers(tier: Any) -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(["true"], name="job", tier=tier)
    if tier is None:
        build(pipeline)
        return
    with pytest.raises(FaultsError, match="tier is"):
        build(pipeline)
