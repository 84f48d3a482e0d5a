"""The desk's own past beside what followed: worked out by hand, and honest about how little it is."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from night_task import NightTask

from prometheus.research import jobs
from prometheus.research.record import Night, report


def made_up(count: int, **changed: Any) -> list[Night]:
    return [
        Night(
            day=date(2010, 1, 1) + timedelta(days=n),
            regime="calm" if n % 2 else "stressed",
            earned=(0.01 if n % 4 < 2 else -0.01) * (2 if n % 2 == 0 else 1),
            volatility=0.01,
            value_at_risk={"parametric 0.95": 0.0165},
            coefficient=0.1 if n % 2 else -0.1,
            expected=0.01,
            realised=0.02 if n % 2 else -0.02,
        )
        for n in range(count)
    ]


def test_few_nights_are_said_to_say_nothing() -> None:
    told = report(made_up(12), ["beware"])
    assert told["warnings"] == [
        "beware",
        "12 nights: too few to say anything; 60 are the least that a figure here needs",
    ]
    assert all(one["p_value"] is None for part in told["by_regime"] for one in part["value_at_risk"])
    assert report([], [])["nights"] == 0


def test_risk_taken_over_risk_said_and_exceedances_are_counted_by_regime() -> None:
    told = report(made_up(120), [])
    parts = {part["regime"]: part for part in told["by_regime"]}
    assert list(parts) == ["all", "calm", "stressed"]
    assert parts["calm"]["volatility"]["realised_over_predicted"] == pytest.approx(1.0)
    assert parts["stressed"]["volatility"]["realised_over_predicted"] == pytest.approx(2.0)
    (loss,) = parts["stressed"]["value_at_risk"]
    assert (loss["nights"], loss["exceeded"], loss["expected"]) == (60, 30, pytest.approx(3.0))
    assert loss["p_value"] < 1e-6
    (calm,) = parts["calm"]["value_at_risk"]
    assert calm["exceeded"] == 0
    assert parts["calm"]["scores"]["rank_correlation"] == pytest.approx(0.1)
    assert parts["all"]["scores"]["rank_correlation"] == pytest.approx(0.0)
    assert parts["calm"]["scores"]["realised_spread"] == pytest.approx(0.02)
    assert parts["all"]["scores"]["independent_months"] == pytest.approx(120 / 21)


def test_the_late_night_looks_at_the_desk_s_own_nights(desk: Any, days: list[date]) -> None:
    first, second = days[-24], days[-2]
    for session in (first, second):
        desk.engines(session)
    output = desk.job(jobs.meta_analytics, NightTask(days[-1], "meta_analytics"))
    assert output["nights"] == 2
    told = desk.reports(days[-1])["performance_by_regime"]
    assert any("too few to say anything" in one for one in told["warnings"])
    everything = told["by_regime"][0]
    assert everything["returns"]["nights"] == 2
    assert everything["scores"]["nights"] == 1, "only the first night's month is over"

    weights = desk.runtime.decisions(second, "US_EQ", "portfolio")[0]["proposed_action"]["targets"]
    rows = desk.known(days[-1]).read("returns_daily", since=days[-1], columns=["instrument_id", "ret_1d"])
    last = dict(rows.iter_rows())
    earned = sum(weight * last[name] for name, weight in weights.items())
    values = (everything["returns"]["worst"], everything["returns"]["best"])
    assert any(np.isclose(earned, value) for value in values)


def test_a_night_without_a_past_reports_that(desk: Any, days: list[date]) -> None:
    output = desk.job(jobs.meta_analytics, NightTask(days[-1], "meta_analytics"))
    assert output["nights"] == 0
    assert desk.reports(days[-1])["performance_by_regime"]["first"] is None
