"""Folding and vacuuming change no row, break no fence, disturb no writer, and keep what a replay needs."""

from __future__ import annotations

import json
import threading
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prometheus.core.errors import StoreError
from prometheus.core.time import TradingCalendar
from prometheus.housekeeping.quarantine import prune
from prometheus.housekeeping.tables import (
    compact,
    vacuum,
    versions_of_replays,
    versions_read,
    versions_that_hold,
)
from prometheus.stores.historical import HistoricalDb, StaleWriteError, WriteId
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
NIGHTS = US.sessions(date(2016, 5, 2), date(2016, 6, 10))
END = date(2016, 12, 30)


def night(day: date, attempt: int = 1) -> WriteId:
    return WriteId(f"us_eq_daily.{day}", "validate", "prices_daily", attempt, "pin")


def rows(day: date, value: float) -> pl.DataFrame:
    return pl.DataFrame({"date": [day] * 3, "instrument_id": ["A", "B", "C"], "close": [value, 2.0, 3.0]})


def read(store: HistoricalDb, version: int | None = None) -> pl.DataFrame:
    versions = {} if version is None else {"prices_daily": version}
    return store.as_of(END, market="US_EQ", versions=versions).read("prices_daily")


def files(root: Path) -> int:
    return len(list((root / "prices_daily").rglob("*.parquet")))


def test_small_files_are_folded_and_no_row_changes(store: HistoricalDb, tmp_path: Path) -> None:
    root = tmp_path / "historical"
    before, version = read(store), store.versions()["prices_daily"]
    (planned,) = compact(root, files_at_least=10, dry_run=True)
    assert (planned.action, planned.files_before, planned.files_after) == ("would fold", len(NIGHTS), 1)
    assert store.versions()["prices_daily"] == version
    (done,) = compact(root, files_at_least=10)
    assert (done.action, done.files_after) == ("folded", 1)
    assert read(store).equals(before)
    assert read(store, version).equals(before)
    assert compact(root, files_at_least=10)[0].action == "nothing"


def test_a_table_with_few_files_is_left_alone(store: HistoricalDb, tmp_path: Path) -> None:
    version = store.versions()
    assert compact(tmp_path / "historical", files_at_least=len(NIGHTS) + 1)[0].action == "nothing"
    assert store.versions() == version


def test_the_markets_and_years_of_a_table_are_never_mixed(store: HistoricalDb, tmp_path: Path) -> None:
    for day in NIGHTS[:10]:
        store.write_days("prices_daily", rows(day, 9.0), night(day), market="JP_EQ")
    early = US.sessions(date(2015, 6, 1), date(2015, 6, 10))
    for day in early:
        store.write_days("prices_daily", rows(day, 1.0), night(day), market="US_EQ")
    compact(tmp_path / "historical", files_at_least=10)
    partitions = DeltaTable(tmp_path / "historical" / "prices_daily").get_add_actions(flatten=True)
    kept = list(
        zip(
            partitions["partition._market"].to_pylist(),
            partitions["partition._year"].to_pylist(),
            strict=True,
        )
    )
    assert sorted(set(kept)) == [("JP_EQ", 2016), ("US_EQ", 2015), ("US_EQ", 2016)]
    assert kept.count(("US_EQ", 2015)) == len(early)
    assert kept.count(("US_EQ", 2016)) == kept.count(("JP_EQ", 2016)) == 1


def test_after_all_upkeep_a_repeated_write_is_skipped_and_a_late_one_refused(
    store: HistoricalDb, tmp_path: Path
) -> None:
    root, day = tmp_path / "historical", NIGHTS[3]
    store.write_days("prices_daily", rows(day, 7.0), night(day, attempt=2), market="US_EQ")
    compact(root, files_at_least=2)
    vacuum(root, days=0, replays_since=END)
    DeltaTable(root / "prices_daily").create_checkpoint()
    DeltaTable(root / "prices_daily").cleanup_metadata()
    again = store.write_days("prices_daily", rows(day, 7.0), night(day, attempt=2), market="US_EQ")
    assert again.action == "skipped"
    with pytest.raises(StaleWriteError, match="attempt 2"):
        store.write_days("prices_daily", rows(day, 3.0), night(day, attempt=1), market="US_EQ")
    first = store.write_days("prices_daily", rows(NIGHTS[0], 0.0), night(NIGHTS[0]), market="US_EQ")
    assert first.action == "skipped"


def test_a_new_table_keeps_its_log_for_good(store: HistoricalDb, tmp_path: Path) -> None:
    settings = DeltaTable(tmp_path / "historical" / "prices_daily").metadata().configuration
    assert settings["delta.enableExpiredLogCleanup"] == "false"


def test_writers_and_folding_go_on_side_by_side(store: HistoricalDb, tmp_path: Path) -> None:
    root = tmp_path / "historical"
    faults: list[BaseException] = []

    def write(offset: int) -> None:
        try:
            for place, day in enumerate(NIGHTS[offset::2]):
                store.write_days(
                    "prices_daily", rows(day, 100.0 + place), night(day, attempt=3), market="US_EQ"
                )
        except BaseException as fault:  # noqa: BLE001 - told by the main thread, whatever it is
            faults.append(fault)

    writers = [threading.Thread(target=write, args=(offset,)) for offset in (0, 1)]
    for writer in writers:
        writer.start()
    actions = []
    while any(writer.is_alive() for writer in writers):
        actions.append(compact(root, files_at_least=3)[0].action)
    for writer in writers:
        writer.join()
    assert faults == []
    assert set(actions) <= {"folded", "nothing", "busy"}
    expected = {day: 100.0 + place // 2 for place, day in enumerate(NIGHTS)}
    found = read(store).filter(pl.col("instrument_id") == "A")
    assert dict(found.select("date", "close").iter_rows()) == expected
    assert read(store).height == 3 * len(NIGHTS)


def test_vacuum_keeps_what_replays_need_and_says_first_what_it_would_do(
    store: HistoricalDb, tmp_path: Path
) -> None:
    root = tmp_path / "historical"
    seen = {day: read(store, version) for version, day in enumerate(NIGHTS, 1)}
    compact(root, files_at_least=2)
    table = DeltaTable(root / "prices_daily")
    assert versions_of_replays(table, None) == list(range(1, len(NIGHTS) + 1))
    assert versions_of_replays(table, NIGHTS[-2]) == [len(NIGHTS) - 1, len(NIGHTS)]
    held = files(root)
    assert vacuum(root, days=0, replays_since=None)[0].files == 0
    (planned,) = vacuum(root, days=0, replays_since=END, dry_run=True)
    assert (planned.action, planned.files, planned.kept_versions) == ("would remove", len(NIGHTS), 0)
    assert planned.bytes > 0
    assert files(root) == held
    (done,) = vacuum(root, days=0, replays_since=NIGHTS[-2])
    assert (done.files, done.kept_versions) == (
        0,
        2,
    )  # the last nights' versions hold every older night's file
    for version, day in enumerate(NIGHTS, 1):
        assert read(store, version).equals(seen[day])


@settings(
    max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lives=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10)), min_size=1, max_size=8),
    keep=st.sets(st.integers(0, 40), max_size=12),
)
def test_the_versions_that_hold_name_every_file_that_a_kept_version_names(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, int]], keep: set[int]
) -> None:
    """Against a plain reading: of each file, whether any kept version, and any chosen one, lies in its life."""
    path = tmp_path_factory.mktemp("table")
    (path / "_delta_log").mkdir()
    log: dict[int, list[str]] = {}
    for place, (begin, length) in enumerate(lives):
        log.setdefault(begin, []).append(json.dumps({"add": {"path": f"y%3D1/{place}"}}))
        log.setdefault(begin + length, []).append(json.dumps({"remove": {"path": f"y%3D1/{place}"}}))
    for version, lines in log.items():
        (path / "_delta_log" / f"{version:020d}.json").write_text("\n".join(lines))
    files = [path / "y=1" / str(place) for place in range(len(lives))]
    chosen = versions_that_hold(path, files, sorted(keep))
    assert set(chosen) <= keep
    for begin, length in lives:
        life = range(begin, begin + length)
        assert any(version in life for version in chosen) == any(version in life for version in keep)


def test_of_many_plain_nights_one_version_holds_all(store: HistoricalDb, tmp_path: Path) -> None:
    path = tmp_path / "historical" / "prices_daily"

    def files_of(version: int) -> list[Path]:
        names = DeltaTable(path, version=version).get_add_actions(flatten=True)["path"].to_pylist()
        return [path / unquote(name) for name in names]

    before = files_of(len(NIGHTS))
    compact(tmp_path / "historical", files_at_least=2)
    assert versions_that_hold(path, before, range(1, len(NIGHTS) + 1)) == [len(NIGHTS)]
    assert versions_that_hold(path, files_of(1), [1, 2]) == [2]
    assert versions_that_hold(path, [path / "of another time"], [1, 2]) == [1, 2]


def test_a_version_that_nobody_needs_is_gone_and_the_newest_stays(
    store: HistoricalDb, tmp_path: Path
) -> None:
    root, day = tmp_path / "historical", NIGHTS[0]
    for attempt in (2, 3):
        store.write_days("prices_daily", rows(day, 10.0 * attempt), night(day, attempt), market="US_EQ")
    newest = read(store)
    (done,) = vacuum(root, days=0, replays_since=day)
    assert (done.action, done.files) == ("removed", 1)  # of the second attempt, which the third replaced
    assert read(store).equals(newest)
    assert read(store, len(NIGHTS)).height == 3 * len(NIGHTS)
    with pytest.raises(Exception, match="No such file"):
        read(store, len(NIGHTS) + 1)


def test_a_version_that_an_engine_has_read_keeps_its_files(store: HistoricalDb, tmp_path: Path) -> None:
    root, day = tmp_path / "historical", NIGHTS[0]
    for attempt in (2, 3):
        store.write_days("prices_daily", rows(day, 10.0 * attempt), night(day, attempt), market="US_EQ")
    second = read(store, len(NIGHTS) + 1)
    runtime = RuntimeDb(f"sqlite:///{tmp_path / 'runtime.db'}")
    key = {"as_of_date": day, "market_id": "US_EQ", "engine": "regime"}
    with runtime.commit(runtime.claim("regime", 1)) as connection:
        used = [("prices_daily", len(NIGHTS) + 1), ("absent", -1)]
        versions = [{"table_name": name, "version": version, "run_id": "r"} for name, version in used]
        runtime.replace(connection, "table_versions", key, versions)
    kept = versions_read(runtime, None)
    assert versions_read(runtime, NIGHTS[1]) == {}
    (done,) = vacuum(root, days=0, replays_since=END, read_by_engines=kept)
    assert (done.kept_versions, read(store, len(NIGHTS) + 1).equals(second)) == (1, True)


def test_young_versions_stay_whatever_replays_need(store: HistoricalDb, tmp_path: Path) -> None:
    compact(tmp_path / "historical", files_at_least=2)
    (done,) = vacuum(tmp_path / "historical", days=30, replays_since=END)
    assert (done.action, done.files) == ("nothing", 0)


def test_a_table_that_cannot_be_opened_is_named(store: HistoricalDb, tmp_path: Path) -> None:
    for entry in (tmp_path / "historical" / "prices_daily" / "_delta_log").glob("*.json"):
        entry.write_text("not json")
    with pytest.raises(StoreError, match=r"(?s)prices_daily.*db health"):
        compact(tmp_path / "historical")


def test_there_is_nothing_to_do_where_there_is_nothing(tmp_path: Path) -> None:
    assert compact(tmp_path / "none") == []
    assert vacuum(tmp_path / "none", days=0, replays_since=None) == []
    assert prune(tmp_path / "none", END) == 0


def test_old_quarantined_rows_leave_and_younger_ones_stay(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    for day in NIGHTS[:4]:
        store.write_days("quarantine", rows(day, 1.0), night(day), market="US_EQ")
    assert prune(tmp_path, NIGHTS[2], dry_run=True) == 6
    assert store.as_of(END, market="US_EQ").read("quarantine").height == 12
    assert prune(tmp_path, NIGHTS[2]) == 6
    left = store.as_of(END, market="US_EQ").read("quarantine")
    assert left["date"].unique().sort().to_list() == NIGHTS[2:4]
    assert prune(tmp_path, NIGHTS[2]) == 0
