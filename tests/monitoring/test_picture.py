from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.instants import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from prometheus.monitoring.axis import Axis
from prometheus.monitoring.picture import _due_levels, draw
from prometheus.monitoring.scene import Bar, Closure, Due, Lane, Scene, SessionBand, Strip, Try
from prometheus.monitoring.svg import text_width
from prometheus.scheduler.states import RunState, SloState, TaskState

MIDNIGHT = 16_976 * DAY_US  # 2016-06-24
RELEASE = MIDNIGHT + 20 * HOUR_US + 30 * MINUTE_US
US = Lane("US_EQ", "New York", (SessionBand(MIDNIGHT + 13 * HOUR_US, MIDNIGHT + 20 * HOUR_US),))


def bar(
    name: str, start: float, end: float | None, state: TaskState = TaskState.SUCCEEDED, tier: int = 1
) -> Bar:
    one = Try(RELEASE + int(start * SECOND_US), None if end is None else RELEASE + int(end * SECOND_US))
    return Bar(name, tier, state, (one,))


def scene(*bars: Bar, dues: tuple[Due, ...] = (), now: float | None = None, **fields: object) -> Scene:
    strip = Strip("us_eq_daily", "US_EQ", bars, dues, RunState.RUNNING, RELEASE)
    made = Scene(
        "us_eq_daily, Friday 24 June 2016",
        MIDNIGHT + 12 * HOUR_US,
        MIDNIGHT + 26 * HOUR_US,
        now_us=None if now is None else RELEASE + int(now * SECOND_US),
        lanes=(US,),
        strips=(strip,),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of the dataclass by name


def words(svg: str) -> list[str]:
    """Every text on the picture that is meant to be read where it stands."""
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def shapes(svg: str, kind: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter() if kind in one.get("class", "").split()]


def many(count: int) -> Scene:
    """A night of `count` tasks in all tiers, some failed."""
    states = (TaskState.SUCCEEDED, TaskState.SUCCEEDED, TaskState.FAILED)
    return scene(
        *(
            bar(
                f"task_{index}",
                (index * 37) % 9000,
                (index * 37) % 9000 + index % 200,
                states[index % 3],
                index % 3 + 1,
            )
            for index in range(count)
        )
    )


text = st.text(max_size=30)
instants = st.integers(MIDNIGHT - 3 * DAY_US, MIDNIGHT + 5 * DAY_US)


@st.composite
def spans(draw_: st.DrawFn) -> tuple[int, int]:
    start = draw_(instants)
    return start, start + draw_(st.integers(1, 2 * DAY_US))


@st.composite
def scenes(draw_: st.DrawFn) -> Scene:
    start = draw_(instants)
    tries = st.builds(Try, instants, st.none() | instants, st.booleans())
    bars = st.builds(
        Bar, text, st.integers(1, 3), st.sampled_from(TaskState), st.lists(tries, max_size=3).map(tuple), text,
        st.none() | spans(),
    )  # fmt: skip
    dues = st.builds(Due, text, instants, st.sampled_from(SloState), st.none() | instants)
    strips = st.builds(
        Strip, text, text, st.lists(bars, max_size=6).map(tuple), st.lists(dues, max_size=5).map(tuple),
        st.none() | st.sampled_from(RunState), st.none() | instants,
    )  # fmt: skip
    bands = spans().map(lambda span: SessionBand(*span, note="early close"))
    lanes = st.builds(
        Lane, text, text, st.lists(bands, max_size=3).map(tuple),
        st.lists(st.builds(Closure, instants, text), max_size=2).map(tuple),
    )  # fmt: skip
    return Scene(
        draw_(text), start, start + draw_(st.integers(SECOND_US, 40 * DAY_US)), draw_(text), draw_(text), draw_(text),
        draw_(st.none() | instants), tuple(draw_(st.lists(lanes, max_size=3))),
        tuple(draw_(st.lists(strips, max_size=3))), tuple(draw_(st.lists(text, max_size=3))),
    )  # fmt: skip


@given(scenes(), st.sampled_from([320, 390, 800, 1240]), st.sampled_from(["auto", "light", "dark"]))
def test_whatever_there_is_to_show_becomes_well_formed_svg_and_always_the_same(
    made: Scene, width: int, theme: str
) -> None:
    svg = draw(made, width=width, theme=theme)  # type: ignore[arg-type]  # one of the literals
    root = ET.fromstring(svg)
    assert root.get("width") == str(width)
    assert svg == draw(made, width=width, theme=theme)  # type: ignore[arg-type]
    assert "nan" not in re.sub("<(title|desc|text)[^>]*>.*?</", "", svg, flags=re.DOTALL)


@given(st.text())
def test_words_of_users_never_become_markup(name: str) -> None:
    root = ET.fromstring(draw(scene(bar(f"<script>&{name}", 0, 1), title=f'"><g id="x">{name}')))
    assert not [one for one in root.iter() if one.tag.endswith(("script", "}g"))]


@pytest.mark.parametrize("width", [390, 1240])
def test_the_size_is_bounded_however_many_tasks_there_are(width: int) -> None:
    ten_thousand, fifty_thousand = len(draw(many(10_000), width=width)), len(draw(many(50_000), width=width))
    assert fifty_thousand < 90_000
    assert fifty_thousand < 1.3 * ten_thousand


def test_nothing_to_show_is_said() -> None:
    assert "nothing is planned or has run in this window" in words(
        draw(Scene("today", MIDNIGHT, MIDNIGHT + DAY_US))
    )


def test_a_short_night_has_a_row_and_a_duration_for_each_task() -> None:
    found = words(draw(scene(bar("prices", 0, 3.1), bar("returns", 3.2, 4.4))))
    assert {"prices", "returns", "3.10 s", "1.20 s"} <= set(found)


def test_a_running_task_ends_at_now_in_the_overview_and_in_the_lens() -> None:
    svg = draw(scene(bar("prices", 0, None, TaskState.RUNNING), now=3600))
    overview, lens = shapes(svg, "t1")[:2]
    now_over, now_lens = shapes(svg, "now")
    for drawn, now in ((overview, now_over), (lens, now_lens)):
        end = float(drawn.get("x", "0")) + float(drawn.get("width", "0"))
        assert abs(end - float(now.get("x1", "0"))) <= 2


def test_failures_are_seen_without_colour() -> None:
    failed = Bar(
        "fit", 1, TaskState.FAILED, (Try(RELEASE, RELEASE + SECOND_US, failed=True),), "ValueError: no data"
    )
    svg = draw(scene(failed, Bar("risk", 1, TaskState.BLOCKED, (), "fit failed")))
    assert shapes(svg, "failed"), "a failed attempt is hatched"
    assert shapes(svg, "cross"), "and crossed in the overview"
    assert "failed after 1.00 s · ValueError: no data" in words(svg)
    assert "blocked · fit failed" in words(svg)


@pytest.mark.parametrize("state", list(SloState))
def test_every_promise_says_its_state_in_words(state: SloState) -> None:
    svg = draw(scene(bar("prices", 0, 1), dues=(Due("prices ready", RELEASE + HOUR_US, state),), now=2))
    assert state.value.replace("_", " ") in words(svg)


@given(st.lists(st.integers(0, 14 * 60), min_size=1, max_size=8), st.integers(330, 1400))
def test_no_deadline_s_line_crosses_another_deadline_s_words(minutes: list[int], width: int) -> None:
    axis = Axis(MIDNIGHT, MIDNIGHT + 14 * HOUR_US, 0.0, float(width))
    dues = sorted(
        (
            Due(f"promise {index}", MIDNIGHT + at * MINUTE_US, SloState.ON_TRACK)
            for index, at in enumerate(minutes)
        ),
        key=lambda due: due.at_us,
    )
    placed = _due_levels(dues, axis)
    for level, due, x in placed:
        begin = x - 5 - text_width(f"{due.name} due 00:00", 11.5)
        for other_level, other, line in placed:
            if other is not due and other_level <= level:  # a line runs from its own level downwards
                assert not begin < line < x - 5


def test_a_plan_of_a_month_stays_readable_and_has_no_cards() -> None:
    nights = tuple(
        Strip(
            "us_eq_daily",
            "US_EQ",
            (Bar("us_eq_daily", 1, TaskState.WAITING, (), "", (at, at + HOUR_US)),),
            (Due("engines", at + 5 * HOUR_US, SloState.ON_TRACK),),
            None,
            at,
        )
        for at in range(RELEASE, RELEASE + 30 * DAY_US, DAY_US)
    )
    svg = draw(scene(strips=nights, end_us=RELEASE + 31 * DAY_US))
    assert len(shapes(svg, "due")) == 30
    assert not shapes(svg, "card")


def test_light_and_dark_and_the_reader_s_own_choice() -> None:
    light, dark, auto = (draw(scene(), theme=theme) for theme in ("light", "dark", "auto"))
    assert "prefers-color-scheme" in auto
    assert "prefers-color-scheme" not in light + dark
    assert light != dark


def test_too_narrow_a_page_is_refused() -> None:
    with pytest.raises(ValueError, match="320"):
        draw(scene(), width=319)
