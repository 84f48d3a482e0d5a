"""The log's JSON: each event and decision as an object with its version `v` and kind `k`, and the way back.

A record is never rewritten: when a type changes, its new form gets a new version here and the old one stays readable.
Text that no database keeps (NUL, half a surrogate pair) becomes U+FFFD on the way in, so that a job which prints
rubbish cannot stop a turn from being committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, assert_never

from prometheus.core.demand import Capacity
from prometheus.core.errors import StoreError
from prometheus.core.ids import Json
from prometheus.ledger.values import (
    Coming,
    capacity_of,
    capacity_to_json,
    coming_of,
    coming_to_json,
    foreseen_of,
    plan_of,
    plan_to_json,
    slo_forecast_of,
    slo_forecast_to_json,
)
from prometheus.scheduler.decisions import (
    CloseRun,
    Decision,
    JudgeSlo,
    RefuseStart,
    SetPressure,
    SetTask,
    StartAttempt,
    StopAttempt,
)
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    ForecastMade,
    RunOpened,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.snapshot import Foreseen
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState

VERSION = 1
NEWER = {
    "CapacityChanged": 2,
    "Capacity": 2,
    "RunOpened": 2,
    "RunPlan": 2,
}  # kinds that have grown; their version 1 is read, too

_T = TypeVar("_T")

_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_SUSPECT = re.compile(r"\\u(?:0000|d[89a-f])")  # in ASCII JSON: a NUL, or a surrogate (paired or not)


def encode_turn(
    events: Sequence[Event], decisions: Sequence[Decision]
) -> tuple[str, tuple[Event, ...], tuple[Decision, ...]]:
    """The turn as JSON text (ASCII), and its records as `decode_turn` will read them back."""
    value = {
        "events": [event_to_json(event) for event in events],
        "decisions": [decision_to_json(decision) for decision in decisions],
    }
    text = _dump(value)
    if _SUSPECT.search(text) is None:
        return text, tuple(events), tuple(decisions)
    text = _dump(_storable(value))
    return text, *decode_turn(text)


def decode_turn(text: str) -> tuple[tuple[Event, ...], tuple[Decision, ...]]:
    """The records of `encode_turn`; `StoreError` for damaged text and for records of a newer program."""
    value = _parse(text, "turn")
    if not isinstance(value, dict) or not {"events", "decisions"} <= value.keys():
        raise StoreError(f"a turn of the ledger cannot be read: {text[:80]!r} has no events and decisions")
    events = tuple(_decode(_EVENTS, each) for each in value["events"])
    return events, tuple(_decode(_DECISIONS, each) for each in value["decisions"])


def encode_plan(plan: RunPlan) -> str:
    """The plan of a run as JSON text, with its version."""
    return _dump({"v": 2, **plan_to_json(plan)})


def decode_plan(text: str) -> RunPlan:
    """The plan of `encode_plan`; `StoreError` where it cannot be read."""
    return _decode({"RunPlan": plan_of}, {"k": "RunPlan", **_parse(text, "run plan")})


def encode_capacity(capacity: Capacity, coming: Coming = ()) -> str:
    """A capacity as JSON text, with its version and the changes that were announced with it."""
    return _dump({"v": 2, **capacity_to_json(capacity), "coming": coming_to_json(coming)})


def decode_capacity(text: str) -> Capacity:
    """The capacity of `encode_capacity`; `StoreError` where it cannot be read."""
    return _decode({"Capacity": capacity_of}, {"k": "Capacity", **_parse(text, "capacity")})


def decode_coming(text: str) -> Coming:
    """The changes of `encode_capacity`; `StoreError` where they cannot be read."""
    return _decode({"Capacity": coming_of}, {"k": "Capacity", **_parse(text, "capacity")})


def encode_foreseen(foreseen: Foreseen) -> str:
    """What a forecast said of a promise as JSON text, with its version."""
    said = slo_forecast_to_json(foreseen.said)
    return _dump({"v": VERSION, "made_us": foreseen.made_us, "samples": foreseen.samples, "said": said})


def decode_foreseen(text: str) -> Foreseen:
    """The value of `encode_foreseen`; `StoreError` where it cannot be read."""
    return _decode({"Foreseen": foreseen_of}, {"k": "Foreseen", **_parse(text, "forecast")})


def event_to_json(event: Event) -> Json:
    """One event as an object with `v` and `k`; the commonest kinds are asked for first."""
    match event:
        case AttemptStarted(at_us, task_id, attempt):
            return {"v": 1, "k": "AttemptStarted", "at_us": at_us, "task_id": task_id, "attempt": attempt}
        case AttemptSucceeded():
            return {
                "v": 1,
                "k": "AttemptSucceeded",
                "at_us": event.at_us,
                "task_id": event.task_id,
                "attempt": event.attempt,
                "output": event.output,
                "cpu_us": event.cpu_us,
                "peak_mib": event.peak_mib,
            }
        case TimePassed(at_us):
            return {"v": 1, "k": "TimePassed", "at_us": at_us}
        case AttemptFailed():
            return {
                "v": 1,
                "k": "AttemptFailed",
                "at_us": event.at_us,
                "task_id": event.task_id,
                "attempt": event.attempt,
                "failure": event.failure,
                "message": event.message,
                "tail": event.tail,
                "cpu_us": event.cpu_us,
                "peak_mib": event.peak_mib,
            }
        case AttemptCheckpointed(at_us, task_id, attempt, state):
            return {
                "v": 1,
                "k": "AttemptCheckpointed",
                "at_us": at_us,
                "task_id": task_id,
                "attempt": attempt,
                "state": state,
            }
        case TaskAsked(at_us, task_id, verb, reason, by):
            return {
                "v": 1,
                "k": "TaskAsked",
                "at_us": at_us,
                "task_id": task_id,
                "verb": verb,
                "reason": reason,
                "by": by,
            }
        case ForecastMade():
            return {
                "v": 1,
                "k": "ForecastMade",
                "at_us": event.at_us,
                "made_us": event.made_us,
                "samples": event.samples,
                "slos": [slo_forecast_to_json(one) for one in event.slos],
            }
        case RunOpened(at_us, run):
            return {"v": 2, "k": "RunOpened", "at_us": at_us, "run": plan_to_json(run)}
        case CapacityChanged(at_us, capacity, coming):
            return {
                "v": 2,
                "k": "CapacityChanged",
                "at_us": at_us,
                "capacity": capacity_to_json(capacity),
                "coming": coming_to_json(coming),
            }
        case _:
            assert_never(event)


def decision_to_json(decision: Decision) -> Json:
    """One decision as an object with `v` and `k`."""
    match decision:
        case SetTask():
            return {
                "v": 1,
                "k": "SetTask",
                "at_us": decision.at_us,
                "task_id": decision.task_id,
                "state": decision.state,
                "reason": decision.reason,
                "not_before_us": decision.not_before_us,
            }
        case StartAttempt():
            return {
                "v": 1,
                "k": "StartAttempt",
                "at_us": decision.at_us,
                "task_id": decision.task_id,
                "attempt": decision.attempt,
                "bin_id": decision.bin_id,
                "devices": decision.devices,
                "mode": decision.mode,
                "reason": decision.reason,
            }
        case RefuseStart(at_us, task_id, reason):
            return {"v": 1, "k": "RefuseStart", "at_us": at_us, "task_id": task_id, "reason": reason}
        case StopAttempt(at_us, task_id, attempt, cause, reason):
            return {
                "v": 1,
                "k": "StopAttempt",
                "at_us": at_us,
                "task_id": task_id,
                "attempt": attempt,
                "cause": cause,
                "reason": reason,
            }
        case CloseRun(at_us, run_id, state, reason):
            return {
                "v": 1,
                "k": "CloseRun",
                "at_us": at_us,
                "run_id": run_id,
                "state": state,
                "reason": reason,
            }
        case JudgeSlo(at_us, slo_id, state, finished_us, reason):
            return {
                "v": 1,
                "k": "JudgeSlo",
                "at_us": at_us,
                "slo_id": slo_id,
                "state": state,
                "finished_us": finished_us,
                "reason": reason,
            }
        case SetPressure(at_us, level, slo_id, miss, made_us, reason):
            return {
                "v": 1,
                "k": "SetPressure",
                "at_us": at_us,
                "level": level,
                "slo_id": slo_id,
                "miss": miss,
                "made_us": made_us,
                "reason": reason,
            }
        case _:
            assert_never(decision)


def event_of(value: Json) -> Event:
    """The event of `event_to_json`."""
    return _decode(_EVENTS, value)


def decision_of(value: Json) -> Decision:
    """The decision of `decision_to_json`."""
    return _decode(_DECISIONS, value)


_EVENTS: Mapping[str, Callable[[Json], Event]] = {
    "CapacityChanged": lambda o: CapacityChanged(o["at_us"], capacity_of(o["capacity"]), coming_of(o)),
    "ForecastMade": lambda o: ForecastMade(
        o["at_us"], o["made_us"], o["samples"], tuple(slo_forecast_of(one) for one in o["slos"])
    ),
    "RunOpened": lambda o: RunOpened(o["at_us"], plan_of(o["run"])),
    "AttemptStarted": lambda o: AttemptStarted(o["at_us"], o["task_id"], o["attempt"]),
    "AttemptCheckpointed": lambda o: AttemptCheckpointed(o["at_us"], o["task_id"], o["attempt"], o["state"]),
    "AttemptSucceeded": lambda o: AttemptSucceeded(
        o["at_us"], o["task_id"], o["attempt"], o["output"], o["cpu_us"], o["peak_mib"]
    ),
    "AttemptFailed": lambda o: AttemptFailed(
        o["at_us"],
        o["task_id"],
        o["attempt"],
        Failure(o["failure"]),
        o["message"],
        o["tail"],
        o["cpu_us"],
        o["peak_mib"],
    ),
    "TaskAsked": lambda o: TaskAsked(o["at_us"], o["task_id"], Verb(o["verb"]), o["reason"], o["by"]),
    "TimePassed": lambda o: TimePassed(o["at_us"]),
}

_DECISIONS: Mapping[str, Callable[[Json], Decision]] = {
    "StartAttempt": lambda o: StartAttempt(
        o["at_us"], o["task_id"], o["attempt"], o["bin_id"], tuple(o["devices"]), o["mode"], o["reason"]
    ),
    "StopAttempt": lambda o: StopAttempt(
        o["at_us"], o["task_id"], o["attempt"], StopCause(o["cause"]), o["reason"]
    ),
    "SetTask": lambda o: SetTask(
        o["at_us"], o["task_id"], TaskState(o["state"]), o["reason"], o["not_before_us"]
    ),
    "RefuseStart": lambda o: RefuseStart(o["at_us"], o["task_id"], o["reason"]),
    "CloseRun": lambda o: CloseRun(o["at_us"], o["run_id"], RunState(o["state"]), o["reason"]),
    "JudgeSlo": lambda o: JudgeSlo(
        o["at_us"], o["slo_id"], SloState(o["state"]), o["finished_us"], o["reason"]
    ),
    "SetPressure": lambda o: SetPressure(
        o["at_us"], o["level"], o["slo_id"], o["miss"], o["made_us"], o["reason"]
    ),
}


def _decode(table: Mapping[str, Callable[[Json], _T]], value: Json) -> _T:
    """The value of one record, read by the entry of `table` for its kind."""
    try:
        kind, version = value["k"], value["v"]
    except (KeyError, TypeError) as error:
        raise StoreError(f"a record of the ledger has no kind or version: {str(value)[:200]}") from error
    if kind not in table or version not in range(VERSION, NEWER.get(kind, VERSION) + 1):
        raise StoreError(
            f"the ledger holds a record {kind!r} of version {version!r}, which this program does not know",
            allowed=f"{', '.join(table)}, of version {NEWER.get(kind, VERSION)} or before",
            hint="the ledger was written by a newer program: use that one, or a later one",
        )
    try:
        return table[kind](value)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"a record {kind!r} of the ledger cannot be read ({error!r}): {str(value)[:200]}"
        ) from error


def _parse(text: str, what: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreError(f"a {what} of the ledger cannot be read ({error}): {text[:80]!r}") from error


def _storable(value: Json) -> Json:
    """`value` with U+FFFD for what a database refuses to keep as text; pairs of surrogates become their character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {key: _storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return value
