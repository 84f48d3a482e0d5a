"""From the name of a job's function to the function, out of the stored copy of its sources and no other."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class Refusal(Exception):
    """The job cannot begin; the message says why. The cause, if any, is the user's own exception."""


def verify_sources(code_dir: str, expected: str) -> None:
    """Raise `Refusal` unless the files below `code_dir` are those that the run was pinned to."""
    from prometheus.core.sources import hash_of_sources

    if not os.path.isdir(code_dir):
        raise Refusal(f"the stored sources {code_dir} are gone; submit the run again")
    try:
        found = hash_of_sources(_files_below(code_dir))
    except OSError as error:
        raise Refusal(f"the stored sources cannot be read: {error}") from None
    if found != expected:
        raise Refusal(
            f"the stored sources in {code_dir} have hash {found[:12]}, and this run is pinned to {expected[:12]}: "
            "they were changed after they were stored"
        )


def find_function(target: str, code_dir: str | None) -> Callable[[Any], object]:
    """The function that "file.py:qualname" or "package.module:name" names. Raises `Refusal`."""
    place, _, qualname = target.partition(":")
    if not place or not qualname:
        raise Refusal(f"the target {target!r} is neither file.py:function nor package.module:function")
    try:
        module = _module_of(place, code_dir)
    except Refusal:
        raise
    except SystemExit as error:
        raise Refusal(f"{place} ended with sys.exit({error.code!r}) while it was imported") from error
    except Exception as error:
        raise Refusal(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    found: Any = module
    for name in qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise Refusal(f"{place} has no {qualname!r}") from None
    if not callable(found):
        raise Refusal(f"{target} is {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]  # user code: what it takes and gives is found out by calling


def _module_of(place: str, code_dir: str | None) -> Any:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    if code_dir is None:
        raise Refusal(f"{place} is a file, and no stored sources came with it")
    name = "prometheus_job_" + "".join(
        c if c.isalnum() else f"_{ord(c):x}_" for c in place.removesuffix(".py")
    )
    if name in sys.modules:
        return sys.modules[name]
    path = os.path.join(code_dir, place)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise Refusal(f"{place} is not among the stored sources in {code_dir}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look modules up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _files_below(folder: str) -> Iterator[tuple[str, bytes]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, folder).replace(os.sep, "/"), file.read()
