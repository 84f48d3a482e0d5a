"""Our sources as mypyc takes them: its classes have slots anyway, and a constructor that it compiles is ten times as fast.

mypyc knows no `slots=True`, and leaves what `dataclass` generates to the interpreter. So `@dataclass` loses its slots,
`@value` becomes one, and each gets the `__init__` that was generated, written out. It looks up by name what a module
assigns, unless it is told that it is final: constants, which are written in capitals, are. No line moves: a traceback of
compiled code names the right lines of the source that stands beside it.
"""

from __future__ import annotations

import ast
import re

_DECORATORS = ("dataclass", "value")
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")
_FUTURE = "from __future__ import annotations"


def rewritten(source: str) -> str:
    """The source of one module with its dataclasses as mypyc compiles them; all else is left as it is."""
    lines = source.split("\n")
    module = ast.parse(source)
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            _finalise(statement, lines)
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and not node.bases:
            for decorator in node.decorator_list:
                if _name_of(decorator) in _DECORATORS:
                    _rewrite(node, decorator, lines)
    others = {
        "from prometheus.core.values import value": "from dataclasses import dataclass",
        _FUTURE: f"{_FUTURE}; from typing import Final",
    }
    return "\n".join(others.get(line, line) for line in lines)


def _finalise(node: ast.Assign | ast.AnnAssign, lines: list[str]) -> None:
    """Say of a constant that it is one."""
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if not isinstance(target, ast.Name) or not _CONSTANT.fullmatch(target.id):
        return
    line, begin = lines[node.lineno - 1], len(target.id)
    if isinstance(node, ast.Assign):
        lines[node.lineno - 1] = f"{target.id}: Final{line[begin:]}"
        return
    said = ast.unparse(node.annotation)
    if said.startswith("Final"):
        return
    assert node.annotation.end_lineno == node.lineno, f"{target.id}: its type goes over several lines"
    lines[node.lineno - 1] = f"{target.id}: Final[{said}]{line[node.annotation.end_col_offset :]}"


def _name_of(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.id if isinstance(called, ast.Name) else ""


def _rewrite(node: ast.ClassDef, decorator: ast.expr, lines: list[str]) -> None:
    said = {} if not isinstance(decorator, ast.Call) else {one.arg: one.value for one in decorator.keywords}
    compares = "eq" not in said or ast.unparse(said["eq"]) == "True"
    is_hashed = (
        compares and (_name_of(decorator) == "value" or "frozen" in said) and not _defines(node, "__hash__")
    )
    lines[decorator.lineno - 1] = (
        f"@dataclass(init=False, eq={compares}{', unsafe_hash=True' if is_hashed else ''})"
    )
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    assert fields, f"{node.name} has no fields"
    place = fields[-1].end_lineno or 0
    while lines[place].strip():  # comments below the last field
        place += 1
    lines[place] = " " * (node.col_offset + 4) + _constructor(fields, _defines(node, "__post_init__"))


def _defines(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(one, ast.FunctionDef) and one.name == name for one in node.body)


def _constructor(fields: list[ast.AnnAssign], calls_more: bool) -> str:
    parameters, steps = ["self"], []
    for field in fields:
        name, form, default = ast.unparse(field.target), ast.unparse(field.annotation), field.value
        factory = _factory_of(default)
        if factory is not None:
            parameters.append(f"{name}: {form} | None = None")
            steps.append(f"self.{name} = {factory}() if {name} is None else {name}")
        else:
            parameters.append(f"{name}: {form}" + ("" if default is None else f" = {ast.unparse(default)}"))
            steps.append(f"self.{name} = {name}")
    if calls_more:
        steps.append("self.__post_init__()")
    return f"def __init__({', '.join(parameters)}) -> None: {'; '.join(steps)}"


def _factory_of(default: ast.expr | None) -> str | None:
    """What makes the default of a field, where `field(default_factory=...)` says so."""
    if not (isinstance(default, ast.Call) and ast.unparse(default.func) == "field"):
        return None
    said = {one.arg: one.value for one in default.keywords}
    if set(said) != {"default_factory"}:
        raise ValueError(
            f"{ast.unparse(default)}: the compiled core knows fields with a default_factory alone"
        )
    return ast.unparse(said["default_factory"])
