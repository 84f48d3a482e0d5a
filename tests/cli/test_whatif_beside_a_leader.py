"""What-if while another program leads a run on the same ledger: real processes, SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prometheus.ledger.contract import Ledger
from prometheus.ledger.opening import open_ledger
from prometheus.scheduler.states import AttemptState
from tests.ledger import shelves

FILE = """
from prometheus.pipelines import Pipeline

p = Pipeline("mine", market="US_EQ")

@p.job(tier=1, retries=0)
def fetch(task):
    return {"rows": 3}

@p.job(after=[fetch], tier=1, retries=0)
def report(task):
    with open("begun", "w") as told:
        told.write("yes")
    with open("go_on") as waited:
        return {"told": waited.read()}

p.slo("reported", jobs=["report"], within="6h")
"""
SETTINGS = '[forecast]\nenabled = false\n[resources]\ncpu = 2\nmemory = "4GB"\n'
SESSION = ("mine.py:p", "--session", "2016-06-24")
PATIENCE_S = 60  # for what comes at once on an idle machine
Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("pg")
    shelves.stop_server()


@pytest.fixture(params=[kind for kind in shelves.KINDS if kind != "memory"])
def url(request: pytest.FixtureRequest, own_home: Path, server_folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{own_home / 'shared.db'}"
    return f"{shelves.server_url(server_folder)}&schema=beside_a_leader"


@pytest.fixture
def ask(own_home: Path, url: str) -> Ask:
    (own_home / "mine.py").write_text(FILE)
    (own_home / "prometheus.toml").write_text(SETTINGS)

    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prometheus", *words, "--ledger", url]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE_S, cwd=own_home
        )

    return asked


@pytest.fixture
def leader(ask: Ask, own_home: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """A program that leads a run whose last task has begun; it ends when somebody writes to `go_on`."""
    for name in ("begun", "go_on"):
        os.mkfifo(own_home / name)
    begun = os.open(own_home / "begun", os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-m", "prometheus", "run", *SESSION, "--live", "--json", "--ledger", url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=own_home
    )
    try:
        ready, _, _ = select.select([begun], [], [], PATIENCE_S)
        assert ready, "its last task never began"
        yield process
    finally:
        os.close(begun)
        process.kill()
        process.communicate()


def wait_until_it_runs(ledger: Ledger) -> None:
    """The job told that it has begun; its leader hears it, too, and commits it, a moment later."""
    until = time.monotonic() + PATIENCE_S
    while [row.state for row in ledger.load().attempts][-1] is not AttemptState.RUNNING:
        assert time.monotonic() < until, "its leader never heard that it had begun"
        time.sleep(0.01)


def test_what_if_sees_the_run_of_another_program_and_does_not_disturb_it(
    ask: Ask, leader: subprocess.Popen[str], own_home: Path, url: str
) -> None:
    ledger = open_ledger(url, create=False)
    wait_until_it_runs(ledger)
    before = ledger.revision(), ledger.load()
    answer = ask("whatif", *SESSION, "--slower", "report=2", "--samples", "20", "--json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert "mine.2016-06-24 goes on from where it stands" in told["notes"]
    assert [slo["name"] for slo in told["slos"]] == ["reported"]
    swept = ask("whatif", *SESSION, "--sweep", "cpu=1..2", "--samples", "5", "--json")
    assert swept.returncode == 0, swept.stderr
    assert (ledger.revision(), ledger.load()) == before

    refused = ask("run", *SESSION, "--live", "--repair")
    assert refused.returncode != 0
    assert f"is led by prometheus run, process {leader.pid}" in refused.stderr

    assert leader.poll() is None, "it goes on"
    (own_home / "go_on").write_text("you may")
    out, err = leader.communicate(timeout=PATIENCE_S)
    assert leader.returncode == 0, err
    done = json.loads(out)
    assert done["state"] == "succeeded"
    assert [(task["task"], task["attempts"]) for task in done["tasks"]] == [("fetch", 1), ("report", 1)]
    assert [slo["state"] for slo in done["slos"]] == ["met"]
    assert ledger.check() == []
    ledger.close()
