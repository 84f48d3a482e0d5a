"""Random problems with sectors, fragility, styles, impact and soft targets: what always holds of a portfolio."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.data_ingestion.packs.issuers import parse_issuers
from prometheus.data_ingestion.packs.shelf import BYTETHEORY
from prometheus.data_ingestion.reference import fetch_reference
from prometheus.engines.decision_log.engine import DecisionLogError
from prometheus.engines.portfolio.audit import audit
from prometheus.engines.portfolio.costs import LEAST_DOLLARS, Prices, price
from prometheus.engines.portfolio.problem import Limits, NoPortfolioError, Problem, Sectors
from prometheus.engines.portfolio.solve import SESSIONS_PER_YEAR, TOLERANCE, solve
from prometheus.stores import schema

ORDER = ("min_invested", "sector_band", "max_fragility", "turnover", "max_volatility")
COUNT = 24
NAMES = ("energy", "health", "unknown")
SEEDS = st.integers(0, 10_000)


def made(seed: int, **changes: Any) -> Problem:
    """A market of 24 in three sectors, held at random, two of them soft targets, and a little that must be sold."""
    rng = np.random.default_rng(seed)
    member = np.eye(3)[np.arange(COUNT) % 3].T
    problem = Problem(
        expected=rng.normal(0, 0.006, COUNT),
        exposures=rng.normal(0.008, 0.004, (COUNT, 3)),
        specific_var=rng.uniform(0.008, 0.02, COUNT) ** 2,
        held=np.minimum(rng.dirichlet(np.ones(COUNT)) * rng.uniform(0.5, 1.0), 0.12),
        sold=float(rng.uniform(0, 0.05)),
        risk_aversion=5.0,
        prices=Prices(0.0005, rng.uniform(0.0002, 0.002, COUNT), rng.uniform(0, 0.05, COUNT)),
        horizon=21,
        leaving=np.arange(COUNT) < 2,
        fragility=rng.uniform(0, 1, COUNT),
        sectors=Sectors(NAMES, member, member.mean(axis=1)),
        styles={"beta": rng.normal(1, 0.3, COUNT)},
    )
    return replace(problem, **changes)


def declared(**changes: Any) -> Limits:
    limits = Limits(0.1, 1.0, 0.9, 0.3, 0.25, 0.5, 0.05, {"beta": 1.0})
    return replace(limits, **changes)


@settings(max_examples=settings().max_examples // 5)
@given(SEEDS, st.floats(0.02, 0.4), st.floats(0.1, 0.4), st.floats(0.2, 0.6), st.floats(0.0, 0.1))
def test_every_kept_portfolio_obeys_its_limits_and_each_that_moved_is_named(
    seed: int, turnover: float, volatility: float, fragility: float, band: float
) -> None:
    problem = made(seed)
    limits = declared(turnover=turnover, max_volatility=volatility, max_fragility=fragility, sector_band=band)
    solution = solve(problem, limits, ORDER)
    assert problem.excess(solution.limits, solution.weights, SESSIONS_PER_YEAR) <= TOLERANCE
    moved = {name for name in ORDER if solution.limits.value(name) != limits.value(name)}
    assert moved == {one.limit for one in solution.relaxed}
    assert bool(moved) == bool(solution.conflict)
    assert (solution.weights[problem.leaving] <= problem.held[problem.leaving]).all()


@settings(max_examples=settings().max_examples // 30)
@given(SEEDS)
def test_a_limit_gives_way_by_no_more_than_it_must_and_later_ones_before_earlier_ones_never(
    seed: int,
) -> None:
    problem = made(seed)
    limits = declared(turnover=0.05, max_fragility=0.2)
    solution = solve(problem, limits, ORDER)
    assert solution.relaxed
    for one in solution.relaxed:
        # A little less of it, and there is no portfolio: not even with the limits before it at their loosest.
        nearer = one.used + (2e-3 if one.limit == "min_invested" else -2e-3)
        tighter = solution.limits.with_value(one.limit, nearer)
        earlier = ORDER[: ORDER.index(one.limit)]
        again = None
        try:
            again = solve(problem, tighter, earlier)
        except NoPortfolioError:
            continue
        pytest.fail(f"{one.limit} could have stayed at {nearer}: {again.relaxed}")


@settings(max_examples=settings().max_examples // 30)
@given(SEEDS)
def test_what_conflicts_is_named_and_none_of_it_is_superfluous(seed: int) -> None:
    problem, limits = made(seed), declared(turnover=0.05, max_fragility=0.2)
    conflict = solve(problem, limits, ORDER).conflict
    assert len(conflict) >= 2
    off = {
        "min_invested": 0.0,
        "sector_band": 1.0,
        "max_fragility": 1.0,
        "turnover": 1.0,
        "max_volatility": 10.0,
    }
    others = {name: value for name, value in off.items() if name not in conflict}
    with pytest.raises(NoPortfolioError):  # the rest has no part in it
        solve(problem, replace(limits, max_exposures={}, **others), ())
    for name in set(conflict) & set(off):
        every = off if name in others else {**others, name: off[name]}
        solve(problem, replace(limits, max_exposures={}, **every), ())


@settings(max_examples=settings().max_examples // 15)
@given(SEEDS)
def test_renaming_the_instruments_renames_the_weights(seed: int) -> None:
    problem = made(seed)
    order = np.random.default_rng(seed).permutation(COUNT)
    sectors = problem.sectors
    assert sectors is not None
    assert problem.fragility is not None
    prices = problem.prices
    shuffled = replace(
        problem,
        expected=problem.expected[order],
        exposures=problem.exposures[order],
        specific_var=problem.specific_var[order],
        held=problem.held[order],
        leaving=problem.leaving[order],
        fragility=problem.fragility[order],
        prices=Prices(prices.fees, prices.half_spread[order], prices.impact[order]),
        sectors=replace(sectors, member=sectors.member[:, order]),
        styles={"beta": problem.styles["beta"][order]},
    )
    limits = declared(turnover=1.0, max_volatility=0.4, max_fragility=0.6)
    np.testing.assert_allclose(
        solve(shuffled, limits, ORDER).weights, solve(problem, limits, ORDER).weights[order], atol=2e-5
    )


@settings(max_examples=settings().max_examples // 15)
@given(SEEDS)
def test_who_expects_nothing_and_fears_nothing_does_not_trade(seed: int) -> None:
    calm = made(
        seed, expected=np.zeros(COUNT), risk_aversion=1e-9, sold=0.0, leaving=np.zeros(COUNT, np.bool_)
    )
    free = Limits(0.2, 1.0, 0.0, 1.0, 10.0, 1.0, 1.0)
    np.testing.assert_allclose(solve(calm, free, ()).weights, calm.held, atol=2e-6)


@settings(max_examples=settings().max_examples // 15)
@given(SEEDS)
def test_dearer_trading_never_trades_more(seed: int) -> None:
    free = Limits(0.2, 1.0, 0.0, 1.0, 10.0)
    problem = made(seed, leaving=np.zeros(COUNT, np.bool_))
    traded = []
    for dear in (0.0, 1.0, 5.0, 25.0):
        prices = Prices(0.0, dear * problem.prices.half_spread, dear * problem.prices.impact)
        weights = solve(replace(problem, prices=prices), free, ()).weights
        traded.append(problem.prices.of(weights - problem.held).total)
    # What falls is the bill at the old prices: that is what optimality promises.
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(traded))


def test_soft_targets_are_sold_before_all_else_and_within_the_turnover() -> None:
    held = np.full(COUNT, 0.04)
    problem = made(3, held=held, sold=0.0, expected=np.full(COUNT, 0.01))
    free = Limits(0.1, 1.0, 0.0, 0.05, 10.0)
    solution = solve(problem, free, ORDER)
    assert solution.relaxed == ()
    assert solution.weights[:2].sum() == pytest.approx(0.08 - 0.05, abs=1e-5)
    whole = solve(problem, replace(free, turnover=0.1), ORDER)
    assert whole.weights[:2].tolist() == [0.0, 0.0]


def test_costs_are_fees_spread_by_tier_and_a_square_root_law_in_dollars() -> None:
    prices = price(
        np.array([2e8, 3e7, 5e6, 4e6, np.nan]),
        np.full(5, 0.02),
        fees=0.0005,
        half_spreads=((1e8, 0.0002), (2.5e7, 0.0005), (5e6, 0.001)),
        widest=0.0025,
        impact=1.0,
        capital=1e8,
    )
    assert prices.half_spread.tolist() == [0.0002, 0.0005, 0.001, 0.0025, 0.0025]
    # 1 % of 1e8 in a name that trades 2e8: half a per cent of the session; its price moves 0.02 x sqrt(0.005).
    bill = prices.of(np.array([0.01, 0, 0, 0, 0]))
    assert bill.impact == pytest.approx(0.01 * 0.02 * np.sqrt(0.005))
    assert bill.fees == pytest.approx(0.01 * 0.0005)
    assert bill.spread == pytest.approx(0.01 * 0.0002)
    assert prices.impact[4] == pytest.approx(0.02 * np.sqrt(1e8 / LEAST_DOLLARS))
    assert prices.each(np.array([0.01, 0, 0, 0, 0])).sum() == pytest.approx(bill.total)


def test_a_night_passes_its_audit_and_an_edited_one_does_not(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("audit", prices)
    session = days[310]
    home.night(session)
    known = home.known(session)
    assert audit(session, known, home.runtime, market_id="US_EQ") == []
    one = next(row for row in home.runtime.target_portfolio(session, "US_EQ") if row["weight"] > 0.05)
    table = schema.target_portfolios
    with home.runtime.commit(home.runtime.claim("tamper", 1)) as connection:
        connection.execute(
            sa.update(table).where(table.c.instrument_id == one["instrument_id"]).values(weight=0.0805)
        )
    found = audit(session, known, home.runtime, market_id="US_EQ")
    assert f"weight of {one['instrument_id']} is 0.0805000, the limit 0.0800000" in found
    assert "the targets kept are not those that were decided" in found
    with pytest.raises(DecisionLogError):
        home.job("decision_log", session)


def test_sectors_are_those_known_by_the_session_and_a_night_without_any_says_so(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("sectors", prices)
    session = days[310]
    home.night(session)
    bare = home.job("portfolio", session)
    assert "no sector limits: no instrument of the universe has a sector" in bare["notes"]
    names = sorted(prices["instrument_id"].unique())
    known = [(days[300], name, "energy" if place % 2 else "health") for place, name in enumerate(names[:-5])]
    later = [(days[311], name, "retail") for name in names]
    home.load(
        "issuers", pl.DataFrame(known + later, schema=["date", "instrument_id", "sector"], orient="row")
    )
    told = home.job("portfolio", session, max_weight=0.08, sector_band=0.01)
    assert "notes" not in told
    action = home.runtime.decisions(session, "US_EQ", "portfolio")[0]["proposed_action"]
    assert set(action["sectors"]) <= {"energy", "health", "unknown"}
    for sector in action["sectors"].values():
        assert abs(sector["weight"] - sector["share"] * told["invested"]) <= 0.01 + TOLERANCE
    assert audit(session, home.known(session), home.runtime, market_id="US_EQ") == []


@pytest.mark.parametrize("session", [date(2008, 9, 29), date(2014, 3, 12)])
def test_limits_hold_on_real_sessions_with_the_real_sectors(
    session: date, new_real_home: Any, user_settings: Any
) -> None:
    home = new_real_home(session)
    listed = parse_issuers(fetch_reference(user_settings.cache, user_settings.data_mirror, pack=BYTETHEORY))
    home.load("issuers", listed.rename({"row_date": "date"}))
    outputs = home.night(session)
    told = outputs["portfolio"]
    assert audit(session, home.known(session), home.runtime, market_id="US_EQ") == []
    assert outputs["decision_log"]["limits_hold"]
    assert told["fragility"] <= 0.6 + TOLERANCE or told["relaxed"]
    assert not any("sector" in note for note in told.get("notes", ()))
    action = home.runtime.decisions(session, "US_EQ", "portfolio")[0]["proposed_action"]
    assert len(action["sectors"]) == 11  # ten, and the unknown
    assert sum(sector["share"] for sector in action["sectors"].values()) == pytest.approx(1.0)
    assert action["sectors"]["unknown"]["share"] < 0.15
    assert "sector_band" in {one["limit"] for one in told["binding"]} | {
        one["limit"] for one in told["relaxed"]
    }
