"""`prometheus simulate`: the production scheduler over a workload file, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prometheus.cli.face import AsJson, Home, NoColor, cell, open_face, print_json, table

if TYPE_CHECKING:
    from prometheus.cli.face import Face
    from prometheus.orchestrator.simulation.simulate import Simulated


def simulate(
    workload: Annotated[Path, typer.Option("--workload", metavar="FILE", help="The workload file.")],
    seed: Annotated[int, typer.Option("--seed", help="Spreads the retries of equal tasks.")] = 0,
    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME", help="Another rule, to compare with.")
    ] = "reserving",
    faults: Annotated[
        str | None,
        typer.Option("--faults", metavar="SPEC", help="What goes wrong: all, or lost=3,restarts=8,seed=7."),
    ] = None,
    forecast_every: Annotated[
        str | None,
        typer.Option(
            "--forecast-every", metavar="DURATION", help="Make forecasts in virtual time, and heed them."
        ),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, max=10_000, help="Of each forecast.")] = 20,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write every start and end, a JSON line each."),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Run the scheduler over a workload in virtual time: the core that decides in production, and nothing real."""
    from prometheus.core.errors import UserError
    from prometheus.core.instants import SECOND_US, from_us, parse_duration
    from prometheus.orchestrator.simulation.faults import read_faults
    from prometheus.orchestrator.simulation.foreseeing import Forecasts
    from prometheus.orchestrator.simulation.simulate import simulate as run
    from prometheus.orchestrator.simulation.workload import read_workload
    from prometheus.pipelines.defaults import near
    from prometheus.scheduler.policies import POLICIES

    face = open_face(as_json, home, None, no_color)
    if policy not in POLICIES:
        raise UserError(
            f"there is no policy {policy!r}", allowed=", ".join(POLICIES), hint=near(policy, list(POLICIES))
        )
    asked = None if faults is None else read_faults(faults)
    read = read_workload(workload)
    if asked is not None:
        read = replace(read, faults=asked)
    forecasts = None
    if forecast_every is not None:
        every_us = parse_duration(forecast_every)
        if every_us < SECOND_US:
            raise UserError(f"--forecast-every is {forecast_every!r}", allowed="at least 1s")
        forecasts = Forecasts(every_us, samples, seed)
    if trace is not None:
        _write(trace, (), mode="a")  # said now, not after the night
    result = run(read, policy=POLICIES[policy], seed=seed, traced=trace is not None, forecasts=forecasts)
    if trace is not None:
        _write(trace, _lines(result))
    if as_json:
        print_json({**result.as_json(), "policy": policy, "seed": seed})
        return
    _show(face, result)
    face.err.print(
        f"policy {policy}, seed {seed}: {result.events} events, {result.decisions} decisions "
        f"in {result.wall_us / 1e6:.2f} s"
    )
    if result.foreseen is not None:
        face.err.print(f"{result.foreseen.made} forecasts of {samples} samples")
        for one in result.foreseen.pressures:
            face.out.print(cell(f"{from_us(one.at_us):%H:%M} UTC, pressure {one.level}: {one.reason}"))
    if result.faults is not None:
        met = (
            ", ".join(f"{kind} {count}" for kind, count in sorted(result.happened.items()))
            or "none met anybody"
        )
        face.err.print(f"faults of seed {result.faults.seed}: {met}")


def _lines(result: Simulated) -> Iterator[str]:
    start_us = result.workload.start_us
    for at_us, event, task, attempt in result.trace:
        line = {"at_s": (at_us - start_us) / 1e6, "event": event, "task": task, "attempt": attempt}
        yield json.dumps(line) + "\n"


def _write(trace: Path, lines: Iterable[str], mode: Literal["a", "w"] = "w") -> None:
    from prometheus.core.errors import UserError

    try:
        with trace.open(mode, encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise UserError(
            f"--trace {trace} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None


def _show(face: Face, result: Simulated) -> None:
    told = result.as_json()["tasks"]
    shown = table("tier", "tasks", "done", "deadlines met", "core-h useful", "core-h wasted", "preempted")
    for tier in (1, 2, 3):
        tasks = [task for task in result.workload.tasks if task.tier == tier]
        if not tasks:
            continue
        due = [task for task in tasks if task.deadline_us is not None]
        ends = {task.task_id: told[task.task_id]["end_s"] for task in due}
        met = sum(
            ends[task.task_id] is not None
            and result.workload.start_us + ends[task.task_id] * 1e6 <= (task.deadline_us or 0)
            for task in due
        )
        rows = [told[task.task_id] for task in tasks]
        shown.add_row(
            str(tier),
            str(len(tasks)),
            str(sum(row["end_s"] is not None for row in rows)),
            f"{met} of {len(due)}" if due else "",
            f"{sum(row['useful_cpu_s'] for row in rows) / 3600:.1f}",
            f"{sum(row['wasted_cpu_s'] for row in rows) / 3600:.1f}",
            str(sum(row["preemptions"] for row in rows)),
        )
    face.out.print(shown)
    for said, names in (
        (
            "Tier 1 tasks that never ended",
            [
                task.task_id
                for task in result.workload.plan.tasks
                if task.tier == 1 and told[task.task_id]["end_s"] is None
            ],
        ),
        ("Hung without a timeout", [task_id for task_id, row in told.items() if row["state"] == "hung"]),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            face.out.print(cell(f"{said}: {', '.join(names[:5])}{more}"))
