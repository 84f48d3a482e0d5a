"""Print what the assessment's score was worth on this desk's data: deciles against the returns that followed.

    python -m tools.evidence.deciles .prometheus/historical
    python -m tools.evidence.deciles .prometheus/historical --from 2012-12-31 --to 2016-12-30

Needs the tables that one night leaves (`make run SESSION=2016-12-30` loads ten years). Sessions are the ends of the months
between the two dates; the regime of each is judged on what was known on it. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import cast

from prometheus.core.time import TradingCalendar
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.deciles import TENTHS, Deciles, deciles
from prometheus.engines.assessment.families import month_ends
from prometheus.engines.assessment.reading import RETURNS
from prometheus.engines.engine import Inputs
from prometheus.engines.regime.config import RegimeConfig
from prometheus.engines.regime.engine import run as regime
from prometheus.stores.historical import HistoricalDb, HistoricalView
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import one_thread

MARKET = "US_EQ"


def sessions_between(view: HistoricalView, first: date, last: date) -> list[date]:
    """The last session of each month, and the last session of all if it is past those."""
    days = view.dates(RETURNS)
    ends = [days[row] for row in month_ends(days)]
    return [day for day in dict.fromkeys([*ends, days[-1]]) if first <= day <= last]


def regimes(store: HistoricalDb, sessions: Sequence[date]) -> dict[date, dict[str, float]]:
    """The regime's probabilities of each session, judged on what was known on it."""
    nothing, calendar = RuntimeDb("sqlite://"), TradingCalendar(MARKET)
    found = {}
    for day in sessions:
        inputs = Inputs(store.as_of(day, market=MARKET), nothing, MARKET, calendar)
        action = regime(day, inputs, RegimeConfig()).action or {}
        found[day] = cast("dict[str, float]", action["probabilities"])
    return found


def table(found: Deciles) -> str:
    """The report as lines of text, the warning first."""
    told = found.report()
    spread, positive = 100 * float(found.spread.mean()), told["positive_share"]
    lines = [
        f"! {told['note']}.",
        "! A ranking exercise without costs: equal weights, everything traded at the close. It promises nothing.",
        "",
        f"{told['periods']} months, scored from {told['first']} to {told['last']}; mean return in the month after",
        "decile   " + "".join(f"{number:>8}" for number in range(1, TENTHS + 1)),
        "mean %   " + "".join(f"{100 * float(mean):>8.2f}" for mean in found.means),
        "",
        f"spread, best less worst    {spread:+.2f} % a month, t = {told['spread_t']:.2f}; above 0 in {positive:.0%}",
        f"monotonicity               {told['monotonicity']:+.2f} (1 = every decile earned more than the one below)",
        f"rank correlation           {told['information_coefficient']:+.4f}, t = {told['information_coefficient_t']:.2f}",
        f"names replaced a month     best decile {told['turnover_best']:.0%}, worst {told['turnover_worst']:.0%}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description="Deciles of the assessment's score against what followed.")
    parser.add_argument("historical", type=Path, help="the folder of historical_db")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2008, 12, 31))
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date(2016, 12, 30))
    given = parser.parse_args()
    store = HistoricalDb(given.historical)
    view = store.as_of(given.last, market=MARKET)
    sessions = sessions_between(view, given.first, given.last)
    with one_thread():
        found = deciles(view, sessions, AssessmentConfig(), regimes(store, sessions[:-1]))
    print(table(found))


if __name__ == "__main__":
    main()
