from __future__ import annotations

import json
from pathlib import Path

import pytest
from replaying import replay
from typer.testing import CliRunner, Result

from prometheus.cli.main import app

NIGHT = {
    "capacity": {"cpu": 1},
    "start": "2026-03-02T12:00:00Z",
    "horizon_s": 7200,
    "tasks": [
        {"id": "low", "tier": 3, "demand": {"cpu": 1}, "duration_s": 3000, "history_s": [3000],
         "checkpoint_every_s": 600},
        {"id": "must", "tier": 1, "demand": {"cpu": 1}, "release_s": 900, "deadline_s": 1500, "duration_s": 300,
         "history_s": [300]},
    ],
}  # fmt: skip


@pytest.fixture
def workload(own_home: Path, tmp_path: Path) -> Path:
    path = tmp_path / "night.json"
    path.write_text(json.dumps(NIGHT))
    return path


def simulate(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["simulate", *map(str, words)])


def test_the_result_has_the_form_that_other_tools_read(workload: Path) -> None:
    result = simulate("--workload", workload, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["tasks"]["must"] == {
        "state": "succeeded",
        "first_start_s": 900.0,
        "end_s": 1200.0,
        "attempts": 1,
        "preemptions": 0,
        "useful_cpu_s": 300.0,
        "wasted_cpu_s": 0.0,
    }
    low = told["tasks"]["low"]
    assert (low["attempts"], low["preemptions"], low["wasted_cpu_s"]) == (2, 1, 300.0)
    assert low["end_s"] == 1200 + 2400
    assert {"decisions", "events", "wall_s", "policy", "seed"} <= told.keys()


def test_the_trace_holds_order_and_capacity(workload: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    assert simulate("--workload", workload, "--trace", trace).exit_code == 0
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert replay(NIGHT, lines) == 3
    assert [line["event"] for line in lines] == ["start", "preempt", "start", "end", "start", "end"]


def test_another_policy_decides_otherwise_and_a_wrong_name_is_told_the_right_ones(workload: Path) -> None:
    result = simulate("--workload", workload, "--policy", "strict")
    assert result.exit_code == 0
    assert "0 of 1" in result.stdout
    assert "1 of 1" in simulate("--workload", workload).stdout
    wrong = simulate("--workload", workload, "--policy", "stricct")
    assert wrong.exit_code == 2
    assert "there is no policy 'stricct'" in wrong.stderr
    assert "strict" in wrong.stderr


def test_a_file_with_faults_is_refused_with_all_of_them(workload: Path) -> None:
    broken = {**NIGHT, "tasks": [{**task, "tier": 9} for task in NIGHT["tasks"]]}  # type: ignore[dict-item, attr-defined]
    workload.write_text(json.dumps(broken))
    result = simulate("--workload", workload)
    assert result.exit_code == 2
    assert "task 'low' tier: 9" in result.stderr.replace("\n", " ")
    assert "task 'must' tier: 9" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "{}", "[" * 100_000, '{"tasks": NaN}', json.dumps({**NIGHT, "horizon_s": -1}), "\udc80"],
)
def test_whatever_is_in_the_file_there_is_a_message_and_no_traceback(workload: Path, text: str) -> None:
    workload.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = simulate("--workload", workload)
    assert result.exit_code == 2
    assert "hint" in result.stderr
    assert "raceback" not in result.stderr


def test_a_trace_that_cannot_be_written_is_told(workload: Path, tmp_path: Path) -> None:
    result = simulate("--workload", workload, "--trace", tmp_path / "none" / "trace.jsonl")
    assert result.exit_code == 2
    assert "cannot be written: No such file or directory" in result.stderr.replace("\n", " ")


def test_a_trace_that_cannot_be_written_is_told_before_the_night_is_played(
    workload: Path, tmp_path: Path
) -> None:
    """The night itself is refused only when it is played: faults in the file, and forecasts."""
    workload.write_text(json.dumps({**NIGHT, "faults": {"lost": 1}}))
    result = simulate(
        "--workload", workload, "--forecast-every", "5min", "--trace", tmp_path / "none" / "trace.jsonl"
    )
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_of_faults_in_the_file_and_forecasts_the_hint_says_where_the_faults_are(workload: Path) -> None:
    workload.write_text(json.dumps({**NIGHT, "faults": {"lost": 1}}))
    result = simulate("--workload", workload, "--forecast-every", "5min")
    assert result.exit_code == 2
    assert "`faults` in the file" in result.stderr


@pytest.mark.parametrize("spec", ["", " , "])
def test_faults_that_ask_for_nothing_are_refused(workload: Path, spec: str) -> None:
    result = simulate("--workload", workload, "--faults", spec)
    assert result.exit_code == 2
    assert "asks for nothing" in result.stderr


def test_faults_are_drawn_from_a_seed_that_is_told(workload: Path) -> None:
    first, second = (
        simulate("--workload", workload, "--faults", "lost=2,restarts=5,seed=3", "--json") for _ in range(2)
    )
    told, again = json.loads(first.stdout), json.loads(second.stdout)
    assert told["faults"]["seed"] == 3
    assert told["faults"]["restarts"] == 5
    assert {**told, "wall_s": 0} == {**again, "wall_s": 0}
    assert "faults of seed 3" in simulate("--workload", workload, "--faults", "seed=3").stderr


def test_what_hangs_without_a_timeout_is_shown_and_with_one_it_is_ended(workload: Path) -> None:
    hung = simulate("--workload", workload, "--faults", "hung=1")
    assert "Hung without a timeout: must" in hung.stdout
    tasks = [{**task, "timeout_s": 4000} for task in NIGHT["tasks"]]  # type: ignore[dict-item, attr-defined]
    timed = {**NIGHT, "tasks": tasks, "horizon_s": 40000}
    workload.write_text(json.dumps(timed))
    told = json.loads(simulate("--workload", workload, "--faults", "hung=1", "--json").stdout)
    assert {task["state"] for task in told["tasks"].values()} == {"succeeded"}
    assert told["faults"]["hung"] == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hang=1", "there is no fault 'hang' (did you mean 'hung'?)"),
        ("lost=x", "a number was expected after lost="),
        ("late=2", "late=2.0: Input should be less than or equal to 1"),
        ("hung=nan", "hung=nan: Input should be a finite number"),
    ],
)
def test_faults_that_do_not_exist_are_refused(workload: Path, spec: str, said: str) -> None:
    result = simulate("--workload", workload, "--faults", spec)
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
