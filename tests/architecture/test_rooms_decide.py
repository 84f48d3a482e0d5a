"""What import-linter cannot see: the deciding rooms open nothing and ask no clock; the package has one clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "prometheus"
DOORS = {PACKAGE / "core" / "settings.py", PACKAGE / "core" / "db_health.py"}
DECIDING = [
    path
    for room in ("markets", "core", "pipelines", "scheduler")
    for path in sorted((PACKAGE / room).rglob("*.py"))
    if path not in DOORS
]

WORLDLY = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
WALL_CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}


def calls_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name (its last two parts) of each call."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            yield node.lineno, f"{name}.{node.func.attr}"


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_the_check_itself_sees_a_clock_and_a_file() -> None:
    found = {name for _, name in calls_in("open('x'); datetime.now(UTC); datetime.datetime.now()")}
    assert found == {"open", "datetime.now"}


@pytest.mark.parametrize("path", DECIDING, ids=name_of)
def test_a_deciding_file_opens_nothing_and_asks_no_clock(path: Path) -> None:
    worldly = [(line, name) for line, name in calls_in(path.read_text()) if name in WORLDLY | WALL_CLOCKS]
    assert not worldly


def test_one_module_reads_the_wall_clock() -> None:
    readers = {
        name_of(path)
        for path in PACKAGE.rglob("*.py")
        if any(name in WALL_CLOCKS for _, name in calls_in(path.read_text()))
    }
    assert len(readers) <= 1, f"the time of day is read in {sorted(readers)}; pass it as data from the clock"
