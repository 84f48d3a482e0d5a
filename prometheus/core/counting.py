"""How many of something, in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many of them: "1 task", "2 tasks"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
