"""Synthetic markets, for machines and regions without real data. Every id begins with SYN_, every row says synthetic.

Method: one common factor whose variance follows GARCH(1,1) (Bollerslev 1986) with standardised Student-t(5) shocks
(Bollerslev 1987), betas and specific volatilities fixed for each stock, Student-t(5) specific shocks; dollar volume is
log-normal around a level of each stock and rises with the absolute surprise (mixture of distributions, Clark 1973).
An index and futures follow the same factor with betas of their own. The shocks of a day depend on nothing but seed, market
and date (a counter-based generator), so history never changes when a day is added. Nothing in it is an estimate of
anything real.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS

FIRST_DAY = date(2007, 1, 3)
STOCKS = 120
NOTE = "SYNTHETIC DATA: generated from a seed, no real stock; nothing here says anything about a market"

# Daily variance of the factor: omega + alpha * shock^2 + beta * variance; long-run volatility 1.0 % a day.
_ALPHA, _BETA, _LONG_RUN = 0.09, 0.89, 0.010**2
_OMEGA = (1.0 - _ALPHA - _BETA) * _LONG_RUN
_FREEDOM = 5
_DRIFT = 2e-4
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
        traits = _random(self._seed, self._market, "traits")
        beta = traits.uniform(0.6, 1.6, STOCKS)
        specific = traits.uniform(0.008, 0.025, STOCKS)
        level = traits.normal(18.3, 1.0, STOCKS)
        scale = np.sqrt((_FREEDOM - 2) / _FREEDOM)  # makes a t(5) draw of unit variance
        shape = (len(sessions), STOCKS)
        returns, volumes, ranges = np.empty(shape), np.empty(shape), np.empty(shape)
        for row, (factor, draw) in enumerate(_factors(self._seed, self._market, sessions)):
            shock = scale * draw.standard_t(_FREEDOM, STOCKS)
            returns[row] = np.clip(_DRIFT + beta * factor + specific * shock, -_LARGEST, _LARGEST)
            volumes[row] = np.round(np.exp(level + 0.3 * draw.standard_normal(STOCKS) + 0.35 * np.abs(shock)))
            ranges[row] = np.abs(np.log1p(returns[row])) * draw.uniform(0.3, 1.0, STOCKS)
        return returns, volumes, ranges


@dataclass(frozen=True, slots=True)
class _Line:
    """One invented index or future: its id is SYN_ and `name`, its first value `level`."""

    name: str
    beta: float
    level: float


class SyntheticLines:
    """An index, or futures, that follow the factor of the market's synthetic panel, since `FIRST_DAY`.

    `settle` is a continuous series: what one unit held through all contracts would have become.
    """

    synthetic = True
    closed = True

    def __init__(self, calendar: TradingCalendar, market: str, dataset: str, seed: int) -> None:
        self.name = f"synthetic:{market}:{seed}"
        self.notes = (
            f"the {dataset} are SYNTHETIC: generated from a seed; no engine of the desk decides by them",
        )
        self.datasets = frozenset({dataset})
        self._calendar = calendar
        self._market = market
        self._dataset = dataset
        self._seed = seed
        self._lines = _lines(market, dataset)

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset == self._dataset
        return self._calendar.sessions(FIRST_DAY, known_at) if known_at >= FIRST_DAY else []

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        sessions = self.sessions(dataset, known_at)
        wanted = set(days)
        rows = [
            row for line in self._lines for row in self._rows(line, sessions) if row["row_date"] in wanted
        ]
        frame = pl.DataFrame(rows, schema=dict(DATASETS[dataset].columns))
        return frame.sort("row_date", "instrument_id")

    def _rows(self, line: _Line, sessions: list[date]) -> Iterator[dict[str, object]]:
        """The rows of one line, in order: each value continues the one before."""
        last = line.level
        for day, (factor, _) in zip(sessions, _factors(self._seed, self._market, sessions), strict=True):
            draw = _random(self._seed, self._market, f"{self._dataset}/{line.name}/{day.isoformat()}")
            move = float(
                np.clip(_DRIFT + line.beta * factor + 0.001 * draw.standard_normal(), -_LARGEST, _LARGEST)
            )
            value = last * (1.0 + move)
            volume = float(np.round(np.exp(14.0 + 0.3 * draw.standard_normal() + 20.0 * abs(move))))
            row: dict[str, object] = {"row_date": day, "instrument_id": f"SYN_{line.name}", "volume": volume}
            if self._dataset == "futures":
                row |= {"settle": value, "ret_1d": value / last - 1.0}
            else:
                opened = last * (1.0 + move * float(draw.uniform(0.0, 0.5)))
                beyond = 1.0 + 0.004 * np.abs(draw.standard_normal(2))
                high, low = max(opened, value) * float(beyond[0]), min(opened, value) / float(beyond[1])
                row |= {"open": opened, "high": high, "low": low, "close": value}
            yield row
            last = value


def _lines(market: str, dataset: str) -> tuple[_Line, ...]:
    if dataset == "indices":
        return (_Line(f"{market}_INDEX", 1.0, 1000.0),)
    if market in ("US_EQ", "US_FUT"):
        return _Line("ES1", 1.0, 1400.0), _Line("NQ1", 1.2, 1800.0)
    return (_Line(f"{market}_F1", 1.0, 1000.0),)


def _factors(seed: int, market: str, sessions: list[date]) -> Iterator[tuple[float, np.random.Generator]]:
    """The factor's return of each session, and the session's generator, from which it was the first draw."""
    scale = np.sqrt((_FREEDOM - 2) / _FREEDOM)
    variance = _LONG_RUN
    for day in sessions:
        draw = _random(seed, market, day.isoformat())
        factor = float(np.sqrt(variance) * scale * draw.standard_t(_FREEDOM))
        yield factor, draw
        variance = _OMEGA + _ALPHA * factor**2 + _BETA * variance


def _random(seed: int, market: str, label: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.sha256(f"{seed}/{market}/{label}".encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key))
