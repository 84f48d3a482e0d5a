"""`prometheus doctor`: everything a new user may have wrong, each with its cure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from prometheus.cli.face import AsJson, Home, LedgerUrl, NoColor, cell, console, open_face, print_json

if TYPE_CHECKING:
    from prometheus.cli.checks import Finding

_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


def doctor(
    as_json: AsJson = False, home: Home = None, ledger: LedgerUrl = None, no_color: NoColor = False
) -> None:
    """Look for everything that a new user may have wrong; exit 1 if something is."""
    from prometheus.cli.checks import all_checks
    from prometheus.core.errors import SettingsError
    from prometheus.orchestrator.clock import LiveClock

    out = console(sys.stdout, no_color)
    found: list[Finding] = []
    try:
        settings = open_face(as_json, home, ledger, no_color).settings
    except SettingsError as error:
        found.append(_unreadable(error))
        if not as_json:
            out.print(_line(found[0]), soft_wrap=True)
    else:
        for check in all_checks(settings, LiveClock().now_us()):
            for finding in _asked(check):
                found.append(finding)
                if not as_json:
                    out.print(_line(finding), soft_wrap=True)
    worst = [finding for finding in found if finding.state == "fail"]
    if as_json:
        print_json(
            {
                "ok": not worst,
                "checks": [
                    {"name": one.name, "state": one.state, "detail": one.detail, "cure": one.cure or None}
                    for one in found
                ],
            }
        )
    else:
        warned = sum(finding.state == "warn" for finding in found)
        words = f"{len(worst)} to mend" if worst else "nothing to mend"
        print(f"\n{words}{f', {warned} to know' if warned else ''}", file=sys.stderr)
    raise typer.Exit(1 if worst else 0)


def _asked(check: object) -> list[Finding]:
    """A check's findings; one that breaks is itself a finding, and the others are still asked."""
    from prometheus.cli.checks import Finding

    assert callable(check)
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001  # a doctor that dies at the first ill patient is none
        name = getattr(check, "__name__", "check").removeprefix("check_").strip("<>")
        return [Finding(name, "fail", f"could not be looked at: {type(error).__name__}: {error}")]


def _unreadable(error: Exception) -> Finding:
    from prometheus.cli.checks import Finding

    cure = getattr(error, "hint", None) or ""
    return Finding("settings", "fail", str(getattr(error, "message", error)), cure)


def _line(finding: Finding) -> object:
    from rich.text import Text

    sign, style = _SIGNS[finding.state]
    cure = f"\n    {cell(finding.cure)}" if finding.cure else ""
    return Text.assemble((f"{sign} ", style), f"{finding.name:<16} ", cell(finding.detail), (cure, "italic"))
