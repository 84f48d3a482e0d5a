"""Which reports are there, and which one is meant?"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from sqlalchemy.engine import make_url

from prometheus.core.errors import UserError
from prometheus.core.settings import Settings
from prometheus.stores.runtime import Row, RuntimeDb

HINT = "`prometheus run` writes them: weekly_research, us_eq_late, and global_daily for the market GLOBAL"


def reports(settings: Settings) -> list[Row]:
    """Every report of the desk, oldest first; nothing is changed, and no store is made."""
    if not is_there(settings.runtime_url):
        return []
    runtime = RuntimeDb(settings.runtime_url)
    try:
        return runtime.rows("research_reports")
    finally:
        runtime.close()


def is_there(url: str) -> bool:
    """Whether a runtime_db is there to be read; a server is taken to be."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").is_file()


def report_of(settings: Settings, kind: str, market_id: str, session: date | None) -> Row:
    """The report of a session, or the latest; raises `UserError` that says which there are."""
    every = [row for row in reports(settings) if row["market_id"] == market_id]
    found = [row for row in every if row["kind"] == kind and session in (None, row["as_of_date"])]
    if found:
        return found[-1]
    there = sorted({f"{row['kind']} of {row['as_of_date']}" for row in every})
    raise UserError(
        f"there is no report {kind!r} of {market_id}" + (f" for {session}" if session else ""),
        allowed=", ".join(there[-8:]) or "none yet",
        hint=HINT,
    )
