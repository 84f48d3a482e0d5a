"""The night of the world: one regime, one page of all regions, and `prometheus run global_daily` end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from night_task import NightTask

from prometheus.core.time import TradingCalendar
from prometheus.engines import jobs
from prometheus.engines.decision_log.engine import DecisionLogError
from prometheus.engines.outcome import MissingDecisionError
from prometheus.stores.historical import WriteId


def in_world(home: Any, name: str, session: date) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_HOME", str(home.path))
        found: dict[str, Any] = getattr(jobs, name)(NightTask(session, f"global_{name}", market="GLOBAL"))
        return found


def test_the_world_has_a_session_when_a_region_has_one() -> None:
    world = TradingCalendar("GLOBAL")
    regions = [TradingCalendar(region) for region in ("US_EQ", "EU_EQ", "JP_EQ", "ASIA_EQ")]
    year = (date(2016, 1, 1), date(2016, 12, 31))
    assert world.sessions(*year) == sorted({day for region in regions for day in region.sessions(*year)})
    assert world.members_open(date(2016, 7, 4)) == ["EU_EQ", "JP_EQ", "ASIA_EQ"]
    assert world.session_close(date(2016, 6, 24)) == regions[0].session_close(date(2016, 6, 24))


def test_the_page_shows_what_each_regions_night_decided_and_names_those_that_had_none(one_night: Any) -> None:
    home, session, outputs = one_night
    with pytest.raises(MissingDecisionError, match="the regime engine has not decided for GLOBAL"):
        in_world(home, "global_view", session)
    regime = in_world(home, "regime", session)
    told = in_world(home, "global_view", session)
    assert told["regions"] == {"US_EQ": outputs["regime"]["label"]}
    assert told["absent"]["JP_EQ"] == "no regime of it was ever decided"
    (row,) = home.runtime.rows("research_reports", as_of_date=session, market_id="GLOBAL", kind="global_view")
    report = row["report"]
    assert report["regime_decision"] == regime["decision_id"]
    shown = report["regions"]["US_EQ"]
    assert shown["regime"]["as_of_date"] == session.isoformat()
    assert shown["stability"]["instruments"].items() <= outputs["stability"]["instruments"].items()
    assert shown["stability"]["soft_target"]["market"] == outputs["stability"]["market"]["soft_target"]
    weights = [row["weight"] for row in home.runtime.target_portfolio(session, "US_EQ")]
    assert shown["portfolio"]["net"] == pytest.approx(sum(weights))
    assert report["exposure"] == {"US_EQ": shown["portfolio"]["net"]}
    command = [sys.executable, "-m", "prometheus", "research", "show", "--kind", "global_view"]
    page = subprocess.run(
        [*command, "--home", str(home.path)], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert f"the world is {regime['label']} since {regime['since']} (stressed 1.00" in page
    (line,) = [line.split() for line in page.splitlines() if line.startswith("US_EQ")]
    assert line[1:3] == [session.isoformat(), outputs["regime"]["label"]]
    assert line[-1] == f"{shown['portfolio']['net']:.1%}"
    assert "absent: JP_EQ, no regime of it was ever decided" in page
    assert shown["portfolio"]["positions"] == sum(weight != 0.0 for weight in weights)


def test_what_a_region_decides_later_is_not_on_the_page_and_what_is_old_is_named(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("later", prices)
    first, last = days[345], days[360]
    features = ("returns", "volatility", "correlations", "stability_components")
    for session in (last, first):
        for name in (*features, "regime", "stability"):
            home.job(name, session)
    in_world(home, "regime", first)
    in_world(home, "global_view", first)
    (row,) = home.runtime.rows("research_reports", as_of_date=first, market_id="GLOBAL")
    assert row["report"]["regions"]["US_EQ"]["regime"]["as_of_date"] == first.isoformat()
    assert "portfolio" not in row["report"]["regions"]["US_EQ"]
    assert row["report"]["exposure"] == {"US_EQ": 0.0}
    between = days[355]
    in_world(home, "regime", between)  # its features are there, its regime was never decided
    assert in_world(home, "global_view", between)["absent"]["US_EQ"] == f"its last regime is of {first}"


def test_the_log_of_the_world_is_checked_against_the_regions_that_it_was_judged_from(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("checked", prices)
    session = days[350]
    for name in ("returns", "correlations"):
        home.job(name, session)
    with pytest.raises(DecisionLogError, match=f"of GLOBAL on {session} is not consistent: regime has not"):
        in_world(home, "decision_log", session)
    regime = in_world(home, "regime", session)
    told = in_world(home, "decision_log", session)
    assert told["decisions"] == {"regime": regime["decision_id"]}
    assert told["references"] == 2  # the region's panel, and the row that was left
    nothing = home.known(session).read("correlation_panels").clear()
    write = WriteId("loss", "loss", "loss", 1, "0" * 64)
    home.historical.write_days("correlation_panels", nothing, write, days=[session], market="US_EQ")
    with pytest.raises(DecisionLogError, match=f"correlation_panels of US_EQ of {session} does not exist"):
        in_world(home, "decision_log", session)


def test_what_was_wrong_with_a_regions_data_stands_on_the_worlds_decision(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("doubtful", prices)
    session = days[350]
    for name in ("returns", "correlations"):
        home.job(name, session)
    known = {"verdict": "degraded", "counts": {}, "run_id": "r", "market_id": "US_EQ"}
    verdicts = [
        {**known, "as_of_date": session, "dataset": "prices", "findings": ["three are stale"]},
        {**known, "as_of_date": days[349], "dataset": "prices", "findings": ["of another night"]},
    ]
    with home.runtime.commit(home.runtime.claim("test", 1)) as connection:
        home.runtime.put(connection, "data_quality", verdicts)
    assert in_world(home, "regime", session)["degraded"] == ["US_EQ prices: three are stale"]
    (decision,) = home.runtime.decisions(session, "GLOBAL")
    assert decision["proposed_action"]["degraded"] == ["US_EQ prices: three are stale"]


def test_a_person_runs_the_world_by_its_name(
    new_home: Any, prices: Any, days: list[date], tmp_path: Path
) -> None:
    home = new_home("desk", prices)
    session = days[350]
    for name in ("returns", "correlations"):
        home.job(name, session)
    command = [sys.executable, "-m", "prometheus", "run", "global_daily", "--session", session.isoformat()]
    place = [*command, "--home", str(home.path), "--json"]
    done = subprocess.run(place, check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["state"] == "succeeded", done.stderr
    assert [task["task"].rsplit(".", 1)[-1] for task in report["tasks"]] == [
        "regime",
        "global_view",
        "decision_log",
    ]
    assert [slo["state"] for slo in report["slos"]] == ["met"]
    (decision,) = home.runtime.decisions(session, "GLOBAL")
    assert decision["context_id"] == f"GLOBAL.{session}"
    assert decision["proposed_action"]["absent"]["fx_volatility"] == "no region has fx_daily"
    assert home.runtime.regime(session, "GLOBAL")["label"] == "stressed"
