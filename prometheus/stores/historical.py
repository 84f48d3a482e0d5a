"""historical_db: the desk's long tables, as Delta Lake read and written with polars.

Every table has a `date` column. What features and engines read, they read through a `HistoricalView`, which shows
nothing later than its `as_of_date`. What they write goes through `HistoricalDb.write_days`, which is atomic,
idempotent and fenced: a repeated write is skipped, a late write of an overtaken attempt is refused.

How a write is fenced (Delta app transactions, `txn` actions in the table's log): each commit carries two marks,
`run/task/write` -> attempt and `run/task/write@digest` -> attempt, where digest is of the code's pin and the rows.
They are read on the handle that commits, and the commit is refused by Delta if anything was committed since.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from prometheus.core.errors import StoreError
from prometheus.core.ids import check_name
from prometheus.stores.delta import DeltaTable
from prometheus.stores.stamps import day_stamps

DATE = "date"
KEY = "instrument_id"
# Two hidden columns partition every table; hidden columns never leave this file. The market keeps the nights of two markets
# apart, so that neither replaces the other's rows of a date; the year bounds what a replaced day must rewrite.
MARKET, YEAR = "_market", "_year"
# And one that says what the rows of a day were computed from, for tables whose writer says it (stamps.py).
STAMP = "_inputs"
ALL = "-"  # the market of tables that belong to none
ABSENT = -1  # the version of a table that does not exist

# The log of a table is its memory of who wrote what and of every version: it is never cut by itself.
TABLE_SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
# A commit is lost only to another commit on the same table; thirty in a row means that something writes in a loop.
COMMIT_ATTEMPTS = 30


class StaleWriteError(StoreError):
    """A later attempt of the same task has already written: this attempt was overtaken and must not write."""


@dataclass(frozen=True, slots=True)
class WriteId:
    """Who writes: `write` names the write within the task, `attempt` counts its tries, `pin` is the code's hash."""

    run_id: str
    task: str
    write: str
    attempt: int
    pin: str

    @property
    def app_id(self) -> str:
        return f"{self.run_id}/{self.task}/{self.write}"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did: `skipped` = these very rows had been written before by this task."""

    table: str
    action: Literal["created", "appended", "replaced", "skipped", "nothing"]
    rows: int
    version: int  # of the table after the write; -1 if there is no table


class HistoricalDb:
    """The Delta tables under one folder. Safe for several processes at once; keeps every earlier version."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    def as_of(
        self,
        as_of_date: date,
        *,
        market: str = ALL,
        versions: Mapping[str, int] | None = None,
        elsewhere: Mapping[str, HistoricalDb] | None = None,
    ) -> HistoricalView:
        """The only read handle: rows of `market` dated `as_of_date` or earlier, of the newest or the given versions.

        A version of `ABSENT` hides a table. `elsewhere` names tables that are read from another store, newest version:
        research lays what it computed for itself over a desk's tables without touching them.
        """
        roots = {table: store._root for table, store in (elsewhere or {}).items()}
        return HistoricalView(self._root, as_of_date, market, dict(versions or {}), roots)

    def write_days(
        self,
        table: str,
        frame: pl.DataFrame,
        write: WriteId,
        *,
        days: Collection[date] | None = None,
        market: str = ALL,
        stamps: Mapping[date, int | None] | None = None,
    ) -> WriteResult:
        """Make `frame` the rows of `market` on its dates, in one commit; all other rows stay as they are.

        `days` names the dates that are written when the frame may have no row for some of them (a day without a
        quarantined row still replaces what an older run had put there). `stamps` says for each date what its rows
        were computed from; `HistoricalView.stamps` gives it back. Raises `StaleWriteError` if a later attempt
        of the task has written, `StoreError` if the frame does not fit the table or the disk refuses.
        """
        covered = _covered_days(table, frame, days)
        marked = frame.with_columns(
            pl.lit(check_name("market", market) if market != ALL else ALL).alias(MARKET)
        )
        marked = marked.with_columns(pl.col(DATE).dt.year().alias(YEAR))
        if stamps is not None:
            marked = marked.with_columns(
                pl.col(DATE).replace_strict(stamps, default=None, return_dtype=pl.Int64).alias(STAMP)
            )
        digest = _digest(marked, write.pin)
        for _ in range(COMMIT_ATTEMPTS):
            handle = self._open_or_create(table, marked) if covered else None
            if handle is None:
                return WriteResult(table, "nothing", 0, -1)
            fence = handle.transaction_version(write.app_id)
            if fence is not None:
                if fence > write.attempt:
                    raise StaleWriteError(
                        f"attempt {write.attempt} of {write.task!r} (run {write.run_id}) may not write {table!r}: "
                        f"attempt {fence} has already written it",
                        hint="nothing to do: the later attempt's rows are kept",
                    )
                same = handle.transaction_version(f"{write.app_id}@{digest}") == fence
                if same and _stands(handle, marked, covered, market):
                    return WriteResult(table, "skipped", frame.height, handle.version())
            try:
                return _commit(table, handle, marked, covered, market, write, digest)
            except CommitFailedError:
                continue  # somebody committed since the handle was read; look again at what is there
            except (DeltaError, OSError) as error:
                raise _explain(table, self._root, error) from error
        raise StoreError(
            f"historical table {table!r} could not be written: {COMMIT_ATTEMPTS} commits in a row lost to other writers",
            hint="see which processes write it; then retry the task",
        )

    def tables(self) -> tuple[str, ...]:
        if not self._root.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._root.iterdir() if (path / "_delta_log").is_dir()))

    def versions(self) -> dict[str, int]:
        """The newest version of every table: give it to `as_of` later to see the store as it is now."""
        found = ((name, _open(self._root / name, None)) for name in self.tables())
        return {name: handle.version() for name, handle in found if handle is not None}

    def _open_or_create(self, table: str, marked: pl.DataFrame) -> DeltaTable | None:
        path = self._root / check_name("historical table", table)
        handle = _open(path, None)
        if handle is not None or marked.is_empty():
            return handle
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_deltalake(
                path, marked.clear(), mode="ignore", partition_by=[MARKET, YEAR], configuration=TABLE_SETTINGS
            )
        except (DeltaError, OSError) as error:
            handle = _open(path, None)  # another process may have created it at the same moment
            if handle is None:
                raise _explain(table, self._root, error) from error
            return handle
        return _open(path, None)


class HistoricalView:
    """What was known at the end of `as_of_date`. Each table's version is fixed when it is first read."""

    def __init__(
        self,
        root: Path,
        as_of_date: date,
        market: str,
        versions: Mapping[str, int],
        elsewhere: Mapping[str, Path] | None = None,
        handles: dict[str, DeltaTable | None] | None = None,
    ) -> None:
        self._root = root
        self.as_of_date = as_of_date
        self.market = market
        self._versions = versions
        self._elsewhere = elsewhere or {}
        self._handles = {} if handles is None else handles

    def beside(self, market: str) -> HistoricalView:
        """What another market knew at the end of the same date, of the same versions of the tables."""
        return HistoricalView(
            self._root, self.as_of_date, market, self._versions, self._elsewhere, self._handles
        )

    def read(
        self,
        table: str,
        *,
        since: date | None = None,
        until: date | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Rows dated `since` (or the beginning) to `until`, at most `as_of_date`, sorted by date and instrument_id.

        `columns` keeps only those, in that order. Raises `StoreError` if there is no such table or column.
        """
        handle = self._handle(table)
        if handle is None:
            raise StoreError(
                f"historical table {table!r} does not exist in {self._root}",
                allowed=", ".join(HistoricalDb(self._root).tables()) or "none yet",
                hint="run the job that writes it first",
            )
        known = [field.name for field in handle.schema().fields if field.name not in (MARKET, YEAR, STAMP)]
        wanted = known if columns is None else list(columns)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise StoreError(
                f"historical table {table!r} has no column {', '.join(unknown)}", allowed=", ".join(known)
            )
        order = [name for name in (DATE, KEY) if name in known]
        rows = self._scan(handle, since, until).select(list(dict.fromkeys([*wanted, *order])))
        return rows.collect().sort(order, maintain_order=True).select(wanted)

    def dates(self, table: str, *, since: date | None = None) -> list[date]:
        """The dates that have rows, ascending; empty if there is no such table."""
        handle = self._handle(table)
        if handle is None:
            return []
        return self._scan(handle, since).select(pl.col(DATE).unique()).collect()[DATE].sort().to_list()

    def stamps(self, table: str) -> dict[date, int | None]:
        """What the rows of each date were computed from, as their writer said; None where it did not."""
        handle = self._handle(table)
        if handle is None:
            return {}
        rows = self._scan(handle, None)
        known = STAMP in rows.collect_schema()
        stamp = pl.col(STAMP).max() if known else pl.lit(None, dtype=pl.Int64)
        return dict(rows.group_by(DATE).agg(stamp.alias("stamp")).collect().iter_rows())

    def last_date(self, table: str) -> date | None:
        """The newest date with a row, or None."""
        handle = self._handle(table)
        if handle is None:
            return None
        found = self._scan(handle, None).select(pl.col(DATE).max()).collect().item()
        return found if isinstance(found, date) else None

    def has(self, table: str, day: date) -> bool:
        handle = self._handle(table)
        if handle is None or day > self.as_of_date:
            return False
        return not self._scan(handle, day).filter(pl.col(DATE) == day).head(1).collect().is_empty()

    def version(self, table: str) -> int | None:
        """The table version that this view shows, or None if there is no such table."""
        handle = self._handle(table)
        return None if handle is None else handle.version()

    def versions(self) -> dict[str, int]:
        """The version of every table looked at so far, `ABSENT` for one that is not there: what was decided from.

        Given to `HistoricalDb.as_of`, they show the same rows again, whatever was written since.
        """
        return {
            table: ABSENT if handle is None else handle.version()
            for table, handle in sorted(self._handles.items())
            if table not in self._elsewhere
        }

    def _handle(self, table: str) -> DeltaTable | None:
        if table not in self._handles:
            name = check_name("historical table", table)
            version = None if table in self._elsewhere else self._versions.get(table)
            path = self._elsewhere.get(table, self._root) / name
            self._handles[table] = None if version == ABSENT else _open(path, version)
        return self._handles[table]

    def _scan(self, handle: DeltaTable, since: date | None, until: date | None = None) -> pl.LazyFrame:
        last = self.as_of_date if until is None else min(until, self.as_of_date)
        wanted = (pl.col(MARKET) == self.market) & (pl.col(DATE) <= last) & (pl.col(YEAR) <= last.year)
        if since is not None:
            wanted &= (pl.col(DATE) >= since) & (pl.col(YEAR) >= since.year)
        return pl.scan_delta(handle).filter(wanted)


def _open(path: Path, version: int | None) -> DeltaTable | None:
    try:
        return DeltaTable(path, version=version)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        if not (path / "_delta_log").is_dir():
            return None
        which = "" if version is None else f" at version {version}"
        raise StoreError(
            f"historical table {path} cannot be opened{which}: {error}",
            hint="`prometheus db health` checks every table",
        ) from error


def _covered_days(table: str, frame: pl.DataFrame, days: Collection[date] | None) -> list[date]:
    if frame.schema.get(DATE) != pl.Date:
        raise StoreError(
            f"rows for historical table {table!r} have {DATE!r} of type {frame.schema.get(DATE)}",
            allowed="a `date` column of type Date",
        )
    present = frame[DATE].unique().sort().to_list()
    if days is None:
        return present
    extra = sorted(set(present) - set(days))
    if extra:
        raise StoreError(
            f"rows for historical table {table!r} have dates outside the days being written: {extra[0]}",
            allowed=f"{min(days)} to {max(days)}" if days else "no day at all",
        )
    return sorted(days)


def _commit(
    table: str,
    handle: DeltaTable,
    marked: pl.DataFrame,
    covered: list[date],
    market: str,
    write: WriteId,
    digest: str,
) -> WriteResult:
    created = handle.version() == 0
    held = set(
        pl.scan_delta(handle)
        .filter(pl.col(MARKET) == market, pl.col(DATE).is_between(covered[0], covered[-1]))
        .select(pl.col(DATE).unique())
        .collect()[DATE]
    )
    marked, widening = _fitted(table, handle, marked)
    properties = CommitProperties(
        custom_metadata={"write": write.app_id, "attempt": str(write.attempt), "pin": write.pin},
        # Compare and swap: never rebase over a commit that this write has not seen.
        max_commit_retries=0,
        app_transactions=[
            Transaction(write.app_id, write.attempt),
            Transaction(f"{write.app_id}@{digest}", write.attempt),
        ],
    )
    stale = held.intersection(covered)
    if not stale and marked.is_empty():
        return WriteResult(table, "nothing", 0, handle.version())
    if not stale:
        write_deltalake(handle, marked, mode="append", schema_mode=widening, commit_properties=properties)
        return WriteResult(table, "created" if created else "appended", marked.height, handle.version())
    predicate = f"{MARKET} = '{market}' AND {_predicate(covered, held)}"
    if marked.is_empty():
        handle.delete(predicate, commit_properties=properties)
    else:
        write_deltalake(
            handle,
            marked,
            mode="overwrite",
            predicate=predicate,
            schema_mode=widening,
            commit_properties=properties,
        )
    return WriteResult(table, "replaced", marked.height, handle.version())


def _stands(handle: DeltaTable, marked: pl.DataFrame, covered: list[date], market: str) -> bool:
    """Whether what this task wrote is still there: the night of another session may have replaced it since."""
    there = pl.scan_delta(handle).filter(
        pl.col(MARKET) == market,
        pl.col(DATE).is_between(covered[0], covered[-1]),
        pl.col(DATE).is_in(covered),
    )
    return day_stamps(there.select(marked.columns).collect()) == day_stamps(marked)


def _predicate(covered: list[date], held: set[date]) -> str:
    if held <= set(covered):  # nothing else lies between: a range says it shorter, and prunes files better
        return f"{DATE} >= '{covered[0]}' AND {DATE} <= '{covered[-1]}'"
    listed = ", ".join(f"CAST('{day}' AS DATE)" for day in covered)
    return f"{DATE} IN ({listed})"


def _fitted(
    table: str, handle: DeltaTable, marked: pl.DataFrame
) -> tuple[pl.DataFrame, Literal["merge"] | None]:
    """`marked` as the table takes it: the hidden stamp comes into tables of before it, and may be left out."""
    known = dict(pl.scan_delta(handle).collect_schema())
    if STAMP in known and STAMP not in marked.columns:
        marked = marked.with_columns(pl.lit(None, dtype=pl.Int64).alias(STAMP))
    given = dict(marked.schema)
    widening: Literal["merge"] | None = "merge" if STAMP in given and STAMP not in known else None
    if widening:
        known[STAMP] = given[STAMP]
    wrong = [
        f"{name}: table {known.get(name, 'absent')}, rows {given.get(name, 'absent')}"
        for name in dict.fromkeys([*known, *given])
        if known.get(name) != given.get(name)
    ]
    if wrong:
        raise StoreError(
            f"rows do not fit historical table {table!r} ({'; '.join(wrong)})",
            hint="a changed layout needs a table of a new name, or a migration",
        )
    return marked, widening


def _digest(frame: pl.DataFrame, pin: str) -> str:
    """Hash of the rows and the code's pin. A library that lays rows out anew merely makes the write happen again."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="uncompressed")
    hashed = hashlib.sha256(pin.encode())
    hashed.update(buffer.getbuffer())
    return hashed.hexdigest()[:16]


def _explain(table: str, root: Path, error: Exception) -> StoreError:
    text = str(error)
    hint = "`prometheus doctor` checks the disk and the stores; then retry the task: nothing was half written"
    if "No space left" in text or "os error 28" in text:
        hint = f"the disk that holds {root} is full: free some space, then retry the task; nothing was half written"
    return StoreError(f"historical table {table!r} could not be written: {text}", hint=hint)
