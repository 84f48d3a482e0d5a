"""What the regime of one market is judged from: how volatile and how correlated it is, session by session.

The log of the equal-weighted market's RiskMetrics volatility and Fisher's z of the mean pairwise correlation over 21
sessions; the two jump together in a crisis (Longin and Solnik, "Extreme correlation of international equity markets",
JF 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.outcome import ShortHistoryError, historical_ref, rounded
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray

PANELS = "correlation_panels"
FEATURES = ("market_vol_ewma", "mean_correlation_21d")

# Fisher's z grows without bound towards 1; a mean of many pairs never is so close.
CORRELATION_BOUND = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """`values` (sessions, features; a volatility first) up to tonight, and what they were made from.

    `now` are the features of the last session in their own units; `absent` says of each input that was looked for and
    is not among them why.
    """

    days: tuple[date, ...]
    values: FloatArray
    now: Mapping[str, Json]
    refs: tuple[Json, ...]
    absent: Mapping[str, str] = field(default_factory=dict)


def of_market(view: HistoricalView, minimum_sessions: int) -> Observed:
    """The market of `view`; raises `ShortHistoryError` if there are too few sessions, or none of tonight."""
    as_of_date = view.as_of_date
    panel = view.read(PANELS, columns=["date", *FEATURES]).drop_nulls()
    if panel.height < minimum_sessions or panel["date"][-1] != as_of_date:
        last = panel["date"][-1] if panel.height else "none"
        raise ShortHistoryError(
            f"the regime of {as_of_date} cannot be judged: {panel.height} sessions with all features, the last {last}",
            allowed=f"at least {minimum_sessions}, up to {as_of_date}",
            hint="choose a session at least about 14 months after the first price",
        )
    return Observed(
        tuple(panel["date"]),
        observations(panel),
        features_of(panel),
        (historical_ref(PANELS, panel, as_of_date),),
    )


def observations(panel: pl.DataFrame) -> FloatArray:
    """Log volatility and Fisher's z of the mean correlation, shape (sessions, 2)."""
    vol, correlation = (panel[name].to_numpy() for name in FEATURES)
    bounded = np.clip(correlation, -CORRELATION_BOUND, CORRELATION_BOUND)
    return np.column_stack([np.log(np.maximum(vol, 1e-6)), np.arctanh(bounded)])


def features_of(panel: pl.DataFrame) -> dict[str, Json]:
    """The features of the last session."""
    return {name: rounded(float(panel[name][-1])) for name in FEATURES}


def standardised(values: FloatArray) -> FloatArray:
    """Each column with mean 0 and deviation 1; one that does not vary is all 0."""
    spread = values.std(axis=0)
    scaled: FloatArray = (values - values.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    return scaled
