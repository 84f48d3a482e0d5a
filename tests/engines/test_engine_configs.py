from __future__ import annotations

import pytest

from prometheus.core.errors import UserError
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.configs import config_from, config_json
from prometheus.engines.outcome import digest, rounded
from prometheus.engines.portfolio.config import PortfolioConfig
from prometheus.engines.regime.config import RegimeConfig


def test_without_parameters_the_defaults_hold() -> None:
    assert config_from(RegimeConfig, "regime", {}) == RegimeConfig()


def test_parameters_replace_single_values_of_nested_tables_too() -> None:
    params = {"config": {"prior_ic": 0.05, "stressed": {"momentum": 0.1}}}
    made = config_from(AssessmentConfig, "assessment", params)
    assert (made.prior_ic, made.stressed.momentum, made.calm.momentum) == (0.05, 0.1, 0.2)
    assert config_json(made)["stressed"]["momentum"] == 0.1


def test_every_fault_of_a_config_is_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        config_from(
            PortfolioConfig, "portfolio", {"config": {"max_wieght": 0.1, "turnover": 3, "relax": ["cash"]}}
        )
    for word in (
        "portfolio engine",
        "max_wieght is not a name",
        "turnover is 3",
        "relax.0 is 'cash'",
        "max_weight",
    ):
        assert word in str(caught.value)


def test_a_config_that_is_no_table_is_refused() -> None:
    with pytest.raises(UserError, match="a table of names"):
        config_from(RegimeConfig, "regime", {"config": [1]})


def test_a_digest_ignores_the_last_digits_and_nothing_else() -> None:
    assert digest([["A", 0.1 + 0.2]]) == digest([["A", 0.3]])
    assert digest([["A", 0.3]]) != digest([["A", 0.3000001]])
    assert digest([["A", "B"]]) != digest([["AB"]])
    assert digest([["A"], ["B"]]) != digest([["A", "B"]])
    assert rounded(1 / 3) == 0.333333333
