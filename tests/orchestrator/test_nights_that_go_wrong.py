"""What the user sees, and what is lost, when a night goes wrong: real processes, real kills, real limits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

HEADER = """
import os, sys, time
from pathlib import Path
from prometheus.pipelines import Pipeline, session

p = Pipeline("wrong", market="US_EQ", start=session.close + "30min")
HERE = Path(os.environ["WRONG_HERE"])

def note(task):
    with (HERE / "executions").open("a") as log:
        log.write(f"{task.name} {task.attempt}\\n")
"""

THREE = """
@p.job(retries=0)
def first(task):
    note(task)
    return {"n": 1}

@p.job(after=[first], retries=0)
def middle(task):
    note(task)
    if not (HERE / "go").exists():
        (HERE / "reached").write_text("")
        time.sleep(600)
    return task.output(first)["n"] + 1

@p.job(after=[middle], retries=0)
def last(task):
    note(task)
    return task.output("middle") + 1

p.slo("all of it", jobs=["last"], by="D+1 00:00 UTC")
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(body: str, *flags: str, **environ: str) -> subprocess.Popen[str]:
        (tmp_path / "wrong.py").write_text(HEADER + body)
        command = [
            sys.executable,
            "-m",
            "prometheus",
            "run",
            "wrong.py:p",
            "--session",
            "2016-06-24",
            "--json",
            *flags,
        ]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "WRONG_HERE": str(tmp_path), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def outcome(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out) if out else {}, err


def task(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [t for t in report["tasks"] if t["task"] == name]
    return dict(found)


def executions(folder: Path) -> list[str]:
    path = folder / "executions"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def kill_all(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """kill -9 of the program, its fork server and its workers."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):  # the end of the program may take it along
            member.send_signal(signal.SIGKILL)
    process.communicate()
    return family


def test_after_kill_9_of_everything_only_what_was_running_runs_again(start: Start, tmp_path: Path) -> None:
    process = start(THREE)
    wait_for(tmp_path / "reached", process)
    family = kill_all(process)
    assert len(family) >= 3, "the program, its fork server and a worker"
    (tmp_path / "go").write_text("")
    code, report, _ = outcome(start(THREE))
    assert (code, report["state"], report["resumed"]) == (0, "succeeded", True)
    assert executions(tmp_path) == ["first 1", "middle 1", "middle 2", "last 1"]
    assert task(report, "middle")["attempts"] == 2
    assert [slo["state"] for slo in report["slos"]] == ["met"]


def test_kill_9_of_the_program_alone_takes_its_workers_along(start: Start, tmp_path: Path) -> None:
    process = start(THREE)
    wait_for(tmp_path / "reached", process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_finished_run_is_shown_again_and_nothing_runs_twice(start: Start, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("")
    _, first, _ = outcome(start(THREE))
    code, second, _ = outcome(start(THREE))
    assert (code, second["was_finished"]) == (0, True)
    assert executions(tmp_path) == ["first 1", "middle 1", "last 1"]
    assert second["tasks"] == first["tasks"]


def test_a_failed_night_says_what_failed_and_goes_on_where_it_stopped(start: Start, tmp_path: Path) -> None:
    body = THREE.replace(
        "time.sleep(600)", 'print("the vendor says no"); raise ValueError("no prices today")'
    )
    code, report, err = outcome(start(body))
    assert (code, report["state"]) == (1, "failed")
    assert task(report, "middle")["state"] == "failed"
    assert task(report, "last")["state"] == "blocked"
    assert [slo["state"] for slo in report["slos"]] == ["will_miss"]
    for words in ("no prices today", "the vendor says no", "prometheus run wrong.py:p --session 2016-06-24"):
        assert words in err
    (tmp_path / "go").write_text("")
    code, report, _ = outcome(start(body))
    assert (code, report["state"]) == (0, "succeeded")
    assert executions(tmp_path) == ["first 1", "middle 1", "middle 2", "last 1"]


def test_a_job_that_hangs_and_will_not_die_is_killed_at_its_timeout(start: Start) -> None:
    body = """
@p.job(retries=1, timeout="1s")
def hangs(task):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""
    code, report, err = outcome(start(body, PROMETHEUS_GRACE="1s"))
    assert (code, task(report, "hangs")["state"], task(report, "hangs")["attempts"]) == (1, "failed", 2)
    assert "ran longer than its timeout of 1s" in err


def test_runs_that_share_a_ledger_leave_each_other_alone(start: Start, tmp_path: Path) -> None:
    """The first fails and stays failed; a later session in the same ledger neither retries it nor trips over it."""
    body = THREE.replace("time.sleep(600)", 'raise ValueError("no prices today")')
    ledger = f"sqlite:///{tmp_path / 'shared.db'}"
    code, _, _ = outcome(start(body, "--ledger", ledger))
    assert code == 1
    (tmp_path / "go").write_text("")
    before = executions(tmp_path)
    process = start(body, "--ledger", ledger, "--session", "2016-06-27")
    code, report, err = outcome(process)
    assert (code, report["state"], report["session"]) == (0, "succeeded", "2016-06-27"), err
    assert executions(tmp_path) == [*before, "first 1", "middle 1", "last 1"]
    code, _, err = outcome(start(body, "--ledger", ledger, "--session", "2016-06-23"))
    assert code == 2
    assert "a replay gets a file of its own" in err


def test_what_jobs_note_about_their_results_is_told_once(start: Start, tmp_path: Path) -> None:
    body = """
@p.job
def one(task):
    return {"notes": ["SYNTHETIC DATA: no real stock"], "rows": 1}

@p.job
def two(task):
    return {"notes": ["SYNTHETIC DATA: no real stock", 7]}

@p.job
def three(task):
    return [1]
"""
    _, report, _ = outcome(start(body))
    assert report["notes"] == ["SYNTHETIC DATA: no real stock"]
    assert "SYNTHETIC DATA" in Path(report["picture"]).read_text()
    again = [sys.executable, "-m", "prometheus", "run", "wrong.py:p", "--session", "2016-06-24"]
    environ = {**os.environ, "WRONG_HERE": str(tmp_path)}
    told = subprocess.run(again, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    assert told.stdout.endswith("\nTo know of these results:\n! SYNTHETIC DATA: no real stock\n")


def test_a_hundred_megabytes_on_stdout_cost_a_bounded_log_and_nothing_else(
    start: Start, tmp_path: Path
) -> None:
    body = """
@p.job
def chatty(task):
    line = "x" * 99
    for _ in range(1_000_000):
        print(line)
    print("the last word")
    return {"ok": True}
"""
    code, report, _ = outcome(start(body))
    assert (code, task(report, "chatty")["state"]) == (0, "succeeded")
    log = Path(report["logs"]) / "chatty.1.log"
    assert log.stat().st_size < 12_000_000
    text = log.read_text()
    assert text.endswith("the last word\n")
    assert "left out" in text


def test_a_job_that_eats_all_memory_is_stopped_before_the_machine_is(start: Start) -> None:
    body = """
@p.job(memory="300MB", retries=0)
def eats(task):
    kept = []
    while True:
        kept.append(bytearray(20_000_000))
        time.sleep(0.01)

@p.job
def modest(task):
    return 1
"""
    code, report, err = outcome(start(body))
    assert (code, task(report, "eats")["state"], task(report, "modest")["state"]) == (
        1,
        "failed",
        "succeeded",
    )
    assert "memory" in task(report, "eats")["reason"].lower()
    assert "MiB" in err


def test_code_that_changed_under_an_unfinished_run_is_refused_and_again_begins_anew(
    start: Start, tmp_path: Path
) -> None:
    process = start(THREE)
    wait_for(tmp_path / "reached", process)
    kill_all(process)
    (tmp_path / "go").write_text("")
    changed = THREE.replace("+ 1\n\n@p.job(after=[middle]", "+ 10\n\n@p.job(after=[middle]")
    assert changed != THREE
    code, _, err = outcome(start(changed))
    assert code == 2
    assert "pinned to" in err
    assert "--again" in err
    code, report, _ = outcome(start(changed, "--again"))
    assert (code, report["state"], report["resumed"]) == (0, "succeeded", False)


def test_a_second_program_on_the_same_run_is_told_who_leads(start: Start, tmp_path: Path) -> None:
    process = start(THREE)
    wait_for(tmp_path / "reached", process)
    code, _, err = outcome(start(THREE))
    assert code != 0
    assert str(process.pid) in err
    kill_all(process)


def test_a_full_disk_stops_the_night_with_a_clear_word_and_loses_nothing(
    start: Start, tmp_path: Path
) -> None:
    """The ledger's file may grow no further (RLIMIT_FSIZE): the same refusal that a full disk gives, for real."""
    body = """
@p.job
def big(task):
    return "x" * 200_000

@p.job(after=[big])
def bigger(task):
    note(task)
    return task.output("big") + "y"
"""
    (tmp_path / "limited.py").write_text(
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "import prometheus.orchestrator.turns as turns\n"
        "sys.argv = ['prometheus', *sys.argv[1:]]\n"
        "runpy.run_module('prometheus', run_name='__main__')\n"
    )
    (tmp_path / "wrong.py").write_text(HEADER + body)
    command = [sys.executable, "limited.py", "run", "wrong.py:p", "--session", "2016-06-24", "--json"]
    environ = {**os.environ, "WRONG_HERE": str(tmp_path), "PROMETHEUS_PATIENCE": "1s"}
    limited = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert limited.returncode == 1
    assert "nothing is lost" in limited.stderr
    code, report, _ = outcome(start(body))
    assert (code, report["state"]) == (0, "succeeded")


def test_a_replay_is_found_also_where_the_desk_names_another_ledger_for_its_live_runs(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "go").write_text("")
    live = f"sqlite:///{tmp_path / 'live.db'}"
    code, report, _ = outcome(start(THREE, PROMETHEUS_LEDGER_URL=live))
    assert code == 0
    assert report["ledger"].endswith("/replay/wrong.2016-06-24.db")
    assert not (tmp_path / "live.db").exists()
    status = subprocess.run(
        [sys.executable, "-m", "prometheus", "status"],
        cwd=tmp_path,
        env={**os.environ, "PROMETHEUS_LEDGER_URL": live},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status.returncode == 0, status.stderr
    assert "wrong.2016-06-24" in status.stdout
