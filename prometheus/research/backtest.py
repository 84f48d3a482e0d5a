"""The walk-forward backtest: what the desk's engines would have earned, decided at each month's end and held for a month.

What it is for: that the chain of engines holds together over years, and how it behaves in each regime. What it is not:
evidence for a strategy. `WARNINGS` goes with every figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.engines.outcome import rounded
from prometheus.research.holding import Held
from prometheus.research.statistics import (
    annual_return,
    annual_volatility,
    deflated_sharpe,
    drawdown,
    sharpe,
)
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray, Wide, aligned, widen

RETURNS, PRICES, INDICES = "returns_daily", "prices_daily", "indices_daily"
INDEX = "SPX"

WARNINGS = (
    "this is no evidence for a strategy: it shows that the engines work together and how they behave",
    "the panel may hold survivors only, as the reference panel does: returns are higher than anyone could have had",
    "rules and parameters were chosen by people who knew this history",
    "trades are at the close that they were decided at, costs are a model's, cash earns nothing",
)
SYNTHETIC = "prices are synthetic: no figure here is about a real market"

# The engines' memory of the portfolio and the universe before, in sessions: longer than a month. All else is the desk's.
MONTHLY: Mapping[str, Mapping[str, Json]] = {
    "universe": {"memory_sessions": 30},
    "portfolio": {"memory_sessions": 30},
}

TRIALS = (1, 10, 100)

# Capacity: the capital at which a trade is this share of the name's median traded dollars over a month.
PARTICIPATION = 0.05
MONTH = 21
TRADE = 0.001  # smaller changes of weight can wait


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What the backtest is measured with: daily returns, traded dollars, and benchmarks on the same days."""

    returns: Wide
    dollars: FloatArray
    equal_weighted: FloatArray  # mean return of the instruments known that day
    index: FloatArray | None  # of closes, without dividends; NaN where there is none
    is_synthetic: bool


def month_ends(days: Sequence[date], calendar: TradingCalendar, history: int) -> list[date]:
    """The last sessions of months among `days`, each with at least `history` sessions up to it."""
    return [
        day
        for place, day in enumerate(days)
        if place + 1 >= history and calendar.next_trading_day(day).month != day.month
    ]


def measured_with(view: HistoricalView, since: date) -> Market:
    """Everything of `since` and later that was known at the view's end, and a month of traded dollars before."""
    days = view.dates(RETURNS)
    first = days[max(days.index(since) + 1 - MONTH, 0)]
    returns = widen(view.read(RETURNS, since=first, columns=["date", "instrument_id", "ret_1d"]), ["ret_1d"])
    prices = view.read(PRICES, since=first, columns=["date", "instrument_id", "dollar_volume", "synthetic"])
    dollars = aligned(widen(prices, ["dollar_volume"]), returns)["dollar_volume"]
    known = ~np.isnan(returns["ret_1d"])
    count = known.sum(axis=1)
    mean = np.where(known, returns["ret_1d"], 0.0).sum(axis=1) / np.maximum(count, 1)
    return Market(
        returns, dollars, mean, _index(view, returns.days), bool(prices["synthetic"].cast(pl.Boolean).any())
    )


def _index(view: HistoricalView, days: tuple[date, ...]) -> FloatArray | None:
    if view.last_date(INDICES) is None:
        return None
    rows = view.read(INDICES, columns=["date", "instrument_id", "close"])
    closes = dict(rows.filter(pl.col("instrument_id") == INDEX).select("date", "close").iter_rows())
    if len(closes) < 2:
        return None
    values = np.array([closes.get(day, math.nan) for day in days], dtype=np.float64)
    moves = np.full(len(days), math.nan)
    moves[1:] = values[1:] / values[:-1] - 1.0
    return moves


def daily_rows(session: date, held: Held, market: Market, regimes: Sequence[str]) -> pl.DataFrame:
    """Rows of `backtest_returns`: known at `session`, about each `day`; `regimes` are those of the rebalances."""
    at = _places(held, market)
    index = None if market.index is None else market.index[at]
    count = len(held.days)
    return pl.DataFrame(
        {
            "date": pl.Series([session] * count, dtype=pl.Date),
            "day": pl.Series(list(held.days), dtype=pl.Date),
            "gross": pl.Series(held.gross, dtype=pl.Float64),
            "net": pl.Series(held.net, dtype=pl.Float64),
            "equal_weighted": pl.Series(market.equal_weighted[at], dtype=pl.Float64),
            "index": pl.Series(np.full(count, np.nan) if index is None else index, dtype=pl.Float64).fill_nan(
                None
            ),
            "regime": pl.Series([regimes[place] for place in held.of], dtype=pl.String),
        }
    )


def report(held: Held, market: Market, regimes: Sequence[str], cost: float) -> dict[str, Json]:
    """All that is told of the backtest, as JSON; shares, not per cents."""
    at = _places(held, market)
    rivals = {"equal_weighted": market.equal_weighted[at]}
    if market.index is not None and not np.isnan(market.index[at]).any():
        rivals[INDEX] = market.index[at]
    of_days = np.array([regimes[place] for place in held.of])
    years = np.array([day.year for day in held.days])
    span = len(held.days) / 252
    found: dict[str, Json] = {
        "warnings": [*([SYNTHETIC] if market.is_synthetic else []), *WARNINGS],
        "first": held.days[0].isoformat(),
        "last": held.days[-1].isoformat(),
        "sessions": len(held.days),
        "rebalances": len(held.turnover),
        "cost": cost,
        "net": _series(held.days, held.net),
        "gross": _series(held.days, held.gross),
        "benchmarks": {name: _series(held.days, values) for name, values in rivals.items()},
        "deflated_sharpe": {str(trials): _or_none(deflated_sharpe(held.net, trials)) for trials in TRIALS},
        "turnover": {
            "mean": rounded(float(held.turnover[1:].mean())) if len(held.turnover) > 1 else None,
            "first": rounded(float(held.turnover[0])),
            "annual": rounded(float(held.turnover.sum()) / span),
        },
        "costs": {
            "total": rounded(float(held.costs.sum())),
            "annual": rounded(float(held.costs.sum()) / span),
        },
        "capacity": _capacity(held, market, at),
        "by_regime": [
            _part({"regime": name}, of_days == name, held, rivals) for name in sorted({*of_days.tolist()})
        ],
        "by_year": [_part({"year": year}, years == year, held, rivals) for year in sorted({*years.tolist()})],
    }
    return found


def _places(held: Held, market: Market) -> list[int]:
    places = {day: place for place, day in enumerate(market.returns.days)}
    return [places[day] for day in held.days]


def _series(days: tuple[date, ...], returns: FloatArray) -> dict[str, Json]:
    ratio = sharpe(returns)
    worst = drawdown(days, returns)
    return {
        "annual_return": rounded(annual_return(returns)),
        "annual_volatility": rounded(annual_volatility(returns)) if len(returns) > 1 else None,
        "sharpe": None if ratio is None else rounded(ratio.ratio),
        "sharpe_error": None if ratio is None else rounded(ratio.error),
        "max_drawdown": rounded(worst.loss),
        "drawdown_from": None if worst.high is None else worst.high.isoformat(),
        "drawdown_to": None if worst.low is None else worst.low.isoformat(),
    }


def _part(
    key: dict[str, Json], chosen: np.ndarray, held: Held, rivals: Mapping[str, FloatArray]
) -> dict[str, Json]:
    """Some of the days: compounded return of a year, and the volatility, beside what the benchmarks did."""
    mine = held.net[chosen]
    ratio = sharpe(mine)
    return {
        **key,
        "sessions": len(mine),
        "return": rounded(float(np.prod(1.0 + mine)) - 1.0),
        "annual_volatility": rounded(annual_volatility(mine)) if len(mine) > 1 else None,
        "sharpe": None if ratio is None else rounded(ratio.ratio),
        "sharpe_error": None if ratio is None else rounded(ratio.error),
        **{name: rounded(float(np.prod(1.0 + values[chosen])) - 1.0) for name, values in rivals.items()},
    }


def _capacity(held: Held, market: Market, at: Sequence[int]) -> Json:
    """The capital at which the hardest trade of a rebalance takes `PARTICIPATION` of a day's volume: the median one."""
    found = []
    decided = [held.of.index(place) for place in range(len(held.trades)) if place in held.of]
    for place, first in enumerate(decided):
        row = at[first]
        window = market.dollars[max(row - MONTH, 0) : row]
        traded_ever = ~np.isnan(window).all(axis=0)
        large = traded_ever & (held.trades[place] >= TRADE)
        if large.any():
            usual = np.nanmedian(window[:, large], axis=0)
            found.append(float((PARTICIPATION * usual / held.trades[place][large]).min()))
    if not found:
        return None
    return {
        "dollars": rounded(float(np.median(found))),
        "note": f"capital at which the median rebalance's hardest trade is {PARTICIPATION:.0%} of its name's day",
    }


def _or_none(value: float | None) -> float | None:
    return None if value is None else rounded(value)
