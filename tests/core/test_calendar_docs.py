"""The examples of docs/calendars.md run as they stand, one after another."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.calendar_settings import read_markets, read_overrides
from prometheus.core.time import CalendarBook, TradingCalendar, install_book

PAGE = Path(__file__).parent.parent.parent / "docs" / "calendars.md"


def test_every_example_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, Any] = {}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        install_book(None)


@pytest.mark.parametrize("market", ["US_EQ", "US_FUT", "EU_EQ", "JP_EQ", "ASIA_EQ", "FX_GLOB"])
def test_the_members_and_bounds_on_the_page_are_those_of_the_table(market: str) -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {market} |"))
    members, through = [cell.strip() for cell in row.split("|")][2:4]
    calendar = TradingCalendar(market)
    assert through == str(calendar.verified_through)
    assert [name for name in calendar.book.exchanges_of(market) if name not in members] == []
    assert (calendar.valid_from, calendar.hours_verified_from) == (date(2000, 1, 1), date(2000, 1, 1))


def test_the_settings_on_the_page_are_accepted() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    given = tomllib.loads(block)
    book = CalendarBook(None, read_markets(given["markets"]), read_overrides(given["overrides"]))
    assert not TradingCalendar("US_EQ", book=book).is_trading_day(date(2027, 1, 5))
    assert TradingCalendar("EU_CORE", book=book).members_open(date(2026, 6, 1)) == ["XETR", "XPAR"]
