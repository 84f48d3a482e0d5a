"""Old rows of the prices' quarantine leave it, if the settings say how long they are worth anything.

Staged tables and `quarantine_context` are kept whole: they are the memory of what vendors were asked and what was
judged, and a night that missed it would ask and judge anew (docs/adr/0009-retention.md).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from prometheus.core.errors import StoreError
from prometheus.housekeeping.tables import MARK, TRIES
from prometheus.stores.delta import DeltaTable

QUARANTINE = "quarantine"


def prune(root: Path, before: date, *, dry_run: bool = False) -> int:
    """Remove rows dated earlier than `before`; returns how many. Earlier versions of the table still show them."""
    for _ in range(TRIES):
        try:
            handle = DeltaTable(root / QUARANTINE)
        except TableNotFoundError:
            return 0
        old = pl.scan_delta(handle).filter(pl.col("date") < before).select(pl.len()).collect().item()
        if not old or dry_run:
            return int(old)
        try:
            handle.delete(
                f"date < '{before}'",
                commit_properties=CommitProperties(custom_metadata={"write": MARK}, max_commit_retries=0),
            )
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            raise StoreError(
                f"historical table {QUARANTINE!r} could not be pruned: {error}",
                hint="see the disk, then retry",
            ) from error
        return int(old)
    raise StoreError(
        f"historical table {QUARANTINE!r} could not be pruned: writers came first {TRIES} times",
        hint="retry when no night runs",
    )
