"""`prometheus calendar ...` as a person and a cron line use it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prometheus.cli.main import app
from prometheus.core.time import TradingCalendar, install_book
from prometheus.markets.table import Market, encode

BEFORE = "2024-07-03T16:50:00Z"


@pytest.fixture(autouse=True)
def _home(own_home: Path) -> object:
    yield
    install_book(None)


def ask(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["calendar", *words], input=answer)


def told(*words: str, code: int = 0) -> object:
    result = ask(*words, "--json")
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def test_next_prints_one_instant() -> None:
    result = ask("next", "US_EQ", "close", "--at", BEFORE)
    assert (result.exit_code, result.stdout) == (0, "2024-07-03T17:00:00Z\n")
    assert ask("next", "US_EQ", "close", "--at", "2024-07-03T17:00:00Z").stdout == "2024-07-05T20:00:00Z\n"
    assert ask("next", "US_FUT", "open", "--at", BEFORE).stdout == "2024-07-03T22:00:00Z\n"


def test_next_tells_cron_by_its_exit_code() -> None:
    assert ask("next", "US_EQ", "close", "--at", BEFORE, "--within", "15min").exit_code == 0
    assert ask("next", "US_EQ", "close", "--at", BEFORE, "--within", "5min").exit_code == 1
    assert told("next", "US_EQ", "close", "--at", BEFORE) == {
        "market": "US_EQ",
        "edge": "close",
        "session": "2024-07-03",
        "at": "2024-07-03T17:00:00Z",
        "seconds": 600,
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("next", "MOON", "close"), "MOON"),
        (("next", "US_EQ", "close", "--at", "noon"), "noon"),
        (("next", "US_EQ", "close", "--at", "2024-07-03T16:50:00"), "offset"),
        (("next", "US_EQ", "close", "--within", "soon"), "soon"),
        (("sun", "yesterday"), "YYYY-MM-DD"),
        (("override", "XNYS", "2027-01-05", "--closed"), "--reason"),
        (("override", "XNYS", "2027-01-05", "--reason", "x"), "--take-back"),
        (("override", "EU_EQ", "2027-01-05", "--closed", "--reason", "x"), "several exchanges"),
        (("override", "XNYS", "2027-01-05", "--hours", "late", "--reason", "x"), "late"),
        (("override", "XNYS", "2040-01-05", "--closed", "--reason", "x"), "2040-01-05"),
        (("override", "XNYS", "2027-01-05", "--closed", "--reason", "x", "--json"), "--yes"),
    ],
)
def test_wrong_use_says_what_would_be_right(words: tuple[str, ...], named: str) -> None:
    result = ask(*words)
    assert result.exit_code == 2
    assert named in result.stderr


def test_the_world_on_a_wall() -> None:
    result = ask("world", "--at", BEFORE)
    assert result.exit_code == 0
    for market in ("JP_EQ", "ASIA_EQ", "EU_EQ", "US_EQ", "US_FUT", "FX_GLOB"):
        assert market in result.stdout
    found = told("world", "--at", BEFORE)
    assert isinstance(found, dict)
    assert {one["market"]: one["state"] for one in found["markets"]}["US_EQ"] == "SESSION"


def test_the_sun_in_order_of_closes() -> None:
    found = told("sun", "2024-11-28")
    assert isinstance(found, list)
    assert [one["market"] for one in found] == ["JP_EQ", "ASIA_EQ", "EU_EQ", "US_FUT", "FX_GLOB", "US_EQ"]
    assert "no session on this day" in ask("sun", "2024-11-28").stdout


def test_the_horizon_lists_every_exchange() -> None:
    found = told("horizon")
    assert isinstance(found, dict)
    assert len(found["exchanges"]) == 20
    assert found["near"] == []
    unverified = [one["exchange"] for one in found["exchanges"] if not one["verified"]]
    assert len(unverified) == 10
    assert "XSES" in ask("horizon").stdout


def test_an_export_is_a_file_for_diaries(tmp_path: Path) -> None:
    file = tmp_path / "us.ics"
    result = ask("export", "US_EQ", "--from", "2024-07-01", "--to", "2024-07-05", "--out", str(file))
    assert result.exit_code == 0
    assert file.read_bytes().count(b"BEGIN:VEVENT\r\n") == 5
    assert ask("export", "US_EQ", "--from", "2024-07-01", "--to", "2024-07-05").stdout.startswith(
        "BEGIN:VCALENDAR"
    )


def test_an_override_is_previewed_asked_for_kept_and_taken_back() -> None:
    words = ("override", "XNYS", "2027-01-05", "--closed", "--reason", "Day of mourning", "--by", "ann")
    refused = ask(*words, answer="n\n")
    assert refused.exit_code == 1
    for market in ("XNYS", "US_EQ", "XNAS"):
        assert market in refused.stdout
    assert "2027-01-05 14:30 to 21:00" in refused.stdout
    assert "no session" in refused.stdout
    assert told("overrides") == {"settings": [], "ledger": []}

    assert ask(*words, answer="y\n").exit_code == 0
    shown = ask("show", "US_EQ", "--from", "2027-01-04", "--to", "2027-01-08")
    assert "2027-01-05" in shown.stdout.partition("no session")[2]
    kept = told("overrides")
    assert isinstance(kept, dict)
    assert [(one["number"], one["recorded_by"], one["kind"]) for one in kept["ledger"]] == [
        (1, "ann", "closed")
    ]
    assert TradingCalendar("US_EQ", known_at=datetime.fromisoformat("2026-01-01T00:00Z")).is_trading_day(
        date(2027, 1, 5)
    )

    back = ask("override", "XNYS", "2027-01-05", "--take-back", "--reason", "It was a rumour", "--yes")
    assert back.exit_code == 0
    assert "2027-01-05" in ask("show", "US_EQ", "--from", "2027-01-05", "--to", "2027-01-05").stdout
    history = told("overrides")
    assert isinstance(history, dict)
    assert [one["kind"] for one in history["ledger"]] == ["closed", "scheduled"]


def test_hours_are_said_on_the_exchange_s_own_clock() -> None:
    found = told("override", "XTKS", "2027-02-01", "--hours", "10:00-14:00", "--reason", "storm", "--yes")
    assert isinstance(found, dict)
    assert (found["open"], found["close"]) == ("2027-02-01T01:00:00+00:00", "2027-02-01T05:00:00+00:00")
    evening = told("override", "US_FUT", "2027-02-02", "--hours", "17:00-12:00", "--reason", "test", "--yes")
    assert isinstance(evening, dict)
    assert evening["open"] == "2027-02-01T23:00:00+00:00"


def test_what_the_table_already_says_changes_nothing() -> None:
    result = ask("override", "XNYS", "2027-01-01", "--closed", "--reason", "New Year", answer="n\n")
    assert "nothing changes" in result.stdout


def test_markets_and_overrides_of_the_settings_are_in_force(own_home: Path) -> None:
    Path("prometheus.toml").write_text(
        '[markets.MINE]\nmembers = ["XETR", "XNYS"]\nmode = "all"\n'
        '[[overrides]]\nexchange = "XNYS"\nday = 2026-12-01\nkind = "closed"\nreason = "r"\nsource = "s"\n'
        "known_at = 2026-11-01T00:00:00Z\n"
    )
    shown = ask("show", "MINE", "--from", "2026-11-30", "--to", "2026-12-02")
    assert shown.exit_code == 0, shown.stderr
    assert "2026-12-01" in shown.stdout.partition("no session")[2]
    kept = told("overrides")
    assert isinstance(kept, dict)
    assert [one["day"] for one in kept["settings"]] == ["2026-12-01"]
    assert "MINE" in ask("world").stdout


def test_the_libraries_differ_where_we_know_they_do() -> None:
    found = told("diff", "XHKG", "--from", "2023-08-28", "--to", "2023-09-15", code=1)
    assert isinstance(found, dict)
    days = {(one["library"], one["day"]) for one in found["differences"]}
    assert ("exchange_calendars", "2023-09-01") in days
    assert ("exchange_calendars", "2023-09-08") in days
    assert ask("diff", "XLON", "--from", "2024-01-01", "--to", "2024-12-31").exit_code == 0


def test_a_newer_table_is_installed_as_a_file_and_a_damaged_one_is_refused(own_home: Path) -> None:
    table = TradingCalendar("US_EQ").book.table
    short = encode("2099.1", [table.exchange("XLON")], [Market("US_EQ", ("XLON",), "any", 60, 60)])
    Path("newer.bin").write_bytes(short)
    Path("prometheus.toml").write_text('[calendars]\ntable = "newer.bin"\n')
    found = told("horizon")
    assert isinstance(found, dict)
    assert (found["release"], [one["exchange"] for one in found["exchanges"]]) == ("2099.1", ["XLON"])
    assert ask("next", "US_EQ", "open", "--at", "2024-07-04T06:00:00Z").stdout == "2024-07-04T07:00:00Z\n"
    Path("newer.bin").write_bytes(short[:-1])
    result = ask("horizon")
    assert result.exit_code == 2
    assert "bytes after its header" in result.stderr


def test_a_run_s_workers_go_by_the_desk_s_table_markets_and_overrides(own_home: Path) -> None:
    table = TradingCalendar("US_EQ").book.table
    Path("newer.bin").write_bytes(encode("2099.1", [table.exchange("XNYS")], [table.markets["US_EQ"]]))
    Path("prometheus.toml").write_text(
        '[calendars]\ntable = "newer.bin"\n[markets.MINE]\nmembers = ["XNYS"]\n'
        '[[overrides]]\nexchange = "XNYS"\nday = 2016-06-28\nkind = "closed"\nreason = "r"\nsource = "s"\n'
        "known_at = 2016-06-01T00:00:00Z\n"
    )
    Path("mine.py").write_text(
        "from prometheus.core.time import TradingCalendar\n"
        "from prometheus.pipelines import Pipeline, session\n"
        'p = Pipeline("mine", market="MINE", start=session.close)\n'
        "@p.job()\n"
        "def look(task):\n"
        "    told = task.calendar(), TradingCalendar('US_EQ')\n"
        "    return [str(calendar.next_trading_day(task.session)) for calendar in told]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "prometheus", "run", "mine.py:p", "--session", "2016-06-27", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (row,) = views_of(Path(".prometheus/replay/mine.2016-06-27.db"))
    assert json.loads(row) == ["2016-06-29", "2016-06-29"]


def views_of(ledger: Path) -> list[str]:
    """What the tasks of a run returned, as JSON texts."""
    with closing(sqlite3.connect(ledger)) as connection:
        return [output for (output,) in connection.execute("SELECT output FROM tasks")]
