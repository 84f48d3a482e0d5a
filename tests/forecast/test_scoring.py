"""Forecasts and outcomes, expected score: small enough to be worked out by hand."""

import pytest

from prometheus.core.instants import MINUTE_US
from prometheus.forecast.calibration import AS_DRAWN, learn
from prometheus.forecast.scoring import Foretold, alarms, falling, judged, score
from prometheus.scheduler.events import ForecastMade, SloForecast


def said(slo_id: str, miss: float, missed: bool, lead_min: int = 90) -> Foretold:
    return Foretold(slo_id, lead_min * MINUTE_US, miss, missed)


def test_the_score_of_four_forecasts_by_hand() -> None:
    found = score([said("a", 0.9, True), said("b", 0.8, False), said("c", 0.2, True), said("d", 0.1, False)])
    assert (found.count, found.missed) == (4, 2)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.64 + 0.01) / 4)
    assert found.brier_of_base_rate == 0.25
    assert found.auc == 0.75, "of four pairs of a missed and a kept one, one is the wrong way round"
    assert found.calibration_error == pytest.approx((0.1 + 0.8 + 0.8 + 0.1) / 4)
    assert [(row.count, row.came) for row in found.reliability] == [(1, 0), (1, 1), (1, 0), (1, 1)]


def test_ties_count_half_and_without_both_outcomes_there_is_nothing_to_tell_apart() -> None:
    assert score([said("a", 0.5, True), said("b", 0.5, False)]).auc == 0.5
    assert score([said("a", 0.5, True)]).auc is None
    assert score([]).count == 0


def test_what_says_thirty_per_cent_and_is_right_three_times_in_ten_has_no_calibration_error() -> None:
    found = score([said(str(number), 0.3, number < 3) for number in range(10)])
    assert found.calibration_error == pytest.approx(0)


def test_an_alarm_that_comes_too_late_is_none_and_one_in_vain_is_counted_once() -> None:
    told = [
        said("late", 0.1, True, 120),
        said("late", 0.9, True, 30),
        said("early", 0.6, True, 120),
        said("early", 0.9, True, 30),
        said("vain", 0.7, False, 120),
        said("vain", 0.7, False, 105),
        said("quiet", 0.1, False, 120),
    ]
    in_time = alarms(told, 0.5, 60 * MINUTE_US)
    assert (in_time.recall, in_time.false_alarms) == (0.5, 0.5)
    assert in_time.median_lead_us == 120 * MINUTE_US
    assert alarms(told, 0.5).recall == 1.0
    assert alarms([], 0.5).recall is None


def test_early_alarms_need_more_certainty_than_the_last_that_can_still_help() -> None:
    said_from = [falling(minutes * MINUTE_US) for minutes in (300, 105, 90, 75, 0)]
    assert said_from == pytest.approx([0.8, 0.8, 0.5, 0.2, 0.2])
    told = [
        said("early doubt", 0.5, False, 135),
        said("early doubt", 0.1, False, 60),
        said("late doubt", 0.2, True, 135),
        said("late doubt", 0.5, True, 60),
    ]
    found = alarms(told, falling, 60 * MINUTE_US)
    assert (found.recall, found.false_alarms) == (1.0, 0.0)


def test_forecasts_are_judged_by_their_outcomes_and_none_that_came_after_its_deadline() -> None:
    def made(at_us: int) -> ForecastMade:
        slos = (SloForecast("a", 0.4, None, None, None), SloForecast("open", 0.1, None, None, None))
        return ForecastMade(at_us + 5, at_us, 100, slos)

    found = judged([made(100), made(900), made(1_100)], {"a": 1_000}, {"a": True})
    assert found == [Foretold("a", 900, 0.4, True), Foretold("a", 100, 0.4, True)]


def test_what_was_twice_too_sure_is_learned_and_a_few_forecasts_teach_little() -> None:
    told = [said(f"a{number}", 0.2, number % 10 == 0) for number in range(600)]
    told += [said(f"b{number}", 0.8, number % 10 != 0) for number in range(600)]
    found = learn(told)
    assert found.of(0.2) == pytest.approx(0.1, abs=0.02)
    assert found.of(0.8) == pytest.approx(0.9, abs=0.02)
    assert learn(told[:2]).of(0.8) == pytest.approx(0.8, abs=0.05)
    assert learn([]) == AS_DRAWN
    assert AS_DRAWN.of(0.123) == 0.123


def test_forecasts_of_one_promise_count_as_one() -> None:
    often = learn([said("a", 0.2, True)] * 50)
    assert often == learn([said("a", 0.2, True)])
    assert often.count == 1


def test_a_calibration_never_changes_which_is_in_more_danger() -> None:
    found = learn([said(f"{share}", share / 10, share < 5) for share in range(11)])
    said_of = [found.of(share / 100) for share in range(101)]
    assert said_of == sorted(said_of)
