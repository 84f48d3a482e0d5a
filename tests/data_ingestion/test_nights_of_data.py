"""Nights of ingestion and validation through the jobs themselves, on the synthetic and on the real panel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from prometheus.core.errors import DataError, StoreError
from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion import jobs
from prometheus.data_ingestion.choose import choose_source
from prometheus.data_ingestion.cleaning import validate_session
from prometheus.data_ingestion.ingest import ingest
from prometheus.data_ingestion.synthetic import SyntheticPanel
from prometheus.data_ingestion.validation.rules import Limits
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalDb, StaleWriteError
from prometheus.stores.runtime import ClaimLostError, RuntimeDb

US = TradingCalendar("US_EQ")
D1, D2, D3 = date(2008, 10, 9), date(2008, 10, 10), date(2008, 10, 13)
SYNTHETIC = {"source": "synthetic"}
Night = Callable[..., dict[str, Any]]


@pytest.fixture
def night(make_task: Callable[..., Any]) -> Night:
    """The three jobs of a night; returns their outputs."""

    def run(session: date, *, source: str = "synthetic", **others: Any) -> dict[str, Any]:
        params = {"source": source}
        return {
            name: getattr(jobs, name)(make_task(session, name, params=params, **others))
            for name in ("ingest_prices", "ingest_volumes", "validate")
        }

    return run


def prices(as_of: date = D3) -> pl.DataFrame:
    return HistoricalDb(load_settings().historical_path).as_of(as_of, market="US_EQ").read("prices_daily")


def test_the_first_night_loads_history_and_the_second_adds_its_day(night: Night) -> None:
    first = night(D2)
    sessions = US.sessions(date(2007, 1, 3), D2)
    assert first["ingest_prices"]["days"] == len(sessions)
    assert first["validate"]["days"] == len(sessions)
    assert first["validate"]["session_clean"] == 120
    second = night(D3)
    assert second["ingest_prices"]["days"] == 1
    assert second["validate"]["days"] == 1
    assert second["validate"]["clean"] == 120
    json.dumps([first, second], allow_nan=False)
    frame = prices()
    assert frame.columns == [
        "date", "instrument_id", "close_index", "ret_1d", "dollar_volume", "abs_log_open_close", "source", "synthetic",
    ]  # fmt: skip
    assert frame["date"].unique().sort().to_list() == [*sessions, D3]


def test_everything_made_of_synthetic_data_says_so(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    done = night(D2)
    assert all(done[name]["synthetic"] is True for name in done)
    assert "SYNTHETIC" in done["ingest_prices"]["notes"][0]
    frame = prices()
    assert frame["synthetic"].all()
    assert frame["source"].unique().to_list() == ["synthetic:US_EQ:0"]
    instruments = RuntimeDb(load_settings().runtime_url).rows("instruments")
    assert len(instruments) == 120
    assert all(row["synthetic"] and row["instrument_id"].startswith("SYN_") for row in instruments)
    assert "SYNTHETIC DATA" in capfd.readouterr().err


def test_nights_that_were_left_out_are_filled_in(night: Night) -> None:
    night(D1)
    assert night(D3)["ingest_prices"]["days"] == 2
    assert set(prices()["date"].unique().to_list()) >= {D1, D2, D3}


def test_many_nights_and_one_bulk_load_give_the_same_bits(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for session in US.sessions(date(2008, 10, 1), D3):
        night(session)
    nightly = prices()
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path / "another"))
    night(D3)
    assert prices().equals(nightly)


def test_a_night_of_the_past_sees_and_leaves_nothing_of_the_future(night: Night) -> None:
    night(D3)
    before = prices()
    assert night(D1)["validate"]["days"] == 1
    assert prices().equals(before)
    assert prices(D1)["date"].max() == D1


def test_a_second_attempt_of_everything_changes_nothing(night: Night) -> None:
    night(D3)
    store = HistoricalDb(load_settings().historical_path)
    before = prices()
    assert night(D3, attempt=2)["validate"]["days"] == 1
    assert prices().equals(before)
    settled = store.versions()
    again = night(D3, attempt=3)
    assert [again[name]["action"] for name in again] == ["skipped", "skipped", "skipped"]
    assert prices().equals(before)
    assert store.versions() == settled


def test_an_attempt_that_was_overtaken_writes_nothing(night: Night, make_task: Callable[..., Any]) -> None:
    night(D2, attempt=2)
    with pytest.raises(ClaimLostError, match="attempt 2"):
        jobs.ingest_prices(make_task(D2, "ingest_prices", attempt=1, params=SYNTHETIC))


def test_an_attempt_that_is_overtaken_while_it_works_writes_nothing(make_desk: Callable[..., Desk]) -> None:
    zombie = make_desk(D2, "ingest_prices", attempt=1)
    make_desk(D2, "ingest_prices", attempt=2)
    with pytest.raises((ClaimLostError, StaleWriteError)):
        ingest(zombie, SyntheticPanel(US, "US_EQ", 0), "prices", D2, US)
    assert zombie.historical.tables() == ()


@pytest.mark.parametrize("lost", ["quarantine", "prices_daily"])
def test_a_validation_that_died_halfway_is_finished_by_the_next_attempt(
    night: Night, home: Path, make_task: Callable[..., Any], lost: str
) -> None:
    night(D2)
    whole = prices()
    shutil.rmtree(home / "historical" / "prices_daily")  # as if the process had died before that commit
    if lost == "quarantine":
        shutil.rmtree(home / "historical" / "quarantine", ignore_errors=True)
    jobs.validate(make_task(D2, "validate", attempt=2))
    assert prices().equals(whole)


def test_the_real_panel_comes_with_its_warning_and_a_chained_index(night: Night) -> None:
    done = night(D3, source="reference")
    assert done["validate"]["synthetic"] is False
    assert "survivorship" in done["ingest_prices"]["notes"][0]
    assert done["validate"]["quarantined"] == {
        "price_without_volume": 1,
        "unadjusted_action": 2,
        "zero_volume": 1,
    }
    frame = prices().filter(pl.col("instrument_id") == "FIS").sort("date")
    assert date(2008, 7, 3) not in frame["date"].to_list()
    product = 100.0
    for growth, index in frame.select(1 + pl.col("ret_1d"), "close_index").iter_rows():
        product *= growth
        assert index == product
    instruments = RuntimeDb(load_settings().runtime_url).rows("instruments", instrument_id="FIS")
    assert instruments[0]["first_date"] == date(2007, 1, 4)
    assert instruments[0]["issuer_id"] is None


def quality_rows(session: date) -> list[dict[str, Any]]:
    return RuntimeDb(load_settings().runtime_url).rows("data_quality", as_of_date=session)


def test_the_verdict_on_the_session_is_kept_where_engines_look(night: Night) -> None:
    night(D3)
    bulk = quality_rows(D3)
    assert [(row["market_id"], row["dataset"], row["verdict"], row["findings"]) for row in bulk] == [
        ("US_EQ", "prices", "ok", [])
    ]
    assert bulk[0]["counts"] == {"rows": 240, "clean": 120, "quarantined": {}}
    night(D3, attempt=2)
    assert quality_rows(D3) == bulk


def test_a_night_that_is_stopped_leaves_the_verdict_that_stopped_it(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    source = real_source(make_source)
    few = pl.col("instrument_id") < "SYN_US_EQ_020"
    source.prices = source.prices.filter(~(few & (pl.col("row_date") == D2)))
    for dataset in ("prices", "volumes"):
        ingest(make_desk(D2, f"ingest_{dataset}"), source, dataset, D2, US)
    with pytest.raises(DataError, match="19 of 101 rows"):
        validate_session(make_desk(D2), D2, US, Limits())
    (row,) = quality_rows(D2)
    assert row["verdict"] == "failed"
    assert any("19 of 101 rows" in finding for finding in row["findings"])
    assert row["counts"]["quarantined"] == {"volume_without_price": 19}


def test_a_night_has_the_past_that_its_rules_need(night: Night) -> None:
    night(date(2011, 6, 30), source="reference")
    done = night(date(2011, 7, 1), source="reference")
    assert done["validate"]["days"] == 1
    assert done["validate"]["quarantined"] == {"unadjusted_action": 1}
    assert "MRO" not in set(
        prices(date(2011, 7, 1)).filter(pl.col("date") == date(2011, 7, 1))["instrument_id"]
    )


def test_days_that_were_not_asked_for_are_left_as_they_were_staged(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    source = real_source(make_source)
    source.sends_everything = True
    first = ingest(make_desk(D1), source, "volumes", D1, US)
    assert first.days == len(source.sessions("volumes", D1))
    source.volumes = source.volumes.with_columns(pl.col("dollar_volume") * 2)
    second = ingest(make_desk(D2), source, "volumes", D2, US)
    assert (second.days, second.rows) == (1, 120)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (date(2016, 12, 26), "not a trading day.*2016-12-23"),
        (date(2017, 1, 3), "no session 2017-01-03.*2016-12-30"),
    ],
)
def test_a_session_that_cannot_be_had_says_why(night: Night, session: date, message: str) -> None:
    with pytest.raises(DataError, match=message):
        night(session, source="reference")


def test_validation_before_ingestion_says_what_to_run(make_task: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="nothing is staged"):
        jobs.validate(make_task(D2, "validate"))


def real_source(make_source: Callable[..., Any], **changes: pl.Expr) -> Any:
    synthetic = SyntheticPanel(US, "US_EQ", 1)
    sessions = US.sessions(date(2008, 6, 2), D2)
    frames = {name: synthetic.read(name, D2, sessions) for name in ("prices", "volumes")}
    for name, change in changes.items():
        frames[name] = frames[name].with_columns(change)
    return make_source(**frames)


def test_a_row_that_claims_to_be_of_tomorrow_is_quarantined_and_never_seen_early(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    desk = make_desk(D2)
    early = (pl.col("instrument_id") == "SYN_US_EQ_001") & (pl.col("row_date") == D2)
    tomorrow = pl.when(early).then(pl.lit(D3)).otherwise(pl.col("row_date")).alias("row_date")
    source = real_source(make_source, prices=tomorrow)
    for dataset in ("prices", "volumes"):
        ingest(desk, source, dataset, D2, US)
    done = validate_session(desk, D2, US, Limits())
    assert done.verdict.counts["future_row"] == 1
    view = desk.as_of(D2)
    assert view.read("quarantine", since=D2).filter(pl.col("rule") == "future_row")["row_date"].to_list() == [
        D3
    ]
    assert view.read("prices_daily", since=D2).height == 119


def test_a_night_that_may_not_go_on_keeps_its_quarantine_and_writes_no_prices(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    desk = make_desk(D2)
    zero = (
        pl.when(pl.col("row_date") == D2).then(0.0).otherwise(pl.col("dollar_volume")).alias("dollar_volume")
    )
    source = real_source(make_source, volumes=zero)
    for dataset in ("prices", "volumes"):
        ingest(desk, source, dataset, D2, US)
    with pytest.raises(DataError, match=r"cannot be used: .*120 of 120 rows of the session.*zero_volume 120"):
        validate_session(desk, D2, US, Limits())
    assert not desk.as_of(D2).has("prices_daily", D2)
    assert desk.as_of(D2).read("quarantine").filter(pl.col("rule") == "zero_volume").height == 120


def test_a_layout_that_changed_is_named(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    source = real_source(make_source, volumes=pl.col("dollar_volume").cast(pl.Int64))
    with pytest.raises(DataError, match=r"volumes.*dollar_volume is Int64.*Float64"):
        ingest(make_desk(D2), source, "volumes", D2, US)


def test_rows_of_two_sources_are_never_joined(
    make_desk: Callable[..., Desk], make_source: Callable[..., Any]
) -> None:
    desk = make_desk(D2)
    ingest(desk, real_source(make_source), "prices", D2, US)
    ingest(desk, SyntheticPanel(US, "US_EQ", 1), "volumes", D2, US)
    with pytest.raises(
        DataError, match="several sources: prices from frames; volumes from synthetic:US_EQ:1"
    ):
        validate_session(desk, D2, US, Limits())


@pytest.fixture
def no_network(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine that cannot download: pip may ask no index, and nothing is cached."""
    assert not home.exists()
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(tmp_path / "empty cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.mark.usefixtures("no_network")
def test_without_the_real_panel_the_night_goes_on_with_a_synthetic_one_and_a_plain_warning(
    night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    done = night(D2, source="auto")
    assert all(done[name]["synthetic"] is True for name in done)
    said = capfd.readouterr().err
    assert "synthetic panel" in said
    assert "PROMETHEUS_DATA_MIRROR" in said


@pytest.mark.usefixtures("no_network")
def test_a_store_begun_with_synthetic_data_stays_so_when_the_real_panel_can_be_had(
    night: Night, monkeypatch: pytest.MonkeyPatch, user_settings: Any
) -> None:
    night(D2, source="auto")
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(user_settings.cache))
    assert night(D3, source="auto")["validate"]["source"] == "synthetic:US_EQ:0"
    with pytest.raises(DataError, match=r"filled from 'synthetic:US_EQ:0'.*never share"):
        night(D3, source="reference")


@pytest.mark.usefixtures("no_network")
def test_a_store_of_real_data_never_falls_back_to_synthetic(
    night: Night, monkeypatch: pytest.MonkeyPatch, user_settings: Any
) -> None:
    empty = load_settings().cache
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(user_settings.cache))
    night(D2, source="auto")
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(empty))
    with pytest.raises(DataError, match="could not be downloaded"):
        night(D3, source="auto")
    assert not prices()["synthetic"].any()


@pytest.mark.usefixtures("home")
def test_another_market_has_only_the_synthetic_panel() -> None:
    with pytest.raises(DataError, match="no market 'EU_EQ'"):
        choose_source(load_settings(), US, "EU_EQ", "prices", "reference")
    source = choose_source(load_settings(), US, "EU_EQ", "prices")
    assert source is not None
    assert source.name == "synthetic:EU_EQ:0"


def test_an_unknown_source_and_an_unreadable_record_are_named(home: Path) -> None:
    with pytest.raises(DataError, match=r"'yahoo' is unknown.*reference"):
        choose_source(load_settings(), US, "US_EQ", "prices", "yahoo")
    (home / "historical").mkdir(parents=True)
    (home / "historical" / "source.json").write_text("{")
    with pytest.raises(DataError, match=r"source\.json cannot be read"):
        choose_source(load_settings(), US, "US_EQ", "prices", "synthetic")


def test_before_the_open_yesterdays_data_is_reported(night: Night, make_task: Callable[..., Any]) -> None:
    night(D2)
    report = jobs.data_quality(make_task(D3, "data_quality", pipeline="us_eq_preopen"))
    assert report == {
        "checked_session": "2008-10-10", "rows": 120, "rows_before": 120, "missing": [], "quarantined": {},
        "gaps": [], "synthetic": True, "faults": [],
    }  # fmt: skip


def test_before_the_open_absent_data_fails_with_the_command_that_helps(
    night: Night, make_task: Callable[..., Any], home: Path
) -> None:
    with pytest.raises(DataError, match=r"no data at all.*us_eq_daily --session 2008-10-10"):
        jobs.data_quality(make_task(D3, "data_quality"))
    night(D1)
    with pytest.raises(DataError, match="2008-10-10 has no data"):
        jobs.data_quality(make_task(D3, "data_quality"))
    night(D2)
    DeltaTable(home / "historical" / "prices_daily").delete("date = '2008-10-06'")
    with pytest.raises(DataError, match="1 earlier trading days have no data, the first is 2008-10-06"):
        jobs.data_quality(make_task(D3, "data_quality"))
    night(D3)
    DeltaTable(home / "historical" / "prices_daily").delete(
        "date = '2008-10-13' AND instrument_id < 'SYN_US_EQ_050'"
    )
    with pytest.raises(DataError, match="49 of 120 instruments have no clean row on 2008-10-13"):
        jobs.data_quality(make_task(date(2008, 10, 14), "data_quality"))


def test_before_the_open_the_stores_are_looked_at(
    night: Night, make_task: Callable[..., Any], home: Path
) -> None:
    night(D2)
    report = jobs.db_health(make_task(D3, "db_health"))
    assert report["ok"] is True
    for file in (home / "historical" / "prices_daily").rglob("*.parquet"):
        file.unlink()
        break
    with pytest.raises(StoreError, match=r"prices_daily: 1 of \d+ data files are gone"):
        jobs.db_health(make_task(D3, "db_health"))
