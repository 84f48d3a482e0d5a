from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US
from prometheus.monitoring.prospects import (
    MOST_ROWS,
    Fan,
    Prospect,
    Prospects,
    describe_prospects,
    draw_prospects,
    percent,
)

EVENING = 20_514 * DAY_US + 21 * HOUR_US


def fan(first: int, miss: float = 0.0, minutes: int = 20) -> Fan:
    start = EVENING + first * MINUTE_US
    return Fan(start, start + minutes * MINUTE_US, start + 2 * minutes * MINUTE_US, miss)


def prospect(name: str = "engines", due: int = 120, **sides: object) -> Prospect:
    made = Prospect(name, "us_eq_daily.2026-03-02", 1, EVENING + due * MINUTE_US, fan(30), fan(60))
    return replace(made, **sides)  # type: ignore[arg-type]  # fields of the dataclass by name


def scene(*prospects: Prospect, **fields: object) -> Prospects:
    made = Prospects(
        "What if",
        "us_eq_daily.2026-03-02",
        EVENING,
        EVENING + 4 * HOUR_US,
        EVENING,
        prospects,
        ("the machine has 1 core instead of 2 cores",),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of the dataclass by name


def words(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def shapes(svg: str, kind: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter() if kind in one.get("class", "").split()]


def test_both_sides_are_drawn_and_told_apart_without_colour() -> None:
    svg = draw_prospects(scene(prospect(after=fan(60, 0.41), before=fan(30, 0.02))))
    assert {"41 %", "was 2.0 %", "engines", "due 23:00"} <= set(words(svg))
    (before,) = shapes(svg, "e1")[:-1]  # the last is the legend's
    (after,) = shapes(svg, "t1")[:-1]
    assert float(before.get("x", "")) < float(after.get("x", ""))
    assert float(before.get("y", "")) < float(after.get("y", ""))


def test_in_words_a_promise_says_what_it_would_be_instead_of_what_it_is() -> None:
    one = scene(prospect(after=fan(60, 0.41), before=fan(30, 0.02)), prospect("same"))
    assert describe_prospects(one) == (
        "the machine has 1 core instead of 2 cores. "
        "us_eq_daily.2026-03-02 engines: P(miss) 41 % instead of 2.0 %. us_eq_daily.2026-03-02 same: P(miss) 0 %"
    )


def test_what_lies_behind_the_deadline_is_hatched() -> None:
    assert len(shapes(draw_prospects(scene(prospect())), "failed")) == 1  # the legend's
    svg = draw_prospects(scene(prospect(due=70)))
    (late, _) = shapes(svg, "failed")
    (kept, _) = shapes(svg, "t1")
    assert float(late.get("x", "")) == pytest.approx(
        float(kept.get("x", "")) + float(kept.get("width", "")), abs=0.2
    )


def test_a_run_that_does_not_take_place_and_a_promise_that_is_never_kept_say_so() -> None:
    svg = draw_prospects(scene(prospect(after=None), prospect("late", after=Fan(None, None, None, 1.0))))
    assert "no run" in words(svg)
    assert any(word.startswith("after ") for word in words(svg))


def test_a_forecast_alone_has_one_bar_a_promise() -> None:
    svg = draw_prospects(scene(prospect(), changed=(), title="Tonight as it is"))
    assert shapes(svg, "e1") == []
    assert not any(word.startswith("was ") for word in words(svg))


def test_a_deadline_that_moved_is_drawn_where_it_was_too() -> None:
    svg = draw_prospects(scene(prospect(due_before_us=EVENING + 200 * MINUTE_US)))
    assert len(shapes(svg, "due")) == 3  # was, is, and the legend's


@pytest.mark.parametrize("width", [320, 390, 1240, 2000])
@pytest.mark.parametrize("count", [0, 1, 50, 200])
def test_any_number_of_promises_on_any_page_is_one_valid_picture(width: int, count: int) -> None:
    many = [prospect(f"promise {n}", 40 + n % 150, group=f"run {n % 7}") for n in range(count)]
    svg = draw_prospects(scene(*many), width=width)
    root = ET.fromstring(svg)
    for one in root.iter():
        for edge in ("x", "x1", "x2", "cx"):
            if one.get(edge) is not None:
                assert -1 <= float(one.get(edge, "")) <= width + 1
    if count > MOST_ROWS:
        assert f"and {count - MOST_ROWS} more promises, less in danger" in words(svg)
    if not count:
        assert "no promise is open tonight" in words(svg)


def test_equal_scenes_give_equal_bytes_and_strange_names_are_escaped() -> None:
    one = scene(prospect('<&"\x00 name'))
    assert draw_prospects(one) == draw_prospects(one)
    ET.fromstring(draw_prospects(one))


def test_a_share_is_said_as_exactly_as_it_matters() -> None:
    assert [percent(share) for share in (0.0, 0.005, 0.02, 0.1, 0.41, 0.985, 0.995, 1.0)] == [
        "0 %", "0.5 %", "2.0 %", "10 %", "41 %", "98 %", "99.5 %", "100 %",
    ]  # fmt: skip
