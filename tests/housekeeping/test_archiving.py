"""Old rows go into files and come back to the last bit, on both databases; nothing is ever in neither place."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.errors import StoreError
from prometheus.housekeeping.archive import ARCHIVABLE, Archive, archive_before, restore
from prometheus.stores import schema
from prometheus.stores.decisions import Decision
from prometheus.stores.runtime import Claim, ClaimLostError, RuntimeDb

DAYS = [date(2014, 12, 30), date(2014, 12, 31), date(2015, 1, 2), date(2016, 6, 24)]
CUT = date(2016, 1, 1)
ODD = {"a": 0.1 + 0.2, "b": [1e-300, -0.0, 123456789.123456789], "ü": None, "c": {"d": True, "e": "naïve ✓"}}


def row_of(table: str, day: date) -> dict[str, Any]:
    """A row with a value for every column of any table that an engine writes."""
    made: dict[str, Any] = {}
    for column in schema.metadata.tables[table].columns:
        kind = type(column.type).__name__
        made[column.name] = {
            "JSON": ODD,
            "Double": 1.0 / 3.0,
            "Boolean": True,
            "Integer": 7,
            "Date": day,
        }.get(kind, f"{column.name} of {day}")
    return made


def fill(runtime: RuntimeDb, claim: Claim, days: list[date]) -> None:
    with runtime.commit(claim) as connection:
        config_id = runtime.record_config(connection, "regime", {"states": 3})
        for day in days:
            for table in ARCHIVABLE:
                if table == "engine_decisions":
                    made = Decision(
                        "regime",
                        f"US_EQ.{day}",
                        day,
                        "US_EQ",
                        config_id,
                        ODD,
                        ODD,
                        ODD,
                        f"run.{day}",
                        "regime",
                    )
                    runtime.record_decision(connection, made)
                else:
                    runtime.replace(connection, table, {"as_of_date": day}, [row_of(table, day)])


def everything(runtime: RuntimeDb) -> dict[str, list[dict[str, Any]]]:
    return {table: runtime.rows(table) for table in ARCHIVABLE}


@pytest.fixture
def claim(runtime: RuntimeDb) -> Claim:
    return runtime.claim("housekeeping", 1)


@pytest.fixture
def filled(runtime: RuntimeDb, claim: Claim) -> dict[str, list[dict[str, Any]]]:
    fill(runtime, claim, DAYS)
    return everything(runtime)


def test_archived_rows_come_back_to_the_last_bit(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    done = archive_before(runtime, claim, tmp_path / "archive", CUT)
    assert len(done) == 2 * len(ARCHIVABLE)  # 2014 and 2015
    for table in ARCHIVABLE:
        assert [row["as_of_date"] for row in runtime.rows(table)] == [DAYS[-1]]
    assert {archive.path for archive in done} == set((tmp_path / "archive").iterdir())
    listed = runtime.rows("archives")
    assert [row["archive_id"] for row in listed] == sorted(archive.archive_id for archive in done)
    restore(runtime, claim, since=date(2014, 1, 1))
    assert everything(runtime) == filled
    assert repr(everything(runtime)) == repr(filled)  # -0.0 and 0.0 are equal, and not the same
    assert runtime.rows("archives") == []


def test_every_table_that_engines_write_is_archived_or_kept_for_a_reason() -> None:
    dated = {name for name, table in schema.metadata.tables.items() if "as_of_date" in table.columns}
    kept = {"profile_snapshots", "vendor_facts", "research_reports"}
    assert set(ARCHIVABLE) == dated - kept


def test_a_dry_run_tells_and_does_nothing(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    planned = archive_before(runtime, claim, tmp_path / "archive", CUT, dry_run=True)
    assert everything(runtime) == filled
    assert not (tmp_path / "archive").exists()
    done = archive_before(runtime, claim, tmp_path / "archive", CUT)
    assert done == planned
    assert restore(runtime, claim, since=DAYS[0], dry_run=True) == sorted(
        done, key=lambda each: each.archive_id
    )
    assert len(runtime.rows("archives")) == len(done)


def test_one_archive_or_a_span_of_dates_can_be_brought_back(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    done = archive_before(runtime, claim, tmp_path / "archive", CUT)
    one = next(
        archive for archive in done if archive.table == "universes" and archive.first_date.year == 2014
    )
    assert restore(runtime, claim, archive_ids=[one.archive_id]) == [one]
    assert [row["as_of_date"] for row in runtime.rows("universes")] == [*DAYS[:2], DAYS[-1]]
    back = restore(runtime, claim, since=date(2015, 1, 1), until=date(2015, 12, 31))
    assert {archive.first_date for archive in back} == {date(2015, 1, 2)}
    with pytest.raises(StoreError, match=r"no archive is named universes\.x.*regimes\.2014"):
        restore(runtime, claim, archive_ids=["universes.x"])


def test_a_second_run_archives_nothing_more_and_the_same_rows_make_the_same_file(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    first = archive_before(runtime, claim, tmp_path / "archive", CUT)
    assert archive_before(runtime, claim, tmp_path / "archive", CUT) == []
    restore(runtime, claim, since=DAYS[0])
    assert archive_before(runtime, claim, tmp_path / "archive", CUT) == first


def test_a_damaged_or_lost_file_is_refused_with_its_name(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    archives = archive_before(runtime, claim, tmp_path / "archive", CUT)
    damaged, lost = archives[0], archives[1]
    damaged.path.write_bytes(damaged.path.read_bytes()[:-1] + b"x")
    lost.path.unlink()
    before = everything(runtime)
    with pytest.raises(StoreError, match=rf"{damaged.archive_id}.* is damaged.*{damaged.sha256}"):
        restore(runtime, claim, archive_ids=[damaged.archive_id])
    with pytest.raises(StoreError, match="cannot be read"):
        restore(runtime, claim, archive_ids=[lost.archive_id])
    assert everything(runtime) == before


def test_rows_that_were_decided_anew_are_not_mixed_with_archived_ones(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    archive_before(runtime, claim, tmp_path / "archive", CUT)
    fill(runtime, claim, DAYS[:1])
    with pytest.raises(StoreError, match=r"has 1 rows from 2014-12-30 to 2014-12-31 again"):
        restore(runtime, claim, since=DAYS[0])


def test_rows_that_change_while_they_are_put_aside_stay(
    runtime: RuntimeDb,
    claim: Claim,
    filled: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A night writes one of those sessions between the reading and the removing."""
    write = Path.mkdir

    def another_night(path: Path, *args: Any, **others: Any) -> None:
        write(path, *args, **others)
        if path.name == "archive":
            with runtime.commit(claim) as connection:
                runtime.replace(connection, "engine_decisions", {"as_of_date": DAYS[0]}, [])

    monkeypatch.setattr(Path, "mkdir", another_night)
    with pytest.raises(StoreError, match="changed while they were put aside"):
        archive_before(runtime, claim, tmp_path / "archive", CUT)
    assert len(runtime.rows("engine_decisions")) == len(DAYS) - 1
    assert runtime.rows("archives") == []


def test_an_overtaken_attempt_removes_nothing(
    runtime: RuntimeDb, claim: Claim, filled: dict[str, Any], tmp_path: Path
) -> None:
    runtime.claim(claim.task_id, 2)
    with pytest.raises(ClaimLostError):
        archive_before(runtime, claim, tmp_path / "archive", CUT)
    assert everything(runtime) == filled
    assert isinstance(Archive, type)
