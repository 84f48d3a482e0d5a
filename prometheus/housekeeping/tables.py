"""Delta tables kept in shape: small files folded together, files that no version needs removed.

Both are commits like any other: a writer that meets one looks again and goes on, and the marks that fence late writes
(app transactions) stay in the log. Folding changes no row and no order of rows.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from prometheus.core.errors import StoreError
from prometheus.core.ids import Json
from prometheus.stores.delta import DeltaTable
from prometheus.stores.historical import HistoricalDb
from prometheus.stores.runtime import RuntimeDb

# A night appends one file a table and year: a month of them is worth folding.
FILES_AT_LEAST = 20
TARGET_BYTES = 128 * 1024 * 1024
TRIES = 5  # against writers that commit in between
NOTHING_READ: Mapping[str, Collection[int]] = MappingProxyType({})
MARK = "housekeeping"  # `write` of our commits in the table's log


@dataclass(frozen=True, slots=True)
class Folded:
    """What compaction did to one table, or would do."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    action: str  # folded, would fold, nothing, busy

    def as_json(self) -> dict[str, Json]:
        return {
            "table": self.table,
            "files_before": self.files_before,
            "files_after": self.files_after,
            "bytes": self.bytes_before,
            "action": self.action,
        }


def compact(
    root: Path,
    *,
    files_at_least: int = FILES_AT_LEAST,
    dry_run: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> list[Folded]:
    """Fold the small files of each partition (market and year) that has `files_at_least` of them.

    Safe beside writers: whoever loses the race looks again. A table that writers never leave alone is "busy" and comes
    another day. `stop` is asked between tables.
    """
    done = []
    for name in HistoricalDb(root).tables():
        if stop():
            break
        done.append(_compact(root / name, files_at_least, dry_run=dry_run))
    return done


def _compact(path: Path, files_at_least: int, *, dry_run: bool) -> Folded:
    for _ in range(TRIES):
        handle = _open(path)
        partitions, sizes = _small_files(handle)
        wanted = sorted(key for key, count in partitions.items() if count >= files_at_least)
        total, before = len(sizes), sum(sizes)
        if not wanted:
            return Folded(path.name, total, total, before, "nothing")
        if dry_run:
            folded = sum(partitions[key] - 1 for key in wanted)
            return Folded(path.name, total, total - folded, before, "would fold")
        try:
            for market, year in wanted:
                handle.optimize.compact(
                    partition_filters=[("_market", "=", market), ("_year", "=", year)],
                    target_size=TARGET_BYTES,
                    commit_properties=CommitProperties(custom_metadata={"write": MARK}, max_commit_retries=0),
                )
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            raise _failed(path, "folded", error) from error
        return Folded(path.name, total, len(_open(path).file_uris()), before, "folded")
    return Folded(path.name, total, total, before, "busy")


def _small_files(handle: DeltaTable) -> tuple[Counter[tuple[str, str]], list[int]]:
    """How many files under the target each partition has, and the size of every file."""
    actions = handle.get_add_actions(flatten=True)
    sizes = [int(size) for size in actions["size_bytes"].to_pylist()]
    markets = [str(market) for market in actions["partition._market"].to_pylist()]
    years = [str(year) for year in actions["partition._year"].to_pylist()]
    small = Counter(
        (market, year)
        for market, year, size in zip(markets, years, sizes, strict=True)
        if size < TARGET_BYTES
    )
    return small, sizes


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What vacuuming removed from one table, or would remove."""

    table: str
    files: int
    bytes: int
    kept_versions: int  # of replays, beside those that are young enough
    action: str  # removed, would remove, nothing

    def as_json(self) -> dict[str, Json]:
        return {
            "table": self.table,
            "files": self.files,
            "bytes": self.bytes,
            "kept_versions": self.kept_versions,
            "action": self.action,
        }


def vacuum(
    root: Path,
    *,
    days: int,
    replays_since: date | None,
    read_by_engines: Mapping[str, Collection[int]] = NOTHING_READ,
    dry_run: bool = False,
) -> list[Vacuumed]:
    """Remove files that neither a version of the last `days` days nor a retained replay needs.

    A replay sees each table at the version that its engine had read (`read_by_engines`, by table), or as that session's
    run left it: the last version of every run whose session is `replays_since` or later (None: of every run there is).
    Those versions keep their files; versions in between cannot be read afterwards.
    """
    return [
        _vacuum_one(root / name, days * 24, replays_since, read_by_engines.get(name, ()), dry_run=dry_run)
        for name in HistoricalDb(root).tables()
    ]


def _vacuum_one(
    path: Path, hours: int, replays_since: date | None, read: Collection[int], *, dry_run: bool
) -> Vacuumed:
    handle = _open(path)
    valid = {version for version in read if 0 <= version <= handle.version()}
    keep = sorted({*versions_of_replays(handle, replays_since), *valid})
    free = _vacuum(handle, path, hours, [], dry_run=True)
    if not free:
        return Vacuumed(path.name, 0, 0, len(keep), "nothing")
    # To name a version costs reading it, so those are named that hold all which must be held.
    holding = versions_that_hold(path, free, keep)
    found = _vacuum(handle, path, hours, holding, dry_run=True)
    size = sum(file.stat().st_size for file in found if file.is_file())
    if found and not dry_run:
        _vacuum(handle, path, hours, holding, dry_run=False)
    action = "nothing" if not found else "would remove" if dry_run else "removed"
    return Vacuumed(path.name, len(found), size, len(keep), action)


def versions_that_hold(path: Path, files: Collection[Path], keep: Sequence[int]) -> list[int]:
    """The fewest versions of `keep` that between them name each of `files` that any version of `keep` names.

    A file lives from the version that added it to the one that removed it: to stab such intervals, take the latest
    version inside the interval that ends first, and so on. All of `keep` if the log does not tell of a file.
    """
    added, removed = _lives(path)
    lives = [(removed.get(file), added.get(file, 0)) for file in files]
    if any(end is None for end, _ in lives):
        return list(keep)
    chosen: list[int] = []
    for end, begin in sorted((end, begin) for end, begin in lives if end is not None):
        inside = keep[: bisect_left(keep, end)]
        if inside and inside[-1] >= begin and (not chosen or chosen[-1] < begin):
            chosen.append(inside[-1])
    return chosen


def _lives(path: Path) -> tuple[dict[Path, int], dict[Path, int]]:
    """The versions that added and that removed each data file, as the table's log says."""
    added: dict[Path, int] = {}
    removed: dict[Path, int] = {}
    for entry in sorted((path / "_delta_log").glob("*.json")):
        version = int(entry.stem)
        for line in entry.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "add" in action:
                added.setdefault(path / unquote(action["add"]["path"]), version)
            elif "remove" in action:
                removed[path / unquote(action["remove"]["path"])] = version
    return added, removed


def versions_read(runtime: RuntimeDb, since: date | None) -> dict[str, set[int]]:
    """The versions of each table that engines read for the sessions from `since` on (None: for all)."""
    read: dict[str, set[int]] = {}
    for row in runtime.rows_between("table_versions", since or date.min, date.max):
        read.setdefault(row["table_name"], set()).add(int(row["version"]))
    return read


def versions_of_replays(handle: DeltaTable, since: date | None) -> list[int]:
    """The last version that each run has written, of runs whose session is `since` or later; ascending."""
    last: dict[str, int] = {}
    for commit in handle.history():
        write, version = str(commit.get("write", "")), commit.get("version")
        run = write.partition("/")[0]
        day = _session_of(run)
        if day is None or not isinstance(version, int) or (since is not None and day < since):
            continue
        last[run] = max(version, last.get(run, version))
    return sorted(set(last.values()))


def _session_of(run: str) -> date | None:
    """The session in a run's id (`pipeline.2016-06-24`, and what may follow)."""
    for part in run.split(".")[1:]:
        try:
            return date.fromisoformat(part[:10])
        except ValueError:
            continue
    return None


def _vacuum(handle: DeltaTable, path: Path, hours: int, keep: list[int], *, dry_run: bool) -> list[Path]:
    try:
        names = handle.vacuum(
            retention_hours=hours,
            dry_run=dry_run,
            enforce_retention_duration=False,
            commit_properties=CommitProperties(custom_metadata={"write": MARK}),
            keep_versions=keep or None,
        )
    except (DeltaError, OSError) as error:
        raise _failed(path, "vacuumed", error) from error
    return [path / unquote(name) for name in names]


def _open(path: Path) -> DeltaTable:
    try:
        return DeltaTable(path)
    except DeltaError as error:
        raise StoreError(
            f"historical table {path} cannot be opened: {error}",
            hint="`prometheus db health` checks every table",
        ) from error


def _failed(path: Path, what: str, error: Exception) -> StoreError:
    return StoreError(
        f"historical table {path.name!r} could not be {what}: {error}",
        hint="nothing was lost: every version that could be read before can be read still; see the disk, then retry",
    )
