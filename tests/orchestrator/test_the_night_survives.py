"""The shipped night on real data: killed in the middle and run again, it decides what an undisturbed one decides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

SESSION = (
    "2009-03-10"  # early in the panel, so that the history before it is short to load; the turn of the crisis
)


def prometheus(home: Path, *words: str) -> subprocess.Popen[str]:
    """In a home of its own; the calm one has room for one worker at a time, the rough one for two."""
    home.mkdir(exist_ok=True)
    cpu = {"calm": "1", "rough": "2"}[home.name]
    return subprocess.Popen(
        [sys.executable, "-m", "prometheus", *words, "--json"],
        cwd=home,
        env={**os.environ, "PROMETHEUS_HOME": str(home / ".prometheus"), "PROMETHEUS_CPU": cpu},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path) -> dict[str, object]:
    out, err = prometheus(home, "run", "us_eq_daily", "--session", SESSION).communicate(timeout=300)
    report = json.loads(out)
    assert report["state"] == "succeeded", err
    return dict(report)


def decisions(home: Path) -> list[dict[str, object]]:
    out, _ = prometheus(home, "decisions", "--session", SESSION).communicate(timeout=60)
    found = json.loads(out)
    return list(found["decisions"] if isinstance(found, dict) else found)


def kill_after(home: Path, line_has: str) -> None:
    """Run the night until a line of its progress says so, then kill -9 everything at once."""
    process = prometheus(home, "run", "us_eq_daily", "--session", SESSION)
    assert process.stderr is not None
    for line in process.stderr:
        if all(word in line for word in line_has.split()):
            break
    else:
        raise AssertionError(f"it never said {line_has!r}")
    for member in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        member.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_night_that_is_killed_twice_on_two_workers_decides_what_an_undisturbed_one_decides_on_one(
    tmp_path: Path,
) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    undisturbed = run(calm)
    kill_after(rough, "validate succeeded")
    kill_after(rough, "volatility succeeded")
    survived = run(rough)
    assert survived["resumed"] is True
    slos = [[slo["state"] for slo in report["slos"]] for report in (undisturbed, survived)]  # type: ignore[attr-defined]
    assert slos == [["met"] * 3] * 2
    assert len(decisions(calm)) >= 4
    assert decisions(rough) == decisions(calm)
