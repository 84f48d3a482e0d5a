"""`prometheus run` as a person meets it: real processes, real ledgers, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

FILE = """
import pathlib, time
from prometheus.pipelines import Pipeline, session

p = Pipeline("mine", market="US_EQ", start=session.close + "30min")

@p.job(tier=1, retries=0)
def fetch(task):
    with open("ran", "a") as file:
        file.write("fetch ")
    return {"rows": 3}

@p.job(after=[fetch], tier=1, retries=0)
def check(task):
    print("looking at [bold]3[/bold] rows")
    if not pathlib.Path("vendor.csv").exists():
        raise FileNotFoundError("vendor.csv has not come")

@p.job(after=[check], tier=2, retries=0)
def report(task):
    pathlib.Path("reporting").write_text("")
    while pathlib.Path("wait").exists():
        time.sleep(0.01)

p.slo("checked", jobs=["check"], by="D+1 00:00 UTC")
"""
RUN = ("run", "mine.py:p", "--session", "2016-06-24")
RUN_ID = "mine.2016-06-24"

MOST_READS = 400  # of the screen; a frame comes five times a second

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(own_home: Path) -> Ask:
    (own_home / "mine.py").write_text(FILE)

    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prometheus", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=own_home)

    return asked


def test_a_failing_run_says_what_failed_its_last_lines_and_the_command_that_then_finishes_it(
    ask: Ask, own_home: Path
) -> None:
    failed = ask(*RUN)
    assert failed.returncode == 1
    assert "✗ check failed at its only attempt: FileNotFoundError: vendor.csv has not come" in failed.stdout
    assert "looking at [bold]3[/bold] rows" in failed.stdout, "a job's words are no markup"
    assert "Go on with: prometheus run mine.py:p --session 2016-06-24" in failed.stdout
    log = re.search(r"log: (\S+)", failed.stdout)
    assert log is not None
    assert "looking at" in Path(log[1]).read_text()
    assert "\x1b" not in failed.stdout + failed.stderr, "no control codes where nobody watches"

    blocked = ask("why", "report")
    assert "check" in blocked.stdout
    assert "failed" in blocked.stdout

    (own_home / "vendor.csv").write_text("")
    done = json.loads(ask(*RUN, "--json").stdout)
    assert done["state"] == "succeeded"
    assert done["resumed"] is True
    assert (own_home / "ran").read_text() == "fetch ", "what had finished did not run again"


def test_what_a_run_advises_to_look_at_can_be_looked_at(ask: Ask, own_home: Path) -> None:
    (own_home / "vendor.csv").write_text("")
    ran = ask(*RUN, "--home", "my nights", "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    advised = re.findall(r"(prometheus (?:status|why) .*)", ran.stderr)
    assert len(advised) == 2
    for command in advised:
        shown = ask(*shlex.split(command)[1:])
        assert shown.returncode == 0, shown.stderr
        assert "report" in shown.stdout


def test_what_to_type_for_its_name_is_said_only_where_that_is_not_on_path(
    ask: Ask, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_home / "vendor.csv").write_text("")
    own = Path(sys.executable).parent / "prometheus"
    monkeypatch.setenv("PATH", str(own.parent))
    assert str(own) not in ask(*RUN).stderr
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert f"(`prometheus` is not on PATH: type {own})" in ask(*RUN, "--again").stderr


def test_the_json_of_a_run_is_what_the_contract_says(ask: Ask, own_home: Path) -> None:
    (own_home / "vendor.csv").write_text("")
    result = ask(*RUN, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert {"run_id", "pipeline", "session", "state", "started_at", "ended_at", "tasks", "slos"} <= set(found)
    assert (found["run_id"], found["pipeline"], found["session"]) == (RUN_ID, "mine", "2016-06-24")
    assert found["replayed"] is True
    assert found["started_at"].startswith("2016-06-24T20:30:00")
    assert [(task["task"], task["state"], task["attempts"], task["tier"]) for task in found["tasks"]] == [
        ("fetch", "succeeded", 1, 1),
        ("check", "succeeded", 1, 1),
        ("report", "succeeded", 1, 2),
    ]
    assert all(task["started_at"] <= task["ended_at"] for task in found["tasks"])
    (slo,) = found["slos"]
    assert (slo["name"], slo["deadline"], slo["state"]) == ("checked", "2016-06-25T00:00:00Z", "met")
    assert ET.parse(found["picture"]).getroot().get("class") == "desk"

    again = ask(*RUN)
    assert again.returncode == 0
    assert "nothing was run again" in again.stdout
    assert (own_home / "ran").read_text() == "fetch "
    listed = json.loads(ask("status", "--json").stdout)
    assert [run["run_id"] for run in listed["runs"]] == [RUN_ID]


def test_lines_of_a_log_name_each_task_that_ended_once(ask: Ask, own_home: Path) -> None:
    (own_home / "vendor.csv").write_text("")
    lines = ask(*RUN).stderr.splitlines()
    for job in ("fetch", "check", "report"):
        assert sum(f"  {job}  succeeded" in line for line in lines) == 1
    assert sum("promise checked: met" in line for line in lines) == 1


class Terminal:
    """A program in a terminal of its own; `until` reads what it shows."""

    def __init__(self, *words: str, folder: Path) -> None:
        self.shown, self._raw = "", b""
        parent, child = pty.openpty()
        self._screen = parent
        environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prometheus", *words],
            stdin=child, stdout=child, stderr=child, cwd=folder, env=environ, start_new_session=True,
        )  # fmt: skip
        os.close(child)

    def until(self, is_so: Callable[[str], object]) -> str:
        """Read until that holds of what was shown; AssertionError when it does not come soon, or at all."""
        for _ in range(MOST_READS):
            if is_so(self.shown):
                return self.shown
            ready, _, _ = select.select([self._screen], [], [], 30)
            try:
                piece = os.read(self._screen, 65_536) if ready else b""
            except OSError:
                piece = b""
            if not piece:
                break
            self._raw += piece
            self.shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._raw.decode(errors="replace"))
        raise AssertionError(f"it did not come to be:\n{self.shown[-3000:]}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def terminal(own_home: Path) -> Iterator[Callable[..., Terminal]]:
    (own_home / "mine.py").write_text(FILE)
    opened: list[Terminal] = []

    def start(*words: str) -> Terminal:
        opened.append(Terminal(*words, folder=own_home))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_shows_its_night_until_then_and_how_to_go_on(
    terminal: Callable[..., Terminal], own_home: Path, number: signal.Signals, code: int, ask: Ask
) -> None:
    (own_home / "vendor.csv").write_text("")
    (own_home / "wait").write_text("")
    running = terminal(*RUN)
    running.until(lambda shown: "report" in shown and (own_home / "reporting").exists())
    assert re.search(r"Fri 20:30:\d\d UTC · 16:30 New York · US_EQ POST_CLOSE", running.shown), (
        "the market's clock"
    )
    assert re.search(r"[·○▸▶✓] +fetch", running.shown)
    running.process.send_signal(number)
    running.until(lambda shown: "go on with: prometheus run mine.py:p --session 2016-06-24" in shown)
    assert running.process.wait(30) == code
    assert json.loads(ask("status", "--json").stdout)["runs"][0]["abandoned"] is True
    assert "no process works on this run" in ask("why", "report").stdout

    (own_home / "wait").unlink()
    assert json.loads(ask(*RUN, "--json").stdout)["state"] == "succeeded"
    assert (own_home / "ran").read_text() == "fetch "


LADDER = """
from prometheus.pipelines import Pipeline, session

p = Pipeline("mine", market="US_EQ", start=session.close + "30min")

@p.job(tier=2, retries=0, degrade=["reduced"], checkpoint_every="1min")
def risk(task):
    with open("ran", "a") as file:
        file.write(f"{task.mode}/{task.resume} ")
    task.checkpoint({"half": task.mode})
    if task.mode == "full" and not __import__("pathlib").Path("mended").exists():
        raise ValueError("too much")

@p.job(after=[risk], tier=2, retries=0)
def report(task):
    return {"of": task.attempt}

p.slo("reported", jobs=["report"], by="D+1 00:00 UTC")
"""


def test_what_was_degraded_is_shown_and_repaired_when_asked(ask: Ask, own_home: Path) -> None:
    (own_home / "mine.py").write_text(LADDER)
    degraded = ask(*RUN)
    assert degraded.returncode == 0, degraded.stderr
    assert "prometheus run mine.py:p --session 2016-06-24 --repair" in degraded.stderr
    assert "to be repaired: risk, report" in ask("status").stdout
    shown = json.loads(ask("status", RUN_ID, "--json").stdout)
    assert shown["to_repair"] == [f"{RUN_ID}.risk", f"{RUN_ID}.report"]
    assert "--repair" in ask("why", "risk").stdout

    (own_home / "mended").write_text("")
    repaired = ask(*RUN, "--repair", "--json")
    assert repaired.returncode == 0, repaired.stderr
    told = json.loads(repaired.stdout)
    assert told["state"] == "succeeded"
    assert [task["state"] for task in told["tasks"]] == ["succeeded", "succeeded"]
    assert [slo["state"] for slo in told["slos"]] == ["met"]
    assert (own_home / "ran").read_text().split()[-1] == "full/None", "in full, and from the beginning"
    assert "to be repaired" not in ask("status").stdout
    assert "nothing was run again" in ask(*RUN, "--repair").stdout
    both = ask(*RUN, "--repair", "--again")
    assert both.returncode == 2
    assert "contradict each other" in both.stderr


def test_a_run_is_told_what_the_machine_will_be(ask: Ask, own_home: Path) -> None:
    from prometheus.ledger.opening import open_ledger

    (own_home / "vendor.csv").write_text("")
    (own_home / "prometheus.toml").write_text(
        "[resources]\ncpu = 4\n[[resources.changes]]\n"
        'from = \'market("US_EQ").close\'\nuntil = \'market("US_EQ").close + "2h"\'\ncpu = 2\n'
    )
    done = ask(*RUN)
    assert done.returncode == 0, done.stderr
    snapshot = open_ledger(f"sqlite:///{own_home}/.prometheus/replay/{RUN_ID}.db", create=False).load()
    assert snapshot.capacity is not None
    assert snapshot.capacity.bins[0].cpu_milli == 2_000, "it began half an hour after the close"
    assert [capacity.bins[0].cpu_milli for _, capacity in snapshot.coming[:2]] == [4_000, 2_000]
    assert "changes: now" in ask("doctor").stdout
