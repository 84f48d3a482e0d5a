"""A night, an instant in it, what stands before a task and what would help; worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prometheus.core.errors import UserError
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.orchestrator.answering import Why, Wish, answer, answer_slo
from prometheus.orchestrator.blocking import find, find_slo
from prometheus.orchestrator.curing import affordable
from prometheus.orchestrator.prospect import night_of_workload
from prometheus.scheduler.refusals import kind_of

SLO = "slo.us.report"


def task(
    name: str, tier: int, minutes: float, after: tuple[str, ...] = (), **more: object
) -> dict[str, object]:
    """One core; its past durations lie around what it takes tonight."""
    return {
        "id": name,
        "tier": tier,
        "demand": {"cpu": 1},
        "after": list(after),
        "duration_s": minutes * 60,
        "history_s": [minutes * 60 * share for share in (0.92, 0.96, 1.0, 1.04, 1.08)],
        **more,
    }


BACKFILL = [task(f"B.{number}", 3, 40) for number in (1, 2, 3)]
FEATURES = task("us.features", 2, 10, release_s=3600, degrade=["skip"])
REPORT = task("us.report", 1, 5, ("us.features",), deadline_s=5100)


def asked(
    folder: Path,
    job: str,
    at_us: int,
    *tasks: dict[str, object],
    with_cures: bool = True,
    capacity: dict[str, object] | None = None,
) -> Why:
    path = folder / "night.json"
    night = {
        "capacity": capacity or {"cpu": 1},
        "start": "2026-03-02T12:00:00Z",
        "horizon_s": 40_000,
        "tasks": tasks,
    }
    path.write_text(json.dumps(night))
    found, prospect, ledger = night_of_workload(path, at_us, 0)
    _, row = find([found], [job])
    wish = Wish(60, with_cures)
    return answer(found, row, ledger.attempts(row.task_id), prospect.now_us, prospect, wish)


def test_holding_a_backfill_takes_a_promise_from_lost_to_kept_and_is_the_first_cure(tmp_path: Path) -> None:
    """B.1 ends at 0:40; if B.2 then begins, it is in the way until 1:20, and the features come an hour after the start."""
    told = asked(tmp_path, "us.report", 30 * MINUTE_US, *BACKFILL, FEATURES, REPORT)
    assert told.forecast is not None
    (said,) = told.forecast.slos
    assert said.miss > 0.8
    first = told.ranked[0]
    assert first.words == "hold B (2 tasks that wait; 1 that run go on)"
    assert (first.slo_id, first.before, first.after) == (SLO, said.miss, 0)
    assert first.command is None
    others = [cure.words for cure in told.ranked]
    assert "cancel B (3 tasks)" in others
    assert "skip us.features, as its ladder allows" in others
    assert "hold B.2" not in others, "B.3 would take its place: no effect, so it is not shown"


def test_the_same_question_is_answered_alike_and_nothing_is_touched(tmp_path: Path) -> None:
    first, again = (
        asked(tmp_path, "us.report", 30 * MINUTE_US, *BACKFILL, FEATURES, REPORT) for _ in range(2)
    )
    assert first.ranked == again.ranked
    assert first.forecast == again.forecast


def test_a_promise_that_is_kept_needs_no_cure(tmp_path: Path) -> None:
    told = asked(tmp_path, "us.report", 30 * MINUTE_US, FEATURES, REPORT)
    assert told.forecast is not None
    assert told.forecast.slos[0].miss == 0
    assert told.ranked == ()


@pytest.mark.parametrize(
    ("samples", "each_s", "left_s", "forecasts", "given"),
    [
        (100, 0.1, 20, 1, 100),  # all that were asked for: the time is divided only for cures
        (100, 0.1, 10, 12, 8),
        (100, 0.01, 19, 12, 100),
        (100, 1, 20, 1, 20),
        (100, 1, -5, 12, 8),  # a few even if the time is over
        (5, 1, -5, 12, 5),
    ],
)
def test_the_time_that_is_left_is_divided_and_no_more_is_drawn_than_was_asked_for(
    samples: int, each_s: float, left_s: int, forecasts: int, given: int
) -> None:
    assert affordable(samples, round(each_s * SECOND_US), left_s * SECOND_US, forecasts) == given


def test_of_what_was_refused_its_room_nobody_says_that_it_could_start_now(tmp_path: Path) -> None:
    told = asked(tmp_path, "B.2", 10 * MINUTE_US, *BACKFILL, with_cures=False)
    assert [cause.kind for cause in told.causes] == ["room"]
    assert told.eta_us is None


def test_without_cures_there_is_still_the_forecast(tmp_path: Path) -> None:
    told = asked(tmp_path, "us.report", 30 * MINUTE_US, *BACKFILL, FEATURES, REPORT, with_cures=False)
    assert told.forecast is not None
    assert told.ranked == ()
    assert {cause.kind: cause.at_us for cause in told.causes}["upstream"] is not None


def test_a_task_that_no_promise_needs_is_cured_of_its_wait(tmp_path: Path) -> None:
    """C waits for two backfills; what counts is when it is done."""
    told = asked(tmp_path, "C", 10 * MINUTE_US, *BACKFILL[:2], task("C", 2, 5, release_s=60))
    assert told.causes[0].kind == "room"
    best = told.ranked[0]
    assert best.slo_id is None
    assert best.end_before_us is not None
    assert best.end_after_us is not None
    assert best.end_after_us < best.end_before_us


def test_a_pool_that_is_short_is_said_and_one_unit_more_would_help(tmp_path: Path) -> None:
    taken = task("B.1", 2, 40, demand={"cpu": 1, "pools": {"db": 1}})
    waits = task("us.report", 2, 5, deadline_s=1800, demand={"cpu": 1, "pools": {"db": 1}}, release_s=60)
    machine = {"cpu": 4, "pools": {"db": 1}}
    told = asked(tmp_path, "us.report", 10 * MINUTE_US, taken, waits, capacity=machine)
    assert [cause.kind for cause in told.causes] == ["pool"]
    assert "in use by B.1" in told.causes[0].text
    assert [cure.words for cure in told.ranked] == ["pool 'db' larger by one (1 -> 2)"]
    assert told.ranked[0].after == 0


def test_what_is_kept_for_tier_1_is_told_with_its_time(tmp_path: Path) -> None:
    """A long job that cannot checkpoint may not start before a close that needs the machine."""
    told = asked(
        tmp_path,
        "long.1",
        MINUTE_US,
        task("long.1", 3, 120),
        task("us.report", 1, 20, release_s=3600, deadline_s=5100),
    )
    (cause,) = told.causes
    assert cause.kind == "reservation"
    assert "kept for Tier 1" in cause.text
    assert "from 1" in cause.text


def test_one_in_the_middle_of_a_queue_names_the_head_and_the_head_s_own_reason(tmp_path: Path) -> None:
    told = asked(tmp_path, "B.3", 10 * MINUTE_US, *BACKFILL, with_cures=False)
    (cause,) = told.causes
    assert (cause.kind, cause.task_id) == ("room", "B.2")
    assert cause.text.startswith("B.2 stands before it, and of that: needs 1 core")


def test_a_promise_is_answered_by_its_open_tasks_and_what_stands_before_them(tmp_path: Path) -> None:
    asked(tmp_path, "us.report", 0, *BACKFILL, FEATURES, REPORT, with_cures=False)
    night, prospect, _ = night_of_workload(tmp_path / "night.json", 30 * MINUTE_US, 0)
    _, slo = find_slo([night], "us.report")
    told = answer_slo(night, slo, prospect.now_us, prospect, Wish(60, with_cures=True))
    assert [cause.kind for cause in told.causes] == ["task", "upstream"]
    assert told.ranked[0].words.startswith("hold B ")
    with pytest.raises(UserError, match="no run has a promise 'them'"):
        find_slo([night], "them")


def test_an_instant_after_the_night_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--at is 2026-03-03"):
        asked(tmp_path, "us.report", 20 * 60 * MINUTE_US, FEATURES, REPORT)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("needs 2 of pool 'db': 1 of 2 free", "pool"),
        ("needs 1 core: 0 cores free", "room"),
        ("no bin has 1 core, 2 GiB free at once", "room"),
        ("Tier 1 goes first: it waits for room (a was next)", "tier"),
        ("fits now, but cpu is kept for Tier 1 and earlier promises now", "reservation"),
        ("Tier 3 is held: 'ready' of us is missed with P 0.41 by the forecast of 21:00:00 UTC", "pressure"),
        ("who knows", "other"),
    ],
)
def test_every_refusal_has_its_kind(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind
