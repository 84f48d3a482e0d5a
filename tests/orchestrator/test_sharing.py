"""Samples drawn by several processes are those that one would have drawn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from bench.nights import make_night
from prometheus.forecast.foresee import Samples, View
from prometheus.forecast.outlook import Outlook
from prometheus.orchestrator.sharing import DrawingFailedError, draw_shared
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import CapacityChanged, RunOpened

NIGHT = make_workload(make_night(3, 1.0))


def view_of_the_night() -> View:
    scheduler = Scheduler(0)
    scheduler.handle([CapacityChanged(NIGHT.start_us, NIGHT.capacity), RunOpened(NIGHT.start_us, NIGHT.plan)])
    return View(scheduler, Outlook(NIGHT.histories), until_us=NIGHT.horizon_us - 1)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_forecast_is_the_same_whoever_draws(processes: int) -> None:
    view = view_of_the_night()
    alone = view.forecast(view.draw(4, 5))
    assert view.forecast(draw_shared(view.draw, 4, 5, processes)) == alone


def test_each_process_draws_some_of_the_samples() -> None:
    def draw(first: int, count: int) -> Samples:
        return Samples(count, starts={str(os.getpid()): list(range(first, first + count))})

    found = draw_shared(draw, 0, 7, 3)
    assert found.count == 7
    assert sorted(
        number for numbers in found.starts.values() for number in numbers if number is not None
    ) == [*range(7)]
    assert len(found.starts) == 3


def test_a_process_that_dies_is_an_error_and_no_smaller_forecast() -> None:
    def draw(first: int, count: int) -> Samples:
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
        return Samples(count)

    with pytest.raises(DrawingFailedError, match="-9"):
        draw_shared(draw, 0, 4, 2)


GONE = """
import os, sys, time
from prometheus.forecast.foresee import Samples
from prometheus.orchestrator.sharing import draw_shared

def draw(first, count):
    if first >= 50:
        print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(2 if first >= 50 else 3600)
    return Samples(count)

draw_shared(draw, 0, 100, 2)
"""


def test_nobody_draws_on_for_an_asker_who_is_gone() -> None:
    asker = subprocess.Popen(
        [sys.executable, "-c", GONE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asker.stdout is not None
    assert asker.stderr is not None
    other = psutil.Process(int(asker.stderr.readline()))
    asker.kill()
    asker.wait()
    assert asker.stdout.read() == ""  # its copy does not keep the pipe open for whoever reads
    other.wait(timeout=60)  # its fifty samples would last a hundred seconds
    asker.stdout.close()
    asker.stderr.close()


def test_a_process_with_threads_draws_alone() -> None:
    def draw(first: int, count: int) -> Samples:
        return Samples(count, starts={str(os.getpid()): []})

    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    try:
        assert set(draw_shared(draw, 0, 100).starts) == {str(os.getpid())}
    finally:
        waiting.set()
        thread.join()
