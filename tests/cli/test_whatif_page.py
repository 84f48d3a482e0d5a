"""The page on what-if: its night, its commands and its pictures belong together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from prometheus.cli.main import app

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def night(own_home: Path, project: Path) -> dict[str, object]:
    """The night that the page's Python makes; what it then asks of it is left to the test of all pages."""
    (code,) = [
        body
        for kind, body in FENCED.findall((project / "docs" / "whatif.md").read_text())
        if kind == "python"
    ]
    made, _, _ = code.partition("from prometheus.")
    exec(compile(made, "whatif.md", "exec"), {})  # our own page
    read: dict[str, object] = json.loads((own_home / "night.json").read_text())
    return read


def test_the_page_s_commands_tell_what_it_shows(night: dict[str, object], project: Path) -> None:
    page = (project / "docs" / "whatif.md").read_text()
    shown = "\n".join(body for kind, body in FENCED.findall(page) if kind == "text")
    words = ["whatif", "--workload", "night.json", "--samples", "20"]
    for more in (["--cpu", "3", "--slower", "*.feature.*=1.3"], ["--sweep", "cpu=3..4"]):
        result = CliRunner().invoke(app, [*words, *more], env={"COLUMNS": "118"})
        assert result.exit_code == 0, result.stderr
        told = [line.split() for line in result.stdout.splitlines()]
        headings = [line for line in told if line[:2] in (["promise", "tier"], ["size", "nights"])]
        assert headings
        for line in headings:
            assert line in [one.split() for one in shown.splitlines()]


@pytest.mark.parametrize(("name", "title"), [("whatif", "What if"), ("sweep", "How many cores?")])
def test_the_page_s_pictures_are_of_its_night(
    night: dict[str, object], project: Path, name: str, title: str
) -> None:
    root = ET.fromstring((project / "docs" / "pictures" / f"{name}.svg").read_text())
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert title in words
    tasks = night["tasks"]
    assert isinstance(tasks, list)
    promised = [task["id"] for task in tasks if task.get("deadline_s")]
    assert promised == ["london.decisions", "new_york.decisions"]
    assert set(promised) <= set(words)
