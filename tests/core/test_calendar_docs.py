"""The examples of docs/calendars.md run as they stand, one after another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus.core.time import TradingCalendar, install_book

PAGE = Path(__file__).parent.parent.parent / "docs" / "calendars.md"


def test_every_example_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        install_book(None)


def test_the_bounds_on_the_page_are_those_of_the_table() -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith("| US_EQ"))
    stated = [cell.strip() for cell in row.split("|")][2:5]
    calendar = TradingCalendar("US_EQ")
    assert stated == [
        str(calendar.valid_from),
        str(calendar.hours_verified_from),
        str(calendar.verified_through),
    ]
