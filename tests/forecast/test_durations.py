"""Past durations, expected distribution: what is seen is kept, and what was never seen is possible."""

from math import exp, log
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.day_type import DayType
from prometheus.core.instants import MINUTE_US
from prometheus.forecast.durations import Curve, Past, conditioned
from prometheus.forecast.shared import infer, learned_spread

histories = st.lists(st.integers(1, 10**11), min_size=2, max_size=40)
shares = st.floats(1e-6, 1 - 1e-6)


@given(history=histories, share=shares)
def test_a_share_and_the_duration_that_it_exceeds_are_two_sides_of_one_curve(
    history: list[int], share: float
) -> None:
    curve = Curve(history)
    if curve.spread:
        assert curve.exceeding(curve.deviation(share)) == pytest.approx(share, rel=1e-6, abs=1e-9)


@given(history=histories, one=shares, other=shares)
def test_less_is_longer(history: list[int], one: float, other: float) -> None:
    curve = Curve(history)
    assert curve.deviation(min(one, other)) >= curve.deviation(max(one, other))


def test_of_many_the_curve_has_the_middle_and_the_spread_and_goes_on_where_they_end() -> None:
    dice = Random(5)  # a known family
    history = [round(600e6 * exp(dice.gauss(0, 0.45))) for _ in range(400)]
    curve = Curve(history)
    assert curve.mean + curve.deviation(0.5) == pytest.approx(log(600e6), abs=0.06)
    assert curve.spread == pytest.approx(0.45, abs=0.04)
    assert exp(curve.mean + curve.deviation(1e-4)) > max(history)


def test_one_past_duration_is_taken_at_its_word() -> None:
    curve = Curve((MINUTE_US,))
    assert {round(exp(curve.mean + curve.deviation(share))) for share in (0.01, 0.5, 0.99)} == {MINUTE_US}


@pytest.mark.parametrize("history", [(MINUTE_US,), (MINUTE_US,) * 5])
def test_whoever_has_run_longer_than_its_only_past_duration_is_given_in_proportion(
    history: tuple[int, ...],
) -> None:
    curve = Curve(history)
    assert curve.beyond(log(0.5), 0.5) == 0, "half-way it still ends at its word"
    for times in (1, 2, 10):
        left = [exp(curve.beyond(log(times), share)) / times for share in (0.9, 0.5, 0.1)]
        assert left == pytest.approx([1.018, 1.124, 1.475], abs=0.001)


@given(history=histories, share=shares, ran=shares)
def test_what_is_left_is_longer_than_what_has_passed(history: list[int], share: float, ran: float) -> None:
    curve = Curve(history)
    passed = curve.deviation(ran)
    assert curve.beyond(passed, share) >= passed - 1e-9


def past(kind: DayType, *minutes: float) -> list[Past]:
    return [Past(round(minute * MINUTE_US), kind) for minute in minutes]


def test_a_month_end_is_longer_where_month_ends_were() -> None:
    history = past(DayType.NORMAL, *[10, 11, 9, 10, 10, 9, 11, 10] * 5) + past(DayType.MONTH_END, *[20] * 12)
    normal = conditioned(history, DayType.NORMAL)
    month_end = conditioned(history, DayType.MONTH_END)
    assert len(normal) == len(month_end) == len(history)
    assert 9.5 * MINUTE_US < fmean(normal) < 11.5 * MINUTE_US
    assert 16 * MINUTE_US < fmean(month_end) < 20 * MINUTE_US


def test_a_kind_of_day_that_was_never_seen_is_like_all_others() -> None:
    history = past(DayType.NORMAL, 10, 12, 8, 10)
    assert conditioned(history, DayType.EXPIRY) == tuple(sorted(one.duration_us for one in history))
    assert conditioned([], DayType.EXPIRY) == ()


def test_one_long_month_end_is_no_rule() -> None:
    history = past(DayType.NORMAL, *[10] * 20) + past(DayType.MONTH_END, 40)
    assert fmean(conditioned(history, DayType.MONTH_END)) < 16 * MINUTE_US


def test_tonights_factor_is_seen_in_what_ended_and_in_what_has_not_ended_yet() -> None:
    curve = Curve([round(600e6 * exp(0.04 * step)) for step in range(-10, 11)])
    as_usual = infer(0.15, [], [])
    slow = infer(0.15, [(curve, 800_000_000)] * 10, [])
    late = infer(0.15, [], [(curve, 900_000_000)] * 5)
    assert as_usual.at(0.5) == pytest.approx(0, abs=0.01)
    assert as_usual.at(0.84) == pytest.approx(0.15, abs=0.02)
    assert 0.15 < slow.at(0.5) < log(800 / 600)
    assert slow.at(0.9) - slow.at(0.1) < as_usual.at(0.9) - as_usual.at(0.1)
    assert late.at(0.5) > 0.1


def test_how_much_nights_differ_is_learned_and_is_nothing_where_they_do_not() -> None:
    dice = Random(11)
    curve = Curve([round(600e6 * exp(dice.gauss(0, 0.45))) for _ in range(200)])

    def nights(spread: float) -> list[list[tuple[Curve, int]]]:
        found = []
        for _ in range(150):
            factor = dice.gauss(0, spread)
            found.append([(curve, round(600e6 * exp(factor + dice.gauss(0, 0.45)))) for _ in range(40)])
        return found

    assert learned_spread(nights(0.15)) == pytest.approx(0.15, abs=0.03)
    assert learned_spread(nights(0.0)) < 0.04
    assert learned_spread([]) == 0
