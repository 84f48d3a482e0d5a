"""From a pipeline and a session to the run that the scheduler is asked for."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import UserError
from prometheus.core.instants import HOUR_US, MINUTE_US, iso
from prometheus.core.time import NotATradingDayError, TradingCalendar
from prometheus.pipelines import Pipeline, at, barrier, every, session, trading_day_of
from prometheus.pipelines.building import build
from prometheus.pipelines.model import FaultsError, PipelineSpec
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.planning import plan_run, sessions_of

FRIDAY = date(2016, 6, 24)
CALENDAR = TradingCalendar("US_EQ")


def work(task: Any) -> None: ...


def spec(**arguments: Any) -> PipelineSpec:
    pipeline = Pipeline("p", market="US_EQ", **arguments)
    pipeline.add(work, name="b", after=["a"])
    pipeline.add(work, name="a", tier=2, timeout="5min", expect="10s", degrade=["skip"])
    return build(pipeline)


def plan(of: PipelineSpec, day: date = FRIDAY, **arguments: Any) -> RunPlan:
    return plan_run(of, day, TradingCalendar, "pin", False, **arguments)


def shipped(name: str) -> PipelineSpec:
    return build(import_module(f"prometheus.pipelines.shipped.{name}").pipeline)


@pytest.mark.parametrize(
    ("day", "release", "ingestion"),
    [
        (FRIDAY, "2016-06-24T20:30:00Z", "2016-06-25T00:00:00Z"),
        (date(2016, 1, 5), "2016-01-05T21:30:00Z", "2016-01-06T00:00:00Z"),
        (date(2016, 11, 25), "2016-11-25T18:30:00Z", "2016-11-26T00:00:00Z"),  # the day after Thanksgiving
        (date(2016, 3, 14), "2016-03-14T20:30:00Z", "2016-03-15T00:00:00Z"),  # summer time since Sunday
    ],
)
def test_the_shipped_night_starts_half_an_hour_after_whatever_the_close_is(
    day: date, release: str, ingestion: str
) -> None:
    run = plan_run(shipped("us_eq_daily"), day, TradingCalendar, "pin", True)
    assert (run.run_id, run.pin, run.replayed) == (f"us_eq_daily.{day}", "pin", True)
    assert iso(run.release_us) == release
    assert {task.release_us for task in run.tasks} == {run.release_us}
    assert iso(run.slos[0].deadline_us) == ingestion
    assert [slo.deadline_us - run.slos[0].deadline_us for slo in run.slos] == [0, HOUR_US, 75 * MINUTE_US]
    deadlines = {task.job: task.deadline_us for task in run.tasks}
    assert deadlines["validate"] == run.slos[0].deadline_us
    assert deadlines["portfolio"] == run.slos[1].deadline_us
    assert deadlines["decision_log"] == run.slos[2].deadline_us
    assert deadlines["returns"] is None


@given(st.dates(date(2007, 1, 1), date(2026, 12, 31)).filter(CALENDAR.is_trading_day))
def test_the_shipped_pipelines_can_be_planned_for_any_session(day: date) -> None:
    for name in ("us_eq_daily", "us_eq_preopen"):
        run = plan_run(shipped(name), day, TradingCalendar, "pin", True)
        assert all(slo.deadline_us > run.release_us for slo in run.slos)
        seen: set[str] = set()
        for task in run.tasks:
            assert set(task.after) <= seen
            seen.add(task.task_id)


def test_a_task_carries_what_its_job_declares() -> None:
    run = plan(spec(start=session.close))
    first, second = run.tasks
    assert (first.task_id, first.run_id, first.job) == ("p.2016-06-24.a", "p.2016-06-24", "a")
    assert (first.tier, first.timeout_us, first.retries, first.ladder) == (2, 5 * MINUTE_US, 1, ("skip",))
    assert (first.typical_us, first.cautious_us, first.late_us) == (10_000_000, 20_000_000, 30_000_000)
    assert second.after == ("p.2016-06-24.a",)
    known = plan(spec(start=session.close), durations={"a": (3, 4)})
    assert [(task.typical_us, task.cautious_us) for task in known.tasks] == [
        (3, 4),
        (second.typical_us, second.cautious_us),
    ]


@pytest.mark.parametrize("order", [("early", "late"), ("late", "early")])
def test_the_earliest_of_several_promises_is_the_deadline(order: tuple[str, str]) -> None:
    promises: dict[str, Any] = {"late": {"by": "D+1 00:00 UTC"}, "early": {"within": "60min"}}
    pipeline = Pipeline("p", market="US_EQ", start=session.close)
    pipeline.add(work, name="a")
    for name in order:
        pipeline.slo(name, **promises[name])
    run = plan(build(pipeline))
    assert [slo.slo_id for slo in run.slos] == [f"p.2016-06-24.slo.{name}" for name in order]
    assert run.tasks[0].deadline_us == run.release_us + HOUR_US
    assert run.slos[0].task_ids == ("p.2016-06-24.a",)


def test_a_day_without_a_session_names_its_neighbours() -> None:
    with pytest.raises(NotATradingDayError) as caught:
        plan(spec(start=session.close), date(2016, 7, 4))
    assert "2016-07-04" in str(caught.value)
    assert "2016-07-01" in str(caught.value)
    assert "2016-07-05" in str(caught.value)


def test_every_promise_that_could_not_be_kept_is_listed() -> None:
    pipeline = Pipeline("p", market="US_EQ", start=session.close + "30min")
    pipeline.add(work, name="a")
    pipeline.slo("before it starts", by=session.close + "10min")
    pipeline.slo("at its start", by=session.close + "30min")
    pipeline.slo("fifth day", by=trading_day_of("week", 5).close)
    pipeline.slo("fine", by=session.next.open)
    with pytest.raises(FaultsError) as caught:
        plan(build(pipeline), date(2016, 7, 7))
    assert len(caught.value.faults) == 3
    assert "2016-07-07T20:10:00Z" in caught.value.faults[0]
    assert "2016-07-07T20:30:00Z" in caught.value.faults[0]


@pytest.mark.parametrize(
    ("start", "release"),
    [
        (None, "2016-06-24T20:00:00Z"),
        (barrier(["a", "b"], cutoff="D+1 02:00 UTC"), "2016-06-25T02:00:00Z"),
        (every("15min", during="SESSION"), "2016-06-24T13:30:00Z"),
    ],
)
def test_a_run_that_no_moment_starts_is_released_when_it_is_asked_for(start: Any, release: str) -> None:
    assert iso(plan(spec(start=start)).release_us) == release
    assert plan(spec(start=start), asked_us=7).release_us == 7


def test_a_run_that_is_asked_for_too_late_is_late_and_not_faulty() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(work, name="a")
    pipeline.slo("tonight", by="D+1 00:00 UTC")
    run = plan(build(pipeline), asked_us=4 * 10**15)
    assert run.slos[0].deadline_us < run.release_us


def test_a_weekly_pipeline_runs_on_the_last_session_of_each_week() -> None:
    weekly = spec(start=trading_day_of("week", -1).close + "4h")
    days = sessions_of(weekly, CALENDAR, date(2016, 3, 14), date(2016, 4, 9))
    assert days == [
        date(2016, 3, 18),
        date(2016, 3, 24),
        date(2016, 4, 1),
        date(2016, 4, 8),
    ]  # Good Friday is shut
    assert iso(plan(weekly, date(2016, 3, 24)).release_us) == "2016-03-25T00:00:00Z"
    with pytest.raises(UserError, match=r"no run for 2016-03-23.*the one of that week is 2016-03-24"):
        plan(weekly, date(2016, 3, 23))


def test_a_fifth_day_of_the_week_runs_only_in_full_weeks() -> None:
    fifth = spec(start=trading_day_of("week", 5).close)
    assert sessions_of(fifth, CALENDAR, date(2016, 6, 27), date(2016, 7, 15)) == [
        date(2016, 7, 1),
        date(2016, 7, 15),
    ]
    with pytest.raises(UserError, match="no run for 2016-07-08"):
        plan(fifth, date(2016, 7, 8))


def test_a_clock_time_that_is_skipped_has_no_run_that_day() -> None:
    # 2016-03-13 is a Sunday in New York, so the zone here is one that changes its clocks on a Thursday night: Amman.
    skipping = spec(start=at("00:30", "Asia/Amman", gap="skip"))
    days = sessions_of(skipping, CALENDAR, date(2016, 3, 30), date(2016, 4, 4))
    assert days == [date(2016, 3, 30), date(2016, 3, 31), date(2016, 4, 4)]
    with pytest.raises(UserError, match="no run for 2016-04-01"):
        plan(skipping, date(2016, 4, 1))


def test_other_pipelines_run_on_every_session() -> None:
    days = sessions_of(spec(start=session.close), CALENDAR, date(2016, 7, 1), date(2016, 7, 6))
    assert days == [date(2016, 7, 1), date(2016, 7, 5), date(2016, 7, 6)]
