"""`prometheus data fetch`: all that a night reads, with a word on what cannot be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prometheus.cli.main import app
from prometheus.core.settings import load_settings
from prometheus.data_ingestion.packs import shelf
from prometheus.data_ingestion.reference import PANEL, fetch_reference


@pytest.fixture
def mirror(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the panel and one pack only."""
    user = load_settings()
    folder = own_home / "mirror"
    folder.mkdir()
    for pack in (PANEL, shelf.ARCH):
        files = fetch_reference(user.cache, user.data_mirror, pack=pack)
        for name in pack.members:
            shutil.copyfile(files.path(name), folder / name)
    monkeypatch.setenv("PROMETHEUS_DATA_MIRROR", str(folder))
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(own_home / "cache"))
    return folder


def test_a_pack_that_cannot_be_had_is_named_and_the_others_are_there(mirror: Path) -> None:
    done = CliRunner().invoke(app, ["data", "fetch", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["package"], told["fetched"], len(told["files"])) == ("cvxportfolio", True, 3)
    by_name = {each["package"]: each for each in told["packs"]}
    assert len(by_name) == len(shelf.USED_BY_DEFAULT) - 1
    assert by_name["arch"]["fetched"]
    assert "treasury_curves.csv" in by_name["zipline-reloaded"]["error"]


def test_without_the_panel_it_fails(mirror: Path) -> None:
    (mirror / "sigmas.csv.gz").unlink()
    done = CliRunner().invoke(app, ["data", "fetch"])
    assert done.exit_code != 0
