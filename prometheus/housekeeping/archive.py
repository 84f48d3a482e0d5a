"""Old rows of runtime_db put aside into Parquet files, and brought back to the last bit.

A file is written, hashed and listed in `archives` before its rows leave the database, in the transaction that removes
them: a crash leaves the rows, never neither. A file is named by its content, so a second try writes the same file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from prometheus.core.errors import StoreError
from prometheus.core.ids import Json, canonical_json
from prometheus.stores import schema
from prometheus.stores.runtime import Claim, Row, RuntimeDb

# What engines decided and found, in the order of its keeping. What later nights look up however old it is (profiles,
# what vendors did, configurations, research) stays.
ARCHIVABLE = (
    "engine_decisions",
    "table_versions",
    "data_quality",
    "regimes",
    "stability_vectors",
    "fragility_measures",
    "soft_target_classes",
    "instrument_scores",
    "universes",
    "target_portfolios",
    "risk_reports",
)
_KINDS: Mapping[type, pl.DataType] = {
    sa.Date: pl.Date(),
    sa.Double: pl.Float64(),
    sa.Boolean: pl.Boolean(),
    sa.Integer: pl.Int64(),
}


@dataclass(frozen=True, slots=True)
class Archive:
    """One file of old rows."""

    archive_id: str
    table: str
    first_date: date
    last_date: date
    rows: int
    path: Path
    sha256: str

    def as_json(self) -> dict[str, Json]:
        return {
            "archive_id": self.archive_id,
            "table": self.table,
            "first_date": self.first_date.isoformat(),
            "last_date": self.last_date.isoformat(),
            "rows": self.rows,
            "path": str(self.path),
            "sha256": self.sha256,
        }


def archive_before(
    runtime: RuntimeDb, claim: Claim, folder: Path, before: date, *, dry_run: bool = False
) -> list[Archive]:
    """Put aside all rows of `ARCHIVABLE` dated earlier than `before`: a file a table and year.

    Raises `StoreError` if rows change while they are put aside (nothing of that file is removed then), or the disk
    refuses; `ClaimLostError` if a later attempt has taken over.
    """
    done = []
    for table in ARCHIVABLE:
        for days in _by_year(runtime.dates(table, before=before)):
            rows = runtime.rows_between(table, days[0], days[-1])
            payload = _encode(table, rows)
            archive = _describe(table, days, rows, payload, folder)
            if not dry_run:
                _write(archive.path, payload)
                _move_out(runtime, claim, archive, rows)
            done.append(archive)
    return done


def restore(
    runtime: RuntimeDb,
    claim: Claim,
    *,
    archive_ids: Collection[str] = (),
    since: date | None = None,
    until: date | None = None,
    dry_run: bool = False,
) -> list[Archive]:
    """Bring archived rows back: those archives, or every one that has a date between `since` and `until`.

    The files stay where they are. Raises `StoreError` that names the file if it is gone or is not what was written,
    or the rows if the database has such rows again.
    """
    listed = [_listed(row) for row in runtime.rows("archives")]
    unknown = sorted(set(archive_ids) - {archive.archive_id for archive in listed})
    if unknown:
        raise StoreError(
            f"no archive is named {', '.join(unknown)}",
            allowed=", ".join(archive.archive_id for archive in listed) or "none: nothing is archived",
        )
    wanted = [
        archive
        for archive in listed
        if (archive.archive_id in archive_ids if archive_ids else _overlaps(archive, since, until))
    ]
    for archive in wanted:
        rows = _decode(archive.table, read_archive(archive))
        if not dry_run:
            _move_in(runtime, claim, archive, rows)
    return wanted


def read_archive(archive: Archive) -> bytes:
    """The bytes of an archive, checked. Raises `StoreError` if they are not what was written."""
    try:
        payload = archive.path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the archive {archive.path} cannot be read: {error}",
            hint="restore the file from a backup; its name and checksum are in the runtime table archives",
        ) from None
    found = hashlib.sha256(payload).hexdigest()
    if found != archive.sha256:
        raise StoreError(
            f"the archive {archive.path} is damaged: its sha256 is {found}",
            allowed=archive.sha256,
            hint="restore the file from a backup",
        )
    return payload


def _by_year(days: Sequence[date]) -> list[list[date]]:
    years: dict[int, list[date]] = {}
    for day in days:
        years.setdefault(day.year, []).append(day)
    return [years[year] for year in sorted(years)]


def _describe(table: str, days: Sequence[date], rows: Sequence[Row], payload: bytes, folder: Path) -> Archive:
    sha256 = hashlib.sha256(payload).hexdigest()
    archive_id = f"{table}.{days[0]}.{days[-1]}.{sha256[:12]}"
    return Archive(archive_id, table, days[0], days[-1], len(rows), folder / f"{archive_id}.parquet", sha256)


def _listed(row: Row) -> Archive:
    return Archive(
        row["archive_id"],
        row["table_name"],
        row["first_date"],
        row["last_date"],
        row["rows"],
        Path(row["path"]),
        row["sha256"],
    )


def _overlaps(archive: Archive, since: date | None, until: date | None) -> bool:
    return (since is None or archive.last_date >= since) and (until is None or archive.first_date <= until)


def _move_out(runtime: RuntimeDb, claim: Claim, archive: Archive, rows: Sequence[Row]) -> None:
    listing = {
        "archive_id": archive.archive_id,
        "table_name": archive.table,
        "first_date": archive.first_date,
        "last_date": archive.last_date,
        "rows": archive.rows,
        "path": str(archive.path),
        "sha256": archive.sha256,
    }
    with runtime.commit(claim) as connection:
        now = runtime.rows_between(
            archive.table, archive.first_date, archive.last_date, connection=connection
        )
        if now != list(rows):
            raise StoreError(
                f"rows of {archive.table} from {archive.first_date} to {archive.last_date} changed while they were put "
                f"aside; they stay where they are",
                hint="another run writes those sessions; run it again when that is done",
            )
        runtime.put(connection, "archives", [listing])
        runtime.remove_between(connection, archive.table, archive.first_date, archive.last_date)


def _move_in(runtime: RuntimeDb, claim: Claim, archive: Archive, rows: Sequence[Row]) -> None:
    with runtime.commit(claim) as connection:
        there = runtime.rows_between(
            archive.table, archive.first_date, archive.last_date, connection=connection
        )
        if there:
            raise StoreError(
                f"{archive.table} has {len(there)} rows from {archive.first_date} to {archive.last_date} again; "
                f"{archive.archive_id} was not brought back",
                hint="a replay has decided those sessions anew; what was archived is still in its file",
            )
        runtime.insert(connection, archive.table, rows)
        runtime.replace(connection, "archives", {"archive_id": archive.archive_id}, [])


def _encode(table: str, rows: Sequence[Row]) -> bytes:
    """Parquet of the rows; JSON columns as canonical text, which gives numbers back to the last bit."""
    columns = schema.metadata.tables[table].columns
    data = {
        column.name: pl.Series(
            [_packed(column, row[column.name]) for row in rows], dtype=_kind(column), strict=True
        )
        for column in columns
    }
    buffer = io.BytesIO()
    pl.DataFrame(data).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _decode(table: str, payload: bytes) -> list[Row]:
    columns = schema.metadata.tables[table].columns
    frame = pl.read_parquet(io.BytesIO(payload))
    if frame.columns != [column.name for column in columns]:
        raise StoreError(
            f"an archive of {table} has the columns {', '.join(frame.columns)}",
            allowed=", ".join(column.name for column in columns),
            hint="it was written by another version; restore it with that one, then run `prometheus db upgrade`",
        )
    texts = [column.name for column in columns if isinstance(column.type, sa.JSON)]
    return [
        {name: json.loads(value) if name in texts else value for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def _packed(column: sa.Column[Any], value: Any) -> Any:  # a cell is whatever its column holds
    return canonical_json(value) if isinstance(column.type, sa.JSON) else value


def _kind(column: sa.Column[Any]) -> pl.DataType:
    for kind, stored in _KINDS.items():
        if isinstance(column.type, kind):
            return stored
    return pl.String()


def _write(path: Path, payload: bytes) -> None:
    """Whole or not at all, and on the disk when it returns."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"the archive {path} could not be written: {error}",
            hint="free some space, or set retention.archive to another disk; nothing was removed",
        ) from None
