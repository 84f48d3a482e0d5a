"""historical_db: idempotent, fenced, atomic, and blind to the future."""

from __future__ import annotations

import multiprocessing
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prometheus.core.errors import StoreError
from prometheus.housekeeping.tables import compact
from prometheus.stores.historical import HistoricalDb, StaleWriteError, WriteId

D1, D2, D3 = date(2016, 6, 22), date(2016, 6, 23), date(2016, 6, 24)


def rows(*days: date, close: float = 1.0) -> pl.DataFrame:
    pairs = [(day, name) for day in days for name in ("B", "A")]
    return pl.DataFrame(
        {"date": [p[0] for p in pairs], "instrument_id": [p[1] for p in pairs], "close": close},
        schema={"date": pl.Date, "instrument_id": pl.String, "close": pl.Float64},
    )


def write(run: str = "night.2016-06-24", attempt: int = 1, pin: str = "p1", name: str = "w") -> WriteId:
    return WriteId(run, "ingest", name, attempt, pin)


def closes(store: HistoricalDb, day: date = D3) -> dict[tuple[date, str], float]:
    frame = store.as_of(day).read("prices")
    return {(d, i): c for d, i, c in frame.iter_rows()}


def test_rows_come_back_sorted_by_date_and_instrument(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    assert store.write_days("prices", rows(D2, D1), write()).action == "created"
    frame = store.as_of(D3).read("prices")
    assert frame.columns == ["date", "instrument_id", "close"]
    assert frame["date"].to_list() == [D1, D1, D2, D2]
    assert frame["instrument_id"].to_list() == ["A", "B", "A", "B"]


@pytest.mark.parametrize("folder", ["my desk", "Börse", "a#b?c&d"])
def test_a_store_may_lie_in_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path / folder)
    store.write_days("prices", rows(D1, D2), write())
    assert store.write_days("prices", rows(D2, close=2.0), write(name="again")).action == "replaced"
    store.write_days("prices", rows(D3, close=3.0), write(name="next"))
    assert closes(store) == {
        (day, one): close for day, close in ((D1, 1.0), (D2, 2.0), (D3, 3.0)) for one in "AB"
    }
    assert closes(store, D2) == {(day, one): close for day, close in ((D1, 1.0), (D2, 2.0)) for one in "AB"}
    assert [one.action for one in compact(tmp_path / folder, files_at_least=2)] == ["folded"]
    assert store.as_of(D3).dates("prices") == [D1, D2, D3]


def test_nothing_later_than_the_as_of_date_is_visible(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2, D3), write())
    view = store.as_of(D2)
    assert view.read("prices")["date"].max() == D2
    assert view.last_date("prices") == D2
    assert view.dates("prices") == [D1, D2]
    assert view.has("prices", D2)
    assert not view.has("prices", D3)
    assert view.read("prices", since=D3).is_empty()


def test_a_column_that_is_not_read_still_orders_the_rows(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    frame = rows(D1).with_columns(close=pl.when(pl.col("instrument_id") == "A").then(1.0).otherwise(2.0))
    store.write_days("prices", frame, write())
    assert store.as_of(D1).read("prices", columns=["close"])["close"].to_list() == [1.0, 2.0]


def test_a_repeated_write_is_skipped_in_a_later_attempt_too(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write())
    before = store.versions()
    assert store.write_days("prices", rows(D1), write(attempt=2)).action == "skipped"
    assert store.versions() == before


def test_a_later_attempt_with_other_rows_replaces_and_the_zombie_is_refused(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, close=1.0), write(attempt=1))
    assert store.write_days("prices", rows(D1, close=2.0), write(attempt=2)).action == "replaced"
    with pytest.raises(StaleWriteError, match="attempt 2 has already written"):
        store.write_days("prices", rows(D1, close=1.0), write(attempt=1))
    assert set(closes(store).values()) == {2.0}


def test_rows_written_before_but_replaced_since_are_written_again(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    for attempt, close in ((1, 1.0), (2, 2.0), (3, 1.0)):
        store.write_days("prices", rows(D1, close=close), write(attempt=attempt))
    assert set(closes(store).values()) == {1.0}


def test_other_code_writes_anew_even_if_the_rows_are_equal(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write(pin="p1"))
    assert store.write_days("prices", rows(D1), write(pin="p2", attempt=2)).action == "replaced"


def test_another_run_replaces_its_own_days_and_leaves_the_others(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2, D3, close=1.0), write("bulk"))
    assert store.write_days("prices", rows(D1, D3, close=5.0), write("fix")).action == "replaced"
    found = closes(store)
    assert [found[day, "A"] for day in (D1, D2, D3)] == [5.0, 1.0, 5.0]
    assert len(found) == 6


def test_a_covered_day_without_rows_loses_what_an_older_run_had_put_there(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2), write("first"))
    result = store.write_days("prices", rows(D1).clear(), write("second"), days=[D2])
    assert (result.action, result.rows) == ("replaced", 0)
    assert store.as_of(D3).dates("prices") == [D1]
    assert store.write_days("prices", rows(D1).clear(), write("second"), days=[D2]).action == "skipped"


def test_two_markets_keep_their_own_rows_of_one_date(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2, close=1.0), write("us"), market="US_EQ")
    store.write_days("prices", rows(D1, D2, close=2.0), write("eu"), market="EU_EQ")
    assert store.write_days("prices", rows(D2, close=3.0), write("us2"), market="US_EQ").action == "replaced"
    us = store.as_of(D3, market="US_EQ").read("prices")
    assert us.columns == ["date", "instrument_id", "close"]
    assert us["close"].to_list() == [1.0, 1.0, 3.0, 3.0]
    assert store.as_of(D3, market="EU_EQ").read("prices")["close"].to_list() == [2.0] * 4
    store.write_days("prices", rows(D1).clear(), write("us3"), days=[D1], market="US_EQ")
    assert store.as_of(D3, market="US_EQ").dates("prices") == [D2]
    assert store.as_of(D3, market="EU_EQ").dates("prices") == [D1, D2]
    assert store.as_of(D3).read("prices").is_empty()


def test_an_earlier_version_can_be_read_as_it_was(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, close=1.0), write("first"))
    then = store.versions()
    store.write_days("prices", rows(D1, close=2.0), write("second"))
    assert set(store.as_of(D3, versions=then).read("prices")["close"]) == {1.0}
    assert set(store.as_of(D3).read("prices")["close"]) == {2.0}


def test_a_view_does_not_change_under_its_reader(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write("first"))
    view = store.as_of(D3)
    assert view.last_date("prices") == D1
    store.write_days("prices", rows(D2), write("second"))
    assert view.last_date("prices") == D1
    assert view.version("prices") == store.as_of(D3).version("prices") - 1  # type: ignore[operator]


def test_a_crash_between_the_files_and_the_commit_leaves_nothing_and_the_retry_writes_once(
    tmp_path: Path,
) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write("first"))
    # What such a crash leaves: a data file that no commit names.
    orphan = tmp_path / "prices" / "_market=-" / "_year=2016" / "part-orphan.parquet"
    rows(D2, close=9.0).write_parquet(orphan)
    assert store.as_of(D3).dates("prices") == [D1]
    assert store.write_days("prices", rows(D2, close=9.0), write("second", attempt=2)).action == "appended"
    assert len(closes(store)) == 4


def test_a_crash_after_the_commit_but_before_the_answer_does_not_write_twice(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write("first"))
    store.write_days("prices", rows(D2), write("second", attempt=1))  # the attempt dies here, unheard
    assert store.write_days("prices", rows(D2), write("second", attempt=2)).action == "skipped"
    assert len(closes(store)) == 4


def test_a_commit_that_another_writer_overtook_looks_again(tmp_path: Path) -> None:
    """Delta refuses a commit on a stale handle: the ground on which the fence stands."""
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write("first"))
    stale = DeltaTable(tmp_path / "prices")
    store.write_days("prices", rows(D2), write("second"))
    marked = rows(D3).with_columns(pl.lit("-").alias("_market"), pl.col("date").dt.year().alias("_year"))
    properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction("x", 1)])
    with pytest.raises(Exception, match=r"[Cc]ommit"):
        write_deltalake(stale, marked, mode="append", commit_properties=properties)


def _write_in_process(root: str, name: str, days: list[date]) -> None:
    store = HistoricalDb(Path(root))
    for day in days:
        store.write_days("prices", rows(day, close=float(day.day)), write(f"run-{name}", name=name))
        store.write_days("prices", rows(day, close=float(day.day)), write("shared", name="same"))


@pytest.mark.parametrize("fresh", [True, False])
def test_several_processes_write_one_table_without_losing_or_doubling_a_row(
    tmp_path: Path, fresh: bool
) -> None:
    if not fresh:
        HistoricalDb(tmp_path).write_days("prices", rows(date(2015, 1, 2)), write("earlier"))
    context = multiprocessing.get_context("spawn")
    days = [date(2016, 1, 1) + timedelta(days=k) for k in range(6)]
    writers = [
        context.Process(target=_write_in_process, args=(str(tmp_path), n, days)) for n in ("a", "b", "c")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    frame = HistoricalDb(tmp_path).as_of(D3).read("prices", since=days[0])
    assert frame.height == 2 * len(days)
    assert frame.select(pl.struct("date", "instrument_id").is_duplicated().any()).item() is False


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"close": [1.0]}), "`date` column"),
        (pl.DataFrame({"date": ["2016-06-24"], "close": [1.0]}), "of type String"),
        (rows(D2).rename({"close": "price"}), "close: table Float64, rows absent"),
        (rows(D2).with_columns(pl.col("close").cast(pl.Int64)), "close: table Float64, rows Int64"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write("first"))
    with pytest.raises(StoreError, match=message):
        store.write_days("prices", frame, write("second"))


def test_dates_outside_the_days_being_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="2016-06-24"):
        HistoricalDb(tmp_path).write_days("prices", rows(D2, D3), write(), days=[D2])


def test_missing_tables_and_columns_are_named_with_what_there_is(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    assert store.as_of(D3).last_date("prices") is None
    assert not store.as_of(D3).has("prices", D3)
    assert store.as_of(D3).dates("prices") == []
    store.write_days("prices", rows(D1), write())
    with pytest.raises(StoreError, match=r"'volumes' does not exist.*prices"):
        store.as_of(D3).read("volumes")
    with pytest.raises(StoreError, match=r"no column volume.*instrument_id"):
        store.as_of(D3).read("prices", columns=["volume"])
    with pytest.raises(Exception, match="cannot be used"):
        store.as_of(D3).read("../secrets")


def test_a_table_with_a_damaged_log_is_named(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write())
    for entry in (tmp_path / "prices" / "_delta_log").glob("*.json"):
        entry.write_text("not json")
    with pytest.raises(StoreError, match="prices"):
        store.as_of(D3).read("prices")


_DAYS = [date(2015, 12, 30) + timedelta(days=k) for k in range(5)]


@settings(
    max_examples=settings().max_examples // 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    writes=st.lists(
        st.tuples(st.lists(st.sampled_from(_DAYS), min_size=1, max_size=4, unique=True), st.integers(0, 3)),
        min_size=1,
        max_size=6,
    )
)
def test_any_order_of_writes_equals_a_dictionary_of_days(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[list[date], int]]
) -> None:
    store = HistoricalDb(tmp_path_factory.mktemp("delta"))
    expected: dict[tuple[date, str], float] = {}
    for number, (days, value) in enumerate(writes):
        store.write_days("prices", rows(*days, close=float(value)), write(f"run{number}"))
        expected |= {(day, name): float(value) for day in days for name in ("A", "B")}
    assert closes(store) == expected


def test_what_rows_were_computed_from_is_kept_beside_them_and_never_shown_as_a_column(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1), write(name="old"))
    store.write_days("prices", rows(D2, D3), write(), stamps={D2: -5, D3: 2**62})
    assert store.as_of(D3).stamps("prices") == {D1: None, D2: -5, D3: 2**62}
    assert store.as_of(D2).stamps("prices") == {D1: None, D2: -5}
    assert store.as_of(D3).stamps("absent") == {}
    assert store.as_of(D3).read("prices").columns == ["date", "instrument_id", "close"]


def test_equal_rows_computed_from_something_else_are_written_with_their_new_stamp(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2), write(), stamps={D1: 1, D2: 1})
    assert store.write_days("prices", rows(D1, D2), write(), stamps={D1: 1, D2: 1}).action == "skipped"
    assert store.write_days("prices", rows(D1), write(attempt=2), stamps={D1: 9}).action == "replaced"
    assert store.as_of(D2).stamps("prices") == {D1: 9, D2: 1}
    store.write_days("prices", rows(D2), write(run="another"))
    assert store.as_of(D2).stamps("prices") == {D1: 9, D2: None}


def test_what_another_night_replaced_since_is_written_again_by_the_same_attempt(tmp_path: Path) -> None:
    store = HistoricalDb(tmp_path)
    store.write_days("prices", rows(D1, D2), write())
    store.write_days("prices", rows(D1, close=7.0), write(run="night.2016-06-22"))
    assert store.write_days("prices", rows(D1, D2), write()).action == "replaced"
    assert closes(store)[(D1, "A")] == 1.0
    assert store.write_days("prices", rows(D1, D2), write()).action == "skipped"
