"""Print how those fared whom the stability engine called soft targets at the ends of past months.

    python -m tools.evidence.soft_targets .prometheus/historical

Needs the tables that one night leaves (`make run SESSION=2016-12-30` loads ten years). Each month end is classified alone,
as a first night would. Figures are of the 63 sessions that followed, soft targets less all others. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from prometheus.engines.stability.classes import SOFT_TARGET, Standing, classify
from prometheus.engines.stability.config import StabilityConfig
from prometheus.engines.stability.engine import fragility_of, more_fragile
from prometheus.engines.stability.reading import COMPONENTS, NAMES, RETURNS
from prometheus.stores.historical import HistoricalDb, HistoricalView
from prometheus.stores.wide import BoolArray, FloatArray, Wide, aligned, widen

MARKET = "US_EQ"
QUARTER = 63
FEWEST = 5  # soft targets that make a comparison
PERMUTATIONS = 10_000
SEED = 20080829
WARNING = "survivors only: whom the storm ended is not in the panel, and rebounds look better than they were"


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """One month end: who was called a soft target, and what followed for each instrument."""

    day: date
    named: BoolArray
    returns: FloatArray  # over the quarter that followed
    drawdowns: FloatArray  # the deepest within it, from the day itself on

    @property
    def worse(self) -> float:
        """Mean return of the soft targets less that of the others."""
        return float(self.returns[self.named].mean() - self.returns[~self.named].mean())

    @property
    def deeper(self) -> float:
        """Mean drawdown of the soft targets less that of the others."""
        return float(self.drawdowns[self.named].mean() - self.drawdowns[~self.named].mean())

    @property
    def market(self) -> float:
        """Mean return of all."""
        return float(self.returns.mean())


def months(view: HistoricalView, days: Sequence[date], config: StabilityConfig) -> list[Month]:
    """The month ends among `days` that named enough soft targets and have a whole quarter after them."""
    wide = widen(view.read(RETURNS, since=days[0], columns=["date", "instrument_id", "ret_1d"]), ["ret_1d"])
    found = []
    for day in days:
        place = wide.days.index(day)
        if place + QUARTER >= len(wide.days):
            break
        frame = view.read(COMPONENTS, since=day, until=day, columns=["date", "instrument_id", *NAMES])
        axes = widen(frame, list(NAMES))
        judged, named = _named(axes, config)
        if named.sum() < FEWEST:
            continue
        after = aligned(wide, Wide(wide.days[place + 1 : place + 1 + QUARTER], axes.instruments, {}))[
            "ret_1d"
        ]
        price = np.cumprod(1.0 + np.nan_to_num(after[:, judged]), axis=0)
        high = np.maximum.accumulate(np.vstack([np.ones(price.shape[1]), price]), axis=0)[1:]
        found.append(Month(day, named[judged], price[-1] - 1.0, 1.0 - (price / high).min(axis=0)))
    return found


def _named(axes: Wide, config: StabilityConfig) -> tuple[BoolArray, BoolArray]:
    """Which instruments were judged, and which of all are soft targets."""
    parts = [axes[name][0] for name in NAMES]
    fragility = fragility_of(parts, list(asdict(config.instrument).values()), config)
    above = more_fragile(fragility)
    named = np.zeros(len(fragility), dtype=np.bool_)
    for place in np.flatnonzero(~np.isnan(fragility)):
        standing = Standing(float(fragility[place]), {}, float(above[place]))
        named[place] = classify(standing, None, config)[0] == SOFT_TARGET
    return ~np.isnan(fragility), named


def permuted(month: Month, permutations: int = PERMUTATIONS) -> float:
    """P of a difference in returns as low, if names had been drawn by lot (from a fixed seed; one-sided).

    Soft targets share industries, so they are fewer independent draws than names: the true p is larger.
    """
    rng = np.random.default_rng(SEED)
    count, total = int(month.named.sum()), float(month.returns.sum())
    size = len(month.returns)
    lower = 0
    for _ in range(permutations):
        drawn = float(month.returns[rng.permutation(size)[:count]].sum())
        lower += drawn / count - (total - drawn) / (size - count) <= month.worse
    return (1 + lower) / (1 + permutations)


def table(found: Sequence[Month]) -> str:
    """The report as lines of text, the warning first."""
    lines = [f"! {WARNING}.", "", "month end    named   worse by %   deeper by %   market %"]
    lines += [_line(month) for month in found if month.day.year == 2008]
    groups = (
        ("all", list(found)),
        ("market fell", [month for month in found if month.market < 0.0]),
        ("market rose", [month for month in found if month.market >= 0.0]),
    )
    lines += ["", "quarters that followed   number   returns worse   mean %   drawdown deeper   mean %"]
    for name, group in groups:
        if group:
            worse, deeper = np.array([m.worse for m in group]), np.array([m.deeper for m in group])
            lines.append(
                f"{name:<24} {len(group):>6}   {(worse < 0).mean():>13.0%}   {100 * worse.mean():>+6.1f}"
                f"   {(deeper > 0).mean():>15.0%}   {100 * deeper.mean():>+6.1f}"
            )
    return "\n".join(lines)


def _line(month: Month) -> str:
    return (
        f"{month.day}   {month.named.sum():>5}   {100 * month.worse:>+10.1f}   {100 * month.deeper:>+11.1f}"
        f"   {100 * month.market:>+8.1f}"
    )


def month_ends(days: Sequence[date]) -> list[date]:
    """The last of the days in each month but the last month, which may not have ended."""
    return [day for day, after in pairwise(days) if day.month != after.month]


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description="What became of soft targets.")
    parser.add_argument("historical", type=Path, help="the folder of historical_db")
    given = parser.parse_args()
    view = HistoricalDb(given.historical).as_of(date.max, market=MARKET)
    found = months(view, month_ends(view.dates(COMPONENTS)), StabilityConfig())
    print(table(found))
    august = next((month for month in found if month.day == date(2008, 8, 29)), None)
    if august is not None:
        print(f"\nAugust 2008: p = {permuted(august):.4f} that names drawn by lot had fared as badly")


if __name__ == "__main__":
    main()
