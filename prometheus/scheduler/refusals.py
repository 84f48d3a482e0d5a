"""What kind of thing stands before a task that is ready? The reasons that are said while deciding, put in order."""

from __future__ import annotations

import re

KINDS = (
    ("tier", re.compile(r"Tier \d goes first: ")),  # a higher tier waits for the same room
    ("pressure", re.compile(r"Tier 3 is held: ")),  # a forecast says that a Tier 1 promise is in danger
    ("reservation", re.compile(r"fits now, but ")),  # kept for Tier 1, for earlier promises or for a window
    ("pool", re.compile(r"needs \d+ of pool ")),
    ("room", re.compile(r"needs |no bin |no capacity ")),  # cores, memory, GPUs
)


def kind_of(reason: str) -> str:
    """The kind of a recorded refusal: tier, pressure, reservation, pool or room; "other" for what is none of them."""
    return next((kind for kind, words in KINDS if words.match(reason)), "other")
