"""Python jobs in local workers: what they are given, what they may return, and what the next one finds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.demand import Demand
from prometheus.core.sources import hash_of_sources
from prometheus.executors.contract import Began, Checkpointed, Failed, Succeeded
from prometheus.scheduler.events import Failure


def output(fact: Any) -> Any:
    assert isinstance(fact, Succeeded), fact
    return json.loads(fact.output)


# What a job is given


def test_a_task_tells_a_job_what_it_is_about(local: Any) -> None:
    local.code("""
def job(task):
    return [task.session.isoformat(), task.market, task.name, task.run_id, task.task_id, task.attempt, task.mode,
            task.pin, dict(task.params), task.resume]
""")
    fact = local.run(
        "jobs.py:job", task="prices", attempt=3, mode="reduced", params='{"window":60}', resume='{"at":7}'
    )
    assert output(fact) == [
        *("2024-03-01", "US_EQ", "prices", "night.2024-03-01", "prices", 3, "reduced", "pin"),
        {"window": 60},
        {"at": 7},
    ]


def test_params_cannot_be_changed(local: Any) -> None:
    local.code("def job(task):\n    task.params['window'] = 1")
    assert local.run("jobs.py:job", params='{"window":60}').message.startswith("TypeError: 'mappingproxy'")


def test_outputs_of_upstream_jobs_are_found_by_name_and_by_function(local: Any) -> None:
    local.code("def fetch(task): ...\ndef job(task):\n    return [task.output('fetch'), task.output(fetch)]")
    fact = local.run("jobs.py:job", outputs={"fetch": '{"rows":5}'}, job_names={"fetch": "fetch"})
    assert output(fact) == [{"rows": 5}, {"rows": 5}]


def test_asking_for_the_output_of_a_job_that_is_not_upstream_says_how_to_declare_it(local: Any) -> None:
    local.code("def job(task):\n    return task.output('prices')")
    failed = local.run("jobs.py:job", outputs={"fetch": "1"})
    assert failed.failure is Failure.ERROR
    assert "'prices', which is not upstream" in failed.message
    assert "Allowed: fetch. Hint: declare it: after=['prices']" in failed.message


def test_a_task_s_calendar_is_pinned_to_what_was_known(local: Any) -> None:
    local.code("""
from datetime import date
def job(task):
    return task.calendar().is_trading_day(date(2025, 1, 9))
""")
    before, after = 1_733_011_200_000_000, 1_738_368_000_000_000  # 2024-12-01 and 2025-02-01, UTC
    assert output(local.run("jobs.py:job", attempt=1, known_at_us=before)) is True
    assert output(local.run("jobs.py:job", attempt=2, known_at_us=after)) is False


def test_a_task_s_calendar_sees_the_overrides_of_its_run(local: Any) -> None:
    from datetime import UTC, date, datetime

    from prometheus.core.calendar_overrides import Override
    from prometheus.core.time import CalendarBook

    closed = Override(
        "XNYS", date(2024, 3, 4), "closed", "storm", "the exchange", datetime(2024, 3, 1, tzinfo=UTC)
    )
    local.code("""
from datetime import date
from prometheus.core.time import TradingCalendar
def job(task):
    day = date(2024, 3, 4)
    return [task.calendar("XNYS").is_trading_day(day), TradingCalendar("US_EQ").is_trading_day(day)]
""")
    book = CalendarBook().with_overrides(closed).to_json()
    assert output(local.run("jobs.py:job", attempt=1, overrides=book)) == [False, False]
    assert output(local.run("jobs.py:job", attempt=2)) == [True, True]


def test_checkpoints_nobody_has_seen_are_told_once_with_the_latest_state(local: Any) -> None:
    local.code("def job(task):\n    for i in range(1000):\n        task.checkpoint(i)")
    launch = local.start("jobs.py:job")
    local.end(launch)
    states = [int(fact.state) for fact in local.of(launch) if isinstance(fact, Checkpointed)]
    assert states == sorted(set(states))
    assert states[-1] == 999


# What a job returns or raises


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return float('nan')", "no JSON value: Out of range float values"),
        ("return object()", "no JSON value: Object of type object"),
        ("a = []; a.append(a); return a", "no JSON value: Circular reference"),
        ("return 'x' * 300_000", "300,002 bytes of JSON, at most 262,144 are kept"),
        ("task.checkpoint(float('inf'))", "the state of a checkpoint is no JSON value"),
        ("import sys; sys.exit(0)", "the job called sys.exit(0)"),
        ("import os; os._exit(3)", "exit code 3 before the job had returned"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            "class Odd(Exception):\n        def __str__(self): return 1/0\n    raise Odd",
            "Odd: (its text cannot be made)",
        ),
    ],
)
def test_an_end_that_is_no_success_is_an_error_that_says_why(local: Any, body: str, message: str) -> None:
    local.code(f"def job(task):\n    {body}")
    failed = local.run("jobs.py:job")
    assert failed.failure is Failure.ERROR
    assert message in failed.message


@pytest.mark.parametrize(
    "body",
    [
        "from prometheus.core.outcomes import TryAgain; raise TryAgain('no file yet')",
        "import sys; sys.exit(75)",
        "import os; os._exit(75)",
    ],
)
def test_a_job_can_say_that_it_is_too_early(local: Any, body: str) -> None:
    local.code(f"def job(task):\n    {body}")
    assert local.run("jobs.py:job").failure is Failure.TRY_AGAIN


def test_the_tail_of_a_failure_shows_the_user_s_frames_alone(local: Any) -> None:
    local.code("def inner():\n    return 1 / 0\n\ndef job(task):\n    print('so far so good')\n    inner()\n")
    failed = local.run("jobs.py:job")
    assert failed.message == "ZeroDivisionError: division by zero"
    assert failed.tail.startswith("so far so good\nTraceback (most recent call last):\n")
    assert [line for line in failed.tail.splitlines() if "File" in line] == [
        f'  File "{local.folder}/jobs.py", line 6, in job',
        f'  File "{local.folder}/jobs.py", line 2, in inner',
    ]


# Code that cannot begin


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("jobs.py:missing", "jobs.py has no 'missing'"),
        ("other.py:job", "other.py is not among the stored sources"),
        ("jobs.py:value", "is int, not a function"),
        ("jobs.py", "is neither file.py:function nor package.module:function"),
        ("broken.py:job", "broken.py cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("nowhere.at_all:job", "nowhere.at_all cannot be imported: ModuleNotFoundError"),
        ("exits.py:job", "exits.py ended with sys.exit(2) while it was imported"),
        ("unparsable.py:job", "unparsable.py cannot be imported: SyntaxError"),
    ],
)
def test_code_that_cannot_be_found_is_refused(local: Any, target: str, message: str) -> None:
    local.code("value = 1\ndef job(task): ...")
    local.code("import nowhere", "broken.py")
    local.code("import sys; sys.exit(2)", "exits.py")
    local.code("def job(:", "unparsable.py")
    failed = local.run(target)
    assert failed.failure is Failure.REFUSED
    assert message in failed.message


def test_an_import_error_shows_its_traceback(local: Any) -> None:
    local.code("import nowhere", "broken.py")
    assert local.run("broken.py:job").tail.endswith("ModuleNotFoundError: No module named 'nowhere'")


def test_sources_are_run_only_if_they_are_the_stored_ones(local: Any) -> None:
    local.code("from helper import ANSWER\ndef job(task):\n    return ANSWER")
    local.code("ANSWER = 42", "helper.py")
    stored = hash_of_sources((path.name, path.read_bytes()) for path in local.folder.glob("*.py"))
    assert output(local.run("jobs.py:job", attempt=1, source_hash=stored)) == 42
    assert (
        output(local.run("jobs.py:job", attempt=2, source_hash=stored, pin="other")) == 42
    )  # with its __pycache__
    local.code("ANSWER = 43", "helper.py")
    failed = local.run("jobs.py:job", attempt=3, source_hash=stored, pin="a third")
    assert failed.failure is Failure.REFUSED
    assert "they were changed after they were stored" in failed.message


def test_unreadable_or_missing_sources_are_refused(local: Any, tmp_path: Path) -> None:
    failed = local.run("jobs.py:job", source_hash="0" * 64, code_dir=tmp_path / "gone")
    assert failed.failure is Failure.REFUSED
    assert "are gone" in failed.message
    (local.folder / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    failed = local.run("jobs.py:job", attempt=2, source_hash="0" * 64)
    assert "cannot be read" in failed.message


def test_a_missing_working_directory_is_refused(local: Any, tmp_path: Path) -> None:
    local.code("def job(task): ...")
    failed = local.run("jobs.py:job", directory=tmp_path / "gone")
    assert failed.failure is Failure.REFUSED
    assert "gone cannot be entered: No such file or directory" in failed.message


def test_two_files_of_one_name_in_two_folders_are_two_modules(local: Any) -> None:
    for name in ("a", "b"):
        (local.folder / name).mkdir()
        local.code(f"def job(task):\n    return {name!r}", f"{name}/jobs.py")
    assert [output(local.run(f"{name}/jobs.py:job")) for name in ("a", "b")] == ["a", "b"]


# What the next job finds

PID = "import os, threading, subprocess, signal, sys\ndef pid(task):\n    return os.getpid()\n"


def test_equal_attempts_share_a_warm_worker(local: Any) -> None:
    local.code(PID)
    assert output(local.run("jobs.py:pid", attempt=1)) == output(local.run("jobs.py:pid", attempt=2))


@pytest.mark.parametrize(
    "more",
    [
        {"pin": "another"},
        {"demand": Demand(cpu_milli=2_000)},
        {"environment": {"DESK": "x"}},
        {"directory": Path("/")},
        {"memory_limit_mib": 1_000},
        {"demand": Demand(gpu_milli=500)},
    ],
    ids=str,
)
def test_attempts_that_differ_in_their_surroundings_do_not(local: Any, more: dict[str, Any]) -> None:
    local.code(PID)
    assert output(local.run("jobs.py:pid", attempt=1)) != output(local.run("jobs.py:pid", attempt=2, **more))


def test_jobs_with_a_memory_limit_always_get_a_fresh_process(local: Any) -> None:
    local.code(PID)
    pids = [output(local.run("jobs.py:pid", attempt=i, memory_limit_mib=1_000)) for i in (1, 2)]
    assert pids[0] != pids[1]


def test_no_more_workers_are_kept_warm_than_allowed(
    make_local: Callable[..., Any], ended: Any, alive: Any
) -> None:
    local = make_local(idle_workers=1)
    local.code(PID)
    first = output(local.run("jobs.py:pid", attempt=1))
    second = output(local.run("jobs.py:pid", attempt=2, pin="another"))
    assert ended(first)
    assert alive(second)


@pytest.mark.parametrize(
    "body",
    [
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "threading.Thread(target=threading.Event().wait).start()",
        "subprocess.Popen(['sleep', '1000'])",
        "sys.stdout.close()",
        "os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
    ],
)
def test_a_worker_that_is_left_unclean_is_not_used_again(local: Any, ended: Any, body: str) -> None:
    local.code(PID + f"def job(task):\n    {body}\n    return os.getpid()")
    first = output(local.run("jobs.py:job"))
    assert output(local.run("jobs.py:pid")) != first
    assert ended(first)


def test_a_job_finds_environment_directory_and_umask_as_the_first_one_did(local: Any, tmp_path: Path) -> None:
    local.code("""
import os, signal
def look(task):
    umask = os.umask(0); os.umask(umask)
    return [os.getpid(), dict(os.environ), os.getcwd(), umask]
def spoil(task):
    os.environ["HOME"] = "/nowhere"; os.environ["NEW"] = "1"; del os.environ["PATH"]
    os.chdir("/"); os.umask(0o777)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
""")
    before = output(local.run("jobs.py:look", attempt=1, directory=tmp_path))
    local.run("jobs.py:spoil", directory=tmp_path)
    assert output(local.run("jobs.py:look", attempt=2, directory=tmp_path)) == before
    assert before[2] == str(tmp_path)


def test_numeric_libraries_get_as_many_threads_as_the_demand_has_cores(local: Any) -> None:
    local.code("import os\nSEEN = os.environ['OMP_NUM_THREADS']\ndef job(task):\n    return SEEN")
    assert output(local.run("jobs.py:job", attempt=1, demand=Demand(cpu_milli=500))) == "1"
    assert output(local.run("jobs.py:job", attempt=2, demand=Demand(cpu_milli=3_500))) == "3"
    own = {"OMP_NUM_THREADS": "7"}
    assert output(local.run("jobs.py:job", attempt=3, environment=own)) == "7"


def test_a_job_sees_only_its_devices(local: Any) -> None:
    local.code("import os\ndef job(task):\n    return os.environ['CUDA_VISIBLE_DEVICES']")
    assert output(local.run("jobs.py:job", demand=Demand(gpu_milli=2_000), devices=(1, 3))) == "1,3"


def test_a_worker_holds_nothing_of_ours_before_the_job_imports_it(local: Any) -> None:
    local.code("import sys\ndef job(task):\n    return sorted(sys.modules)")
    loaded = output(local.run("jobs.py:job"))
    assert not {"pydantic", "sqlalchemy", "typer", "numpy", "asyncio", "subprocess"} & set(loaded)
    ours = {name for name in loaded if name.startswith("prometheus")} - {"prometheus_job_jobs"}
    assert all(name == "prometheus" or name.startswith("prometheus.executors") for name in ours), ours


def test_a_worker_s_attempts_run_at_the_same_time_as_another_s(local: Any, tmp_path: Path) -> None:
    local.code(f"""
import os
def job(task):
    mine, other = (f"{tmp_path}/{{name}}" for name in (task.name, "ab"[task.name == "a"]))
    os.mkfifo(mine) if not os.path.exists(mine) else None
    return open(mine, "w").write("x") if task.name == "a" else open(f"{tmp_path}/a").read()
""")
    os.mkfifo(tmp_path / "a")  # opening waits for the other side: neither ends unless both run
    launches = [local.start("jobs.py:job", task=name) for name in ("a", "b")]
    assert [output(local.end(launch)) for launch in launches] == [1, "x"]


def test_processor_time_and_peak_memory_are_of_the_attempt_alone(local: Any) -> None:
    local.code("""
def big(task):
    return len(bytearray(200 << 20))
def busy(task):
    for _ in range(3_000_000): pass
""")
    big, busy = local.run("jobs.py:big"), local.run("jobs.py:busy")
    assert big.peak_mib >= 200
    assert busy.peak_mib < 100
    assert busy.cpu_us > 10_000
    again = local.run("jobs.py:big", attempt=2)
    assert again.cpu_us < busy.cpu_us + big.cpu_us


def test_an_attempt_without_code_folder_runs_installed_code(local: Any) -> None:
    fact = local.run("json:dumps", code_dir=None)
    assert isinstance(fact, Failed)
    assert fact.message == "TypeError: Object of type WorkerTask is not JSON serializable"
    assert isinstance(local.seen[0], Began)
