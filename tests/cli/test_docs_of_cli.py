from __future__ import annotations

import re
from pathlib import Path

import typer.main

from prometheus.cli.main import app


def commands() -> dict[str, set[str]]:
    """Every command as it is typed, with its flags."""
    found: dict[str, set[str]] = {}

    def walk(command: object, words: tuple[str, ...]) -> None:
        inner = getattr(command, "commands", None)
        if inner:
            for name, child in inner.items():
                walk(child, (*words, name))
            return
        params = getattr(command, "params", [])
        flags = {flag for param in params for flag in (*param.opts, *param.secondary_opts)}
        found[" ".join(words)] = {flag for flag in flags if flag.startswith("--")}

    walk(typer.main.get_command(app), ())
    return found


def test_every_command_has_its_section_and_every_section_its_command(project: Path) -> None:
    headings = re.findall(r"^## (.+)$", (project / "docs" / "cli.md").read_text(), re.M)
    assert sorted(headings) == sorted(commands())


def test_every_flag_is_documented_and_every_documented_flag_exists(project: Path) -> None:
    page = (project / "docs" / "cli.md").read_text()
    documented = set(re.findall(r"--[a-z][a-z-]*", page))
    existing = {flag for flags in commands().values() for flag in flags}
    assert existing - documented == set()
    assert documented - existing - {"--help"} == set()


def test_every_command_answers_in_json_and_takes_a_home() -> None:
    for command, flags in commands().items():
        assert {"--json", "--home", "--no-color"} <= flags, command


def test_what_belongs_to_later_releases_is_absent_rather_than_a_stub() -> None:
    assert not {"up", "backfill", "retry", "hold"} & set(commands())
