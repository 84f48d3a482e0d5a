"""What every command shares: its common flags, the settings in force, and where it prints."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from prometheus.core.ids import Json
    from prometheus.core.settings import Settings

PLAIN_WIDTH = 160  # of tables when nobody's terminal says how wide it is

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder of ledgers, stores, logs and pictures. [.prometheus]"),
]
LedgerUrl = Annotated[
    str | None, typer.Option("--ledger", metavar="URL", help="The ledger. [sqlite:///.prometheus/ledger.db]")
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours and no moving display.")]


@dataclass(frozen=True, slots=True)
class Face:
    """One command's view of the world."""

    settings: Settings
    as_json: bool
    out: Console  # data
    err: Console  # everything else
    given: tuple[tuple[str, str], ...] = ()  # the flags that were given and decide where things are

    @property
    def flags(self) -> str:
        """The flags that a command to go on must repeat, with a space before each."""
        return self.repeat("--home", "--ledger", "--executor")

    def repeat(self, *known: str) -> str:
        """Of the flags given, those that another command knows, with a space before each."""
        return "".join(f" {flag} {shlex.quote(value)}" for flag, value in self.given if flag in known)


def open_face(
    as_json: bool = False,
    home: Path | None = None,
    ledger: str | None = None,
    no_color: bool = False,
    executor: str | None = None,
) -> Face:
    """Settings with these flags applied, and consoles. Raises `SettingsError`."""
    from prometheus.core.settings import load_settings

    settings = load_settings(
        flags={("home",): home, ("ledger", "url"): ledger, ("executor", "kind"): executor}
    )
    flags = {"--home": home, "--ledger": ledger, "--executor": executor}
    given = tuple((flag, str(value)) for flag, value in flags.items() if value is not None)
    return Face(settings, as_json, console(sys.stdout, no_color), console(sys.stderr, no_color), given)


def console(stream: object, no_color: bool = False) -> Console:
    """Rich for a terminal, plain text for anything else; never markup, so that no job's words are read as such."""
    from rich.console import Console

    terminal = bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"
    width = None if terminal or os.environ.get("COLUMNS") else PLAIN_WIDTH
    return Console(
        file=stream,  # type: ignore[arg-type]  # stdout and stderr are text streams whatever replaced them
        no_color=no_color or None,
        force_terminal=terminal and not no_color,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
    )


def print_json(value: Json) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(*headings: str) -> Table:
    """A quiet table: no borders, one line under the headings."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def parse_day(text: str, flag: str) -> date:
    """A date that a flag was given, else `UserError`."""
    from prometheus.core.errors import UserError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{flag} is {text!r}, which is not a date", allowed="YYYY-MM-DD, such as 2016-06-24"
        ) from None


def parse_instant(text: str, flag: str, example: str) -> datetime:
    """An instant with its offset that a flag was given, in UTC, else `UserError`."""
    from prometheus.core.errors import UserError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise UserError(f"{flag} is {text!r}", allowed=f"an instant with its offset: {example}")
    return found.astimezone(UTC)


def iso_of(at: datetime) -> str:
    """An instant as JSON and people have it: ISO 8601 in UTC, ending in Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def cell(value: object) -> str:
    """A table's cell; control characters, which could move the cursor, become `?`."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
