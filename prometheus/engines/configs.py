"""Typed configurations: frozen dataclasses with defaults, changed by a job's `params={"config": {...}}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from prometheus.core.errors import UserError
from prometheus.core.ids import Json

ConfigT = TypeVar("ConfigT")


def config_from(kind: type[ConfigT], engine: str, params: Mapping[str, Json]) -> ConfigT:
    """The engine's configuration with the values of `params["config"]` in place of the defaults.

    Raises `UserError` that lists every unknown name and every value that is out of bounds.
    """
    given: Any = params.get("config", {})
    # `fields` wants a dataclass; every configuration is one, which the type of a type cannot say.
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(given, Mapping):
        raise UserError(
            f"the config of the {engine} engine is {given!r}", allowed="a table of names and values"
        )
    faults = [f"{name} is not a name of it" for name in given if name not in known]
    try:
        made = TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        faults += [
            f"{'.'.join(str(part) for part in fault['loc'])} is {fault['input']!r}: {fault['msg'].lower()}"
            for fault in error.errors()
        ]
        made = None
    if faults or made is None:
        raise UserError(
            f"the config of the {engine} engine cannot be used: {'; '.join(faults)}", allowed=", ".join(known)
        )
    return made


def config_json(config: Any) -> dict[str, Json]:  # any dataclass: the standard library has no name for that
    """The configuration as it is recorded and hashed."""
    return asdict(config)
