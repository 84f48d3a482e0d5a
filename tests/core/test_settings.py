"""Settings: file, then variables, then flags; and errors that name the culprit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prometheus.core.errors import SettingsError
from prometheus.core.settings import VARIABLES, Settings, load_settings


def test_later_sources_win(tmp_path: Path) -> None:
    (tmp_path / "prometheus.toml").write_text('seed = 1\n[web]\nport = 1\n[ledger]\nurl = "sqlite:///a.db"\n')
    settings = load_settings(tmp_path, {"PROMETHEUS_WEB_PORT": "2", "PROMETHEUS_SEED": "2"}, {("seed",): 3})
    assert (settings.seed, settings.web.port, settings.ledger_url) == (3, 2, "sqlite:///a.db")


def test_a_worker_given_the_environment_sees_the_same_stores(tmp_path: Path) -> None:
    ours = load_settings(tmp_path, {"PROMETHEUS_HOME": "desk", "PROMETHEUS_DATA_MIRROR": "mirror"})
    theirs = load_settings(tmp_path / "elsewhere", ours.environment())
    for name in ("home", "historical_path", "runtime_url", "data_mirror", "cache"):
        assert getattr(theirs, name) == getattr(ours, name), name
    assert ours.home == tmp_path / "desk"


def test_variables_that_clusters_inject_are_ignored(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"PROMETHEUS_SERVICE_HOST": "10.0.0.1", "PROMETHEUS_PORT": "tcp://x"}) == (
        load_settings(tmp_path, {})
    )


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("[web]\nport = 99999\n", {}, ["web.port", "prometheus.toml", "99999"]),
        ("", {"PROMETHEUS_WEB_PORT": "x"}, ["web.port", "PROMETHEUS_WEB_PORT", "'x'"]),
        ("[wbe]\nport = 1\n", {}, ["wbe", "prometheus.toml"]),
        ("web = 3\n", {"PROMETHEUS_WEB_PORT": "1"}, ["web", "[web]"]),
        ("not toml", {}, ["prometheus.toml", "not valid TOML"]),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, environ: dict[str, str], words: list[str]
) -> None:
    (tmp_path / "prometheus.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ)
    for word in words:
        assert word in str(caught.value)


def test_the_page_lists_every_variable_and_its_file_is_accepted(project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "settings.md").read_text()
    listed = dict(re.findall(r"^\| `(PROMETHEUS_\w+)` \| `([\w.]+)` \|$", page, re.MULTILINE))
    assert listed == {variable: ".".join(path) for variable, path in VARIABLES.items()}
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "prometheus.toml").write_text(example)
    settings = load_settings(tmp_path, {})
    sections = set(re.findall(r"^\[(\w+)[.\w]*\]|^(\w+) =", example, re.MULTILINE))
    shown = {name for pair in sections for name in pair if name}
    assert set(Settings.model_fields) - shown == {"markets", "overrides", "auth"}  # come with their own pages
    assert settings.resources.pools == {"db": 4}
