"""What the assessment learns from months that ended, and the deciles that judge it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.engines.assessment.combination import combine
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.families import FAMILIES
from prometheus.engines.assessment.learning import (
    MOST,
    Learnt,
    Month,
    information_coefficient,
    learn,
    rank_correlation,
    weighted,
)

CONFIG = AssessmentConfig()
EQUAL = np.full(5, 0.2)
INSTRUMENTS = 400


def months(count: int, strength: float = 0.0, family: int = 1, seed: int = 1) -> list[Month]:
    """Made-up months of independent families, of which one foretells the returns with about the given correlation."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        scores = rng.normal(size=(5, INSTRUMENTS))
        ahead = strength * scores[family] + rng.normal(size=INSTRUMENTS)
        placed = np.argsort(np.argsort(ahead)).astype(np.float64)
        placed = (placed - placed.mean()) / placed.std()
        gram, pull = scores @ scores.T / INSTRUMENTS, scores @ placed / INSTRUMENTS
        found.append(Month(21 * number, 21 * (number + 1), scores, ahead, gram, pull))
    return found


def test_without_an_ended_month_the_weights_are_the_regime_s() -> None:
    found = learn([], CONFIG)
    assert (found.months, found.prior_share, found.factors.tolist()) == (0, 1.0, [1.0] * 5)
    assert weighted(EQUAL, found).tolist() == pytest.approx(EQUAL.tolist())


def test_a_planted_signal_gets_weight_up_to_the_bound_and_its_opposite_gets_none() -> None:
    right, wrong = learn(months(36, 0.2), CONFIG), learn(months(36, -0.2), CONFIG)
    assert right.factors[1] == MOST
    assert weighted(EQUAL, right)[1] > 0.4
    assert wrong.factors[1] == 0.0
    assert weighted(EQUAL, wrong)[1] == 0.0


@given(st.integers(0, 10_000))
@settings(max_examples=settings().max_examples // 2)
def test_pure_noise_keeps_the_prior_and_no_evidence_turns_a_family_round(seed: int) -> None:
    found = learn(months(36, 0.0, seed=seed), CONFIG)
    weights = weighted(EQUAL, found)
    # A month of noise has a correlation of 1 / sqrt(400) = 0.05; 36 of them move a factor by 0.16 (one deviation).
    assert np.abs(weights - EQUAL).max() < 0.2
    assert ((found.factors >= 0) & (found.factors <= MOST)).all()
    assert weights.sum() == pytest.approx(1)
    assert found.prior_share == pytest.approx(60 / 96)


def test_the_first_months_hardly_move_anything() -> None:
    terrible = learn(months(2, -0.3), CONFIG)
    assert 0.3 < terrible.factors[1] < 1.0  # two months of a correlation of -0.29 against sixty of 0.02


def test_two_families_that_say_the_same_share_what_one_would_get() -> None:
    alone = months(60, 0.03)
    double = []
    for month in alone:
        scores = month.scores.copy()
        scores[2] = scores[1]
        pull = month.pull.copy()
        pull[2] = pull[1]
        double.append(replace(month, scores=scores, pull=pull, gram=scores @ scores.T / INSTRUMENTS))
    config = AssessmentConfig(prior_months=1)
    one, two = learn(alone, config), learn(double, config)
    assert two.factors[1] == pytest.approx(two.factors[2])
    assert two.factors[1] == pytest.approx(one.factors[1] / 2, rel=0.05)


def test_the_coefficients_are_the_ridge_regression_s() -> None:
    from sklearn.linear_model import Ridge

    known = months(24, 0.05)
    rows = np.hstack([month.scores for month in known]).T
    target = np.concatenate(
        [
            (placed - placed.mean()) / placed.std()
            for placed in (np.argsort(np.argsort(month.ahead)).astype(float) for month in known)
        ]
    )
    prior = np.full(5, CONFIG.prior_ic)
    # Centred at the prior: fit what the prior leaves over, with a penalty of k months of 400 instruments.
    model = Ridge(alpha=CONFIG.prior_months * INSTRUMENTS, fit_intercept=False).fit(
        rows, target - rows @ prior
    )
    expected = np.clip((prior + model.coef_) / CONFIG.prior_ic, 0, MOST)
    np.testing.assert_allclose(learn(known, CONFIG).factors, expected, rtol=1e-9)


def test_only_the_newest_months_are_evidence() -> None:
    known = months(40, 0.1)
    config = AssessmentConfig(evidence_months=12)
    np.testing.assert_array_equal(learn(known, config).factors, learn(known[-12:], config).factors)
    assert learn(known, config).months == 12


def test_a_family_unknown_in_all_months_keeps_its_prior() -> None:
    known = []
    for month in months(36, 0.1):
        scores, gram, pull = month.scores.copy(), month.gram.copy(), month.pull.copy()
        scores[4], gram[4], gram[:, 4], pull[4] = np.nan, 0.0, 0.0, 0.0
        known.append(replace(month, scores=scores, gram=gram, pull=pull))
    assert learn(known, CONFIG).factors[4] == pytest.approx(1.0)


def test_if_every_family_ranked_wrongly_the_regime_s_weights_stay() -> None:
    assert weighted(EQUAL, Learnt(np.zeros(5), 60, 0.5)).tolist() == EQUAL.tolist()


def test_each_month_is_ranked_with_what_was_learnt_before_it_began() -> None:
    known = months(30, 0.1)
    found = information_coefficient(known, EQUAL, CONFIG)
    assert found.months == 30
    later = [*known[:29], replace(known[29], ahead=-known[29].ahead)]
    changed = information_coefficient(later, EQUAL, CONFIG)
    # The last month's returns enter as its own outcome, and no earlier month is scored with them.
    own = information_coefficient(known[:29], EQUAL, CONFIG)
    assert own.measured is not None
    assert found.measured is not None
    assert changed.measured is not None
    assert (found.measured + changed.measured) / 2 == pytest.approx(own.measured * 29 / 30)
    assert found.used == pytest.approx((30 * found.measured + 60 * 0.02) / 90)


def test_a_month_that_ends_on_the_session_of_the_score_has_not_yet_taught_anything() -> None:
    # As on the night itself, which does not know that its month is over before it sees the next session.
    first, second = months(2, 0.3)
    assert first.until == second.row
    config = AssessmentConfig(prior_months=1)
    untaught = [rank_correlation(combine(one.scores, EQUAL, 2).total, one.ahead) for one in (first, second)]
    found = information_coefficient([first, second], EQUAL, config)
    assert found.measured == pytest.approx(np.mean([value for value in untaught if value is not None]))


def test_without_months_the_coefficient_is_the_prior() -> None:
    found = information_coefficient([], EQUAL, CONFIG)
    assert (found.measured, found.months, found.used) == (None, 0, pytest.approx(0.02))


def test_rank_correlation_agrees_with_spearman() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    left, right = rng.normal(size=50), rng.normal(size=50)
    assert rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)
    assert rank_correlation(left, left) == 1.0
    assert rank_correlation(left[:9], left[:9]) is None


def test_what_a_night_learnt_is_in_its_decision(one_night: Any) -> None:
    home, session, outputs = one_night
    action = home.runtime.decisions(session, "US_EQ", "assessment")[0]["proposed_action"]
    assert action["learnt"] == outputs["assessment"]["learnt"]
    assert action["learnt"]["months"] == 5
    assert action["learnt"]["prior_share"] == pytest.approx(60 / 65)
    assert set(action["learnt"]["factors"]) == set(FAMILIES)
    assert sum(action["weights"].values()) == pytest.approx(1)
