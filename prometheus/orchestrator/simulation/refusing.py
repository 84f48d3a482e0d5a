"""What is wrong with a workload file, as sentences: the place, the value, what was expected, and the nearest right word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from prometheus.core.errors import UserError
from prometheus.pipelines.defaults import near

FAULTS_SHOWN = 20
VALUE_SHOWN = 60  # characters of a value that was given
FORM = "docs/simulation.md has the form"


def plain_number(value: object) -> object:
    """`value`, unless it is what only looks like a number: true, false, a text, NaN or infinity."""
    if isinstance(value, bool | str):
        raise ValueError("a number was expected")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("a finite number was expected")
    return value


def plain_text(value: object) -> object:
    """`value`, if it is a text."""
    if not isinstance(value, str):
        raise ValueError("a text such as 2026-03-02T12:00:00Z was expected")
    return value


def refused(name: str, faults: Sequence[str]) -> UserError:
    """The error that counts all faults and shows the first of them in full."""
    shown = "; ".join(faults[:FAULTS_SHOWN])
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return UserError(
        f"{name} cannot be used: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}: {shown}{more}",
        hint=FORM,
    )


def sentences(given: object, form: type[BaseModel], error: ValidationError) -> list[str]:
    """A sentence for each fault that the form found in what was given; those that nobody will read are left short."""
    faults = error.errors(include_url=False)
    return [
        _sentence(given, form, fault) if number < FAULTS_SHOWN else fault["msg"]
        for number, fault in enumerate(faults)
    ]


def _sentence(given: object, form: type[BaseModel], fault: ErrorDetails) -> str:
    where, kind = _where(given, fault["loc"]), fault["type"]
    if kind == "missing":
        return f"{where} is missing"
    value = _shown(fault["input"])
    if kind == "extra_forbidden":
        names = _fields(form, fault["loc"][:-1])
        return f"{where}: {value}: there is no such field{or_near(str(fault['loc'][-1]), names)}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{where}: {value}: a JSON object was expected"
    if kind in ("tuple_type", "list_type"):
        return f"{where}: {value}: a list was expected"
    return f"{where}: {value}: {fault['msg'].removeprefix('Value error, ')}"


def or_near(name: str, names: Sequence[str]) -> str:
    """` (did you mean ...?)`, or nothing."""
    hint = near(name, list(names[:500]))
    return "" if hint is None else f" ({hint})"


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    text = repr(value[:8]) + "..." if isinstance(value, list | tuple) and len(value) > 8 else repr(value)
    return text if len(text) <= VALUE_SHOWN else text[:VALUE_SHOWN] + "..."


def _where(given: Any, location: Sequence[int | str]) -> str:
    """The place of a fault in people's words: a task by its id, not by its number."""
    if not location:
        return "the file"
    if len(location) >= 2 and location[0] == "tasks" and isinstance(location[1], int):
        try:
            name = _shown(given["tasks"][location[1]]["id"])
        except (KeyError, IndexError, TypeError):
            name = f"number {location[1] + 1}"
        return f"task {name} {'.'.join(str(part) for part in location[2:])}".strip()
    return ".".join(str(part) for part in location)


def _fields(form: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The names that the form knows at a place."""
    here: Any = form
    for part in location:
        if isinstance(part, str) and isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(part)
            here = None if field is None else field.annotation
            parts = [one for one in (here, *get_args(here)) if isinstance(one, type)]
            here = next((one for one in parts if issubclass(one, BaseModel)), here)
    known: Mapping[str, object] = getattr(here, "model_fields", {})
    return list(known)
