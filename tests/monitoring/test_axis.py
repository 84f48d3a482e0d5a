from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from prometheus.monitoring.axis import Axis, clock_words, columns, load, span_words

NOON = 16_976 * DAY_US + 12 * HOUR_US  # 2016-06-24
axes = st.builds(
    lambda start, length, width: Axis(start, start + length, 100.0, float(width)),
    st.integers(0, 4 * 10**15),
    st.integers(SECOND_US // 10, 400 * DAY_US),
    st.integers(200, 3000),
)


@given(axes, st.integers(40, 200))
def test_ticks_lie_on_the_axis_and_no_closer_than_asked(axis: Axis, gap: int) -> None:
    places = [axis.x(at) for at, _ in axis.ticks(gap)]
    assert all(axis.left <= x <= axis.right for x in places)
    assert all(later - earlier >= gap - 0.01 for earlier, later in pairwise(places))
    assert all(label for _, label in axis.ticks(gap))


@given(axes, st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(0, 1)), max_size=30))
def test_columns_cover_every_span_and_never_touch_each_other(
    axis: Axis, shares: list[tuple[float, float]]
) -> None:
    length = axis.end_us - axis.start_us
    spans = [(axis.start_us + int(a * length), axis.start_us + int((a + b) * length)) for a, b in shares]
    found = columns(spans, axis)
    assert len(found) <= axis.width
    assert all(right < left for (_, right), (left, _) in pairwise(found))
    for start, end in spans:
        if axis.shows(start) or axis.shows(end):
            middle = axis.x((max(start, axis.start_us) + min(end, axis.end_us)) // 2)
            assert any(left - 1 <= middle <= right + 1 for left, right in found)


@given(axes, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30), st.integers(1, 300))
def test_load_adds_up_to_the_time_worked(axis: Axis, shares: list[tuple[float, float]], buckets: int) -> None:
    length = axis.end_us - axis.start_us
    spans = [
        (axis.start_us + int(min(a, b) * length), axis.start_us + int(max(a, b) * length)) for a, b in shares
    ]
    worked = sum(end - start for start, end in spans)
    assert sum(load(spans, axis, buckets)) * length / buckets == pytest.approx(
        worked, rel=1e-6, abs=length * 1e-6
    )


def test_load_counts_what_runs_at_once() -> None:
    axis = Axis(0, 100, 0.0, 100.0)
    assert load([(0, 50), (25, 75)], axis, 4) == [1, 2, 1, 0]


@pytest.mark.parametrize(
    ("value_us", "words"),
    [
        (420_000, "0.42 s"),
        (12_340_000, "12.3 s"),
        (200 * SECOND_US, "3 min 20 s"),
        (125 * MINUTE_US, "2 h 05 min"),
        (76 * HOUR_US, "3 d 4 h"),
    ],
)
def test_durations_are_as_fine_as_a_person_needs(value_us: int, words: str) -> None:
    assert span_words(value_us) == words


def test_a_time_on_another_day_names_its_day() -> None:
    assert clock_words(NOON, NOON) == "12:00"
    assert clock_words(NOON + DAY_US, NOON) == "Sat 12:00"
