from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.core.errors import UserError
from prometheus.core.time import TradingCalendar
from prometheus.engines.assessment.combination import combine
from prometheus.engines.assessment.config import AssessmentConfig, FamilyWeights
from prometheus.engines.assessment.engine import clean_share
from prometheus.engines.assessment.families import (
    FAMILIES,
    Evidence,
    cross_section,
    forward_return,
    month_ends,
    raw,
    standardised,
)
from prometheus.engines.assessment.learning import months_of
from prometheus.engines.assessment.scoring import family_weights, score_of

NAN = float("nan")
DAYS = TradingCalendar("US_EQ").sessions(date(2009, 1, 2), date(2014, 12, 31))
EQUAL = np.full(5, 0.2)


def evidence(sessions: int = 320, instruments: int = 40, seed: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    return Evidence(
        tuple(DAYS[:sessions]),
        rng.normal(0.0005, 0.02, (sessions, instruments)),
        rng.uniform(0.1, 0.6, (sessions, instruments)),
        np.exp(rng.normal(16, 1, (sessions, instruments))),
        rng.uniform(0, 1, (sessions, instruments)),
    )


def cut(known: Evidence, sessions: int) -> Evidence:
    """The same evidence as it was `sessions` after its beginning."""
    parts = (known.days, known.returns, known.volatility, known.dollars, known.fragility)
    return Evidence(*(part[:sessions] for part in parts))  # type: ignore[arg-type]  # slices keep their types


def shuffled(known: Evidence, order: Any) -> Evidence:
    """The same evidence with its instruments in another order."""
    matrices = (known.returns, known.volatility, known.dollars, known.fragility)
    return Evidence(known.days, *(matrix[:, order] for matrix in matrices))


def test_each_family_is_its_paper_s_number() -> None:
    known = evidence()
    row = 300
    momentum, reversal, low_volatility, illiquidity, fragility = raw(known, row)
    year = known.returns[row - 251 : row + 1]
    np.testing.assert_allclose(momentum, np.prod(1 + year[:231], axis=0) - 1)
    np.testing.assert_allclose(reversal, 1 - np.prod(1 + year[231:], axis=0))
    np.testing.assert_array_equal(low_volatility, -known.volatility[row])
    impact = (np.abs(year) / known.dollars[row - 251 : row + 1]).mean(axis=0)
    np.testing.assert_allclose(illiquidity, np.log(impact))
    np.testing.assert_array_equal(fragility, -known.fragility[row])


def test_no_family_reads_past_its_row() -> None:
    known = evidence()
    np.testing.assert_array_equal(raw(known, 300), raw(cut(known, 301), 300))


def test_an_instrument_known_to_less_than_four_fifths_has_no_family_but_the_volatility_it_has() -> None:
    known = evidence()
    known.returns[60:160, 5] = NAN
    found = raw(known, 300)[:, 5]
    assert math.isnan(found[0])
    assert not math.isnan(found[1])
    assert not math.isnan(found[2])
    assert math.isnan(found[3])


@given(st.integers(0, 10_000), st.integers(5, 50))
def test_z_scores_are_centred_of_unit_deviation_in_order_and_without_wild_values(
    seed: int, count: int
) -> None:
    values = np.random.default_rng(seed).standard_t(2, size=(2, count))
    values[0, 0] = NAN
    scores = standardised(values, 0.01)
    for row, original in zip(scores, values, strict=True):
        known = ~np.isnan(original)
        assert np.isnan(row[~known]).all()
        assert row[known].mean() == pytest.approx(0, abs=1e-9)
        assert row[known].std() == pytest.approx(1)
        assert (np.diff(row[known][np.argsort(original[known])]) >= -1e-12).all()


def test_one_wild_value_counts_no_more_than_the_quantile() -> None:
    values = np.concatenate([np.linspace(-1, 1, 200), [1e9]])[None, :]
    assert standardised(values, 0.01).max() < 2.0


def test_a_family_that_does_not_vary_says_nothing() -> None:
    assert np.isnan(standardised(np.ones((1, 10)), 0.01)).all()


@given(st.integers(0, 10_000))
def test_the_parts_of_a_score_sum_to_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(4, 30))
    scores[rng.random((4, 30)) < 0.2] = NAN
    found = combine(scores, np.array([0.4, 0.3, 0.2, 0.1]), 2)
    scored = ~np.isnan(found.total)
    np.testing.assert_allclose(found.parts[:, scored].sum(axis=0), found.total[scored])
    assert found.total[scored].mean() == pytest.approx(0, abs=1e-9)
    assert found.total[scored].std() == pytest.approx(1)
    assert ((found.agreement[scored] >= 0) & (found.agreement[scored] <= 1)).all()
    assert ((~np.isnan(scores)).sum(axis=0) >= 2).tolist() == scored.tolist()


def test_families_that_agree_give_confidence_and_those_that_cancel_give_none() -> None:
    scores = np.array([[1.0, 1.0, -2.0, 0.5], [1.0, -1.0, 0.5, NAN]])
    found = combine(scores, np.array([0.5, 0.5]), 1)
    assert found.agreement.tolist() == pytest.approx([1.0, 0.0, 0.6, 1.0])
    assert found.coverage.tolist() == [1.0, 1.0, 1.0, 0.5]


def test_a_score_without_any_weight_is_none() -> None:
    assert np.isnan(combine(np.ones((2, 5)), np.zeros(2), 1).total).all()


def test_holes_of_the_last_month_or_year_cost_confidence() -> None:
    returns = np.zeros((300, 4))
    returns[-3:, 1] = NAN
    returns[50:100, 2] = NAN
    returns[:40, 3] = NAN
    assert clean_share(returns).tolist() == pytest.approx([1.0, 18 / 21, 202 / 252, 1.0])


def test_in_stress_momentum_has_no_weight_and_fragility_two() -> None:
    config = AssessmentConfig()
    calm = family_weights(config, {"calm": 1.0, "normal": 0.0, "stressed": 0.0})
    stressed = family_weights(config, {"calm": 0.0, "normal": 0.0, "stressed": 1.0})
    between = family_weights(config, {"calm": 0.25, "normal": 0.25, "stressed": 0.5})
    assert calm.tolist() == pytest.approx([0.2] * 5)
    assert stressed.tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0.4])
    np.testing.assert_allclose(between, (calm + stressed) / 2)


def test_a_regime_without_any_weight_is_refused() -> None:
    config = AssessmentConfig(calm=FamilyWeights(0, 0, 0, 0, 0))
    with pytest.raises(UserError, match="weights in the calm regime are all 0"):
        family_weights(config, {"calm": 1.0, "normal": 0.0, "stressed": 0.0})


def test_a_family_that_nobody_has_is_absent_and_the_others_take_its_weight() -> None:
    known = evidence()
    without = Evidence(
        known.days, known.returns, known.volatility, known.dollars, np.full_like(known.fragility, NAN)
    )
    found = score_of(without, 319, [], EQUAL, AssessmentConfig())
    assert found.absent == ("fragility",)
    assert found.weights.tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25, 0])
    assert (found.score.coverage == 1).all()


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_order_of_the_instruments_and_the_size_of_the_dollars_change_no_score(
    seed: int, factor: float
) -> None:
    known = evidence(instruments=20, seed=seed)
    order = np.random.default_rng(seed).permutation(20)
    plain = cross_section(known, 319, 0.01)
    np.testing.assert_allclose(cross_section(shuffled(known, order), 319, 0.01), plain[:, order], atol=1e-9)
    # Another currency moves every log of illiquidity by the same amount.
    dearer = Evidence(known.days, known.returns, known.volatility, known.dollars * factor, known.fragility)
    np.testing.assert_allclose(cross_section(dearer, 319, 0.01), plain, atol=1e-9)


def test_an_instrument_that_did_not_trade_on_the_session_is_not_scored_and_moves_nobody() -> None:
    known = evidence()
    silent = known.returns.copy()
    silent[319, 7] = NAN
    gone = Evidence(known.days, silent, known.volatility, known.dollars, known.fragility)
    found = cross_section(gone, 319, 0.01)
    assert np.isnan(found[:, 7]).all()
    others = [place for place in range(40) if place != 7]
    np.testing.assert_allclose(
        found[:, others], cross_section(shuffled(known, others), 319, 0.01), atol=1e-12
    )


@given(st.integers(252, 699))
@settings(max_examples=settings().max_examples // 5)
def test_a_session_s_score_and_what_was_learnt_for_it_do_not_change_when_the_future_is_deleted(
    row: int,
) -> None:
    known = evidence(sessions=700, instruments=15)
    then = cut(known, row + 1)
    whole = score_of(known, row, months_of(known, 0.01), EQUAL, AssessmentConfig())
    alone = score_of(then, row, months_of(then, 0.01), EQUAL, AssessmentConfig())
    np.testing.assert_array_equal(whole.score.parts, alone.score.parts)
    np.testing.assert_array_equal(whole.learnt.factors, alone.learnt.factors)
    ends = [end for end in month_ends(known.days) if 251 <= end < row]
    assert whole.learnt.months == max(len(ends) - 1, 0)


def test_months_end_where_a_later_month_begins_and_the_running_one_has_not_ended() -> None:
    assert [DAYS[row] for row in month_ends(DAYS[:60])] == [date(2009, 1, 30), date(2009, 2, 27)]
    assert DAYS[60] == date(2009, 3, 31)
    assert len(month_ends(DAYS[:61])) == 2
    assert len(month_ends(DAYS[:62])) == 3


def test_the_return_ahead_is_that_of_the_sessions_between() -> None:
    known = evidence()
    np.testing.assert_allclose(
        forward_return(known, 10, 12), (1 + known.returns[11]) * (1 + known.returns[12]) - 1
    )


def test_the_scores_of_a_night_are_whole(one_night: Any) -> None:
    home, session, outputs = one_night
    rows = home.runtime.scores(session, "US_EQ")
    assert len(rows) == outputs["assessment"]["scored"] > 50
    used = outputs["assessment"]["information_coefficient"]["used"]
    found = home.known(session).read("volatility_daily", since=session, columns=["instrument_id", "vol_63d"])
    vol = dict(found.iter_rows())
    for row in rows:
        assert set(row["contributions"]) == set(FAMILIES)
        assert 0 <= row["confidence"] <= 1
        assert sum(row["contributions"].values()) == pytest.approx(row["score"], abs=1e-6)
        expected = used * vol[row["instrument_id"]] * math.sqrt(21 / 252) * row["score"]
        assert row["expected_return"] == pytest.approx(expected, abs=1e-8)
    by_score = sorted(rows, key=lambda row: row["score"])
    assert {row["label"] for row in by_score[:10]} == {"unattractive"}
    assert {row["label"] for row in by_score[-10:]} == {"attractive"}
    assert outputs["assessment"]["weights"]["momentum"] < 0.02  # the night lies in the storm
