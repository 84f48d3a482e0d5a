"""The loader process: runs one user's file, once, and leaves what it declares behind as data.

    python -m prometheus.orchestrator.loader FILE VARIABLE STAGE RESULT

Copies the file, and what it imports from below its folder, into the folder STAGE, and writes one JSON object to the file
RESULT: {"spec": ..., "variable": ...} or {"error": ..., "faults": [...]}. It imports nothing but the language, so that a
user's file sees a nearly empty interpreter.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.pipelines.building import build
from prometheus.pipelines.declaring import Pipeline
from prometheus.pipelines.defaults import near
from prometheus.pipelines.model import FaultsError, JobSpec, PipelineSpec

SOURCES_AT_MOST = 2_000  # files
SOURCE_BYTES_AT_MOST = 20_000_000  # of all files together
_OWN_PACKAGE = str(Path(__file__).parents[1])


def main(argv: list[str]) -> NoReturn:
    """Load, write the result, and end at once, whatever threads the user's file has started."""
    file, variable, stage, result = argv
    Path(result).write_text(json.dumps(load(Path(file), variable or None, Path(stage))), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def load(file: Path, variable: str | None, stage: Path) -> Json:
    """The result object for `file`; never raises for what the user's file does."""
    try:
        content = file.read_bytes()
        module = _run(file)
        name, pipeline = _choose(module, variable, file)
        spec = _relocate(build(pipeline), module, file)
        if file.read_bytes() != content:
            raise UserError(f"{file} changed while it was loaded", hint="try again")
        _stage(file, spec, stage)
    except FaultsError as error:
        return {"error": f"{file}: {error.message}", "faults": list(error.faults)}
    except UserError as error:
        return {
            "error": f"{_where(error, file)}{error.message}",
            "allowed": error.allowed,
            "hint": error.hint,
        }
    except (SystemExit, KeyboardInterrupt, Exception) as error:  # noqa: BLE001 (the user's file may raise anything)
        return {"error": _describe(error, file)}
    return {"spec": spec.to_json(), "variable": name}


def _run(file: Path) -> ModuleType:
    """The module made by running `file` with its folder first on the path."""
    name = file.stem
    if not name.isidentifier() or name in sys.stdlib_module_names or name in sys.modules:
        name = f"_pipeline_{name}"
    sys.path.insert(0, str(file.parent))
    sys.argv = [str(file)]
    found = importlib.util.spec_from_file_location(name, file)
    assert found is not None, "a .py file has a spec"
    assert found.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


def _choose(module: ModuleType, variable: str | None, file: Path) -> tuple[str, Pipeline]:
    """The pipeline that `variable` names, or the only one there is."""
    pipelines = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    listed = ", ".join(f"{name} ({pipeline.name!r})" for name, pipeline in pipelines.items())
    if variable is not None:
        if variable in pipelines:
            return variable, pipelines[variable]
        found = vars(module).get(variable)
        what = "is no Pipeline" if found is not None else "does not exist"
        raise UserError(
            f"{file}: the variable {variable!r} {what}",
            allowed=listed or "the file has no Pipeline at its top",
            hint=near(variable, list(pipelines)),
        )
    if not pipelines:
        raise UserError(
            f"{file} declares no pipeline", hint='at its top: p = Pipeline("name", market="US_EQ")'
        )
    if len({id(pipeline) for pipeline in pipelines.values()}) > 1:
        raise UserError(
            f"{file} declares {len(pipelines)} pipelines",
            allowed=listed,
            hint=f"say which: {file.name}:{next(iter(pipelines))}",
        )
    return next(iter(pipelines.items()))


def _relocate(spec: PipelineSpec, module: ModuleType, file: Path) -> PipelineSpec:
    """`spec` with the functions of the file itself named "file.py:qualname", each proven to be found by that name."""
    faults: list[str] = []
    jobs = tuple(_relocate_job(job, module, file, faults) for job in spec.jobs)
    if faults:
        raise FaultsError(f"the pipeline {spec.name!r}", tuple(faults))
    return replace(spec, jobs=jobs)


def _relocate_job(job: JobSpec, module: ModuleType, file: Path, faults: list[str]) -> JobSpec:
    if not isinstance(job.target, str):
        return job
    owner, _, qualname = job.target.rpartition(":")
    if owner.endswith(".py") and owner != file.name:
        if not (file.parent / owner).is_file():
            faults.append(f"job {job.name!r}: there is no file {owner!r} below {file.parent}")
        return job
    if owner not in {module.__name__, file.name}:
        return job
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        faults.append(
            f"job {job.name!r}: {file.name} has no function {qualname!r} once it has run to its end"
        )
    return replace(job, target=f"{file.name}:{qualname}")


# --- sources -------------------------------------------------------------------------------------------------------------


def _stage(file: Path, spec: PipelineSpec, stage: Path) -> None:
    """Copy every source of the pipeline below `stage`, under its path relative to the file's folder."""
    total = 0
    for count, source in enumerate(sorted(sources_of(file, spec)), 1):
        content = source.read_bytes()
        total += len(content)
        if count > SOURCES_AT_MOST or total > SOURCE_BYTES_AT_MOST:
            raise UserError(
                f"the sources below {file.parent} are too many or too large to copy (at {source})",
                allowed=f"{SOURCES_AT_MOST:,} files, {SOURCE_BYTES_AT_MOST // 1_000_000} MB together",
                hint="install what is a library; read data by path, not by import",
            )
        target = stage / source.relative_to(file.parent)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise UserError(f"{source} cannot be copied to {target}: {error.strerror}") from None


def sources_of(file: Path, spec: PipelineSpec) -> set[Path]:
    """The file, all that it imported or could import from below its folder, and files that its commands name."""
    root = file.parent
    waiting = [file, *_loaded_below(root), *_named_by(spec, root)]
    found: set[Path] = set()
    while waiting:
        source = waiting.pop()
        if source in found or not _is_own(source, root):
            continue
        found.add(source)
        if source.suffix == ".py":
            waiting.extend(_imported_by(source, root))
    return found


def _loaded_below(root: Path) -> Iterator[Path]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and Path(path).is_relative_to(root):
            yield Path(path)


def _named_by(spec: PipelineSpec, root: Path) -> Iterator[Path]:
    for job in spec.jobs:
        if isinstance(job.target, str):
            owner = job.target.rpartition(":")[0]
            yield from [root / owner] if owner.endswith(".py") else _files_of_module(owner, root)
        else:
            yield from (
                root / word for word in job.target if len(word) < 1_000 and not word.startswith(("/", "-"))
            )


def _imported_by(source: Path, root: Path) -> Iterator[Path]:
    """Files below `root` that the text of `source` imports, wherever in it; imports inside functions run later."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    package = source.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of_module(alias.name, root)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from _files_of_module(start, root)
            for alias in node.names:
                yield from _files_of_module(f"{start}.{alias.name}" if start else alias.name, root)


def _files_of_module(name: str, root: Path) -> Iterable[Path]:
    """Candidates: the module and the `__init__` files of the packages it lies in."""
    here = root
    for part in name.split("."):
        here = here / part
        yield here / "__init__.py"
    yield here.with_name(f"{here.name}.py") if name else here


def _is_own(source: Path, root: Path) -> bool:
    """Whether `source` is a file of the user's below `root`: no installed library, nothing hidden, not our package."""
    if not source.is_relative_to(root) or ".." in source.parts or not source.is_file():
        return False
    inside = source.relative_to(root).parts
    is_library = "site-packages" in inside or "dist-packages" in inside or source.is_relative_to(_OWN_PACKAGE)
    return not is_library and not any(part.startswith(".") or part == "__pycache__" for part in inside)


# --- what went wrong -----------------------------------------------------------------------------------------------------


def _where(error: UserError, file: Path) -> str:
    """The user's line for an error of the language in an expression of theirs; "" for an error of the loader."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}, line {frames[-1].lineno}: " if frames else ""


def _describe(error: BaseException, file: Path) -> str:
    """The user's part of the traceback, without the loader's and the import machinery's frames."""
    if isinstance(error, SystemExit):
        return f"{_where_any(error, file)}the file calls sys.exit({error.code!r}) while it is loaded"
    report = traceback.TracebackException.from_exception(error, limit=-20)
    frames = [frame for frame in report.stack if not _is_machinery(frame.filename)]
    report.stack = traceback.StackSummary.from_list(frames)
    summary = "".join(report.format_exception_only()).strip()
    if isinstance(error, OSError) and not frames:
        return f"{file} cannot be read: {error.strerror or error}"
    if isinstance(error, SyntaxError):
        return f"{file} is not valid Python:\n{summary}"
    trace = "".join(report.stack.format())
    return f"{_where_any(error, file)}{summary}\n{trace}".rstrip()


def _where_any(error: BaseException, file: Path) -> str:
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    return f"{file}, line {lines[-1]}: " if lines else f"{file}: "


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib")


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # leave no traces in the user's folder
    main(sys.argv[1:])
