"""Nights that were, expected durations of the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import SECOND_US
from prometheus.core.settings import Settings, load_settings
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.foreground import RunRequest, run_pipeline
from prometheus.orchestrator.histories import (
    ENOUGH,
    Past,
    ascending_by_task,
    durations_of,
    failing_by_task,
    history_of,
    spread_of_nights,
)
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
)
from prometheus.scheduler.plan import RunPlan, TaskPlan

DAY = date(2016, 6, 20)
T0 = 1_466_000_000 * SECOND_US


def night_of(day: date, *, replayed: bool = True, ladder: tuple[str, ...] = ()) -> RunPlan:
    run = f"mine.{day}"
    task = TaskPlan(f"{run}.fetch", run, "fetch", 2, Demand(), ladder=ladder, backoff_us=0)
    return RunPlan(run, "mine", "US_EQ", day, "pin", T0, (task,), replayed=replayed)


def keep(url: str, plan: RunPlan, *facts: Event) -> None:
    ledger, scheduler = open_ledger(url), Scheduler()
    epoch = ledger.acquire("a test", T0)
    first: list[Event] = [
        CapacityChanged(T0, Capacity((Bin("local", 1_000, 9_000),))),
        RunOpened(T0, plan),
    ]
    for number, events in enumerate([first, *([fact] for fact in facts)], ledger.revision() + 1):
        ledger.commit(epoch, number, T0 + number, events, scheduler.handle(events))
    ledger.release(epoch)
    ledger.close()


def took(plan: RunPlan, seconds: int, attempt: int = 1) -> tuple[Event, Event]:
    task_id = plan.tasks[0].task_id
    return (
        AttemptStarted(T0 + 50 * attempt * SECOND_US, task_id, attempt),
        AttemptSucceeded(T0 + (50 * attempt + seconds) * SECOND_US, task_id, attempt),
    )


def replay(settings: Settings, plan: RunPlan) -> str:
    return f"sqlite:///{settings.home / 'replay' / f'{plan.run_id}.db'}"


def test_what_attempts_took_is_found_in_replays_and_the_ledger_newest_session_first(own_home: Path) -> None:
    settings = load_settings()
    for days, seconds in ((0, 10), (1, 20), (2, 40)):
        plan = night_of(DAY + timedelta(days=days))
        keep(replay(settings, plan), plan, *took(plan, seconds))
    live = night_of(DAY + timedelta(days=3), replayed=False)
    keep(settings.ledger_url, live, *took(live, 30))
    found = history_of(settings, "mine")
    assert found == {
        "fetch": [
            Past(DAY + timedelta(days=3), 30 * SECOND_US, is_replay=False),
            Past(DAY + timedelta(days=2), 40 * SECOND_US, is_replay=True),
            Past(DAY + timedelta(days=1), 20 * SECOND_US, is_replay=True),
            Past(DAY, 10 * SECOND_US, is_replay=True),
        ]
    }
    assert durations_of(found) == {"fetch": (25 * SECOND_US, 34 * SECOND_US)}
    ascending = tuple(seconds * SECOND_US for seconds in (10, 20, 30, 40))
    assert ascending_by_task(live, found) == {live.tasks[0].task_id: ascending}
    assert history_of(settings, "others") == {}


def test_only_whole_work_that_succeeded_counts(own_home: Path) -> None:
    settings = load_settings()
    plan = night_of(DAY, ladder=("reduced",))
    task_id = plan.tasks[0].task_id
    failed = AttemptFailed(T0 + 60 * SECOND_US, task_id, 1, Failure.ERROR, "no")
    keep(replay(settings, plan), plan, took(plan, 0)[0], failed, *took(plan, 5, attempt=2))
    assert history_of(settings, "mine") == {}


def test_what_failed_before_it_succeeded_is_a_share_of_failures(own_home: Path) -> None:
    settings = load_settings()
    plan = night_of(DAY)
    plan = replace(plan, tasks=(replace(plan.tasks[0], retries=2),))
    task_id = plan.tasks[0].task_id
    failed = AttemptFailed(T0 + 60 * SECOND_US, task_id, 1, Failure.ERROR, "no")
    keep(replay(settings, plan), plan, took(plan, 0)[0], failed, *took(plan, 5, attempt=2))
    found = history_of(settings, "mine")
    assert found == {"fetch": [Past(DAY, 5 * SECOND_US, is_replay=True, failures=1)]}
    assert failing_by_task(plan, found) == {task_id: 0.5}
    assert failing_by_task(plan, {}) == {}


def test_a_month_end_is_foreseen_as_long_as_month_ends_were() -> None:
    months = [date(2015, month, 1) + timedelta(days=-1) for month in range(2, 13)]
    ends = [day - timedelta(days=max(0, day.weekday() - 4)) for day in months]
    usual = [Past(DAY + timedelta(days=days), 100 * SECOND_US, False) for days in (0, 1, 2, 3, 8, 9)]
    history = {"fetch": [*usual, *(Past(day, 200 * SECOND_US, False) for day in ends)]}
    month_end, normal = (
        max(next(iter(ascending_by_task(night_of(day), history).values())))
        for day in (date(2016, 6, 30), DAY)
    )
    assert month_end > 150 * SECOND_US
    assert normal < 150 * SECOND_US


def test_nights_that_are_slow_as_a_whole_are_told_from_jobs_that_vary() -> None:
    slow = (1.0, 1.4, 0.8, 1.2, 0.7, 1.1, 0.9, 1.3, 1.0, 0.75)

    def pasts(factors: Sequence[float]) -> list[Past]:
        days = [DAY + timedelta(days=number) for number in range(len(factors))]
        return [
            Past(day, round(100 * factor * SECOND_US), False)
            for day, factor in zip(days, factors, strict=True)
        ]

    together = {job: pasts(slow) for job in "abcdef"}
    apart = {job: pasts(slow[place:] + slow[:place]) for place, job in enumerate("abcdefghij")}
    assert spread_of_nights(together) > 0.15
    assert spread_of_nights(apart) < 0.05
    assert spread_of_nights({job: pasts(slow[:3]) for job in "ab"}) == 0


def test_a_file_that_is_no_ledger_tells_nothing(own_home: Path) -> None:
    settings = load_settings()
    (settings.home / "replay").mkdir(parents=True)
    (settings.home / "replay" / f"mine.{DAY}.db").write_text("not a ledger, by far")
    assert history_of(settings, "mine") == {}


def test_with_too_little_history_the_declaration_stands() -> None:
    pasts = [Past(DAY, SECOND_US, is_replay=False)] * (ENOUGH - 1)
    assert durations_of({"fetch": pasts}) == {}
    assert ascending_by_task(night_of(DAY), {"fetch": pasts}) == {}


def test_a_run_is_planned_by_what_its_jobs_took_and_stays_so_when_it_is_taken_up_again(
    tmp_path: Path,
) -> None:
    """What the ledger keeps is the plan that it was opened with; a longer history does not change it."""
    (tmp_path / "mine.py").write_text(
        "from prometheus.pipelines import Pipeline\n"
        "p = Pipeline('mine', market='US_EQ')\n"
        "@p.job(expect='1h', retries=0)\ndef fetch(task): assert task.session.day != 28\n"
    )
    settings = load_settings(tmp_path, {"PROMETHEUS_HOME": str(tmp_path / "home")})
    for days in range(ENOUGH):
        plan = night_of(DAY + timedelta(days=days))
        keep(replay(settings, plan), plan, *took(plan, 7))
    request = RunRequest(f"{tmp_path / 'mine.py'}:p", date(2016, 6, 28))
    first = run_pipeline(request, settings, lambda _: None)
    planned = first.run.plan.tasks[0]
    assert (planned.typical_us, planned.cautious_us) == (7 * SECOND_US, 7 * SECOND_US)
    plan = night_of(DAY + timedelta(days=7))
    keep(replay(settings, plan), plan, *took(plan, 9))
    again = run_pipeline(request, settings, lambda _: None)
    assert again.run.plan == first.run.plan


def test_an_attempt_that_went_on_from_a_checkpoint_is_no_whole_one(own_home: Path) -> None:
    settings = load_settings()
    plan = night_of(DAY)
    task_id = plan.tasks[0].task_id
    stopped = AttemptFailed(T0 + 60 * SECOND_US, task_id, 1, Failure.PREEMPTED, "made room")
    saved = AttemptCheckpointed(T0 + 55 * SECOND_US, task_id, 1, "1")
    keep(replay(settings, plan), plan, took(plan, 0)[0], saved, stopped, *took(plan, 5, attempt=2))
    assert history_of(settings, "mine") == {}
