"""What the compiler is given is our source, with its dataclasses written out: the same lines, fields and defaults."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest

from tools.native.building import COMPILED
from tools.native.rewriting import rewritten

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for pattern in COMPILED for path in ROOT.glob(pattern) if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_the_whole_core_is_compiled() -> None:
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_line_moves_and_every_constructor_takes_what_the_generated_one_takes(path: Path) -> None:
    before, after = path.read_text(), rewritten(path.read_text())
    assert before.count("\n") == after.count("\n")
    module = importlib.import_module(name_of(path))
    for node in ast.walk(ast.parse(after)):
        if not isinstance(node, ast.ClassDef):
            continue
        made = getattr(module, node.name)
        if not dataclasses.is_dataclass(made):
            continue
        constructor = next(one for one in node.body if getattr(one, "name", "") == "__init__")
        assert isinstance(constructor, ast.FunctionDef)
        expected = inspect.signature(made).parameters.values()
        names = [one.arg for one in constructor.args.args[1:]]
        assert names == [one.name for one in expected], node.name
        with_default = [one.name for one in expected if one.default is not inspect.Parameter.empty]
        assert names[len(names) - len(constructor.args.defaults) :] == with_default, node.name


def test_what_is_written_out_is_what_the_class_was() -> None:
    source = '''from __future__ import annotations

from dataclasses import dataclass, field

from prometheus.core.values import value


@dataclass(frozen=True, slots=True)
class Point:
    """Where."""

    x: int
    y: int = 2  # up
    # of either

    def sum(self) -> int:
        return self.x + self.y


@dataclass(slots=True)
class Bag:
    found: list[int] = field(default_factory=list)


@value
class Said:
    at_us: int


'''
    after = rewritten(source)
    assert "slots" not in after
    assert "@value" not in after
    names: dict[str, type] = {}
    exec(compile(after, "rewritten", "exec"), names)
    point, bag, said = names["Point"], names["Bag"], names["Said"]
    assert (point(1).sum(), point(1), hash(point(1))) == (3, point(1, 2), hash(point(1, 2)))
    one, other = bag(), bag()
    one.found.append(1)
    assert (one.found, other.found, bag([5]).found) == ([1], [], [5])
    assert len({said(1), said(1), said(2)}) == 2


def test_constants_are_final_to_the_compiler_and_nothing_else_is() -> None:
    source = "from __future__ import annotations\nLIMIT = 3\n_MARGIN: int = 4  # up\n_T = 5\nShape = int"
    assert rewritten(source).split("\n") == [
        "from __future__ import annotations; from typing import Final",
        "LIMIT: Final = 3",
        "_MARGIN: Final[int] = 4  # up",
        "_T = 5",
        "Shape = int",
    ]


def test_a_field_that_it_does_not_know_is_refused_and_not_compiled_otherwise() -> None:
    source = "@dataclass\nclass Bag:\n    found: int = field(default=1, repr=False)\n\n"
    with pytest.raises(ValueError, match=r"field\(default=1, repr=False\).*default_factory alone"):
        rewritten(source)
