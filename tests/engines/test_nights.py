"""Whole nights of features and engines: nothing later is seen, and the same night is the same night anywhere."""

from __future__ import annotations

import math
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from prometheus.engines.decision_log.engine import DecisionLogError
from prometheus.engines.outcome import MissingDecisionError
from prometheus.engines.risk_report.measures import historical, kupiec, parametric, risk_shares
from prometheus.stores import schema
from prometheus.stores.runtime import ClaimLostError


def test_deleting_the_future_changes_no_decision(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    """Before the storm, in it and after it. In the whole home the latest nights were decided first."""
    sessions = [days[283], days[339], days[402]]
    whole = new_home("whole", prices)
    for session in (days[412], *reversed(sessions)):
        whole.night(session)
    for session in sessions:
        cut = new_home(f"cut-{session}", prices.filter(pl.col("date") <= session))
        cut.night(session)
        assert whole.decided(session) == cut.decided(session)
        assert len(cut.decided(session)["engine_decisions"]) == 5


def test_a_night_done_again_by_a_later_attempt_leaves_the_same_rows(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("twice", prices)
    home.night(days[310])
    first = home.decided(days[310])
    home.night(days[310], attempt=2)
    assert home.decided(days[310]) == first


def test_a_night_that_stops_half_way_and_goes_on_decides_what_an_undisturbed_one_does(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    session = days[345]
    whole, broken = new_home("whole", prices), new_home("broken", prices)
    whole.night(session)
    for name in (
        "returns",
        "volatility",
        "correlations",
        "stability_components",
        "regime",
        "stability",
        "assessment",
    ):
        broken.job(name, session)
    # The assessment's worker was lost after its commit: it runs again, then the night goes on.
    broken.job("assessment", session, attempt=2)
    for name in ("universe", "portfolio", "risk_report", "decision_log"):
        broken.job(name, session)
    assert broken.decided(session) == whole.decided(session)


def test_an_attempt_that_was_overtaken_keeps_nothing(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("zombie", prices)
    home.night(days[310])
    home.runtime.claim(f"us_eq_daily.{days[310]}.portfolio", 7)
    before = home.decided(days[310])
    with pytest.raises(ClaimLostError):
        home.job("portfolio", days[310], attempt=2, max_weight=0.09)
    assert home.decided(days[310]) == before


def test_an_engine_without_its_upstream_decision_names_it(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("alone", prices)
    with pytest.raises(MissingDecisionError, match="the regime engine has not decided for US_EQ on"):
        home.job("assessment", days[310])


def test_the_log_of_a_night_is_complete_and_in_one_context(one_night: Any) -> None:
    home, session, outputs = one_night
    told = outputs["decision_log"]
    assert told["context_id"] == f"US_EQ.{session}"
    assert set(told["decisions"]) == {"regime", "stability", "assessment", "universe", "portfolio"}
    for row in home.runtime.decisions(session, "US_EQ"):
        assert told["decisions"][row["engine"]] == row["decision_id"] == outputs[row["engine"]]["decision_id"]
        assert home.runtime.config(row["config_id"])["engine"] == row["engine"]


FAULTS = {
    "an engine has not decided": (
        sa.delete(schema.engine_decisions).where(schema.engine_decisions.c.engine == "universe"),
        "universe has not decided; portfolio: it was decided from a decision of universe that no longer stands",
    ),
    "an action was edited": (
        sa.update(schema.engine_decisions)
        .where(schema.engine_decisions.c.engine == "portfolio")
        .values(proposed_action={"targets": {}}),
        "portfolio: its content was changed after it was decided",
    ),
    "rows are gone": (
        sa.delete(schema.instrument_scores).where(schema.instrument_scores.c.instrument_id == "T30"),
        "assessment: it left 60 rows in instrument_scores, and 59 are there",
    ),
    "a row was edited": (
        sa.update(schema.target_portfolios)
        .where(schema.target_portfolios.c.weight > 0.05)
        .values(weight=0.05),
        "portfolio: its rows in target_portfolios were changed after it was decided",
    ),
    "rows that nobody decided": (
        sa.update(schema.universes)
        .where(schema.universes.c.instrument_id == "T01")
        .values(universe_id="stray"),
        "universes has 1 rows that no decision of the night left",
    ),
    "rows of another run": (
        sa.update(schema.instrument_scores)
        .where(schema.instrument_scores.c.instrument_id == "T30")
        .values(run_id="other"),
        "assessment: its rows in instrument_scores are of another run",
    ),
    "made-up prices pass for real": (
        sa.insert(schema.instruments).values(
            instrument_id="T30", market_id="US_EQ", symbol="T30", source="x", synthetic=False, attributes={}
        ),
        "T30 is real in instruments and synthetic in prices_daily",
    ),
    "two contexts": (
        sa.update(schema.engine_decisions)
        .where(schema.engine_decisions.c.engine == "regime")
        .values(context_id="US_EQ.other"),
        "regime has not decided; regime also decided in the context US_EQ.other",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_log_that_contradicts_itself_fails_the_night(
    fault: str, one_night: Any, home_at: Any, tmp_path: Path
) -> None:
    kept, session, _ = one_night
    home = home_at(shutil.copytree(kept.path, tmp_path / "faulty"))
    statement, complaint = FAULTS[fault]
    claim = home.runtime.claim("tamper", 1)
    with home.runtime.commit(claim) as connection:
        home.runtime.put(connection, "markets", [{"market_id": "US_EQ", "name": "US_EQ"}])
        connection.execute(statement)
    with pytest.raises(DecisionLogError) as caught:
        home.job("decision_log", session)
    assert complaint in caught.value.message


def test_inputs_that_do_not_exist_fail_the_night(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("lost", prices)
    session = days[310]
    home.night(session)
    nothing = home.known(session).read("factor_models").clear()
    from prometheus.stores.historical import WriteId

    write = WriteId("loss", "loss", "loss", 1, "0" * 64)
    home.historical.write_days("factor_models", nothing, write, days=[session], market="US_EQ")
    with pytest.raises(
        DecisionLogError, match=f"portfolio: its input factor_models of {session} does not exist"
    ):
        home.job("decision_log", session)


def test_a_config_changes_the_decision_and_its_id(
    new_home: Any, prices: pl.DataFrame, days: list[date]
) -> None:
    home = new_home("config", prices)
    outputs = home.night(days[310])
    other = home.job("portfolio", days[310], max_weight=0.06)
    assert other["decision_id"] != outputs["portfolio"]["decision_id"]
    assert max(row["weight"] for row in home.runtime.target_portfolio(days[310], "US_EQ")) <= 0.06


def test_parametric_losses_of_a_normal_distribution() -> None:
    loss = parametric(0.01, 0.95)
    assert loss.var == pytest.approx(0.01 * 1.644854, rel=1e-6)
    assert loss.es == pytest.approx(0.01 * 2.062713, rel=1e-6)
    assert parametric(0.01, 0.99).var == pytest.approx(0.01 * 2.326348, rel=1e-6)


def test_historical_losses_of_a_hundred_known_returns() -> None:
    returns = np.arange(1, 101) / 1000 - 0.051  # -0.050 to 0.049
    loss = historical(np.random.default_rng(1).permutation(returns), 0.95)
    assert loss.var == pytest.approx(0.045)  # five losses are larger
    assert loss.es == pytest.approx((0.050 + 0.049 + 0.048 + 0.047 + 0.046) / 5)
    part = historical(returns, 0.975)  # two and a half observations
    assert part.es == pytest.approx((0.050 + 0.049 + 0.5 * 0.048) / 2.5)


def test_shares_of_risk_sum_to_one_and_hedges_have_negative_ones() -> None:
    weights = np.array([0.5, 0.5, -0.2])
    exposures = np.array([[0.01], [0.012], [0.01]])
    shares = risk_shares(weights, exposures, np.full(3, 1e-6))
    assert shares.sum() == pytest.approx(1)
    assert shares[2] < 0
    assert risk_shares(np.zeros(3), exposures, np.full(3, 1e-6)).tolist() == [0, 0, 0]


def test_the_risk_report_of_a_night_adds_up(one_night: Any) -> None:
    home, session, outputs = one_night
    report = home.runtime.risk_report(session, "US_EQ")["report"]
    assert report["volatility"] == pytest.approx(outputs["portfolio"]["volatility"], abs=1e-6)
    for kind in ("parametric", "historical"):
        low, high = report[kind]["0.95"], report[kind]["0.99"]
        assert 0 < low["var"] < low["es"]
        assert low["var"] < high["var"] < high["es"]
    assert report["parametric"]["0.95"]["var"] == pytest.approx(
        report["volatility"] / math.sqrt(252) * 1.644854, rel=1e-6
    )
    shares = [one["share_of_risk"] for one in report["contributors"]]
    assert shares == sorted(shares, reverse=True)
    assert report["synthetic"]
    assert "synthetic" in report["notes"][0]
    assert report["binding"] == outputs["portfolio"]["binding"]


@pytest.mark.parametrize("session", [date(2008, 12, 1), date(2011, 8, 8)])
def test_a_real_night_of_a_crisis_is_calm_in_what_it_holds(session: date, new_real_home: Any) -> None:
    """Real prices: the regime is stressed, the limits hold, and what had to give way is named."""
    home = new_real_home(session)
    outputs = home.night(session)
    assert outputs["regime"]["label"] == "stressed"
    assert outputs["assessment"]["scored"] > 420
    assert (outputs["universe"]["core"], outputs["universe"]["satellite"]) == (150, 50)
    told = outputs["portfolio"]
    weights = [row["weight"] for row in home.runtime.target_portfolio(session, "US_EQ")]
    assert max(weights) <= 0.03
    assert told["volatility"] <= 0.2001
    declared = {"min_invested": 0.95, "max_volatility": 0.2}
    declared |= {one["limit"]: one["used"] for one in told["relaxed"]}
    assert declared["min_invested"] - 1e-4 <= sum(weights) <= 1.0001
    if session.year == 2008:  # by then nobody can be fully invested within the risk limit
        assert [one["limit"] for one in told["relaxed"]] == ["min_invested"]
    assert outputs["decision_log"]["references"] > 10


def test_kupiec_s_ratio_is_that_of_its_table_and_judges_both_sides() -> None:
    right = kupiec(13, 255, 0.95)
    assert right.expected == pytest.approx(12.75)
    assert right.p_value > 0.9
    # Kupiec's 95 % region for 255 observations at 5 % is 6 < hits < 21.
    assert kupiec(7, 255, 0.95).p_value > 0.05 > kupiec(6, 255, 0.95).p_value
    assert kupiec(20, 255, 0.95).p_value > 0.05 > kupiec(21, 255, 0.95).p_value
    assert kupiec(0, 255, 0.99).statistic == pytest.approx(-2 * 255 * math.log(0.99))
    assert kupiec(0, 0, 0.95).p_value == 1.0


def test_the_risk_report_says_what_the_targets_are_made_of_and_how_fast_they_are_sold(one_night: Any) -> None:
    home, session, outputs = one_night
    report = home.runtime.risk_report(session, "US_EQ")["report"]
    targets = {row["instrument_id"]: row["weight"] for row in home.runtime.target_portfolio(session, "US_EQ")}
    measures = {
        row["entity_id"]: row
        for row in home.runtime.rows("fragility_measures", as_of_date=session, entity_type="instrument")
    }
    fall = sum(
        weight * measures[name]["scenario_losses"]["market_down_20"]
        for name, weight in targets.items()
        if weight
    )
    assert report["scenarios"]["market_down_20"]["loss"] == pytest.approx(fall, rel=1e-6)
    assert outputs["risk_report"]["worst_scenario"]["loss"] >= fall - 1e-9
    held = {name: weight for name, weight in targets.items() if weight}
    mean = sum(weight * measures[name]["fragility"] for name, weight in held.items()) / sum(held.values())
    assert report["fragility"]["mean"] == pytest.approx(mean, rel=1e-6)
    assert sum(report["fragility"]["weight_by_class"].values()) == pytest.approx(sum(held.values()))
    volumes = home.known(session).read("prices_daily", columns=["date", "instrument_id", "dollar_volume"])
    recent = volumes.filter(pl.col("date").is_in(volumes["date"].unique().sort().tail(63).to_list()))
    median = dict(recent.group_by("instrument_id").agg(pl.col("dollar_volume").median()).iter_rows())
    days = {name: weight * 1e8 / (0.1 * median[name]) for name, weight in held.items()}
    assert report["liquidity"]["days_to_liquidate"] == pytest.approx(max(days.values()), rel=1e-6)
    assert report["liquidity"]["slowest"][0]["instrument_id"] == max(days, key=lambda name: days[name])
    assert report["backtest"]["0.95"]["expected"] == pytest.approx(0.05 * report["historical_sessions"])
