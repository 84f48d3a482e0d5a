"""Every session of nine years decided by the real engines, one after the other, and every rule checked on each.

    python tools/proof/sessions.py --home proof [--first 2008-02-01 --last 2016-12-30 --processes 2]

Works in HOME/CODE, a folder for each state of the code. Loads the reference panel there once (a shipped night of the last
session), then walks all sessions with research's `walk`: per session the whole chain of engines, then
`decision_log.check` and the portfolio's `audit`. The years are shared among processes; each part starts from cash, as a desk
does on its first night. A part that is stopped goes on where it was. Each session leaves a line in part-N.jsonl; the table
for docs/proof.md is printed and kept in result.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

# Before numpy is imported: linear algebra on one thread, a process for each part.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

PIPELINE, MARKET = "us_eq_daily", "US_EQ"
KEPT_SESSIONS = 60  # rows of older sessions leave a part's runtime_db: engines look back a few weeks


def main() -> int:
    """Walk all that is asked for; returns 1 if any session has a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--first", type=date.fromisoformat, default=date(2008, 2, 1))
    parser.add_argument("--last", type=date.fromisoformat, default=date(2016, 12, 30))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    home = asked.home.absolute()
    if asked.part is not None:
        return walk_part(home, asked.first, asked.last, asked.part)
    home = place(home, asked.first, asked.last, asked.processes)
    home.mkdir(parents=True, exist_ok=True)
    print(f"in {home}", file=sys.stderr)
    load(home, asked.last)
    bounds = shares(asked.first, asked.last, asked.processes)
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                __file__,
                f"--home={home}",
                f"--part={number}",
                f"--first={first}",
                f"--last={last}",
            ]
        )
        for number, (first, last) in enumerate(bounds)
    ]
    codes = [worker.wait() for worker in workers]
    text = told(home, len(bounds))
    (home / "result.md").write_text(text, encoding="utf-8")
    print(text)
    return max(codes)


def place(home: Path, first: date, last: date, processes: int) -> Path:
    """The folder of this code and these sessions: what other code had found there would prove nothing."""
    return home / hashlib.sha256(f"{sources()} {first} {last} {processes}".encode()).hexdigest()[:12]


def sources() -> str:
    """The hash of all the package's sources."""
    import prometheus

    root = Path(prometheus.__file__).parent
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def load(home: Path, last: date) -> None:
    """The shipped night of the last session, which loads all history and computes every feature."""
    done = subprocess.run(
        [sys.executable, "-m", "prometheus", "run", PIPELINE, "--session", str(last), "--home", str(home)],
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the night of {last}, which loads the panel, failed: see above")


def shares(first: date, last: date, processes: int) -> list[tuple[date, date]]:
    """The sessions in as many runs of neighbours, about equally many each."""
    from prometheus.core.time import TradingCalendar

    days = TradingCalendar(MARKET).sessions(first, last)
    size = -(-len(days) // processes)
    parts = [days[start : start + size] for start in range(0, len(days), size)]
    return [(part[0], part[-1]) for part in parts]


def walk_part(home: Path, first: date, last: date, number: int) -> int:
    """Walk the sessions of one part; returns 1 if any of them has a fault."""
    from prometheus.core.settings import load_settings
    from prometheus.core.time import TradingCalendar
    from prometheus.research.walk import Ground, Walk, Walker
    from prometheus.stores.historical import HistoricalDb

    settings = load_settings(flags={("home",): home})
    historical = HistoricalDb(settings.historical_path)
    calendar = TradingCalendar(MARKET)
    versions = historical.versions()
    ground = Ground(historical, versions, MARKET, calendar, settings.engines, {})
    walk = Walk(ground, home / f"part-{number}", Walker("proof", f"part-{number}", 1, "proof"))
    log = home / f"part-{number}.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {json.loads(line)["session"] for line in lines}
    days = calendar.sessions(first, last)
    with log.open("a", encoding="utf-8") as file:
        for place, session in enumerate(days):
            if session.isoformat() in done:
                continue
            line = judge(walk, session)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if place % KEPT_SESSIONS == 0 and place > KEPT_SESSIONS:
                forget(walk, days[place - KEPT_SESSIONS])
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return int(any(line["faults"] for line in found))


def judge(walk: Any, session: date) -> dict[str, Any]:  # a Walk: imported by whoever made it
    """Walk one session and check it; what goes wrong is its line, and the next session goes on."""
    from prometheus.engines.decision_log import engine as decision_log
    from prometheus.engines.portfolio.audit import audit

    begun = time.monotonic()
    faults: list[str] = []
    told: dict[str, Any] = {}
    try:
        told = walk.step(session)
        view = walk.view(session)
        faults += audit(session, view, walk.runtime, market_id=MARKET)
        decision_log.check(session, view, walk.runtime, market_id=MARKET)
    except Exception as error:  # noqa: BLE001  # whatever an engine raises is what this looks for
        faults.append(f"{type(error).__name__}: {error}")
    portfolio = told.get("portfolio", {})
    return {
        "session": session.isoformat(),
        "faults": faults,
        "regime": told.get("regime", {}).get("label"),
        "relaxed": [one["limit"] for one in portfolio.get("relaxed", [])],
        "positions": portfolio.get("positions"),
        "invested": portfolio.get("invested"),
        "seconds": round(time.monotonic() - begun, 2),
    }


def forget(walk: Any, before: date) -> None:
    """Drop rows of old sessions, so that nine years do not fill a disk; decisions stay."""
    import sqlalchemy as sa

    from prometheus.stores import schema

    claim = walk.runtime.claim("proof.forget", 1)
    with walk.runtime.commit(claim) as connection:
        for table in schema.metadata.tables.values():
            if "as_of_date" in table.c and table.name != "engine_decisions":
                connection.execute(sa.delete(table).where(table.c.as_of_date < before))


def told(home: Path, parts: int) -> str:
    """The result as a table for people."""
    lines = []
    for number in range(parts):
        log = home / f"part-{number}.jsonl"
        if log.exists():
            lines += [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    lines.sort(key=lambda line: line["session"])
    if not lines:
        return "no session was walked\n"
    ill = [line for line in lines if line["faults"]]
    rows = ["| year | sessions | with a fault | regimes | limits that gave way |", "|---|---|---|---|---|"]
    for year in sorted({line["session"][:4] for line in lines}):
        part = [line for line in lines if line["session"].startswith(year)]
        regimes = Counter(line["regime"] or "none" for line in part)
        relaxed = Counter(limit for line in part for limit in line["relaxed"])
        rows.append(
            f"| {year} | {len(part)} | {sum(bool(line['faults']) for line in part)} | "
            f"{_counted(regimes)} | {_counted(relaxed) or 'none'} |"
        )
    seconds = sorted(line["seconds"] for line in lines)
    span = f"{len(lines)} sessions, {lines[0]['session']} to {lines[-1]['session']}; {len(ill)} with a fault"
    rows += ["", f"{span}; median {seconds[len(seconds) // 2]:.1f} s a session, longest {seconds[-1]:.1f} s."]
    rows += ["", *(f"- {line['session']}: {'; '.join(line['faults'])[:300]}" for line in ill[:40])]
    return "\n".join(rows).rstrip() + "\n"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    raise SystemExit(main())
