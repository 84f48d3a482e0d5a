"""The source is as tidy as it says: rooms ask a question, files keep one idea, nothing of a workplace leaks in."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "prometheus"

LINES_AT_MOST = 1_000
PROSE_WIDTH_AT_MOST = 125
HOMELESS = {"utils", "util", "common", "helpers", "helper", "misc"}

# Spelled in halves, so that this file does not hold what it forbids.
OF_A_WORKPLACE = [
    "/wo" + "rk/",
    "../sha" + "red",
    "/ro" + "ot/",
    "/tmp/" + "brief",
    "/opt/" + "pypi",
    "issues " + "show",
    "far" + "m-",
]

# A lock names no index; other text may link to documents but never to the host packages were fetched from.
INDEX_HOST = re.compile(r"--(?:extra-)?index-url|--find-links|files\.pythonhosted|pypi\.org/simple")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    found = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in found if path.is_file()]


SOURCES = tracked("*.py")
TEXTS = [
    path
    for path in tracked()
    if path.suffix not in {".bin", ".gz", ".parquet", ".png"} and path.name != "LICENSE"
]
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_source_to_look_at() -> None:
    assert len(SOURCES) > 20
    assert len(ROOMS) >= 14


@pytest.mark.parametrize("room", [room for room in ROOMS if "migrations" not in room.parts], ids=name_of)
def test_a_room_s_docstring_asks_its_question(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert docstring is not None
    first = docstring.split("\n\n")[0].strip()
    assert first.endswith("?"), f"{name_of(room)} says {first!r} and asks nothing"


def test_no_file_has_grown_past_its_idea() -> None:
    long = {
        name_of(path): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > LINES_AT_MOST
    }
    assert not long


def test_no_line_is_wider_than_a_page() -> None:
    wide = [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > PROSE_WIDTH_AT_MOST
    ]
    assert not wide


def test_every_module_has_a_home() -> None:
    homeless = [name_of(path) for path in SOURCES if {path.stem, *path.relative_to(ROOT).parts} & HOMELESS]
    assert not homeless


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in SOURCES if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_nothing_of_a_workplace_is_named() -> None:
    found = [
        f"{name_of(path)}:{number}: {word}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        for word in OF_A_WORKPLACE
        if word in line
    ]
    assert not found


def test_no_lock_names_an_index() -> None:
    locks = sorted((ROOT / "locks").glob("*.txt"))
    assert {path.stem for path in locks} == {"desk", "dev", "setup"}
    assert not [name_of(path) for path in locks if INDEX_HOST.search(path.read_text())]


def test_the_smaller_locks_are_cut_from_the_larger() -> None:
    pins = {
        # Without markers: what one extra wants on some platforms only, another may want on all.
        path.stem: set(re.findall(r"^[\w.-]+==\S+", path.read_text(), re.M))
        for path in (ROOT / "locks").glob("*.txt")
    }
    assert pins["desk"]
    assert pins["desk"] <= pins["dev"] <= pins["setup"]


def test_the_night_drags_in_neither_torch_nor_pandas() -> None:
    names = set(re.findall(r"^([\w.-]+)==", (ROOT / "locks" / "desk.txt").read_text(), re.M))
    assert not names & {"torch", "pandas", "pyarrow", "ray", "pytest"}
