"""A task checked by hand is the task that the form makes of it, and a file with a fault gets the form's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prometheus.core.errors import UserError
from prometheus.orchestrator.simulation.contradictions import of_one
from prometheus.orchestrator.simulation.form import TaskPart
from prometheus.orchestrator.simulation.plain import Odd, Reader
from prometheus.orchestrator.simulation.workload import Workload, _by_form, make_workload, read_workload

ORDINARY = st.one_of(st.integers(0, 500), st.floats(0, 500), st.just(-0.0))
ODD = st.one_of(
    st.sampled_from(
        [
            True,
            "1",
            None,
            -1,
            1e300,
            10**400,
            float("nan"),
            float("inf"),
            1e-4,
            1e-9,
            [],
            [1, "x"],
            {},
            {"a": 1},
            {"id": "x", "duration_s": 1},
            {"cpu": True},
            {"cpu": 1e-4},
            {"cpu": 1, "gpu": -0.0, "colour": 1},
            {"pools": {"db": 1.0}},
            {"pools": {"db": True}},
            {"pools": []},
            {"pools": {"db\n": 1}},
            [[]],
            ["a"],
            ["skip", "a"],
            [0.5, True],
            [float("nan")],
            ["\ud800"],
            "\ud800",
            "",
            "b" * 201,
            2.0,
            2,
            "spare",
        ]
    ),
    ORDINARY,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "release_s": st.one_of(st.integers(0, 3), st.floats(0, 3)),
    "demand": st.fixed_dictionaries(
        {},
        optional={
            "cpu": st.one_of(st.integers(0, 4), st.floats(0.01, 4)),
            "memory_gb": st.floats(0, 4),
            "gpu": st.just(0),
            "pools": st.dictionaries(st.sampled_from(["db", "ftp"]), st.integers(0, 2)),
        },
    ),
    "after": st.lists(st.sampled_from(["t0", "t1", "t2"]), max_size=3),
    "deadline_s": st.one_of(st.none(), st.floats(3, 900)),
    "history_s": st.lists(ORDINARY, max_size=4),
    "failures": st.lists(st.one_of(st.just(1), st.floats(0, 1)), max_size=2),
    "checkpoint_every_s": st.one_of(st.none(), st.floats(0.001, 9)),
    "timeout_s": st.one_of(st.none(), st.integers(1, 9)),
    "degrade": st.lists(st.sampled_from(["fast", "skip"]), max_size=2, unique=True),
    "degraded_s": st.dictionaries(st.sampled_from(["fast", "slow"]), ORDINARY, max_size=1),
    "backfill": st.sampled_from([None, "spare", "other"]),
}
PLAIN = [name for name in FIELDS if name not in ("degrade", "degraded_s", "backfill")]


def some(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"id": st.just("t"), "tier": st.integers(1, 3), "duration_s": ORDINARY},
        optional={name: FIELDS[name] for name in names},
    )


@st.composite
def perhaps_spoilt(draw: st.DrawFn) -> dict[str, Any]:
    task = draw(some(list(FIELDS)))
    for _ in range(draw(st.integers(0, 2))):
        task[draw(st.sampled_from([*TaskPart.model_fields, "colour"]))] = draw(ODD)
    return task


def a_file(tasks: list[Any], **fields: object) -> dict[str, Any]:
    return {
        "capacity": {"cpu": 4, "memory_gb": 4, "pools": {"db": 2, "ftp": 2}},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 3600,
        "backfills": {"spare": 0.2},
        "tasks": tasks,
        **fields,
    }


def told(read: Any, given: Any) -> Workload | str:
    try:
        found = read(given)
    except UserError as error:
        return str(error)
    assert isinstance(found, Workload)
    return found


@settings(max_examples=400, deadline=None)
@given(perhaps_spoilt())
def test_what_is_accepted_by_hand_the_form_accepts_with_the_same_values(task: dict[str, Any]) -> None:
    reader = Reader()
    by_hand = reader.by_hand(task)
    try:
        part = TaskPart.model_validate(task)
    except ValidationError:
        assert by_hand is None
        with pytest.raises(Odd):
            reader.record(task)
        return
    if of_one(part):
        assert by_hand is None
    elif by_hand is not None:
        assert repr(by_hand) == repr(Reader().of_part(part))  # also 1 is not 1.0


@settings(max_examples=200, deadline=None)
@given(some(PLAIN))
def test_an_ordinary_task_is_read_by_hand(task: dict[str, Any]) -> None:
    assert (Reader().by_hand(task) is None) == bool(of_one(TaskPart.model_validate(task)))


@settings(max_examples=200, deadline=None)
@given(st.lists(perhaps_spoilt(), max_size=4), st.booleans())
def test_a_file_is_read_as_its_form_reads_it_or_refused_in_the_same_words(
    tasks: list[dict[str, Any]], are_named: bool
) -> None:
    for number, task in enumerate(tasks if are_named else ()):
        task["id"] = f"t{number}"
    given = a_file(tasks)
    by_form = told(lambda it: _by_form(it, "the workload"), given)
    found = told(make_workload, given)
    assert repr(found) == repr(by_form)


@pytest.mark.parametrize(
    "odd",
    [
        {"capacity": {"id": "x", "duration_s": 1}},
        {"tasks": [{"id": "a", "tier": 1, "duration_s": 1, "after": {"id": "x", "duration_s": 1}}]},
        {"id": "x", "tier": 1, "duration_s": 1},
        {"tasks": {"id": "a", "tier": 1, "duration_s": 1}},
        {
            "tasks": [
                {"id": "a", "tier": 1, "duration_s": 1, "demand": {"id": "x", "duration_s": 1, "tier": 2}}
            ]
        },
        {"backfills": {"id": 1, "duration_s": 1}},
    ],
)
def test_what_looks_like_a_task_where_none_belongs_is_left_to_the_form(
    odd: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "night.json"
    path.write_text(json.dumps({**a_file([]), **odd}))
    by_form = told(lambda it: _by_form(it, str(path)), {**a_file([]), **odd})
    assert repr(told(read_workload, path)) == repr(by_form)


def test_a_file_and_the_same_values_are_the_same_workload(tmp_path: Path) -> None:
    tasks: list[Any] = [
        {"id": "b", "tier": 1, "duration_s": 5, "after": ["a"], "deadline_s": 90, "history_s": [3, 1.5]},
        {"id": "a", "tier": 2.0, "duration_s": 5, "degrade": ["fast"], "degraded_s": {"fast": 2}},
        {"id": "c", "tier": 3, "duration_s": 5, "backfill": "spare", "history_s": [3, 1.5]},
    ]
    path = tmp_path / "night.json"
    path.write_text(json.dumps(a_file(tasks)))
    read = read_workload(path)
    assert read == make_workload(a_file(tasks)) == _by_form(a_file(tasks), "x")
    assert read.histories["b"] is read.histories["c"]
    assert [run.run_id for run in read.backfills] == ["spare"]
