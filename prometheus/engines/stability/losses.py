"""The losses of every entity in every scenario, by name; a loss that is not known is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from prometheus.engines.outcome import rounded
from prometheus.engines.stability.config import StabilityConfig
from prometheus.engines.stability.reading import Evidence, Past
from prometheus.engines.stability.scenarios import betas, in_a_month, price_impact, selling, through
from prometheus.stores.wide import FloatArray

QUARTER = 63
YEARLY = 252**0.5


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """What single instruments lose, and what is needed to say what many together do."""

    instruments: Mapping[str, FloatArray]  # scenario -> (instruments), NaN = not known
    market: Mapping[str, float]
    returns: FloatArray  # (sessions, instruments), the last quarter
    impact: FloatArray  # price moved by a dollar traded
    config: StabilityConfig

    def of_instrument(self, place: int) -> dict[str, float]:
        return _known({name: float(values[place]) for name, values in self.instruments.items()})

    def of_market(self) -> dict[str, float]:
        return _known(self.market)

    def of_portfolio(self, weights: FloatArray) -> dict[str, float]:
        """Of weights on the instruments. A position whose loss is not known counts as one without.

        Volatility is that of the weights' own returns: what moves apart cancels. Selling costs what a position of
        its size in `capital_usd` costs.
        """
        found = {name: float(weights @ np.nan_to_num(values)) for name, values in self.instruments.items()}
        own = np.nan_to_num(self.returns) @ weights
        volatility = np.array(own.std(ddof=1) * YEARLY if len(own) > 1 else np.nan)
        found["volatility_rises"] = float(in_a_month(volatility, self.config.volatility_factor))
        dollars = np.abs(weights) * self.config.capital_usd
        found["liquidity_dries_up"] = float(
            np.abs(weights) @ np.nan_to_num(selling(self.impact, dollars, self.config.dry_up))
        )
        return _known(found)


def losses_of(evidence: Evidence, config: StabilityConfig) -> Losses:
    """Of all instruments, and of the market as their equal-weighted whole."""
    beta = betas(evidence.returns, evidence.market_returns)
    impact = price_impact(evidence.returns[-len(evidence.dollars) :], evidence.dollars)
    single: dict[str, FloatArray] = {}
    market: dict[str, float] = {}
    for shock in config.shocks:
        name = f"market_down_{round(100 * shock)}"
        single[name], market[name] = np.minimum(beta * shock, 1.0), shock
    single["volatility_rises"] = in_a_month(evidence.volatility, config.volatility_factor)
    latest = evidence.panel["market_vol_ewma"].to_numpy()[-1:].astype(np.float64)
    market["volatility_rises"] = float(in_a_month(latest, config.volatility_factor)[0])
    single["liquidity_dries_up"] = selling(impact, config.position_usd, config.dry_up)
    sold = single["liquidity_dries_up"]
    market["liquidity_dries_up"] = float(sold[~np.isnan(sold)].mean()) if (~np.isnan(sold)).any() else np.nan
    for name, past in evidence.episodes.items():
        if isinstance(past, Past):
            single[name] = through(past.returns, past.market_loss, beta)
            market[name] = past.market_loss
    return Losses(single, market, evidence.returns[-QUARTER:], impact, config)


def _known(losses: Mapping[str, float]) -> dict[str, float]:
    return {name: rounded(value) for name, value in losses.items() if not np.isnan(value)}
