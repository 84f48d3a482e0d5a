"""Start-up stays light: what is loaded is asked of a fresh interpreter, not read from the source."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "alembic",
    "clarabel",
    "cvxpy",
    "dataframely",
    "deltalake",
    "fastapi",
    "hmmlearn",
    "jinja2",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "ray",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}

REPORT = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def roots_loaded_after(code: str) -> set[str]:
    """The top-level packages in memory once `code` has run in an interpreter of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    """Code that runs the command line in-process and goes on when it exits well."""
    return (
        "import sys\n"
        "from prometheus.cli.main import main\n"
        f"sys.argv = ['prometheus', *{list(arguments)!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code in (0, None), end.code\n"
    )


def test_the_check_itself_sees_a_heavy_library() -> None:
    assert HEAVY & roots_loaded_after("import sqlalchemy")


@pytest.mark.parametrize(
    "code",
    [
        "import prometheus",
        "import prometheus.core.time",
        "import prometheus.pipelines",
        "import prometheus.scheduler",
        command("--help"),
        command("run", "--help"),
    ],
    ids=["package", "calendars", "pipelines", "scheduler", "help", "run-help"],
)
def test_starting_loads_no_heavy_library(code: str) -> None:
    assert not HEAVY & roots_loaded_after(code)


def test_the_package_alone_loads_nothing_of_ours_or_of_others() -> None:
    fresh = roots_loaded_after("pass")
    assert roots_loaded_after("import prometheus") - fresh == {"prometheus"}
