"""Pages of the documentation, as tests read them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path, kind: str) -> list[str]:
    """The fenced blocks of a kind (python, sh, text), in order."""
    return [body for found, body in FENCED.findall(page.read_text()) if found == kind]


def words_of(block: str) -> list[str]:
    """What follows `prometheus` in a block of one command."""
    program, *words = shlex.split(block)
    assert program == "prometheus"
    return words


def as_printed(text: str) -> str:
    """Without what nobody sees: the blanks that a table ends its lines with."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
