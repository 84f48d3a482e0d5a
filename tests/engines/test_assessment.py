from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.engines.assessment.combination import combine, information_coefficient, rank_correlation
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.engine import family_weights
from prometheus.engines.assessment.families import FAMILIES, Evidence, forward_return, raw, standardised

NAN = float("nan")


def evidence(sessions: int = 320, instruments: int = 40, seed: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    return Evidence(
        rng.normal(0.0005, 0.02, (sessions, instruments)),
        rng.uniform(0.1, 0.6, (sessions, instruments)),
        np.exp(rng.normal(16, 1, (sessions, instruments))),
    )


def test_each_family_is_its_paper_s_number() -> None:
    known = evidence()
    row = 300
    momentum, reversal, low_volatility, illiquidity = raw(known, row)
    year = known.returns[row - 251 : row + 1]
    np.testing.assert_allclose(momentum, np.prod(1 + year[:231], axis=0) - 1)
    np.testing.assert_allclose(reversal, 1 - np.prod(1 + year[231:], axis=0))
    np.testing.assert_array_equal(low_volatility, -known.volatility[row])
    impact = (np.abs(year) / known.dollars[row - 251 : row + 1]).mean(axis=0)
    np.testing.assert_allclose(illiquidity, np.log(impact))


def test_no_family_reads_past_its_row() -> None:
    known = evidence()
    cut = Evidence(known.returns[:301], known.volatility[:301], known.dollars[:301])
    np.testing.assert_array_equal(raw(known, 300), raw(cut, 300))


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
    agreement = combine(scores, np.array([0.5, 0.5]), 1).agreement
    assert agreement.tolist() == pytest.approx([1.0, 0.0, 0.6, 0.5])


def test_momentum_has_no_weight_in_stress() -> None:
    config = AssessmentConfig()
    calm = family_weights(config, {"calm": 1.0, "normal": 0.0, "stressed": 0.0})
    stressed = family_weights(config, {"calm": 0.0, "normal": 0.0, "stressed": 1.0})
    between = family_weights(config, {"calm": 0.25, "normal": 0.25, "stressed": 0.5})
    assert calm.tolist() == [0.25] * 4
    assert stressed.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(between, (calm + stressed) / 2)


def test_rank_correlation_agrees_with_spearman() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    left, right = rng.normal(size=50), rng.normal(size=50)
    assert rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)
    assert rank_correlation(left, left) == 1.0
    assert rank_correlation(left[:9], left[:9]) is None


def measured(known: Evidence, months: int = 3) -> Any:
    return information_coefficient(
        known,
        np.array([0.0, 1.0, 0.0, 0.0]),
        months=months,
        prior=0.02,
        prior_months=24,
        winsorise=0.0,
        minimum_families=1,
    )


def test_the_coefficient_is_the_mean_rank_correlation_of_ended_months_drawn_to_the_prior() -> None:
    known = evidence(sessions=252 + 2 * 21)
    rows = (251 + 21, 251)
    expected = [rank_correlation(raw(known, row)[1], forward_return(known, row)) for row in rows]
    found = measured(known)
    assert found.months == 2
    assert found.measured == pytest.approx(np.mean(expected))
    assert found.used == pytest.approx((sum(expected) + 24 * 0.02) / 26)


def test_without_an_ended_month_the_coefficient_is_the_prior() -> None:
    found = measured(evidence(sessions=260))
    assert (found.measured, found.months) == (None, 0)
    assert found.used == pytest.approx(0.02)


def test_at_most_the_asked_months_are_evidence() -> None:
    assert measured(evidence(sessions=252 + 10 * 21), months=3).months == 3


def test_the_scores_of_a_night_are_whole(one_night: Any) -> None:
    home, session, outputs = one_night
    rows = home.runtime.scores(session, "US_EQ")
    assert len(rows) == outputs["assessment"]["scored"] > 50
    used = outputs["assessment"]["information_coefficient"]["used"]
    found = home.known(session).read("volatility_daily", since=session, columns=["instrument_id", "vol_63d"])
    vol = dict(found.iter_rows())
    for row in rows:
        assert set(row["contributions"]) == set(FAMILIES)
        assert sum(row["contributions"].values()) == pytest.approx(row["score"], abs=1e-6)
        expected = used * vol[row["instrument_id"]] * math.sqrt(21 / 252) * row["score"]
        assert row["expected_return"] == pytest.approx(expected, abs=1e-8)
        assert 0 <= row["confidence"] <= 1
    by_score = sorted(rows, key=lambda row: row["score"])
    assert {row["label"] for row in by_score[:10]} == {"unattractive"}
    assert {row["label"] for row in by_score[-10:]} == {"attractive"}
    assert outputs["assessment"]["weights"]["momentum"] < 0.02  # the night lies in the storm
