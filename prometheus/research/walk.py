"""The desk's own engines over past sessions: the same code in the order of a night, each session as it was known then.

A walk reads the desk's historical tables at fixed versions and writes nothing of the desk's: what the engines decide
goes into a runtime_db in the walk's own folder. So it is the same again after a crash, and whatever nightly jobs write
while it runs. Each session sees what the earlier ones decided, as on a desk that had done just these sessions.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import numpy as np

from prometheus.core.ids import Json
from prometheus.core.settings import EngineSettings, Settings
from prometheus.core.time import TradingCalendar
from prometheus.engines.configs import config_from
from prometheus.engines.engine import Chosen, Inputs, choose_engine
from prometheus.engines.outcome import ShortHistoryError, record
from prometheus.features import factor_model
from prometheus.features.nightly import read_wide
from prometheus.features.returns import TABLE as RETURNS
from prometheus.stores.desk import Desk, TaskWriter
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import lengthen, one_thread

# The engines in the order of a night.
NIGHT = ("regime", "stability", "assessment", "universe", "portfolio", "risk_report")
MODELS = factor_model.TABLE


@dataclass(frozen=True, slots=True)
class Ground:
    """What a walk decides from. `changed` is laid over the engines' settings, for those that have such a setting."""

    historical: HistoricalDb
    versions: Mapping[str, int]
    market: str
    calendar: TradingCalendar
    engines: Mapping[str, EngineSettings]
    changed: Mapping[str, Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class Walker:
    """Who walks: `attempt` fences an earlier attempt of the same task that still runs."""

    run_id: str
    task: str
    attempt: int
    pin: str


class Walk:
    """Steps through sessions, ascending. Everything it keeps is in `folder`."""

    def __init__(self, ground: Ground, folder: Path, walker: Walker) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ground = ground
        self.folder = folder
        self.runtime = RuntimeDb(f"sqlite:///{folder / 'runtime.db'}")
        self._walker = walker
        self._own = HistoricalDb(folder / "historical")
        self._chosen = {name: choose_engine(name, ground.engines) for name in NIGHT}
        self.configs = {
            name: _config(one, ground.changed.get(name, {})) for name, one in self._chosen.items()
        }
        claim = self.runtime.claim(f"{walker.run_id}.{walker.task}", walker.attempt)
        writer = TaskWriter(
            self._own, self.runtime, claim, walker.run_id, walker.task, walker.pin, ground.market
        )
        self._desk = Desk(self._own, self.runtime, writer, Settings())
        self._view: HistoricalView | None = None

    def close(self) -> None:
        self.runtime.close()

    def discard(self) -> None:
        """Remove everything that the walk has kept."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def has_decided(self, session: date) -> bool:
        """Whether the walk's portfolio of a session is there: a folder may have been lost with its machine."""
        return bool(self.runtime.decisions(session, self.ground.market, "portfolio"))

    def step(self, session: date) -> dict[str, dict[str, Json]]:
        """Every engine's decision for `session`, kept; returns each one's summary. Again = the same rows again.

        Raises what an engine raises: too little history, no portfolio, an overtaken attempt.
        """
        ground = self.ground
        told = {}
        with one_thread():
            view = self.view(session)
            for name, chosen in self._chosen.items():
                inputs = Inputs(view, self.runtime, ground.market, ground.calendar)
                outcome = chosen.engine.run(session, inputs, self.configs[name])
                told[name] = record(
                    self._desk,
                    outcome,
                    run_id=self._walker.run_id,
                    task=name,
                    implementation=chosen.implementation,
                )
        return told

    def view(self, session: date) -> HistoricalView:
        """What the desk knew at the end of `session`, with the factor model of that session whoever computed it."""
        if self._view is not None and self._view.as_of_date == session:
            return self._view
        self._view = self._seen(session)
        return self._view

    def _seen(self, session: date) -> HistoricalView:
        ground = self.ground
        known = ground.historical.as_of(session, market=ground.market, versions=ground.versions)
        if known.has(MODELS, session):
            return known
        self._model(known)
        return ground.historical.as_of(
            session, market=ground.market, versions=ground.versions, elsewhere={MODELS: self._own}
        )

    def _model(self, known: HistoricalView) -> None:
        """Put the factor model of the view's session into the walk's own store: nightly jobs keep only some."""
        session = known.as_of_date
        days = known.dates(RETURNS)
        if not days or days[-1] != session:
            raise ShortHistoryError(
                f"{session} cannot be walked: {RETURNS} ends at {days[-1] if days else 'nothing'}",
                allowed="sessions with prices",
            )
        wide = read_wide(known, RETURNS, "ret_1d", days[-factor_model.WINDOW :][0])
        model = factor_model.fit(wide["ret_1d"], wide.instruments)
        if model is None:
            raise ShortHistoryError(
                f"{session} cannot be walked: it has {len(days)} sessions of returns",
                allowed=f"sessions with at least {factor_model.MINIMUM}",
            )
        columns = {name: values[None, :] for name, values in model.columns().items()}
        present = np.ones((1, len(model.instruments)), dtype=np.bool_)
        frame = lengthen([session], model.instruments, columns, present)
        # Only the session at hand: a table of thousands of small versions is slow to open.
        shutil.rmtree(self.folder / "historical", ignore_errors=True)
        write = WriteId(
            self._walker.run_id, self._walker.task, MODELS, self._walker.attempt, self._walker.pin
        )
        self._own.write_days(MODELS, frame, write, market=self.ground.market)


def _config(chosen: Chosen, changed: Mapping[str, Json]) -> object:
    known = {field.name for field in fields(chosen.engine.config)}
    laid_over = {
        **chosen.config,
        **{name: value for name, value in changed.items() if name in known},
    }
    made: object = config_from(chosen.engine.config, chosen.engine.name, {"config": laid_over})
    return made
