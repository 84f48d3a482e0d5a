from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import StoreError
from prometheus.ledger import statements
from prometheus.ledger.encoding import (
    NEWER,
    decision_of,
    decision_to_json,
    decode_capacity,
    decode_coming,
    decode_plan,
    decode_turn,
    encode_capacity,
    encode_plan,
    encode_turn,
    event_of,
    event_to_json,
)
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.events import (
    AttemptFailed,
    CapacityChanged,
    Event,
    Failure,
    ForecastMade,
    SloForecast,
    TimePassed,
)
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, TaskRow
from tests.ledger import records

EVENTS, DECISIONS = records.events_of(records.texts), records.decisions_of(records.texts)


def test_the_strategies_make_every_type_of_record() -> None:
    assert set(EVENTS) == set(get_args(Event))
    assert set(DECISIONS) == set(get_args(Decision))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_reads_back_as_it_was(kind: type[Event]) -> None:
    @given(EVENTS[kind])
    def check(event: Event) -> None:
        written = json.loads(json.dumps(event_to_json(event)))
        assert (written["v"], written["k"]) == (NEWER.get(kind.__name__, 1), kind.__name__)
        assert event_of(written) == event

    check()


@pytest.mark.parametrize("kind", DECISIONS, ids=lambda kind: kind.__name__)
def test_a_decision_reads_back_as_it_was(kind: type[Decision]) -> None:
    @given(DECISIONS[kind])
    def check(decision: Decision) -> None:
        written = json.loads(json.dumps(decision_to_json(decision)))
        assert (written["v"], written["k"]) == (1, kind.__name__)
        assert decision_of(written) == decision

    check()


@given(
    st.lists(st.one_of(*EVENTS.values()), max_size=4), st.lists(st.one_of(*DECISIONS.values()), max_size=4)
)
def test_a_turn_reads_back_as_it_was(events: list[Event], decisions: list[Decision]) -> None:
    text, *records_of_it = encode_turn(events, decisions)
    assert records_of_it == [tuple(events), tuple(decisions)]
    assert decode_turn(text) == (tuple(events), tuple(decisions))
    assert text.isascii()


@given(records.plans, records.capacities)
def test_plans_and_capacities_read_back_as_they_were(plan: object, capacity: object) -> None:
    assert decode_plan(encode_plan(plan)) == plan  # type: ignore[arg-type]
    assert decode_capacity(encode_capacity(capacity)) == capacity  # type: ignore[arg-type]
    assert decode_coming(encode_capacity(records.LAPTOP, ((7, capacity),))) == ((7, capacity),)  # type: ignore[arg-type]


def test_what_grew_is_read_as_it_was_written_before() -> None:
    old = event_to_json(CapacityChanged(5, records.LAPTOP))
    old["v"] = 1
    del old["coming"]
    assert event_of(old) == CapacityChanged(5, records.LAPTOP)
    with pytest.raises(StoreError, match="of version 2 or before"):
        event_of({**old, "v": 3})


@given(st.lists(st.one_of(*records.events_of(records.odd_texts).values()), max_size=4))
def test_text_that_no_database_keeps_is_replaced_once_and_for_all(events: list[Event]) -> None:
    text, kept, _ = encode_turn(events, [])
    assert decode_turn(text)[0] == kept
    assert encode_turn(kept, []) == (text, kept, ())
    repr(kept).encode()


def test_nul_and_half_a_pair_become_a_replacement_character_and_an_emoji_stays() -> None:
    odd = AttemptFailed(1, "n.a", 1, Failure.ERROR, "a\0b \ud83d c", "\U0001f600")
    _, (kept,), _ = encode_turn([odd], [])
    assert isinstance(kept, AttemptFailed)
    assert (kept.message, kept.tail) == ("a\ufffdb \ufffd c", "\U0001f600")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"events":[{"v":2,"k":"TimePassed","at_us":1}],"decisions":[]}', "'TimePassed' of version 2"),
        ('{"events":[{"v":1,"k":"MoonRose","at_us":1}],"decisions":[]}', "'MoonRose' of version 1"),
        ('{"events":[{"at_us":1}],"decisions":[]}', "has no kind or version"),
        ('{"events":[{"v":1,"k":"TimePassed"}],"decisions":[]}', "cannot be read"),
        (
            '{"events":[],"decisions":[{"v":1,"k":"CloseRun","at_us":1,"run_id":"r","state":"odd","reason":""}]}',
            "odd",
        ),
        ('{"events":[', "cannot be read"),
        ("[]", "has no events and decisions"),
    ],
)
def test_a_record_that_cannot_be_read_is_a_clear_error(text: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        decode_turn(text)


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_turn([ForecastMade(1, 1, 20, (SloForecast("slo", float("nan"), None, None, None),))], [])


def test_records_stay_small() -> None:
    assert len(encode_turn([TimePassed(1)], [])[0]) < 70


def names_in(value: object) -> object:
    """The field names of a record, and of the values within it, as its JSON has to have them."""
    if is_dataclass(value):
        return {column.name: names_in(getattr(value, column.name)) for column in fields(value)}
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return [names_in(each) for each in value]
    return None


def names_in_json(written: object) -> object:
    if isinstance(written, dict):
        return {name: names_in_json(each) for name, each in written.items() if name not in ("v", "k")}
    if isinstance(written, list) and written and isinstance(written[0], dict):
        return [names_in_json(each) for each in written]
    return None


def test_no_field_is_forgotten() -> None:
    """A field with a default would read back as its default, and nobody would notice."""
    said = records.a_short_night()
    events = [event for turn in said for event in turn.events]
    decisions = [decision for turn in said for decision in turn.decisions]
    assert {type(each) for each in events} == set(get_args(Event))
    assert {type(each) for each in decisions} == set(get_args(Decision))
    written = json.loads(encode_turn(events, decisions)[0])
    for record, value in zip([*events, *decisions], [*written["events"], *written["decisions"]], strict=True):
        assert names_in_json(value) == names_in(record)
    assert names_in_json(json.loads(encode_plan(records.plan_of()))) == names_in(records.plan_of())
    capacity = json.loads(encode_capacity(records.LAPTOP))
    assert capacity.pop("coming") == []
    assert names_in_json(capacity) == names_in(records.LAPTOP)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (statements.RUN_COLUMNS, RunRow),
        (statements.TASK_COLUMNS, TaskRow),
        (statements.ATTEMPT_COLUMNS, AttemptRow),
        (statements.SLO_COLUMNS, SloRow),
    ],
)
def test_every_field_of_a_row_has_its_column(columns: tuple[str, ...], row: type) -> None:
    assert set(columns) == {column.name for column in fields(row)}
