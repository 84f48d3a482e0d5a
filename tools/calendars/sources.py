"""What the table is compiled from: one `Source` an exchange, one `Market` a named market.

Bounds: `valid_from` is the first day we claim, `hours_verified_from` the first whose hours we checked,
`verified_through` the last day of the holidays the exchange itself has published, `last` the end of the projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from prometheus.markets.table import Market

RELEASE = "2026.11"
PROJECTED_THROUGH = date(2035, 12, 31)


@dataclass(frozen=True, slots=True)
class Source:
    """An exchange and where its facts come from; `upstream` is its name in exchange_calendars."""

    code: str
    name: str
    zone: str
    upstream: str
    valid_from: date
    hours_verified_from: date
    verified_through: date
    published: str


SOURCES = (
    Source(
        code="XNYS",
        name="New York Stock Exchange",
        zone="America/New_York",
        upstream="XNYS",
        valid_from=date(2000, 1, 1),
        hours_verified_from=date(2000, 1, 1),
        verified_through=date(2028, 12, 31),
        published="NYSE Group, holiday and early closings calendar 2026, 2027 and 2028, 2025-12-23",
    ),
)

BUFFER_MINUTES = 120  # pre-open and post-close, unless a desk sets its own

MARKETS = (
    # The regions whose calendars we have; a trading day when any of them trades (docs/adr/0011-regimes-and-the-globe.md).
    Market("GLOBAL", ("US_EQ",), "any", BUFFER_MINUTES, BUFFER_MINUTES),
    Market("US_EQ", ("XNYS",), "any", BUFFER_MINUTES, BUFFER_MINUTES),
    Market("XNAS", ("XNYS",), "any", BUFFER_MINUTES, BUFFER_MINUTES),
)
