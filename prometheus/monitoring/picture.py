"""The one renderer: a `Scene` in, SVG text out; no clock, no files, equal scenes give equal bytes.

From top to bottom: what night it is; the overview (sessions of each market, beneath them the work of each run,
deadlines dashed, now as a line); when one run is shown, a lens on its work; the promises as cards; what needs a person.
The size of the text is bounded: at most `MOST_ROWS` rows, `MOST_CARDS` cards and one shape per pixel column, however
many tasks there are.
"""

from __future__ import annotations

from prometheus.core.instants import DAY_US, SECOND_US
from prometheus.monitoring.axis import Axis, clock_words, columns, span_words
from prometheus.monitoring.lens import draw_lens, lens_of
from prometheus.monitoring.page import USUAL_WIDTH, Frame, document, frame_of, wrap
from prometheus.monitoring.scene import Bar, Due, Lane, Scene, Strip
from prometheus.monitoring.svg import Canvas, shorten, text_width
from prometheus.monitoring.theme import Theme
from prometheus.scheduler.states import SloState, TaskState

MOST_ROWS = 40  # of runs in the overview
MOST_CARDS = 8
MOST_REMARKS = 8
MOST_DUES = 24  # deadlines labelled in one row; the rest are lines without words
DUE_LEVELS = 4
CROSS_GAP = 12.0  # pixels between the crosses of failed tasks; one may stand for several

_SMALL = 11.5
_BROKEN = frozenset({SloState.MISSED, SloState.WILL_MISS})
_URGENCY = (
    SloState.MISSED,
    SloState.WILL_MISS,
    SloState.AT_RISK,
    SloState.ON_TRACK,
    SloState.RECOVERED,
    SloState.MET,
)


def draw(scene: Scene, *, width: int = USUAL_WIDTH, theme: Theme = "auto") -> str:
    """The picture as one SVG document, `width` pixels wide (at least 320) and as high as it needs to be."""
    frame = frame_of(width, 150.0)
    canvas = Canvas()
    y = _header(canvas, scene, frame)
    y = _overview(canvas, scene, frame, y)
    y = _cards(canvas, scene, frame, y)
    y = _remarks(canvas, scene, frame, y)
    y = _legend(canvas, scene, frame, y)
    return document(canvas, frame.width, y + 12, scene.title, describe(scene), theme)


def describe(scene: Scene) -> str:
    """The picture in words, for those who do not see it."""
    parts = [scene.subtitle] if scene.subtitle else []
    for strip in scene.strips[:MOST_ROWS]:
        counts: dict[TaskState, int] = {}
        for bar in strip.bars:
            counts[bar.state] = counts.get(bar.state, 0) + 1
        tasks = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in counts.items())
        state = f" {strip.state.value}" if strip.state else ""
        parts.append(f"{strip.name}{state}: {tasks or 'no tasks'}")
        parts += [f"{due.name}: {slo_words(due, scene)}" for due in strip.dues[:MOST_CARDS]]
    return ". ".join([*parts, *scene.remarks[:MOST_REMARKS]])


def slo_words(due: Due, scene: Scene) -> str:
    """Where a promise stands, in one line."""
    by = clock_words(due.at_us, scene.start_us)
    if due.finished_us is not None:
        spare = due.at_us - due.finished_us
        done = clock_words(due.finished_us, scene.start_us, seconds=spare < 60 * SECOND_US)
        side = "to spare" if spare >= 0 else "late"
        return f"done {done}, due {by} · {span_words(spare)} {side}"
    if scene.now_us is None or due.state is SloState.MET:
        return f"due {by}"
    left = due.at_us - scene.now_us
    if left <= 0:
        return f"due {by} · {span_words(left)} ago, not done"
    if due.state in _BROKEN:  # a run that cannot go on breaks its promise before the hour comes
        return f"due {by} · not done"
    return f"due {by} · in {span_words(left)}"


def _header(canvas: Canvas, scene: Scene, frame: Frame) -> float:
    right = frame.width - frame.margin
    if frame.narrow:
        y = 30.0
        canvas.text(frame.margin, y, shorten(scene.title, 20, right - frame.margin), "h1")
        for words, kind in ((scene.clock, "b"), (scene.clock_note, "m")):
            if words:
                y += 19
                canvas.text(frame.margin, y, shorten(words, 13, right - frame.margin), kind)
        for line in wrap(scene.subtitle, _SMALL, right - frame.margin):
            y += 16
            canvas.text(frame.margin, y, line, "m")
        return y + 20
    taken = max(text_width(scene.clock, 20), text_width(scene.clock_note, _SMALL)) + 24
    canvas.text(frame.margin, 36, shorten(scene.title, 20, right - frame.margin - taken), "h1")
    canvas.text(frame.margin, 56, shorten(scene.subtitle, _SMALL, right - frame.margin - taken), "m")
    canvas.text(right, 36, scene.clock, "h1", "end")
    canvas.text(right, 56, scene.clock_note, "m", "end")
    return 78.0


def _overview(canvas: Canvas, scene: Scene, frame: Frame, top: float) -> float:
    axis = Axis(scene.start_us, scene.end_us, frame.left, frame.plot)
    rows = _rows(scene)
    marks, words = (
        Canvas(),
        Canvas(),
    )  # over the grid, whose height is known only afterwards; words over everything
    y = top + 12
    spots: list[tuple[Strip, float]] = []  # where the bars of each run lie
    drawn = 0
    for lane, groups in rows:
        if drawn >= MOST_ROWS:
            y += 16
            marks.text(frame.margin, y, f"and {len(rows) - rows.index((lane, groups))} more rows", "m")
            break
        y = _lane(marks, words, lane, groups, axis, frame, y, spots, scene.now_us)
        drawn += max(1, len(groups))
    if not rows:
        marks.text(frame.left, y + 26, "nothing is planned or has run in this window", "m")
        y += 44
    bottom = y
    gap = 56 if frame.narrow else 84
    half_day = DAY_US // 2 if axis.step_us(gap) == DAY_US else 0  # a day's name stands over the day
    for at, label in axis.ticks(gap):
        x = axis.x(at)
        canvas.line(x, top + 6, x, bottom, "grid")
        x = axis.x(at + half_day)
        if axis.left + 12 <= x <= axis.right - 12:
            canvas.text(x, top, label, "ax", "middle")
    canvas.append(marks)
    if scene.now_us is not None and axis.shows(scene.now_us):
        x = axis.x(scene.now_us)
        canvas.line(x, top + 4, x, bottom, "now", title="now")
    canvas.append(words)
    if len(scene.strips) == 1 and spots:
        lens = lens_of(scene.strips[0], scene.now_us)
        if lens is not None:
            bottom = draw_lens(canvas, scene, lens, axis, spots[0][1], bottom, frame.margin, frame.narrow)
    return bottom + 16


def _rows(scene: Scene) -> list[tuple[Lane, list[list[Strip]]]]:
    """The lanes in order, each with its runs grouped by pipeline; runs of unknown lanes get one of their own."""
    lanes = {lane.name: lane for lane in scene.lanes}
    groups: dict[str, dict[str, list[Strip]]] = {name: {} for name in lanes}
    for strip in scene.strips:
        lane = lanes.setdefault(strip.lane, Lane(strip.lane))
        groups.setdefault(lane.name, {}).setdefault(strip.name, []).append(strip)
    return [(lanes[name], list(groups[name].values())) for name in lanes]


def _lane(
    canvas: Canvas,
    words: Canvas,
    lane: Lane,
    groups: list[list[Strip]],
    axis: Axis,
    frame: Frame,
    top: float,
    spots: list[tuple[Strip, float]],
    now_us: int | None,
) -> float:
    y = top + 8
    if frame.narrow:
        y += 12
        canvas.text(frame.margin, y, shorten(lane.name, 13, frame.plot * 0.6), "b")
        canvas.text(frame.width - frame.margin, y, shorten(lane.place, _SMALL, frame.plot * 0.4), "m", "end")
        y += 6
    middle = y + 7
    if not frame.narrow:
        canvas.text(frame.margin, middle + 4, shorten(lane.name, 13, frame.gutter - 8), "b")
        canvas.text(frame.margin, middle + 19, shorten(lane.place, _SMALL, frame.gutter - 8), "m")
    canvas.line(axis.left, middle, axis.right, middle, "base")
    _sessions(canvas, words, lane, axis, y)
    y += 14
    for runs in groups:
        y = _row(canvas, words, runs, len(groups) > 1, axis, frame, y, spots, now_us)
    return max(y, middle + 12) + 18


def _sessions(canvas: Canvas, words: Canvas, lane: Lane, axis: Axis, y: float) -> None:
    seen = [band for band in lane.sessions if band.close_us > axis.start_us and band.open_us < axis.end_us]
    if len(seen) > axis.width / 2:
        for left, right in columns([(band.open_us, band.close_us) for band in seen], axis):
            canvas.rect(left, y, right - left, 14, "open")
        return
    taken = axis.left  # right end of the last words, so that notes never lie on each other
    for band in seen:
        start = band.open_us
        for pause_start, pause_end in [*band.breaks, (band.close_us, band.close_us)]:
            left, right = axis.x(start), axis.x(pause_start)
            if right > left:
                title = f"open {clock_words(start, axis.start_us)} to {clock_words(pause_start, axis.start_us)} UTC"
                canvas.rect(left, y, max(right - left, 1.5), 14, "open", title=title)
            start = pause_end
        if band.note:
            taken = _note(words, band.note, axis.x(band.close_us) + 8, y + 11, axis, taken)
    for closure in lane.closures:
        if axis.shows(closure.at_us):
            x = axis.x(closure.at_us)
            canvas.cross(x, y + 7, 3.5, "shut", title=closure.note)
            taken = _note(words, closure.note, x + 8, y + 11, axis, taken)


def _note(canvas: Canvas, words: str, x: float, y: float, axis: Axis, taken: float) -> float:
    """Words beside a session, if there is room; where the last words end."""
    wide = text_width(words, _SMALL)
    if x >= taken and x + wide <= axis.right:
        canvas.text(x, y, words, "m halo")
        return x + wide + 8
    return taken


def _row(
    canvas: Canvas,
    words: Canvas,
    runs: list[Strip],
    named: bool,
    axis: Axis,
    frame: Frame,
    top: float,
    spots: list[tuple[Strip, float]],
    now_us: int | None,
) -> float:
    dues = sorted((due for run in runs for due in run.dues), key=lambda due: (due.at_us, due.name))
    levels = _due_levels(dues[:MOST_DUES], axis) if len(dues) <= MOST_DUES else []
    level_of = {id(due): level for level, due, _ in levels}
    depth = 1 + max(level_of.values(), default=-1)
    y = top + 6 + 14 * depth
    for level, due, x in levels:
        late = due.state in _BROKEN
        words.text(x - 5, top + 15 + 14 * level, _due_label(due), f"{'mb' if late else 'm'} halo", "end")
    if named and not frame.narrow:
        canvas.text(frame.margin, y + 9.5, shorten(runs[0].name, _SMALL, frame.gutter - 8), "m")
    for due in dues[: 10 * MOST_DUES]:
        if axis.shows(due.at_us):
            x = axis.x(due.at_us)
            high = 14 * (depth - level_of.get(id(due), depth))
            canvas.line(x, y - 4 - high, x, y + 15, "due", title=f"{due.name} due")
    for run in runs:
        _work(canvas, run, axis, y, now_us)
        spots.append((run, y + 11))
    return y + 11


def _due_label(due: Due) -> str:
    return f"{due.name} due {clock_words(due.at_us, due.at_us)}" + (
        f", {due.state.value.replace('_', ' ')}" if due.state in _BROKEN else ""
    )


def _due_levels(dues: list[Due], axis: Axis) -> list[tuple[int, Due, float]]:
    """(level, deadline, x) for the deadlines whose words, left of their lines, find a place in four levels.

    Later deadlines stand higher and a line begins at the level of its words, so that no line crosses other words.
    """
    starts: list[float] = []  # by level: where its words begin so far
    placed = []
    for due in reversed(dues):
        if not axis.shows(due.at_us):
            continue
        x = axis.x(due.at_us)
        begin = x - 5 - text_width(_due_label(due), _SMALL)
        level = next((at for at in range(len(starts)) if min(starts[at:]) > x + 4), len(starts))
        if begin < axis.left or level >= DUE_LEVELS:
            continue
        starts[level : level + 1] = [begin]
        placed.append((level, due, x))
    return placed


def _work(canvas: Canvas, run: Strip, axis: Axis, y: float, now_us: int | None) -> None:
    """The bars of one run, at most one shape per pixel column and tier; Tier 1 lies on top."""
    now = axis.end_us if now_us is None else now_us
    for tier in (3, 2, 1):
        bars = [bar for bar in run.bars if bar.tier == tier]
        planned = [bar.expected for bar in bars if bar.expected is not None and not bar.tries]
        for left, right in columns(planned, axis):
            canvas.rect(left + 0.5, y + 0.5, max(right - left - 1, 4.0), 10, f"e{tier}")
        spans = [
            (one.start_us, now if one.end_us is None else one.end_us) for bar in bars for one in bar.tries
        ]
        for left, right in columns(spans, axis):
            canvas.rect(left, y, max(right - left, 2.0), 11, f"t{tier}")
    if run.release_us is not None and axis.shows(run.release_us):
        x = axis.x(run.release_us)
        title = f"{run.name} may start {clock_words(run.release_us, axis.start_us)} UTC"
        canvas.polygon([(x - 3.5, y - 3), (x + 3.5, y - 3), (x, y + 2.5)], "rel", title=title)
    broken = [bar for bar in run.bars if bar.state is TaskState.FAILED and bar.tries]
    last = -CROSS_GAP
    for left, right in columns([(_end(bar), _end(bar)) for bar in broken], axis):
        middle = (left + right) / 2
        if middle - last >= CROSS_GAP:
            last = middle
            for kind in ("under", "cross"):
                canvas.cross(middle, y + 5.5, 3.5, kind, title="failed")


def _end(bar: Bar) -> int:
    last = bar.tries[-1]
    return last.start_us if last.end_us is None else last.end_us


def _cards(canvas: Canvas, scene: Scene, frame: Frame, top: float) -> float:
    dues = [(run, due) for run in scene.strips for due in run.dues]
    urgency = {state: place for place, state in enumerate(_URGENCY)}
    if len(dues) > MOST_CARDS:
        dues.sort(key=lambda pair: (urgency[pair[1].state], pair[1].at_us, pair[1].name))
    shown = dues[:MOST_CARDS]
    if not shown or all(run.state is None for run, _ in shown):
        return top
    across = 1 if frame.narrow else min(len(shown), 4)
    room = frame.width - 2 * frame.margin
    wide = (room - 12 * (across - 1)) / across if frame.narrow or across > 2 else min(room / 2 - 6, 460.0)
    several = len({run.name for run, _ in dues}) > 1
    for index, (run, due) in enumerate(shown):
        x = frame.margin + (index % across) * (wide + 12)
        y = top + (index // across) * 66
        late = due.state in _BROKEN
        canvas.rect(x, y, wide, 56, "card sb" if late else "card", radius=4)
        state = due.state.value.replace("_", " ")
        canvas.text(
            x + wide - 14, y + 23, state, "sb" if late else "sg" if due.state is SloState.MET else "ss", "end"
        )
        name = f"{run.name} · {due.name}" if several else due.name
        canvas.text(x + 14, y + 23, shorten(name, 13, wide - 40 - text_width(state, 13)), "b")
        canvas.text(x + 14, y + 42, shorten(slo_words(due, scene), _SMALL, wide - 28), "m")
    y = top + -(-len(shown) // across) * 66
    if len(dues) > len(shown):
        canvas.text(frame.margin, y + 8, f"and {len(dues) - len(shown)} more promises", "m")
        y += 20
    return y + 6


def _remarks(canvas: Canvas, scene: Scene, frame: Frame, top: float) -> float:
    y = top
    for remark in scene.remarks[:MOST_REMARKS]:
        for line in wrap(remark, 12, frame.width - 2 * frame.margin)[:3]:
            y += 17
            canvas.text(frame.margin, y, line, "n")
    if len(scene.remarks) > MOST_REMARKS:
        y += 17
        canvas.text(frame.margin, y, f"and {len(scene.remarks) - MOST_REMARKS} more", "m")
    return y + 8 if y > top else top


def _legend(canvas: Canvas, scene: Scene, frame: Frame, top: float) -> float:
    bars = [bar for run in scene.strips for bar in run.bars]
    entries = [(f"Tier {tier}", f"t{tier}") for tier in (1, 2, 3) if any(bar.tier == tier for bar in bars)]
    if any(one.failed for bar in bars for one in bar.tries):
        entries.append(("failed attempt", "failed"))
    if any(bar.expected is not None and not bar.tries for bar in bars):
        entries.append(("expected", "e1"))
    if any(lane.sessions for lane in scene.lanes):
        entries.insert(0, ("session", "open"))
    x, y = frame.margin, top + 14
    for words, kind in [*entries, ("times in UTC", "")]:
        wide = text_width(words, _SMALL) + (20 if kind else 0)
        if x + wide > frame.width - frame.margin:
            x, y = frame.margin, y + 17
        if kind:
            canvas.rect(x, y - 9, 14, 9, kind, radius=2)
        canvas.text(x + (20 if kind else 0), y, words, "m")
        x += wide + 18
    return y
