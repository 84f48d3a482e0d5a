"""The five families of evidence: each a raw number for every instrument on one session; higher = more attractive.

- momentum: return over the last 12 months but the last one (Jegadeesh and Titman, "Returns to buying winners and
  selling losers", JF 1993)
- reversal: the last month's return, turned round (Jegadeesh, "Evidence of predictable behavior of security returns",
  JF 1990)
- low_volatility: the last quarter's volatility, turned round (Ang, Hodrick, Xing and Zhang, "The cross-section of
  volatility and expected returns", JF 2006)
- illiquidity: log of the mean of |return| / dollar volume over a year (Amihud, "Illiquidity and stock returns",
  JFM 2002)
- fragility ("Fragility Alpha"): the mean of the stability components, turned round. That fragile companies earn less,
  and not more, is the distress puzzle: Campbell, Hilscher and Szilagyi, "In search of distress risk", JF 2008, on
  failure predicted from accounts and prices. Our measure is made of prices and volumes alone and is not theirs;
  that it counts double in stress is our own choice, and no published result (see `config`)

A month is 21 sessions, a year 252. An instrument whose window is known to less than 80 % has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np

from prometheus.stores.wide import FloatArray

MONTH = 21
YEAR = 252
COVERAGE = 0.8

FAMILIES = ("momentum", "reversal", "low_volatility", "illiquidity", "fragility")


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Matrices (sessions, instruments) on the same axes: daily returns, volatility, traded dollars, fragility in [0, 1]."""

    days: tuple[date, ...]
    returns: FloatArray
    volatility: FloatArray
    dollars: FloatArray
    fragility: FloatArray


def raw(evidence: Evidence, row: int) -> FloatArray:
    """The families of the session at `row`, shape (families, instruments); NaN where there is none.

    Nothing after `row` is read. `row` must have a year of sessions up to and including it.
    """
    assert row + 1 >= YEAR, "a family needs a year of sessions"
    year = slice(row + 1 - YEAR, row + 1)
    returns = evidence.returns[year]
    month = returns[-MONTH:]
    impact = np.abs(returns) / np.where(evidence.dollars[year] > 0.0, evidence.dollars[year], np.nan)
    with np.errstate(divide="ignore"):  # a price that never moved in a year has no price impact to speak of
        illiquidity = np.log(_mean(impact))
    return np.stack(
        [
            _compounded(returns[:-MONTH]),
            -_compounded(month),
            -evidence.volatility[row],
            np.where(np.isfinite(illiquidity), illiquidity, np.nan),
            -evidence.fragility[row],
        ]
    )


def cross_section(evidence: Evidence, row: int, winsorise: float) -> FloatArray:
    """The families of the session at `row` as z-scores over the instruments that traded on it."""
    traded = ~np.isnan(evidence.returns[row])
    return standardised(np.where(traded, raw(evidence, row), np.nan), winsorise)


def standardised(values: FloatArray, winsorise: float) -> FloatArray:
    """Cross-sectional z-scores of each row: mean 0, deviation 1.

    Values are first clipped at the row's `winsorise` and 1 - `winsorise` quantiles. A row that does not vary, or has
    fewer than three values, is all NaN.
    """
    scores = np.full_like(values, np.nan)
    for family, row in enumerate(values):
        known = ~np.isnan(row)
        if known.sum() < 3:
            continue
        held = row[known]
        low, high = np.quantile(held, [winsorise, 1.0 - winsorise])
        held = np.clip(held, low, high)
        spread = held.std()
        if spread > 0.0:
            scores[family, known] = (held - held.mean()) / spread
    return scores


def forward_return(evidence: Evidence, row: int, until: int) -> FloatArray:
    """The return from the close of the session at `row` to that of the one at `until`."""
    return _compounded(evidence.returns[row + 1 : until + 1])


def month_ends(days: Sequence[date]) -> tuple[int, ...]:
    """Positions of the last session of each calendar month that has ended: one that a session of a later month follows."""
    return tuple(row for row, (day, after) in enumerate(pairwise(days)) if day.month != after.month)


def _compounded(returns: FloatArray) -> FloatArray:
    known = ~np.isnan(returns)
    product = np.where(known, 1.0 + returns, 1.0).prod(axis=0) - 1.0
    return np.where(known.mean(axis=0) >= COVERAGE, product, np.nan)


def _mean(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count >= COVERAGE * len(values), total / np.maximum(count, 1), np.nan)
