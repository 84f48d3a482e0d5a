"""What to type for this program: `prometheus` may be nowhere on PATH, or be Debian's monitoring server."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus.cli.face import Face


def own_command() -> Path:
    """Where this installation has its command."""
    return Path(sys.executable).parent / "prometheus"


def is_known_by_name(path: str | None = None) -> bool:
    """Whether who types `prometheus` gets this installation; `path` as in PATH, by default that."""
    found = shutil.which("prometheus", path=path)
    return found is not None and os.path.realpath(found) == os.path.realpath(own_command())


def say_own_name(face: Face) -> None:
    """Below commands that go on from here: what to type for their first word, where that is not its name."""
    if is_known_by_name():
        return
    command = own_command()
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    why = "not on PATH" if shutil.which("prometheus") is None else "another program on this PATH"
    face.err.print(f"  (`prometheus` is {why}: type {shown})", soft_wrap=True)
