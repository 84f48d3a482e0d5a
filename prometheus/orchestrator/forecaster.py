"""The process that looks ahead: asked on stdin, it reads the ledger, runs the scheduler ahead, and says what it saw.

`python -m prometheus.orchestrator.forecaster` takes one JSON object, an `Ask`, as the first line of stdin and prints
one line: the event `ForecastMade` in the ledger's own encoding, or `{"error": ...}`. It writes nothing else and nowhere
else, and ends when its stdin does: with whoever asked.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import parent_process
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus.scheduler.events import ForecastMade
    from prometheus.scheduler.snapshot import Snapshot

NICENESS = 10  # whoever works on the night goes first
FIRST_SAMPLES = 4  # to learn what a sample costs
CAUSES_KEPT = 5  # critical tasks of each promise that are told on
BUDGET_US = 15_000_000  # of processor: what all samples together may cost


@dataclass(frozen=True, slots=True)
class Ask:
    """What a forecast is to be made of."""

    ledger_url: str
    run_id: str
    now_us: int  # on the run's clock
    samples: int
    seed: int  # of the draws and of the scheduler
    histories: Mapping[str, Sequence[int]]  # this and what follows as in `outlooks.Basis`
    failing: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.0

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of_json(cls, line: str) -> Ask:
        """The ask of `to_json`."""
        return cls(**json.loads(line))


def look_ahead(snapshot: Snapshot, ask: Ask, heed: Callable[[], None] = lambda: None) -> ForecastMade:
    """The forecast of a run as its rows say it; of fewer samples where so many would take too long.

    `heed` is called after each sample that this process draws.
    """
    from prometheus.forecast.foresee import Samples, View
    from prometheus.forecast.outlook import AHEAD_US
    from prometheus.orchestrator.clock import monotonic_us
    from prometheus.orchestrator.outlooks import Basis, outlook_of
    from prometheus.orchestrator.sharing import draw_shared
    from prometheus.scheduler.core import Scheduler
    from prometheus.scheduler.events import ForecastMade, TimePassed

    scheduler = Scheduler.restore(snapshot, ask.seed)
    now_us = max(ask.now_us, scheduler.now_us)
    promises = scheduler.open_slos()
    view = View(
        scheduler,
        outlook_of(snapshot, Basis(ask.histories, ask.failing, ask.spread)),
        until_us=max([now_us, *(slo.deadline_us for slo in promises)]) + AHEAD_US,
        seed=ask.seed,
        first=[TimePassed(now_us)],
        concerning={slo.slo_id for slo in promises},
    )

    def draw(first: int, count: int) -> Samples:
        return view.draw(first, count, lambda *_: heed())

    begun_us = monotonic_us()
    samples = draw(0, min(FIRST_SAMPLES, ask.samples))
    each_us = max(1, (monotonic_us() - begun_us) // samples.count)
    more = min(ask.samples, BUDGET_US // each_us) - samples.count
    if more > 0:
        samples.add(draw_shared(draw, samples.count, more))
    found = view.forecast(samples)
    said = tuple(replace(one, critical=one.critical[:CAUSES_KEPT]) for one in found.slos)
    return ForecastMade(now_us, found.made_us, found.samples, said)


def main() -> None:
    """One question, one answer."""
    os.nice(NICENESS)
    line = sys.stdin.readline()
    try:
        answer = _answer(line)
    except Exception as error:  # noqa: BLE001  # whatever it is, the asker must hear of it in a line
        answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()
    os._exit(0)  # nothing here needs a farewell


def _answer(line: str) -> str:
    from prometheus.ledger.encoding import event_to_json
    from prometheus.ledger.opening import open_ledger

    ask = Ask.of_json(line)
    ledger = open_ledger(ask.ledger_url, create=False)
    try:
        snapshot = ledger.load(ask.run_id)
    finally:
        ledger.close()
    return json.dumps(event_to_json(look_ahead(snapshot, ask, _end_if_the_asker_has)), allow_nan=False)


def _end_if_the_asker_has() -> None:
    """The asker says no second line: there is something to read when it has closed the pipe. No thread waits for that,
    since a process of several threads must not be copied: a copy of a lock that another holds is never released. Copies heed
    this process instead (`sharing`).
    """
    if parent_process() is None and select.select([sys.stdin.fileno()], [], [], 0)[0]:
        os._exit(2)


if __name__ == "__main__":
    main()
