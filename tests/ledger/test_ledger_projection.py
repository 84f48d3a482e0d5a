"""Turn by turn: rows, what is said, the rows that change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prometheus.ledger.projection import Rows, differences, fold
from prometheus.scheduler.decisions import RefuseStart, SetTask, StartAttempt, StopAttempt
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    Failure,
)
from prometheus.scheduler.states import AttemptState, StopCause, TaskState
from tests.ledger.records import Said, a_short_night, plan_of

C = plan_of().tasks[0].task_id


def start(at_us: int, attempt: int) -> StartAttempt:
    return StartAttempt(at_us, C, attempt, "laptop", (), "reduced", "it fits")


def rows_after(*turns: Said) -> Rows:
    rows = Rows()
    for said in turns:
        rows.absorb(fold(rows, said.at_us, said.events, said.decisions))
    return rows


def test_a_refusal_is_forgotten_when_the_task_moves_on() -> None:
    rows = rows_after(a_short_night()[0])
    refused = fold(rows, 2_000, (), (RefuseStart(2_000, C, "no room"),))
    assert refused.tasks[C].refusal == "no room"
    rows.absorb(refused)
    for moves in (SetTask(2_001, C, TaskState.HELD, "hold by ann"), start(2_001, 2)):
        assert fold(rows, 2_001, (), (moves,)).tasks[C].refusal is None


@pytest.mark.parametrize(
    "late",
    [
        AttemptStarted(2_001, C, 1),
        AttemptCheckpointed(2_001, C, 1, "1"),
        AttemptSucceeded(2_001, C, 1, '"late"'),
        AttemptFailed(2_001, C, 1, Failure.ERROR, "late"),
    ],
    ids=lambda late: type(late).__name__,
)
def test_a_fact_about_an_attempt_that_was_given_up_changes_nothing(late: Event) -> None:
    """The first attempt never ended in the log, but the second one is the task's own now."""
    rows = rows_after(a_short_night()[0], Said(2_000, (), (start(2_000, 2),)))
    assert rows.attempts[C, 1].state is AttemptState.STARTING
    assert fold(rows, 2_001, (late,), ()) == Rows(at_us=2_001)


def test_an_order_to_stop_what_has_ended_changes_nothing() -> None:
    rows = rows_after(*a_short_night()[:4])
    order = StopAttempt(2_000, C, 1, StopCause.TIMEOUT, "too late")
    assert fold(rows, 2_000, (), (order,)) == Rows(at_us=2_000)


def test_an_attempt_that_begins_while_it_is_stopped_goes_on_stopping() -> None:
    rows = rows_after(
        a_short_night()[0], Said(2_000, (), (StopAttempt(2_000, C, 1, StopCause.CANCELLED, "cancel by ann"),))
    )
    changed = fold(rows, 2_001, (AttemptStarted(2_001, C, 1),), ())
    assert (changed.tasks[C].state, changed.tasks[C].started_us) == (TaskState.STOPPING, 2_001)
    assert (changed.attempts[C, 1].state, changed.attempts[C, 1].started_us) == (AttemptState.STOPPING, 2_001)


def test_the_second_start_does_not_move_the_first_one() -> None:
    rows = rows_after(*a_short_night())
    a = plan_of().tasks[1].task_id
    assert (rows.tasks[a].started_us, rows.attempts[a, 2].started_us) == (1_050, 1_110)


def test_a_task_that_ends_again_in_the_same_state_keeps_its_end() -> None:
    rows = rows_after(*a_short_night()[:4])
    changed = fold(rows, 2_000, (), (SetTask(2_000, C, TaskState.SUCCEEDED, "still done"),))
    assert (changed.tasks[C].ended_us, changed.tasks[C].reason) == (1_030, "still done")


def test_an_attempt_number_never_falls() -> None:
    rows = rows_after(a_short_night()[0])
    with pytest.raises(AssertionError, match=f"{C} #1 after #1"):
        fold(rows, 2_000, (), (start(2_000, 1),))


def test_the_rows_before_a_turn_stay_as_they_were() -> None:
    rows, night = Rows(), a_short_night()
    for said in night:
        before = Rows(rows.at_us, rows.capacity, *(dict(table) for table in (rows.runs, rows.tasks)))
        copies = {task_id: replace(task) for task_id, task in rows.tasks.items()}
        changed = fold(rows, said.at_us, said.events, said.decisions)
        assert rows.tasks == copies
        assert rows.runs == before.runs
        rows.absorb(changed)


def test_differences_name_row_field_and_both_values() -> None:
    rows, other = rows_after(*a_short_night()), rows_after(*a_short_night())
    assert differences(rows, other) == []
    other.tasks[C] = replace(other.tasks[C], tier=3, mode="reduced")
    del other.attempts[C, 1]
    assert differences(rows, other) == [
        f"task {C}: tier is 1 in the row, 3 by the log",
        f"task {C}: mode is 'full' in the row, 'reduced' by the log",
        f"attempt {C} #1: the rows have it, the log does not",
    ]
