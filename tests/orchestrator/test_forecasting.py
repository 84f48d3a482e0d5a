"""What a run hears of its forecaster, whatever that does; the forecaster's process is a real one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from nights import RUN, machine, run_of, task, tid

from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.core.settings import load_settings
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.forecaster import Ask
from prometheus.orchestrator.forecasting import (
    COMMAND,
    FIRST_RETRY_US,
    LAST_RETRY_US,
    SETTLING_US,
    Forecasting,
    Pace,
    read_answer,
)
from prometheus.orchestrator.foreground import Progress, RunReport, RunRequest, run_pipeline
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    ForecastMade,
    RunOpened,
    TimePassed,
)
from prometheus.scheduler.plan import SloPlan
from prometheus.scheduler.states import SloState

T0 = 1_466_000_000 * SECOND_US
SLO = SloPlan("s", RUN, "ready", (tid("b"),), T0 + 5 * MINUTE_US)


class Desk:
    """A ledger with one run of two tasks, a scheduler that stands there, and what the forecasting says of it."""

    def __init__(self, folder: Path, command: Sequence[str] = COMMAND, limit_seconds: float = 60.0) -> None:
        url = f"sqlite:///{folder / 'ledger.db'}"
        ledger, self.scheduler = open_ledger(url), Scheduler()
        plan = run_of(
            task("a", release_us=T0),
            task("b", "a", release_us=T0),
            task("c", tier=3, release_us=T0),
            slos=(SLO,),
        )
        events: list[Event] = [CapacityChanged(T0, machine()), RunOpened(T0, plan)]
        ledger.commit(ledger.acquire("a test", T0), 1, T0, events, self.scheduler.handle(events))
        ledger.close()
        self.clock_us, self.woken, self.told = T0, threading.Event(), list[str]()
        self.forecasting = Forecasting(
            Ask(url, RUN, T0, 20, 0, {tid("a"): [MINUTE_US], tid("b"): [2 * MINUTE_US]}),
            self.scheduler,
            {one.task_id: one.tier for one in plan.tasks},
            lambda: self.clock_us,
            every_us=5 * MINUTE_US,
            wake=self.woken.set,
            tell=self.told.append,
            command=command,
            limit_seconds=limit_seconds,
        )

    def ask(self) -> ForecastMade | None:
        """One forecast, from its beginning to its answer."""
        self.forecasting.pace.due_us = 0
        assert self.forecasting.look() is None
        assert self.woken.wait(60)
        self.woken.clear()
        return self.forecasting.look()


def says(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"print({text!r})"


def test_the_forecaster_reads_the_ledger_and_says_what_histories_make_likely(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.clock_us = T0 + SECOND_US
    made = desk.ask()
    assert made is not None
    assert (made.at_us, made.made_us, made.samples) == (T0 + SECOND_US, T0 + SECOND_US, 20)
    (said,) = made.slos
    assert (said.slo_id, said.miss) == ("s", 0)
    assert said.p50_us == T0 + SECOND_US + 3 * MINUTE_US
    assert desk.told == []
    desk.clock_us = T0 + 3 * MINUTE_US
    later = desk.ask()
    assert later is not None
    assert later.slos[0].miss == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ((sys.executable, "-c", ""), "the forecaster died"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "the forecaster died"),
        (says("Segmentation fault"), "the forecaster said 'Segmentation fault"),
        (says('{"error": "no memory"}'), "the forecaster failed: no memory"),
        (says('{"v":1,"k":"TimePassed","at_us":1}'), "what no forecast can be"),
        (says("[]"), "what no forecast can be"),
        (("/no/such/program",), "cannot be started"),
    ],
)
def test_a_forecaster_that_dies_or_says_rubbish_is_told_of_once_and_tried_later(
    tmp_path: Path, command: Sequence[str], told: str
) -> None:
    desk = Desk(tmp_path, command)
    for _ in range(2):
        desk.forecasting.pace.due_us = 0
        assert desk.forecasting.look() is None
        if command[0] == sys.executable:
            assert desk.woken.wait(60)
            desk.woken.clear()
        assert desk.forecasting.look() is None
    assert len(desk.told) == 1
    assert told in desk.told[0]
    assert "the run goes on" in desk.told[0]
    idle_us = desk.forecasting.idle_for_us()
    assert idle_us is not None
    assert FIRST_RETRY_US < idle_us <= 2 * FIRST_RETRY_US


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path, (sys.executable, "-c", "import sys\nwhile True: sys.stdin.readline()"), 0.2)
    assert desk.ask() is None
    assert "had not ended after 0.2 s" in desk.told[0]


def test_one_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path, (sys.executable, "-c", "while True: print('x' * 100_000)"))
    assert desk.ask() is None
    assert "the forecaster said 'xxx" in desk.told[0]


def test_when_it_is_well_again_the_note_is_taken_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.forecasting._fail("the machine was busy")
    assert desk.ask() is not None
    assert desk.told == ["no forecast for now, the run goes on without: the machine was busy", ""]


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 0},
        {"made_us": "now"},
        {"slos": [{"slo_id": "s", "miss": 1.5}]},
        {"slos": [{"slo_id": "s", "miss": float("nan")}]},
        {"slos": [{"slo_id": 3, "miss": 0.5}]},
        {"slos": [{"slo_id": "s", "miss": True}]},
        {"slos": [{"slo_id": "s", "p50_us": 1 << 70}]},
        {"slos": [{"slo_id": "s", "critical": [["a", 2.0]]}]},
        {"slos": {}},
    ],
)
def test_an_answer_is_believed_only_so_far(change: dict[str, object]) -> None:
    said = {
        "slo_id": "s",
        "miss": 0.5,
        "p50_us": 1,
        "p90_us": None,
        "p99_us": None,
        "critical": [],
        "known": 1.0,
    }
    good = {"v": 1, "k": "ForecastMade", "at_us": 1, "made_us": 1, "samples": 5, "slos": [said]}
    assert read_answer(json.dumps(good).encode()).samples == 5
    if isinstance(change.get("slos"), list):
        change = {"slos": [said | one for one in change["slos"]]}  # type: ignore[attr-defined]  # a list, as asked
    with pytest.raises(ValueError, match="forecast"):
        read_answer(json.dumps(good | change).encode())


def test_nothing_outlives_the_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path, (sys.executable, "-c", "import sys\nwhile True: sys.stdin.readline()"))
    desk.forecasting.pace.due_us = 0
    desk.forecasting.look()
    process = desk.forecasting._process
    assert process is not None
    desk.forecasting.close()
    assert process.poll() is not None


def test_a_forecaster_ends_with_whoever_asked() -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.communicate(timeout=60)
    assert process.returncode is not None


def test_without_an_open_promise_no_process_is_begun(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("/no/such/program",))
    desk.scheduler.handle([TimePassed(SLO.deadline_us + 1)])
    desk.forecasting.pace.due_us = 0
    assert desk.forecasting.look() is None
    assert desk.told == []


def test_only_what_matters_to_tier_1_or_to_a_promise_asks_for_a_forecast(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    heard = desk.forecasting.heard
    failed = AttemptFailed(T0, tid("c"), 1, Failure.ERROR, "no")
    for event in (TimePassed(T0), AttemptStarted(T0, tid("a"), 1), AttemptSucceeded(T0, tid("c"), 1), failed):
        heard([event], [])
        assert desk.forecasting.pace.due_us is None, event
    warned = ForecastMade(T0, T0, 9, ())
    heard([warned], desk.scheduler.handle([TimePassed(SLO.deadline_us + 1)]))
    assert desk.forecasting.pace.due_us is None, "what a forecast has changed asks for no other"
    for event in (
        AttemptSucceeded(T0, tid("a"), 1),
        AttemptFailed(T0, tid("a"), 1, Failure.ERROR, "no"),
        CapacityChanged(T0, machine()),
    ):
        desk.forecasting.pace.due_us = None
        heard([event], [])
        assert desk.forecasting.pace.due_us is not None, event


def test_it_looks_again_after_a_while_as_long_as_tier_1_is_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.forecasting.idle_for_us() == 5 * MINUTE_US
    desk.clock_us += 5 * MINUTE_US
    assert desk.forecasting.idle_for_us() == 0
    desk.forecasting.look()
    assert desk.forecasting.pace.due_us is not None


def test_forecasts_take_a_twentieth_of_the_time_and_a_fifth_in_trouble() -> None:
    pace = Pace()
    pace.want(0, is_urgent=False)
    pace.want(SECOND_US, is_urgent=False)
    assert pace.due_us == SETTLING_US
    pace.due_us = None
    pace.made(10 * SECOND_US, took_us=4 * SECOND_US)
    pace.want(11 * SECOND_US, is_urgent=False)
    assert pace.due_us == 86 * SECOND_US
    pace.want(11 * SECOND_US, is_urgent=True)
    assert pace.due_us == 26 * SECOND_US


def test_the_wait_after_failures_doubles_up_to_ten_minutes_and_a_success_ends_it() -> None:
    pace, waits = Pace(), []
    for _ in range(8):
        pace.failed(0)
        assert pace.due_us is not None
        waits.append(pace.due_us)
    assert waits[:3] == [FIRST_RETRY_US, 2 * FIRST_RETRY_US, 4 * FIRST_RETRY_US]
    assert waits[-1] == LAST_RETRY_US
    pace.made(0, 1)
    assert pace.failed(0) is True


# --- in a whole run ---


def run(
    folder: Path, declared: str, seen: Callable[[Progress], object], forecast: str = ""
) -> tuple[RunReport, list[Progress]]:
    """A run whose job ends only when `seen` (of a progress) has been true."""
    (folder / "mine.py").write_text(
        "import time\nfrom pathlib import Path\nfrom prometheus.pipelines import Pipeline\n"
        "p = Pipeline('mine', market='US_EQ')\n"
        "@p.job(expect='1h', timeout='1h', retries=0)\ndef slow(task):\n"
        "    began = time.monotonic()\n"
        f"    while not Path({str(folder / 'seen')!r}).exists() and time.monotonic() < began + 100:\n"
        f"        time.sleep(0.02)\n{declared}\n"
    )
    (folder / "prometheus.toml").write_text(f"[forecast]\n{forecast}\n")
    settings = load_settings(folder, {"PROMETHEUS_HOME": str(folder / "home")})
    shown: list[Progress] = []

    def observe(progress: Progress) -> None:
        shown.append(progress)
        if seen(progress):
            (folder / "seen").touch()

    report = run_pipeline(RunRequest(f"{folder / 'mine.py'}:p", date(2016, 6, 24)), settings, observe)
    return report, shown


def test_a_run_warns_of_a_promise_before_it_is_missed_and_goes_on(tmp_path: Path) -> None:
    report, shown = run(
        tmp_path, "p.slo('soon', jobs=[slow], within='5min')", lambda now: now.slos[0].foreseen
    )
    states = list(dict.fromkeys(progress.slos[0].state for progress in shown))
    assert states == [SloState.ON_TRACK, SloState.WILL_MISS, SloState.MET]
    foreseen = report.slos[0].foreseen
    assert foreseen is not None
    assert (foreseen.said.miss, foreseen.samples) == (1.0, 100)
    warned = next(progress for progress in shown if progress.slos[0].state is SloState.WILL_MISS)
    assert warned.slos[0].reason.startswith("P(miss) 1.00 by a forecast of 100 samples")


def test_it_can_be_switched_off_and_costs_nothing_without_promises(tmp_path: Path) -> None:
    for name, declared, forecast in (
        ("off", "p.slo('soon', jobs=[slow], within='5min')", "enabled = false"),
        ("none", "", "enabled = true"),
    ):
        (tmp_path / name).mkdir()
        report, _ = run(tmp_path / name, declared, _runs, forecast)
        assert report.run.state == "succeeded"
        assert all(slo.foreseen is None for slo in report.slos)


def _runs(now: Progress) -> bool:
    return now.tasks[0].state == "running"
