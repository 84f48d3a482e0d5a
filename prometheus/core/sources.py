"""One hash for a set of source files: the loader computes it when it stores them, a worker before it runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

IGNORED_FOLDER = "__pycache__"  # what Python itself leaves beside sources; no part of the hash


def hash_of_sources(items: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 (64 hex digits) over (relative path, bytes) pairs; their order does not matter.

    Paths are relative, with "/" between folders. Paths inside an `IGNORED_FOLDER` are left out. Raises ValueError for
    an absolute path, one with ".." or a line break in it, or one given twice: the hash must name one tree of files.
    """
    lines: dict[str, str] = {}
    for path, content in items:
        parts = path.split("/")
        if IGNORED_FOLDER in parts:
            continue
        if not path or "" in parts or ".." in parts or "\n" in path:
            raise ValueError(f"source path {path!r} is not a plain relative path such as 'folder/file.py'")
        if path in lines:
            raise ValueError(f"source path {path!r} is given twice")
        lines[path] = hashlib.sha256(content).hexdigest()
    whole = hashlib.sha256()
    for path in sorted(lines):
        whole.update(f"{lines[path]}  {path}\n".encode())
    return whole.hexdigest()
