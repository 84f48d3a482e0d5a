"""`prometheus whatif`: tonight with another machine, other durations, another close; and how large a machine is enough."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prometheus.cli.face import AsJson, Face, Home, LedgerUrl, NoColor, open_face, parse_day, print_json

if TYPE_CHECKING:
    from prometheus.orchestrator.tonight import Tonight
    from prometheus.orchestrator.whatif.assuming import Assumption

SAMPLES = 200
SAMPLES_OF_A_SWEEP = 600  # fewer than 598 without a miss do not prove 99.5 %
MOST_SAMPLES = 100_000
QUIET_US = 2_000_000  # an answer that comes sooner needs no progress
TOLD_EVERY_US = 10_000_000


def whatif(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(help="Pipelines: shipped names, path/file.py:variable. [what runs tonight]"),
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option("--workload", metavar="FILE", help="The night of a workload file instead."),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="The runs of that session. [the next]")
    ] = None,
    cpu: Annotated[float | None, typer.Option("--cpu", metavar="N", help="Cores of each worker.")] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Memory of each worker, such as 64GB.")
    ] = None,
    gpu: Annotated[int | None, typer.Option("--gpu", metavar="N", help="GPUs of each worker.")] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", metavar="NAME=N", help="Units of a pool.")
    ] = None,
    slower: Annotated[
        list[str] | None,
        typer.Option(
            "--slower",
            metavar="WHAT=FACTOR",
            help="A kind, job, pipeline, task or pattern takes so many times as long.",
        ),
    ] = None,
    close: Annotated[
        list[str] | None,
        typer.Option(
            "--close",
            metavar="MARKET@HH:MM",
            help="It closes then, by its own clock (12:00Z: UTC); without an hour, it does not open.",
        ),
    ] = None,
    without_worker: Annotated[
        list[str] | None, typer.Option("--without-worker", metavar="BIN", help="That worker is gone.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="PIPELINE", help="It does not run (of a workload: tasks)."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep", metavar="WHAT=A..B[:STEP]", help="Each size of cpu, memory (GB), gpu or a pool."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", metavar="N", help="Nights that are drawn. [200; of a sweep 600]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the nights that are drawn.")] = 0,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Also draw it.")] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", metavar="PIXELS", help="Of the picture; under 640 it suits a phone. [1240]"),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    ledger: LedgerUrl = None,
    no_color: NoColor = False,
) -> None:
    """Tonight with something changed: P(miss) of every promise before and after. Nothing is recorded or started."""
    from prometheus.cli import sweep_words, whatif_words
    from prometheus.cli import whatif_reading as reading
    from prometheus.core.errors import UserError
    from prometheus.orchestrator.whatif.comparing import compare
    from prometheus.orchestrator.whatif.sweeping import sweep as run_sweep

    face = open_face(as_json, home, ledger, no_color)
    count = samples if samples is not None else SAMPLES_OF_A_SWEEP if sweep else SAMPLES
    if not 1 <= count <= MOST_SAMPLES:
        raise UserError(f"--samples is {count}", allowed=f"1 to {MOST_SAMPLES:,}")
    assumptions: list[Assumption] = reading.read_all(
        cpu, memory, gpu, pool or [], slower or [], close or [], without_worker or [], without or []
    )
    swept = None if sweep is None else reading.read_sweep(sweep)
    if swept is not None:
        reading.refuse_both(swept, assumptions)
    label = None if session is None else parse_day(session, "--session")
    tonight = _tonight(face, pipelines or [], workload, label)
    pixels = _picture_width(svg, width)
    told = _progress(face)
    if swept is not None:
        found = run_sweep(tonight, assumptions, swept, samples=count, seed=seed, progress=told)
        if svg is not None:
            _write(face, svg, sweep_words.picture_of_sweep(found, pixels))
        print_json(found.as_json()) if as_json else sweep_words.tell_sweep(face, found)
        return
    compared = compare(tonight, assumptions, samples=count, seed=seed, progress=told)
    if svg is not None:
        _write(face, svg, whatif_words.picture(compared, pixels))
    print_json(compared.as_json()) if as_json else whatif_words.tell(face, compared)


def _picture_width(svg: Path | None, width: int | None) -> int:
    """How wide the picture is to be; raises `UserError` for one that cannot be, before minutes are spent on drawing."""
    from prometheus.core.errors import UserError
    from prometheus.monitoring.page import LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH

    if svg is None:
        if width is not None:
            raise UserError("--width is of a picture, and none is asked for", hint="--svg FILE draws it")
        return USUAL_WIDTH
    if not svg.parent.is_dir():
        raise UserError(
            f"--svg {svg} cannot be written: there is no folder {svg.parent}",
            hint="name a file in a folder that exists",
        )
    pixels = USUAL_WIDTH if width is None else width
    if not LEAST_WIDTH <= pixels <= MOST_WIDTH:
        raise UserError(f"--width is {pixels}", allowed=f"{LEAST_WIDTH} to {MOST_WIDTH:,} pixels")
    return pixels


def _tonight(face: Face, pipelines: list[str], workload: Path | None, session: date | None) -> Tonight:
    from prometheus.core.errors import UserError
    from prometheus.orchestrator.clock import LiveClock
    from prometheus.orchestrator.simulation.workload import read_workload
    from prometheus.orchestrator.tonight import of_workload
    from prometheus.orchestrator.whatif.gathering import gather

    if workload is None:
        return gather(face.settings, pipelines, session, LiveClock().now_us())
    if pipelines or session is not None:
        raise UserError(
            "--workload is a whole night of its own",
            allowed="either --workload FILE, or pipelines and --session",
        )
    return of_workload(read_workload(workload), workload.name)


def _progress(face: Face) -> Callable[[int, int], None]:
    """Says on stderr how far it is once that takes a while: in a terminal in place, else a line now and then."""
    from prometheus.orchestrator.clock import monotonic_us

    next_us = monotonic_us() + QUIET_US

    def told(drawn: int, wanted: int) -> None:
        nonlocal next_us
        if face.err.is_terminal:
            face.err.print(f"\r{drawn} of {wanted} nights played", end="" if drawn < wanted else "\n")
        elif monotonic_us() >= next_us:
            next_us = monotonic_us() + TOLD_EVERY_US
            face.err.print(f"{drawn} of {wanted} nights played")

    return told


def _write(face: Face, svg: Path, text: str) -> None:
    from prometheus.core.errors import UserError

    try:
        svg.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--svg {svg} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    face.err.print(f"drawn: {svg}")
