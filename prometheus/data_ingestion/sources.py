"""What a source of market data is: it says what was known at a session, by dataset, and nothing later.

A source hands over what it received, faults and all; `validation` judges. Some come with the desk (the reference panel,
synthetic ones, which say in every row that they are synthetic); a desk brings its own as files or from a database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from prometheus.core.errors import DataError
from prometheus.data_ingestion.datasets import DATASETS


class Source(Protocol):
    """Deterministic: the same question gives the same rows, now and in ten years."""

    @property
    def name(self) -> str: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know, such as survivorship bias; told on nights that stage rows of it.

        Limits that bias nothing stand in docs/reference-data.md.
        """

    @property
    def datasets(self) -> frozenset[str]:
        """Which of `DATASETS` it has."""

    @property
    def closed(self) -> bool:
        """Nothing will ever be added or taken back: a published archive, a generator.

        Of any other source, a night also looks whether rows of earlier sessions came late or were revised.
        """

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        """The dates (`row_date`) up to `known_at` that have rows, as it was known at that session's end; ascending.

        Trading days for prices; for a filing or a macro series whatever days its vendor has, weekends included.
        """

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        """Rows whose `row_date` is one of `days`, as they were known at the end of session `known_at`.

        Columns are those of `DATASETS[dataset]`. Raises `DataError` that names the file if it is absent or damaged.
        """


@dataclass(frozen=True, slots=True)
class Provenance:
    """What fills one dataset of a market in a historical store: one source, chosen by the first night that had one."""

    source: str
    synthetic: bool
    reason: str


def read_provenance(historical: Path, market: str, dataset: str) -> Provenance | None:
    """What fills `dataset` of `market` in the store at `historical`, or None if nothing has."""
    values = _of_market(_read_all(historical), market).get(dataset)
    if values is None:
        return None
    try:
        return Provenance(str(values["source"]), bool(values["synthetic"]), str(values["reason"]))
    except (KeyError, TypeError) as error:
        raise _unreadable(historical, error) from None


def write_provenance(historical: Path, market: str, dataset: str, chosen: Provenance) -> None:
    """Keep `chosen`; the caller holds the lock of the store's choices."""
    file = _provenance_file(historical)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    kept = {"source": chosen.source, "synthetic": chosen.synthetic, "reason": chosen.reason}
    everything = _read_all(historical)
    values = {**everything, market: {**_of_market(everything, market), dataset: kept}}
    temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def _of_market(values: dict[str, Any], market: str) -> dict[str, Any]:
    """Dataset -> what fills it. A store of before there were several datasets has one entry for both of its own."""
    found = values.get(market) or {}
    return {"prices": found, "volumes": found} if "source" in found else found


def _read_all(historical: Path) -> dict[str, Any]:
    try:
        values = json.loads(_provenance_file(historical).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _unreadable(historical, error) from None
    if not isinstance(values, dict):
        raise _unreadable(historical, TypeError("not a table of markets"))
    return values


def _unreadable(historical: Path, error: Exception) -> DataError:
    return DataError(
        f"{_provenance_file(historical)} cannot be read: {error}",
        hint="it names the source that fills each dataset of this store; restore it, or begin a new store",
    )


def _provenance_file(historical: Path) -> Path:
    return historical / "source.json"


def check_frame(source: str, dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with exactly the columns of `dataset`, else `DataError` that names what differs."""
    wanted = DATASETS[dataset].columns
    wrong = [
        f"{name} is {frame.schema.get(name, 'absent')}"
        for name, kind in wanted.items()
        if frame.schema.get(name) != kind
    ]
    if wrong:
        raise DataError(
            f"the {dataset} of source {source!r} have another layout: {', '.join(wrong)}",
            allowed=", ".join(f"{name}: {kind}" for name, kind in wanted.items()),
        )
    return frame.select(list(wanted))
