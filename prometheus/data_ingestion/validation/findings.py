"""What was found out about a dataset as a whole, and what it means for the night."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

# note: told, nothing else; degrades: the night goes on and its decisions are marked; fails: it must not go on.
Weight = Literal["note", "degrades", "fails"]
Quality = Literal["ok", "degraded", "failed"]

_SHOWN_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about a day or about the whole, and its weight."""

    name: str
    text: str
    weight: Weight


def weigh(count: float, *, degrades: float | None = None, fails: float | None = None) -> Weight:
    """The weight of `count`: what passes a bound has its weight, the gravest first; a bound of None is never passed."""
    if fails is not None and count > fails:
        return "fails"
    return "degrades" if degrades is not None and count > degrades else "note"


def quality_of(findings: Iterable[Finding]) -> Quality:
    """The verdict on a dataset: that of its gravest finding."""
    weights = {finding.weight for finding in findings}
    return "failed" if "fails" in weights else "degraded" if "degrades" in weights else "ok"


def some(values: Sequence[object]) -> str:
    """The first few of `values`, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN_AT_MOST])
    return shown if len(values) <= _SHOWN_AT_MOST else f"{shown} and {len(values) - _SHOWN_AT_MOST} more"
