"""What a picture of the desk's work shows, as plain values: sessions, runs, attempts, promises, remarks.

Whoever has rows (command line, page, docs, plan) composes a `Scene`; `picture.draw` turns it into SVG text. Instants
are microseconds since the epoch, UTC (`_us`).
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.scheduler.states import RunState, SloState, TaskState


@dataclass(frozen=True, slots=True)
class SessionBand:
    """One session of one market."""

    open_us: int
    close_us: int  # after `open_us`
    breaks: tuple[tuple[int, int], ...] = ()  # inside the session, in order
    note: str = ""  # what is unusual: "early close 13:00 New York"


@dataclass(frozen=True, slots=True)
class Closure:
    """A weekday on which the market does not open, said at the place of the session that is not there."""

    at_us: int
    note: str  # "closed"


@dataclass(frozen=True, slots=True)
class Lane:
    """One market (or, without sessions, one kind of work that follows none)."""

    name: str
    place: str = ""
    sessions: tuple[SessionBand, ...] = ()
    closures: tuple[Closure, ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt on the time axis."""

    start_us: int
    end_us: int | None = None  # None = still running
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One task."""

    name: str
    tier: int
    state: TaskState
    tries: tuple[Try, ...] = ()  # in order; empty = never started
    reason: str = ""  # shown when the task did not end well or does not run
    expected: tuple[int, int] | None = (
        None  # where it is planned to lie; drawn only while nothing has started
    )


@dataclass(frozen=True, slots=True)
class Due:
    """One promise: done by this instant."""

    name: str
    at_us: int
    state: SloState
    finished_us: int | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """One run; runs of one name in one lane share a row."""

    name: str  # pipeline
    lane: str  # name of the lane it lies under
    bars: tuple[Bar, ...] = ()
    dues: tuple[Due, ...] = ()
    state: RunState | None = None  # None = only planned
    release_us: int | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on one picture."""

    title: str
    start_us: int
    end_us: int  # after `start_us`
    subtitle: str = ""
    clock: str = ""  # large, at the right of the title
    clock_note: str = ""
    now_us: int | None = None
    lanes: tuple[Lane, ...] = ()
    strips: tuple[Strip, ...] = ()
    remarks: tuple[str, ...] = ()  # what needs a person, most urgent first
