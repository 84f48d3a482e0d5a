"""Invented texts about invented events, for the years of which no dated text of the panel's companies can be had.

They exist so that texts, their vectors and profiles are worked on every night. Nothing in them happened: every id begins
with SYN_TXT_, every row is synthetic, every title says so, no company is named in the words, and no engine may decide by
them. A session's texts depend on seed, market and date alone, so history never changes when a day is added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.synthetic import FIRST_DAY

NOTE = "the texts are SYNTHETIC: nothing in them happened, and no engine of the desk decides by them"
FEWEST, MOST = 2, 6  # texts a session
# Members of the reference panel that have an issuer on the list of sectors.
COMPANIES = (
    *("AAPL", "ABT", "ADBE", "AMGN", "AMZN", "APD", "AXP", "BA", "BAC", "CAT", "COST", "CSCO", "CVX", "DE", "DUK"),
    *("F", "FCX", "FDX", "GE", "GS", "HD", "IBM", "INTC", "JNJ", "JPM", "KO", "LLY", "LMT", "MCD", "MMM"),
    *("MRK", "MSFT", "NKE", "ORCL", "PFE", "PG", "UNP", "VZ", "WMT", "XOM"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Topic:
    """What a text is about: a title, and sentences of which three are told. {a} and {b} are drawn numbers."""

    kind: str  # news, filing, call
    title: str
    sentences: tuple[str, ...]


_TOPICS = (
    _Topic(
        "call",
        "Quarterly earnings beat expectations",
        (
            "Management said that revenue rose {a} percent, ahead of what analysts had expected.",
            "Operating margin widened by {b} basis points on better prices and lower input costs.",
            "Demand was strongest in North America, while Europe was flat.",
            "The finance chief raised the outlook for the full year by {b} cents a share.",
        ),
    ),
    _Topic(
        "call",
        "Quarterly earnings fall short and guidance is cut",
        (
            "Sales declined {a} percent as customers put orders off.",
            "Inventories stand {b} days above target and will be worked down over two quarters.",
            "Management withdrew its earlier guidance and spoke of weak visibility.",
            "Analysts asked several times whether the dividend was safe.",
        ),
    ),
    _Topic(
        "news",
        "Agreement to acquire a smaller rival",
        (
            "The purchase price is {b} million dollars in cash and stock.",
            "The boards of both companies have approved the merger; shareholders vote in {a} weeks.",
            "Cost synergies are put at {a} percent of the target's expenses.",
            "Antitrust regulators are expected to ask for divestitures.",
        ),
    ),
    _Topic(
        "news",
        "Product recalled after safety complaints",
        (
            "About {b} thousand units are called back for inspection.",
            "The safety regulator opened an investigation after {a} complaints.",
            "Production at the plant concerned is halted until the defect is understood.",
            "Repair costs will be booked in the current quarter.",
        ),
    ),
    _Topic(
        "filing",
        "Litigation disclosed",
        (
            "Plaintiffs seek damages of {b} million dollars and class certification.",
            "The court set a hearing in {a} weeks; the outcome cannot be predicted.",
            "A reserve was recorded because a loss is probable and can be estimated.",
            "Insurance may cover a part of the costs of defence.",
        ),
    ),
    _Topic(
        "filing",
        "Senior notes offered and credit facility amended",
        (
            "Notes of {b} million dollars due in {a} years were sold to institutional investors.",
            "Proceeds repay commercial paper and part of the revolving credit facility.",
            "The leverage covenant was loosened for four quarters.",
            "Interest expense will rise by a small amount.",
        ),
    ),
    _Topic(
        "filing",
        "Share repurchase and dividend",
        (
            "The board authorised the repurchase of {b} million dollars of common stock.",
            "The quarterly dividend goes up by {a} percent.",
            "Repurchases depend on market conditions and may be suspended at any time.",
            "Free cash flow covered both in each of the last three years.",
        ),
    ),
    _Topic(
        "filing",
        "Change of the chief executive",
        (
            "The chief executive retires after {a} years; the successor comes from within.",
            "The board thanks the outgoing management and begins a search for a finance chief.",
            "Restricted stock worth {b} thousand dollars vests over three years.",
            "There was no disagreement about accounting or controls.",
        ),
    ),
    _Topic(
        "news",
        "Credit rating lowered",
        (
            "The agency cut its rating by one notch and sees {a} times leverage next year.",
            "Spreads on the company's bonds widened by {b} basis points.",
            "Liquidity is judged adequate, with no large maturity before long.",
            "A further downgrade would raise the cost of collateral.",
        ),
    ),
    _Topic(
        "news",
        "Plants closed in a restructuring",
        (
            "About {b} jobs are lost at {a} sites.",
            "Severance and write-downs are charged over the next quarters.",
            "Unions called for talks and threatened a strike.",
            "Production moves to newer plants with spare capacity.",
        ),
    ),
    _Topic(
        "news",
        "Breach of customer data",
        (
            "Records of {b} thousand customers were copied by intruders.",
            "The attack went unnoticed for {a} days.",
            "Passwords were reset and outside specialists called in.",
            "Regulators in several states have asked for documents.",
        ),
    ),
    _Topic(
        "news",
        "Regulatory approval for a new treatment",
        (
            "The drug reached its endpoint in {a} percent of patients in the last trial.",
            "A label with a warning is expected; the launch follows in spring.",
            "Peak sales are put at {b} million dollars a year.",
            "A rival's compound is about a year behind.",
        ),
    ),
    _Topic(
        "news",
        "Long contract won",
        (
            "Deliveries worth {b} million dollars run over {a} years.",
            "The order covers equipment, spare parts and service.",
            "Two competitors had bid lower prices but longer lead times.",
            "New tooling is needed before the first delivery.",
        ),
    ),
)  # fmt: skip
_MARKET = (
    _Topic(
        "news",
        "Stocks drift as investors wait for the central bank",
        (
            "Trading was thin, with {a} percent less volume than in the month before.",
            "Ten-year yields moved by {b} hundredths of a percentage point.",
            "Utilities and staples held up better than cyclical shares.",
            "Oil gave up its early gains and the dollar was little changed.",
        ),
    ),
    _Topic(
        "news",
        "Broad selling on worries about growth",
        (
            "Decliners outnumbered advancers by {a} to one.",
            "Volatility rose and credit spreads widened by {b} basis points.",
            "Banks and carmakers fell most; gold was sought.",
            "Surveys of purchasing managers came in weaker than expected.",
        ),
    ),
)
_TOLD = 3
_SHARE_OF_MARKET = 0.12


class SyntheticTexts:
    """`FEWEST` to `MOST` texts on every session of `calendar` since `FIRST_DAY`, most about one of `companies`."""

    synthetic = True
    closed = True
    datasets = frozenset({"texts"})
    notes = (NOTE,)

    def __init__(
        self, calendar: TradingCalendar, market: str, seed: int, companies: tuple[str, ...] = COMPANIES
    ) -> None:
        self.name = f"synthetic_texts:{market}:{seed}"
        self._calendar = calendar
        self._market = market
        self._seed = seed
        self._companies = companies

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset in self.datasets
        return self._calendar.sessions(FIRST_DAY, known_at) if known_at >= FIRST_DAY else []

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        wanted = set(days).intersection(self.sessions(dataset, known_at))
        rows = [row for day in sorted(wanted) for row in self._texts(day)]
        return pl.DataFrame(rows, schema=DATASETS["texts"].columns)

    def _texts(self, day: date) -> list[Mapping[str, object]]:
        label = f"{self._seed}/{self._market}/texts/{day.isoformat()}"
        key = int.from_bytes(hashlib.sha256(label.encode()).digest()[:16], "big")
        draw = np.random.Generator(np.random.Philox(key=key))
        count = int(draw.integers(FEWEST, MOST + 1))
        return [self._text(day, number, draw) for number in range(1, count + 1)]

    def _text(self, day: date, number: int, draw: np.random.Generator) -> Mapping[str, object]:
        is_market = bool(draw.random() < _SHARE_OF_MARKET)
        topics = _MARKET if is_market else _TOPICS
        topic = topics[int(draw.integers(len(topics)))]
        company = self._companies[int(draw.integers(len(self._companies)))]
        told = sorted(draw.permutation(len(topic.sentences))[:_TOLD])
        numbers = {"a": int(draw.integers(2, 30)), "b": int(draw.integers(5, 950))}
        words = " ".join(topic.sentences[each] for each in told).format(**numbers)
        return {
            "row_date": day,
            "text_id": f"SYN_TXT_{self._market}_{day:%Y%m%d}_{number:02d}",
            "instrument_id": None if is_market else company,
            "kind": topic.kind,
            "title": f"SYNTHETIC: {topic.title}",
            # The date and the number make two texts of the same words two texts.
            "body": f"Invented text {number} of {day.isoformat()}. {words}",
        }
