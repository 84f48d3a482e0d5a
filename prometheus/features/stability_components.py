"""How fragile is each instrument on each session? Four components in [0, 1], 1 = most fragile, and their mean.

- illiquidity: the 21-session mean of |return| / traded dollars (Amihud, "Illiquidity and stock returns", JFM 2002),
  ranked within the instrument's own last 504 sessions
- volatility: 21-session deviation of returns, ranked within the instrument's own last 504 sessions
- contagion: marginal expected shortfall (Acharya, Pedersen, Philippon and Richardson, "Measuring systemic risk", RFS
  2017): the mean return on the market's worst 13 sessions of the last 252 (5 %), ranked across the instruments of the
  session; the market is equal-weighted
- drawdown: the loss from the highest price of the last 252 sessions, 1 = half of it or more

A rank is the share of the others that lie below, ties counted half. Own ranks need 252 values, and what needs a year is
null before it; `fragility` is the mean of the components known, of at least three.

Every value is made from its own window in a fixed order, so one night gives the bits of the bulk load.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prometheus.features.correlations import market_returns
from prometheus.features.rolling import below_high, deviation, rolling_mean
from prometheus.stores.wide import FloatArray

TABLE = "stability_components_daily"
COMPONENTS = ("illiquidity", "volatility", "contagion", "drawdown")
COMPONENTS_NEEDED = 3

MONTH = 21
YEAR = 252
RANKED_WITHIN = 504
RANKED_AT_LEAST = 252
WORST_SESSIONS = 13  # 5 % of a year, rounded up
TAIL_COVERAGE = 0.8  # of the worst sessions, and of the year they are taken from
FULL_DRAWDOWN = 0.5

LOOKBACK = RANKED_WITHIN + MONTH - 2


def compute(daily: FloatArray, dollars: FloatArray, wanted: Sequence[int]) -> dict[str, FloatArray]:
    """`COMPONENTS` and `fragility`, shape (len(wanted), instruments), for the sessions at the positions `wanted`.

    `daily` are simple returns and `dollars` traded dollars, both (days, instruments); NaN = not known.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        impact = np.abs(daily) / np.where(dollars > 0.0, dollars, np.nan)
    rows = np.asarray(wanted, dtype=np.intp)
    found = {
        "illiquidity": own_rank(rolling_mean(impact, MONTH), wanted),
        "volatility": own_rank(deviation(daily, MONTH), wanted),
        "contagion": contagion(daily, wanted),
        "drawdown": np.minimum(below_high(daily, YEAR)[rows] / FULL_DRAWDOWN, 1.0),
    }
    traded = ~np.isnan(daily[rows])
    found = {name: np.where(traded, values, np.nan) for name, values in found.items()}
    return {**found, "fragility": fragility([found[name] for name in COMPONENTS])}


def fragility(components: Sequence[FloatArray]) -> FloatArray:
    """The mean of the components known; NaN where fewer than `COMPONENTS_NEEDED` are."""
    total = np.zeros_like(components[0])
    count = np.zeros_like(components[0])
    for values in components:
        known = ~np.isnan(values)
        total += np.where(known, values, 0.0)
        count += known
    return np.where(count >= COMPONENTS_NEEDED, total / np.maximum(count, 1.0), np.nan)


def own_rank(values: FloatArray, wanted: Sequence[int]) -> FloatArray:
    """Each column's value at the rows `wanted`, ranked in [0, 1] within its own last `RANKED_WITHIN` known values."""
    found = np.full((len(wanted), values.shape[1]), np.nan)
    known = np.cumsum(~np.isnan(values), axis=0)
    for place, row in enumerate(wanted):
        first = max(row + 1 - RANKED_WITHIN, 0)
        window, value = values[first : row + 1], values[row]
        count = known[row] - (known[first - 1] if first else 0)
        below = np.count_nonzero(window < value, axis=0)
        level = np.count_nonzero(window <= value, axis=0)  # the value itself is one of them
        ranked = (below + level - 1) / (2.0 * np.maximum(count - 1, 1))
        found[place] = np.where(~np.isnan(value) & (count >= RANKED_AT_LEAST), ranked, np.nan)
    return found


def contagion(daily: FloatArray, wanted: Sequence[int]) -> FloatArray:
    """Marginal expected shortfall ranked across the instruments traded on each session at the rows `wanted`."""
    market = market_returns(daily)
    known = np.cumsum(~np.isnan(daily), axis=0)
    found = np.full((len(wanted), daily.shape[1]), np.nan)
    for place, row in enumerate(wanted):
        first = row + 1 - YEAR
        if first < 0 or np.isnan(market[first : row + 1]).any():
            continue
        worst = first + np.argsort(market[first : row + 1], kind="stable")[:WORST_SESSIONS]
        total, count = np.zeros(daily.shape[1]), np.zeros(daily.shape[1])
        for returns in daily[np.sort(worst)]:
            held = ~np.isnan(returns)
            total += np.where(held, returns, 0.0)
            count += held
        year = known[row] - (known[first - 1] if first else 0)
        enough = (count >= TAIL_COVERAGE * WORST_SESSIONS) & (year >= TAIL_COVERAGE * YEAR)
        loss = np.where(enough & ~np.isnan(daily[row]), -total / np.maximum(count, 1.0), np.nan)
        found[place] = across_rank(loss)
    return found


def across_rank(values: FloatArray) -> FloatArray:
    """The values known, ranked in [0, 1] among each other, ties counted half; NaN for fewer than two."""
    found = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    held = values[known]
    if len(held) > 1:
        ordered = np.sort(held)
        below = np.searchsorted(ordered, held, side="left")
        level = np.searchsorted(ordered, held, side="right")
        found[known] = (below + level - 1) / (2.0 * (len(held) - 1))
    return found
