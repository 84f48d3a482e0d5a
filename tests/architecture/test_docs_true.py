"""README and docs say what is so: commands and flags exist, the Python runs, links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "bench" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in FENCED.findall(page.read_text()) if found == language]


def shell_words() -> dict[str, list[str]]:
    """Each command line in the pages, as words without comments and leading assignments."""
    found = {}
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                found[f"{name_of(page)}: {line.split('#')[0].strip()}"] = words
    return found


COMMANDS = shell_words()
OURS = {line: words for line, words in COMMANDS.items() if Path(words[0]).name in {"prometheus", "pdesk"}}
MAKES = {line: words for line, words in COMMANDS.items() if words[0] == "make"}


@cache
def help_of(*verbs: str) -> str:
    environ = {**os.environ, "TERM": "dumb", "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "prometheus", *verbs, "--help"],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def verbs_of(words: list[str]) -> tuple[str, ...]:
    """The verbs of a command line: as deep as the help lists sub-commands of that name."""
    verbs: list[str] = []
    for word in words[1:]:
        if word.startswith("-") or not re.search(rf"^\W*{re.escape(word)}\s", help_of(*verbs), re.M):
            break
        verbs.append(word)
    return tuple(verbs)


def test_the_pages_hold_commands() -> None:
    assert len(OURS) >= 6
    assert len(MAKES) >= 2


@pytest.mark.parametrize("line", OURS)
def test_a_command_in_the_pages_exists_with_its_flags(line: str) -> None:
    words = OURS[line]
    verbs = verbs_of(words)
    assert verbs, f"no verb of {words}"
    known = help_of(*verbs)
    assert not [word for word in words if word.startswith("--") and word.split("=")[0] not in known]


@pytest.mark.parametrize("line", MAKES)
def test_a_make_target_in_the_pages_exists(line: str) -> None:
    targets = [word for word in MAKES[line][1:] if "=" not in word]
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert targets
    assert set(targets) <= made


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_on_a_page_runs(page: Path, own_home: Path) -> None:
    script = own_home / "page.py"
    script.write_text("\n\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, script.name], check=False, cwd=own_home, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    dead = [
        target
        for target in LINK.findall(page.read_text())
        if not target.startswith(("http:", "https:", "mailto:")) and not (page.parent / target).exists()
    ]
    assert not dead
