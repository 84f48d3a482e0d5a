"""The page on what-if: what its commands print and draw, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import as_printed, blocks, words_of
from typer.testing import CliRunner

from prometheus.cli.main import app

WIDE = {"COLUMNS": "118"}


@pytest.fixture
def page(own_home: Path, project: Path) -> Path:
    """The page, in a folder with the night that its Python makes; what that asks then is left to the test of all pages."""
    found = project / "docs" / "whatif.md"
    (code,) = blocks(found, "python")
    exec(compile(code.partition("from prometheus.")[0], "whatif.md", "exec"), {})  # our own page
    assert (own_home / "night.json").is_file()
    return found


@pytest.mark.parametrize(("place", "picture"), [(0, "whatif.svg"), (1, "sweep.svg")])
def test_a_command_of_the_page_prints_and_draws_what_the_page_shows(
    page: Path, own_home: Path, place: int, picture: str
) -> None:
    result = CliRunner().invoke(app, words_of(blocks(page, "sh")[place]), env=WIDE)
    assert result.exit_code == 0, result.stderr
    assert as_printed(result.stdout) == blocks(page, "text")[place]
    assert (own_home / picture).read_text() == (page.parent / "pictures" / picture).read_text()
