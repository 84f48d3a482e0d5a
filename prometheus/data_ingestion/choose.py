"""Which source fills this store? The first night chooses, every later night keeps to it."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus.core.errors import DataError
from prometheus.core.settings import Settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.panel import ReferencePanel
from prometheus.data_ingestion.reference import HOW_TO_GET_IT, ReferenceUnavailableError, fetch_reference
from prometheus.data_ingestion.sources import Provenance, Source, read_provenance, write_provenance
from prometheus.data_ingestion.synthetic import NOTE, SyntheticPanel

REFERENCE, SYNTHETIC, AUTO = "reference", "synthetic", "auto"
REFERENCE_MARKET = "US_EQ"


def choose_source(settings: Settings, calendar: TradingCalendar, market: str, wanted: str = AUTO) -> Source:
    """The source of this store: the one that its first night chose, else `wanted`.

    "auto" is the reference panel, or the synthetic one (with a plain warning on stderr) if the reference cannot be
    had. Once a store holds real data, data that cannot be had is an error: real and synthetic rows never mix.
    """
    if wanted not in (AUTO, REFERENCE, SYNTHETIC):
        raise DataError(f"the source {wanted!r} is unknown", allowed=f"{AUTO}, {REFERENCE}, {SYNTHETIC}")
    settings.historical_path.mkdir(parents=True, exist_ok=True)
    with _alone_in(settings.historical_path):
        chosen = read_provenance(settings.historical_path, market)
        if chosen is not None:
            return _open(settings, calendar, market, chosen, wanted)
        source, reason = _first(settings, calendar, market, wanted)
        write_provenance(settings.historical_path, market, Provenance(source.name, source.synthetic, reason))
        return source


def _first(settings: Settings, calendar: TradingCalendar, market: str, wanted: str) -> tuple[Source, str]:
    if wanted == SYNTHETIC:
        return SyntheticPanel(calendar, market, settings.seed), "asked for"
    if market != REFERENCE_MARKET:
        if wanted == REFERENCE:
            raise DataError(f"the reference panel has no market {market!r}", allowed=REFERENCE_MARKET)
        return SyntheticPanel(
            calendar, market, settings.seed
        ), f"the reference panel covers only {REFERENCE_MARKET}"
    try:
        return _reference(settings), "verified by checksum"
    except ReferenceUnavailableError as error:
        if wanted == REFERENCE:
            raise
        warn(f"{error.message}. Going on with a synthetic panel. {NOTE}. For the real one: {HOW_TO_GET_IT}, "
             f"and begin a new store (another PROMETHEUS_HOME, or remove {settings.historical_path})")  # fmt: skip
        return SyntheticPanel(calendar, market, settings.seed), error.message


def _open(
    settings: Settings, calendar: TradingCalendar, market: str, chosen: Provenance, wanted: str
) -> Source:
    if wanted in (REFERENCE, SYNTHETIC) and (wanted == SYNTHETIC) != chosen.synthetic:
        raise DataError(
            f"the store {settings.historical_path} is filled from {chosen.source!r}, the {wanted} source was asked for",
            hint="use another PROMETHEUS_HOME: real and synthetic data never share a store",
        )
    source: Source
    if chosen.synthetic:
        seed = int(chosen.source.rpartition(":")[2])
        source = SyntheticPanel(calendar, market, seed)
        warn(f"{NOTE}. This store was begun with it because: {chosen.reason}. For the real one: {HOW_TO_GET_IT}, "
             f"and begin a new store (another PROMETHEUS_HOME)")  # fmt: skip
    else:
        source = _reference(settings)
    if source.name != chosen.source:
        raise DataError(
            f"the store {settings.historical_path} is filled from {chosen.source!r}, this run would add {source.name!r}",
            hint="use another PROMETHEUS_HOME for another source",
        )
    return source


def _reference(settings: Settings) -> ReferencePanel:
    return ReferencePanel(fetch_reference(settings.cache, settings.data_mirror, report=warn))


def warn(text: str) -> None:
    """A line for the person who reads the job's log."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with (folder / ".source.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
