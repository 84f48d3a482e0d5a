"""Nothing outlives its attempt, and no attempt its executor: with real processes and real signals."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prometheus.executors.contract import Began, Failed, Succeeded
from prometheus.scheduler.events import Failure

# A job that starts two processes, one of them in a session of its own and orphaned, and then does as its name says.
FAMILY = """
import os, signal, subprocess, sys, time

def family(task):
    child = subprocess.Popen(["sleep", "1000"])
    orphan = daemon()
    with open(task.params["pids"], "w") as file:
        file.write(f"{os.getpid()} {child.pid} {orphan}\\n")

def daemon():
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            os.closerange(3, 100)
            time.sleep(1000)
        os._exit(0)
    pid = int(os.read(reading, 100))
    return pid

def hang(task):
    family(task)
    doze()

def doze():
    while True:  # in naps: a signal that comes just before a sleep begins is heard only when the sleep ends
        time.sleep(0.05)

def stubborn(task):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(task)

def stopped(task):
    family(task)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def start_family(local: Any, tmp_path: Path, job: str) -> tuple[Any, list[int]]:
    local.code(FAMILY)
    launch = local.start(f"jobs.py:{job}", params=f'{{"pids": "{tmp_path}/pids"}}')
    return launch, [int(pid) for pid in local.wait_for(tmp_path / "pids").split()]


@pytest.mark.parametrize(
    ("job", "grace_us"),
    [
        ("hang", 0),
        ("hang", 20_000_000),
        ("stubborn", 0),
        ("stubborn", 100_000),
        ("stopped", 0),
        ("stopped", 100_000),
    ],
)
def test_a_cancelled_job_is_gone_with_all_its_children(
    local: Any, tmp_path: Path, alive: Any, job: str, grace_us: int
) -> None:
    launch, pids = start_family(local, tmp_path, job)
    assert [alive(pid) for pid in pids] == [True] * 3
    local.executor.cancel(launch.task_id, 1, Failure.TIMEOUT, "took too long", grace_us)
    assert local.end(launch).failure is Failure.TIMEOUT
    assert [alive(pid) for pid in pids] == [False] * 3


def test_a_job_that_succeeds_leaves_no_children(local: Any, tmp_path: Path, alive: Any) -> None:
    launch, pids = start_family(local, tmp_path, "family")
    assert isinstance(local.end(launch), Succeeded)
    assert [alive(pid) for pid in pids[1:]] == [False] * 2


def test_a_job_s_last_will_is_done_within_the_grace(local: Any, tmp_path: Path) -> None:
    local.code(f"""
import time
def job(task):
    try:
        __import__("pathlib").Path("{tmp_path}/ready").write_text("\\n")
        while True:
            time.sleep(0.05)
    finally:
        print("cleaned")
""")
    launch = local.start("jobs.py:job")
    local.wait_for(tmp_path / "ready")
    local.executor.cancel(launch.task_id, 1, Failure.PREEMPTED, "made room", 20_000_000)
    failed = local.end(launch)
    assert failed.failure is Failure.PREEMPTED
    assert failed.tail.startswith("cleaned\n")


def test_a_cancelled_job_that_returns_all_the_same_has_failed_and_its_worker_is_not_used_again(
    local: Any, tmp_path: Path
) -> None:
    local.code(f"""
import os, time
def job(task):
    try:
        __import__("pathlib").Path("{tmp_path}/ready").write_text("\\n")
        while True:
            time.sleep(0.05)
    except BaseException:
        return os.getpid()
def pid(task):
    return os.getpid()
""")
    launch = local.start("jobs.py:job")
    local.wait_for(tmp_path / "ready")
    worker = next(iter(local.executor._workers.values())).pid
    local.executor.cancel(launch.task_id, 1, Failure.CANCELLED, "asked", 20_000_000)
    assert local.end(launch).failure is Failure.CANCELLED
    assert local.run("jobs.py:pid").output != str(worker)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "SIGKILL, not by us"), (signal.SIGSEGV, "SIGSEGV: compiled code")]
)
def test_a_job_that_dies_by_a_signal_has_crashed(
    local: Any, tmp_path: Path, alive: Any, number: int, words: str
) -> None:
    launch, pids = start_family(local, tmp_path, "hang")
    os.kill(pids[0], number)
    failed = local.end(launch)
    assert failed.failure is Failure.CRASH
    assert words in failed.message
    assert [alive(pid) for pid in pids] == [False] * 3


def test_sigterm_that_was_not_ours_is_a_crash(local: Any, tmp_path: Path) -> None:
    launch, pids = start_family(local, tmp_path, "hang")
    os.kill(pids[0], signal.SIGTERM)
    assert local.end(launch).failure is Failure.CRASH


def test_a_job_that_forks_without_end_is_stopped(local: Any, tmp_path: Path, alive: Any) -> None:
    local.code(f"""
import os, time
def job(task):
    for depth in range(6):  # 2**6 processes, each in a group of its own, each forking on
        os.fork()
        os.setpgid(0, 0)
    with open("{tmp_path}/pids", "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if os.fork() == 0:
            time.sleep(0.05)
            os._exit(0)
        time.sleep(0.02)
""")
    launch = local.start("jobs.py:job")
    local.wait_for(tmp_path / "pids")
    local.executor.cancel(launch.task_id, 1, Failure.TIMEOUT, "took too long", 0)
    assert local.end(launch).failure is Failure.TIMEOUT
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert not [pid for pid in pids if alive(pid)]
    local.code("def job(task): ...", "next.py")
    assert isinstance(local.run("next.py:job"), Succeeded)


def test_the_end_of_the_fork_server_loses_attempts_and_nothing_else(
    local: Any, tmp_path: Path, ended: Any
) -> None:
    launch, pids = start_family(local, tmp_path, "hang")
    local.until(launch, Began)
    local.take(150_000)  # memory is sampled meanwhile, so even the orphan is known
    server = local.executor._server.pid
    os.kill(server, signal.SIGKILL)
    failed = local.end(launch)
    assert failed.failure is Failure.LOST
    assert all(ended(pid) for pid in pids)
    assert local.executor.living() == frozenset()
    local.code("def job(task): ...", "next.py")
    assert isinstance(local.run("next.py:job"), Succeeded)
    assert local.executor._server.pid != server


def test_a_fork_server_that_cannot_start_refuses_attempts_and_is_not_tried_for_ever(
    make_local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    local = make_local()
    local.code("def job(task): ...")
    for attempt in range(1, 6):
        failed = local.run("jobs.py:job", attempt=attempt)
        assert failed.failure is Failure.REFUSED
        assert "fork server" in failed.message


DAEMON = """
import sys
from datetime import date
from pathlib import Path
from prometheus.core.demand import Demand
from prometheus.executors.contract import Launch
from prometheus.executors.local import LocalExecutor

executor = LocalExecutor()
folder = Path(sys.argv[1])
for name, target in (("a", "jobs.py:stubborn"), ("b", ("sleep", "1000"))):
    executor.start(Launch(name, "run", name, 1, date(2024, 3, 1), "US_EQ", "full", "pin", target, Demand(),
                          code_dir=folder, params=f'{{"pids": "{folder}/pids"}}'))
while not ((folder / "pids").exists() and (folder / "pids").read_text().endswith("\\n") and len(executor.living()) == 2):
    executor.acknowledge(executor.facts(10_000))
workers = [worker.pid for worker in executor._workers.values()]
print(executor._server.pid, *workers, (folder / "pids").read_text().strip(), executor._scratch, flush=True)
executor.facts(None)
"""


@pytest.mark.parametrize("is_threaded", [False, True])
def test_when_the_scheduler_is_killed_everything_ends_at_once(
    folder: Path, ended: Any, is_threaded: bool
) -> None:
    (folder / "jobs.py").write_text(FAMILY)
    code = DAEMON
    if (
        is_threaded
    ):  # made in a thread that ends, which must not end the workers; a fork of it keeps our sockets
        code = DAEMON.replace(
            "executor = LocalExecutor()",
            "import os, threading, time\nmade = []\nt = threading.Thread(target=lambda: made.append(LocalExecutor()))\n"
            "t.start(); t.join(); executor = made[0]\n"
            "if os.fork() == 0:\n    time.sleep(30); os._exit(0)",
        )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    daemon = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        start_new_session=True,
    )
    assert daemon.stdout is not None
    *pids, scratch = daemon.stdout.readline().split()
    assert len(pids) == 6
    assert Path(scratch).exists()
    daemon.kill()
    daemon.wait()
    assert all(ended(int(pid)) for pid in pids)
    assert not Path(scratch).exists()
    daemon.stdout.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)


def test_when_scheduler_and_fork_server_are_killed_together_workers_end_at_once(
    folder: Path, ended: Any
) -> None:
    (folder / "jobs.py").write_text(
        "import os, time\ndef alone(task):\n"
        "    with open(task.params['pids'], 'w') as file:\n        file.write(f'{os.getpid()}\\n')\n"
        "    time.sleep(1000)\n"
    )
    daemon = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", DAEMON.replace("stubborn", "alone"), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert daemon.stdout is not None
    server, *workers, _, scratch = daemon.stdout.readline().split()
    assert len(workers) == 2
    os.kill(daemon.pid, signal.SIGSTOP)  # so that it cannot clean up after its server
    os.kill(int(server), signal.SIGKILL)
    assert all(ended(int(pid)) for pid in workers)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    shutil.rmtree(scratch)


def test_closing_leaves_no_process_and_no_file(local: Any, tmp_path: Path, alive: Any) -> None:
    launch, pids = start_family(local, tmp_path, "stubborn")
    server, scratch = local.executor._server.pid, local.executor._scratch
    local.executor.close(grace_us=50_000)
    assert not [pid for pid in [*pids, server] if alive(pid)]
    assert not scratch.exists()
    assert local.end(launch).failure is Failure.CANCELLED


@pytest.mark.parametrize("message", [b"\\xff\\xff\\xff\\xff", b"\\0\\0\\0\\2{}", b"\\0\\0\\0\\5[[[[["])
def test_a_job_that_writes_into_our_socket_fails_alone(local: Any, message: bytes) -> None:
    local.code(f"""
import os, stat, time
def job(task):
    for fd in range(3, 50):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, b"{message.decode()}")
        except OSError:
            pass
    time.sleep(1000)
def good(task): ...
""")
    failed = local.run("jobs.py:job")
    assert failed.failure is Failure.CRASH
    assert "sent what none of ours does" in failed.message
    assert isinstance(local.run("jobs.py:good"), Succeeded)


def test_a_job_that_closes_every_descriptor_is_an_error(local: Any) -> None:
    local.code("import os\ndef job(task):\n    os.closerange(3, 100)\n    return 1\ndef good(task): ...")
    failed = local.run("jobs.py:job")
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.ERROR
    assert isinstance(local.run("jobs.py:good"), Succeeded)


def test_many_attempts_at_once_all_end(local: Any) -> None:
    local.code("def job(task):\n    return task.name")
    launches = [local.start("jobs.py:job", task=f"t{i}") for i in range(60)]
    assert [local.end(launch).output for launch in launches] == [f'"t{i}"' for i in range(60)]
