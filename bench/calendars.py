"""What our calendars cost beside exchange_calendars, in the same run: trust the ratios, not the microseconds.

    python -m bench.calendars [--json]

Each call is timed over the same random dates, the best of several rounds. Cold start is the median of fresh processes,
taken alternately; the empty interpreter is subtracted nowhere and shown beside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

SEED = 20261123
ROUNDS = 5
CALLS = 4_000
COLD_ROUNDS = 9
BULK_DATES = 1_000_000
FIRST, LAST = date(2007, 1, 3), date(2027, 12, 1)

_COLD = {
    "empty": "pass",
    "ours": "from datetime import date\nfrom prometheus.core.time import TradingCalendar\n"
    "TradingCalendar('US_EQ').is_trading_day(date(2024, 7, 5))",
    "theirs": "import exchange_calendars\nexchange_calendars.get_calendar('XNYS').is_session('2024-07-05')",
}


_TEN = (
    "import tracemalloc\n"
    "tracemalloc.start()\n"
    "from datetime import date\n"
    "from prometheus.core.time import TradingCalendar\n"
    "for code in 'XNYS CMES XETR XLON XPAR XAMS XTKS XHKG XSES FXNY'.split():\n"
    "    calendar = TradingCalendar(code)\n"
    "    calendar.next_trading_day(date(2024, 7, 5)), calendar.session_close(date(2024, 7, 8))\n"
    "print(tracemalloc.get_traced_memory()[1])"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison; times in `unit`."""

    what: str
    ours: float
    theirs: float
    unit: str
    aim: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def cold_start() -> tuple[Line, float]:
    """Import and first answer in a new process, and the empty interpreter beside, in milliseconds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in _COLD}
    for round_number in range(COLD_ROUNDS + 1):  # the first one writes the byte code and warms the disk
        for name, code in _COLD.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if round_number:
                times[name].append((time.perf_counter() - begin) * 1e3)
    middle = {name: statistics.median(values) for name, values in times.items()}
    return Line("cold start, first answer", middle["ours"], middle["theirs"], "ms", 30), middle["empty"]


def ten_exchanges_mb() -> float:
    """The most memory that importing the calendars and asking ten exchanges takes, in MB."""
    told = subprocess.run([sys.executable, "-c", _TEN], check=True, capture_output=True, text=True).stdout
    return int(told) / 1e6


def _per_call_ns(call: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        for argument in arguments:
            call(argument)
        best = min(best, (time.perf_counter_ns() - begin) / len(arguments))
    return best


def single_calls() -> list[Line]:
    """One question at a time, each side in its usual idiom."""
    import exchange_calendars
    import pandas as pd

    from prometheus.core.time import TradingCalendar

    theirs = exchange_calendars.get_calendar("XNYS", start="2000-01-01", end="2028-12-31")
    ours = TradingCalendar("US_EQ")
    draw = random.Random(SEED)
    days = [FIRST + timedelta(days=draw.randrange((LAST - FIRST).days)) for _ in range(CALLS)]
    stamps = [pd.Timestamp(day) for day in days]
    sessions = [day for day in days if ours.is_trading_day(day)]
    session_stamps = [pd.Timestamp(day) for day in sessions]
    instants = [
        datetime(d.year, d.month, d.day, draw.randrange(24), draw.randrange(60), tzinfo=UTC) for d in days
    ]
    minutes = [pd.Timestamp(at) for at in instants]
    return [
        Line(
            "is_trading_day",
            _per_call_ns(ours.is_trading_day, days),
            _per_call_ns(theirs.is_session, stamps),
            "ns",
            50,
        ),
        Line(
            "next_trading_day",
            _per_call_ns(ours.next_trading_day, days),
            _per_call_ns(lambda day: theirs.date_to_session(day + pd.Timedelta(days=1), "next"), stamps),
            "ns",
            50,
        ),
        Line(
            "session_close",
            _per_call_ns(ours.session_close, sessions),
            _per_call_ns(lambda day: theirs.session_close(day).to_pydatetime(), session_stamps),
            "ns",
            100,
        ),
        Line(
            "is_open at an instant",
            _per_call_ns(ours.is_open, instants),
            _per_call_ns(theirs.is_open_on_minute, minutes),
            "ns",
            1,
        ),
    ]


def bulk() -> list[Line]:
    """A million dates at once, ours against their vectorised idiom over the session index."""
    import exchange_calendars
    import numpy as np
    import pandas as pd

    from prometheus.core import time_bulk

    theirs = exchange_calendars.get_calendar("XNYS", start="2000-01-01", end="2028-12-31")
    begin, end = np.datetime64(FIRST, "D"), np.datetime64(LAST, "D")
    days = begin + np.random.default_rng(SEED).integers(0, (end - begin).astype(int), BULK_DATES)
    sessions = np.resize(days[time_bulk.is_trading_day("US_EQ", days)], BULK_DATES)
    index, session_index = pd.DatetimeIndex(days), pd.DatetimeIndex(sessions)
    closes = theirs.schedule["close"]

    def best_ms(call: Callable[[], object]) -> float:
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e3)
        return min(times)

    return [
        Line(
            "bulk is_trading_day, 1e6",
            best_ms(lambda: time_bulk.is_trading_day("US_EQ", days)),
            best_ms(lambda: index.isin(theirs.sessions)),
            "ms",
            10,
        ),
        Line(
            "bulk next_trading_day, 1e6",
            best_ms(lambda: time_bulk.next_trading_day("US_EQ", days)),
            best_ms(lambda: theirs.sessions[theirs.sessions.searchsorted(index, side="right")]),
            "ms",
            10,
        ),
        Line(
            "bulk session_close, 1e6",
            best_ms(lambda: time_bulk.session_close("US_EQ", sessions)),
            best_ms(lambda: closes.reindex(session_index)),
            "ms",
            10,
        ),
    ]


def run() -> dict[str, object]:
    """Every line, as plain values."""
    cold, empty = cold_start()
    lines = [cold, *single_calls(), *bulk()]
    return {
        "empty_interpreter_ms": empty,
        "cold_start_over_empty_ms": cold.ours - empty,
        "ten_exchanges_mb": ten_exchanges_mb(),
        "lines": [{**asdict(line), "ratio": line.ratio, "reached": line.ratio >= line.aim} for line in lines],
    }


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description="Calendars against exchange_calendars.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    arguments = parser.parse_args()
    result = run()
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{'':34}{'ours':>10}{'theirs':>12}   {'':4}{'ratio':>8}{'aim':>6}")
    lines = result["lines"]
    assert isinstance(lines, list)
    for line in lines:
        print(
            f"{line['what']:34}{line['ours']:10,.1f}{line['theirs']:12,.1f}   {line['unit']:4}"
            f"{line['ratio']:7.0f}x{line['aim']:5.0f}x"
        )
    print(
        f"\nempty interpreter {result['empty_interpreter_ms']:.1f} ms;"
        f" our first answer comes {result['cold_start_over_empty_ms']:.1f} ms later (aim: 15);"
        f" ten exchanges take {result['ten_exchanges_mb']:.1f} MB at most (aim: 5)"
    )


if __name__ == "__main__":
    main()
