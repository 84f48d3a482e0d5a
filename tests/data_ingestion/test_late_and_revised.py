"""Nights on a user's files: late files are waited for, late and revised rows spread, and what vendors did is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prometheus.core.errors import DataError
from prometheus.core.outcomes import TryAgain
from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion import jobs
from prometheus.data_ingestion.synthetic import SyntheticPanel
from prometheus.features import jobs as features
from prometheus.stores.historical import HistoricalDb, HistoricalView
from prometheus.stores.runtime import RuntimeDb

US = TradingCalendar("US_EQ")
SESSIONS = US.sessions(date(2008, 6, 2), date(2008, 10, 13))
STOCKS = 24
TABLES = ("prices_daily", "quarantine", "returns_daily", "volatility_daily", "correlation_panels")
Night = Callable[..., dict[str, Any]]

SETTINGS = """
[sources.US_EQ]
kind = "folder"
path = "files"
"""


class Vendor:
    """Writes a file a day, as a vendor does; the values are those of a generated panel."""

    def __init__(self, folder: Path, sessions: list[date] = SESSIONS) -> None:
        self.folder = folder
        panel = SyntheticPanel(US, "US_EQ", 5)
        names = [f"SYN_US_EQ_{number:03d}" for number in range(1, STOCKS + 1)]
        self.frames = {
            dataset: panel.read(dataset, sessions[-1], sessions).filter(pl.col("instrument_id").is_in(names))
            for dataset in ("prices", "volumes")
        }
        faulty = (pl.col("row_date") == sessions[9]) & (pl.col("instrument_id") == names[2])
        volume = pl.when(faulty).then(0.0).otherwise("dollar_volume").alias("dollar_volume")
        self.frames["volumes"] = self.frames["volumes"].with_columns(
            volume
        )  # so that the quarantine is not empty

    def send(self, *days: date, dataset: str = "", extra: pl.DataFrame | None = None) -> None:
        for name, frame in self.frames.items():
            if dataset and name != dataset:
                continue
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            for (day,), usual in frame.filter(pl.col("row_date").is_in(days)).group_by("row_date"):
                with_extra = extra is not None and name == "prices" and day == days[-1]
                rows = pl.concat([usual, extra]) if with_extra and extra is not None else usual
                rows.write_csv(self.folder / name / f"{day}.csv")

    def revision(self, day: date, stock: int = 1, value: float = -0.045) -> pl.DataFrame:
        name = f"SYN_US_EQ_{stock:03d}"
        of = (pl.col("row_date") == day) & (pl.col("instrument_id") == name)
        return self.frames["prices"].filter(of).with_columns(pl.lit(value).alias("ret_1d"))

    def correct(self, revision: pl.DataFrame) -> None:
        """As if the revised value had been sent in the first place."""
        key = ["row_date", "instrument_id"]
        self.frames["prices"] = self.frames["prices"].update(revision, on=key)


@pytest.fixture
def vendor(home: Path) -> Vendor:
    (home.parent / "prometheus.toml").write_text(SETTINGS)
    return Vendor(home.parent / "files")


@pytest.fixture
def ingest(make_task: Callable[..., Any]) -> Night:
    def run(session: date, **others: Any) -> dict[str, Any]:
        names = ("ingest_prices", "ingest_volumes")
        return {name: getattr(jobs, name)(make_task(session, name, **others)) for name in names}

    return run


@pytest.fixture
def night(ingest: Night, make_task: Callable[..., Any]) -> Night:
    def run(session: date, **others: Any) -> dict[str, Any]:
        done = ingest(session, **others)
        for job in (jobs.validate, features.returns, features.volatility, features.correlations):
            done[job.__name__] = job(make_task(session, job.__name__, **others))
        return done

    return run


def view(day: date = SESSIONS[-1]) -> HistoricalView:
    return HistoricalDb(load_settings().historical_path).as_of(day, market="US_EQ")


def tables(day: date = SESSIONS[-1]) -> dict[str, pl.DataFrame]:
    return {table: view(day).read(table) for table in TABLES}


def facts(**equals: object) -> list[tuple[date, str, str, int]]:
    rows = RuntimeDb(load_settings().runtime_url).rows("vendor_facts", **equals)
    return [(row["as_of_date"], row["dataset"], row["fact"], row["rows"]) for row in rows]


@pytest.mark.parametrize("back", [1, 30, 80])
def test_a_correction_applied_at_night_and_a_bulk_load_of_the_corrected_history_give_the_same_bits(
    night: Night, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, back: int
) -> None:
    day = SESSIONS[-3 - back]
    vendor.send(*SESSIONS[:-2])
    night(SESSIONS[-4])
    night(SESSIONS[-3])
    vendor.send(SESSIONS[-2], extra=vendor.revision(day))
    done = night(SESSIONS[-2])
    assert done["ingest_prices"]["facts"] == [f"folder:US_EQ revised 1 rows of prices of {day} to {day}"]
    assert facts() == [(SESSIONS[-2], "prices", "revised", 1)]
    vendor.send(SESSIONS[-1])
    assert night(SESSIONS[-1])["validate"]["days"] == 1
    nightly = tables()
    vendor.correct(vendor.revision(day))
    vendor.send(*SESSIONS)
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "bulk"))
    night(SESSIONS[-1])
    for table, frame in tables().items():
        assert_frame_equal(frame, nightly[table], check_exact=True)
    revised = nightly["prices_daily"].filter(
        pl.col("date") == day, pl.col("instrument_id") == "SYN_US_EQ_001"
    )
    assert revised["ret_1d"].to_list() == [-0.045]


def test_a_correction_changes_the_verdict_on_later_days_whose_rules_look_back_to_it(
    make_task: Callable[..., Any], ingest: Night, vendor: Vendor
) -> None:
    still = SESSIONS[-20:-15]
    stock = pl.col("instrument_id") == "SYN_US_EQ_004"
    zero = pl.when(stock & pl.col("row_date").is_in(still) & (pl.col("row_date") != still[2])).then(0.0)
    vendor.frames["prices"] = vendor.frames["prices"].with_columns(zero.otherwise("ret_1d").alias("ret_1d"))
    vendor.send(*SESSIONS[:-1])
    ingest(SESSIONS[-2])
    jobs.validate(make_task(SESSIONS[-2], "validate"))
    assert view().read("prices_daily", since=still[-1]).filter(stock, pl.col("date") == still[-1]).height == 1
    vendor.send(SESSIONS[-1], extra=vendor.revision(still[2], stock=4, value=0.0))
    ingest(SESSIONS[-1])
    jobs.validate(make_task(SESSIONS[-1], "validate"))
    found = view().read("quarantine").filter(stock)
    assert found.select("date", "rule").rows() == [(still[-1], "stale_price")]
    assert view().read("prices_daily").filter(stock, pl.col("date") == still[-1]).is_empty()


def test_what_earlier_nights_were_told_stays_in_staging(night: Night, vendor: Vendor) -> None:
    day = SESSIONS[-5]
    vendor.send(*SESSIONS[:-1])
    night(SESSIONS[-2])
    original = view(SESSIONS[-2]).read("prices_staged")
    vendor.send(SESSIONS[-1], extra=vendor.revision(day))
    night(SESSIONS[-1])
    assert view(SESSIONS[-2]).read("prices_staged").equals(original)
    added = view().read("prices_staged", since=SESSIONS[-1]).filter(pl.col("row_date") == day)
    assert added.select("date", "ret_1d").rows() == [(SESSIONS[-1], -0.045)]


def test_a_night_before_the_correction_is_run_again_as_it_was_and_the_next_one_repairs(
    night: Night, vendor: Vendor
) -> None:
    vendor.send(*SESSIONS[:-2])
    night(SESSIONS[-3])
    then = tables(SESSIONS[-3])
    vendor.send(SESSIONS[-2], extra=vendor.revision(SESSIONS[-9]))
    night(SESSIONS[-2])
    corrected = tables(SESSIONS[-2])
    night(SESSIONS[-3], attempt=2)
    for table, frame in tables(SESSIONS[-3]).items():
        assert_frame_equal(frame, then[table], check_exact=True)
    night(SESSIONS[-2], attempt=2)
    for table, frame in tables(SESSIONS[-2]).items():
        assert_frame_equal(frame, corrected[table], check_exact=True)


def test_a_file_that_has_not_come_is_waited_for_and_then_an_error(ingest: Night, vendor: Vendor) -> None:
    vendor.send(*SESSIONS[:-1])
    ingest(SESSIONS[-2])
    for attempt in (1, 2, 3):
        with pytest.raises(TryAgain, match=f"no prices for {SESSIONS[-1]} yet; it has .* to {SESSIONS[-2]}"):
            ingest(SESSIONS[-1], attempt=attempt)
    with pytest.raises(DataError, match=r"still has no prices .* at attempt 4.*then retry the task"):
        ingest(SESSIONS[-1], attempt=4)
    assert facts() == [(SESSIONS[-1], "prices", "gap", 0)]


def test_a_file_that_came_while_it_was_waited_for_is_a_late_one(ingest: Night, vendor: Vendor) -> None:
    vendor.send(*SESSIONS[:-1])
    with pytest.raises(TryAgain):
        ingest(SESSIONS[-1])
    vendor.send(SESSIONS[-1])
    ingest(SESSIONS[-1], attempt=2)
    assert facts() == [(SESSIONS[-1], "prices", "late", STOCKS)]
    ingest(SESSIONS[-1], attempt=3)
    assert facts() == [(SESSIONS[-1], "prices", "late", STOCKS)]


def test_a_session_whose_file_came_a_day_late_is_filled_in_by_the_next_night(
    night: Night,
    ingest: Night,
    vendor: Vendor,
    make_task: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    vendor.send(*SESSIONS[:-2])
    night(SESSIONS[-3])
    with pytest.raises(TryAgain):
        ingest(SESSIONS[-2])
    with pytest.raises(TryAgain):
        jobs.ingest_volumes(make_task(SESSIONS[-2], "ingest_volumes"))
    vendor.send(*SESSIONS)
    done = night(SESSIONS[-1])
    assert done["validate"]["days"] == 2
    assert facts(as_of_date=SESSIONS[-1]) == [
        (SESSIONS[-1], "prices", "late", STOCKS),
        (SESSIONS[-1], "volumes", "late", STOCKS),
    ]
    nightly = tables()
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "bulk"))
    night(SESSIONS[-1])
    for table, frame in tables().items():
        assert_frame_equal(frame, nightly[table], check_exact=True)


def test_a_thin_file_and_rows_that_are_gone_are_noted_once(ingest: Night, vendor: Vendor) -> None:
    vendor.send(*SESSIONS[:-3])
    ingest(SESSIONS[-4])
    few = pl.col("instrument_id") <= "SYN_US_EQ_010"
    whole = vendor.frames["prices"]
    vendor.frames["prices"] = whole.filter((pl.col("row_date") < SESSIONS[-6]) | few)
    vendor.send(*SESSIONS[-6:-2])
    done = ingest(SESSIONS[-3])
    assert facts() == [
        (SESSIONS[-3], "prices", "thin", 10),
        (SESSIONS[-3], "prices", "withdrawn", 3 * (STOCKS - 10)),
    ]
    assert (
        f"10 instruments have prices on {SESSIONS[-3]}, {STOCKS} had on {SESSIONS[-4]}"
        in done["ingest_prices"]["facts"]
    )
    vendor.send(SESSIONS[-2])
    ingest(SESSIONS[-2])
    assert facts(as_of_date=SESSIONS[-2]) == []


def test_a_market_whose_folder_has_no_such_dataset_notes_the_gap(
    vendor: Vendor, make_task: Callable[..., Any]
) -> None:
    vendor.send(SESSIONS[-1])
    assert jobs.ingest_macro(make_task(SESSIONS[-1], "ingest_macro"))["gap"] is True


def test_a_context_file_that_cannot_be_read_costs_the_night_that_dataset_alone_and_is_made_up_for(
    home: Path, make_task: Callable[..., Any]
) -> None:
    (home.parent / "prometheus.toml").write_text('[sources.US_EQ.fx]\nkind = "folder"\npath = "fx.csv"\n')
    file, first, second = home.parent / "fx.csv", SESSIONS[-2], SESSIONS[-1]
    file.write_text(f"row_date,instrument_id,rate\n{first},EURUSD,n/a\n")
    for attempt in (1, 2, 3):
        with pytest.raises(DataError, match=r"line 2: 'rate' is 'n/a'"):
            jobs.ingest_fx(make_task(first, "ingest_fx", attempt=attempt))
    done = jobs.ingest_fx(make_task(first, "ingest_fx", attempt=4))
    assert isinstance(done, dict)
    assert (done["gap"], done["rows"], done["notes"]) == (True, 0, done["facts"])
    assert re.match(rf"no fx for {first}, they cannot be read: .* line 2: 'rate' is 'n/a'", done["notes"][0])
    assert facts() == [(first, "fx", "gap", 0)]
    file.write_text(f"row_date,instrument_id,rate\n{first},EURUSD,1.1\n{second},EURUSD,1.2\n")
    assert jobs.ingest_fx(make_task(second, "ingest_fx"))["rows"] == 2
    staged = view().read("fx_staged", columns=["date", "row_date", "rate"])
    assert staged.rows() == [(first, first, 1.1), (second, second, 1.2)]


def test_the_settings_are_checked_before_anything_is_written(
    home: Path, vendor: Vendor, make_task: Callable[..., Any]
) -> None:
    file = home.parent / "prometheus.toml"
    file.write_text('[sources.US_EQ.price]\nkind = "folder"\npath = "files"\n')
    with pytest.raises(DataError, match=r"sources\.US_EQ\.price\] .*does not exist.*prices"):
        jobs.ingest_prices(make_task(SESSIONS[-1], "ingest_prices"))
    file.write_text('[sources.US_EQ]\nkind = "folder"\n')
    with pytest.raises(DataError, match="has no path"):
        jobs.ingest_prices(make_task(SESSIONS[-1], "ingest_prices"))


def test_a_market_that_is_all_synthetic_has_what_can_be_made_up_and_notes_the_rest(
    home: Path, make_task: Callable[..., Any]
) -> None:
    (home.parent / "prometheus.toml").write_text('[sources.US_EQ]\nkind = "synthetic"\n')
    done = {
        name: getattr(jobs, f"ingest_{name}")(make_task(SESSIONS[-1], f"ingest_{name}"))
        for name in ("prices", "indices", "futures", "texts", "macro")
    }
    assert {name: out["synthetic"] for name, out in done.items() if not out["gap"]} == dict.fromkeys(
        ("prices", "indices", "futures", "texts"), True
    )
    assert done["macro"]["source"] is None


def test_a_dataset_that_is_asked_for_as_reference_or_synthetic_and_is_neither_is_an_error(
    home: Path, make_task: Callable[..., Any]
) -> None:
    for kind, dataset, message in (
        ("synthetic", "macro", "no synthetic source of macro"),
        ("reference", "futures", "no market 'US_EQ' for futures.*no market"),
    ):
        (home.parent / "prometheus.toml").write_text(f'[sources.US_EQ.{dataset}]\nkind = "{kind}"\n')
        with pytest.raises(DataError, match=message):
            getattr(jobs, f"ingest_{dataset}")(make_task(SESSIONS[-1], f"ingest_{dataset}"))
    with pytest.raises(DataError, match="`patience` is 'long'"):
        jobs.ingest_fx(
            make_task(SESSIONS[-1], "ingest_fx", params={"patience": "long", "source": "auto"}, market="XNYS")
        )


def test_a_store_of_one_vendor_is_not_filled_up_from_another(
    ingest: Night, home: Path, vendor: Vendor
) -> None:
    vendor.send(*SESSIONS)
    ingest(SESSIONS[-2])
    (home.parent / "prometheus.toml").write_text(SETTINGS + 'name = "another"\n')
    with pytest.raises(DataError, match="come from 'folder:US_EQ', this run would add 'another'"):
        ingest(SESSIONS[-1])
    (home.parent / "prometheus.toml").write_text('[sources.US_EQ]\nkind = "synthetic"\n')
    with pytest.raises(DataError, match="filled from 'folder:US_EQ', the synthetic source was asked for"):
        ingest(SESSIONS[-1])
