"""How the package is built: as it is, or with PROMETHEUS_COMPILE=1 with its deciding core compiled by mypyc.

The compiled core decides the same, about twice as fast; it wants a C compiler and two minutes (docs/compiled.md).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import setup

COMPILER = "mypy>=2.4"

if os.environ.get("PROMETHEUS_COMPILE") != "1":
    setup()
elif not {"build_ext", "bdist_wheel", "editable_wheel"} & set(sys.argv):
    setup(setup_requires=[COMPILER])  # what is asked before a build: what a build needs
else:
    root = Path(__file__).parent
    sys.path.insert(0, str(root))
    from tools.native.building import extensions

    setup(ext_modules=extensions(root))
