from __future__ import annotations

from dataclasses import replace
from datetime import date
from xml.etree import ElementTree as ET

from prometheus.core.demand import Demand
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.core.time import TradingCalendar
from prometheus.monitoring.night import day_words, place_of, run_words, scene_of_plans, scene_of_run
from prometheus.monitoring.picture import draw
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, TaskRow
from prometheus.scheduler.states import AttemptState, RunState, SloState, TaskState

CALENDAR = TradingCalendar("US_EQ")
HALF_DAY = date(2024, 11, 29)
RELEASE = CALENDAR.close_us(HALF_DAY) + 30 * MINUTE_US


def plan_for(session: date, market: str = "US_EQ") -> RunPlan:
    run, release = f"daily.{session}", CALENDAR.close_us(session) + 30 * MINUTE_US
    tasks = tuple(
        TaskPlan(f"{run}.{job}", run, job, 1, Demand(), tuple(f"{run}.{one}" for one in after), release)
        for job, after in (
            ("fetch", ()),
            ("left", ("fetch",)),
            ("right", ("fetch",)),
            ("join", ("left", "right")),
        )
    )
    slo = SloPlan(f"{run}.done", run, "done", tuple(task.task_id for task in tasks), release + 60 * MINUTE_US)
    return RunPlan(run, "daily", market, session, "pin", release, tasks, (slo,), replayed=True)


PLAN = plan_for(HALF_DAY)


def task(job: str, state: TaskState, **fields: object) -> TaskRow:
    row = TaskRow(f"{PLAN.run_id}.{job}", PLAN.run_id, job, 1, state, str(fields.pop("reason", "")))
    return replace(row, **fields)  # type: ignore[arg-type]  # fields of the dataclass by name


TASKS = (
    task("fetch", TaskState.SUCCEEDED, attempts=2, started_us=RELEASE, ended_us=RELEASE + 3 * SECOND_US),
    task("left", TaskState.RUNNING, attempts=1, started_us=RELEASE + 3 * SECOND_US),
    task("right", TaskState.READY, reason="released", refusal="it wants 4 cores, 1 is free"),
    task("join", TaskState.WAITING, reason="after left, right"),
)
ATTEMPTS = (
    AttemptRow(TASKS[0].task_id, 1, AttemptState.FAILED, "local", (), "full", RELEASE, RELEASE, RELEASE + SECOND_US),
    AttemptRow(
        TASKS[0].task_id, 2, AttemptState.SUCCEEDED, "local", (), "full",
        RELEASE + 2 * SECOND_US, RELEASE + 2 * SECOND_US, RELEASE + 3 * SECOND_US,
    ),
    AttemptRow(TASKS[1].task_id, 1, AttemptState.STARTING, "local", (), "full", RELEASE + 3 * SECOND_US),
)  # fmt: skip
RUN = RunRow(PLAN.run_id, PLAN, RunState.RUNNING, RELEASE, None, "")
SLO = SloRow(PLAN.slos[0].slo_id, PLAN.run_id, "done", PLAN.slos[0].deadline_us, SloState.ON_TRACK, None, "")
NOW = RELEASE + 5 * SECOND_US


def test_a_run_s_scene_shows_its_half_day_its_attempts_and_the_scheduler_s_own_reasons() -> None:
    scene = scene_of_run(RUN, TASKS, ATTEMPTS, (SLO,), CALENDAR, NOW)
    assert scene.lanes[0].sessions[0].note == "early close 13:00"
    assert scene.lanes[0].place == "New York"
    fetch, left, right, join = scene.strips[0].bars
    assert [one.failed for one in fetch.tries] == [True, False]
    assert left.tries[0].start_us == RELEASE + 3 * SECOND_US, (
        "an ordered attempt is drawn before it is known to run"
    )
    assert left.tries[0].end_us is None
    assert right.reason == "it wants 4 cores, 1 is free"
    assert join.reason == "after left, right"
    assert scene.now_us == NOW
    assert scene.start_us < CALENDAR.open_us(HALF_DAY) < SLO.deadline_us < scene.end_us


def test_a_night_that_has_ended_has_no_now_line() -> None:
    ended = replace(RUN, state=RunState.SUCCEEDED, ended_us=NOW)
    assert scene_of_run(ended, TASKS, ATTEMPTS, (SLO,), CALENDAR, NOW).now_us is None


def test_a_market_without_calendar_still_has_a_picture() -> None:
    svg = draw(scene_of_run(RUN, TASKS, ATTEMPTS, (SLO,), None, NOW))
    assert ET.fromstring(svg).get("role") == "img"


def test_a_run_in_one_line_counts_what_is_done_and_says_that_it_is_replayed() -> None:
    words = run_words(RUN, TASKS, NOW)
    assert words.startswith("running: 1 of 4 tasks done in 5.00 s")
    assert "replayed" in words


def test_a_plan_s_scene_has_every_session_the_holiday_and_the_longest_chain() -> None:
    first, last = date(2024, 11, 25), HALF_DAY
    plans = [plan_for(day) for day in CALENDAR.sessions(first, last)]
    scene = scene_of_plans("plan", plans, {"US_EQ": CALENDAR}, first, last, None)
    assert len(scene.lanes[0].sessions) == len(scene.strips) == 4
    assert [closure.note for closure in scene.lanes[0].closures] == ["closed"]
    start, end = scene.strips[0].bars[0].expected or (0, 0)
    assert end - start == 3 * PLAN.tasks[0].typical_us, "fetch, left or right, join"


def test_days_and_places_are_said_as_people_say_them() -> None:
    assert day_words(HALF_DAY) == "Friday 29 November 2024"
    assert place_of(CALENDAR) == "New York"
    assert place_of(None) == ""
