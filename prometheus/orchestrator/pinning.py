"""What a run is pinned to: its declaration, its sources, and the environment they run in, as one hash."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from prometheus.core.ids import Json, content_hash
from prometheus.core.settings import EngineSettings
from prometheus.core.sources import IGNORED_FOLDER, hash_of_sources
from prometheus.pipelines.model import PipelineSpec

PACKAGE = Path(__file__).parents[1]

# Rooms that every job of ours stands on; the rooms that its target lies in come on top.
FOUNDATIONS = ("core", "markets", "stores")


def pin_of(spec: PipelineSpec, source_hash: str, engines: Mapping[str, EngineSettings] | None = None) -> str:
    """SHA-256 over the declaration, the sources, the environment lock and the engines that the settings name, if any."""
    parts: dict[str, Json] = {
        "declaration": spec.content_hash(),
        "sources": source_hash,
        "environment": content_hash(environment_lock()),
    }
    if engines:
        parts["engines"] = {name: _engine(chosen) for name, chosen in sorted(engines.items())}
    return content_hash(parts)


def _engine(chosen: EngineSettings) -> Json:
    """What the settings say of an engine; of one in a file also the file's hash, or None if there is none."""
    said: dict[str, Json] = {"use": chosen.use, "config": chosen.config}
    place = (chosen.use or "").partition(":")[0]
    if place.endswith(".py"):
        try:
            said["file"] = hashlib.sha256(Path(place).read_bytes()).hexdigest()
        except OSError:
            said["file"] = None  # the job that needs it will say so
    return said


@cache
def environment_lock() -> tuple[str, ...]:
    """Python's version and "name-version" of every installed distribution, sorted.

    Read from the names of the metadata folders (PEP 376, PEP 427), which takes a millisecond where parsing the metadata
    takes a hundred.
    """
    found = {f"python-{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        found.update(
            name.rpartition(".")[0].lower().replace("_", "-")
            for name in names
            if name.endswith((".dist-info", ".egg-info"))
        )
    return tuple(sorted(found))


def hash_of_rooms(spec: PipelineSpec) -> str:
    """Hash of the files of this package that the jobs of a shipped pipeline run."""
    rooms = set(FOUNDATIONS)
    for job in spec.jobs:
        if isinstance(job.target, str) and job.target.startswith("prometheus."):
            rooms.add(job.target.split(".")[1].partition(":")[0])
    return hash_of_sources(
        (path.relative_to(PACKAGE).as_posix(), path.read_bytes())
        for room in sorted(rooms)
        for path in files_below(PACKAGE / room)
    )


def files_below(folder: Path) -> Iterable[Path]:
    """Every file below `folder` but compiled ones, in no particular order."""
    for path, folders, names in os.walk(folder):
        if IGNORED_FOLDER in folders:
            folders.remove(IGNORED_FOLDER)
        yield from (Path(path, name) for name in names)
