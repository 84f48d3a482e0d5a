from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from prometheus.monitoring.capacities import ROWS_EACH, Capacities, Curve, Enough, draw_capacities
from prometheus.monitoring.svg import text_width

SIZES = (4.0, 8.0, 12.0, 16.0)


def curve(name: str, smallest: int | None, *, sure: bool = True, tier: int = 1) -> Curve:
    place = len(SIZES) if smallest is None else smallest
    misses = tuple((0.0, 0.0, 0.01) if n >= place else (0.6, 0.5, 0.7) for n in range(len(SIZES)))
    return Curve(name, tier, misses, smallest, sure, "" if sure else "not sure")


def scene(*curves: Curve, **fields: object) -> Capacities:
    made = Capacities(
        "How many cores?",
        "night.json",
        "cores",
        SIZES,
        curves,
        (10.0, 20.0, 30.0, 35.0),
        0.005,
        present=16.0,
        enough=(Enough(2, "12 are enough"),),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of the dataclass by name


def words(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def shapes(svg: str, kind: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter() if kind in one.get("class", "").split()]


def test_the_smallest_size_of_each_promise_and_of_all_is_marked() -> None:
    svg = draw_capacities(scene(curve("ingestion", 1), curve("engines", 2)))
    told = words(svg)
    assert {"12 are enough", "16 now", "12", "8", "cores", "ingestion", "engines"} <= set(told)
    dots = [dot for dot in shapes(svg, "t1") if dot.get("r") == "5"]
    assert len(dots) == 2


def test_a_size_that_is_not_sure_is_hollow_and_says_so() -> None:
    svg = draw_capacities(scene(curve("engines", 2, sure=False)))
    assert "12, not sure" in words(svg)
    assert len(shapes(svg, "hollow1")) == 2  # its dot, and the legend's
    assert "hollow: too few samples to be sure" in words(svg)


def test_a_promise_that_no_size_keeps_says_so() -> None:
    svg = draw_capacities(scene(curve("engines", None), enough=()))
    assert "more than 16" in words(svg)
    (label,) = [one for one in shapes(svg, "b") if one.text == "engines"]
    assert label.get("text-anchor") == "end"  # the curve ends high, so its name is left of its end
    assert "0 %" in words(svg)
    assert not any("enough" in word for word in words(svg))


def test_the_share_that_may_miss_is_a_line_of_its_own() -> None:
    svg = draw_capacities(scene(curve("engines", 2)))
    (allowed,) = shapes(svg, "due")
    assert allowed.get("y1") == allowed.get("y2")
    assert "0.5 %" in words(svg)


@pytest.mark.parametrize("width", [320, 390, 1240])
@pytest.mark.parametrize("count", [0, 1, 50, 100])
def test_any_number_of_promises_on_any_page_is_one_valid_picture(width: int, count: int) -> None:
    many = [curve(f"promise number {n}", n % 4, tier=1 + n % 2) for n in range(count)]
    svg = draw_capacities(scene(*many), width=width)
    root = ET.fromstring(svg)
    for one in root.iter():
        for edge in ("x", "x1", "x2", "cx"):
            if one.get(edge) is not None:
                assert -1 <= float(one.get(edge, "")) <= width + 1
    if count > ROWS_EACH:
        assert sum(": promise" in word for word in words(svg)) == 4  # sizes; even ones are Tier 1's
    if not count:
        assert "no promise is open tonight" in words(svg)


def test_one_size_alone_can_be_drawn() -> None:
    one = Curve("engines", 1, ((0.0, 0.0, 0.01),), 0, True)
    made = scene(one, sizes=(4.0,), lower=(3.0,), present=None, enough=(Enough(0, "4 are enough"),))
    assert "4 are enough" in words(draw_capacities(made))


def test_many_sizes_do_not_crowd_their_labels() -> None:
    sizes = tuple(float(size) for size in range(1, 65))
    one = Curve("engines", 1, ((0.0, 0.0, 0.01),) * 64, 0, True)
    svg = draw_capacities(scene(one, sizes=sizes, lower=(3.0,) * 64), width=390)
    ticks = [float(label.get("x", "")) for label in shapes(svg, "ax") if label.get("text-anchor") == "middle"]
    assert all(later - earlier > 12 for earlier, later in pairwise(ticks))


@pytest.mark.parametrize("width", [320, 390, 640, 1240])
@pytest.mark.parametrize("present", [4.0, 8.0, 12.0, 16.0, None])
def test_no_words_lie_on_others(width: int, present: float | None) -> None:
    enough = (Enough(1, "8 for Tier 1"), Enough(2, "12 may be enough"))
    one = scene(
        curve("ingestion", 1), curve("engines", 2, sure=False, tier=2), present=present, enough=enough
    )
    boxes = []
    for text in ET.fromstring(draw_capacities(one, width=width)).iter("{http://www.w3.org/2000/svg}text"):
        said, x, y = text.text or "", float(text.get("x", "")), float(text.get("y", ""))
        wide = text_width(said, 11.5)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.get("text-anchor", "start")]
        boxes.append((said, left, left + wide, y - 9, y + 1))
    for number, (said, left, right, high, low) in enumerate(boxes):
        assert left >= 0, said
        assert right <= width, said
        for other, its_left, its_right, its_high, its_low in boxes[:number]:
            apart = right <= its_left or its_right <= left or low <= its_high or its_low <= high
            assert apart, f"{said!r} lies on {other!r}"
