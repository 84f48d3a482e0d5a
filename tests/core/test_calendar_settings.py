"""Markets and overrides as prometheus.toml writes them."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime

import pytest

from prometheus.core.calendar_overrides import Override, UserMarket
from prometheus.core.calendar_settings import read_markets, read_overrides
from prometheus.core.errors import SettingsError

GOOD = """
[markets.EU_CORE]
members = ["XETR", "XPAR"]
mode = "all"
pre_open = "90min"

[markets.US_EQ]
post_close = "3h"

[[overrides]]
exchange = "XNYS"
day = 2027-01-05
kind = "closed"
reason = "National day of mourning"
source = "NYSE"
known_at = 2027-01-02T15:00:00Z

[[overrides]]
exchange = "XLON"
day = 2027-01-06
kind = "hours"
open = 10:00:00
close = 2027-01-06T16:30:00+00:00
reason = "System failure"
source = "LSE"
known_at = 2027-01-06T07:00:00Z
"""


def test_what_is_written_is_read() -> None:
    given = tomllib.loads(GOOD)
    assert read_markets(given["markets"]) == (
        UserMarket("EU_CORE", ("XETR", "XPAR"), "all", 90, 120),
        UserMarket("US_EQ", (), "any", 120, 180),
    )
    closed, short = read_overrides(given["overrides"])
    known = datetime(2027, 1, 2, 15, tzinfo=UTC)
    assert closed == Override("XNYS", date(2027, 1, 5), "closed", "National day of mourning", "NYSE", known)
    assert short.open == datetime(2027, 1, 6, 10, tzinfo=UTC)
    assert short.close == datetime(2027, 1, 6, 16, 30, tzinfo=UTC)


def override(**changed: object) -> dict[str, object]:
    given = {**tomllib.loads(GOOD)["overrides"][0], **changed}
    return {key: value for key, value in given.items() if value is not None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (override(day="2027-01-05"), ["day is '2027-01-05'", "2027-01-05"]),
        (override(known_at=datetime(2027, 1, 2, 15)), ["known_at", "offset"]),  # noqa: DTZ001 - naive on purpose
        (override(kind="shut"), ["'shut'", "closed, hours, scheduled"]),
        (override(reason=None), ["reason is missing"]),
        (override(reason=" "), ["reason or source is empty"]),
        (override(until=1), ["until is not known here"]),
        (override(kind="hours"), ["open or close is missing"]),
    ],
)
def test_a_fault_of_an_override_is_named_with_its_place(given: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as error:
        read_overrides([given])
    for word in ("[[overrides]] number 1", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"members": "XETR"}, ["members is 'XETR'", "a list"]),
        ({"members": ["XETR"], "mode": "some"}, ["'some'", "any, all, primary"]),
        ({"members": ["XETR"], "pre_open": "90s"}, ["pre_open", "whole minutes"]),
        ({"members": ["XETR"], "pre_open": 90}, ["pre_open is 90", "duration"]),
        ({"members": ["XETR"], "colour": "red"}, ["colour is not known here"]),
    ],
)
def test_a_fault_of_a_market_is_named_with_its_place(given: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as error:
        read_markets({"MINE": given})
    for word in ("[markets.MINE]", *words):
        assert word in str(error.value)


def test_every_fault_is_found_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        read_overrides([override(kind="shut"), override(), override(reason=None)])
    assert "number 1" in str(error.value)
    assert "number 3" in str(error.value)
    assert "number 2" not in str(error.value)
