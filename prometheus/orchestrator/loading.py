"""From what a person typed to a pipeline that can be run: a shipped name, or `path/file.py:variable`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from prometheus.core.errors import DeclarationError, StoreError, UserError
from prometheus.core.ids import Json
from prometheus.core.settings import Settings
from prometheus.core.sources import hash_of_sources
from prometheus.orchestrator.pinning import PACKAGE, files_below, hash_of_rooms, pin_of
from prometheus.pipelines.building import build
from prometheus.pipelines.declaring import Pipeline
from prometheus.pipelines.defaults import near
from prometheus.pipelines.model import FaultsError, PipelineSpec

TIMEOUT_SECONDS = 60.0  # of the loader process: a declaration does no work
OUTPUT_SHOWN = 2_000  # bytes of what the user's file printed, where it died without a result


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline with everything that its runs are pinned to."""

    spec: PipelineSpec
    pin: str  # hash of declaration, sources and environment
    source_hash: str  # of the files below `code_dir`; of this package's own rooms for a shipped one
    code_dir: Path | None  # the stored copy that workers import from; None = only what is installed
    folder: Path | None  # where the user's file lies: working directory of its commands
    origin: str  # "shipped", or "/path/file.py:variable"


def load_pipeline(
    name_or_path: str, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> LoadedPipeline:
    """The pipeline of that shipped name, or of a user's file, whose sources are copied to `<home>/code/<hash>`.

    A user's file runs in a process of its own that may take `timeout_seconds`. Raises `DeclarationError` with everything
    that is wrong with it, `UserError` for a name or path that leads nowhere, `StoreError` if the copy cannot be kept.
    """
    path, _, variable = name_or_path.partition(".py:")
    if name_or_path.endswith(".py"):
        return _load_file(name_or_path, None, settings, timeout_seconds)
    if variable or ".py:" in name_or_path:
        return _load_file(f"{path}.py", variable, settings, timeout_seconds)
    return _load_shipped(name_or_path, settings)


def shipped_names() -> list[str]:
    """Names of the pipelines that come with the package."""
    folder = PACKAGE / "pipelines" / "shipped"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _load_shipped(name: str, settings: Settings) -> LoadedPipeline:
    names = shipped_names()
    if name not in names:
        is_path = "/" in name or os.path.exists(name)
        hint = "a file is given as path/file.py:variable" if is_path else near(name, names)
        raise UserError(
            f"there is no pipeline {name!r}",
            allowed=f"{', '.join(names)}, or path/file.py:variable",
            hint=hint,
        )
    pipeline = import_module(f"prometheus.pipelines.shipped.{name}").pipeline
    assert isinstance(pipeline, Pipeline), "every shipped module has a pipeline"
    spec = build(pipeline)
    source_hash = hash_of_rooms(spec)
    return LoadedPipeline(
        spec, pin_of(spec, source_hash, settings.engines), source_hash, None, None, "shipped"
    )


def _load_file(path: str, variable: str | None, settings: Settings, timeout_seconds: float) -> LoadedPipeline:
    file = Path(os.path.abspath(os.path.expanduser(path)))
    if not file.is_file():
        raise UserError(f"there is no file {file}", hint="paths are relative to the working directory")
    if variable is not None and not variable.isidentifier():
        raise UserError(
            f"{variable!r} is no name of a variable", allowed="path/file.py:variable, or path/file.py"
        )
    code = settings.home / "code"
    try:
        code.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=".loading-", dir=code))
    except OSError as error:
        raise StoreError(
            f"{code} cannot be written: {error.strerror}",
            hint="PROMETHEUS_HOME (or home in prometheus.toml) says where it is",
        ) from None
    try:
        result = _run_loader(file, variable, workspace, timeout_seconds)
        spec = PipelineSpec.from_json(result["spec"])
        source_hash, code_dir = _keep(workspace / "stage", code)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    origin = f"{file}:{result['variable']}"
    return LoadedPipeline(
        spec, pin_of(spec, source_hash, settings.engines), source_hash, code_dir, file.parent, origin
    )


def _run_loader(file: Path, variable: str | None, workspace: Path, timeout_seconds: float) -> Json:
    """What the loader process found; `DeclarationError` if it found faults, died or did not end."""
    stage, answer, output = workspace / "stage", workspace / "result.json", workspace / "output"
    stage.mkdir()
    # -P keeps the working directory off the path: a folder of the user's named like a library must not win.
    command = [sys.executable, "-P", "-m", "prometheus.orchestrator.loader"]
    with output.open("wb") as printed:
        process = subprocess.Popen(
            [*command, str(file), variable or "", str(stage), str(answer)],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=environment_of_ours(),
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise DeclarationError(
                f"{file} was still running after {timeout_seconds:g} s",
                hint="a pipeline file declares; move work into the jobs' functions",
            ) from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever the user's file has started
            process.wait()
    try:
        result = json.loads(answer.read_bytes())
    except (OSError, ValueError):
        tail = output.read_bytes()[-OUTPUT_SHOWN:].decode(errors="replace").strip()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise DeclarationError(
            f"{file}: the process that loaded it {how}{f', last saying:{os.linesep}{tail}' if tail else ''}",
            hint="a pipeline file must run to its end without os._exit",
        ) from None
    if "faults" in result:
        raise FaultsError(f"{file}", tuple(result["faults"]))
    if "error" in result:
        raise DeclarationError(result["error"], allowed=result.get("allowed"), hint=result.get("hint"))
    return result


def environment_of_ours() -> dict[str, str]:
    """The environment of a process of ours: this one's, with this package findable where it is not installed."""
    environ = dict(os.environ)
    home = str(PACKAGE.parent)
    if PACKAGE.parent.name not in {"site-packages", "dist-packages"}:
        others = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = f"{home}{os.pathsep}{others}" if others else home
    return environ


def _keep(stage: Path, code: Path) -> tuple[str, Path]:
    """Move the staged sources to their place, named by their hash; (hash, place). Another's equal copy is as good."""
    source_hash = _hash_of_folder(stage)
    place = code / source_hash
    for _ in range(3):  # a damaged copy is put aside; two loaders may do that at once
        with suppress(OSError):  # another loader may be moving it just now
            if place.is_dir() and _hash_of_folder(place) == source_hash:
                return source_hash, place
        with suppress(OSError):
            place.rename(stage.parent / f"damaged-{os.urandom(4).hex()}")
        with suppress(OSError):
            stage.rename(place)
    raise StoreError(
        f"the sources cannot be kept in {place}", hint="check the folder's permissions and disk space"
    )


def _hash_of_folder(folder: Path) -> str:
    return hash_of_sources(
        (path.relative_to(folder).as_posix(), path.read_bytes()) for path in files_below(folder)
    )
