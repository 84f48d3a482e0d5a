"""Read models: what the ledgers and stores say, shaped for a person's question. Nothing here writes.

Nights are found in the settings' ledger and in the files of replayed sessions; a ledger named by a flag or a variable
is asked alone.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus.core.errors import StoreError, UserError
from prometheus.core.settings import Settings
from prometheus.ledger.contract import Ledger, LedgerUnavailableError
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import DONE, ENDED, HOLDING_ROOM, RunState, SloState, TaskState

if TYPE_CHECKING:
    from prometheus.engines.decision_log.story import Story

NIGHTS = 10  # shown when nobody says how many
REPLAYS_LOOKED_AT = 50  # the newest files of replayed sessions

_log = logging.getLogger(__name__)  # to stderr, where nobody set it up otherwise


@dataclass(frozen=True, slots=True)
class Night:
    """One run as its ledger has it."""

    run: RunRow
    tasks: tuple[TaskRow, ...]
    slos: tuple[SloRow, ...]
    ledger_url: str
    leader: str | None  # who works on its ledger now; None = nobody, "" = cannot be told

    @property
    def is_abandoned(self) -> bool:
        """It has not ended, and nobody works on it."""
        return self.run.state is RunState.RUNNING and self.leader is None

    def counts(self) -> Counter[TaskState]:
        return Counter(task.state for task in self.tasks)

    def late(self) -> list[SloRow]:
        """Promises that are broken, or will be unless somebody acts."""
        return [slo for slo in self.slos if slo.state in (SloState.MISSED, SloState.WILL_MISS)]

    def at_risk(self) -> list[SloRow]:
        """Promises that the forecast misses too often."""
        return [slo for slo in self.slos if slo.state is SloState.AT_RISK]


def nights(settings: Settings, limit: int = NIGHTS, asked: str = "") -> list[Night]:
    """The newest runs, by session and then by when they were opened. Raises the stores' errors.

    A replay's file that cannot be read is left out, and said so, unless it is that of the run or task that is `asked` for.
    """
    found: list[Night] = []
    for url in ledger_urls(settings):
        try:
            found += _nights_in(url, limit)
        except StoreError as error:
            leave_out(settings, url, error, [asked])
    found.sort(
        key=lambda night: (night.run.plan.session, night.run.opened_us, night.run.run_id), reverse=True
    )
    return found[:limit]


def _nights_in(url: str, limit: int) -> list[Night]:
    with _reading(url) as ledger:
        leader = leader_of(url)
        return [
            Night(run, tuple(ledger.tasks(run.run_id)), tuple(ledger.slos(run.run_id)), url, leader)
            for run in ledger.runs(limit=limit)
        ]


def leave_out(settings: Settings, url: str, error: StoreError, asked: Collection[str]) -> None:
    """Say that a replay's ledger cannot be read, so that the others can be; raises `error` where that will not do.

    It will not for the settings' own ledger, and not for the file of a run that, or a task of which, is `asked` for.
    """
    path = sqlite_path(url)
    if url == settings.ledger_url or path is None:
        raise error
    run_id = path.stem
    if any(name == run_id or name.startswith(f"{run_id}.") for name in asked):
        raise error
    hint = f"move it out of {path.parent}; `prometheus run` with --again replays that night anew"
    if isinstance(error, LedgerUnavailableError):
        hint = error.hint or "try again in a moment"
    _log.warning("prometheus: the replay %s is left out: %s\n  hint: %s", run_id, error.message, hint)


def night_of(settings: Settings, run_id: str) -> Night:
    """The run of that id, wherever it is. `UserError` if there is none, with the nearest names."""
    everything = nights(settings, 1_000, run_id)
    for night in everything:
        if night.run.run_id == run_id:
            return night
    raise unknown("run", run_id, [night.run.run_id for night in everything])


def attempts_of(night: Night, tasks: Sequence[TaskRow] | None = None) -> tuple[AttemptRow, ...]:
    """The attempts of some tasks of a night (default: all), task by task, in order."""
    with _reading(night.ledger_url) as ledger:
        if tasks is None:
            return tuple(ledger.attempts_of(night.run.run_id))
        return tuple(row for task in tasks if task.attempts for row in ledger.attempts(task.task_id))


def ledger_urls(settings: Settings) -> list[str]:
    """The ledgers that exist: the settings' own, then those of replayed sessions, newest first.

    One that `--ledger` names stands alone: `UserError` if it does not exist.
    """
    found = [settings.ledger_url] if exists(settings.ledger_url) else []
    if settings.ledger.alone:
        if not found:
            raise UserError(
                f"there is no ledger at {settings.ledger.url}",
                hint="`prometheus run` makes it; or correct --ledger",
            )
        return found
    files = sorted(
        (settings.home / "replay").glob("*.db"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    return found + [f"sqlite:///{path}" for path in files[:REPLAYS_LOOKED_AT]]


def exists(url: str) -> bool:
    """Whether a database is there to be read; a server is taken to be."""
    path = sqlite_path(url)
    return path is None or path.is_file()


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for a server."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UserError(
            f"{url!r} is not the address of a database",
            allowed="sqlite:///path/to/file.db or postgresql+psycopg://user@host/database",
        ) from None
    if parsed.get_backend_name() != "sqlite":
        return None
    return Path(parsed.database or "")


def leader_of(url: str) -> str | None:
    """Who works on a ledger file now, by the note beside it; None if that process is gone or nobody left a note.

    A server's leader is "": it cannot be told from here.
    """
    path = sqlite_path(url)
    if path is None:
        return ""
    try:
        note = json.loads(Path(f"{path}.lock").read_text(encoding="utf-8"))
        owner, pid, host = str(note["owner"]), int(note["pid"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host == socket.gethostname():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it lives, and belongs to somebody else
    return owner


@contextmanager
def _reading(url: str) -> Iterator[Ledger]:
    from prometheus.ledger.opening import open_ledger

    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        ledger.close()


def unknown(kind: str, name: str, known: Sequence[str]) -> UserError:
    """An error for a name that nothing has, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif known:
        hint = "`prometheus status` lists the runs, `prometheus status RUN` the tasks of one"
    else:
        hint = "nothing has run yet; `prometheus run us_eq_daily --session 2016-06-24` is a first night"
    return UserError(f"there is no {kind} {name!r} in the ledgers", hint=hint)


def decisions_of(
    settings: Settings, session: date, engine: str | None = None, market: str | None = None
) -> list[Mapping[str, Any]]:
    """The decision log of a session, in order. `UserError` when there is none, saying what there is."""
    from prometheus.stores.runtime import RuntimeDb

    hint = f"`prometheus run us_eq_daily --session {session}` decides that session"
    if not exists(settings.runtime_url):
        raise StoreError(f"nothing has been decided yet: there is no {settings.runtime_url}", hint=hint)
    store = RuntimeDb(settings.runtime_url)
    try:
        rows = store.decisions(session, market, engine)
        if not rows:
            every = store.decisions(session)
            if every:
                raise UserError(
                    f"no decision for {session} is of engine {engine!r}, market {market!r}",
                    allowed="engines " + ", ".join(sorted({str(row["engine"]) for row in every})),
                )
            last = store.last_date("engine_decisions", before=date.max)
            known = f"; the latest one decided is {last}" if last else ""
            raise UserError(f"nothing was decided for {session}", hint=hint + known)
        return list(rows)
    finally:
        store.close()


def story_of(settings: Settings, session: date, instrument: str, market: str | None = None) -> Story:
    """All that a session's decisions say of one instrument. `UserError` when there are none, or none about it."""
    from prometheus.engines.decision_log.story import story
    from prometheus.stores.runtime import RuntimeDb

    decided = decisions_of(settings, session, None, market)
    markets = sorted({str(row["market_id"]) for row in decided if row["engine"] == "universe"})
    if len(markets) > 1:
        raise UserError(
            f"several markets decided on {session}",
            allowed=", ".join(markets),
            hint="choose one with --market",
        )
    store = RuntimeDb(settings.runtime_url)
    try:
        return story(store, session, markets[0] if markets else str(decided[0]["market_id"]), instrument)
    finally:
        store.close()


# What a night's picture and its words need alike.


def running(night: Night) -> list[TaskRow]:
    """Tasks that hold room now."""
    return [task for task in night.tasks if task.state in HOLDING_ROOM]


def waiting(night: Night) -> list[TaskRow]:
    """Tasks that have not ended and do not run."""
    return [task for task in night.tasks if task.state not in ENDED and task.state not in HOLDING_ROOM]


def ill(night: Night) -> list[TaskRow]:
    """Ended, and not well: what a person may have to look at; the causes before what they blocked."""
    order = {TaskState.FAILED: 0, TaskState.CANCELLED: 1, TaskState.BLOCKED: 2}
    found = [task for task in night.tasks if task.state in ENDED and task.state not in DONE]
    return sorted(found, key=lambda task: order[task.state])
