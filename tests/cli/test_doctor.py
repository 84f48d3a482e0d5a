from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prometheus.cli import checks
from prometheus.cli.checks import Finding
from prometheus.cli.main import app
from prometheus.core.instants import SECOND_US
from prometheus.core.settings import load_settings
from prometheus.orchestrator.clock import LiveClock


def only(found: list[Finding], state: str) -> Finding:
    matching = [one for one in found if one.state == state]
    assert len(matching) == 1, found
    return matching[0]


def test_a_whole_machine_passes_and_a_worker_really_starts(own_home: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0, report
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["workers"] == "ok"
    assert states["calendar"] == "ok"
    assert all(check["cure"] for check in report["checks"] if check["state"] != "ok")
    assert not (own_home / ".prometheus").exists(), "looking changes nothing"


def test_every_line_has_a_sign_and_what_to_mend_has_its_cure_beneath(own_home: Path) -> None:
    Path("prometheus.toml").write_text('[executor]\nkind = "ray"\n')
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    line = next(index for index, text in enumerate(result.stdout.splitlines()) if "executor" in text)
    assert result.stdout.splitlines()[line].startswith("✗")
    assert "local" in result.stdout.splitlines()[line + 1]


def test_settings_that_cannot_be_read_are_a_finding(own_home: Path) -> None:
    Path("prometheus.toml").write_text("[ledger\n")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert [check["name"] for check in json.loads(result.stdout)["checks"]] == ["settings"]


def test_another_program_of_that_name_is_pointed_out(tmp_path: Path) -> None:
    other = tmp_path / "prometheus"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    found = only(checks.check_command(str(tmp_path)), "warn")
    assert str(other) in found.detail
    assert "pdesk" in found.cure


def test_a_misspelt_variable_is_pointed_out_and_a_cluster_s_own_is_not() -> None:
    found = checks.check_variables({"PROMETHEUS_LEDGER_ULR": "x", "PROMETHEUS_PORT_9090_TCP": "y"})
    assert "PROMETHEUS_LEDGER_URL" in only(found, "warn").cure


def test_bytecode_that_is_not_kept_and_too_many_threads_are_told() -> None:
    found = checks.check_variables({"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "4096"})
    assert [one.name for one in found] == ["bytecode", "threads"]


def test_a_clock_before_the_program_s_own_files_is_to_mend() -> None:
    assert only(checks.check_clock(1_000_000_000 * SECOND_US), "fail").cure == "set the clock"
    assert all(one.state == "ok" for one in checks.check_clock(LiveClock().now_us()))


def test_a_file_where_the_home_should_be_is_to_mend(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert only(checks.check_home(tmp_path / "home"), "fail").cure
    assert only(checks.check_home(tmp_path / "not" / "yet"), "ok").detail.endswith("(made by the first run)")


def test_a_home_that_cannot_be_written_is_to_mend() -> None:
    found = only(checks.check_home(Path("/proc/no-such-home")), "fail")  # not even root may make files there
    assert found.cure


def test_calendars_that_end_soon_are_told_before_they_end(own_home: Path) -> None:
    settings = load_settings()
    assert only(checks.check_calendars(settings, date(2028, 12, 1)), "warn").cure
    assert only(checks.check_calendars(settings, date(2029, 1, 1)), "fail").cure


def test_more_cores_than_there_are_is_told(own_home: Path) -> None:
    Path("prometheus.toml").write_text("[resources]\ncpu = 4096\n")
    assert "lower it" in only(checks.check_machine(load_settings()), "warn").cure


def test_damaged_data_is_told(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(own_home / "cache"))
    monkeypatch.delenv("PROMETHEUS_DATA_MIRROR", raising=False)
    from prometheus.data_ingestion.reference import reference_folder

    absent = only(checks.check_data(load_settings()), "warn")
    assert "prometheus data fetch" in absent.cure
    folder = reference_folder(own_home / "cache")
    folder.mkdir(parents=True)
    (folder / "returns.csv.gz").write_bytes(b"half of it")
    assert "returns.csv.gz" in only(checks.check_data(load_settings()), "warn").detail


def test_a_check_that_breaks_is_a_finding_and_not_the_end(own_home: Path) -> None:
    from prometheus.cli.doctor import _asked

    def check_moon() -> list[Finding]:
        raise OSError("too far away")

    found = only(_asked(check_moon), "fail")
    assert found.name == "moon"
    assert "too far away" in found.detail


def test_this_python_and_sqlite_are_new_enough() -> None:
    assert checks.check_python()[0].state == "ok"
    assert checks.check_sqlite()[0].state == "ok"
    assert sys.version_info >= checks.OLDEST_PYTHON
