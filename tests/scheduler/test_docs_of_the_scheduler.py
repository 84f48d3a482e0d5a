"""The page on the scheduler says what the tables say."""

from __future__ import annotations

from pathlib import Path

from prometheus.scheduler.states import NEXT


def test_the_page_shows_the_table_of_transitions(project: Path) -> None:
    page = (project / "docs" / "scheduler.md").read_text()
    for state, following in NEXT.items():
        shown = ", ".join(f"`{other}`" for other in sorted(following))
        assert f"| `{state}` | {shown}{' ' if shown else ''}|" in page, state
