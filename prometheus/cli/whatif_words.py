"""What `prometheus whatif` says of a change: a table for people, and the same as a scene for the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus.cli.face import cell, table
from prometheus.core.instants import HOUR_US, MINUTE_US, from_us
from prometheus.monitoring.axis import clock_words
from prometheus.monitoring.page import USUAL_WIDTH
from prometheus.monitoring.prospects import MOST_ROWS, Fan, Prospect, Prospects, draw_prospects, percent
from prometheus.orchestrator.whatif.comparing import Comparison, Outcome, Row, can_start_words, never_words
from prometheus.orchestrator.whatif.shares import Share

if TYPE_CHECKING:
    from prometheus.cli.face import Face
    from prometheus.orchestrator.tonight import Promise

ROWS = 24  # promises in a table for people; --json has all
GAP = 2  # between columns
LEAST_NAME = 8  # letters of a promise's name in the narrowest table
LITTLE_CORE_HOURS = 0.05  # are not told


def tell(face: Face, found: Comparison) -> None:
    """The answer, for people: what was changed, the table, what is to be known beside."""
    face.out.print(cell(heading(found.name, found.now_us)))
    for said in [*found.words, *changed_warnings(found)]:
        face.out.print(cell(f"  {said}"))
    if found.words and found.makes_no_difference:
        face.out.print(
            f"It makes no difference: no promise ends at another instant in any of {found.samples} nights."
        )
    _table(face, found)
    for said in tier_words(found):
        face.out.print(cell(said))
    if lower := lower_words(found):
        face.out.print(lower)
    face.err.print(cell(_error_words(found.samples, found.seed)))
    for note in found.notes:
        face.err.print(cell(f"- {note}"))
    if found.is_forecast:
        face.err.print("nothing was changed: --cpu, --close, --slower and others ask what would be otherwise")


def changed_warnings(found: Comparison) -> list[str]:
    """What can never start as it would be, and what could not and now can."""
    known = {one.task.task_id for one in found.never_before}
    new = [one for one in found.never if one.task.task_id not in known]
    still = [one for one in found.never if one.task.task_id in known]
    return [
        *can_start_words(found.can_start),
        *never_words(new),
        *(f"(already so) {said}" for said in never_words(still)),
    ]


def picture(found: Comparison, width: int = USUAL_WIDTH) -> str:
    """The comparison drawn, so many pixels wide."""
    return draw_prospects(scene_of(found), width=width)


def scene_of(found: Comparison) -> Prospects:
    """What the picture of a comparison shows: the promises in most danger or most changed, by deadline."""
    rows = _foremost(found.rows, MOST_ROWS)
    marks = [found.now_us]
    for row in rows:
        for side in (row.before, row.after):
            if side is not None:
                marks.append(side.deadline_us)
                marks += [at for at in (side.p50_us, side.p90_us, side.p99_us) if at is not None]
    first = min(marks[1:], default=found.now_us)
    start = max(found.now_us, first - 2 * HOUR_US) if first > found.now_us else found.now_us
    notes = [_error_words(found.samples, found.seed), *changed_warnings(found), *found.notes]
    if found.words and found.makes_no_difference:
        notes.insert(0, f"It makes no difference in any of {found.samples} nights.")
    if lower := lower_words(found):
        notes.insert(0, lower)
    notes[:0] = tier_words(found)
    return Prospects(
        title="What if" if found.words else "Tonight as it is",
        subtitle=heading(found.name, found.now_us),
        start_us=start - 5 * MINUTE_US,
        end_us=max([*marks, start + HOUR_US]) + 10 * MINUTE_US,
        now_us=found.now_us,
        prospects=tuple(_prospect(row, found.rows) for row in rows),
        changed=found.words,
        remarks=tuple(notes),
        left_out=len(found.rows) - len(rows),
    )


def label_of(promise: Promise, among: Sequence[Promise]) -> str:
    """A promise's name, with its pipeline where there are several."""
    several = len({one.pipeline for one in among}) > 1
    return f"{promise.pipeline}: {promise.slo.name}" if several else promise.slo.name


def heading(name: str, now_us: int) -> str:
    """Whose night, from when on."""
    at = from_us(now_us)
    return f"{name}, from {at:%a} {at.day} {at:%b %Y %H:%M} UTC on"


def _table(face: Face, found: Comparison) -> None:
    rows = _foremost(found.rows, ROWS)
    if not rows:
        face.out.print("no promise is open tonight")
        return
    rows.sort(key=lambda row: row.promise.tier)  # those of a tier stay in the order of their deadlines
    promises = [row.promise for row in found.rows]
    names = [cell(label_of(row.promise, promises)) for row in rows]
    beneath = "\nnow → if so" if found.words else ""
    headings = [
        "promise\n",
        "tier\n",
        "due\nUTC",
        *(f"{name}{beneath}" for name in ("P(miss)", "P50", "P90")),
    ]
    for differences in ((True, True), (False, True), (False, False)):
        cells = [_cells(row, found, differences) for row in rows]
        widths = [max(len(line) for text in column for line in text.split("\n"))
                  for column in zip(headings[1:], *cells, strict=True)]  # fmt: skip
        room = face.out.width - sum(widths) - GAP * len(widths)
        if room >= max(map(len, names)):
            break
    room = max(room, LEAST_NAME)
    shown = table(*headings)
    shown.collapse_padding = True
    for name, more in zip(names, cells, strict=True):
        shown.add_row(name if len(name) <= room else f"{name[: room - 1]}…", *more)
    face.out.print(shown)
    if len(found.rows) > len(rows):
        face.out.print(
            f"and {len(found.rows) - len(rows)} more promises, less in danger and less changed; --json has all"
        )


def _foremost(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows in most danger or most changed, in their order."""
    if len(rows) <= most:
        return list(rows)

    def weight(row: Row) -> tuple[float, float, int, int]:
        before = 0.0 if row.before is None else row.before.missed.value
        after = 0.0 if row.after is None else row.after.missed.value
        return abs(after - before), max(before, after), -row.promise.tier, abs(row.p90_later_us or 0)

    chosen = {row.promise.slo.slo_id for row in sorted(rows, key=weight, reverse=True)[:most]}
    return [row for row in rows if row.promise.slo.slo_id in chosen]


def _cells(row: Row, found: Comparison, differences: tuple[bool, bool]) -> list[str]:
    """All but the name; both sides where they are not shown alike, with the difference of P50 and of P90."""
    sides = [row.before, row.after] if found.words else [row.before]
    there = [side for side in sides if side is not None]
    cells = [
        str(row.promise.tier),
        _both([clock_words(side.deadline_us, found.now_us) for side in there]),
        _both(["no run" if side is None else percent(side.missed.value) for side in sides]),
    ]
    finishes = (
        [None if side is None else side.p50_us for side in sides],
        [None if side is None else side.p90_us for side in sides],
    )
    for instants, is_told in zip(finishes, differences, strict=True):
        said = _both(
            ["-" if side is None else _finish(at, found) for side, at in zip(sides, instants, strict=True)]
        )
        known = [at for at in instants if at is not None]
        if is_told and len(known) == 2 and (later := _later(*known)):
            said += f" ({later})"
        cells.append(said)
    return cells


def _both(words: Sequence[str]) -> str:
    return words[0] if words[0] == words[-1] else " → ".join(words)


def _finish(at_us: int | None, found: Comparison) -> str:
    """A clock time; what is not done while it was looked at ends after that."""
    return (
        f"after {clock_words(found.until_us, found.now_us)}"
        if at_us is None
        else clock_words(at_us, found.now_us)
    )


def _later(before_us: int, after_us: int) -> str:
    """As in +12 min: the difference of what clocks show, in whole minutes; empty where they show the same."""
    minutes = after_us // MINUTE_US - before_us // MINUTE_US
    if not minutes:
        return ""
    sign, size = "+" if minutes > 0 else "-", abs(minutes)
    return f"{sign}{size} min" if size < 60 else f"{sign}{size // 60} h {size % 60:02d} min"


def tier_words(found: Comparison) -> list[str]:
    """Where promises are many, a sentence a tier: how many of them a night misses, and which is in most danger."""
    if len(found.rows) <= ROWS:
        return []
    words = []
    for tier in sorted({row.promise.tier for row in found.rows}):
        rows = [row for row in found.rows if row.promise.tier == tier]
        before, after = (
            [(0.0 if side is None else side.missed.value, row.promise.slo.name) for side, row in sides]
            for sides in ([(row.before, row) for row in rows], [(row.after, row) for row in rows])
        )
        mean = _both([_mean(before), _mean(after)])
        said = f"Tier {tier}: {len(rows)} promises; a night misses {mean} of them"
        share, name = max(after, key=lambda pair: pair[0])
        words.append(f"{said}; most in danger is {name}: {percent(share)}" if share else said)
    return words


def _mean(misses: Sequence[tuple[float, str]]) -> str:
    """The mean number of misses in a night."""
    total = sum(share for share, _ in misses)
    return "none" if not total else f"{total:.2g}"


def lower_words(found: Comparison) -> str:
    """What Tier 3 gets done; nothing where it has hardly anything to do."""
    until = clock_words(found.until_us, found.now_us)
    before, after = found.lower
    if max(before, after) < LITTLE_CORE_HOURS:
        return ""
    if not found.words or abs(after - before) < LITTLE_CORE_HOURS:
        return f"Tier 3: {before:.1f} core-hours of use by {until}"
    more = round(after, 1) - round(before, 1)  # of what is shown
    return f"Tier 3: {before:.1f} → {after:.1f} core-hours of use by {until} ({more:+.1f})"


def _error_words(samples: int, seed: int) -> str:
    none_high = Share(0, samples).interval()[1]
    low, high = Share(round(0.1 * samples), samples).interval()
    return (
        f"{samples} nights drawn, seed {seed}, the same ones on both sides; so many tell 0 % from 0 to "
        f"{100 * none_high:.1f} % and 10 % from {100 * low:.0f} to {100 * high:.0f} % (95 %)"
    )


def _prospect(row: Row, rows: Sequence[Row]) -> Prospect:
    side = row.after or row.before
    assert side is not None, "a promise is on one side at least"
    moved = row.before is not None and row.before.deadline_us != side.deadline_us
    return Prospect(
        row.promise.slo.name,
        row.promise.slo.run_id,
        row.promise.tier,
        side.deadline_us,
        _fan(row.before),
        _fan(row.after),
        row.before.deadline_us if moved and row.before is not None else None,
    )


def _fan(side: Outcome | None) -> Fan | None:
    return None if side is None else Fan(side.p50_us, side.p90_us, side.p99_us, side.missed.value)
