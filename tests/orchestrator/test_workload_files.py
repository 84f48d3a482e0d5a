"""A workload file is read whole: every fault is named at once, with its task and value, whatever its size."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.errors import UserError
from prometheus.core.instants import SECOND_US
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import make_workload, read_workload

LONG = 100_000


def a_task(name: str = "a", **fields: object) -> dict[str, Any]:
    return {
        "id": name,
        "tier": 1,
        "duration_s": 60,
        "history_s": [50, 60, 70],
        "demand": {"cpu": 1},
        **fields,
    }


def a_file(*tasks: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {
        "capacity": {"cpu": 4, "pools": {"db": 2}},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 3600,
        "tasks": list(tasks),
        **fields,
    }


def refusal(given: object) -> str:
    with pytest.raises(UserError) as caught:
        make_workload(given)
    return str(caught.value)


def test_what_the_scheduler_sees_comes_from_the_history_alone() -> None:
    read = make_workload(
        a_file(
            a_task(history_s=[110, 20, 30, 40, 50, 60, 70, 80, 90, 100, 10], duration_s=999, failures=[0.5])
        )
    )
    (plan,) = read.plan.tasks
    assert read.histories == {"a": tuple(10 * n * SECOND_US for n in range(1, 12))}
    seen = (plan.typical_us, plan.cautious_us, plan.late_us)
    assert seen == (60 * SECOND_US, 90 * SECOND_US, 100 * SECOND_US)
    assert "999" not in repr(read.plan)
    assert read.truths["a"].duration_us == 999 * SECOND_US


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            a_file(a_task(duration_s=-1)),
            "task 'a' duration_s: -1: Input should be greater than or equal to 0",
        ),
        (
            a_file(a_task(duration_s=float("nan"))),
            "task 'a' duration_s: nan: a finite number was expected",
        ),
        (a_file(a_task(tier=4)), "task 'a' tier: 4: Input should be less than or equal to 3"),
        (a_file(a_task(failures=[1.5])), "task 'a' failures.0: 1.5: Input should be less than or equal to 1"),
        (a_file(a_task(colour="red")), "task 'a' colour: 'red': there is no such field"),
        (a_file({"tier": 1, "duration_s": 1}), "task number 1 id"),
        (a_file(a_task(), a_task()), "task 'a': its id is used 2 times"),
        (a_file(a_task(after=["b"])), "task 'a': after 'b', which is no task"),
        (a_file(a_task(release_s=9, deadline_s=8)), "task 'a': deadline_s 8.0 is before release_s 9.0"),
        (a_file(a_task(demand={"cpu": 5})), "task 'a': its demand fits no bin of the machine, now or later"),
        (a_file(a_task(demand={"pools": {"db": 3}})), "task 'a': its demand fits no bin"),
        (a_file(a_task(demand={"pools": {"ftp": 1}})), "task 'a': its demand fits no bin"),
        (a_file(start="2026-03-02T12:00:00"), "an instant with its offset was expected"),
        ([], "the file: []: a JSON object was expected"),
        ("x", "the file: 'x': a JSON object was expected"),
        ({}, "capacity is missing; start is missing; horizon_s is missing; tasks is missing"),
        (a_file(horizon=3), "horizon: 3: there is no such field (did you mean 'horizon_s'?)"),
        (a_file(a_task(histroy_s=[1])), "histroy_s: [1]: there is no such field (did you mean 'history_s'?)"),
        (a_file(tasks={}), "tasks: {}: a list was expected"),
        (a_file(7), "task number 1: 7: a JSON object was expected"),  # type: ignore[arg-type]
        (a_file(a_task(duration_s=True)), "task 'a' duration_s: True: a number was expected"),
        (a_file(a_task(duration_s="60")), "task 'a' duration_s: '60': a number was expected"),
        (a_file(a_task(tier=True)), "task 'a' tier: True: a number was expected"),
        (a_file(a_task(history_s=[float("-inf")])), "history_s.0: -inf: a finite number was expected"),
        (a_file(a_task(deadline_s=float("nan"))), "deadline_s: nan: a finite number was expected"),
        (a_file(a_task(checkpoint_every_s=float("inf"))), "inf: a finite number was expected"),
        (a_file(a_task(release_s=10**400)), "release_s: a number of more than 30 digits"),
        (a_file(a_task(duration_s=1e300)), "1e+300: Input should be less than or equal to 1000000000"),
        (a_file(a_task(checkpoint_every_s=1e-9)), "1e-09: Input should be greater than or equal to 0.001"),
        (a_file(a_task(duration_s=1e6, checkpoint_every_s=0.5)), "it would save its work 2000000 times"),
        (a_file(a_task(demand={"cpu": 1e-4})), "demand.cpu 0.0001: less than a thousandth is not counted"),
        (a_file(a_task("a\n")), "its id holds what cannot be shown"),
        (a_file(a_task("prices"), a_task(after=["price"])), "is no task (did you mean 'prices'?)"),
        (a_file(capacity={"bins": [{"id": "x", "cpu": 1}] * 2}), "capacity: bin 'x' is there 2 times"),
        (a_file(capacity={"cpu": 1, "bins": [{"id": "x", "cpu": 1}]}), "capacity: bins, or cpu"),
        (a_file(capacity={"cpu": 1, "pools": {"db": True}}), "pools.db: True: a number was expected"),
        (a_file(capacity={"cpu": 1, "pools": {"db": 10**30}}), "less than or equal to 1000000000"),
        (a_file(start=0), "start: 0: a text such as 2026-03-02T12:00:00Z was expected"),
        (a_file(start="9999-12-31T00:00:00Z"), "a year between 1970 and 2200 was expected"),
        (a_file(faults={"lsot": 1}), "faults.lsot: 1: there is no such field (did you mean 'lost'?)"),
    ],
)
def test_each_fault_is_named_with_its_task_and_value(given: object, said: str) -> None:
    assert said in refusal(given)


def test_a_demand_may_wait_for_a_larger_machine_that_comes_later() -> None:
    later = [{"at_s": 60, "capacity": {"cpu": 8}}]
    assert len(make_workload(a_file(a_task(demand={"cpu": 5}), capacity_changes=later)).changes) == 1


def test_gpus_and_bins_are_one_machine_each() -> None:
    two = {"bins": [{"id": "x", "cpu": 4, "gpu": 1}, {"id": "y", "cpu": 2, "memory_gb": 8}]}
    make_workload(a_file(a_task(demand={"cpu": 4, "gpu": 0.5}), capacity=two))
    assert "fits no bin" in refusal(a_file(a_task(demand={"cpu": 4, "memory_gb": 4}), capacity=two))
    assert "fits no bin" in refusal(a_file(a_task(demand={"cpu": 1, "gpu": 2}), capacity=two))


def test_all_faults_are_counted_and_the_first_twenty_shown() -> None:
    said = refusal(a_file(*(a_task(f"t{n}", duration_s=-n - 1) for n in range(33))))
    assert "33 faults" in said
    assert said.endswith("and 13 more") or "; and 13 more" in said
    assert "task 't19'" in said
    assert "task 't20'" not in said


def test_a_cycle_is_named_in_the_order_in_which_it_runs() -> None:
    tasks = [
        a_task("a", after=["c"]),
        a_task("b", after=["a"]),
        a_task("c", after=["b"]),
        a_task("d", after=["c"]),
    ]
    said = refusal(a_file(*tasks))
    assert "tasks wait for each other in a circle: " in said
    assert any(turn in said for turn in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))


def test_tasks_that_ask_for_the_same_impossible_thing_are_told_once_and_counted() -> None:
    said = refusal(a_file(*(a_task(f"t{n}", demand={"cpu": 5}) for n in range(1000))))
    assert "1 fault: task 't0' and 999 more that ask for the same: its demand fits no bin" in said
    assert "it needs 5 cores (the most in one machine: 4)" in said


def test_a_night_without_tasks_is_a_night() -> None:
    assert simulate(make_workload(a_file())).as_json()["tasks"] == {}


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (b"[" * LONG + b"]" * LONG, "it is nested too deeply"),
        (b'{"a":' * LONG + b"1" + b"}" * LONG, "it is nested too deeply"),
        (b"", "is no JSON: Expecting value"),
        (b"\x00\x00", "is no JSON"),
        (b"{} x", "is no JSON: Extra data"),
        (b'{"a": "\xe9"}', "is not UTF-8 text: byte 7 is 0xe9"),
        ("{}".encode("utf-16"), "is not UTF-8 text: byte 0 is 0xff"),
        (b'{"tasks": 1' + b"0" * 5000 + b"}", "is no JSON: Exceeds the limit"),
    ],
)
def test_a_file_of_other_bytes_is_told_what_it_is(tmp_path: Path, bytes_: bytes, said: str) -> None:
    path = tmp_path / "night.json"
    path.write_bytes(bytes_)
    with pytest.raises(UserError) as caught:
        read_workload(path)
    assert said in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "night.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(a_file(a_task())).encode())
    assert len(read_workload(path).plan.tasks) == 1


def test_a_file_that_is_no_json_or_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_workload(tmp_path / "none.json")
    (tmp_path / "night.json").write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        read_workload(tmp_path / "night.json")
    (tmp_path / "night.json").write_text(json.dumps(a_file(a_task())))
    assert len(read_workload(tmp_path / "night.json").plan.tasks) == 1


def test_a_chain_of_a_hundred_thousand_is_read_and_a_cycle_as_long_is_named() -> None:
    """Nothing recurses; the bound is processor time, many times what it takes."""
    begun = time.process_time()
    chain = [a_task(f"t{n}", after=[f"t{n - 1}"] if n else []) for n in range(LONG)]
    assert len(make_workload(a_file(*chain)).plan.tasks) == LONG
    chain[0]["after"] = [f"t{LONG - 1}"]
    said = refusal(a_file(*chain))
    assert "in a circle" in said
    assert len(said) < 500
    assert time.process_time() - begun < 60
