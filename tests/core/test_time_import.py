"""A bare import is light and sees the shipped table alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "numpy", "pandas", "zoneinfo", "typing", "dataclasses", "re", "json", "importlib.resources",
    "pathlib", "logging", "asyncio", "pydantic", "exchange_calendars",
)  # fmt: skip
ANSWER = """
import sys
from datetime import date
from prometheus.core.time import TradingCalendar
calendar = TradingCalendar("US_EQ")
answers = [calendar.is_trading_day(date(2024, 7, 5)), calendar.session_close(date(2024, 7, 3)).isoformat(),
           calendar.next_trading_day(date(2024, 7, 3)).isoformat()]
"""


def run(code: str, folder: Path, **environment: str) -> str:
    # -S leaves out the site's own start-up imports, which are not ours to answer for.
    source = str(Path(__file__).parent.parent.parent)
    finished = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={"PYTHONPATH": source, "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


def test_the_first_answer_loads_no_library_that_takes_time(tmp_path: Path) -> None:
    loaded = run(ANSWER + f"print([name for name in {HEAVY} if name in sys.modules])", tmp_path)
    assert loaded == "[]"


def test_the_watch_above_would_see_a_heavy_library(tmp_path: Path) -> None:
    code = "import dataclasses\n" + ANSWER + f"print([name for name in {HEAVY} if name in sys.modules])"
    assert "dataclasses" in run(code, tmp_path)


def test_a_bare_import_sees_nothing_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "prometheus.toml").write_text('[markets.US_EQ]\nmembers = ["XLON"]\npre_open_minutes = 7\n')
    (tmp_path / "calendars.bin").write_bytes(b"not a table")
    answers = run(ANSWER + "print(answers)", tmp_path, PROMETHEUS_HOME=str(tmp_path))
    assert answers == "[True, '2024-07-03T17:00:00+00:00', '2024-07-05']"


def test_the_names_of_the_contract_are_there_and_others_are_not() -> None:
    import prometheus.core.time as market_time

    for name in market_time.__all__:
        assert getattr(market_time, name) is not None
    from prometheus.markets.moments import MarketState

    assert market_time.MarketState is MarketState
    with pytest.raises(AttributeError, match="HolidayCalendar"):
        _ = market_time.HolidayCalendar  # type: ignore[attr-defined]  # what the test is about


def test_a_damaged_installation_says_so(tmp_path: Path) -> None:
    import shutil

    import prometheus

    assert prometheus.__file__ is not None
    package = Path(prometheus.__file__).parent
    for room in ("core", "markets"):
        shutil.copytree(
            package / room, tmp_path / "prometheus" / room, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(package / "__init__.py", tmp_path / "prometheus" / "__init__.py")
    table = tmp_path / "prometheus" / "markets" / "calendars.bin"
    code = """
from prometheus.core.time import TradingCalendar, CalendarTableError
try:
    TradingCalendar("US_EQ")
except CalendarTableError as error:
    print(error)
"""
    whole = table.read_bytes()
    table.write_bytes(whole[:5000])
    assert "instead of" in run(code, tmp_path, PYTHONPATH=str(tmp_path))
    table.write_bytes(whole[:5000] + b"!" + whole[5001:])
    assert "was altered" in run(code, tmp_path, PYTHONPATH=str(tmp_path))
    table.unlink()
    assert "cannot be read" in run(code, tmp_path, PYTHONPATH=str(tmp_path))
