"""An old night made again as it was, after its data was corrected: the old decisions, and nothing is changed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from prometheus.core.errors import UserError
from prometheus.core.settings import Settings
from prometheus.research.replay import replay
from prometheus.stores import schema
from prometheus.stores.decisions import Decision
from prometheus.stores.historical import WriteId


def settings_of(home: Path) -> Settings:
    return Settings(home=home)


@pytest.fixture
def night(desk: Any, days: list[date]) -> tuple[Any, date]:
    """Two nights, so that the second has a predecessor."""
    desk.engines(days[-2])
    desk.engines(days[-1])
    return desk, days[-1]


def corrected(prices: pl.DataFrame, session: date) -> pl.DataFrame:
    """The last month of half the names was a tenth wilder than was thought."""
    wrong = (pl.col("instrument_id") < "T20") & (pl.col("date") > session - timedelta(days=30))
    return prices.with_columns(pl.when(wrong).then(pl.col("ret_1d") * 1.1).otherwise(pl.col("ret_1d")))


def test_a_night_is_decided_again_as_it_was_after_its_data_was_corrected(
    night: Any, prices: pl.DataFrame
) -> None:
    desk, session = night
    before, versions = desk.decided(session), desk.historical.versions()
    desk.load(corrected(prices, session), run="correction")
    desk.features(session, attempt=2)
    assert desk.historical.versions() != versions

    made = replay(settings_of(desk.path), session, "US_EQ")
    assert [one.engine for one in made] == [row["engine"] for row in before]
    assert [one.replayed for one in made] == [row["decision_id"] for row in before]
    assert all(not one.differences for one in made)
    assert desk.decided(session) == before, "nothing was written"

    desk.engines(session, attempt=2)
    after = desk.decided(session)
    assert {row["decision_id"] for row in after}.isdisjoint(row["decision_id"] for row in before)
    again = replay(settings_of(desk.path), session, "US_EQ")
    assert [one.replayed for one in again] == [row["decision_id"] for row in after]


def test_every_decision_has_the_versions_of_all_that_it_read(night: Any) -> None:
    desk, session = night
    kept = desk.runtime.rows("table_versions", as_of_date=session)
    of = {engine: {row["table_name"] for row in kept if row["engine"] == engine} for engine in
          ("regime", "assessment", "universe", "portfolio", "risk_report")}  # fmt: skip
    newest = desk.historical.versions()
    assert "correlation_panels" in of["regime"]
    assert {"returns_daily", "prices_daily"} <= of["assessment"]
    assert "factor_models" in of["portfolio"] & of["risk_report"]
    assert all(row["version"] == newest.get(row["table_name"], -1) for row in kept)


def test_a_table_that_was_not_there_stays_unseen(night: Any) -> None:
    desk, session = night
    kept = desk.runtime.rows("table_versions", as_of_date=session, engine="universe", table_name="quarantine")
    assert [row["version"] for row in kept] == [-1]
    rows = pl.DataFrame({"date": [session], "instrument_id": ["T39"], "rule": ["outlier"]})
    write = WriteId("later", "validate", "quarantine", 1, "0" * 64)
    desk.historical.write_days("quarantine", rows, write, market="US_EQ")
    made = {one.engine: one for one in replay(settings_of(desk.path), session, "US_EQ")}
    assert made["universe"].differences == ()


def test_a_predecessor_that_was_decided_anew_is_named(night: Any) -> None:
    desk, session = night
    with desk.runtime.commit(desk.runtime.claim("tamper", 1)) as connection:
        table = schema.target_portfolios
        connection.execute(
            sa.update(table).where(table.c.as_of_date < session, table.c.weight > 0).values(weight=0.02)
        )
    made = {one.engine: one for one in replay(settings_of(desk.path), session, "US_EQ")}
    assert any(
        "it reads other rows than it did: target_portfolios of" in one
        for one in made["portfolio"].differences
    )
    assert made["regime"].differences == ()


def test_a_night_that_was_never_decided_is_no_night(desk: Any, days: list[date]) -> None:
    with pytest.raises(UserError, match=f"nothing was decided for US_EQ on {days[-1]}"):
        replay(settings_of(desk.path), days[-1], "US_EQ")


def test_an_engine_that_only_a_pipeline_knows_is_named_and_the_others_are_made_again(night: Any) -> None:
    desk, session = night
    row = {**desk.runtime.decisions(session, "US_EQ", "regime")[0], "engine": "steady"}
    row.pop("decision_id")
    with desk.runtime.commit(desk.runtime.claim("own", 1)) as connection:
        desk.runtime.record_decision(connection, Decision(**row))
    made = {one.engine: one for one in replay(settings_of(desk.path), session, "US_EQ")}
    assert "known to a pipeline of the desk's own" in made.pop("steady").differences[0]
    assert len(made) == 5
    assert all(not one.differences for one in made.values())
