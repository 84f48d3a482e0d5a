"""A job that takes too much memory is stopped before it hurts others, and told what it used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from prometheus.executors.contract import Began, Succeeded
from prometheus.executors.local import memory
from prometheus.scheduler.events import Failure

EATER = """
import os, subprocess, sys, time

def eat(task):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 8)
        time.sleep(0.002)

def eat_in_a_child(task):
    code = "import time; held = bytearray(b'x') * (300 << 20); time.sleep(1000)"
    subprocess.run([sys.executable, "-S", "-c", code])

def hold(task):
    held = bytearray(b"x") * (task.params["mib"] << 20)
    time.sleep(1000)

def share(task):
    held = bytearray(b"x") * (150 << 20)
    children = [os.fork() for _ in range(2)]
    if 0 in children:
        time.sleep(1000)
    time.sleep(0.3)  # long enough to be looked at several times
    return len(held) >> 20

def small(task):
    return 1
"""


def test_a_job_that_eats_all_memory_is_stopped_at_its_limit(local: Any) -> None:
    local.code(EATER)
    failed = local.run("jobs.py:eat", memory_limit_mib=150)
    assert failed.failure is Failure.MEMORY
    assert failed.message.startswith("used ")
    assert "MiB of memory, may use 150 MiB: give the job more memory" in failed.message
    assert failed.peak_mib > 150
    assert isinstance(local.run("jobs.py:small"), Succeeded)


def test_memory_of_child_processes_counts(local: Any) -> None:
    local.code(EATER)
    failed = local.run("jobs.py:eat_in_a_child", memory_limit_mib=200)
    assert failed.failure is Failure.MEMORY


def test_pages_that_processes_share_count_once(local: Any) -> None:
    local.code(EATER)
    fact = local.run("jobs.py:share", memory_limit_mib=300)  # three processes of 150 MiB, all the same pages
    assert fact.output == "150"


def test_a_command_has_a_limit_too(local: Any) -> None:
    local.code("import time\ndef hold_mib(n):\n    held = bytearray(b'x') * (n << 20)\n    time.sleep(1000)")
    failed = local.run(
        (sys.executable, "-S", "-c", "import jobs; jobs.hold_mib(300)"),
        memory_limit_mib=100,
        directory=local.folder,
    )
    assert failed.failure is Failure.MEMORY


def test_when_all_together_take_too_much_the_largest_is_stopped(make_local: Callable[..., Any]) -> None:
    local = make_local(memory_mib=400)
    local.code(EATER)
    small, large = (
        local.start("jobs.py:hold", task=f"hold{mib}", params=f'{{"mib": {mib}}}') for mib in (100, 350)
    )
    failed = local.end(large)
    assert failed.failure is Failure.MEMORY
    assert "the most of all jobs" in failed.message
    assert "may use 400 MiB" in failed.message
    assert (small.task_id, 1) in local.executor.living()


def test_idle_workers_go_before_a_running_job_does(make_local: Callable[..., Any]) -> None:
    local = make_local(memory_mib=400, idle_workers=4)
    local.code(EATER + "\nkept = []\ndef keep(task):\n    kept.append(bytearray(b'x') * (250 << 20))\n")
    local.run("jobs.py:keep", pin="another")
    launch = local.start("jobs.py:hold", params='{"mib": 250}')
    local.until(launch, Began)
    while len(local.executor._workers) > 1:  # until the idle one is gone; nothing is told about that
        assert local.take(10_000) == []
    assert local.take(200_000) == []
    assert (launch.task_id, 1) in local.executor.living()


def test_a_process_is_found_with_its_memory() -> None:
    me = memory.tree_of(os.getpid())[0]
    assert me.pid == os.getpid()
    assert me.session == os.getsid(0)
    assert 10 < memory.resident_mib([me]) < memory.machine_mib()
    assert 5 < memory.proportional_mib([me]) <= memory.resident_mib([me]) + 1
    assert memory.look_at(2**22 + 1) is None
    assert memory.tree_of(2**22 + 1) == []


def test_memory_is_told_in_words() -> None:
    assert [memory.text_of(mib) for mib in (512, 2_150)] == ["512 MiB", "2.1 GiB"]
