"""What attempts write is kept within bounds, and never in anybody's way."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.executors.contract import Succeeded
from prometheus.executors.local.logs import END_BYTES, TAIL_LINES, AttemptLog
from prometheus.scheduler.events import Failure


def test_a_job_that_writes_100_mb_ends_well_and_its_log_keeps_both_ends(local: Any, tmp_path: Path) -> None:
    local.code("""
import sys
def job(task):
    print("the first line")
    line = b"x" * 99 + b"\\n"
    for _ in range(100):
        sys.stdout.buffer.write(line * 10_000)
    print("the last line")
""")
    fact = local.run("jobs.py:job", log_path=tmp_path / "log", log_limit_bytes=1_000_000)
    assert isinstance(fact, Succeeded)
    log = (tmp_path / "log").read_bytes()
    assert log.startswith(b"the first line\n")
    assert log.endswith(b"x\nthe last line\n")
    total = 100_000_000 + len("the first line\nthe last line\n")
    assert f"--- {total - 1_000_000:,} bytes were left out here ---".encode() in log
    assert len(log) < 1_000_100


def test_nothing_written_makes_no_log(local: Any, tmp_path: Path) -> None:
    local.code("def job(task): ...")
    local.run("jobs.py:job", log_path=tmp_path / "logs" / "log")
    assert not (tmp_path / "logs").exists()


def test_each_attempt_s_words_are_in_its_own_log(local: Any, tmp_path: Path) -> None:
    local.code("""
import os, subprocess, sys
def job(task):
    sys.stdout.write(f"out {task.attempt} ")  # no end of line: it must not slip into the next attempt
    sys.stderr.write(f"err {task.attempt} ")
    subprocess.run(["printf", f"child {task.attempt} "])
""")
    for attempt in (1, 2):
        local.run("jobs.py:job", attempt=attempt, log_path=tmp_path / str(attempt))
        words = (tmp_path / str(attempt)).read_text()
        assert sorted(words.split()) == sorted(["out", "err", "child", *[str(attempt)] * 3])


def test_a_job_that_is_killed_has_said_what_it_said(local: Any, tmp_path: Path) -> None:
    local.code(
        "import os, signal\ndef job(task):\n    print('reached here')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    failed = local.run("jobs.py:job", log_path=tmp_path / "log")
    assert failed.tail == "reached here"
    assert (tmp_path / "log").read_text() == "reached here\n"


def test_a_full_disk_under_the_log_does_not_stop_the_job(local: Any) -> None:
    local.code(
        "def job(task):\n    print('said')\n    return 1\ndef bad(task):\n    print('said')\n    1 / 0"
    )
    assert local.run("jobs.py:job", log_path=Path("/dev/full")).output == "1"
    failed = local.run("jobs.py:bad", log_path=Path("/dev/full"))
    assert failed.message == (
        "ZeroDivisionError: division by zero (its log is incomplete: /dev/full: No space left on device)"
    )
    assert failed.tail.startswith("said\n")


def test_a_log_folder_that_cannot_be_made_does_not_stop_the_job(local: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    local.code("def job(task):\n    print('said')\n    1 / 0")
    failed = local.run("jobs.py:job", log_path=tmp_path / "file" / "log")
    assert failed.failure is Failure.ERROR
    assert os.strerror(errno.ENOTDIR) in failed.message or os.strerror(errno.EEXIST) in failed.message
    assert failed.tail.startswith("said\n")


def test_text_that_is_no_utf_8_does_not_stop_the_job(local: Any) -> None:
    local.code(
        "import os\ndef job(task):\n    print('\\ud800')\n    os.write(1, b'\\xff\\x00\\x1b[31mred\\n')\n    1 / 0"
    )
    tail = local.run("jobs.py:job").tail
    assert tail.startswith("\\ud800\n�red\n")


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    limit=st.integers(min_value=0, max_value=1_000),
)
def test_a_log_is_the_whole_or_its_two_ends(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = AttemptLog(path, limit)
    for piece in pieces:
        log.write(piece)
    log.close()
    whole = b"".join(pieces)
    kept = path.read_bytes() if path.exists() else b""
    if len(whole) <= limit:
        assert kept == whole
        return
    end = limit // 2
    mark = f"\n--- {len(whole) - limit:,} bytes were left out here ---\n".encode()
    assert kept == whole[: limit - end] + mark + (whole[-end:] if end else b"")


def test_last_lines_are_few_and_the_last() -> None:
    log = AttemptLog(None, 10_000_000)
    log.write(b"".join(b"%d\r\n" % i for i in range(100_000)))
    lines = log.last_lines().splitlines()
    assert lines == [str(i) for i in range(100_000 - TAIL_LINES, 100_000)]


def test_a_long_log_is_not_held_in_memory(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "log", 10_000_000)
    for _ in range(100):
        log.write(b"x" * 200_000)
    assert len(log._recent) <= 2 * END_BYTES
    log.close()
    assert (tmp_path / "log").stat().st_size < 10_000_100
