"""How states and times are said in a terminal: a sign that needs no colour, a word, a colour that only helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus.core.instants import from_us
from prometheus.scheduler.states import RunState, SloState, TaskState

if TYPE_CHECKING:
    from rich.text import Text

    from prometheus.core.ids import Json
    from prometheus.scheduler.snapshot import Foreseen, RunRow, SloRow, TaskRow

SIGNS: Mapping[TaskState, tuple[str, str]] = {
    TaskState.WAITING: ("·", "dim"),
    TaskState.READY: ("○", ""),
    TaskState.STARTING: ("▸", "cyan"),
    TaskState.RUNNING: ("▶", "cyan"),
    TaskState.STOPPING: ("◼", "yellow"),
    TaskState.BACKING_OFF: ("↻", "yellow"),
    TaskState.HELD: ("‖", "yellow"),
    TaskState.SUCCEEDED: ("✓", "green"),
    TaskState.DEGRADED: ("≈", "yellow"),
    TaskState.FAILED: ("✗", "bold red"),
    TaskState.BLOCKED: ("⊘", "red"),
    TaskState.SKIPPED: ("↷", "dim"),
    TaskState.CANCELLED: ("⊗", "red"),
}
_RUN_STYLE: Mapping[RunState, str] = {
    RunState.RUNNING: "cyan",
    RunState.SUCCEEDED: "green",
    RunState.DEGRADED: "yellow",
    RunState.FAILED: "bold red",
    RunState.CANCELLED: "red",
}
_SLO_STYLE: Mapping[SloState, str] = {
    SloState.ON_TRACK: "",
    SloState.AT_RISK: "yellow",
    SloState.WILL_MISS: "bold red",
    SloState.RECOVERED: "green",
    SloState.MET: "green",
    SloState.MISSED: "bold red",
}


def task_words(state: TaskState) -> Text:
    """As in: ✓ succeeded."""
    from rich.text import Text

    sign, style = SIGNS[state]
    return Text(f"{sign} {state_word(state)}", style)


def run_words(state: RunState) -> Text:
    """The state of a run in its colour."""
    from rich.text import Text

    return Text(state_word(state), _RUN_STYLE[state])


def slo_words(state: SloState) -> Text:
    """The state of a promise in its colour."""
    from rich.text import Text

    return Text(state_word(state), _SLO_STYLE[state])


def state_word(state: TaskState | RunState | SloState) -> str:
    """As in: backing off."""
    return state.value.replace("_", " ")


def stamp(at_us: int | None) -> str:
    """YYYY-MM-DD HH:MM:SS in UTC; empty for None."""
    return "" if at_us is None else f"{from_us(at_us):%Y-%m-%d %H:%M:%S}"


def run_json(run: RunRow) -> dict[str, Json]:
    """What every JSON answer says of a run."""
    from prometheus.core.instants import iso

    return {
        "run_id": run.run_id,
        "pipeline": run.plan.pipeline,
        "market": run.plan.market,
        "session": run.plan.session.isoformat(),
        "state": run.state.value,
        "reason": run.reason,
        "replayed": run.plan.replayed,
        "started_at": iso(run.opened_us),
        "ended_at": iso(run.ended_us),
    }


def task_json(task: TaskRow) -> dict[str, Json]:
    """What every JSON answer says of a task."""
    from prometheus.core.instants import iso

    return {
        "task": task.job,
        "task_id": task.task_id,
        "state": task.state.value,
        "reason": task.reason,
        "refusal": task.refusal,
        "tier": task.tier,
        "mode": task.mode,
        "attempts": task.attempts,
        "started_at": iso(task.started_us),
        "ended_at": iso(task.ended_us),
        "not_before": iso(task.not_before_us),
    }


def forecast_words(foreseen: Foreseen | None, now_us: int) -> str:
    """As in: P(miss) 0.41, 12 s old; empty without a forecast."""
    from prometheus.monitoring.axis import span_words

    if foreseen is None:
        return ""
    return f"P(miss) {foreseen.said.miss:.2f}, {span_words(max(0, now_us - foreseen.made_us))} old"


def forecast_json(foreseen: Foreseen | None) -> dict[str, Json] | None:
    """What every JSON answer says of a promise's latest forecast."""
    from prometheus.core.instants import iso

    if foreseen is None:
        return None
    said = foreseen.said
    return {
        "miss": said.miss,
        "p50": iso(said.p50_us),
        "p90": iso(said.p90_us),
        "p99": iso(said.p99_us),
        "made_at": iso(foreseen.made_us),
        "samples": foreseen.samples,
        "critical": [{"task_id": task_id, "share": share} for task_id, share in said.critical],
        "known": said.known,
    }


def slo_json(slo: SloRow) -> dict[str, Json]:
    """What every JSON answer says of a promise."""
    from prometheus.core.instants import iso

    return {
        "name": slo.name,
        "deadline": iso(slo.deadline_us),
        "state": slo.state.value,
        "finished_at": iso(slo.finished_us),
        "reason": slo.reason,
        "forecast": forecast_json(slo.foreseen),
    }
