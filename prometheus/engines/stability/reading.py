"""What the stability engine looks at, as matrices on the instruments that have components tonight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.outcome import ShortHistoryError, historical_ref
from prometheus.engines.stability.config import Episode, StabilityConfig
from prometheus.engines.stability.market import RANKED_WITHIN
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray, Wide, aligned, widen

COMPONENTS, RETURNS, VOLATILITY = "stability_components_daily", "returns_daily", "volatility_daily"
PRICES, PANELS = "prices_daily", "correlation_panels"
NAMES = ("illiquidity", "volatility", "contagion", "drawdown")
YEAR, MONTH = 252, 21


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """An episode: returns (sessions, instruments) and the loss of the market through it."""

    returns: FloatArray
    market_loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Matrices are (sessions, instruments), vectors (instruments); NaN = not known. All end tonight."""

    instruments: tuple[str, ...]
    components: Mapping[str, FloatArray]
    returns: FloatArray  # a year
    volatility: FloatArray  # annualised
    dollars: FloatArray  # a month
    panel: pl.DataFrame  # correlation_panels of the sessions that tonight is ranked within
    episodes: Mapping[str, Past | str]  # or the reason why it cannot be tried
    refs: tuple[Json, ...]

    @property
    def market_returns(self) -> FloatArray:
        """Of the sessions of `returns`."""
        known: FloatArray = self.panel["market_return"].to_numpy()[-len(self.returns) :]
        return known


def read(view: HistoricalView, config: StabilityConfig) -> Evidence:
    """Raises `ShortHistoryError` if no instrument has components tonight."""
    as_of_date = view.as_of_date
    days = view.dates(RETURNS)
    if not days or days[-1] != as_of_date or not view.has(COMPONENTS, as_of_date):
        raise ShortHistoryError(
            f"nobody's stability can be judged on {as_of_date}: {RETURNS} ends {days[-1] if days else 'nowhere'}, "
            f"{COMPONENTS} {view.last_date(COMPONENTS) or 'nowhere'}",
            hint="run the returns and stability_components jobs for the session first",
        )
    tonight = view.read(COMPONENTS, since=as_of_date, columns=["date", "instrument_id", *NAMES])
    axes = widen(tonight, list(NAMES))
    since = days[max(len(days) - YEAR, 0)]
    returns = _matrix(view, RETURNS, "ret_1d", since, axes)
    dollars = _matrix(view, PRICES, "dollar_volume", days[max(len(days) - MONTH, 0)], axes)
    volatility = _matrix(view, VOLATILITY, "vol_ewma", as_of_date, axes)
    columns = ["date", "market_return", "market_vol_ewma", "mean_correlation_63d", "absorption_ratio"]
    panel = view.read(PANELS, since=days[max(len(days) - RANKED_WITHIN, 0)], columns=columns)
    return Evidence(
        instruments=axes.instruments,
        components={name: axes[name][0] for name in NAMES},
        returns=returns,
        volatility=volatility[-1],
        dollars=dollars,
        panel=panel,
        episodes={one.name: _episode(view, one, days[0], axes) for one in config.episodes},
        refs=(historical_ref(COMPONENTS, tonight, as_of_date), historical_ref(PANELS, panel, as_of_date)),
    )


def _matrix(view: HistoricalView, table: str, column: str, since: date, axes: Wide) -> FloatArray:
    """A column on the instruments of `axes`, for the sessions that it has rows of."""
    wide = widen(view.read(table, since=since, columns=["date", "instrument_id", column]), [column])
    return aligned(wide, Wide(wide.days, axes.instruments, {}))[column]


def _episode(view: HistoricalView, one: Episode, first: date, axes: Wide) -> Past | str:
    if view.as_of_date <= one.last:
        return f"it ends on {one.last}, which {view.as_of_date} does not know"
    if first > one.first:
        return f"returns begin on {first}, after it had begun on {one.first}"
    wanted = ["date", "instrument_id", "ret_1d"]
    wide = widen(view.read(RETURNS, since=one.first, until=one.last, columns=wanted), ["ret_1d"])
    market = view.read(PANELS, since=one.first, until=one.last, columns=["date", "market_return"])
    grown = 1.0 + market["market_return"].drop_nulls().to_numpy()
    returns = aligned(wide, Wide(wide.days, axes.instruments, {}))["ret_1d"]
    return Past(returns, 1.0 - float(np.prod(grown)))
