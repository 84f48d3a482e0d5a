"""What `prometheus whatif --sweep` says: tables for people, and the same as a scene for the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus.cli.face import cell, table
from prometheus.cli.whatif_words import heading, label_of
from prometheus.monitoring.capacities import Capacities, Curve, Enough, draw_capacities
from prometheus.monitoring.page import USUAL_WIDTH
from prometheus.monitoring.prospects import percent
from prometheus.orchestrator.whatif.comparing import never_words
from prometheus.orchestrator.whatif.sweeping import KEPT, NEEDED, Point, Smallest, Sweep, Verdict, plain_size

if TYPE_CHECKING:
    from prometheus.cli.face import Face

ROWS = 24  # promises in a table for people; --json has all
COLUMNS = 6  # promises that the table of sizes has columns for


def tell_sweep(face: Face, found: Sweep) -> None:
    """The answer of a sweep, for people."""
    face.out.print(cell(heading(found.name, found.now_us)))
    for said in found.words:
        face.out.print(cell(f"  {said}"))
    for said in enough_words(found):
        face.out.print(cell(said))
    unfit = ["cannot start"] if any(point.never for point in found.points) else []
    shown = table("size", "nights", *_columns(found), "Tier 3 core-h", *unfit)
    for point in found.points:
        misses = [percent(share.value) for share in point.missed]
        if len(found.promises) > COLUMNS:
            worst = min(range(len(misses)), key=[-share.value for share in point.missed].__getitem__)
            misses = [
                *(_kept_words(found, point, tier) for tier in sorted({one.tier for one in found.promises})),
                f"{misses[worst]} {label_of(found.promises[worst], found.promises)}",
            ]
        mark = " (now)" if point.size == found.present else ""
        shown.add_row(
            cell(found.swept.words(point.size) + mark),
            str(point.samples),
            *map(cell, misses),
            f"{point.lower:.1f}",
            *([str(len(point.never) or "")] if unfit else []),
        )
    face.out.print(shown)
    _smallest_table(face, found)
    unsure = sum(one.verdict is Verdict.OPEN for one in found.smallest)
    if unsure:
        are = "is" if unsure == 1 else "are"
        face.out.print(
            f"{unsure} of {len(found.smallest)} {are} not resolved: so few samples cannot tell {100 * KEPT:g} % from "
            f"a little less; {NEEDED} without a miss would (--samples)"
        )
    for said in never_words(found.points[0].never):
        face.err.print(cell(f"- with {found.swept.words(found.points[0].size)} {said}"))
    for note in found.notes:
        face.err.print(cell(f"- {note}"))
    face.err.print(f"seed {found.seed}; every size sees the same nights")


def enough_words(found: Sweep) -> list[str]:
    """A sentence a tier: the smallest size that keeps its promises and those of higher ones, and how sure that is."""
    tiers = sorted({one.tier for one in found.promises})
    if not tiers:
        return ["no promise is open tonight, so any size keeps them all"]
    words = []
    for tier in tiers:
        whose = "every promise" if len(tiers) == 1 else f"every promise of Tier {tier}"
        enough = found.enough_for(tier)
        if enough is None or enough.size is None:
            largest = found.swept.words(found.points[-1].size)
            lost = [
                label_of(one.promise, found.promises)
                for one in found.smallest
                if one.size is None and one.promise.tier <= tier
            ]
            more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
            words.append(
                f"not even {largest} keep {', '.join(lost[:3])}{more} in {100 * KEPT:g} % of the nights"
            )
            words += _no_help_words(found)
            break
        least = " (the smallest tried)" if enough.is_first else ""
        sure = "" if enough.verdict is Verdict.KEPT else f"; not sure: {_attained_words(enough)}"
        what = found.swept.words(enough.size)
        keep = "keeps" if plain_size(found.swept, enough.size) == 1 else "keep"
        unfit = next(point.never for point in found.points if point.size == enough.size)
        but = f"; but {len(unfit)} task{'s'[: len(unfit) != 1]} cannot start" if unfit else ""
        words.append(f"{what}{least} {keep} {whose} in {100 * KEPT:g} % of the nights{sure}{but}")
    return words


def _no_help_words(found: Sweep) -> list[str]:
    """Promises that are surely broken and missed just as often on the largest machine as on the one before it."""
    if len(found.points) < 2:
        return []
    last, before = found.points[-1], found.points[-2]
    vain = [
        label_of(one.promise, found.promises)
        for place, one in enumerate(found.smallest)
        if one.size is None
        and one.verdict is Verdict.BROKEN
        and last.missed[place].value == before.missed[place].value
    ]
    if not vain:
        return []
    more = f" and {len(vain) - 3} more" if len(vain) > 3 else ""
    largest, smaller = found.swept.words(last.size), plain_size(found.swept, before.size)
    nights = min(last.samples, before.samples)
    return [
        f"{largest} miss {', '.join(vain[:3])}{more} as often as {smaller:g}, as far as {nights} nights tell"
    ]


def _marks(found: Sweep) -> tuple[Enough, ...]:
    """The sizes that are enough, for the picture: one a tier, two that are the same as one."""
    sizes = [point.size for point in found.points]
    tiers = sorted({one.tier for one in found.promises})
    marks: dict[int, str] = {}
    for tier in tiers:
        enough = found.enough_for(tier)
        if enough is not None and enough.size is not None:
            size = f"{plain_size(found.swept, enough.size):g}"
            is_kept = enough.verdict is Verdict.KEPT
            marks[sizes.index(enough.size)] = (
                f"{size} {('is' if size == '1' else 'are') if is_kept else 'may be'} enough"
                if tier == tiers[-1]
                else f"{size} for Tier {tier}"
            )
    return tuple(Enough(place, words) for place, words in marks.items())


def picture_of_sweep(found: Sweep, width: int = USUAL_WIDTH) -> str:
    """The sweep drawn, so many pixels wide."""
    return draw_capacities(scene_of_sweep(found), width=width)


def scene_of_sweep(found: Sweep) -> Capacities:
    """What the picture of a sweep shows."""
    swept = found.swept
    sizes = [point.size for point in found.points]
    unit = {"cpu": "cores", "memory": "GB of memory", "gpu": "GPUs"}.get(
        swept.what or "", f"units of the pool {swept.pool}"
    )
    curves = tuple(
        Curve(
            label_of(one.promise, found.promises),
            one.promise.tier,
            tuple(
                (share.value, *share.interval()) for share in (point.missed[place] for point in found.points)
            ),
            None if one.size is None else sizes.index(one.size),
            one.verdict is Verdict.KEPT,
            "" if one.verdict is Verdict.KEPT or one.size is None else "not sure",
        )
        for place, one in enumerate(found.smallest)
    )
    order = sorted(
        curves, key=lambda one: (-1 if one.smallest is None else -one.smallest - 2, one.tier, one.name)
    )
    order.sort(key=lambda one: len(sizes) if one.smallest is None else one.smallest, reverse=True)
    return Capacities(
        title=f"How many {unit}?",
        subtitle=heading(found.name, found.now_us),
        unit=unit,
        sizes=tuple(plain_size(swept, size) for size in sizes),
        curves=tuple(order),
        lower=tuple(point.lower for point in found.points),
        allowed=1 - KEPT,
        present=None if found.present is None else plain_size(swept, found.present),
        enough=_marks(found),
        changed=found.words,
        remarks=(*enough_words(found), f"{_drawn_words(found)}, seed {found.seed}", *found.notes),
    )


def _columns(found: Sweep) -> list[str]:
    if len(found.promises) > COLUMNS:
        tiers = sorted({one.tier for one in found.promises})
        return [*(f"Tier {tier} kept" for tier in tiers), "worst P(miss)"]
    return [f"P(miss) {label_of(one, found.promises)}" for one in found.promises]


def _kept_words(found: Sweep, point: Point, tier: int) -> str:
    places = [place for place, one in enumerate(found.promises) if one.tier == tier]
    return f"{sum(point.keeps(place) for place in places)} of {len(places)}"


def _smallest_table(face: Face, found: Sweep) -> None:
    if not found.smallest:
        return
    shown = table("promise", "tier", "smallest", "kept in", "95 % sure")
    order = sorted(found.smallest, key=lambda one: -(one.size if one.size is not None else 1 << 60))
    for one in order[:ROWS]:
        size = (
            f"more than {found.swept.words(found.points[-1].size)}"
            if one.size is None
            else found.swept.words(one.size)
        )
        if one.is_first:
            size += " or less"
        shown.add_row(
            cell(label_of(one.promise, found.promises)),
            str(one.promise.tier),
            size,
            _attained_words(one),
            {Verdict.KEPT: "yes", Verdict.BROKEN: "that it is not kept", Verdict.OPEN: "not resolved"}[
                one.verdict
            ],
        )
    face.out.print(shown)
    if len(order) > ROWS:
        face.out.print(f"and {len(order) - ROWS} more promises that need less; --json has all")


def _attained_words(one: Smallest) -> str:
    low, high = one.attained.interval()
    return f"{100 * one.attained.value:.1f} % of {one.attained.samples} nights ({100 * low:.1f} to {100 * high:.1f} %)"


def _drawn_words(found: Sweep) -> str:
    counts = sorted({point.samples for point in found.points})
    return (
        f"{counts[0]} nights of each size"
        if len(counts) == 1
        else f"{counts[0]} to {counts[-1]} nights of each size"
    )
