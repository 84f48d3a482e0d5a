"""The desk of a task: its claim, its market, its settings; and the health of what it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prometheus.core.settings import Settings, load_settings
from prometheus.core.time import TradingCalendar
from prometheus.stores.desk import open_desk
from prometheus.stores.health import check_historical, desk_health
from prometheus.stores.runtime import ClaimLostError

D1 = date(2016, 6, 24)


@dataclass
class DeskTask:
    """One attempt, as a worker would hand it over."""

    attempt: int = 1
    market: str = "US_EQ"
    session: date = D1
    name: str = "returns"
    run_id: str = "us_eq_daily.2016-06-24"
    task_id: str = "us_eq_daily.2016-06-24.returns"
    mode: str = "full"
    resume: Any = None
    pin: str = "pin"
    params: dict[str, Any] = field(default_factory=dict)

    def calendar(self, market: str | None = None) -> TradingCalendar:
        return TradingCalendar(market or self.market)

    def output(self, job: object) -> Any:
        raise AssertionError(job)

    def checkpoint(self, state: Any) -> None:
        raise AssertionError(state)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, {})


def frame() -> pl.DataFrame:
    return pl.DataFrame({"date": [D1], "instrument_id": ["A"], "x": [1.0]})


def test_a_desk_writes_and_reads_the_rows_of_its_tasks_market(settings: Settings) -> None:
    desk = open_desk(DeskTask(), settings)
    assert desk.writer.write_days("t", frame()).action == "created"
    assert desk.as_of(D1).read("t").equals(frame())
    assert open_desk(DeskTask(market="EU_EQ"), settings).as_of(D1).read("t").is_empty()
    assert desk.runtime.claimed_by("us_eq_daily.2016-06-24.returns") == 1


def test_a_zombies_desk_can_write_to_neither_store(settings: Settings) -> None:
    zombie = open_desk(DeskTask(attempt=1), settings)
    open_desk(DeskTask(attempt=2), settings)
    with pytest.raises(ClaimLostError):
        zombie.writer.write_days("t", frame())
    with pytest.raises(ClaimLostError), zombie.writer.commit():
        pass
    with pytest.raises(ClaimLostError):
        open_desk(DeskTask(attempt=1), settings)
    assert zombie.historical.tables() == ()
    assert zombie.runtime.refusals()[0]["times"] == 3


def test_the_health_of_a_new_desk_is_absence_and_no_fault(settings: Settings) -> None:
    report = desk_health(settings)
    assert report.ok
    assert {check.state for check in report.checks} == {"absent"}


def test_the_health_of_a_desk_that_has_worked_tells_tables_and_claims(settings: Settings) -> None:
    open_desk(DeskTask(), settings).writer.write_days("t", frame())
    report = desk_health(settings)
    assert report.ok
    details = {(check.store, check.name): check.detail for check in report.checks}
    assert details["historical", "table t"] == "version 1, 1 row and 1 file, last date 2016-06-24"
    assert details["runtime", "table claims"] == "1 rows"


def test_a_table_with_lost_files_or_a_damaged_log_fails_by_name(settings: Settings) -> None:
    root = settings.historical_path
    desk = open_desk(DeskTask(), settings)
    desk.writer.write_days("t", frame())
    desk.writer.write_days("u", frame())
    next((root / "t").rglob("*.parquet")).unlink()
    for entry in (root / "u" / "_delta_log").glob("*.json"):
        entry.write_text("{")
    failures = {check.name: check.detail for check in check_historical(root) if check.state == "failed"}
    assert set(failures) == {"table t", "table u"}
    assert "1 of 1 data files are gone" in failures["table t"]
