"""One forecast by several processes: copies of this one, each of which draws some of the samples.

A copy (fork) has the scheduler and all that was read, and costs a few milliseconds; what it drew comes back through a pipe.
It matters neither to a sample nor to the forecast who drew it. A process that has threads draws alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection

from prometheus.forecast.foresee import Samples
from prometheus.orchestrator.machine import usable_cores

Draw = Callable[[int, int], Samples]  # first number, how many

AT_LEAST = 10  # samples for a process of their own
AT_MOST = 4  # processes: a forecast is to be quick, and the machine is there for the night


class DrawingFailedError(RuntimeError):
    """A process that drew samples died."""


def draw_shared(draw: Draw, first: int, count: int, processes: int | None = None) -> Samples:
    """The samples from number `first` on, by as many processes as pay and there are cores for, this one among them.

    `processes` says how many instead. Raises `DrawingFailedError`.
    """
    parts = _parts(first, count, _how_many(count) if processes is None else processes)
    if len(parts) == 1:
        return draw(first, count)
    context = get_context("fork")
    others = []
    for part in parts[1:]:
        ours, theirs = context.Pipe(duplex=False)
        pipe = ours, theirs
        other = context.Process(target=_draw_for, args=(draw, *part, pipe, os.getpid()), daemon=True)
        other.start()
        theirs.close()
        others.append((other, ours))
    found = draw(*parts[0])
    for other, ours in others:
        try:
            found.add(ours.recv())  # from our own copy, through a pipe that nobody else has
        except EOFError as error:
            other.join()
            raise DrawingFailedError(f"a process that drew samples ended with {other.exitcode}") from error
        other.join()
    return found


def _how_many(count: int) -> int:
    if "fork" not in get_all_start_methods() or threading.active_count() > 1:
        return 1  # in a copy of a process with threads a lock that another thread held is never released
    return max(1, min(AT_MOST, usable_cores(), count // AT_LEAST))


def _parts(first: int, count: int, processes: int) -> list[tuple[int, int]]:
    """(first number, how many) of each process, as equal as can be."""
    edges = [first + count * place // processes for place in range(processes + 1)]
    return [(begin, end - begin) for begin, end in pairwise(edges)]


def _draw_for(draw: Draw, first: int, count: int, pipe: tuple[Connection, Connection], asker: int) -> None:
    """In a copy: draw one by one, for nobody waits for the answer once the asker is gone."""
    ours, theirs = pipe
    ours.close()  # else nobody would be told that the asker reads no more
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # whoever reads what the asker prints must not wait for its copies
    found = Samples()
    for number in range(first, first + count):
        if os.getppid() != asker:
            os._exit(2)
        found.add(draw(number, 1))
    theirs.send(found)
    theirs.close()
