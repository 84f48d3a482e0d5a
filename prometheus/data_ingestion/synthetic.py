"""A synthetic panel, for machines that cannot get the real one. Every id begins with SYN_, every row says synthetic.

Method: one common factor whose variance follows GARCH(1,1) (Bollerslev 1986) with standardised Student-t(5) shocks
(Bollerslev 1987), betas and specific volatilities fixed for each stock, Student-t(5) specific shocks; dollar volume is
log-normal around a level of each stock and rises with the absolute surprise (mixture of distributions, Clark 1973).
The shocks of a day depend on nothing but seed, market and date (a counter-based generator), so history never changes
when a day is added. Nothing in it is an estimate of any real stock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.time import TradingCalendar

FIRST_DAY = date(2007, 1, 3)
STOCKS = 120
NOTE = "SYNTHETIC DATA: generated from a seed, no real stock; nothing here says anything about a market"

# Daily variance of the factor: omega + alpha * shock^2 + beta * variance; long-run volatility 1.0 % a day.
_ALPHA, _BETA, _LONG_RUN = 0.09, 0.89, 0.010**2
_OMEGA = (1.0 - _ALPHA - _BETA) * _LONG_RUN
_FREEDOM = 5
_LARGEST = 0.6  # a return is kept inside +-60 %: t(5) has no bound, prices have


class SyntheticPanel:
    """Prices and volumes of `STOCKS` invented stocks on every session of `calendar` since `FIRST_DAY`."""

    synthetic = True
    datasets = frozenset({"prices", "volumes"})
    closed = True

    def __init__(self, calendar: TradingCalendar, market: str, seed: int) -> None:
        self.name = f"synthetic:{market}:{seed}"
        self.notes = (NOTE,)
        self._calendar = calendar
        self._market = market
        self._seed = seed
        self._ids = [f"SYN_{market}_{number:03d}" for number in range(1, STOCKS + 1)]

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset in self.datasets
        return self._calendar.sessions(FIRST_DAY, known_at) if known_at >= FIRST_DAY else []

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        sessions = self.sessions(dataset, known_at)
        unknown = sorted(set(days).difference(sessions))
        if unknown:
            raise DataError(
                f"the synthetic panel has no session {unknown[0]}",
                allowed=f"sessions {FIRST_DAY} to {known_at}",
            )
        returns, volumes, ranges = self._generate(sessions)
        columns = {
            "prices": {"ret_1d": returns, "abs_log_open_close": ranges},
            "volumes": {"dollar_volume": volumes},
        }
        frame = pl.DataFrame(
            {
                "row_date": pl.Series([day for day in sessions for _ in self._ids], dtype=pl.Date),
                "instrument_id": self._ids * len(sessions),
                **{name: values.ravel() for name, values in columns[dataset].items()},
            }
        )
        return frame.filter(pl.col("row_date").is_in(list(days)))

    def _generate(self, sessions: list[date]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns, dollar volumes and |log(open/close)|, each of shape (sessions, stocks)."""
        traits = self._random("traits")
        beta = traits.uniform(0.6, 1.6, STOCKS)
        specific = traits.uniform(0.008, 0.025, STOCKS)
        level = traits.normal(18.3, 1.0, STOCKS)
        scale = np.sqrt((_FREEDOM - 2) / _FREEDOM)  # makes a t(5) draw of unit variance
        shape = (len(sessions), STOCKS)
        returns, volumes, ranges = np.empty(shape), np.empty(shape), np.empty(shape)
        variance = _LONG_RUN
        for row, day in enumerate(sessions):
            draw = self._random(day.isoformat())
            factor = np.sqrt(variance) * scale * draw.standard_t(_FREEDOM)
            shock = scale * draw.standard_t(_FREEDOM, STOCKS)
            returns[row] = np.clip(2e-4 + beta * factor + specific * shock, -_LARGEST, _LARGEST)
            volumes[row] = np.round(np.exp(level + 0.3 * draw.standard_normal(STOCKS) + 0.35 * np.abs(shock)))
            ranges[row] = np.abs(np.log1p(returns[row])) * draw.uniform(0.3, 1.0, STOCKS)
            variance = _OMEGA + _ALPHA * factor**2 + _BETA * variance
        return returns, volumes, ranges

    def _random(self, label: str) -> np.random.Generator:
        text = f"{self._seed}/{self._market}/{label}"
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        return np.random.Generator(np.random.Philox(key=key))
