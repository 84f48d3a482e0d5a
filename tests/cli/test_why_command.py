"""`prometheus why` as it is typed, in the night of a workload file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pages import as_printed, blocks, words_of
from typer.testing import CliRunner

from prometheus.cli.main import app
from prometheus.cli.why import NO_VERBS

NIGHT = {
    "capacity": {"cpu": 1},
    "start": "2026-03-02T12:00:00Z",
    "horizon_s": 20_000,
    "tasks": [
        {
            "id": f"B.{number}",
            "tier": 3,
            "demand": {"cpu": 1},
            "duration_s": 2400,
            "history_s": [2200, 2300, 2400, 2500, 2600],
        }
        for number in (1, 2, 3)
    ]
    + [
        {
            "id": "us.report",
            "tier": 2,
            "demand": {"cpu": 1},
            "release_s": 3600,
            "deadline_s": 4500,
            "duration_s": 600,
            "history_s": [560, 580, 600, 620, 640],
        }
    ],
}


@pytest.fixture
def night(own_home: Path) -> Path:
    path = own_home / "night.json"
    path.write_text(json.dumps(NIGHT))
    return path


def prometheus(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def as_json(*words: object) -> dict[str, Any]:
    code, out, err = prometheus(*words, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def test_a_task_is_answered_in_words_with_its_cures_numbered(night: Path) -> None:
    code, out, _ = prometheus(
        "why", "us.report", "--workload", night, "--at", "30min", "--samples", 40, "--seed", 3
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "us.report is waiting"
    assert lines[1] == "  - its release is 2026-03-02T13:00:00Z"
    assert any(line.startswith("  by the forecast of 40 samples: starts about ") for line in lines)
    assert any(
        line.startswith("  1. hold B (2 tasks that wait; 1 that run go on): P(miss) ") for line in lines
    )
    assert lines[-1] == f"  {NO_VERBS}"


def test_the_command_of_the_page_prints_what_the_page_shows(own_home: Path, project: Path) -> None:
    page = project / "docs" / "why.md"
    (python,) = blocks(page, "python")
    made, _, _ = python.partition("asked = ")
    exec(compile(made, "why.md", "exec"), {})  # our own page
    assert (own_home / "backfill.json").is_file()
    (command,), (shown,) = blocks(page, "sh"), blocks(page, "text")
    code, out, err = prometheus(*words_of(command))
    assert code == 0, err
    assert as_printed(out) == shown


def test_its_json_has_the_keys_that_the_page_names(night: Path, project: Path) -> None:
    told = as_json("why", "us.report", "--workload", night, "--at", "30min", "--samples", 20)
    page = (project / "docs" / "why.md").read_text()
    for values in (told, told["looked_ahead"], told["causes"][0], told["cures"][0]):
        for key in values:
            assert f"`{key}`" in page, key
    assert told["cures"][0]["miss_before"] > told["cures"][0]["miss_after"]


def test_a_promise_is_asked_of_by_its_name(night: Path, project: Path) -> None:
    told = as_json(
        "why", "--slo", "us.report", "--workload", night, "--at", "30min", "--samples", 20, "--no-cures"
    )
    assert (told["slo_id"], told["state"]) == ("slo.us.report", "on_track")
    assert told["looked_ahead"]["slos"][0]["miss"] > 0.8
    assert told["cures"] == []
    page = (project / "docs" / "why.md").read_text()
    assert all(f"`{key}`" in page for key in told)


def test_without_samples_only_the_rows_are_read(night: Path) -> None:
    told = as_json("why", "B.2", "--workload", night, "--at", "30min", "--samples", 0)
    assert told["looked_ahead"] is None
    assert [cause["kind"] for cause in told["causes"]] == ["room"]


@pytest.mark.parametrize("words", [(), ("us.report", "--slo", "us.report")])
def test_why_asks_of_one_thing(night: Path, words: tuple[str, ...]) -> None:
    code, _, err = prometheus("why", *words, "--workload", night)
    assert code == 2
    assert "a task, or a promise with --slo NAME" in err


@pytest.mark.parametrize(("at", "says"), [("30min", "is on track"), ("5h", "was missed")])
def test_a_promise_is_told_with_the_verb_of_its_state(night: Path, at: str, says: str) -> None:
    code, out, _ = prometheus("why", "--slo", "us.report", "--workload", night, "--at", at, "--samples", 0)
    assert code == 0
    assert out.startswith(f"promise us.report of night {says}, due "), out
