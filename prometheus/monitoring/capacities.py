"""The picture of a sweep: how often each promise would be missed on machines of each size, and the smallest that keeps it.

Three panels over one axis of sizes: the share of nights that miss, the smallest size for each promise, and what Tier 3 gets
done. The share stands on a scale of square roots, for one night in two hundred and every second must both be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

from prometheus.monitoring.page import USUAL_WIDTH, Frame, document, frame_of, wrap
from prometheus.monitoring.prospects import head, percent, tail
from prometheus.monitoring.svg import Canvas, number, shorten, text_width
from prometheus.monitoring.theme import Theme

MOST_CURVES = 100
ROWS_EACH = 12  # promises up to which each has a row; of more, those that need the same share one
LABELLED_AT_MOST = 3  # curves that all carry their names; of more, the one that needs most of each tier
TICKS = (0.0, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0)

_SMALL = 11.5
_GUTTER = 210.0
_RIGHT = 60.0
_HIGH = 240.0
_LOWER_HIGH = 80.0
_ROW = 20.0
_WORDS_ROW = 14.0  # above the upright lines


@dataclass(frozen=True, slots=True)
class Curve:
    """One promise: the share of nights that miss it at each size, with its 95 % interval."""

    name: str
    tier: int
    misses: tuple[tuple[float, float, float], ...]  # (share, low, high), one a size
    smallest: int | None  # place of the smallest size that keeps it; None = none of them does
    is_sure: bool  # the samples prove it
    note: str = ""  # beside it: what is not sure


@dataclass(frozen=True, slots=True)
class Enough:
    """A size that is marked through all panels: what it is enough for."""

    place: int  # of the size
    words: str  # "14 keep Tier 1"


@dataclass(frozen=True, slots=True)
class Capacities:
    """Everything on one picture."""

    title: str
    subtitle: str
    unit: str  # of the sizes, for the axis: cores
    sizes: tuple[float, ...]  # ascending
    curves: tuple[Curve, ...]
    lower: tuple[float, ...]  # core-hours of Tier 3, one a size
    allowed: float  # share of nights that may miss
    present: float | None = None  # the size that there is
    enough: tuple[Enough, ...] = ()
    changed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Scale:
    """Sizes laid over the plot."""

    sizes: tuple[float, ...]
    left: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width

    def x(self, size: float) -> float:
        first, last = self.sizes[0], self.sizes[-1]
        if last == first:
            return self.left + self.width / 2
        return self.left + self.width * (size - first) / (last - first)


def draw_capacities(scene: Capacities, *, width: int = USUAL_WIDTH, theme: Theme = "auto") -> str:
    """The picture as one SVG document, `width` pixels wide (at least 320) and as high as it needs to be."""
    frame = frame_of(width, _GUTTER)
    canvas = Canvas()
    y = head(canvas, frame, scene.title, scene.subtitle, scene.changed)
    inset = 40.0 if frame.narrow else 0.0
    scale = _Scale(
        scene.sizes, frame.left + inset + 8, frame.plot - inset - (24.0 if frame.narrow else _RIGHT)
    )
    shapes, marks = Canvas(), Canvas()  # over the lines that go through all panels; words over everything
    upright = _upright_words(scene, scale)
    over = _WORDS_ROW * max((one.level for one in upright), default=0)
    top = y + 26 + over + (34 if frame.narrow else 0)
    if frame.narrow:  # there is no room beside the panel, so its name stands above whatever is marked in it
        marks.text(frame.margin, top - 28 - over, "nights that miss it", "b halo")
    y = _misses(shapes, marks, scene, frame, scale, top)
    y = _smallest(shapes, marks, scene, frame, scale, y + 34)
    y = _lower(shapes, marks, scene, frame, scale, y + 30)
    _uprights(canvas, marks, scene, scale, upright, top, y)
    canvas.append(shapes)
    canvas.append(marks)
    y = _sizes(canvas, scene, frame, scale, y)
    y = _legend(canvas, scene, frame, y)
    y = tail(canvas, frame, scene.remarks, y)
    return document(canvas, frame.width, y + 14, scene.title, describe_capacities(scene), theme)


def describe_capacities(scene: Capacities) -> str:
    """The picture in words, for those who do not see it."""
    parts = [*scene.changed, *(one.words for one in scene.enough)]
    for curve in scene.curves[:MOST_CURVES]:
        if curve.smallest is None:
            parts.append(f"{curve.name}: no size of these keeps it")
        else:
            parts.append(f"{curve.name}: from {number(scene.sizes[curve.smallest])} {scene.unit} on")
    return ". ".join([*parts, *scene.remarks])


def _up(share: float) -> float:
    """How high a share stands: 0..1."""
    return sqrt(min(max(share, 0.0), 1.0))


def _misses(
    canvas: Canvas, marks: Canvas, scene: Capacities, frame: Frame, scale: _Scale, top: float
) -> float:
    """The curves; the most endangered last, so that it lies on top."""
    floor = top + _HIGH
    if not frame.narrow:
        _panel_name(
            marks, frame, top - 10, "nights that miss it", "share of the samples, with its 95 % interval"
        )
    for tick in TICKS:
        y = floor - _HIGH * _up(tick)
        is_allowed = abs(tick - scene.allowed) < 1e-9
        canvas.line(scale.left - 8, y, scale.right + 8, y, "due" if is_allowed else "grid")
        canvas.text(scale.left - 14, y + 4, percent(tick), "ax", "end")
    if abs(floor - _HIGH * _up(scene.allowed) - floor) > 12 and not frame.narrow:
        marks.text(scale.right + 12, floor - _HIGH * _up(scene.allowed) + 4, "may miss", "md")
    curves = sorted(scene.curves[:MOST_CURVES], key=lambda one: _need(scene, one))
    named = curves if len(curves) <= LABELLED_AT_MOST else list({one.tier: one for one in curves}.values())
    named = named[::-1]  # the one that needs most is drawn whole, the others dashed
    for curve in sorted(curves, key=lambda one: one in named):
        is_named = curve in named
        points = [
            (scale.x(size), floor - _HIGH * _up(miss))
            for size, (miss, _, _) in zip(scene.sizes, curve.misses, strict=True)
        ]
        if is_named:
            edges = [
                (scale.x(size), floor - _HIGH * _up(low), floor - _HIGH * _up(high))
                for size, (_, low, high) in zip(scene.sizes, curve.misses, strict=True)
            ]
            band = [(x, low) for x, low, _ in edges] + [(x, high) for x, _, high in reversed(edges)]
            canvas.polygon(band, f"band{curve.tier}")
        dashed = f" dash{named.index(curve)}" if is_named else ""
        canvas.polyline(points, f"c{curve.tier}{' bold' if is_named else ''}{dashed}", title=curve.name)
        if is_named:
            for x, y in points:
                canvas.dot(x, y, 3.2, f"t{curve.tier}")
    taken: list[tuple[float, float]] = []
    for curve in named:
        _label(marks, scene, curve, scale, floor, taken)
    return floor


def _need(scene: Capacities, curve: Curve) -> tuple[int, float]:
    """How much a promise needs: its smallest size, then how often it is missed in all."""
    place = len(scene.sizes) if curve.smallest is None else curve.smallest
    return place, sum(share for share, _, _ in curve.misses)


def _label(
    marks: Canvas,
    scene: Capacities,
    curve: Curve,
    scale: _Scale,
    floor: float,
    taken: list[tuple[float, float]],
) -> None:
    """The name of a curve, right of where it last stands high; nothing where it would lie on another."""
    high = [place for place, (miss, _, _) in enumerate(curve.misses) if miss > 0.05]
    place = high[-1] if high else 0
    x, y = scale.x(scene.sizes[place]) + 8, floor - _HIGH * _up(curve.misses[place][0]) - 6
    while any(abs(y - other_y) < 15 and abs(x - other_x) < 160 for other_x, other_y in taken):
        y -= 15
    ends_high = place == len(curve.misses) - 1 and place > 0  # nothing is right of it
    words = shorten(curve.name, 13, scale.width if ends_high else scale.right - x)
    if words:
        taken.append((x, y))
        marks.text(scale.right if ends_high else x, y, words, "b halo", "end" if ends_high else "start")


def _smallest(
    canvas: Canvas, marks: Canvas, scene: Capacities, frame: Frame, scale: _Scale, top: float
) -> float:
    """A row a promise: a line from the smallest size that keeps it on, with a dot that is hollow while it is unsure."""
    said = f"smallest that keeps it in {100 * (1 - scene.allowed):g} % of the nights"
    marks.text(frame.margin, top, shorten(said, 13, frame.plot + frame.gutter), "b halo")
    y = top + 8
    for curve in _rows(scene):
        if frame.narrow:
            y += 15
            marks.text(frame.margin, y, shorten(curve.name, 12, frame.plot), "n halo")
        y += _ROW
        middle = y - 6
        if not frame.narrow:
            marks.text(frame.margin, y - 2, shorten(curve.name, 12, _GUTTER - 34), "n")
        canvas.line(scale.left, middle, scale.right, middle, "grid")
        if curve.smallest is None:
            marks.cross(scale.right, middle, 3.5, "cross", title="none of these")
            marks.text(
                scale.right - 8,
                middle + 4,
                f"more than {_size(scene, len(scene.sizes) - 1)}",
                "mb halo",
                "end",
            )
            continue
        x = scale.x(scene.sizes[curve.smallest])
        canvas.line(x, middle, scale.right, middle, f"c{curve.tier} bold")
        canvas.dot(x, middle, 5.0, f"t{curve.tier}" if curve.is_sure else f"hollow{curve.tier}")
        said = _size(scene, curve.smallest) + (" or less" if curve.smallest == 0 else "")
        if curve.note:
            said += f", {curve.note}"
        wide = text_width(said, 12)
        if x + 12 + wide <= scale.right + _RIGHT - 6:
            marks.text(x + 10, middle - 4, said, "m halo")
        else:
            marks.text(x - 10, middle + 4, said, "m halo", "end")
    if not scene.curves:
        y += _ROW
        marks.text(frame.left, y, "no promise is open tonight", "m")
    return y


def _rows(scene: Capacities) -> list[Curve]:
    """A row a promise; of many promises, one for all of a tier that need the same and are as sure."""
    if len(scene.curves) <= ROWS_EACH:
        return list(scene.curves)
    alike: dict[tuple[int | None, int, bool], list[Curve]] = {}
    for curve in scene.curves:
        alike.setdefault((curve.smallest, curve.tier, curve.is_sure), []).append(curve)
    return [
        curves[0]
        if len(curves) == 1
        else replace(curves[0], name=f"{len(curves)} of Tier {curves[0].tier}: {curves[0].name}, ...")
        for curves in alike.values()
    ]


def _lower(
    canvas: Canvas, marks: Canvas, scene: Capacities, frame: Frame, scale: _Scale, top: float
) -> float:
    _panel_name(marks, frame, top - 10, "work of Tier 3", "core-hours a night that are of use")
    floor = top + _LOWER_HIGH + (16 if frame.narrow else 0)
    peak = max(scene.lower, default=0.0) or 1.0
    step = scale.width / max(1, len(scene.sizes) - 1)
    wide = min(26.0, max(3.0, 0.6 * step))
    every = max(1, int(34 / max(step, 1)) + (34 % max(step, 1) > 0)) if step < 34 else 1
    for place, (size, hours) in enumerate(zip(scene.sizes, scene.lower, strict=True)):
        x, high = scale.x(size), (_LOWER_HIGH - 16) * hours / peak
        canvas.rect(x - wide / 2, floor - high, wide, high, "t3", title=f"{hours:.1f} core-hours")
        if place % every == 0:
            marks.text(x, floor - high - 4, f"{hours:.0f}", "m halo", "middle")
    canvas.line(scale.left - 8, floor, scale.right + 8, floor, "base")
    return floor


@dataclass(frozen=True, slots=True)
class _Words:
    """What an upright line says, above it."""

    at: float  # its middle
    level: int  # row; 0 is the lowest
    words: str
    kind: str


def _upright_words(scene: Capacities, scale: _Scale) -> list[_Words]:
    """The size that there is, and the smallest that is enough; each in the lowest row in which it lies on no other."""
    words: list[tuple[float, str, str]] = []
    marked = {scene.sizes[one.place] for one in scene.enough}
    present = _present(scene)
    if present is not None and present not in marked:
        words.append((scale.x(present), f"{number(present)} now", "m halo"))
    for one in scene.enough:
        size = scene.sizes[one.place]
        words.append((scale.x(size), one.words + (", as now" if size == scene.present else ""), "nowt halo"))
    rows: list[list[tuple[float, float]]] = []  # what stands in each row, the lowest first
    found = []
    for x, said, kind in words:
        half = text_width(said, _SMALL) / 2
        at = min(max(x, scale.left + half - 8), scale.right + 16 - half)
        span = at - half - 8, at + half + 8
        level = next(
            (
                n
                for n, row in enumerate(rows)
                if all(span[1] < left or span[0] > right for left, right in row)
            ),
            len(rows),
        )
        rows += [[]] * (level == len(rows))
        rows[level] = [*rows[level], span]
        found.append(_Words(at, level, said, kind))
    return found


def _present(scene: Capacities) -> float | None:
    """The size that there is, if it lies among those tried."""
    shown = scene.present is not None and scene.sizes[0] <= scene.present <= scene.sizes[-1]
    return scene.present if shown else None


def _uprights(
    canvas: Canvas,
    marks: Canvas,
    scene: Capacities,
    scale: _Scale,
    words: list[_Words],
    top: float,
    bottom: float,
) -> None:
    """Lines through all panels, with their words."""
    present = _present(scene)
    if present is not None:
        x = scale.x(present)
        canvas.line(x, top - 4, x, bottom, "base")
    for one in scene.enough:
        x = scale.x(scene.sizes[one.place])
        canvas.line(x, top - 4, x, bottom, "now")
    for said in words:
        marks.text(said.at, top - 9 - _WORDS_ROW * said.level, said.words, said.kind, "middle")


def _sizes(canvas: Canvas, scene: Capacities, frame: Frame, scale: _Scale, y: float) -> float:
    last = -1e9
    for size in scene.sizes:
        x = scale.x(size)
        wide = text_width(number(size), _SMALL)
        if x - wide / 2 >= last + 6:
            canvas.text(x, y + 17, number(size), "ax", "middle")
            last = x + wide / 2
    canvas.text(scale.left + scale.width / 2, y + 36, scene.unit, "m", "middle")
    return y + 40


def _legend(canvas: Canvas, scene: Capacities, frame: Frame, top: float) -> float:
    tiers = sorted({one.tier for one in scene.curves[:MOST_CURVES]})
    x, y = frame.margin, top + 16
    entries = [(f"Tier {tier}", f"t{tier}") for tier in tiers]
    if any(not one.is_sure and one.smallest is not None for one in scene.curves):
        entries.append(("hollow: too few samples to be sure", f"hollow{tiers[0]}"))
    for words, kind in entries:
        wide = text_width(words, _SMALL) + 20
        if x > frame.margin and x + wide > frame.width - frame.margin:
            x, y = frame.margin, y + 17
        canvas.dot(x + 6, y - 4, 4.5, kind)
        canvas.text(x + 18, y, words, "m")
        x += wide + 16
    return y


def _panel_name(marks: Canvas, frame: Frame, y: float, name: str, beneath: str) -> None:
    if frame.narrow:
        marks.text(frame.margin, y - 4, name, "b halo")
        return
    marks.text(frame.margin, y + 14, shorten(name, 13, _GUTTER - 40), "b")
    for place, line in enumerate(wrap(beneath, _SMALL, _GUTTER - 60)):
        marks.text(frame.margin, y + 30 + 15 * place, line, "m")


def _size(scene: Capacities, place: int) -> str:
    return number(scene.sizes[place])
