"""Print the regime of past nights, each judged alone from what was known on it.

    python -m tools.evidence.regimes .prometheus/historical               every fifth session
    python -m tools.evidence.regimes .prometheus/historical --every 1     all, about five minutes

Needs the tables that one night leaves (`make run SESSION=2016-12-30` loads ten years). Nothing is written.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prometheus.core.time import TradingCalendar
from prometheus.engines.engine import Inputs
from prometheus.engines.regime.config import LABELS, RegimeConfig
from prometheus.engines.regime.engine import run
from prometheus.engines.regime.observing import PANELS
from prometheus.stores.historical import HistoricalDb
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import one_thread

MARKET = "US_EQ"
YEAR = 252

# The crises that every textbook names, and two years in which nothing happened.
PERIODS = (
    ("Sep 2008 - Mar 2009", date(2008, 9, 2), date(2009, 3, 31)),
    ("8 - 31 Aug 2011", date(2011, 8, 8), date(2011, 8, 31)),
    ("2013 - 2014", date(2013, 1, 2), date(2014, 12, 31)),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one night said of itself."""

    day: date
    label: str
    raw_label: str
    since: str


def judged(store: HistoricalDb, days: Sequence[date], market: str = MARKET) -> list[Judged]:
    """The regime of each day by the engine, which sees nothing later than that day."""
    nothing, calendar, found = RuntimeDb("sqlite://"), TradingCalendar(market), []
    with one_thread():
        for day in days:
            inputs = Inputs(store.as_of(day, market=market), nothing, market, calendar)
            action = run(day, inputs, RegimeConfig()).action or {}
            found.append(Judged(day, action["label"], action["raw_label"], action["since"]))
    return found


def shares(nights: Sequence[Judged]) -> dict[str, float]:
    """The share of the nights that each regime was official."""
    counts = Counter(night.label for night in nights)
    return {label: counts[label] / max(len(nights), 1) for label in LABELS}


def table(nights: Sequence[Judged]) -> str:
    """Shares by year and by period, and how often the regime changed."""
    lines = ["                       nights" + "".join(f"{label:>10}" for label in LABELS) + "   raw differs"]
    groups = [
        (str(year), date(year, 1, 1), date(year, 12, 31)) for year in sorted({n.day.year for n in nights})
    ]
    for name, first, last in [*groups, *PERIODS]:
        inside = [night for night in nights if first <= night.day <= last]
        if inside:
            share = "".join(f"{100 * value:>9.0f}%" for value in shares(inside).values())
            apart = sum(night.label != night.raw_label for night in inside)
            lines.append(f"{name:<22} {len(inside):>6}{share}   {apart:>11}")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description="Regimes of past nights, each judged alone.")
    parser.add_argument("historical", type=Path, help="the folder of historical_db")
    parser.add_argument("--every", type=int, default=5, metavar="N", help="judge every Nth session")
    given = parser.parse_args()
    store = HistoricalDb(given.historical)
    days = store.as_of(date.max, market=MARKET).dates(PANELS)
    print(table(judged(store, days[YEAR + 21 :: given.every])))


if __name__ == "__main__":
    main()
