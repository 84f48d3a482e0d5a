from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import DataError
from prometheus.engines.outcome import ShortHistoryError
from prometheus.engines.regime.config import LABELS, RegimeConfig
from prometheus.engines.regime.duration import official, since
from prometheus.engines.regime.engine import judge
from prometheus.engines.regime.hmm import HmmlearnModel
from prometheus.engines.regime.model import GaussianStates, filtered

CONFIG = RegimeConfig()
MODEL = HmmlearnModel(len(LABELS), CONFIG.seeds, CONFIG.stickiness, CONFIG.iterations, CONFIG.tolerance)


def chain(seed: int, states: int = 3, features: int = 2) -> GaussianStates:
    rng = np.random.default_rng(seed)
    return GaussianStates(
        start=rng.dirichlet(np.ones(states)),
        transition=rng.dirichlet(np.ones(states), size=states),
        means=rng.normal(size=(states, features)),
        variances=rng.uniform(0.2, 2.0, size=(states, features)),
        log_likelihood=0.0,
        seed=seed,
    )


def density(states: GaussianStates, state: int, observation: np.ndarray[Any, Any]) -> float:
    variance = states.variances[state]
    exponent = -0.5 * ((observation - states.means[state]) ** 2 / variance).sum()
    return float(np.exp(exponent) / np.sqrt((2 * np.pi * variance).prod()))


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_filtered_is_what_summing_over_every_path_gives(seed: int, sessions: int) -> None:
    states = chain(seed)
    observed = np.random.default_rng(seed + 1).normal(size=(sessions, 2))
    found = filtered(states, observed)
    for last in range(sessions):
        weight = np.zeros(3)
        for path in itertools.product(range(3), repeat=last + 1):
            chance = states.start[path[0]] * density(states, path[0], observed[0])
            for step in range(1, last + 1):
                chance *= states.transition[path[step - 1], path[step]]
                chance *= density(states, path[step], observed[step])
            weight[path[-1]] += chance
        np.testing.assert_allclose(found[last], weight / weight.sum(), rtol=1e-9)


def test_a_two_state_chain_worked_out_by_hand() -> None:
    states = GaussianStates(
        np.array([0.5, 0.5]),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        np.array([[0.0], [2.0]]),
        np.array([[1.0], [1.0]]),
        0.0,
        0,
    )
    likelihood_ratio = np.exp(-0.5 * (2.0 - 0.0) ** 2)  # of state 0 to state 1, on seeing 2.0
    first = np.array([0.5, 0.5 * likelihood_ratio])  # on seeing 0.0
    first /= first.sum()
    ahead = first @ states.transition
    second = ahead * np.array([likelihood_ratio, 1.0])
    np.testing.assert_allclose(
        filtered(states, np.array([[0.0], [2.0]])), [first, second / second.sum()], rtol=1e-12
    )


def test_later_observations_do_not_change_what_was_filtered() -> None:
    states = chain(7)
    observed = np.random.default_rng(8).normal(size=(200, 2))
    np.testing.assert_array_equal(filtered(states, observed[:120]), filtered(states, observed)[:120])


def test_the_filter_survives_states_that_cannot_be_entered_and_wild_observations() -> None:
    states = chain(9)
    sure = GaussianStates(np.array([1.0, 0, 0]), np.eye(3), states.means, states.variances, 0.0, 0)
    found = filtered(sure, np.array([[0.0, 0.0], [60.0, -60.0]]))
    np.testing.assert_array_equal(found, [[1, 0, 0], [1, 0, 0]])


def two_weathers(seed: int, sessions: int = 600) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    transition = np.array([[0.98, 0.02, 0.0], [0.015, 0.97, 0.015], [0.0, 0.04, 0.96]])
    state, states = 0, []
    for _ in range(sessions):
        states.append(state)
        state = int(rng.choice(3, p=transition[state]))
    means = np.array([[-1.0, -0.5], [0.0, 0.2], [1.5, 1.0]])
    truth = np.array(states)
    return means[truth] + rng.normal(0, 0.3, (sessions, 2)), truth


def test_the_model_finds_the_states_that_made_the_data() -> None:
    observed, truth = two_weathers(1)
    spread = (observed - observed.mean(axis=0)) / observed.std(axis=0)
    states = MODEL.fit(spread).ordered()
    assert (np.diff(states.means[:, 0]) > 0).all()
    np.testing.assert_allclose(states.transition.sum(axis=1), 1.0)
    agreed = (filtered(states, spread).argmax(axis=1) == truth).mean()
    assert agreed > 0.95


def test_the_same_observations_give_the_same_bits() -> None:
    observed, _ = two_weathers(2, 400)
    first, second = judge(observed, MODEL), judge(observed.copy(), MODEL)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    np.testing.assert_array_equal(first.states.transition, second.states.transition)


def test_observations_that_never_vary_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be fitted"):
        HmmlearnModel(3, (0,), 50.0, 10, 1e-2).fit(np.full((300, 2), np.nan))


def test_a_session_before_the_model_can_be_fitted_is_refused_with_the_reason(
    new_home: Any, prices: Any, days: list[date]
) -> None:
    home = new_home("young", prices)
    session = days[200]
    for name in ("returns", "volatility", "correlations"):
        home.job(name, session)
    with pytest.raises(ShortHistoryError, match=r"181 sessions with all features.*at least 252"):
        home.job("regime", session)


def test_the_regime_row_holds_probabilities_and_a_transition_matrix(one_night: Any) -> None:
    home, session, outputs = one_night
    row = home.runtime.regime(session, "US_EQ")
    assert row["label"] == "stressed"  # the night lies in the storm
    assert outputs["regime"]["label"] == row["label"]
    assert list(row["probabilities"]) == sorted(LABELS)
    assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert [sum(line) for line in row["transition"]] == pytest.approx([1.0] * 3, abs=1e-5)
    assert set(row["features"]) == {"market_vol_ewma", "mean_correlation_21d"}
    assert row["raw_label"] == "stressed"
    assert session - timedelta(days=60) < row["since"] <= session
    assert session + timedelta(days=1) > row["as_of_date"]


def path_of(*likeliest: str, sure: float = 0.7) -> np.ndarray[Any, Any]:
    """A filtered path whose likeliest states are named by their initials."""
    rest = (1.0 - sure) / 2
    return np.array([[sure if name[0] == one else rest for name in LABELS] for one in "".join(likeliest)])


def told(states: np.ndarray[Any, Any]) -> str:
    return "".join(LABELS[state][0] for state in states)


def test_a_new_regime_is_official_after_so_many_sessions_in_a_row() -> None:
    path = path_of("ccccnnnnnccnnn")
    assert told(official(path, 5, 0.9)) == "ccccccccnnnnnn"
    assert told(official(path, 1, 0.9)) == "ccccnnnnnccnnn"


def test_a_change_of_mind_begins_the_count_anew() -> None:
    assert told(official(path_of("ssssnncnnssnnnnns"), 5, 0.9)) == "sssssssssssssssnn"


def test_an_alarm_does_not_wait_and_calm_does() -> None:
    path = path_of("cccsccccccnn", sure=0.95)
    assert told(official(path, 5, 0.9)) == "cccsssssccnn"
    assert told(official(path, 5, 0.99)) == "cccccccccccc"


def test_rising_stress_counts_all_states_above_the_regime() -> None:
    split = np.array([[1.0, 0.0, 0.0], [0.05, 0.5, 0.45], [0.0, 0.45, 0.55]])
    assert told(official(split, 5, 0.9)) == "cnn"  # from normal, stressed alone is no alarm


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_no_regime_is_left_for_a_calmer_one_early_and_the_rule_never_looks_ahead(
    seed: int, minimum: int
) -> None:
    path = np.random.default_rng(seed).dirichlet(np.full(3, 0.3), size=80)
    states = official(path, minimum, 0.9)
    starts = [0, *(np.flatnonzero(np.diff(states)) + 1), len(states)]
    for first, last in itertools.pairwise(starts[1:]):
        calmed_after = last < len(states) and states[last] < states[first]
        assert last - first >= minimum or not calmed_after
    np.testing.assert_array_equal(official(path[:50], minimum, 0.9), states[:50])


def test_since_is_the_first_session_of_the_last_run() -> None:
    assert [since(np.array(states)) for states in ([0, 0, 0], [0, 1, 1], [2, 2, 0])] == [0, 1, 2]
