"""The jobs and commands of housekeeping: settings decide, nothing that could lose anything happens by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from night_task import NightTask
from typer.testing import CliRunner

from prometheus.cli.main import app
from prometheus.core.errors import SettingsError, StoreError
from prometheus.core.settings import RetentionSettings, load_settings
from prometheus.core.time import TradingCalendar
from prometheus.housekeeping import jobs
from prometheus.housekeeping.retention import Retention, parse_span
from prometheus.stores.historical import HistoricalDb, WriteId
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
S = date(2016, 6, 24)
OLD = date(2014, 12, 31)


def settings_file(own_home: Path, text: str) -> None:
    (own_home / "prometheus.toml").write_text(text)


def report(day: date) -> dict[str, Any]:
    return {"portfolio_id": "main", "report": {"es": 0.1}, "config_id": "c", "run_id": f"r.{day}"}


@pytest.fixture
def nights(own_home: Path) -> RuntimeDb:
    """A desk with a night of long ago and one of yesterday."""
    settings = load_settings()
    store = HistoricalDb(settings.historical_path)
    import polars as pl

    for place, day in enumerate(US.sessions(date(2016, 5, 2), S)):
        frame = pl.DataFrame({"date": [day], "instrument_id": ["A"], "x": [float(place)]})
        store.write_days(
            "returns_daily", frame, WriteId(f"us_eq_daily.{day}", "returns", "r", 1, "p"), market="US_EQ"
        )
    runtime = RuntimeDb(settings.runtime_url)
    with runtime.commit(runtime.claim("test", 1)) as connection:
        for day in (OLD, S):
            key = {"as_of_date": day, "market_id": "US_EQ"}
            runtime.replace(connection, "risk_reports", key, [report(day)])
    return runtime


def sessions_with_reports(runtime: RuntimeDb) -> list[date]:
    return [row["as_of_date"] for row in runtime.rows("risk_reports")]


def test_by_default_nothing_is_archived_pruned_or_lost(nights: RuntimeDb) -> None:
    done = jobs.archive(NightTask(S, "archive"))
    assert done == {"archived_before": None, "archives": [], "quarantine_pruned": 0}
    assert sessions_with_reports(nights) == [OLD, S]
    removed = jobs.vacuum(NightTask(S, "vacuum"))
    assert removed == {
        "replays_since": None,
        "tables": [
            {"table": "returns_daily", "files": 0, "bytes": 0, "kept_versions": 39, "action": "nothing"}
        ],
    }


def test_the_settings_ask_for_archiving_and_the_job_tells_what_went(
    nights: RuntimeDb, own_home: Path
) -> None:
    settings_file(own_home, '[retention]\ndecisions = "250 sessions"\narchive = "aside"\n')
    done = jobs.archive(NightTask(S, "archive"))
    assert done["archived_before"] == "2015-06-29"
    (archive,) = done["archives"]
    assert (archive["table"], archive["rows"]) == ("risk_reports", 1)
    assert Path(archive["path"]).parent == own_home / "aside"
    assert sessions_with_reports(nights) == [S]
    json.dumps(done, allow_nan=False)


def test_compaction_folds_and_says_so(nights: RuntimeDb, own_home: Path) -> None:
    settings_file(own_home, "[retention]\nfiles = 5\n")
    (table,) = jobs.compact(NightTask(S, "compact"))["tables"]
    assert (table["files_before"], table["files_after"], table["action"]) == (39, 1, "folded")


def test_too_little_room_is_an_alarm_that_names_the_disk(nights: RuntimeDb, own_home: Path) -> None:
    settings_file(own_home, '[retention]\nfree = "1MB"\n')
    done = jobs.disk_room(NightTask(S, "disk_room"))
    assert {folder["name"] for folder in done["folders"]} == {"home", "historical", "archive"}
    settings_file(own_home, '[retention]\nfree = "900000TB"\n')
    with pytest.raises(StoreError, match=r"too little room.*at least 900000TB"):
        jobs.disk_room(NightTask(S, "disk_room"))


@pytest.mark.parametrize(
    ("text", "day", "begin"),
    [
        ("forever", S, None),
        ("400d", S, date(2015, 5, 21)),
        ("1 day", S, date(2016, 6, 23)),
        ("5 sessions", S, date(2016, 6, 17)),
        ("900000 sessions", S, US.valid_from),
    ],
)
def test_a_span_counts_back_in_days_or_sessions(text: str, day: date, begin: date | None) -> None:
    assert parse_span("decisions", text).begin(day, US) == begin


@pytest.mark.parametrize("text", ["", "soon", "0d", "-3d", "3 weeks", "1.5d"])
def test_a_span_that_cannot_be_read_is_named_with_what_can(text: str) -> None:
    with pytest.raises(SettingsError, match=r"retention\.decisions is .*400d"):
        Retention.of(RetentionSettings(decisions=text))


def test_files_have_an_age_in_days() -> None:
    with pytest.raises(SettingsError, match=r"retention\.versions is '5 sessions'.*retention\.replays"):
        Retention.of(RetentionSettings(versions="5 sessions"))


@pytest.fixture
def command(nights: RuntimeDb) -> Callable[..., Any]:
    def run(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["db", *words, "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return run


def test_by_hand_a_dry_run_changes_nothing_and_the_real_one_can_be_undone(
    command: Callable[..., Any], nights: RuntimeDb
) -> None:
    planned = command("archive", "--before", "2016-01-01", "--dry-run")
    assert (planned["dry_run"], len(planned["archives"])) == (True, 1)
    assert sessions_with_reports(nights) == [OLD, S]
    done = command("archive", "--before", "2016-01-01")
    assert done["archives"] == planned["archives"]
    assert sessions_with_reports(nights) == [S]
    assert command("archive")["archives"] == []  # retention.decisions is forever
    assert command("restore", "--from", "2014-01-01", "--dry-run")["archives"] == done["archives"]
    assert sessions_with_reports(nights) == [S]
    assert command("restore", done["archives"][0]["archive_id"])["archives"] == done["archives"]
    assert sessions_with_reports(nights) == [OLD, S]


def test_by_hand_tables_are_folded_and_vacuumed(command: Callable[..., Any]) -> None:
    assert command("compact", "--dry-run")["tables"][0]["action"] == "would fold"
    assert command("compact")["tables"][0]["action"] == "folded"
    assert command("vacuum", "--dry-run")["tables"][0]["files"] == 0


def test_restoring_nothing_in_particular_is_wrong_use(nights: RuntimeDb) -> None:
    done = CliRunner().invoke(app, ["db", "restore"])
    assert done.exit_code == 2
    assert "--from and --to" in done.output
