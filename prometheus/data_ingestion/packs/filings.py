"""Texts of three annual reports (10-K, files of disclosure-alpha): Apple 2025, Amazon 2025 and Target 2025.

A document does not say when it was filed. It is taken as known on the weekday after the last day on which somebody
signed it; one whose signatures bear no date, 90 days after its fiscal year's end, the longest that the SEC allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.packs.reading import as_dataset
from prometheus.data_ingestion.packs.timing import next_weekday
from prometheus.data_ingestion.reference import ReferenceFiles

FILES: Mapping[str, str] = {
    "AAPL": "aapl_2025_10k.html",
    "AMZN": "amzn_2026_10k.html",
    "TGT": "tgt_2026_10k.html",
}
NOTES = ("three annual reports; known on the weekday after they were signed",)
ITEMS: Mapping[str, str] = {
    "1": "Business",
    "1A": "Risk factors",
    "7": "Management's discussion and analysis",
}
LONGEST_ALLOWED_DAYS = 90

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAY = rf"({'|'.join(_MONTHS)}) (\d{{1,2}}) ?, (\d{{4}})"
_SIGNED = re.compile(rf"Date: {_DAY}")
_YEAR_END = re.compile(rf"[Ff]or the fiscal year ended {_DAY}")
_ITEM = re.compile(r"(?<![A-Za-z])(?:Item|ITEM) (\d{1,2}[A-C]?)\.")


@dataclass(frozen=True, slots=True)
class Report:
    """What an annual report says of itself, and its items' texts."""

    year_end: date
    signed: date | None
    items: Mapping[str, str]


def parse_filings(disclosures: ReferenceFiles) -> pl.DataFrame:
    """Rows of the dataset `texts`, one for each of `ITEMS` of a report."""
    rows = [
        {"instrument_id": ticker, "kind": "filing", **row}
        for ticker, name in FILES.items()
        for row in _rows(ticker, read_report(disclosures.path(name)))
    ]
    return as_dataset("texts", pl.DataFrame(rows).with_columns(next_weekday(pl.col("day")).alias("row_date")))


def _rows(ticker: str, report: Report) -> Iterator[dict[str, object]]:
    known = report.signed or report.year_end + timedelta(days=LONGEST_ALLOWED_DAYS)
    for item, title in ITEMS.items():
        if item in report.items:
            yield {
                "text_id": f"10-K:{ticker}:{report.year_end}:{item}",
                "title": f"{ticker} 10-K {report.year_end.year}, item {item}: {title}",
                "body": report.items[item],
                "day": known,
            }


def read_report(file: Path) -> Report:
    """The report in an HTML file of EDGAR. Raises `DataError` that names the file if it is no annual report."""
    try:
        page = _Words()
        page.feed(file.read_text(encoding="utf-8"))
        text = " ".join(" ".join(page.found).split())
        ends = _YEAR_END.search(text)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the reference file {file} cannot be read: {error}") from None
    if ends is None:
        raise DataError(
            f"the reference file {file} is no annual report: it does not say which fiscal year it is for"
        )
    signed = [_day(found) for found in _SIGNED.finditer(text)]
    return Report(_day(ends), max(signed, default=None), _items(text))


def _items(text: str) -> dict[str, str]:
    """Each item's text: the longest stretch from its name to the next item's (the table of contents is the other)."""
    found = list(_ITEM.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    stretches: dict[str, str] = {}
    for each, end in zip(found, ends, strict=True):
        stretch = text[each.start() : end].strip()
        if len(stretch) > len(stretches.get(each[1], "")):
            stretches[each[1]] = stretch
    return stretches


def _day(found: re.Match[str]) -> date:
    return date(int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2]))


class _Words(HTMLParser):
    """The words of a page that a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "ix:header"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "ix:header") and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)
