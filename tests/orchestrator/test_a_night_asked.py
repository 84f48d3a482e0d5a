"""`simulate`, `why` and `whatif` of one workload file speak of the same night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prometheus.core.instants import HOUR_US, MINUTE_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.orchestrator.answering import Why, Wish, answer
from prometheus.orchestrator.blocking import find
from prometheus.orchestrator.curing import Target, candidates
from prometheus.orchestrator.prospect import night_of_workload
from prometheus.orchestrator.simulation.simulate import simulate
from prometheus.orchestrator.simulation.workload import read_workload
from prometheus.orchestrator.tonight import of_workload
from prometheus.orchestrator.whatif.comparing import compare
from prometheus.scheduler.events import CapacityChanged
from prometheus.scheduler.snapshot import AttemptRow

ONE, TWO = {"cpu": 1}, {"cpu": 2}


def job(name: str, minutes: float, tier: int = 2, **more: object) -> dict[str, object]:
    """One core; it takes what it always took."""
    seconds = minutes * 60
    return {
        "id": name,
        "tier": tier,
        "demand": ONE,
        "duration_s": seconds,
        "history_s": [seconds] * 5,
        **more,
    }


def night(folder: Path, *tasks: dict[str, object], **more: object) -> Path:
    path = folder / "night.json"
    form = {"capacity": ONE, "start": "2026-03-02T12:00:00Z", "horizon_s": 40_000, "tasks": tasks, **more}
    path.write_text(json.dumps(form))
    return path


def asked(path: Path, name: str, after_us: int, *, with_cures: bool = False) -> Why:
    found, prospect, ledger = night_of_workload(path, after_us, 0)
    _, row = find([found], [name])
    return answer(
        found, row, ledger.attempts(row.task_id), prospect.now_us, prospect, Wish(20, with_cures=with_cures)
    )


EVERYTHING = {
    "capacity": TWO,
    "capacity_schedule": [{"at_s": 3600, "capacity": {"cpu": 4}}],
    "capacity_changes": [{"at_s": 9000, "capacity": ONE}],
    "backfills": {"history": 0.3},
    "faults": {"lost": 4, "restarts": 3, "late": 0.2, "hung": 0.1, "lying": 1.5, "seed": 7},
}


@pytest.mark.parametrize("left_out", [None, "capacity_schedule", "capacity_changes", "backfills", "faults"])
def test_until_the_instant_of_the_question_the_night_is_the_one_that_simulate_plays(
    tmp_path: Path, left_out: str | None
) -> None:
    parts = {name: part for name, part in EVERYTHING.items() if name != left_out}
    past = {} if left_out == "backfills" else {"backfill": "history"}
    tasks = [job(f"a.{n}", 20 + n, release_s=600 * n, timeout_s=6000) for n in range(12)]
    tasks += [job(f"past.{n}", 30, 3, **past) for n in range(12)]
    path = night(tmp_path, *tasks, **parts)
    whole = MemoryLedger()
    simulate(read_workload(path), seed=3, ledger=whole)
    for after_us in (0, 50 * MINUTE_US, 2 * HOUR_US, 4 * HOUR_US):
        found, prospect, ledger = night_of_workload(path, after_us, 3)
        until_us = read_workload(path).start_us + after_us
        simulated = [row for row in whole.load().attempts if row.ordered_us <= until_us]
        assert [ordered(row) for row in ledger.load().attempts] == [ordered(row) for row in simulated]
        assert {row.task_id for row in found.tasks} == {str(task["id"]) for task in tasks}
        assert prospect.snapshot.runs == ledger.load().runs


def ordered(row: AttemptRow) -> tuple[object, ...]:
    return row.task_id, row.attempt, row.ordered_us, row.bin_id


def test_a_machine_that_grows_as_announced_keeps_the_promise_and_the_forecast_knows_it(
    tmp_path: Path,
) -> None:
    """On one core `late` would follow `long` and be done at 2:30."""
    path = night(
        tmp_path,
        job("long", 120),
        job("late", 30, release_s=60, deadline_s=6000),
        capacity_schedule=[{"at_s": 3600, "capacity": TWO}],
    )
    for after_us in (10 * MINUTE_US, 65 * MINUTE_US):
        told = asked(path, "late", after_us)
        assert told.forecast is not None
        assert [said.miss for said in told.forecast.slos] == [0]


def test_a_loss_that_nobody_announced_is_no_part_of_a_forecast_until_it_has_come(tmp_path: Path) -> None:
    path = night(
        tmp_path,
        job("first", 60),
        job("late", 60, release_s=60, deadline_s=7500),
        capacity_changes=[{"at_s": 3000, "capacity": {"cpu": 0}}],
    )
    before, after = (asked(path, "late", at_us).forecast for at_us in (10 * MINUTE_US, 55 * MINUTE_US))
    assert before is not None
    assert after is not None
    assert [said.miss for said in before.slos] == [0]
    assert [said.miss for said in after.slos] == [1]


def test_a_core_more_is_one_more_of_what_the_machine_is_now_and_of_what_it_will_be(tmp_path: Path) -> None:
    path = night(
        tmp_path,
        job("long", 120),
        job("late", 30),
        capacity_schedule=[{"at_s": 600, "capacity": TWO}, {"at_s": 3600, "capacity": {"cpu": 6}}],
    )
    _, prospect, _ = night_of_workload(path, 20 * MINUTE_US, 0)
    (grown,) = [
        one for one in candidates(prospect, Target(("late",), ())) if one.words.startswith("one core")
    ]
    assert grown.words.endswith("(2 -> 3)")
    (event,) = grown.events
    assert isinstance(event, CapacityChanged)
    assert [bins.cpu_milli for _, one in event.coming for bins in one.bins] == [7000]


def test_a_backfill_stands_in_the_way_for_why_and_for_whatif(tmp_path: Path) -> None:
    """The backfill's only task runs until 1:00; what is asked for waits for it."""
    path = night(
        tmp_path,
        job("past.1", 60, 3, backfill="history"),
        job("late", 10, release_s=600, deadline_s=1800),
        backfills={"history": 0.5},
    )
    told = asked(path, "past.1", 5 * MINUTE_US)
    assert (told.task.run_id, told.task.state.value) == ("history", "running")
    late = asked(path, "late", 15 * MINUTE_US).forecast
    assert late is not None
    assert [said.miss for said in late.slos] == [1]
    tonight = of_workload(read_workload(path), path.name)
    assert [run.run_id for run in tonight.coming][1:] == ["history"]
    assert not any("without history_s" in note for note in tonight.notes)
    row = compare(tonight, [], samples=5, seed=0).rows[0]
    assert row.before is not None
    assert row.before.missed.value == 1
