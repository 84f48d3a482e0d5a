"""The regime engine: a three-state Gaussian hidden Markov model of how volatile and how correlated the market is.

For a market the observations are those of `observing`; for the market GLOBAL those of `globe`, from all regions that
have data. The model is fitted to all sessions up to the date, never later; its states are ordered by volatility; the
probabilities are filtered (see `model`). The label is the official regime (see `duration`), the raw label the
likeliest state of tonight alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import Outcome, ShortHistoryError, TableRows
from prometheus.engines.regime.config import LABELS, RegimeConfig
from prometheus.engines.regime.duration import official, since
from prometheus.engines.regime.globe import MARKET as GLOBE
from prometheus.engines.regime.globe import of_globe
from prometheus.engines.regime.hmm import HmmlearnModel
from prometheus.engines.regime.model import GaussianStates, RegimeModel, filtered
from prometheus.engines.regime.observing import of_market, standardised
from prometheus.stores.wide import FloatArray

ENGINE = "regime"


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """What the model says of every session it was given, the last one tonight's."""

    path: FloatArray  # (sessions, states in the order of LABELS), filtered
    states: GaussianStates  # in that order, means and variances in standardised units

    @property
    def probabilities(self) -> FloatArray:
        tonight: FloatArray = self.path[-1]
        return tonight

    @property
    def label(self) -> str:
        """The likeliest state of the last session."""
        return LABELS[int(self.probabilities.argmax())]


def run(as_of_date: date, inputs: Inputs, config: RegimeConfig) -> Outcome:
    """The market's regime on `as_of_date`; raises `ShortHistoryError` before the model can be fitted."""
    market_id = inputs.market_id
    if market_id == GLOBE:
        observed = of_globe(inputs.view, config.globe, config.minimum_sessions)
    else:
        observed = of_market(inputs.view, config.minimum_sessions)
    if len(observed.days) < config.minimum_sessions:
        raise ShortHistoryError(
            f"the regime of {market_id} cannot be judged: {len(observed.days)} sessions on which all is known",
            allowed=f"at least {config.minimum_sessions}",
        )
    model = HmmlearnModel(len(LABELS), config.seeds, config.stickiness, config.iterations, config.tolerance)
    regime = judge(observed.values, model)
    states = official(regime.path, config.minimum_duration, config.alarm_probability)
    label, began = LABELS[int(states[-1])], observed.days[since(states)]
    probabilities = {name: round(float(p), 6) for name, p in zip(LABELS, regime.probabilities, strict=True)}
    row = {
        "label": label,
        "raw_label": regime.label,
        "since": began,
        "probabilities": probabilities,
        "transition": [[round(float(p), 6) for p in line] for line in regime.states.transition],
        "features": dict(observed.now),
    }
    told: dict[str, Json] = {
        "label": label,
        "raw_label": regime.label,
        "since": began.isoformat(),
        "probabilities": probabilities,
        "sessions": len(observed.days),
    }
    if observed.absent:
        told["absent"] = dict(observed.absent)
    key = {"as_of_date": as_of_date, "market_id": market_id}
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("regimes", key, [row]),),
        input_refs=observed.refs,
        action={**told, "features": dict(observed.now)},
        summary={**told, "seed": regime.states.seed},
    )


def judge(observed: FloatArray, model: RegimeModel) -> Regime:
    """Fit the model to `observed` (sessions, features; volatility first) and filter through to its last row."""
    standard = standardised(observed)
    states = model.fit(standard).ordered()
    return Regime(filtered(states, standard), states)


engine = Engine(ENGINE, RegimeConfig, run)
