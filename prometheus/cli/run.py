"""`prometheus run`: one run in the foreground, shown as it goes; then verdicts, picture, where to look next."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import (
    AsJson,
    Face,
    Home,
    LedgerUrl,
    NoColor,
    cell,
    open_face,
    parse_day,
    print_json,
    table,
)

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console

    from prometheus.core.ids import Json
    from prometheus.orchestrator.foreground import RunReport

MOST_FAILURES = 5  # told in full; the others by name
MOST_LINES = 12  # of a failed task's output
INTERRUPTED = 130
TERMINATED = 143


def run(
    pipeline: Annotated[str, typer.Argument(help="A shipped name (us_eq_daily) or path/file.py:variable.")],
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="DATE", help="The session. [the latest that has closed]"),
    ] = None,
    replay: Annotated[
        bool | None,
        typer.Option(
            "--replay/--live",
            help="On the clock of that night, or of the wall. [replayed when its deadlines have passed]",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Put the ledger of an earlier replay aside and begin anew.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Run again in full what was degraded or skipped.")
    ] = False,
    executor: Annotated[str | None, typer.Option("--executor", metavar="KIND", help="local. [local]")] = None,
    as_json: AsJson = False,
    home: Home = None,
    ledger: LedgerUrl = None,
    no_color: NoColor = False,
) -> None:
    """Run a pipeline for one session, with progress; an unfinished run is taken up where it was left."""
    from prometheus.core.errors import UserError

    if repair and again:
        raise UserError(
            "--repair and --again contradict each other",
            hint="--repair goes on with the night that was, --again begins anew",
        )
    face = open_face(as_json, home, ledger, no_color, executor)
    day = None if session is None else parse_day(session, "--session")
    from prometheus.cli.display import display_for
    from prometheus.ledger.contract import LedgerUnavailableError
    from prometheus.orchestrator.blocking import rerun_command
    from prometheus.orchestrator.clock import monotonic_us
    from prometheus.orchestrator.foreground import Progress, RunRequest, run_pipeline

    request = RunRequest(pipeline, day, ledger, replay, repair, again)
    seen: list[Progress] = []

    def go_on() -> str:
        known = seen[0].run.plan.session if seen else day
        return (
            f"prometheus run {pipeline}{face.flags}"
            if known is None
            else rerun_command(pipeline, known, face.flags)
        )

    try:
        with _term_interrupts() as signals, display_for(face.err, as_json, monotonic_us) as shown:

            def observe(progress: Progress) -> None:
                seen[:] = [progress]
                shown.show(progress)

            report = run_pipeline(request, face.settings, observe)
    except KeyboardInterrupt:
        face.err.print("\nstopped; what had finished is kept, and what was running will be tried anew")
        face.err.print(f"go on with: {go_on()}", soft_wrap=True)
        raise typer.Exit(TERMINATED if signals else INTERRUPTED) from None
    except LedgerUnavailableError as error:
        from prometheus.cli.complain import block

        face.err.print(f"{block(error)}\nwhat was committed is kept\ngo on with: {go_on()}", soft_wrap=True)
        raise typer.Exit(1) from None
    command = rerun_command(pipeline, report.run.plan.session, face.flags)
    picture = _draw(face, report, command)
    if as_json:
        print_json(result_json(report, picture))
        _failures(face, report, command, face.err)
    else:
        _tell(face, report, command)
    _where_next(face, report, picture, command)
    raise typer.Exit(exit_code(report))


def exit_code(report: RunReport) -> int:
    """0 when everything that had to be done is done, 1 when work failed."""
    return 0 if report.run.state.value in {"succeeded", "degraded"} else 1


@contextmanager
def _term_interrupts() -> Iterator[list[int]]:
    """SIGTERM stops the run as cleanly as Ctrl-C; the list then holds it."""
    seen: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)


def result_json(report: RunReport, picture: Path | None) -> dict[str, Json]:
    """The object that `prometheus run --json` prints."""
    from prometheus.cli.words import run_json, slo_json, task_json

    return {
        **run_json(report.run),
        "tasks": [task_json(task) for task in report.tasks],
        "slos": [slo_json(slo) for slo in report.slos],
        "ledger": report.ledger_url,
        "logs": str(report.log_dir),
        "picture": None if picture is None else str(picture),
        "resumed": report.resumed,
        "was_finished": report.was_finished,
        "notes": notes_of(report),
    }


def notes_of(report: RunReport) -> list[str]:
    """What jobs want people to know of their results: the texts under "notes" in their outputs, each once."""
    found: dict[str, None] = {}
    for task in report.tasks:
        output = json.loads(task.output) if task.output else None
        notes = output.get("notes") if isinstance(output, dict) else None
        if isinstance(notes, list):
            found.update((note, None) for note in notes if isinstance(note, str))
    return list(found)


def _draw(face: Face, report: RunReport, command: str) -> Path | None:
    """Write the night's picture; a full disk costs the picture, not the night."""
    from prometheus.cli.display import calendar_of
    from prometheus.monitoring.night import scene_of_run
    from prometheus.monitoring.picture import draw

    remarks = [
        f"{task.job} failed: {_said(report, task.task_id)}" for task in report.tasks if task.state == "failed"
    ]
    remarks += [note for note in notes_of(report) if "synthetic" in note.lower()]
    if exit_code(report) != 0:
        remarks.append(f"go on with: {command}")
    plan = report.run.plan
    last = max([report.run.opened_us, *(task.ended_us or 0 for task in report.tasks)])
    calendar = calendar_of(plan.market)
    scene = scene_of_run(report.run, report.tasks, report.attempts, report.slos, calendar, last, remarks)
    path = face.settings.home / "pictures" / f"{report.run.run_id}.svg"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(scene), encoding="utf-8")
    except OSError as error:
        face.err.print(f"the picture {path} could not be written: {error.strerror}")
        return None
    return path


def _said(report: RunReport, task_id: str) -> str:
    """The message of the last attempt of a task."""
    found = [row.message for row in report.attempts if row.task_id == task_id and row.message]
    return found[-1].strip() if found else "no message"


def _tell(face: Face, report: RunReport, command: str) -> None:
    """The verdicts, on stdout: what became of the run, its tasks and its promises."""
    from prometheus.cli.display import slo_line, task_table
    from prometheus.cli.words import stamp
    from prometheus.monitoring.night import day_words, run_words

    plan, out = report.run.plan, face.out
    last = max([report.run.opened_us, *(task.ended_us or 0 for task in report.tasks)])
    out.print(f"{plan.pipeline} for {day_words(plan.session)}", style="bold")
    out.print(run_words(report.run, report.tasks, last), soft_wrap=True)
    if report.was_finished:
        out.print(f"It had ended already, at {stamp(report.run.ended_us)} UTC; nothing was run again.")
    elif report.resumed:
        out.print("It was taken up where an earlier try had left it.")
    out.print()
    out.print(task_table(report.tasks[:60], last))
    if len(report.tasks) > 60:
        out.print(f"and {len(report.tasks) - 60} more: prometheus status {report.run.run_id}")
    out.print()
    for slo in report.slos:
        out.print(slo_line(slo, last), soft_wrap=True)
    notes = notes_of(report)
    if notes:
        out.print("\nTo know of these results:")
    for note in notes:
        out.print(f"! {cell(note)}", soft_wrap=True)
    _failures(face, report, command, out)


def _failures(face: Face, report: RunReport, command: str, out: Console) -> None:
    """What failed, its last lines, where its log is, and the command to go on."""
    from prometheus.orchestrator.launching import log_path

    failed = [task for task in report.tasks if task.state == "failed"]
    for task in failed[:MOST_FAILURES]:
        rows = [row for row in report.attempts if row.task_id == task.task_id]
        tries = f"after {task.attempts} attempts" if task.attempts > 1 else "at its only attempt"
        out.print()
        out.print(
            f"✗ {task.job} failed {tries}: {cell(_said(report, task.task_id))}", style="bold", soft_wrap=True
        )
        tail = rows[-1].tail.splitlines() if rows else []
        for line in tail[-MOST_LINES:]:
            out.print(f"    {cell(line)}", soft_wrap=True)
        path = log_path(face.settings, task.run_id, task.job, task.attempts)
        if path.is_file():
            out.print(f"  log: {path}", soft_wrap=True)
    if len(failed) > MOST_FAILURES:
        out.print(f"\nalso failed: {', '.join(task.job for task in failed[MOST_FAILURES:])}", soft_wrap=True)
    if report.is_stuck:
        out.print("\nNothing that is left can start by itself: it is held, or larger than this machine.")
    if exit_code(report) != 0:
        out.print(f"\nGo on with: {command}", soft_wrap=True)


def _where_next(face: Face, report: RunReport, picture: Path | None, command: str) -> None:
    from prometheus.cli.own_name import say_own_name
    from prometheus.orchestrator.repairing import to_repair

    run_id, plan = report.run.run_id, report.run.plan
    here = face.repeat("--home", "--ledger")
    rows = table("", "")
    rows.show_header = False
    if picture is not None:
        rows.add_row("the night's picture", str(picture))
    rows.add_row("every task", f"prometheus status {run_id}{here}")
    wanting = to_repair(report.tasks)
    if wanting:
        names = ", ".join(task.job for task in wanting[:3]) + (" ..." if len(wanting) > 3 else "")
        rows.add_row(f"in full: {names}", f"{command} --repair")
    ill = next((task for task in report.tasks if task.state in {"failed", "blocked"}), None)
    rows.add_row("one task", f"prometheus why {(ill or report.tasks[-1]).task_id}{here}")
    if any(task.job == "decision_log" for task in report.tasks):
        rows.add_row(
            "what was decided", f"prometheus decisions --session {plan.session}{face.repeat('--home')}"
        )
    face.err.print()
    face.err.print(rows)
    say_own_name(face)
