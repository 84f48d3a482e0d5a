"""A lens on one run's own work: a night of seconds-long tasks inside a window of hours, made readable.

Up to `MOST_TASKS` tasks get a row each; more are drawn as load (how many attempts ran at once, by tier) with the tasks
that did not end well named beneath.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.core.instants import SECOND_US
from prometheus.monitoring.axis import Axis, load, span_words
from prometheus.monitoring.scene import Bar, Scene, Strip
from prometheus.monitoring.svg import Canvas, shorten, text_width
from prometheus.scheduler.states import ENDED, TaskState

MOST_TASKS = 40
MOST_NAMED = 8  # of the tasks that did not end well, where rows are too many

_ROW = 19.0
_LOAD_HEIGHT = 110.0
_SMALL = 11.5
_LEAST_ROOM = 240.0  # pixels; with less beside a bar, words that do not fit stand over it
_WELL = frozenset({TaskState.SUCCEEDED, TaskState.DEGRADED, TaskState.SKIPPED})
_ILL = (TaskState.FAILED, TaskState.BLOCKED, TaskState.CANCELLED, TaskState.BACKING_OFF, TaskState.HELD)


@dataclass(frozen=True, slots=True)
class Lens:
    """The stretch of time in which a run worked, and its tasks in the order in which they began."""

    start_us: int
    end_us: int
    first_us: int  # the first start
    until_us: int  # where attempts that still run end on the picture
    bars: tuple[Bar, ...]


def lens_of(run: Strip, now_us: int | None) -> Lens | None:
    """The lens for a run, or None when nothing of it has started or is expected."""
    starts = [one.start_us for bar in run.bars for one in bar.tries]
    ends = [one.end_us for bar in run.bars for one in bar.tries if one.end_us is not None]
    if starts and any(one.end_us is None for bar in run.bars for one in bar.tries) and now_us is not None:
        ends.append(now_us)
    if not starts:
        planned = [bar.expected for bar in run.bars if bar.expected is not None]
        if not planned:
            return None
        starts, ends = [start for start, _ in planned], [end for _, end in planned]
    start, end = min(starts), max([*ends, *starts])
    padding = max((end - start) // 50, SECOND_US // 20)
    last = end + 10 * padding  # never started: after all that did
    order = sorted(
        run.bars, key=lambda bar: _begin(bar, last)
    )  # stable: equal starts keep the declared order
    return Lens(start - padding, end + padding, start, end, tuple(order))


def _begin(bar: Bar, last: int) -> int:
    if bar.tries:
        return bar.tries[0].start_us
    return bar.expected[0] if bar.expected else last


def draw_lens(
    canvas: Canvas, scene: Scene, lens: Lens, over: Axis, spot: float, top: float, margin: float, narrow: bool
) -> float:
    """Draw beneath `top`; `over` and `spot` say where the overview shows the same work. The new bottom."""
    axis = Axis(lens.start_us, lens.end_us, over.left, over.width)
    zoom = (over.end_us - over.start_us) / (lens.end_us - lens.start_us)
    y = top + 26
    rows = len(lens.bars) <= MOST_TASKS
    height = (len(lens.bars) * (_ROW + (13 if narrow else 0)) if rows else _LOAD_HEIGHT) + 10
    if zoom > 1.3:
        left, right = over.x(lens.start_us), over.x(lens.end_us)
        corners = [
            (left, spot + 2),
            (max(right, left + 2), spot + 2),
            (axis.right, y + 8),
            (axis.left, y + 8),
        ]
        canvas.polygon(corners, "lens", title=f"the work itself, {zoom:.0f} times larger")
    canvas.rect(axis.left, y + 8, axis.width, height, "lens", radius=0)
    for at, label in axis.ticks(72 if narrow else 96):
        x = axis.x(at)
        canvas.line(x, y + 8, x, y + 8 + height, "grid")
        if axis.left + 24 <= x <= axis.right - 24:
            canvas.text(x, y, label, "ax halo", "middle")
    if not narrow:
        canvas.text(
            margin, y, shorten(f"the work, {span_words(lens.until_us - lens.first_us)}", _SMALL, 142), "m"
        )
    if rows:
        y = _draw_rows(canvas, lens, axis, y + 13, margin, narrow)
    else:
        y = _draw_load(canvas, lens, axis, y + 8, margin, narrow)
    if scene.now_us is not None and axis.shows(scene.now_us) and scene.now_us < lens.end_us:
        x = axis.x(scene.now_us)
        canvas.line(x, top + 30, x, y, "now", title="now")
    return y + 8


def _draw_rows(canvas: Canvas, lens: Lens, axis: Axis, top: float, margin: float, narrow: bool) -> float:
    y = top
    for bar in lens.bars:
        if narrow:
            y += 13
            canvas.text(margin + 4, y - 1, shorten(bar.name, _SMALL, axis.width - 8), "n")
        else:
            canvas.text(margin, y + 10, shorten(bar.name, 12, axis.left - margin - 8), "n")
        right = axis.left
        for one in bar.tries:
            end = lens.until_us if one.end_us is None else one.end_us
            left, right = axis.x(one.start_us), max(axis.x(end), axis.x(one.start_us) + 2)
            kind = "failed" if one.failed else f"t{bar.tier}"
            canvas.rect(
                left, y + 1, right - left, 11, kind, title=f"{bar.name}: {span_words(end - one.start_us)}"
            )
        if bar.expected is not None and not bar.tries:
            left, right = axis.x(bar.expected[0]), axis.x(bar.expected[1])
            canvas.rect(
                left, y + 1.5, max(right - left, 2), 10, f"e{bar.tier}", title=f"{bar.name}: expected"
            )
        _beside(canvas, bar, bar_words(bar, lens.until_us), axis, right, y + 10.5)
        y += _ROW
    return y + 5


def _beside(canvas: Canvas, bar: Bar, words: str, axis: Axis, right: float, y: float) -> None:
    """The words of a row: right of its last bar, else left of its first, else over it; cut to the room there is."""
    kind = "mb" if bar.state in _ILL else "m"
    left = axis.x(bar.tries[0].start_us) if bar.tries else axis.left
    after, before, wide = axis.right - right - 12, left - axis.left - 12, text_width(words, _SMALL)
    if wide > max(after, before) and max(after, before) < _LEAST_ROOM:
        canvas.text(left + 7, y, shorten(words, _SMALL, axis.right - left - 14), f"{kind} halo")
    elif wide <= after or after >= before:
        canvas.text(right + 7, y, shorten(words, _SMALL, after), kind)
    else:
        canvas.text(left - 7, y, shorten(words, _SMALL, before), kind, "end")


def bar_words(bar: Bar, until_us: int) -> str:
    """What stands beside a task: how long it worked, and whatever is not as it should be."""
    parts = []
    if bar.tries:
        last = bar.tries[-1]
        worked = span_words((until_us if last.end_us is None else last.end_us) - last.start_us)
        parts.append(
            worked if bar.state in _WELL else f"{_state(bar)} after {worked}" if last.end_us else worked
        )
        if last.end_us is None:
            parts.append(_state(bar))
        if len(bar.tries) > 1:
            parts.append(f"attempt {len(bar.tries)}")
        if bar.state in {TaskState.DEGRADED, TaskState.SKIPPED}:
            parts.append(_state(bar))
    elif bar.expected is not None:
        parts.append(f"about {span_words(bar.expected[1] - bar.expected[0])}")
    else:
        parts.append(_state(bar))
    if bar.reason and bar.state is not TaskState.SUCCEEDED:
        parts.append(bar.reason)
    return " · ".join(parts)


def _state(bar: Bar) -> str:
    return bar.state.value.replace("_", " ")


def _draw_load(canvas: Canvas, lens: Lens, axis: Axis, top: float, margin: float, narrow: bool) -> float:
    buckets = max(40, min(400, int(axis.width // 3)))
    by_tier = [
        load(
            [
                (one.start_us, lens.until_us if one.end_us is None else one.end_us)
                for bar in lens.bars
                if bar.tier == tier
                for one in bar.tries
            ],
            axis,
            buckets,
        )
        for tier in (1, 2, 3)
    ]
    total = [sum(values) for values in zip(*by_tier, strict=True)]
    peak = max(total) or 1.0
    floor, scale, step = top + _LOAD_HEIGHT + 10, _LOAD_HEIGHT / peak, axis.width / buckets
    below = [0.0] * buckets
    for tier, values in enumerate(by_tier, 1):
        if not any(values):
            continue
        above = [low + value for low, value in zip(below, values, strict=True)]
        upper, lower = [], []
        for bucket in range(buckets):
            x = axis.left + bucket * step
            upper += [(x, floor - above[bucket] * scale), (x + step, floor - above[bucket] * scale)]
            lower += [(x, floor - below[bucket] * scale), (x + step, floor - below[bucket] * scale)]
        canvas.polygon(_thin([*upper, *reversed(lower)]), f"t{tier}", title=f"Tier {tier} attempts running")
        below = above
    place = (axis.left + 6, top + 14) if narrow else (margin, top + 16)
    canvas.text(*place, f"up to {peak:.0f} at once", "m halo")
    if not narrow:
        done = sum(bar.state in ENDED for bar in lens.bars)
        canvas.text(margin, top + 32, f"{done:,} of {len(lens.bars):,} ended", "m")
    y = floor + 4
    ill = [bar for state in _ILL for bar in lens.bars if bar.state is state]
    for bar in ill[:MOST_NAMED]:
        y += 16
        words = f"{bar.name}: {bar_words(bar, lens.until_us)}"
        canvas.text(axis.left, y, shorten(words, _SMALL, axis.width), "mb")
    if len(ill) > MOST_NAMED:
        y += 16
        canvas.text(axis.left, y, f"and {len(ill) - MOST_NAMED} more did not end well", "mb")
    return y + 4


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same outline without the corners that lie on a straight level line."""
    kept: list[tuple[float, float]] = []
    for index, point in enumerate(points):
        level = 0 < index < len(points) - 1 and points[index - 1][1] == point[1] == points[index + 1][1]
        if not level:
            kept.append(point)
    return kept
