"""`prometheus research` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from prometheus.research.backtest import Market, report
from prometheus.research.holding import Targets, hold
from prometheus.research.record import report as record_report
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import Wide


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prometheus", "research", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def with_reports(own_home: Path) -> Path:
    """A desk with a real report of a made-up market."""
    from prometheus.core.time import TradingCalendar

    days = tuple(TradingCalendar("US_EQ").sessions(date(2010, 1, 4), date(2011, 3, 1)))
    rng = np.random.default_rng(3)
    returns = Wide(days, ("A", "B"), {"ret_1d": rng.normal(0, 0.01, (len(days), 2))})
    dollars = np.full((len(days), 2), 1e7)
    market = Market(returns, dollars, returns["ret_1d"].mean(axis=1), None, is_synthetic=False)
    targets = [Targets(days[20], {"A": 0.5, "B": 0.5}), Targets(days[40], {"A": 0.9})]
    held = hold(returns, targets, 0.001)
    told = report(held, market, ["calm", "stressed"], 0.001)
    runtime = RuntimeDb(f"sqlite:///{own_home / '.prometheus' / 'runtime.db'}")
    with runtime.commit(runtime.claim("test", 1)) as connection:
        for kind, one in (("backtest", told), ("performance_by_regime", record_report([], ["beware"]))):
            key = {"as_of_date": days[-1], "market_id": "US_EQ", "kind": kind}
            runtime.replace(
                connection, "research_reports", key, [{"report": one, "config_id": "c", "run_id": "r"}]
            )
    runtime.close()
    return own_home


def test_a_report_is_shown_with_its_warnings_first(with_reports: Path) -> None:
    shown = ask("show")
    assert shown.returncode == 0, shown.stderr
    lines = [line for line in shown.stdout.splitlines() if line.strip()]
    assert lines[0] == "backtest of US_EQ, as of 2011-03-01"
    assert lines[1].startswith("! this is no evidence for a strategy")
    assert "equal weighted" in shown.stdout
    assert "stressed" in shown.stdout
    assert "capacity" in shown.stdout
    found = json.loads(ask("show", "--json").stdout)
    assert found["session"] == "2011-03-01"
    assert found["net"]["annual_volatility"] > 0
    late = ask("show", "--kind", "performance_by_regime")
    assert "! beware" in late.stdout


def test_a_report_that_is_not_there_says_which_are(with_reports: Path) -> None:
    missing = ask("show", "--session", "2016-06-24")
    assert missing.returncode == 2
    assert "there is no report 'backtest' of US_EQ for 2016-06-24" in missing.stderr
    assert "backtest of 2011-03-01" in missing.stderr
    assert len(json.loads(ask("list", "--json").stdout)) == 2
    assert "performance_by_regime" in ask("list").stdout


def test_a_desk_without_stores_has_no_reports_and_gets_none(own_home: Path) -> None:
    assert json.loads(ask("list", "--json").stdout) == []
    assert not list((own_home / ".prometheus").glob("runtime.db"))
