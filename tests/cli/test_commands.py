from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from prometheus.cli.main import app

MINE = """
from prometheus.pipelines import Pipeline, session
p = Pipeline("mine", market="US_EQ", start=session.close + "30min")
@p.job(tier=1)
def fetch(task):
    return {}
p.slo("fetched", jobs=["fetch"], within="5min")
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(own_home: Path) -> None:
    pass


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def asked_json(*words: str, code: int = 0) -> dict[str, object]:
    result = ask(*words, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_help_names_every_command_on_one_line_each() -> None:
    result = ask("--help")
    assert result.exit_code == 0
    for name in ("run", "status", "why", "plan", "decisions", "doctor", "calendar", "db", "data"):
        assert re.search(rf"^  {name} +\w", result.stdout, re.M), name
    assert "..." not in result.stdout.partition("Commands:")[2]


def test_the_version_is_the_package_s() -> None:
    from prometheus import __version__

    assert ask("--version").stdout == f"prometheus {__version__}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "us_eq_dayly"), "us_eq_daily"),
        (("run", "nowhere.py:p"), "nowhere.py"),
        (("run", "us_eq_daily", "--session", "yesterday"), "YYYY-MM-DD"),
        (("run", "us_eq_daily", "--session", "2016-06-25"), "2016-06-24"),
        (("run", "us_eq_daily", "--ledger", "mysql://x/y"), "mysql"),
        (("calendar", "show", "US_EG"), "US_EQ"),
        (("calendar", "show", "US_EQ", "--from", "2024-02-01", "--to", "2024-01-01"), "2024-02-01"),
        (("calendar", "show", "US_EQ", "--year", "1950"), "1950"),
        (("plan", "--from", "2024-02-01", "--to", "2024-01-01"), "swap"),
        (("plan", "--from", "2024-01-02", "--to", "2024-01-03", "--svg", "no/such/folder.svg"), "folder.svg"),
        (("why", "returns"), "returns"),
        (("status", "mine.2016-06-24"), "mine.2016-06-24"),
        (("status", "--ledger", "sqlite:///no.db"), "no.db"),
        (("status", "--ledger", "no url"), "no url"),
        (("decisions", "--session", "2016-06-24"), "prometheus run us_eq_daily --session 2016-06-24"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_use_is_a_calm_block_on_stderr_and_exit_2(words: tuple[str, ...], named: str) -> None:
    result = ask(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("prometheus: ")
    assert named in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("fly",), ("run",), ("run", "x", "--speed"), ("status", "--limit", "0")])
def test_unknown_commands_and_flags_exit_2(words: tuple[str, ...]) -> None:
    result = ask(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_faulty_settings_file_is_named_with_the_setting(tmp_path: Path) -> None:
    Path("prometheus.toml").write_text('[web]\nport = "many"\n')
    result = ask("status")
    assert result.exit_code == 2
    assert "web.port" in result.stderr


def test_an_error_of_ours_is_one_sentence_and_the_traceback_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus.cli import complain

    def broken() -> None:
        raise RuntimeError("the cat is on the keyboard")

    with pytest.raises(RuntimeError) as raised:
        broken()
    from io import StringIO

    words = StringIO()
    monkeypatch.setattr("sys.stderr", words)
    assert complain.complain(raised.value) == 1
    kept = re.search(r"the traceback is in (\S+)", words.getvalue())
    assert "the cat is on the keyboard" in words.getvalue()
    assert "Traceback" not in words.getvalue()
    assert kept is not None
    assert "def broken" not in Path(kept[1]).read_text()
    assert "in broken" in Path(kept[1]).read_text()
    Path(kept[1]).unlink()


def test_the_calendar_shows_the_half_day_after_thanksgiving_and_the_holiday_before() -> None:
    shown = asked_json("calendar", "show", "US_EQ", "--from", "2024-11-27", "--to", "2024-11-29")
    sessions = shown["sessions"]
    assert isinstance(sessions, list)
    assert [one["session"] for one in sessions] == ["2024-11-27", "2024-11-29"]
    assert [one["early_close"] for one in sessions] == [False, True]
    assert sessions[1]["close"] == "2024-11-29T18:00:00Z"
    assert sessions[1]["local"] == "09:30-13:00"
    assert shown["holidays"] == ["2024-11-28"]
    words = ask("calendar", "show", "US_EQ", "--from", "2024-11-27", "--to", "2024-11-29").stdout
    assert "early close" in words
    assert "2024-11-28" in words


def test_the_calendar_of_a_year_has_its_252_sessions() -> None:
    sessions = asked_json("calendar", "show", "XNYS", "--year", "2024")["sessions"]
    assert isinstance(sessions, list)
    assert len(sessions) == 252


def test_the_plan_follows_the_half_day_and_daylight_saving_and_names_the_holiday() -> None:
    planned = asked_json("plan", "us_eq_daily", "--from", "2024-11-27", "--to", "2024-11-29")
    runs = planned["runs"]
    assert isinstance(runs, list)
    assert [run["release"] for run in runs] == ["2024-11-27T21:30:00Z", "2024-11-29T18:30:00Z"]
    assert [slo["deadline"] for slo in runs[0]["slos"]] == [
        "2024-11-28T00:00:00Z",
        "2024-11-28T01:00:00Z",
        "2024-11-28T01:15:00Z",
    ]
    assert planned["closed"] == [{"market": "US_EQ", "day": "2024-11-28"}]


def test_the_plan_of_a_user_s_file_is_drawn() -> None:
    Path("mine.py").write_text(MINE)
    result = ask("plan", "mine.py:p", "--from", "2024-11-25", "--to", "2024-11-29", "--svg", "plan.svg")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("mine") == 4
    assert ET.parse("plan.svg").getroot().get("class") == "desk"


def test_status_before_the_first_night_says_how_to_begin() -> None:
    result = ask("status")
    assert result.exit_code == 0
    assert result.stdout == "Nothing has run yet.\n"
    assert "prometheus run" in result.stderr
    assert asked_json("status") == {"runs": []}


def test_stores_are_made_once_and_are_well_and_up_to_date() -> None:
    made = asked_json("db", "init")["stores"]
    assert isinstance(made, list)
    assert {store["done"] for store in made} == {"made"}
    again = asked_json("db", "upgrade")["stores"]
    assert isinstance(again, list)
    assert {store["done"] for store in again} <= {"was up to date", "was there"}
    assert asked_json("db", "health")["ok"] is True


def test_a_sick_store_fails_health_with_its_cure() -> None:
    ask("db", "init")
    Path(".prometheus/ledger.db").write_bytes(b"this is no database" * 100)
    result = ask("db", "health")
    assert result.exit_code == 1
    assert "ledger" in result.stdout
    assert asked_json("db", "health", code=1)["ok"] is False


def test_a_mirror_without_the_data_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("PROMETHEUS_DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(tmp_path / "cache"))
    result = ask("data", "fetch")
    assert result.exit_code == 2
    assert str(tmp_path / "mirror") in result.stderr


def test_pipelines_that_wait_for_each_other_are_not_planned_and_the_circle_is_named() -> None:
    for name, other in (("a", "b"), ("b", "a")):
        Path(f"{name}.py").write_text(
            "from prometheus.pipelines import Pipeline, after_run\n"
            f'p = Pipeline("{name}", market="US_EQ", start=after_run("{other}"))\n'
            'p.add(["true"], name="job")\n'
        )
    result = ask("plan", "a.py:p", "b.py:p", "--from", "2026-03-02", "--to", "2026-03-02")
    assert result.exit_code == 2
    assert "in a circle: a -> b -> a" in result.stderr
    assert ask("plan", "a.py:p", "--from", "2026-03-02", "--to", "2026-03-02").exit_code == 0
