"""Stamps: equal for equal content, in any order; another for any other content of the day or of its window."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prometheus.stores.stamps import day_stamps, joined_stamps, window_stamps

DAY = date(2010, 1, 4)
Rows = list[tuple[int, str, float | None]]
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("ABC"), st.none() | st.floats(-1, 1)),
    min_size=1,
    max_size=20,
)


def frame(rows: Rows) -> pl.DataFrame:
    columns = {
        "date": [DAY + timedelta(days=day) for day, _, _ in rows],
        "instrument_id": [name for _, name, _ in rows],
        "x": [value for _, _, value in rows],
    }
    return pl.DataFrame(columns, schema={"date": pl.Date, "instrument_id": pl.String, "x": pl.Float64})


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: Rows, chance: object) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert day_stamps(frame(shuffled)) == day_stamps(frame(rows))


@given(ROWS, st.integers(0, 19), st.floats(2, 3))
def test_one_other_value_makes_another_stamp_of_its_day_alone(rows: Rows, place: int, value: float) -> None:
    place %= len(rows)
    changed = [(*row[:2], value) if at == place else row for at, row in enumerate(rows)]
    before, after = day_stamps(frame(rows)), day_stamps(frame(changed))
    assert {day for day in before if before[day] != after[day]} == {DAY + timedelta(days=rows[place][0])}


@given(ROWS)
def test_a_row_more_makes_another_stamp(rows: Rows) -> None:
    day = DAY + timedelta(days=rows[0][0])
    assert day_stamps(frame([*rows, rows[0]]))[day] != day_stamps(frame(rows))[day]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30),
    st.integers(0, 10),
    st.integers(0, 29),
)
def test_a_day_changes_its_own_window_and_those_that_reach_back_to_it(
    values: list[int], lookback: int, place: int
) -> None:
    place %= len(values)
    days = [DAY + timedelta(days=number) for number in range(len(values))]
    before = dict(zip(days, values, strict=True))
    after = {**before, days[place]: before[days[place]] ^ 1}
    windows = [window_stamps(stamps, days, lookback) for stamps in (before, after)]
    changed = [at for at, day in enumerate(days) if windows[0][day] != windows[1][day]]
    assert changed == list(range(place, min(place + lookback + 1, len(days))))


def test_a_window_is_the_same_wherever_history_begins() -> None:
    days = [DAY + timedelta(days=number) for number in range(9)]
    stamps = {day: hash(day.isoformat()) for day in days}
    assert window_stamps(stamps, days, 2)[days[8]] == window_stamps(stamps, days[6:], 2)[days[8]]


def test_stamps_over_several_tables_know_which_one_changed() -> None:
    first, second = {DAY: 5}, {DAY: 7}
    assert joined_stamps(first, second) != joined_stamps(second, first)
    assert joined_stamps(first, second) != joined_stamps(first, {DAY: 8})
    assert joined_stamps(first, {}) != joined_stamps({}, first)
    later = DAY + timedelta(days=1)
    assert list(joined_stamps(first, {later: 1})) == [DAY, later]
