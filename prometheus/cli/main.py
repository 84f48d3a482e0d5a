"""The command line: `prometheus`, `pdesk`, `python -m prometheus`.

Commands live in files of their own and import what they need when they run, so that help costs nothing. Data goes to
stdout, everything else to stderr. Exit codes: 0 done, 1 work failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated, TextIO

import typer
import typer.core

from prometheus import __version__
from prometheus.cli import (
    calendar,
    data,
    database,
    decisions,
    doctor,
    plan,
    research,
    run,
    simulate,
    status,
    whatif,
    why,
)
from prometheus.cli.complain import complain

# Wrong use that typer itself finds; it prints that and exits 2. Its exceptions' common base has no public name.
_WrongUse: type[Exception] = next(
    base
    for base in typer.BadParameter.__mro__
    if issubclass(base, Exception) and base.__name__ == "ClickException"
)


class _Calm(typer.core.TyperGroup):
    """A group whose commands end in a calm sentence, never in a traceback."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own Context is click's
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, _WrongUse, KeyboardInterrupt, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  # the last door: whatever it is, the person gets a sentence
            raise typer.Exit(complain(error)) from None


app = typer.Typer(
    name="prometheus",
    cls=_Calm,
    help="Runs a trading desk's daily and weekly work on market time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings come from prometheus.toml, then PROMETHEUS_* variables, then flags. docs/cli.md has it all.",
)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        from prometheus.scheduler.core import IS_COMPILED

        print(f"prometheus {__version__}" + (" (compiled core)" if IS_COMPILED else ""))
        raise typer.Exit


@app.callback()
def _prometheus(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    pass


app.command("run", short_help="Run a pipeline for one session, or take it up again.")(run.run)
app.command("status", short_help="What runs, what waits, what is late.")(status.status)
app.command("why", short_help="What stands before a task or a promise, and what helps.")(why.why)
app.command("plan", short_help="What would run when.")(plan.plan)
app.command("simulate", short_help="The scheduler over a workload file, in virtual time.")(simulate.simulate)
app.command("whatif", short_help="Tonight with something changed; how large a machine is enough.")(
    whatif.whatif
)
app.command("decisions", short_help="What the engines decided, and from what.")(decisions.decisions)
app.command("doctor", short_help="Find what is wrong with this machine.")(doctor.doctor)
app.add_typer(calendar.app, name="calendar")
app.add_typer(database.app, name="db")
app.add_typer(data.app, name="data")
app.add_typer(research.app, name="research")


def main() -> None:
    """What `prometheus` on the command line calls; never returns."""
    for stream in (sys.stdout, sys.stderr):
        _never_choke(stream)
    app(prog_name=None)


def _never_choke(stream: TextIO) -> None:
    """A terminal that cannot write a character gets `?` instead of a crash."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
