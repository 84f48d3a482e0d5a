"""`prometheus why`: what stands before one task or promise, when it will be done, and what would help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import AsJson, Face, Home, LedgerUrl, NoColor, cell, open_face, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus.core.ids import Json
    from prometheus.forecast.foresee import Forecast
    from prometheus.orchestrator.answering import WhySlo, Wish
    from prometheus.orchestrator.blocking import Cause, Why
    from prometheus.orchestrator.curing import Cure
    from prometheus.scheduler.events import SloForecast
    from prometheus.scheduler.snapshot import AttemptRow


MOST_HARMS = 3  # promises that are named; --json has all
NO_VERBS = "none of it can be typed yet: hold, cancel and the other verbs come with the daemon"


def why(
    task: Annotated[
        list[str] | None, typer.Argument(help="A task id, or RUN JOB, or the name of a job.")
    ] = None,
    slo: Annotated[
        str | None, typer.Option("--slo", metavar="NAME", help="Ask of a promise, not of a task.")
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option("--workload", metavar="FILE", help="Ask in the night of a workload file."),
    ] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="SPAN", help="With --workload: so long after its start.")
    ] = "0s",
    samples: Annotated[
        int,
        typer.Option("--samples", min=0, max=10_000, help="Of the forecast; 0 = none, the rows alone."),
    ] = 100,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the samples. [that of the settings]")] = None,
    no_cures: Annotated[
        bool, typer.Option("--no-cures", help="Only what stands before it; a quick answer.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
    ledger: LedgerUrl = None,
    no_color: NoColor = False,
) -> None:
    """Everything that stands before a task or a promise, when it will be done, and what would help."""
    from prometheus.core.errors import UserError
    from prometheus.orchestrator.answering import WhySlo, Wish

    face = open_face(as_json, home, ledger, no_color)
    if bool(task) == (slo is not None):
        raise UserError(
            "why asks of one thing", allowed="a task, or a promise with --slo NAME", hint="prometheus status"
        )
    drawn = face.settings.seed if seed is None else seed
    wish = Wish(samples, not no_cures, _progress(face))
    if workload is None:
        told = _in_ledgers(face, task or (), slo, wish, drawn)
    else:
        told = _in_workload(workload, at, task or (), slo, wish, drawn)
    if as_json:
        print_json(_slo_json(told) if isinstance(told, WhySlo) else _why_json(face, told))
    elif isinstance(told, WhySlo):
        _slo_words(face, told)
    else:
        _why_words(face, told)


def _in_ledgers(face: Face, task: Sequence[str], slo: str | None, wish: Wish, seed: int) -> Why | WhySlo:
    from prometheus.orchestrator import answering
    from prometheus.orchestrator.clock import LiveClock

    settings = face.settings.model_copy(update={"seed": seed})
    now_us = LiveClock().now_us()
    if slo is not None:
        return answering.why_slo(settings, slo, now_us, face.flags, wish)
    return answering.why(settings, task, now_us, face.flags, wish)


def _in_workload(
    path: Path, at: str, task: Sequence[str], slo: str | None, wish: Wish, seed: int
) -> Why | WhySlo:
    from prometheus.core.instants import parse_duration
    from prometheus.orchestrator import answering, blocking
    from prometheus.orchestrator.prospect import night_of_workload

    night, prospect, ledger = night_of_workload(path, parse_duration(at), seed)
    if slo is not None:
        _, row = blocking.find_slo([night], slo)
        return answering.answer_slo(night, row, prospect.now_us, prospect, wish)
    _, found = blocking.find([night], task)
    attempts = ledger.attempts(found.task_id)
    return answering.answer(night, found, attempts, prospect.now_us, prospect, wish)


def _progress(face: Face) -> Callable[[int, int], None]:
    """A line on a terminal that says how many cures have been tried; nothing in a log."""
    if not face.err.is_terminal:
        return lambda done, of: None
    return lambda done, of: face.err.print(f"trying what would help: {done} of {of}   ", end="\r")


def _why_words(face: Face, answer: Why) -> None:
    from prometheus.cli.words import stamp
    from prometheus.monitoring.axis import span_words

    face.out.print(cell(answer.headline), soft_wrap=True)
    _cause_words(face, answer.causes)
    for row in answer.attempts:
        took = (
            ""
            if row.ended_us is None
            else f" after {span_words(row.ended_us - (row.started_us or row.ordered_us))}"
        )
        said = f": {cell(row.message)}" if row.message else ""
        face.out.print(f"  attempt {row.attempt} {_how(row)}{took}{said}")
    if answer.attempts and answer.attempts[-1].tail and answer.attempts[-1].failure:
        face.out.print("  its last lines:")
        for line in answer.attempts[-1].tail.splitlines()[-12:]:
            face.out.print(f"    {cell(line)}")
    for path in _logs(face, answer):
        face.out.print(f"  log: {path}")
    if answer.eta_us is not None and answer.forecast is None:  # which knows better
        face.out.print(
            f"  could start about {stamp(answer.eta_us)} UTC, if what is before it takes its usual time"
        )
    if answer.forecast is not None:
        foreseen = _task_json(answer.forecast, answer.task.task_id)
        if foreseen is not None:
            parts = [f"{name} {_clock(at)}" for name, key in _TASK_WORDS if (at := foreseen[key]) is not None]
            where = ", ".join(parts) or "not within what was looked at"
            face.out.print(f"  by the forecast of {answer.forecast.samples} samples: {where}")
    _promise_words(face, answer.forecast, [slo.slo_id for slo in answer.slos])
    _cure_words(face, answer.ranked)
    _command_words(face, answer.commands)


def _how(row: AttemptRow) -> str:
    """What became of an attempt; one that made room for another has not failed."""
    is_preempted = row.failure is not None and row.failure.value == "preempted"
    return "preempted" if is_preempted else row.state.value


_PROMISE_WORDS = {"will_miss": "will be missed", "met": "was met", "missed": "was missed"}  # others: is ...
_TASK_WORDS = (
    ("starts about", "start_p50"),
    ("done about", "end_p50"),
    ("in 9 of 10 by", "end_p90"),
)


def _slo_words(face: Face, answer: WhySlo) -> None:
    from prometheus.cli.words import stamp, state_word

    slo = answer.slo
    reason = f": {cell(slo.reason)}" if slo.reason else ""
    how = _PROMISE_WORDS.get(slo.state.value, f"is {state_word(slo.state)}")
    face.out.print(
        f"promise {slo.name} of {slo.run_id} {how}, due {stamp(slo.deadline_us)} UTC{reason}",
        soft_wrap=True,
    )
    _cause_words(face, answer.causes)
    _promise_words(face, answer.forecast, [slo.slo_id])
    _cure_words(face, answer.ranked)
    _command_words(face, answer.commands)


def _command_words(face: Face, commands: Sequence[str]) -> None:
    from prometheus.cli.own_name import say_own_name

    for command in commands:
        face.out.print(f"  go on with: {command}", soft_wrap=True)
    if commands:
        say_own_name(face)


def _cause_words(face: Face, causes: Sequence[Cause]) -> None:
    for cause in causes:
        foreseen = ""
        if cause.at_us is not None and cause.kind not in {"release", "market", "retry"}:
            from prometheus.core.instants import from_us

            foreseen = f" (done about {from_us(cause.at_us):%H:%M})"
        face.out.print(f"  - {cell(cause.text)}{foreseen}", soft_wrap=True)


def _promise_words(face: Face, forecast: Forecast | None, slo_ids: Sequence[str]) -> None:
    if forecast is None:
        return
    for said in forecast.slos:
        if said.slo_id in slo_ids:
            ends = [
                f"{name} {_clock(_iso(at))}"
                for name, at in (("P50", said.p50_us), ("P90", said.p90_us))
                if at
            ]
            face.out.print(
                f"  promise {said.slo_id}: {', '.join([f'P(miss) {said.miss:.2f}', *ends])}", soft_wrap=True
            )


def _cure_words(face: Face, ranked: Sequence[Cure]) -> None:
    if ranked:
        face.out.print("  what would help most, if it were done now:")
    for number, cure in enumerate(ranked, 1):
        if cure.before is not None and cure.after is not None:
            effect = f"P(miss) {cure.before:.2f} -> {cure.after:.2f}"
        else:
            effect = f"done about {_clock(_iso(cure.end_before_us))} -> {_clock(_iso(cure.end_after_us))}"
        harm = ""
        if cure.harms:
            more = f" and {len(cure.harms) - MOST_HARMS} more" if len(cure.harms) > MOST_HARMS else ""
            harm = f"; but makes likelier to be missed: {', '.join(cure.harms[:MOST_HARMS])}{more}"
        face.out.print(f"  {number}. {cell(cure.words)}: {effect}{harm}", soft_wrap=True)
    if ranked and all(cure.command is None for cure in ranked):
        face.out.print(f"  {NO_VERBS}", soft_wrap=True)


def _iso(at_us: int | None) -> str | None:
    from prometheus.core.instants import iso

    return iso(at_us)


def _clock(text: Json) -> str:
    """HH:MM of an instant in JSON's form; a dash for None."""
    return "-" if text is None else str(text)[11:16]


def _task_json(forecast: Forecast, task_id: str) -> dict[str, Json] | None:
    said = forecast.tasks.get(task_id)
    if said is None:
        return None
    return {
        "start_p50": _iso(said.start_p50_us),
        "end_p50": _iso(said.end_p50_us),
        "end_p90": _iso(said.end_p90_us),
    }


def _promise_json(said: SloForecast) -> dict[str, Json]:
    return {
        "slo_id": said.slo_id,
        "miss": said.miss,
        "p50": _iso(said.p50_us),
        "p90": _iso(said.p90_us),
        "p99": _iso(said.p99_us),
        "critical": [{"task_id": task_id, "share": share} for task_id, share in said.critical],
        "known": said.known,
    }


def _forecast_json(
    forecast: Forecast | None, slo_ids: Sequence[str], task_id: str | None
) -> dict[str, Json] | None:
    if forecast is None:
        return None
    return {
        "made_at": _iso(forecast.made_us),
        "samples": forecast.samples,
        "task": None if task_id is None else _task_json(forecast, task_id),
        "slos": [_promise_json(said) for said in forecast.slos if said.slo_id in slo_ids],
    }


def _causes_json(causes: Sequence[Cause]) -> list[Json]:
    return [
        {"kind": one.kind, "text": one.text, "task_id": one.task_id, "until": _iso(one.at_us)}
        for one in causes
    ]


def _cures_json(ranked: Sequence[Cure]) -> list[Json]:
    return [
        {
            "words": cure.words,
            "command": cure.command,
            "slo_id": cure.slo_id,
            "miss_before": cure.before,
            "miss_after": cure.after,
            "end_before": _iso(cure.end_before_us),
            "end_after": _iso(cure.end_after_us),
            "samples": cure.samples,
            "harms": list(cure.harms),
        }
        for cure in ranked
    ]


def _logs(face: Face, answer: Why) -> list[str]:
    from prometheus.orchestrator.launching import log_path

    task = answer.task
    paths = [log_path(face.settings, task.run_id, task.job, row.attempt) for row in answer.attempts]
    return [str(path) for path in paths if path.is_file()]


def _slo_json(answer: WhySlo) -> dict[str, Json]:
    from prometheus.cli.words import slo_json

    return {
        **slo_json(answer.slo),
        "slo_id": answer.slo.slo_id,
        "run_id": answer.slo.run_id,
        "at": _iso(answer.now_us),
        "causes": _causes_json(answer.causes),
        "looked_ahead": _forecast_json(answer.forecast, [answer.slo.slo_id], None),
        "cures": _cures_json(answer.ranked),
        "commands": list(answer.commands),
    }


def _why_json(face: Face, answer: Why) -> dict[str, Json]:
    from prometheus.cli.words import task_json

    return {
        **task_json(answer.task),
        "run_id": answer.task.run_id,
        "at": _iso(answer.now_us),
        "headline": answer.headline,
        "causes": _causes_json(answer.causes),
        "could_start_at": _iso(answer.eta_us),
        "looked_ahead": _forecast_json(
            answer.forecast, [slo.slo_id for slo in answer.slos], answer.task.task_id
        ),
        "cures": _cures_json(answer.ranked),
        "commands": list(answer.commands),
        "tried": [
            {
                "attempt": row.attempt,
                "state": row.state.value,
                "failure": row.failure.value if row.failure else None,
                "message": row.message,
                "tail": row.tail,
                "started_at": _iso(row.started_us),
                "ended_at": _iso(row.ended_us),
                "peak_mib": row.peak_mib,
                "cpu_seconds": None if row.cpu_us is None else row.cpu_us / 1_000_000,
            }
            for row in answer.attempts
        ],
        "logs": _logs(face, answer),
    }
