"""What an engine is, and which one decides: the shipped engine of a name, or the one that the desk's settings name.

An engine is a value with three things: `name`, `config` (a frozen dataclass with defaults) and
`run(as_of_date, inputs, config) -> Outcome`. It reads what `inputs` shows and writes nothing. A desk puts its own in the
place of a shipped one with

    [engines.assessment]
    use = "mydesk.scores:engine"          # package.module:name, or path/file.py:name
    config = { weight = 0.5 }             # laid over the engine's defaults

and nothing else changes: the same job runs it, and its decision says which implementation decided.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.core.settings import EngineSettings
from prometheus.core.time import TradingCalendar
from prometheus.engines.outcome import Outcome
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import RuntimeDb

# Where each shipped engine stands; its module is imported only by the job that runs it, since solvers load slowly.
SHIPPED: Mapping[str, str] = {
    "regime": "prometheus.engines.regime.engine:engine",
    "stability": "prometheus.engines.stability.engine:engine",
    "assessment": "prometheus.engines.assessment.engine:engine",
    "universe": "prometheus.engines.universe.engine:engine",
    "portfolio": "prometheus.engines.portfolio.engine:engine",
    "global_view": "prometheus.engines.global_view.engine:engine",
    "risk_report": "prometheus.engines.risk_report.engine:engine",
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an engine may look at: nothing in it is later than the date that it decides for."""

    view: HistoricalView
    runtime: RuntimeDb
    market_id: str
    calendar: TradingCalendar  # as it was known when the run was opened


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. `config` is a frozen dataclass all of whose fields have defaults."""

    name: str
    config: type
    # Any: each engine's `run` takes its own configuration class, which a field's type cannot tie to `config`.
    run: Callable[[date, Inputs, Any], Outcome]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The engine that decides, how it is told apart in the record (None = shipped), and the settings laid over it."""

    engine: Engine
    implementation: str | None
    config: Mapping[str, Json]


def choose_engine(name: str, settings: Mapping[str, EngineSettings]) -> Chosen:
    """The engine that decides for `name`; raises `UserError` if the one that the settings name cannot be used."""
    chosen = settings.get(name, EngineSettings())
    if chosen.use is None:
        if name not in SHIPPED:
            raise UserError(f"there is no engine {name!r}", allowed=", ".join(SHIPPED))
        return Chosen(_load(SHIPPED[name], name), None, chosen.config)
    return Chosen(_load(chosen.use, name), _implementation(chosen.use), chosen.config)


def _load(target: str, name: str) -> Engine:
    place, _, attribute = target.partition(":")
    try:
        found: object = getattr(_module(place), attribute or "engine")
    except FileNotFoundError as error:
        raise UserError(
            f"the {name} engine {target!r} cannot be loaded: there is no file {Path(place).resolve()}",
            allowed="package.module:name or path/file.py:name of an `Engine`",
            hint=f"see [engines.{name}] in prometheus.toml; paths are relative to the folder where it lies",
        ) from error
    except Exception as error:  # a user's module may raise anything while it is imported
        raise UserError(
            f"the {name} engine {target!r} cannot be loaded: {type(error).__name__}: {error}",
            allowed="package.module:name or path/file.py:name of an `Engine`",
            hint=f"see [engines.{name}] in prometheus.toml",
        ) from error
    if not isinstance(found, Engine) or found.name != name:
        told = f"the engine {found.name!r}" if isinstance(found, Engine) else type(found).__name__
        raise UserError(
            f"{target!r} is {told}, not the {name} engine",
            allowed=f"Engine(name={name!r}, config=..., run=...)",
        )
    return found


def _module(place: str) -> Any:  # a module: what it holds is looked at by the caller
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    # Named by its text: a worker that serves many nights must not keep what the file said on the first one.
    name = f"prometheus_engine_{path.stem}_{_hash_of(path)}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # before it runs: dataclasses look their module up by name
    try:
        # Compiled here, not by the import system: that would take bytecode kept for a file of equal size and second.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102  # the desk's own engine
    except BaseException:
        del sys.modules[name]
        raise
    return module


def implementation_of(engine: Engine) -> str:
    """How an engine that was given as a value is told apart in the record: file, name and the hash of the file."""
    code = getattr(engine.run, "__code__", None)
    if code is not None and os.path.isfile(code.co_filename):
        path = Path(code.co_filename)
        return f"{path.name}:{engine.run.__qualname__}@{_hash_of(path)}"
    kind = type(engine.run)
    return f"{kind.__module__}:{kind.__qualname__}"


def _implementation(target: str) -> str:
    """`target`, with the hash of its file if it is one: a decision says which text decided."""
    place = target.partition(":")[0]
    return f"{target}@{_hash_of(Path(place))}" if place.endswith(".py") else target


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
