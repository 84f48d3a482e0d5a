"""Each rule finds the fault planted for it, and nothing else; thresholds stop the night."""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl
import pytest

from prometheus.core.errors import DataError
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.synthetic import SyntheticPanel
from prometheus.data_ingestion.validation.findings import quality_of
from prometheus.data_ingestion.validation.judge import Verdict, judge
from prometheus.data_ingestion.validation.rules import PRICE_RULES, VOLUME_RULES, Limits, joined_rules

US = TradingCalendar("US_EQ")
S = date(2009, 3, 9)
SESSIONS = US.sessions(date(2008, 11, 3), S)
STOCK, OTHER = "SYN_US_EQ_001", "SYN_US_EQ_002"
CALM = Limits(
    session_quarantined_share=1.0, history_quarantined_share=1.0, missing_share=1.0, zero_return_share=1.0
)


def staged(dataset: str) -> pl.DataFrame:
    rows = SyntheticPanel(US, "US_EQ", 3).read(dataset, S, SESSIONS)
    return rows.select(pl.col("row_date").alias("date"), pl.all())


PRICES, VOLUMES = staged("prices"), staged("volumes")
AT = (pl.col("instrument_id") == STOCK) & (pl.col("date") == S)


def planted(frame: pl.DataFrame, **values: object) -> pl.DataFrame:
    """`frame` with other values in STOCK's row of S."""
    return frame.with_columns(
        pl.when(AT).then(pl.lit(value).cast(frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def verdict(prices: pl.DataFrame = PRICES, volumes: pl.DataFrame = VOLUMES, limits: Limits = CALM) -> Verdict:
    return judge(prices, volumes, days=SESSIONS, session=S, sessions=SESSIONS, limits=limits)


def faults(found: Verdict) -> dict[str, list[tuple[date, str]]]:
    rules: dict[str, list[tuple[date, str]]] = {}
    for row in found.quarantine.iter_rows(named=True):
        rules.setdefault(row["rule"], []).append((row["date"], row["instrument_id"]))
    return rules


def usual(column: str, frame: pl.DataFrame) -> float:
    value = frame.filter(pl.col("instrument_id") == STOCK)[column].abs().tail(64).head(63).median()
    assert isinstance(value, float)
    return value


def test_clean_rows_pass_and_lose_nothing() -> None:
    found = verdict(limits=Limits())
    assert found.counts == {}
    assert found.findings == ()
    assert found.clean.height == PRICES.height
    assert found.rows == 2 * PRICES.height
    assert found.clean.columns == ["date", "instrument_id", "ret_1d", "dollar_volume", "abs_log_open_close"]


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"ret_1d": None}, "missing_return"),
        ({"ret_1d": math.nan}, "missing_return"),
        ({"ret_1d": math.inf}, "missing_return"),
        ({"ret_1d": -1.0}, "impossible_return"),
        ({"abs_log_open_close": None}, "impossible_range"),
        ({"abs_log_open_close": -0.01}, "impossible_range"),
        ({"row_date": S + timedelta(days=1)}, "future_row"),
        ({"row_date": date(2009, 3, 8)}, "not_a_session"),
    ],
)
def test_a_bad_price_row_is_quarantined_under_its_rule(values: dict[str, object], rule: str) -> None:
    found = verdict(prices=planted(PRICES, **values))
    assert faults(found) == {rule: [(S, STOCK)], "volume_without_price": [(S, STOCK)]}
    assert found.clean.filter(AT).is_empty()
    assert found.clean.height == PRICES.height - 1


def test_a_row_without_a_name_is_quarantined() -> None:
    found = verdict(prices=planted(PRICES, instrument_id=None))
    assert found.counts == {"nameless_row": 1, "volume_without_price": 1}


@pytest.mark.parametrize(
    ("value", "rule"),
    [(None, "missing_volume"), (math.nan, "missing_volume"), (-1.0, "negative_volume"), (0.0, "zero_volume")],
)
def test_a_bad_volume_row_takes_its_price_with_it(value: float | None, rule: str) -> None:
    found = verdict(volumes=planted(VOLUMES, dollar_volume=value))
    assert faults(found) == {rule: [(S, STOCK)], "price_without_volume": [(S, STOCK)]}
    assert found.clean.filter(AT).is_empty()


def test_a_row_without_its_partner_is_quarantined() -> None:
    assert faults(verdict(prices=PRICES.filter(~AT))) == {"volume_without_price": [(S, STOCK)]}
    assert faults(verdict(volumes=VOLUMES.filter(~AT))) == {"price_without_volume": [(S, STOCK)]}


def test_a_row_that_is_sent_twice_is_kept_once() -> None:
    found = verdict(prices=pl.concat([PRICES, PRICES.filter(AT)]))
    assert faults(found) == {"duplicate_row": [(S, STOCK)]}
    assert found.clean.height == PRICES.height


def test_of_two_rows_that_contradict_each_other_none_is_believed() -> None:
    other = PRICES.filter(AT).with_columns(pl.col("ret_1d") + 0.01)
    found = verdict(prices=pl.concat([PRICES, other]))
    assert found.counts == {"conflicting_rows": 2, "volume_without_price": 1}
    assert found.clean.filter(AT).is_empty()


@pytest.mark.parametrize(("sessions", "quarantined"), [(4, 0), (5, 1), (7, 3)])
def test_a_price_that_stands_for_five_sessions_is_stale_from_the_fifth_on(
    sessions: int, quarantined: int
) -> None:
    stands = (pl.col("instrument_id") == STOCK) & pl.col("date").is_in(SESSIONS[-sessions:])
    still = PRICES.with_columns(pl.when(stands).then(0.0).otherwise(pl.col("ret_1d")).alias("ret_1d"))
    assert verdict(prices=still).counts.get("stale_price", 0) == quarantined


def test_a_jump_without_the_volume_and_range_of_news_is_an_unadjusted_action() -> None:
    prices = planted(PRICES, ret_1d=-0.5, abs_log_open_close=usual("abs_log_open_close", PRICES))
    volumes = planted(VOLUMES, dollar_volume=usual("dollar_volume", VOLUMES))
    found = verdict(prices, volumes)
    assert faults(found) == {"unadjusted_action": [(S, STOCK)]}
    (value,) = found.quarantine["value"]
    assert value.startswith("ret_1d=-0.5 ")
    assert "surprise=" in value


@pytest.mark.parametrize("sign", ["volume", "range"])
def test_the_same_jump_with_the_volume_or_the_range_of_news_is_believed(sign: str) -> None:
    wide = 10.0 if sign == "range" else 1.0
    busy = 30.0 if sign == "volume" else 1.0
    prices = planted(PRICES, ret_1d=-0.5, abs_log_open_close=wide * usual("abs_log_open_close", PRICES))
    volumes = planted(VOLUMES, dollar_volume=busy * usual("dollar_volume", VOLUMES))
    found = verdict(prices, volumes)
    assert found.counts == {}
    assert found.watched["large_move"] >= 1


def test_an_instrument_without_a_past_is_not_suspected() -> None:
    sessions = SESSIONS[-10:]
    recent = pl.col("date") >= sessions[0]
    prices = planted(PRICES, ret_1d=-0.5, abs_log_open_close=0.001).filter(recent)
    found = judge(prices, VOLUMES.filter(recent), days=sessions, session=S, sessions=sessions, limits=CALM)
    assert found.counts == {}


def test_every_rule_that_is_declared_was_broken_above() -> None:
    planted_rules = {
        "missing_return", "impossible_return", "impossible_range", "future_row", "not_a_session", "nameless_row",
        "missing_volume", "negative_volume", "zero_volume", "price_without_volume", "volume_without_price",
        "duplicate_row", "conflicting_rows", "stale_price", "unadjusted_action",
    }  # fmt: skip
    assert {rule.name for rule in (*PRICE_RULES, *VOLUME_RULES, *joined_rules(Limits()))} == planted_rules


def test_only_the_days_asked_for_are_judged() -> None:
    prices = planted(PRICES, ret_1d=None)
    found = judge(prices, VOLUMES, days=SESSIONS[-1:], session=S, sessions=SESSIONS, limits=CALM)
    assert found.clean["date"].unique().to_list() == [S]
    assert found.rows == prices.filter(pl.col("date") == S).height * 2
    before = judge(
        prices, VOLUMES, days=SESSIONS[:-1], session=SESSIONS[-2], sessions=SESSIONS[:-1], limits=CALM
    )
    assert before.counts == {}


def failing(found: Verdict) -> list[str]:
    return [finding.name for finding in found.failures]


def test_too_many_bad_rows_of_the_session_stop_the_night() -> None:
    names = [f"SYN_US_EQ_{number:03d}" for number in range(1, 8)]  # 7 of 120 are more than 5 %
    bad = pl.col("instrument_id").is_in(names) & (pl.col("date") == S)
    prices = PRICES.with_columns(pl.when(~bad).then("ret_1d").alias("ret_1d"))
    found = verdict(prices, limits=Limits(missing_share=1.0))
    assert failing(found) == ["session_quarantined"]
    assert "7 of 120" in found.failures[0].text
    assert "missing_return 7" in found.failures[0].text


def test_a_few_bad_rows_of_the_session_degrade_it() -> None:
    bad = pl.col("instrument_id").is_in(["SYN_US_EQ_001", "SYN_US_EQ_002"]) & (pl.col("date") == S)
    prices = PRICES.with_columns(pl.when(~bad).then("ret_1d").alias("ret_1d"))
    found = verdict(prices, limits=Limits(missing_share=1.0))
    assert quality_of(found.findings) == "degraded"
    assert {f.name: f.weight for f in found.findings}["session_quarantined"] == "degrades"
    one = PRICES.with_columns(pl.when(~AT).then("ret_1d").alias("ret_1d"))
    assert quality_of(verdict(one, limits=Limits()).findings) == "ok"


def test_too_many_bad_rows_of_history_stop_the_night() -> None:
    bad = (pl.col("date") < S) & (pl.col("instrument_id") < "SYN_US_EQ_003")  # 2 of 120 are more than 1 %
    prices = PRICES.with_columns(pl.when(~bad).then("ret_1d").alias("ret_1d"))
    assert failing(verdict(prices, limits=Limits(missing_share=1.0))) == ["history_quarantined"]


def test_a_trading_day_without_any_row_stops_the_night() -> None:
    gap = SESSIONS[-3]
    found = verdict(
        PRICES.filter(pl.col("date") != gap), VOLUMES.filter(pl.col("date") != gap), limits=Limits()
    )
    assert failing(found) == ["missing_sessions", "missing_sessions"]
    assert str(gap) in found.failures[0].text
    allowed = Limits(missing_sessions=1)
    assert (
        failing(verdict(PRICES.filter(pl.col("date") != gap), VOLUMES.filter(pl.col("date") != gap), allowed))
        == []
    )


def test_instruments_that_vanish_are_told_and_too_many_stop_the_night() -> None:
    def without(count: int) -> Verdict:
        gone = (pl.col("date") == S) & (pl.col("instrument_id") <= f"SYN_US_EQ_{count:03d}")
        return verdict(PRICES.filter(~gone), VOLUMES.filter(~gone), limits=Limits())

    assert [(f.name, f.weight) for f in without(1).findings] == [("missing_instruments", "note")]
    assert [(f.name, f.weight) for f in without(2).findings] == [("missing_instruments", "degrades")]
    assert failing(without(7)) == ["missing_instruments"]


def test_a_session_of_standing_prices_stops_the_night() -> None:
    still = PRICES.with_columns(
        pl.when(pl.col("date") == S).then(0.0).otherwise(pl.col("ret_1d")).alias("ret_1d")
    )
    assert failing(verdict(still, limits=Limits())) == ["standing_session"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jmp": 0.1}, "'jmp' is unknown.*jump"),
        ({"jump": "x"}, "'jump' is 'x'"),
        ({"jump": -1}, "not negative"),
    ],
)
def test_a_limit_that_cannot_be_used_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Limits.from_params(given)
    assert Limits.from_params(None) == Limits()
    assert Limits.from_params({"jump": 0.2}).jump == 0.2
