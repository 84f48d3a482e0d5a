"""An engine of the desk's own: chosen by the settings, run in a worker process, recorded, and refused clearly."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prometheus.core.errors import UserError
from prometheus.core.settings import EngineSettings
from prometheus.engines.engine import Engine, choose_engine, implementation_of
from prometheus.orchestrator.loading import load_pipeline
from prometheus.stores.historical import HistoricalDb
from prometheus.stores.runtime import RuntimeDb

NIGHT = """
from prometheus.pipelines import Pipeline, session

night = Pipeline("mine", market="US_EQ", start=session.close + "30min")
night.add("prometheus.engines.jobs:assessment", kind="engine", retries=0)
"""

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def page(project: Path) -> str:
    return (project / "docs" / "your-own-engine.md").read_text()


def block(page: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)
    assert found is not None
    return found[1]


def asker(folder: Path) -> Ask:
    environ = {**os.environ, "PROMETHEUS_HOME": str(folder / ".prometheus")}

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prometheus", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env=environ,
        )

    return ask


def load(text: str, folder: Path, name: str = "assessment") -> Engine:
    path = folder / "mine.py"
    path.write_text(text)
    return choose_engine(name, {name: EngineSettings(use=f"{path}:engine")}).engine


def test_the_engine_of_the_page_has_20_lines_beside_its_imports(page: str) -> None:
    lines = [line for line in block(page, "python").splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import ", "from "))]) <= 20


def test_the_engine_of_the_page_decides_in_the_place_of_the_shipped_one_and_is_pinned(
    page: str, tmp_path: Path, new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home, session = new_home(".prometheus", prices), days[310]
    for name in ("returns", "volatility", "correlations", "regime"):
        home.job(name, session)
    (tmp_path / "mine.py").write_text(NIGHT)
    (tmp_path / "prometheus.toml").write_text(block(page, "toml"))
    ask = asker(tmp_path)
    run = ("run", "mine.py", "--session", session.isoformat())

    # A typing mistake fails the job with the engine's name, file and reason.
    (tmp_path / "trend.py").write_text(block(page, "python").replace("import polars", "import pollars"))
    failed = ask(*run)
    assert failed.returncode == 1
    told = " ".join(failed.stdout.split())
    assert "the assessment engine 'trend.py:engine' cannot be loaded: ModuleNotFoundError" in told

    # Mended, it is other code than the run began with: that is said, and --again begins anew.
    (tmp_path / "trend.py").write_text(block(page, "python"))
    refused = ask(*run)
    assert refused.returncode == 2
    assert "the settings' engines" in refused.stderr
    done = json.loads(ask(*run, "--again", "--json").stdout)
    assert done["state"] == "succeeded"

    (decision,) = home.runtime.decisions(session, "US_EQ", "assessment")
    kept = home.runtime.config(decision["config_id"])["config"]
    digest = hashlib.sha256(block(page, "python").encode()).hexdigest()[:12]
    assert kept == {"earns": 0.002, "use": f"trend.py:engine@{digest}"}
    rows = home.runtime.scores(session, "US_EQ")
    month = home.known(session).read("returns_daily", since=session, columns=["instrument_id", "ret_21d"])
    assert len(rows) == month.drop_nulls().height
    best = month.sort("ret_21d", descending=True, nulls_last=True)["instrument_id"][0]
    assert decision["proposed_action"]["best"] == best
    assert all(row["expected_return"] == pytest.approx(0.002 * row["score"]) for row in rows)


def test_the_example_desk_runs_with_its_own_feature_and_engine_and_says_that_it_is_invented(
    tmp_path: Path, project: Path
) -> None:
    example = tmp_path / "own_desk.py"
    example.write_text((project / "examples" / "own_desk.py").read_text())
    done = json.loads(asker(tmp_path)("run", "own_desk.py", "--session", "2007-06-29", "--json").stdout)
    assert [(task["task"], task["state"]) for task in done["tasks"]] == [
        (name, "succeeded")
        for name in ("ingest_prices", "ingest_volumes", "validate", "returns", "steadiness", "steady")
    ]
    runtime = RuntimeDb(f"sqlite:///{tmp_path / '.prometheus' / 'runtime.db'}")
    session = date(2007, 6, 29)
    (decision,) = runtime.decisions(session)
    assert decision["engine"] == "steady"
    digest = hashlib.sha256(example.read_bytes()).hexdigest()[:12]
    config = runtime.config(decision["config_id"])
    assert config is not None
    assert config["config"] == {"best": 5, "use": f"own_desk.py:score@{digest}"}
    view = HistoricalDb(tmp_path / ".prometheus" / "historical").as_of(session, market="XNYS")
    own = view.read("steadiness_daily", columns=["instrument_id", "steadiness"])
    best = own.sort("steadiness", descending=True)["instrument_id"].to_list()[:5]
    assert decision["proposed_action"] == {"best": best}
    assert all(name.startswith("SYN_") for name in best)


BODY = """from __future__ import annotations
from dataclasses import dataclass
from prometheus.engines.engine import Engine
@dataclass(frozen=True, slots=True)
class Mine:
    days: int = 5
engine = Engine("assessment", Mine, lambda as_of_date, inputs, config: None)
"""


def test_an_engine_in_a_file_may_have_the_usual_dataclass_and_is_read_anew_when_it_changes(
    tmp_path: Path,
) -> None:
    assert load(BODY, tmp_path).config().days == 5
    assert load(BODY.replace("= 5", "= 7"), tmp_path).config().days == 7


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("engine = 3", "is int, not the assessment engine"),
        (BODY.replace('"assessment"', '"risk"'), "is the engine 'risk', not the assessment engine"),
        ("import nowhere", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1", "cannot be loaded: AttributeError"),
        ("raise SystemError('half written')", "cannot be loaded: SystemError: half written"),
    ],
)
def test_an_engine_that_is_none_is_refused_by_name(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(text, tmp_path)
    assert complaint in caught.value.message
    assert "Engine" in (caught.value.allowed or "")


def test_a_file_that_is_not_there_is_named_whole(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no file {tmp_path}/gone.py"):
        choose_engine("assessment", {"assessment": EngineSettings(use=f"{tmp_path}/gone.py:engine")})


def test_an_engine_given_as_a_value_is_known_by_its_file_and_the_file_s_hash() -> None:
    def run(as_of_date: date, inputs: Any, config: Any) -> Any: ...

    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    assert (
        implementation_of(Engine("mine", dict, run)) == f"{Path(__file__).name}:{run.__qualname__}@{digest}"
    )


def test_a_run_is_pinned_to_the_engines_that_the_settings_name(
    tmp_path: Path, user_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(BODY)

    def pin(**engines: EngineSettings) -> str:
        return load_pipeline("us_eq_daily", user_settings.model_copy(update={"engines": engines})).pin

    own = EngineSettings(use="mine.py:engine")
    pins = [pin(), pin(assessment=own), pin(assessment=EngineSettings(config={"prior_months": 12}))]
    (tmp_path / "mine.py").write_text(BODY + "\n")
    pins.append(pin(assessment=own))
    assert len(set(pins)) == 4
    assert pin() == pins[0]
