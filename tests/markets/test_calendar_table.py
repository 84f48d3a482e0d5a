"""The table's bytes: what was written is read, and nothing else is."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.calendar_book import CalendarBook, load_table
from prometheus.core.errors import UserError
from prometheus.core.time import CalendarTableError, TradingCalendar
from prometheus.markets.table import (
    EARLY_CLOSE,
    Exchange,
    Market,
    Pattern,
    TableError,
    TableException,
    decode,
    encode,
)
from tests.markets.small_tables import MONDAY, exchange, hours, ordinal
from tools.calendars.build import TABLE, compile_table

GOLDEN = Path(__file__).parent / "golden"


def golden_rows() -> list[dict[str, str]]:
    with (GOLDEN / "XNYS.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_compiling_the_sources_again_gives_the_shipped_table() -> None:
    assert compile_table() == TABLE.read_bytes(), "run python -m tools.calendars.build and read what changed"


def test_every_weekday_and_every_hour_equals_the_golden_calendar() -> None:
    calendar = TradingCalendar("XNYS")
    rows = golden_rows()
    sessions = [row for row in rows if row["open_utc"]]
    expected = [
        (
            row["date"],
            row["open_utc"],
            row["close_utc"],
            row["note"] == "early close",
            row["note"] == "late open",
        )
        for row in sessions
    ]
    years = range(2000, 2029)
    early = {day for year in years for day in calendar.early_closes(year)}
    late = {day for year in years for day in calendar.late_opens(year)}
    ours = [
        (
            day.isoformat(),
            f"{calendar.session_open(day):%Y-%m-%dT%H:%MZ}",
            f"{calendar.session_close(day):%Y-%m-%dT%H:%MZ}",
            day in early,
            day in late,
        )
        for day in calendar.sessions(date(2000, 1, 1), date(2028, 12, 31))
    ]
    assert ours == expected
    closed = [date.fromisoformat(row["date"]) for row in rows if not row["open_utc"]]
    assert [day for year in years for day in calendar.holidays(year)] == closed


def test_every_unscheduled_closure_of_the_golden_calendar_has_an_announcement_before_its_close() -> None:
    unscheduled = ("Attacks", "Hurricane", "Mourning")
    closed = {row["date"] for row in golden_rows() if any(word in row["note"] for word in unscheduled)}
    assert len(closed) == 10
    for text in closed:
        day = date.fromisoformat(text)
        long_before = datetime(day.year, day.month, day.day, tzinfo=UTC).replace(
            day=1, month=max(1, day.month - 1)
        )
        long_before = long_before.replace(year=day.year - 1)
        assert TradingCalendar("XNYS", known_at=long_before).is_trading_day(day)
        usual_close = TradingCalendar("XNYS", known_at=long_before).session_close(day)
        assert not TradingCalendar("XNYS", known_at=usual_close).is_trading_day(day)


def test_a_cut_table_is_refused_at_every_length() -> None:
    data = TABLE.read_bytes()
    for length in [*range(40), *range(40, len(data), 97), len(data) - 1]:
        with pytest.raises(TableError):
            decode(data[:length])
    with pytest.raises(TableError, match="instead of"):
        decode(data + b"\0")


@given(st.data())
def test_a_table_with_any_byte_altered_is_refused(data: st.DataObject) -> None:
    table = bytearray(TABLE.read_bytes())
    position = data.draw(st.integers(0, len(table) - 1))
    table[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CalendarTableError) as error:
        load_table(bytes(table))
    assert isinstance(error.value, UserError)


@given(st.binary(max_size=200))
def test_noise_is_no_table(noise: bytes) -> None:
    with pytest.raises(TableError):
        decode(noise)


def test_a_body_that_lies_under_a_right_checksum_is_still_refused() -> None:
    from binascii import crc32
    from struct import pack

    good = TABLE.read_bytes()[18:]
    for length in range(0, len(good), 211):
        body = good[:length]
        forged = pack("<8sHII", TABLE.read_bytes()[:8], 1, len(body), crc32(body)) + body
        with pytest.raises(CalendarTableError):
            CalendarBook(load_table(forged)).schedule("XNYS")


def test_a_table_of_another_format_says_which_one_it_can_read() -> None:
    data = bytearray(TABLE.read_bytes())
    data[8] = 3
    with pytest.raises(TableError, match="format 3; this program reads format 2"):
        decode(bytes(data))


def test_what_is_written_is_read() -> None:
    lunch = hours("01:30 04:00", "05:00 08:00")
    half = hours("05:00 08:00", flags=EARLY_CLOSE)
    change = TableException(ordinal(MONDAY), -5, 0, "storm — café", "notice 7")
    one = exchange("XLUN", (lunch, half), {MONDAY: 2}, offset_minutes=480, exceptions=(change,))
    data = encode(
        "v1", [one, exchange("XTWO", (hours("-22:00 21:00"),))], [Market("M", ("XLUN", "XTWO"), "all", 5, 0)]
    )
    table = decode(data)
    assert (table.release, table.codes) == ("v1", ("XLUN", "XTWO"))
    read = table.exchange("XLUN")
    for field in ("days", "patterns", "offsets", "valid_from", "verified_through", "zone", "name", "source"):
        assert getattr(read, field) == getattr(one, field)
    (kept,) = read.exceptions
    assert (kept.day, kept.known_at_us, kept.before, kept.reason, kept.source) == (
        change.day,
        -5,
        0,
        "storm — café",
        "notice 7",
    )
    market = table.markets["M"]
    assert (market.members, market.mode, market.pre_open_minutes, market.post_close_minutes) == (
        ("XLUN", "XTWO"),
        "all",
        5,
        0,
    )
    assert encode("v1", [read, table.exchange("XTWO")], table.markets.values()) == data


def test_sessions_that_overlap_cannot_be_written() -> None:
    too_long = exchange("XBAD", (hours("-20:00 21:00"),))
    with pytest.raises(TableError, match="opens before the last one closed"):
        encode("v1", [too_long], [])


@pytest.mark.parametrize("segments", [(), ((5, 5),), ((9, 5),), ((1, 5), (5, 9)), ((1, 5), (3, 9))])
def test_hours_out_of_order_are_no_pattern(segments: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(TableError, match="not in order"):
        Pattern(segments)


def test_a_day_that_uses_a_missing_pattern_is_refused() -> None:
    with pytest.raises(TableError, match="pattern 3 is used, 1 exist"):
        exchange("XBAD", (hours("09:00 10:00"),), {MONDAY: 3})


def test_bounds_outside_of_the_days_are_refused() -> None:
    with pytest.raises(TableError, match="verified_through"):
        exchange("XBAD", (hours("09:00 10:00"),), verified_through=date(2024, 5, 1))


def test_the_shipped_table_states_its_bounds_and_their_source() -> None:
    block: Exchange = decode(TABLE.read_bytes()).exchange("XNYS")
    assert block.verified_through == ordinal(date(2028, 12, 31))
    assert "2026, 2027 and 2028" in block.source
    assert all(item.source and item.reason for item in block.exceptions)
