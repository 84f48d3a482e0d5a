"""The picture of a forecast: for each promise when it will be kept, as it is and as it would be, against its deadline.

A bar runs from the instant by which half of the samples are done to that of nine in ten, a whisker on to 99 in 100; what
lies behind the deadline is hatched. Above it, in outline, the same before anything was changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.core.instants import MINUTE_US
from prometheus.monitoring.axis import Axis, clock_words, span_words
from prometheus.monitoring.page import USUAL_WIDTH, Frame, document, frame_of, wrap
from prometheus.monitoring.svg import Canvas, shorten, text_width
from prometheus.monitoring.theme import Theme

MOST_ROWS = 60  # promises that are drawn: those in most danger, or most changed
MOST_LINES = 12  # of words above and below
COMPACT_FROM = 16  # rows from which each takes less room

_SMALL = 11.5
_GUTTER = 210.0
_VERDICT = 150.0  # right of the plot, for P(miss)
_LIKELY = 0.2  # P(miss) from which a row is marked


@dataclass(frozen=True, slots=True)
class Fan:
    """When a promise is kept, over the samples; None where so many never keep it while they are looked at."""

    p50_us: int | None
    p90_us: int | None
    p99_us: int | None
    miss: float  # share of the samples, 0..1


@dataclass(frozen=True, slots=True)
class Prospect:
    """One promise; a side is None where its run does not take place."""

    name: str
    group: str  # its run; rows of one stand together under its name
    tier: int
    due_us: int  # after the change
    before: Fan | None
    after: Fan | None
    due_before_us: int | None = None  # where the change moved the deadline


@dataclass(frozen=True, slots=True)
class Prospects:
    """Everything on one picture."""

    title: str
    subtitle: str
    start_us: int
    end_us: int  # after `start_us`
    now_us: int
    prospects: tuple[Prospect, ...]  # in the order in which they are drawn
    changed: tuple[str, ...] = ()  # what is assumed, in words; empty = a forecast alone
    remarks: tuple[str, ...] = ()  # beneath
    left_out: int = 0  # promises that are not drawn


def draw_prospects(scene: Prospects, *, width: int = USUAL_WIDTH, theme: Theme = "auto") -> str:
    """The picture as one SVG document, `width` pixels wide (at least 320) and as high as it needs to be."""
    frame = frame_of(width, _GUTTER)
    right = 0.0 if frame.narrow else _VERDICT
    axis = Axis(scene.start_us, scene.end_us, frame.left, frame.plot - right)
    canvas = Canvas()
    y = head(canvas, frame, scene.title, scene.subtitle, scene.changed)
    y = _plot(canvas, scene, frame, axis, y + 10)
    y = _legend(canvas, scene, frame, y)
    y = tail(canvas, frame, scene.remarks, y)
    return document(canvas, frame.width, y + 14, scene.title, describe_prospects(scene), theme)


def describe_prospects(scene: Prospects) -> str:
    """The picture in words, for those who do not see it."""
    parts = [*scene.changed[:MOST_LINES]]
    parts += [f"{one.group} {one.name}: P(miss) {_miss_words(one)}" for one in scene.prospects[:MOST_ROWS]]
    return ". ".join([*parts, *scene.remarks[:MOST_LINES]])


def head(canvas: Canvas, frame: Frame, title: str, subtitle: str, lines: tuple[str, ...]) -> float:
    """Title, what it is about, and what is assumed; where the next may begin."""
    room = frame.width - 2 * frame.margin
    y = 36.0
    for line in wrap(title, 20, room)[:3]:
        canvas.text(frame.margin, y, line, "h1")
        y += 25
    y -= 5
    for line in wrap(subtitle, _SMALL, room)[:3]:
        canvas.text(frame.margin, y, line, "m")
        y += 16
    for said in lines[:MOST_LINES]:
        y += 4
        for number, line in enumerate(wrap(said, 13, room - 14)[:3]):
            if number == 0:
                canvas.text(frame.margin, y + 2, "▸", "n")
            canvas.text(frame.margin + 14, y + 2, line, "b")
            y += 17
    if len(lines) > MOST_LINES:
        canvas.text(frame.margin + 14, y + 2, f"and {len(lines) - MOST_LINES} more", "m")
        y += 17
    return y


def tail(canvas: Canvas, frame: Frame, remarks: tuple[str, ...], y: float) -> float:
    """What is to be known beside: a paragraph each."""
    y += 6
    for remark in remarks[:MOST_LINES]:
        for line in wrap(remark, _SMALL, frame.width - 2 * frame.margin)[:4]:
            y += 16
            canvas.text(frame.margin, y, line, "m")
        y += 2
    return y


def percent(share: float) -> str:
    """As in 0, 0.5 %, 12 %, 100 %."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{100 * share:.1f} %" if share < 0.0995 or share > 0.9895 else f"{100 * share:.0f} %"


def _miss_words(one: Prospect) -> str:
    if one.after is None:
        return "does not take place"
    if one.before is None or one.before.miss == one.after.miss:
        return percent(one.after.miss)
    return f"{percent(one.after.miss)} instead of {percent(one.before.miss)}"


def _plot(canvas: Canvas, scene: Prospects, frame: Frame, axis: Axis, top: float) -> float:
    rows = scene.prospects[:MOST_ROWS]
    marks = Canvas()
    words = Canvas()
    y = top + 14
    if not rows:
        words.text(frame.left, y + 22, "no promise is open tonight", "m")
        y += 36
    groups = list(dict.fromkeys(one.group for one in rows))
    compact = len(rows) >= COMPACT_FROM
    if rows and not frame.narrow:
        words.text(axis.right + 16, top, "P(miss)", "m")
    for one in rows:
        if len(groups) > 1 and one.group == groups[0]:
            y += 18
            words.text(frame.margin, y + 6, shorten(one.group, 13, frame.width - 2 * frame.margin), "b")
            y += 10
            groups = [*groups[1:], ""]
        y = _row(marks, words, one, scene, frame, axis, y, compact)
    hidden = scene.left_out + len(scene.prospects) - len(rows)
    if hidden:
        y += 18
        words.text(frame.margin, y, f"and {hidden} more promises, less in danger", "m")
        y += 4
    bottom = y + 4
    gap = 56 if frame.narrow else 84
    for at, label in axis.ticks(gap):
        x = axis.x(at)
        canvas.line(x, top + 6, x, bottom, "grid")
        if axis.left + 14 <= x <= axis.right - 14:
            canvas.text(x, top, label, "ax", "middle")
    if axis.shows(scene.now_us):
        x = axis.x(scene.now_us)
        canvas.line(x, top + 4, x, bottom, "now", title="now")
    canvas.append(marks)
    canvas.append(words)
    return bottom


def _row(
    canvas: Canvas,
    words: Canvas,
    one: Prospect,
    scene: Prospects,
    frame: Frame,
    axis: Axis,
    top: float,
    compact: bool,
) -> float:
    """One promise; where the next may begin."""
    is_compared = bool(scene.changed)
    due = f"due {clock_words(one.due_us, scene.start_us)}"
    miss = 0.0 if one.after is None else one.after.miss
    kind = "sb" if miss >= _LIKELY else "b"
    verdict = "no run" if one.after is None else percent(miss)
    was = ""
    if is_compared and one.before is not None:
        was = "" if one.after is not None and one.before.miss == miss else f"was {percent(one.before.miss)}"
    if frame.narrow:
        y = top + 17
        taken = text_width(f"{verdict} {was}", 13) + 16
        words.text(frame.margin, y, shorten(one.name, 13, frame.plot - taken), "b halo")
        words.text(axis.right, y, verdict, kind, "end")
        words.text(axis.right - text_width(verdict, 13) - 10, y, was, "m", "end")
        words.text(frame.margin, y + 15, due, "m halo")
        bar, high = y + 21, 34.0 + 17 + 18
    else:
        y = top + (12 if compact else 16)
        if compact:
            words.text(frame.left - 12, y + 4, due, "m", "end")
            room = _GUTTER - 24 - text_width(due, _SMALL)
            words.text(frame.margin, y + 4, shorten(one.name, _SMALL, room), "n")
        else:
            words.text(frame.margin, y, shorten(one.name, 13, _GUTTER - 12), "b")
            words.text(frame.margin, y + 16, due, "m")
        middle = y + (4 if compact else 8)
        words.text(axis.right + 16, middle, verdict, kind)
        words.text(axis.right + 24 + text_width(verdict, 13), middle, was, "m")
        bar, high = (y - 7, 26.0) if compact else (y - 8, 46.0)
    before_high, after_high = (5.0, 9.0) if compact else (7.0, 13.0)
    body = after_high + (before_high + 3 if is_compared else 0)
    if is_compared and one.before is not None:
        _fan(canvas, one.before, one.due_before_us or one.due_us, axis, bar, before_high, f"e{one.tier}")
    after = bar + (before_high + 3 if is_compared else 0)
    if one.after is not None:
        _fan(canvas, one.after, one.due_us, axis, after, after_high, f"t{one.tier}")
    if not compact and not frame.narrow and one.after is not None and one.after.p50_us is not None:
        said = _finish_words(one, scene)
        wide = text_width(said, _SMALL)
        end, limit = axis.x(one.after.p99_us or axis.end_us), axis.x(one.due_us)
        gaps = ((end + 10, limit - 8 if limit > end else axis.right), (max(end, limit) + 10, axis.right))
        fitting = next((left for left, right in gaps if left + wide <= right), None)
        if fitting is not None:
            words.text(fitting, after + after_high - 2.5, said, "m halo")
    if one.due_before_us is not None and one.due_before_us != one.due_us and axis.shows(one.due_before_us):
        x = axis.x(one.due_before_us)
        canvas.line(x, bar - 3, x, bar + before_high + 1, "due", title="was due")
    if axis.shows(one.due_us):
        x = axis.x(one.due_us)
        canvas.line(x, bar - 3, x, bar + body + 3, "due", title=f"{one.name} {due}")
    return top + high


def _finish_words(one: Prospect, scene: Prospects) -> str:
    """When half and nine in ten are done, and how much that has moved."""
    assert one.after is not None, "asked before"
    ends = [at for at in (one.after.p50_us, one.after.p90_us) if at is not None]
    clocks = list(dict.fromkeys(clock_words(at, scene.start_us) for at in ends))
    said = " to ".join(clocks)
    if one.before is not None and one.before.p90_us is not None and one.after.p90_us is not None:
        later = one.after.p90_us - one.before.p90_us
        if abs(later) >= MINUTE_US:
            said += f", {round(abs(later) / MINUTE_US)} min {'later' if later > 0 else 'earlier'}"
    return said


def _fan(canvas: Canvas, fan: Fan, due_us: int, axis: Axis, y: float, high: float, kind: str) -> None:
    """The bar from P50 to P90, its whisker to P99, hatched behind the deadline; an arrow where it has no end."""
    if fan.p50_us is None:
        if not kind.startswith("e"):
            canvas.text(
                axis.right - 4,
                y + high - 1,
                f"after {clock_words(axis.end_us, axis.start_us)} ▸",
                "mb halo",
                "end",
            )
        return
    first, last = axis.x(fan.p50_us), axis.right if fan.p90_us is None else axis.x(fan.p90_us)
    end = axis.right if fan.p99_us is None else axis.x(fan.p99_us)
    due = axis.x(due_us)
    middle = y + high / 2
    outlined = kind.startswith("e")
    if end > last:
        canvas.line(last, middle, end, middle, "whisker")
        if fan.p99_us is not None:
            canvas.line(end, middle - 3, end, middle + 3, "whisker")
    width = max(last - first, 3.0)
    title = f"half by {clock_words(fan.p50_us, axis.start_us)}"
    if fan.p90_us is not None:
        title += (
            f", nine in ten {span_words(fan.p90_us - fan.p50_us)} later"
            if fan.p90_us - fan.p50_us >= MINUTE_US
            else ", nine in ten within a minute"
        )
    if outlined:
        canvas.rect(first + 0.6, y + 0.6, width - 1.2, high - 1.2, kind, title=title)
        return
    kept = min(max(due - first, 0.0), width)
    if kept > 0:
        canvas.rect(first, y, kept, high, kind, title=title)
    if kept < width:
        canvas.rect(first + kept, y + 0.6, width - kept, high - 1.2, "failed", title="later than it is due")


def _legend(canvas: Canvas, scene: Prospects, frame: Frame, top: float) -> float:
    tiers = sorted({one.tier for one in scene.prospects[:MOST_ROWS]})
    entries = [(f"Tier {tier}: half to nine in ten of the nights are done", f"t{tier}") for tier in tiers]
    if scene.changed and tiers:
        entries.append(("as it is now", f"e{tiers[0]}"))
    entries += [("later than due", "failed"), ("99 in 100", "whisker"), ("due", "due")] if tiers else []
    x, y = frame.margin, top + 20
    for words, kind in [*entries, ("times in UTC", "")]:
        wide = text_width(words, _SMALL) + (20 if kind else 0)
        if x > frame.margin and x + wide > frame.width - frame.margin:
            x, y = frame.margin, y + 17
        if kind == "due":
            canvas.line(x + 7, y - 10, x + 7, y + 2, kind)
        elif kind == "whisker":
            canvas.line(x, y - 4, x + 14, y - 4, kind)
            canvas.line(x + 14, y - 7, x + 14, y - 1, kind)
        elif kind:
            canvas.rect(x, y - 9, 14, 9, kind, radius=2)
        canvas.text(x + (20 if kind else 0), y, words, "m")
        x += wide + 18
    return y
