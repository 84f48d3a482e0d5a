from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pytest
from rich.console import Console

from prometheus.cli.display import LineDisplay, calendar_of, display_for, frame, market_clock
from prometheus.cli.face import cell, console
from prometheus.cli.words import SIGNS, run_words, slo_words
from prometheus.core.demand import Demand
from prometheus.core.instants import HOUR_US, MINUTE_US, SECOND_US
from prometheus.orchestrator.foreground import Progress
from prometheus.scheduler.events import SloForecast
from prometheus.scheduler.plan import RunPlan, TaskPlan
from prometheus.scheduler.snapshot import Foreseen, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import RunState, SloState, TaskState

T0 = 1_466_800_200 * SECOND_US  # Friday 2016-06-24 20:30 UTC
RUN = "night.2016-06-24"


def progress(*tasks: TaskRow, note: str = "", slo: SloState = SloState.ON_TRACK) -> Progress:
    plans = tuple(TaskPlan(task.task_id, RUN, task.job, task.tier, Demand()) for task in tasks)
    plan = RunPlan(RUN, "night", "US_EQ", date(2016, 6, 24), "pin", T0, plans, replayed=True)
    promise = SloRow("s", RUN, "engines", T0 + 90 * MINUTE_US, slo, None, "")
    row = RunRow(RUN, plan, RunState.RUNNING, T0, None, "")
    return Progress(T0 + 2 * SECOND_US, row, tasks, (promise,), (), note)


def task(job: str, state: TaskState, **fields: object) -> TaskRow:
    row = TaskRow(f"{RUN}.{job}", RUN, job, 1, state, "")
    return replace(row, **fields)  # type: ignore[arg-type]  # fields of the dataclass by name


def shown(made: Progress, now_us: int | None = None, height: int = 40, width: int = 120) -> str:
    stream = io.StringIO()
    screen = Console(file=stream, width=width, height=height, markup=False, highlight=False)
    screen.print(frame(made, made.now_us if now_us is None else now_us, calendar_of("US_EQ")))
    return stream.getvalue()


@pytest.mark.parametrize("state", list(TaskState))
def test_every_state_of_a_task_has_a_sign_of_its_own(state: TaskState) -> None:
    assert sum(sign == SIGNS[state][0] for sign, _ in SIGNS.values()) == 1


def test_every_state_of_a_run_and_of_a_promise_is_said_in_words() -> None:
    assert {run_words(state).plain for state in RunState} == {state.value for state in RunState}
    assert {slo_words(state).plain for state in SloState} == {
        "on track",
        "at risk",
        "will miss",
        "recovered",
        "met",
        "missed",
    }


def test_the_frame_shows_clock_tasks_and_countdown() -> None:
    text = shown(progress(task("prices", TaskState.RUNNING, started_us=T0, attempts=1)))
    assert "night for Friday 24 June 2016 (US_EQ, replayed), 1 tasks" in text
    assert "Fri 20:30:02 UTC · 16:30 New York · US_EQ POST_CLOSE" in text
    assert "2.00 s" in text
    assert "due 22:00, in 1 h 30 min" in text
    assert "▲" in text


def test_the_clock_runs_on_between_turns() -> None:
    made = progress(task("prices", TaskState.RUNNING, started_us=T0, attempts=1))
    text = shown(made, made.now_us + 3 * SECOND_US)
    assert "20:30:05 UTC" in text
    assert "5.00 s" in text


def test_a_task_that_only_waits_for_room_shows_the_refusal() -> None:
    text = shown(progress(task("fit", TaskState.READY, refusal="it wants 4 cores, 1 is free")))
    assert "it wants 4 cores, 1 is free" in text


def test_trouble_with_the_ledger_is_on_the_screen() -> None:
    assert "waiting for the ledger" in shown(
        progress(note="waiting for the ledger, nothing is lost: disk full")
    )


@pytest.mark.parametrize("height", [12, 24, 50])
def test_ten_thousand_tasks_fit_on_any_screen(height: int) -> None:
    tasks = [
        task(f"t{n}", TaskState.RUNNING if n % 100 == 0 else TaskState.WAITING, started_us=T0)
        for n in range(10_000)
    ]
    text = shown(progress(*tasks), height=height, width=80)
    assert len(text.splitlines()) <= max(height, 16)
    assert "▶ running 100" in text
    assert "· waiting 9,900" in text


def test_without_a_terminal_there_is_a_line_for_each_change_and_nothing_else() -> None:
    stream = io.StringIO()
    lines = display_for(console(stream), False, lambda: 0)
    assert isinstance(lines, LineDisplay)
    begun = task("prices", TaskState.RUNNING, started_us=T0, attempts=1)
    lines.show(progress(begun))
    lines.show(progress(begun))
    lines.show(progress(replace(begun, state=TaskState.SUCCEEDED, ended_us=T0 + SECOND_US), slo=SloState.MET))
    assert [line.split("  ")[1:] for line in stream.getvalue().splitlines()[1:]] == [
        ["prices", "running"],
        ["prices", "succeeded", "1.00 s"],
        ["promise engines: met"],
    ]


def test_outside_of_the_calendar_there_is_still_a_clock() -> None:
    assert market_clock(T0 - 50 * 366 * 86_400 * SECOND_US, calendar_of("US_EQ")).endswith("UTC")
    assert calendar_of("MOON") is None


def test_a_job_s_control_characters_never_reach_the_terminal() -> None:
    assert cell("\x1b[2Jgone\x07") == "?[2Jgone?"


def test_a_promise_in_danger_is_warned_of_with_its_reason_before_it_is_missed() -> None:
    said = SloForecast("slo", 0.41, T0 + HOUR_US, T0 + 2 * HOUR_US, None, (("night.prices", 0.6),))
    begun = progress(task("prices", TaskState.RUNNING, started_us=T0, attempts=1), slo=SloState.AT_RISK)
    reason = "P(miss) 0.41 by a forecast of 100 samples, 2s old; critical in it: night.prices (60%)"
    warned = replace(begun, slos=(replace(begun.slos[0], reason=reason, foreseen=Foreseen(T0, 100, said)),))
    text = shown(warned)
    assert "at risk" in text
    assert "in 1 h 30 min; P(miss) 0.41, 2.00 s old" in text
    assert reason in " ".join(text.split())
    stream = io.StringIO()
    display_for(console(stream), False, lambda: 0).show(warned)
    assert stream.getvalue().splitlines()[-1].endswith(f"promise engines: at risk  {reason}")
