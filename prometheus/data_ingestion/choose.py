"""Which source fills a dataset of this store? The first night that has one chooses, every later night keeps to it.

A desk's settings may name a source of its own for a dataset or for all of a market; else the shipped one is taken.
Shipped sources stand in a table, `SHIPPED`: for a market and a dataset the function that opens the source. Only prices
and volumes have a stand-in if theirs cannot be had (the synthetic panel, with a plain warning); a night without
any other dataset goes on and notes the gap.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from prometheus.core.errors import DataError
from prometheus.core.settings import Settings, SourceSettings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.folder import FolderSource, place_of
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import HOW_TO_GET_IT, ReferenceUnavailableError, fetch_reference
from prometheus.data_ingestion.sources import Provenance, Source, read_provenance, write_provenance
from prometheus.data_ingestion.sql import SqlSource
from prometheus.data_ingestion.synthetic import NOTE, SyntheticLines, SyntheticPanel

REFERENCE, SYNTHETIC, AUTO, NONE = "reference", "synthetic", "auto", "none"
OWN = ("folder", "sql")
PANEL = frozenset({"prices", "volumes"})  # the datasets a desk cannot do without
LINES = frozenset({"indices", "futures"})  # further ones that can be generated
INVENTED = frozenset({"futures", "texts"})  # what SHIPPED has of these is synthetic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source is opened for."""

    settings: Settings
    calendar: TradingCalendar
    market: str
    dataset: str

    @property
    def name(self) -> str:
        return f"{self.dataset} of {self.market}"


# Opens the source of one dataset. Raises `ReferenceUnavailableError` if its files cannot be had now.
Opener: TypeAlias = Callable[[Wanted], Source]


def open_panel(wanted: Wanted) -> Source:
    """The reference panel; fetched on the first night."""
    settings = wanted.settings
    return ReferencePanel(fetch_reference(settings.cache, settings.data_mirror, report=warn))


# Market -> dataset -> `package.module:function`, an `Opener`. Named, not imported: a night loads what it needs.
_PACKS = "prometheus.data_ingestion.packs.opening"
SHIPPED: Mapping[str, Mapping[str, str]] = {
    "US_EQ": {
        "prices": f"{__name__}:open_panel",
        "volumes": f"{__name__}:open_panel",
        "ohlcv": f"{_PACKS}:open_bars",
        "corporate_actions": f"{_PACKS}:open_actions",
        "macro": f"{_PACKS}:open_macro",
        "indices": f"{_PACKS}:open_indices",
        "fx": f"{_PACKS}:open_fx",
        "facts": f"{_PACKS}:open_facts",
        "texts": f"{_PACKS}:open_invented_texts",
        "issuers": f"{_PACKS}:open_issuers",
        "futures": f"{__name__}:open_futures",
    },
    "US_FUT": {"futures": f"{__name__}:open_futures"},
}
# Real ones for whoever asks for them ("reference"): they cover so little that by default a generator stands in SHIPPED.
ON_REQUEST: Mapping[str, Mapping[str, str]] = {"US_EQ": {"texts": f"{_PACKS}:open_filings"}}


def choose_source(
    settings: Settings, calendar: TradingCalendar, market: str, dataset: str, asked: str = AUTO
) -> Source | None:
    """The source of `dataset` in this store: the one that its first night chose, else the one `asked` for.

    "auto" is the shipped source. None if there is none, or none that can be had now and the night can do without.
    Once a store holds real rows of a dataset, prices that cannot be had are an error: real and synthetic rows of one
    dataset never mix.
    """
    if asked not in (AUTO, REFERENCE, SYNTHETIC):
        raise DataError(f"the source {asked!r} is unknown", allowed=f"{AUTO}, {REFERENCE}, {SYNTHETIC}")
    if dataset not in DATASETS:
        raise DataError(f"the dataset {dataset!r} is unknown", allowed=", ".join(DATASETS))
    wanted = Wanted(settings, calendar, market, dataset)
    settings.historical_path.mkdir(parents=True, exist_ok=True)
    # A lock a dataset, because opening a source may mean a download: the night's ingest jobs do that side by side.
    with _alone_in(settings.historical_path, f"{market}-{dataset}"):
        chosen = read_provenance(settings.historical_path, market, dataset)
        if chosen is not None:
            return _again(wanted, chosen, asked)
        source, reason = _first(wanted, asked)
        if source is not None:
            kept = Provenance(source.name, source.synthetic, reason)
            with _alone_in(settings.historical_path, "choices"):
                write_provenance(settings.historical_path, market, dataset, kept)
        return source


def told_of(settings: Settings, market: str, dataset: str) -> SourceSettings | None:
    """What the settings say of a dataset's source, by itself or for all of its market; None if nothing."""
    told = settings.sources.get(market)
    if told is None:
        return None
    unknown = [name for name in told.datasets if name not in DATASETS]
    if unknown:
        raise DataError(
            f"[sources.{market}.{unknown[0]}] in prometheus.toml names a dataset that does not exist",
            allowed=", ".join(DATASETS),
        )
    return told.datasets.get(dataset) or told.default


def _first(wanted: Wanted, asked: str) -> tuple[Source | None, str]:
    told = told_of(wanted.settings, wanted.market, wanted.dataset)
    if asked == AUTO and told is not None:
        if told.kind in OWN or told.kind == NONE:
            return _own(wanted, told), "the settings name it"
        asked = told.kind
        whole_market = wanted.dataset not in wanted.settings.sources[wanted.market].datasets
        if whole_market and not _is_had(wanted, asked):
            return None, f"no {asked} source of {wanted.name}"
    if asked == SYNTHETIC:
        warn(f"{NOTE}. It was asked for")
        return _synthetic(wanted, wanted.settings.seed), "asked for"
    if asked == REFERENCE and not _is_had(wanted, asked):
        raise DataError(
            f"the reference data has no market {wanted.market!r} for {wanted.dataset}",
            allowed=", ".join(market for market in SHIPPED if _is_had(replace(wanted, market=market), asked))
            or "no market",
        )
    try:
        source = _shipped(wanted, on_request=asked == REFERENCE)
    except ReferenceUnavailableError as error:
        if asked == REFERENCE:
            raise
        if wanted.dataset in PANEL:
            warn(
                f"{error.message}. Going on with a synthetic panel. {NOTE}. For the real one: {HOW_TO_GET_IT}, and "
                f"begin a new store (another PROMETHEUS_HOME, or remove {wanted.settings.historical_path})"
            )
            return _synthetic(wanted, wanted.settings.seed), error.message
        warn(f"no {wanted.name} tonight: {error.message}")
        return None, error.message
    if source is not None:
        return source, "nothing real comes with the desk" if source.synthetic else "the shipped source"
    if wanted.dataset in PANEL:
        return _synthetic(wanted, wanted.settings.seed), f"no source of {wanted.name} comes with the desk"
    return None, f"no source of {wanted.name}"


def _is_had(wanted: Wanted, kind: str) -> bool:
    """Whether there is a reference, or a synthetic source of the dataset, and of this market."""
    place = SHIPPED.get(wanted.market, {}).get(wanted.dataset)
    if kind == SYNTHETIC:
        return wanted.dataset in PANEL | LINES or (wanted.dataset in INVENTED and place is not None)
    on_request = wanted.dataset in ON_REQUEST.get(wanted.market, {})
    return on_request or (place is not None and wanted.dataset not in INVENTED)


def _own(wanted: Wanted, told: SourceSettings) -> Source | None:
    """The source that the settings name: files or a database. None for "none", and where a folder has no such dataset."""
    if told.kind == NONE:
        return None
    if told.kind == "sql":
        return SqlSource(told, wanted.market, wanted.dataset)
    if told.path is None:
        raise DataError(
            f"the folder source of {wanted.name} has no path",
            hint=f'path = "..." under [sources.{wanted.market}] in prometheus.toml',
        )
    own = wanted.settings.sources[wanted.market]
    if wanted.dataset not in own.datasets:  # the settings name a folder for all datasets of the market
        place = place_of(told.path, wanted.dataset)
        if place is None and wanted.dataset not in PANEL:
            return None
        told = told.model_copy(update={"path": place or told.path / wanted.dataset})
    return FolderSource(told, wanted.market, wanted.dataset)


def _again(wanted: Wanted, chosen: Provenance, asked: str) -> Source | None:
    """The source that an earlier night chose; `DataError` if it cannot be opened as it was."""
    store = wanted.settings.historical_path
    told = told_of(wanted.settings, wanted.market, wanted.dataset)
    if asked == AUTO and told is not None and told.kind in (REFERENCE, SYNTHETIC):
        asked = told.kind
    if asked in (REFERENCE, SYNTHETIC) and (asked == SYNTHETIC) != chosen.synthetic:
        raise DataError(
            f"the store {store} is filled from {chosen.source!r}, the {asked} source was asked for",
            hint="use another PROMETHEUS_HOME: real and synthetic data never share a store",
        )
    if asked == AUTO and told is not None and told.kind == NONE:
        return None
    source: Source | None
    if asked == AUTO and told is not None and told.kind in OWN:
        source = _own(wanted, told)
    elif chosen.synthetic and chosen.source.startswith(f"synthetic:{wanted.market}:"):
        source = _synthetic(wanted, int(chosen.source.rpartition(":")[2]))
        if wanted.dataset in PANEL:
            warn(f"{NOTE}. This store was begun with it because: {chosen.reason}. For the real one: {HOW_TO_GET_IT}, "
                 f"and begin a new store (another PROMETHEUS_HOME)")  # fmt: skip
    else:
        try:
            source = _shipped(wanted, on_request=not chosen.synthetic)
        except ReferenceUnavailableError as error:
            if wanted.dataset in PANEL:
                raise
            warn(f"no {wanted.name} tonight: {error.message}")
            return None
    if source is None or source.name != chosen.source:
        raise DataError(
            f"the {wanted.name} in the store {store} come from {chosen.source!r}, this run would add "
            f"{source.name if source else 'nothing'!r}",
            hint="use another PROMETHEUS_HOME for another source",
        )
    return source


def _shipped(wanted: Wanted, *, on_request: bool) -> Source | None:
    place = SHIPPED.get(wanted.market, {}).get(wanted.dataset)
    if on_request:
        place = ON_REQUEST.get(wanted.market, {}).get(wanted.dataset, place)
    if place is None:
        return None
    module, _, name = place.partition(":")
    opener: Opener = getattr(import_module(module), name)
    return opener(wanted)


def open_futures(wanted: Wanted) -> Source:
    """No futures come with the desk: synthetic ones, which say so in every id and row."""
    return _synthetic(wanted, wanted.settings.seed)


def _synthetic(wanted: Wanted, seed: int) -> Source:
    if wanted.dataset in PANEL:
        return SyntheticPanel(wanted.calendar, wanted.market, seed)
    if wanted.dataset in LINES:
        return SyntheticLines(wanted.calendar, wanted.market, wanted.dataset, seed)
    source = _shipped(wanted, on_request=False) if wanted.dataset in INVENTED else None
    if source is None:
        raise DataError(
            f"there is no synthetic source of {wanted.name}",
            allowed=f"synthetic {', '.join(sorted(PANEL | LINES))}, and texts of US_EQ",
        )
    return source


def warn(text: str) -> None:
    """A line for the person who reads the job's log."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def _alone_in(folder: Path, what: str) -> Iterator[None]:
    with (folder / f".{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
