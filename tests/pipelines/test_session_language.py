"""The session language: what is written, printed and read back is the same value; what is not is a clear error."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prometheus import pipelines
from prometheus.core.errors import UserError
from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US
from prometheus.core.time import MarketState
from prometheus.pipelines import after_run, at, barrier, every, market, session, trading_day_of
from prometheus.pipelines.moments import (
    MARKET_STATES,
    AfterRun,
    Barrier,
    Clock,
    Edge,
    Every,
    Session,
    TradingDayOf,
)
from prometheus.pipelines.reading import as_moment, as_trigger, parse

LANGUAGE = {name: getattr(pipelines, name) for name in pipelines.__all__}

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
offsets = st.one_of(
    st.just(0), st.integers(-400 * DAY_US, 400 * DAY_US), st.integers(-300, 300).map(lambda n: n * MINUTE_US)
)
sessions = st.builds(
    Session, st.none() | st.sampled_from(["XLON", "US_EQ", "CMES.X"]), st.integers(-1000, 1000)
)
days_of = st.one_of(
    st.builds(TradingDayOf, st.just("week"), st.sampled_from([1, 3, 7, -1, -7])),
    st.builds(TradingDayOf, st.sampled_from(["month", "quarter"]), st.integers(1, 31) | st.integers(-31, -1)),
)
edges = st.builds(Edge, sessions | days_of, st.sampled_from(["open", "close"]), offsets)
utc_clocks = st.builds(
    Clock, st.integers(-999, 999), st.integers(0, 86399), st.just("UTC"), offset_us=offsets
)
local_clocks = st.builds(
    Clock,
    st.integers(-999, 999),
    st.integers(0, 86399),
    st.sampled_from(["Europe/London", "America/New_York", "Asia/Tokyo", "America/Argentina/Buenos_Aires"]),
    st.sampled_from(["after", "before", "skip"]),
    st.sampled_from(["first", "second"]),
    offsets,
)
moments = edges | utc_clocks | local_clocks
barriers = st.lists(names, min_size=1, max_size=5, unique=True).flatmap(
    lambda members: st.builds(Barrier, st.just(tuple(members)), st.integers(1, len(members)), moments)
)
triggers = st.one_of(
    moments,
    st.builds(Every, st.integers(1_000_000, DAY_US), st.sampled_from(MARKET_STATES)),
    st.builds(AfterRun, names, st.sampled_from(["same", "previous", "latest_closed"])),
    barriers,
)


@pytest.mark.parametrize(
    "text",
    [
        'session.close + "30min"',
        'market("XLON").open - "90min"',
        'session.next.open - "60min"',
        "session.previous.close",
        "session(5).open",
        'market("XTKS").session(-1).close',
        'trading_day_of("week", -1).close + "4h"',
        'at("07:00", "Europe/London", gap="after", fold="first")',
        'at("D+1 00:00", "UTC")',
        'at("23:59:59", "Asia/Tokyo", gap="skip", fold="second") - "45s"',
        'every("15min", during="SESSION")',
        'after_run("us_eq_daily", session="previous")',
        'barrier(["us_eq_daily", "eu_eq_daily"], quorum=1, cutoff=at("D+1 02:00", "UTC"))',
    ],
)
def test_what_is_printed_is_the_python_that_was_written(text: str) -> None:
    value = eval(text, dict(LANGUAGE))
    assert str(value) == repr(value) == text
    assert parse(text) == value


@given(triggers | sessions | days_of)
def test_printing_and_reading_are_inverse_and_print_valid_python(value: object) -> None:
    text = str(value)
    assert parse(text) == value
    assert eval(text, dict(LANGUAGE)) == value


WORDS = [
    "session",
    "market",
    "at",
    "every",
    "barrier",
    "trading_day_of",
    "after_run",
    "open",
    "close",
    "next",
]
PIECES = [
    *WORDS,
    '"XLON"',
    '"30min"',
    '"07:00"',
    "'D+1 00:00 UTC'",
    "-1",
    "7",
    "quorum",
    "cutoff",
    *'.()[],=+-"# \t\n',
]


@settings(max_examples=400)
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@example("session" + ".next" * 5_000 + ".close")
@example("session" + "(1)" * 1_001)
@example("barrier(" * 10_000)
@example("(" * 50_000)
@example("[" * 50_000)
@example("session.close" + ' + "400d"' * 2)
@example("at(" + "at(" * 50 + ")" * 51)
@example("session.close + '30min' \x00")
@example("market('٣')")
def test_any_text_is_a_value_or_a_user_error(text: str) -> None:
    with suppress(UserError):  # any other error would come through
        value = parse(text)
        assert parse(str(value)) == value


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [
        ("session.clsoe", 9, "open, close, next, previous"),
        ("sesion.close", 1, "session"),
        ("session.close + 30", 17, "30min"),
        ('session.close + "30 minuets"', 17, "duration"),
        ("market(XLON).open", 8, "XLON"),
        ('market("XLON"', 14, "closing bracket"),
        ('session.close "30min"', 15, "not expected"),
        ('session + "30min"', 9, "moment"),
        ('at("25:00", "UTC")', 1, "23:59:59"),
        ('at("07:00", "UTC", gab="skip")', 20, "gap"),
        ('at("07:00", "Europe/Londn")', 1, "IANA"),
        ('trading_day_of("week")', 1, "lacks n"),
        ('barrier(["a"])', 1, "cutoff"),
        ("session.close; import os", 14, "';'"),
        ("__import__('os')", 1, "not a word"),
    ],
)
def test_an_error_names_the_position_and_what_was_allowed(text: str, position: int, word: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert f"character {position}:" in caught.value.message
    assert word in str(caught.value)


def test_a_day_clock_may_be_written_as_bare_text() -> None:
    assert parse("D+1 00:00 UTC") == parse("T+1 00:00 UTC") == at("D+1 00:00", "UTC") == at("D+1 00:00 UTC")
    assert as_moment("D-2 07:30:15 Europe/London", "by") == at("D-2 07:30:15", "Europe/London")
    assert as_trigger('every("15min", during="SESSION")', "start") == every("15min", "SESSION")


def test_offsets_add_up_and_take_timedeltas() -> None:
    assert session.close + "30min" + timedelta(hours=1) - "15min" == session.close + "75min"
    assert session.close + "30min" - "30min" == session.close
    assert (session.close + "4h").offset_us == 4 * HOUR_US


def test_sessions_are_counted_from_the_label() -> None:
    assert session.next.next == session(2)
    assert session.next.previous == session
    assert market("XTKS").session(-1) == market("XTKS").previous
    assert market("XTKS").session(0) == market("XTKS")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: session.close + 30,  # type: ignore[operator]
        lambda: session.close + "-30min",
        lambda: session.close + "401d",
        lambda: session(1.5),  # type: ignore[arg-type]
        lambda: session(True),
        lambda: session(1001),
        lambda: market("no market"),
        lambda: market(""),
        lambda: trading_day_of("fortnight", 1),  # type: ignore[arg-type]
        lambda: trading_day_of("week", 0),
        lambda: trading_day_of("week", 8),
        lambda: trading_day_of("month", -32),
        lambda: at("7 o'clock", "UTC"),
        lambda: at("24:00", "UTC"),
        lambda: at("07:60", "UTC"),
        lambda: at("07:00"),
        lambda: at("07:00 UTC", "UTC"),
        lambda: at("07:00", "../../etc/passwd"),
        lambda: at("07:00", "Europe"),
        lambda: at("07:00", "Europe/London", gap="maybe"),  # type: ignore[arg-type]
        lambda: at("07:00", "Europe/London", fold="third"),  # type: ignore[arg-type]
        lambda: every("0s", during="SESSION"),
        lambda: every("15min", during="session"),
        lambda: every(15, during="SESSION"),  # type: ignore[arg-type]
        lambda: after_run("us eq"),
        lambda: after_run("us_eq_daily", session="next"),  # type: ignore[arg-type]
        lambda: barrier([], cutoff="D+1 02:00 UTC"),
        lambda: barrier("us_eq_daily", cutoff="D+1 02:00 UTC"),
        lambda: barrier(["a", "a"], cutoff="D+1 02:00 UTC"),
        lambda: barrier(["a"], quorum=2, cutoff="D+1 02:00 UTC"),
        lambda: barrier(["a"], quorum=0, cutoff="D+1 02:00 UTC"),
        lambda: barrier(["a"], cutoff=every("1h", "SESSION")),  # type: ignore[arg-type]
        lambda: barrier(["a"]),
        lambda: as_moment(session, "by"),
        lambda: as_moment(every("1h", "SESSION"), "by"),
        lambda: as_trigger(7, "start"),
        lambda: parse(b"session.close"),
        lambda: parse("x" * 100_001),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_where_it_is_written(wrong: object) -> None:
    with pytest.raises(UserError):
        wrong()  # type: ignore[operator]


def test_the_language_knows_the_states_that_calendars_know() -> None:
    assert set(MARKET_STATES) == {state.value for state in MarketState}
