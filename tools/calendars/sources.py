"""What the table is compiled from: one `Source` an exchange, one `Market` a named market.

Bounds: `valid_from` is the first day we claim, `hours_verified_from` the first whose hours we checked,
`verified_through` the last day of the holidays the exchange itself has published, `last` the end of the projection.
Exchanges that are not `verified` are taken over from upstream as they are, for desks that compose markets of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from prometheus.markets.table import Market

RELEASE = "2026.11"
BEGIN = date(2000, 1, 1)
PROJECTED_THROUGH = date(2035, 12, 31)


@dataclass(frozen=True, slots=True)
class Source:
    """An exchange and where its facts come from.

    `upstream` is a reader and a name: `xc:XLON` (exchange_calendars), `cme:...` (pandas_market_calendars' days with our
    hours) or `fx:` (a rule). `holidays` names the exchange in python-holidays where upstream ends before `last`.
    """

    code: str
    name: str
    zone: str
    upstream: str
    published: str
    verified_through: date
    hours_verified_from: date = BEGIN
    last: date = PROJECTED_THROUGH
    is_verified: bool = True
    upstream_ends: date | None = None
    holidays: str | None = None


def _taken_over(code: str, name: str, zone: str, last: date = date(2027, 12, 31)) -> Source:
    return Source(
        code=code,
        name=name,
        zone=zone,
        upstream=f"xc:{code}",
        published="exchange_calendars 4.13, not verified by us",
        verified_through=last,
        last=last,
        is_verified=False,
    )


SOURCES = (
    Source(
        code="XNYS",
        name="New York Stock Exchange",
        zone="America/New_York",
        upstream="xc:XNYS",
        published="NYSE Group, holiday and early closings calendar 2026, 2027 and 2028, 2025-12-23",
        verified_through=date(2028, 12, 31),
    ),
    Source(
        code="CMES",
        name="CME Globex, US equity index futures",
        zone="America/Chicago",
        upstream="cme:CME Globex Equity",
        published="CME Group, Globex holiday calendar and trading hours; rules of eras.csv",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XETR",
        name="Xetra, Frankfurt",
        zone="Europe/Berlin",
        upstream="xc:XETR",
        published="Deutsche Boerse, trading calendar",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XLON",
        name="London Stock Exchange",
        zone="Europe/London",
        upstream="xc:XLON",
        published="London Stock Exchange, business days",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XPAR",
        name="Euronext Paris",
        zone="Europe/Paris",
        upstream="xc:XPAR",
        published="Euronext, trading hours and holidays",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XAMS",
        name="Euronext Amsterdam",
        zone="Europe/Amsterdam",
        upstream="xc:XAMS",
        published="Euronext, trading hours and holidays",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XTKS",
        name="Tokyo Stock Exchange",
        zone="Asia/Tokyo",
        upstream="xc:XTKS",
        published="Japan Exchange Group, market holidays",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XHKG",
        name="Hong Kong Stock Exchange",
        zone="Asia/Hong_Kong",
        upstream="xc:XHKG",
        published="HKEX, trading calendar; HKSAR general holidays",
        verified_through=date(2027, 12, 31),
    ),
    Source(
        code="XSES",
        name="Singapore Exchange",
        zone="Asia/Singapore",
        upstream="xc:XSES",
        published="SGX, trading calendar; Ministry of Manpower, public holidays",
        verified_through=date(2027, 12, 31),
        upstream_ends=date(2026, 12, 31),
        holidays="XSES",
    ),
    Source(
        code="FXNY",
        name="Spot foreign exchange, week on New York time",
        zone="America/New_York",
        upstream="fx:",
        published="market convention: 17:00 New York to 17:00 New York, shut on 25 December and 1 January",
        verified_through=date(2030, 12, 31),
    ),
    _taken_over("XBRU", "Euronext Brussels", "Europe/Brussels"),
    _taken_over("XMIL", "Borsa Italiana, Milan", "Europe/Rome"),
    _taken_over("XSWX", "SIX Swiss Exchange", "Europe/Zurich"),
    _taken_over("XKRX", "Korea Exchange", "Asia/Seoul"),
    _taken_over("XASX", "Australian Securities Exchange", "Australia/Sydney"),
    _taken_over("XTAI", "Taiwan Stock Exchange", "Asia/Taipei"),
    _taken_over("XBOM", "BSE, Mumbai", "Asia/Kolkata", date(2026, 12, 31)),
    _taken_over("XSHG", "Shanghai Stock Exchange", "Asia/Shanghai", date(2026, 12, 31)),
    _taken_over("XTSE", "Toronto Stock Exchange", "America/Toronto"),
    _taken_over("BVMF", "B3, Sao Paulo", "America/Sao_Paulo"),
)

BUFFER_MINUTES = 120  # pre-open and post-close, unless a desk sets its own
EVENING_BUFFER_MINUTES = 30  # of markets that close for an hour a day


def _market(
    market_id: str, members: tuple[str, ...], buffer_minutes: int = BUFFER_MINUTES, mode: str = "any"
) -> Market:
    return Market(market_id, members, mode, buffer_minutes, buffer_minutes)


MARKETS = (
    # The regions of shares; a trading day when any of them trades (docs/adr/0011-regimes-and-the-globe.md).
    _market("GLOBAL", ("US_EQ", "EU_EQ", "JP_EQ", "ASIA_EQ")),
    _market("US_EQ", ("XNYS",)),
    _market("XNAS", ("XNYS",)),
    _market("US_FUT", ("CMES",), EVENING_BUFFER_MINUTES),
    _market("EU_EQ", ("XETR", "XLON", "XPAR", "XAMS")),
    _market("JP_EQ", ("XTKS",)),
    _market("ASIA_EQ", ("XHKG", "XSES")),
    _market("FX_GLOB", ("FXNY",), EVENING_BUFFER_MINUTES),
)
