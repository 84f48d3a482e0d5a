"""`prometheus status`: what runs, waits and is late."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import AsJson, Face, Home, LedgerUrl, NoColor, cell, open_face, print_json, table

if TYPE_CHECKING:
    from prometheus.core.ids import Json
    from prometheus.orchestrator.views import Night
    from prometheus.scheduler.snapshot import SloRow, TaskRow

MOST_ROWS = 60  # of tasks in a table; --json has all


def status(
    run: Annotated[
        str | None, typer.Argument(help="A run id, for its tasks; without it, the newest runs.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many runs.")] = 10,
    as_json: AsJson = False,
    home: Home = None,
    ledger: LedgerUrl = None,
    no_color: NoColor = False,
) -> None:
    """What runs, what waits, what is late; with RUN, its tasks."""
    from prometheus.orchestrator.views import night_of, nights

    face = open_face(as_json, home, ledger, no_color)
    if run is not None:
        _one(face, night_of(face.settings, run))
        return
    found = nights(face.settings, limit)
    if as_json:
        print_json({"runs": [_night_json(night) for night in found]})
    elif not found:
        face.out.print("Nothing has run yet.")
        face.err.print("A first night: prometheus run us_eq_daily --session 2016-06-24")
    else:
        _many(face, found)


def _many(face: Face, found: list[Night]) -> None:
    from prometheus.cli.words import run_words, stamp, state_word
    from prometheus.orchestrator.blocking import asked_as, rerun_command

    shown = table("run", "state", "tasks", "promises", "opened UTC", "")
    for night in found:
        done = _done(night)
        notes = ["replayed"] if night.run.plan.replayed else []
        notes += ["unfinished: nobody works on it"] if night.is_abandoned else []
        promised = Counter(state_word(slo.state) for slo in night.slos)
        shown.add_row(
            night.run.run_id,
            run_words(night.run.state),
            f"{done} of {len(night.tasks)}",
            ", ".join(f"{count} {state}" for state, count in promised.items()),
            stamp(night.run.opened_us),
            cell(", ".join(notes)),
        )
    face.out.print(shown)
    for night in found:
        _now(face, night)
    for night in found:
        if night.is_abandoned or night.run.state.value == "failed":
            command = rerun_command(asked_as(night.run.plan.pipeline), night.run.plan.session, face.flags)
            face.err.print(f"\ngo on with {night.run.run_id}: {command}")
            break
    face.err.print(
        f"\nprometheus status {found[0].run.run_id} shows its tasks, prometheus why TASK what stands before one"
    )


def _now(face: Face, night: Night) -> None:
    """What runs, waits and is late in a night that is not over, and what went ill in one that is."""
    from prometheus.cli.words import state_word
    from prometheus.orchestrator.repairing import to_repair
    from prometheus.orchestrator.views import ill, running, waiting

    lines = []
    if night.run.ended_us is None:
        if running(night):
            what = "was running when it was left" if night.is_abandoned else "runs"
            lines.append(f"{what}: {_names(running(night))}")
        if waiting(night):
            lines.append("waits: " + _names(waiting(night)))
    if ill(night):
        lines += [f"{task.job} {task.state.value}: {cell(task.reason)}" for task in ill(night)[:5]]
    lines += [
        f"{state_word(slo.state)}: {slo.name}, {cell(slo.reason)}" for slo in night.late() + night.at_risk()
    ]
    wanting = to_repair(night.tasks)
    if wanting:
        lines.append(f"to be repaired: {_names(wanting)}")
    if lines:
        face.out.print(f"\n{night.run.run_id}")
        for line in lines:
            face.out.print(f"  {line}")


def _names(tasks: list[TaskRow]) -> str:
    names = [task.job for task in tasks]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _done(night: Night) -> int:
    from prometheus.scheduler.states import DONE

    return sum(count for state, count in night.counts().items() if state in DONE)


def _one(face: Face, night: Night) -> None:
    from prometheus.cli.words import slo_words, stamp, task_words
    from prometheus.monitoring.axis import span_words
    from prometheus.orchestrator.blocking import asked_as, rerun_command
    from prometheus.orchestrator.repairing import to_repair

    if face.as_json:
        print_json(_night_json(night))
        return
    from prometheus.monitoring.night import run_words

    last = max([night.run.opened_us, *(task.ended_us or task.started_us or 0 for task in night.tasks)])
    face.out.print(f"{night.run.run_id} · {run_words(night.run, night.tasks, last)}")
    if night.run.reason:
        face.out.print(cell(night.run.reason))
    face.out.print()
    shown = table("task", "tier", "state", "attempts", "started UTC", "took", "reason")
    for task in night.tasks[:MOST_ROWS]:
        took = ""
        if task.started_us is not None and task.ended_us is not None:
            took = span_words(task.ended_us - task.started_us)
        shown.add_row(
            task.job,
            str(task.tier),
            task_words(task.state),
            str(task.attempts),
            stamp(task.started_us),
            took,
            cell(task.refusal or task.reason),
        )
    face.out.print(shown)
    if len(night.tasks) > MOST_ROWS:
        face.out.print(f"and {len(night.tasks) - MOST_ROWS} more; --json has all")
    face.out.print()
    promises = table("promise", "due UTC", "state", "done UTC", "forecast", "reason")
    for slo in night.slos:
        promises.add_row(
            slo.name,
            stamp(slo.deadline_us),
            slo_words(slo.state),
            stamp(slo.finished_us),
            _foreseen(slo),
            cell(slo.reason),
        )
    face.out.print(promises)
    wanting = to_repair(night.tasks)
    if wanting:
        command = rerun_command(asked_as(night.run.plan.pipeline), night.run.plan.session, face.flags)
        face.out.print(f"\nto be repaired: {_names(wanting)}", soft_wrap=True)
        is_led = night.run.ended_us is None and not night.is_abandoned
        when = ", once nobody works on it any more" if is_led else ""
        face.err.print(f"in full{when}: {command} --repair", soft_wrap=True)
    face.err.print(f"\nledger: {night.ledger_url}")


def _foreseen(slo: SloRow) -> str:
    """P(miss) and when half and nine tenths of the samples had it done, as long as it is not settled."""
    from prometheus.cli.words import stamp

    if slo.foreseen is None or slo.finished_us is not None:
        return ""
    said = slo.foreseen.said
    ends = [f"{name} {stamp(at)[11:16]}" for name, at in (("P50", said.p50_us), ("P90", said.p90_us)) if at]
    made = f"made {stamp(slo.foreseen.made_us)[11:]} of {slo.foreseen.samples}"
    return ", ".join([f"P(miss) {said.miss:.2f}", *ends, made])


def _night_json(night: Night) -> dict[str, Json]:
    from prometheus.cli.words import run_json, slo_json, task_json
    from prometheus.orchestrator.repairing import to_repair

    return {
        **run_json(night.run),
        "ledger": night.ledger_url,
        "leader": night.leader or None,
        "abandoned": night.is_abandoned,
        "counts": {state.value: count for state, count in sorted(night.counts().items())},
        "late": [slo.name for slo in night.late()],
        "at_risk": [slo.name for slo in night.at_risk()],
        "to_repair": [task.task_id for task in to_repair(night.tasks)],
        "tasks": [task_json(task) for task in night.tasks],
        "slos": [slo_json(slo) for slo in night.slos],
    }
