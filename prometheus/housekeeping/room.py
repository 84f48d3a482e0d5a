"""Is there room on the disks that the desk writes to, and what takes it?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus.core.ids import Json

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Room:
    """One folder of the desk: what it takes, and what is free beside it."""

    name: str
    path: Path
    used_mib: int
    free_mib: int

    def as_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "path": str(self.path),
            "used_mib": self.used_mib,
            "free_mib": self.free_mib,
        }


def look(folders: Mapping[str, Path]) -> list[Room]:
    """The room of each folder, by name. One that does not exist yet takes nothing; its disk is that of its parent."""
    return [
        Room(name, path, _used(path) // MIB, shutil.disk_usage(_existing(path)).free // MIB)
        for name, path in sorted(folders.items())
    ]


def _used(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # a night may fold or remove it while we look
            continue
    return total


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())
