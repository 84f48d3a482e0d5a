"""The page on pipelines says what the code does: its tables are compared with the code's."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus.pipelines.building import OPTIONS
from prometheus.pipelines.defaults import COST_DEFAULTS, KIND_DEFAULTS
from prometheus.pipelines.moments import duration_text
from prometheus.pipelines.reading import FORMS, parse


def rows(project: Path, heading: str) -> list[list[str]]:
    """Cells of the table under the first line that begins with `heading`."""
    text = (project / "docs" / "pipelines.md").read_text().partition(f"\n{heading}")[2]
    lines = text.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_s_words_are_words_of_the_language(project: Path) -> None:
    written = [text for row in rows(project, "| written") for text in re.findall(r"`([^`]+)`", row[0])]
    assert len(written) >= 9
    for text in written:
        parse(text.strip('"') if text.startswith('"') else text)
    assert all(any(text.startswith(name) for text in written) for name in FORMS)


def test_the_page_lists_every_option(project: Path) -> None:
    listed = [name for row in rows(project, "| option") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(listed) == sorted(OPTIONS)


def test_the_page_s_defaults_are_the_code_s(project: Path) -> None:
    expected = [
        [
            f"`{kind}`",
            f"`{of.cost}`",
            str(of.tier),
            str(of.retries),
            duration_text(of.backoff_us),
            duration_text(of.timeout_us).replace("60min", "1h"),
            duration_text(of.typical_us),
        ]
        for kind, of in KIND_DEFAULTS.items()
    ]
    assert rows(project, "| kind") == expected
    assert {cost: (of.cpu, of.gpu, of.memory) for cost, of in COST_DEFAULTS.items()} == {
        "io": (0.5, 0, "512MB"),
        "cpu": (1, 0, "512MB"),
        "gpu": (1, 1, "512MB"),
    }
