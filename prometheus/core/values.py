"""What facts and orders are made of: values that nobody changes.

A frozen dataclass sets each field past its own guard, which costs three times as much as the fields themselves; facts and
orders are made by the million. `value` leaves the guard to the type checker: to it the class is frozen, and a line that
assigns to a field does not pass the check. Everything else is as with any dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """A slotted dataclass with equality and hash by its fields, frozen for the type checker."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
