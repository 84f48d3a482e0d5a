"""Loading: a user's file runs in a process of its own, and only data comes back."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prometheus.core.errors import DeclarationError, StoreError, UserError
from prometheus.core.settings import Settings
from prometheus.core.sources import hash_of_sources
from prometheus.orchestrator.loading import LoadedPipeline, load_pipeline, shipped_names
from prometheus.orchestrator.pinning import environment_lock, hash_of_rooms, pin_of
from prometheus.pipelines.model import FaultsError, function_names

GOOD = """
from prometheus.pipelines import Pipeline, session

prices = Pipeline("us_prices", market="US_EQ", start=session.close + "30min")

@prices.job(kind="ingestion")
def fetch(task):
    return {"rows": 500}

@prices.job(after=[fetch])
def returns(task): ...

prices.slo("ready", by="D+1 00:00 UTC")
"""


class Desk:
    """A user's folder and a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "user"
        self.folder.mkdir()
        self.settings = Settings(home=folder / "home")

    def write(self, text: str, name: str = "mine.py") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self, text: str | None = None, name: str = "mine.py", variable: str = "", **options: float
    ) -> LoadedPipeline:
        path = self.folder / name if text is None else self.write(text, name)
        return load_pipeline(f"{path}:{variable}" if variable else str(path), self.settings, **options)

    def fault(self, text: str, **options: float) -> DeclarationError:
        with pytest.raises(DeclarationError) as caught:
            self.load(text, **options)
        assert os.listdir(self.settings.home / "code") == []  # nothing half-made is left
        return caught.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def stored(loaded: LoadedPipeline) -> dict[str, bytes]:
    assert loaded.code_dir is not None
    return {
        path.relative_to(loaded.code_dir).as_posix(): path.read_bytes()
        for path in loaded.code_dir.rglob("*")
        if path.is_file()
    }


def test_a_file_becomes_a_spec_a_stored_copy_and_a_pin(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    loaded = desk.load(GOOD)
    assert [job.target for job in loaded.spec.jobs] == ["mine.py:fetch", "mine.py:returns"]
    assert function_names(loaded.spec) == {"fetch": "fetch", "returns": "returns"}
    assert loaded.code_dir == desk.settings.home / "code" / loaded.source_hash
    assert stored(loaded) == {"mine.py": GOOD.encode()}
    assert loaded.source_hash == hash_of_sources([("mine.py", GOOD.encode())])
    assert loaded.pin == pin_of(loaded.spec, loaded.source_hash)
    assert loaded.folder == desk.folder
    assert loaded.origin == f"{desk.folder / 'mine.py'}:prices"
    assert os.listdir(desk.settings.home / "code") == [loaded.source_hash]
    assert sorted(os.listdir(desk.folder)) == ["mine.py"]  # no bytecode beside the user's file


def test_the_same_file_gives_the_same_pin_and_a_changed_one_another(desk: Desk) -> None:
    first, again = desk.load(GOOD), desk.load(GOOD)
    assert first == again
    commented = desk.load(GOOD + "\n# a word\n")
    assert commented.spec == first.spec
    assert commented.source_hash != first.source_hash
    assert commented.pin != first.pin
    assert pin_of(replace(first.spec, description="x"), first.source_hash) != first.pin


PRINT_PIN = (
    "import sys; from pathlib import Path; from prometheus.core.settings import Settings; "
    "from prometheus.orchestrator.loading import load_pipeline; "
    "print(load_pipeline(sys.argv[1], Settings(home=Path(sys.argv[2]))).pin)"
)


def test_the_pin_covers_the_installed_packages(desk: Desk, project: Path) -> None:
    path = desk.write(GOOD)

    def pin_beside(*packages: str) -> bytes:
        installed = desk.folder.parent / "-".join(["with", *packages])
        for package in packages:
            (installed / f"{package}.dist-info").mkdir(parents=True)
        return subprocess.run(
            [sys.executable, "-c", PRINT_PIN, str(path), str(desk.settings.home)],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{project}{os.pathsep}{installed}"},
        ).stdout

    assert pin_beside().strip() == desk.load().pin.encode()
    assert len({pin_beside(), pin_beside("some_vendor-1.0"), pin_beside("some_vendor-1.1")}) == 3
    lock = environment_lock()
    assert any(line.startswith("pydantic-2") for line in lock)
    assert f"python-{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}" in lock


def test_modules_below_the_folder_are_copied_too_and_others_are_not(desk: Desk) -> None:
    desk.write("VALUE = 1", "steps/__init__.py")
    desk.write("from . import deep\nfrom .sub.inner import thing\ndef run(task): ...", "steps/load.py")
    desk.write("", "steps/deep.py")
    desk.write("", "steps/sub/__init__.py")
    desk.write("thing = 1", "steps/sub/inner.py")
    desk.write("def later(): ...", "lazily.py")
    desk.write("def fit(task): ...", "models.py")
    desk.write("cat(1)", "risk.R")
    desk.write("no part of it", "unrelated.py")
    desk.write("", "venv/lib/site-packages/library.py")
    loaded = desk.load(
        """
import json, sys
sys.path.append(__file__.rpartition("/")[0] + "/venv/lib/site-packages")
import library
from prometheus.pipelines import Pipeline
from steps.load import run
p = Pipeline("p", market="US_EQ")
p.add(run)
@p.job
def lazy(task):
    import lazily
p.add("models:fit")
p.add(["Rscript", "risk.R", "--fast", "missing.txt", "/etc/passwd"], name="risk")
p.add("steps/deep.py:anything")
"""
    )
    assert sorted(stored(loaded)) == [
        "lazily.py",
        "mine.py",
        "models.py",
        "risk.R",
        "steps/__init__.py",
        "steps/deep.py",
        "steps/load.py",
        "steps/sub/__init__.py",
        "steps/sub/inner.py",
    ]
    assert [job.target for job in loaded.spec.jobs][:3] == ["steps.load:run", "mine.py:lazy", "models:fit"]
    desk.write("def later(): return 2", "lazily.py")
    assert desk.load().pin != loaded.pin


def test_a_variable_may_be_left_out_where_there_is_one_pipeline(desk: Desk) -> None:
    two = GOOD + '\nother = Pipeline("other", market="US_EQ")\nother.add(fetch)\n'
    assert desk.load(two, variable="other").spec.name == "other"
    assert desk.load(GOOD + "\nalias = prices\n").spec.name == "us_prices"
    with pytest.raises(
        UserError, match=r"2 pipelines.*prices \('us_prices'\), other \('other'\).*mine.py:prices"
    ):
        desk.load(two)
    with pytest.raises(UserError, match=r"'price' does not exist.*did you mean 'prices'"):
        desk.load(two, variable="price")
    with pytest.raises(UserError, match="'fetch' is no Pipeline"):
        desk.load(two, variable="fetch")
    with pytest.raises(UserError, match="declares no pipeline"):
        desk.load("x = 1")
    with pytest.raises(UserError, match="no name of a variable"):
        desk.load(GOOD, variable="a b")


def test_what_a_file_prints_and_leaves_running_stays_out_of_the_way(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    loaded = desk.load(
        GOOD
        + """
import subprocess, sys, threading, time
print("noise" * 1000); print("more", file=sys.stderr)
threading.Thread(target=time.sleep, args=(300,)).start()
child = subprocess.Popen(["sleep", "300"])
prices.description = str(child.pid)
"""
    )
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - started < 100  # it did not wait for the thread
    assert has_ended(int(loaded.spec.description))


def has_ended(pid: int) -> bool:
    """Whether the process, which was told to die, is dead; the kernel may need a moment for it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)


def test_every_fault_of_a_file_is_listed(desk: Desk) -> None:
    error = desk.fault(GOOD + '\nprices.add(lambda task: 1)\nprices.add("x:y", tier=9, after="fetsch")\n')
    assert isinstance(error, FaultsError)
    assert len(error.faults) == 3
    assert "line 15" in error.faults[0]
    assert str(desk.folder / "mine.py") in str(error)


@pytest.mark.parametrize(
    ("text", "said", "unsaid"),
    [
        (GOOD + "\nif True\n", "line 15", "Traceback"),
        (GOOD + "\ndef deep():\n    return 1 / 0\ndeep()\n", "ZeroDivisionError", "loader.py"),
        (GOOD + "\ndef deep():\n    return 1 / 0\ndeep()\n", "line 16: ", "frozen"),
        (GOOD + "\nimport no_such_module\n", "No module named 'no_such_module'", "loader.py"),
        (
            GOOD + "\nsession.close + '30 minuets'\n",
            "mine.py, line 15: '30 minuets' is not a duration",
            "File",
        ),
        (GOOD + "\nraise SystemExit(3)\n", "line 15: the file calls sys.exit(3)", "loader.py"),
        (GOOD + "\nraise KeyboardInterrupt\n", "KeyboardInterrupt", "loader.py"),
        (
            GOOD + "\nprint('last words', flush=True)\nimport os; os._exit(4)\n",
            "exit code 4, last saying:",
            "loader.py",
        ),
        (GOOD + "\nprint('last words', flush=True)\nimport os; os._exit(4)\n", "last words", "loader.py"),
        (
            GOOD + "\nimport os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n",
            "killed by SIGSEGV",
            "loader.py",
        ),
        (GOOD + "\ndel fetch\n", "has no function 'fetch'", "loader.py"),
        (GOOD + "\nprices.add('steps/none.py:f')\n", "there is no file 'steps/none.py'", "loader.py"),
        (GOOD + "\nopen(__file__, 'a').write('# more')\n", "changed while it was loaded", "loader.py"),
        ("\0", "mine.py", "loader.py"),
        ("def f(:\n", "not valid Python", "loader.py"),
    ],
)
def test_a_broken_file_is_told_by_its_own_lines(desk: Desk, text: str, said: str, unsaid: str) -> None:
    error = desk.fault(text)
    assert said in str(error)
    assert unsaid not in str(error)


def test_a_file_that_does_not_end_is_stopped(desk: Desk) -> None:
    text = "import os, pathlib, time\npathlib.Path(__file__ + '.pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    error = desk.fault(text, timeout_seconds=3.0)
    assert "still running after 3 s" in str(error)
    assert has_ended(int((desk.folder / "mine.py.pid").read_text()))


def test_file_names_that_are_no_module_names_and_names_of_libraries_work(desk: Desk) -> None:
    assert desk.load(GOOD, name="my pipeline-1.py").spec.jobs[0].target == "my pipeline-1.py:fetch"
    assert desk.load(GOOD, name="json.py").spec.jobs[0].target == "json.py:fetch"
    assert desk.load(GOOD, name="prometheus.py").spec.jobs[0].target == "prometheus.py:fetch"


def test_a_damaged_copy_is_replaced_and_bytecode_beside_it_does_no_harm(desk: Desk) -> None:
    loaded = desk.load(GOOD)
    assert loaded.code_dir is not None
    (loaded.code_dir / "__pycache__").mkdir()
    (loaded.code_dir / "__pycache__" / "mine.pyc").write_bytes(b"x")
    assert desk.load() == loaded
    assert (loaded.code_dir / "__pycache__").exists()
    (loaded.code_dir / "mine.py").write_text("raise SystemExit")
    (loaded.code_dir / "extra.py").write_text("")
    assert desk.load() == loaded
    assert stored(loaded) == {"mine.py": GOOD.encode()}
    assert os.listdir(desk.settings.home / "code") == [loaded.source_hash]


def test_two_loaders_of_one_file_agree(desk: Desk) -> None:
    path = desk.write(GOOD)
    command = [sys.executable, "-c", PRINT_PIN, str(path), str(desk.settings.home)]
    root = str(Path(__file__).parents[2])
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root})
        for _ in range(3)
    ]
    pins = {process.communicate()[0] for process in running}
    assert len(pins) == 1
    assert all(process.returncode == 0 for process in running)
    assert len(os.listdir(desk.settings.home / "code")) == 1


def test_a_home_that_cannot_be_written_is_said(desk: Desk) -> None:
    desk.settings.home.write_text("a file, not a folder")
    with pytest.raises(StoreError, match="PROMETHEUS_HOME"):
        desk.load(GOOD)


def test_names_that_lead_nowhere_say_what_there_is(desk: Desk) -> None:
    names = shipped_names()
    assert {"global_daily", "us_eq_daily", "us_eq_preopen"} <= set(names)
    assert names == sorted(names)
    with pytest.raises(UserError, match=r"us_eq_daily, .*us_eq_preopen.*did you mean 'us_eq_daily'"):
        load_pipeline("us_eq_dayly", desk.settings)
    with pytest.raises(UserError, match=r"path/file.py:variable"):
        load_pipeline("folder/us_eq_daily", desk.settings)
    with pytest.raises(UserError, match=r"no file .*nowhere.py"):
        load_pipeline("nowhere.py:prices", desk.settings)
    with pytest.raises(UserError, match="no pipeline ''"):
        load_pipeline("", desk.settings)


@pytest.mark.parametrize("name", ["us_eq_daily", "us_eq_preopen"])
def test_a_shipped_pipeline_is_pinned_to_the_rooms_it_uses(desk: Desk, name: str) -> None:
    loaded = load_pipeline(name, desk.settings)
    assert (loaded.origin, loaded.code_dir, loaded.folder) == ("shipped", None, None)
    assert loaded == load_pipeline(name, desk.settings)
    assert loaded.source_hash == hash_of_rooms(loaded.spec)
    assert not desk.settings.home.exists()


def test_the_morning_s_pin_does_not_hang_on_the_engines(desk: Desk) -> None:
    night, morning = (load_pipeline(name, desk.settings) for name in ("us_eq_daily", "us_eq_preopen"))
    assert night.source_hash != morning.source_hash


def test_the_first_example_loads(desk: Desk, project: Path) -> None:
    loaded = load_pipeline(str(project / "examples" / "my_first_pipeline.py"), desk.settings)
    assert loaded.spec.name == "my_prices"
    assert [job.target for job in loaded.spec.jobs][-1] == ("echo", "the night is done")
    assert json.loads(loaded.spec.jobs[2].params) == {"limit": 0.05}


def test_the_first_example_runs_to_its_end(desk: Desk, project: Path) -> None:
    example = project / "examples" / "my_first_pipeline.py"
    environ = {**os.environ, "PYTHONPATH": str(project), "PROMETHEUS_HOME": str(desk.settings.home)}
    done = subprocess.run(
        [sys.executable, "-m", "prometheus", "run", str(example), "--session", "2016-06-24", "--json"],
        check=False,
        capture_output=True,
        cwd=desk.folder,
        env=environ,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert [(task["task"], task["state"]) for task in report["tasks"]] == [
        (name, "succeeded") for name in ("fetch", "returns", "verdict", "say_so")
    ]
    assert {slo["state"] for slo in report["slos"]} == {"met"}
