"""Any program as a job: what it is told, how it answers, how it is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prometheus.executors.contract import Began, Failed, Succeeded
from prometheus.scheduler.events import Failure


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


def test_a_command_is_told_everything_by_variables_and_a_file(local: Any) -> None:
    text = (
        'printf \'{"variables": ["%s", "%s", "%s", "%s", "%s"], "inputs": %s}\' '
        '"$PROMETHEUS_JOB_SESSION" "$PROMETHEUS_JOB_MARKET" "$PROMETHEUS_JOB_TASK" "$PROMETHEUS_JOB_ATTEMPT" '
        '"$PROMETHEUS_JOB_MODE" "$(cat "$PROMETHEUS_JOB_INPUTS")" > "$PROMETHEUS_JOB_RESULT"'
    )
    fact = local.run(
        shell(text),
        task="risk",
        attempt=2,
        mode="reduced",
        params='{"window":60}',
        outputs={"fetch": "[1]"},
        resume='{"at":7}',
    )
    assert isinstance(fact, Succeeded), fact
    told = json.loads(fact.output)
    assert told["variables"] == ["2024-03-01", "US_EQ", "risk", "2", "reduced"]
    inputs = told["inputs"]
    assert (inputs["params"], inputs["outputs"], inputs["resume"]) == (
        {"window": 60},
        {"fetch": [1]},
        {"at": 7},
    )
    assert (inputs["task"], inputs["session"], inputs["market"], inputs["attempt"]) == (
        *("risk", "2024-03-01", "US_EQ"),
        2,
    )


def test_a_command_that_writes_no_result_has_the_output_null(local: Any) -> None:
    launch = local.start(shell("true"))
    assert local.end(launch).output == "null"
    assert [type(fact) for fact in local.of(launch)] == [Began, Succeeded]


@pytest.mark.parametrize(
    ("text", "failure", "message"),
    [
        ("exit 75", Failure.TRY_AGAIN, "exit code 75"),
        ("exit 3", Failure.ERROR, "exit code 3"),
        ("kill -SEGV $$", Failure.CRASH, "SIGSEGV: compiled code"),
        ("kill -KILL $$", Failure.CRASH, "SIGKILL, not by us"),
        (
            "echo nonsense > $PROMETHEUS_JOB_RESULT",
            Failure.ERROR,
            "ended well, but its result file holds no JSON",
        ),
        ("echo NaN > $PROMETHEUS_JOB_RESULT", Failure.ERROR, "NaN is not allowed"),
        ("echo 1e999 > $PROMETHEUS_JOB_RESULT", Failure.ERROR, "holds no JSON"),
        ("mkdir $PROMETHEUS_JOB_RESULT", Failure.ERROR, "its result file cannot be read: Is a directory"),
        ("head -c 300000 /dev/zero > $PROMETHEUS_JOB_RESULT", Failure.ERROR, "more than 262,144 bytes"),
    ],
)
def test_how_a_command_ends_is_told_in_words(local: Any, text: str, failure: Failure, message: str) -> None:
    failed = local.run(shell(text))
    assert failed.failure is failure
    assert message in failed.message


def test_a_result_that_is_a_pipe_nobody_writes_to_does_not_stop_the_scheduler(local: Any) -> None:
    assert local.run(shell("mkfifo $PROMETHEUS_JOB_RESULT")).output == "null"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("no-such-program",), "the command 'no-such-program' cannot be started: No such file or directory"),
        (("/etc",), "Permission denied"),
        (("echo", "a\0b"), "embedded null byte"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused(
    local: Any, command: tuple[str, ...], message: str
) -> None:
    failed = local.run(command)
    assert failed.failure is Failure.REFUSED
    assert message in failed.message


def test_a_command_runs_in_its_directory_with_its_environment(local: Any, tmp_path: Path) -> None:
    text = 'printf \'["%s", "%s", "%s"]\' "$PWD" "$DESK" "$OMP_NUM_THREADS" > $PROMETHEUS_JOB_RESULT'
    fact = local.run(shell(text), directory=tmp_path, environment={"DESK": "rates"})
    assert json.loads(fact.output) == [str(tmp_path), "rates", "1"]


def test_a_command_meets_broken_pipes_as_programs_expect(local: Any) -> None:
    fact = local.run(("/bin/bash", "-c", "yes | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}"))
    assert fact.message == "the command ended with exit code 141"  # 128 + SIGPIPE, not an endless complaint


def test_a_command_s_words_are_never_read_by_a_shell(local: Any, tmp_path: Path) -> None:
    assert isinstance(local.run(("echo", f"$(touch {tmp_path}/owned)", "; false")), Succeeded)
    assert not (tmp_path / "owned").exists()


def test_a_command_may_clean_up_within_the_grace(local: Any, tmp_path: Path) -> None:
    launch = local.start(
        shell(
            f"trap 'echo cleaned; exit 0' TERM; echo ready > {tmp_path}/ready; while :; do sleep 0.01; done"
        )
    )
    local.wait_for(tmp_path / "ready")
    local.executor.cancel(launch.task_id, 1, Failure.TIMEOUT, "took too long", 20_000_000)
    failed = local.end(launch)
    assert failed.failure is Failure.TIMEOUT
    assert failed.tail.endswith("cleaned")  # the shell may say first that its sleep was terminated


def test_a_command_s_files_are_gone_when_it_has_ended(local: Any, tmp_path: Path) -> None:
    assert isinstance(local.run(shell(f"echo $PROMETHEUS_JOB_INPUTS > {tmp_path}/where")), Succeeded)
    where = Path((tmp_path / "where").read_text().strip())
    assert where.name == "inputs.json"
    assert not where.parent.exists()
    local.executor.close()
    assert not where.parent.parent.exists()


def test_no_room_for_a_command_s_files_is_its_failure_alone(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.executor, "_scratch", tmp_path / "missing" / "scratch")
    failed = local.run(shell("true"))
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.REFUSED
    local.code("def job(task): ...")
    assert isinstance(local.run("jobs.py:job"), Succeeded)
