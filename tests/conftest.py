"""What every test shares: one thread for numeric libraries, nobody's own settings, one Hypothesis profile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before numpy is first imported: two BLAS threads on two busy cores cost more than they bring.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

# Settings of the person at the keyboard must not reach a test. A mirror of the reference data only says where equal
# bytes lie, so it stays.
for _name in [name for name in os.environ if name.startswith("PROMETHEUS_")]:
    if _name not in {"PROMETHEUS_DATA_MIRROR", "PROMETHEUS_DATA_CACHE"}:
        del os.environ[_name]

# Nor does the size of a window: output that goes to no terminal has a width of its own. (xdist's workers are told 80.)
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# "ci" gives the same examples everywhere, so a red build is red for everyone; "deep" (make proof) looks for new ones.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
)
settings.register_profile(
    "deep",
    max_examples=2_000,
    stateful_step_count=80,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory whose `.prometheus` is its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / ".prometheus"))
    return tmp_path


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the source tree."""
    return Path(__file__).parents[1]
