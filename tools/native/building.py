"""Which modules are compiled, and how: their sources are rewritten in `build/native` and given to mypyc from there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tools.native.rewriting import rewritten

COMPILED = (
    "prometheus/core/demand.py",
    "prometheus/forecast/*.py",
    "prometheus/scheduler/*.py",
)


def extensions(root: Path) -> list[Any]:
    """The extension modules, for setuptools; PROMETHEUS_COMPILE_LEVEL=0 compiles faster what runs slower."""
    # Only now: it brings setuptools, which puts what it vendors on the path of whoever imports it.
    from mypyc.build import mypycify

    into = root / "build" / "native"
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(
        root / "prometheus", into / "prometheus", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    chosen = [
        path for pattern in COMPILED for path in sorted(into.glob(pattern)) if path.name != "__init__.py"
    ]
    for path in chosen:
        path.write_text(rewritten(path.read_text()))
    # No configuration of ours: what mypy demands of the sources it has been asked elsewhere.
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    level = os.environ.get("PROMETHEUS_COMPILE_LEVEL", "3")
    here = Path.cwd()
    os.chdir(into)
    try:
        files = [str(path.relative_to(into)) for path in chosen]
        return mypycify([*options, *files], opt_level=level, target_dir=str(into / "c"))
    finally:
        os.chdir(here)
