"""The shipped sources of `US_EQ` beside its panel, as `choose` opens them: fetch what they need, read it, hand it over.

A pack that cannot be had now, whatever the reason, is a gap of that night, with a warning; nothing takes its place. A
dataset is one source, so it needs all its packs: a curve that is missing today and there tomorrow would leave holes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.choose import Wanted, warn
from prometheus.data_ingestion.packs import bars, facts, filings, issuers, macro, rates, shelf
from prometheus.data_ingestion.packs.reading import PackSource
from prometheus.data_ingestion.reference import (
    Pack,
    ReferenceFiles,
    ReferenceUnavailableError,
    fetch_reference,
)
from prometheus.data_ingestion.sources import Source, read_provenance
from prometheus.data_ingestion.synthetic_texts import COMPANIES, SyntheticTexts


def open_macro(wanted: Wanted) -> Source:
    """VIX, oil, Moody's yields, core CPI, and the Treasury curve."""
    return _open(wanted, (shelf.ARCH, shelf.ZIPLINE), macro.parse_macro, macro.NOTES)


def open_indices(wanted: Wanted) -> Source:
    """S&P 500 and NASDAQ Composite."""
    return _open(wanted, (shelf.ARCH,), rates.parse_indices)


def open_fx(wanted: Wanted) -> Source:
    """The ECB's reference rates."""
    return _open(wanted, (shelf.CURRENCIES,), rates.parse_fx)


def open_bars(wanted: Wanted) -> Source:
    """Raw bars of one year for 524 stocks, of thirteen years for five."""
    return _open(wanted, (shelf.BYTETHEORY, shelf.BOKEH), bars.parse_bars)


def open_actions(wanted: Wanted) -> Source:
    """Splits and dividends of five companies."""
    return _open(wanted, (shelf.BOKEH,), bars.parse_actions)


def open_facts(wanted: Wanted) -> Source:
    """Facts of five companies' filings."""
    return _open(wanted, (shelf.EDGAR,), facts.parse_facts, facts.NOTES)


def open_filings(wanted: Wanted) -> Source:
    """Three annual reports."""
    return _open(wanted, (shelf.DISCLOSURES,), filings.parse_filings, filings.NOTES)


def open_invented_texts(wanted: Wanted) -> Source:
    """Invented texts; about invented companies in a store whose prices are invented."""
    store = wanted.settings.historical_path
    begun = read_provenance(store, wanted.market, wanted.dataset)
    seed = wanted.settings.seed if begun is None else int(begun.source.rpartition(":")[2])
    prices = read_provenance(store, wanted.market, "prices")
    if prices is None or not prices.synthetic:
        return SyntheticTexts(wanted.calendar, wanted.market, seed)
    companies = tuple(f"SYN_{wanted.market}_{number:03d}" for number in range(1, len(COMPANIES) + 1))
    return SyntheticTexts(wanted.calendar, wanted.market, seed, companies)


def open_issuers(wanted: Wanted) -> Source:
    """Names and sectors."""
    return _open(wanted, (shelf.BYTETHEORY,), issuers.parse_issuers, issuers.NOTES)


def _open(
    wanted: Wanted,
    packs: tuple[Pack, ...],
    parse: Callable[..., pl.DataFrame],
    notes: tuple[str, ...] = (),
) -> Source:
    try:
        rows = parse(*map(partial(_fetch, wanted), packs))
    except ReferenceUnavailableError:
        raise
    except DataError as error:
        # A damaged file, or a mirror that lacks it: for a night that can do without, the same.
        raise ReferenceUnavailableError(error.message, allowed=error.allowed, hint=error.hint) from error
    name = "reference:" + "+".join(f"{pack.package}-{pack.version}" for pack in packs)
    return PackSource(name, wanted.dataset, notes, rows)


def _fetch(wanted: Wanted, pack: Pack) -> ReferenceFiles:
    settings = wanted.settings
    return fetch_reference(settings.cache, settings.data_mirror, pack=pack, report=warn)
