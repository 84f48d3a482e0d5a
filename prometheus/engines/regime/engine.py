"""The regime engine: a three-state Gaussian hidden Markov model of how volatile and how correlated the market is.

Observed are the log of the equal-weighted market's RiskMetrics volatility and Fisher's z of the mean pairwise
correlation over 21 sessions; the two jump together in a crisis (Longin and Solnik, "Extreme correlation of
international equity markets", JF 2001). The model is fitted to all sessions up to the date, never later; its states are
ordered by volatility; the probabilities are filtered (see `model`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import Outcome, ShortHistoryError, TableRows, historical_ref, rounded
from prometheus.engines.regime.config import LABELS, RegimeConfig
from prometheus.engines.regime.hmm import HmmlearnModel
from prometheus.engines.regime.model import GaussianStates, RegimeModel, filtered
from prometheus.stores.wide import FloatArray

ENGINE = "regime"
PANELS = "correlation_panels"
FEATURES = ("market_vol_ewma", "mean_correlation_21d")

# Fisher's z grows without bound towards 1; a mean of many pairs never is so close.
CORRELATION_BOUND = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """What the model says of the last session it was given."""

    probabilities: FloatArray  # of the states, in the order of LABELS; filtered
    states: GaussianStates  # in that order, means and variances in standardised units
    sessions: int

    @property
    def label(self) -> str:
        return LABELS[int(np.argmax(self.probabilities))]


def run(as_of_date: date, inputs: Inputs, config: RegimeConfig) -> Outcome:
    """The market's regime on `as_of_date`; raises `ShortHistoryError` before the model can be fitted."""
    view, market_id = inputs.view, inputs.market_id
    panel = view.read(PANELS, columns=["date", *FEATURES]).drop_nulls()
    if panel.height < config.minimum_sessions or panel["date"][-1] != as_of_date:
        last = panel["date"][-1] if panel.height else "none"
        raise ShortHistoryError(
            f"the regime of {as_of_date} cannot be judged: {panel.height} sessions with all features, the last {last}",
            allowed=f"at least {config.minimum_sessions}, up to {as_of_date}",
            hint="choose a session at least about 14 months after the first price",
        )
    model = HmmlearnModel(len(LABELS), config.seeds, config.stickiness, config.iterations, config.tolerance)
    regime = judge(observations(panel), model)
    now = {name: rounded(float(panel[name][-1])) for name in FEATURES}
    probabilities = {label: round(float(p), 6) for label, p in zip(LABELS, regime.probabilities, strict=True)}
    transition = [[round(float(p), 6) for p in row] for row in regime.states.transition]
    row = {
        "label": regime.label,
        "probabilities": probabilities,
        "transition": transition,
        "features": now,
    }
    told: dict[str, Json] = {"label": regime.label, "probabilities": probabilities}
    key = {"as_of_date": as_of_date, "market_id": market_id}
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("regimes", key, [row]),),
        input_refs=(historical_ref(PANELS, panel, as_of_date),),
        action={**told, "features": now, "sessions": regime.sessions},
        summary={**told, "sessions": regime.sessions, "seed": regime.states.seed},
    )


def observations(panel: pl.DataFrame) -> FloatArray:
    """Log volatility and Fisher's z of the mean correlation, shape (sessions, 2)."""
    vol, correlation = (panel[name].to_numpy() for name in FEATURES)
    bounded = np.clip(correlation, -CORRELATION_BOUND, CORRELATION_BOUND)
    return np.column_stack([np.log(np.maximum(vol, 1e-6)), np.arctanh(bounded)])


def judge(observed: FloatArray, model: RegimeModel) -> Regime:
    """Fit the model to `observed` (sessions, features; volatility first) and filter to its last row."""
    spread = observed.std(axis=0)
    standard = (observed - observed.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    states = model.fit(standard).ordered()
    return Regime(filtered(states, standard)[-1], states, len(observed))


engine = Engine(ENGINE, RegimeConfig, run)
