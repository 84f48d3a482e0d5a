"""What does a forecast change, and what may Tier 2 and Tier 3 still do under pressure?

When a Tier 1 promise is likely to be missed, and Tier 1 waits for room that nothing lower can give, Tier 3 is held and the
ladders that Tier 2 declares are climbed, one rung a forecast: level 1 is the first rung. Below a lower bound all is
released. What Tier 1 itself waits for is never held.
"""

from __future__ import annotations

from prometheus.core.instants import SECOND_US, format_duration, from_us
from prometheus.scheduler.admitting import is_waited_for
from prometheus.scheduler.books import Books, SloBook, TaskBook
from prometheus.scheduler.decisions import SetPressure
from prometheus.scheduler.events import ForecastMade, SloForecast
from prometheus.scheduler.moving import move
from prometheus.scheduler.plan import TaskPlan
from prometheus.scheduler.preempting import victims_for
from prometheus.scheduler.rules import is_hopeless_in_full, mode_after
from prometheus.scheduler.states import ENDED, SloState, TaskState

SKIP = "skip"


def weigh(books: Books) -> None:
    """Climb, release or do nothing, by a forecast that came in this turn and by the promises that are still open."""
    forecast, books.heard = books.heard, None
    if level_of(books) and not any(_may_still_be_met(slo) for slo in books.slos.values()):
        _set(books, 0, None, "released: no Tier 1 promise is open any more")
    if forecast is not None and books.policy.heeds_forecasts:
        _heed(books, forecast)


def level_of(books: Books) -> int:
    """The level of the pressure; 0 without any."""
    return 0 if books.pressure is None else books.pressure.level


def mode_now(books: Books, book: TaskBook) -> str:
    """The mode in which a task would start now, or `SKIP`: the rung to which failures, time or pressure have brought it.

    One that has failed and would be late in full starts on its first rung, though it had retries left.
    """
    plan = book.plan
    if not plan.ladder:
        return "full"
    pressed = level_of(books) if plan.tier == 2 and book.latest_start_us < books.now_us else 0
    hurried = is_hopeless_in_full(plan, book.last_failure, book.latest_start_us - books.now_us)
    if max(pressed, hurried) < 1:
        return mode_after(plan, book.failures)
    climbed = max(pressed, hurried, book.failures - plan.retries)
    return plan.ladder[min(climbed, len(plan.ladder)) - 1]


def skips(books: Books, book: TaskBook) -> bool:
    """Close a task that would start now without work, if that is the rung that is climbed; whether it did."""
    if not book.plan.ladder or book.plan.tier == 1 or mode_now(books, book) != SKIP:
        return False
    reason = f"skipped, the last rung of its ladder: {why_degraded(books, book)}"
    move(books, book, TaskState.SKIPPED, reason)
    return True


def why_degraded(books: Books, book: TaskBook) -> str:
    """What has brought a task to a rung that its failures alone would not: pressure, or too little time."""
    if books.pressure is not None and level_of(books) and book.plan.tier == 2:
        return said_of(books, books.pressure)
    return "it has failed, and in full it would end after it is due"


def why_held(books: Books, book: TaskBook) -> str | None:
    """Why a Tier 3 task may not start under the present pressure; None if it may."""
    pressure = books.pressure
    if pressure is None or not pressure.level or book.plan.tier != 3 or is_waited_for(books, book):
        return None
    return f"Tier 3 is held: {said_of(books, pressure)}"


def said_of(books: Books, pressure: SetPressure) -> str:
    """Which promise is in danger, by how much, and how old the forecast is that says so."""
    slo = books.slos.get(pressure.slo_id)
    name = pressure.slo_id if slo is None else f"{slo.plan.name!r} of {slo.plan.run_id}"
    made = f"{from_us(pressure.made_us):%H:%M:%S} UTC"
    return f"{name} is missed with P {pressure.miss:.2f} by the forecast of {made}"


def _heed(books: Books, forecast: ForecastMade) -> None:
    policy, level = books.policy, level_of(books)
    if books.now_us - forecast.made_us > policy.stale_us:
        return
    if books.pressure is not None and forecast.made_us <= books.pressure.made_us:
        return  # told again, or overtaken by a later one
    worst = _worst(books, forecast)
    if worst is None or worst.miss < policy.safe_under:
        if level:
            risk = "no open Tier 1 promise" if worst is None else f"at most P {worst.miss:.2f}"
            _set(books, 0, worst, f"released: {risk} by a forecast {_age(books, forecast)} old", forecast)
        return
    if worst.miss < policy.at_risk_from or level >= _top(books) or not _waits_in_vain(books):
        return
    slo = books.slos[worst.slo_id].plan
    reason = (
        f"{slo.name!r} of {slo.run_id} is missed with P {worst.miss:.2f} by a forecast of {forecast.samples} samples, "
        f"{_age(books, forecast)} old, and nothing lower can make room: Tier 3 is held, "
        f"Tier 2 on rung {level + 1} of its ladders"
    )
    _set(books, level + 1, worst, reason, forecast)


def _set(
    books: Books, level: int, worst: SloForecast | None, reason: str, forecast: ForecastMade | None = None
) -> None:
    before = books.pressure
    slo_id = worst.slo_id if worst is not None else before.slo_id if before is not None else ""
    miss = 0.0 if worst is None else worst.miss
    made_us = forecast.made_us if forecast is not None else before.made_us if before is not None else 0
    books.pressure = SetPressure(books.now_us, level, slo_id, miss, made_us, reason)
    books.decisions.append(books.pressure)


def _worst(books: Books, forecast: ForecastMade) -> SloForecast | None:
    """The likeliest miss among the open Tier 1 promises that room can still help, guesses left out."""
    found = [
        one
        for one in forecast.slos
        if (slo := books.slos.get(one.slo_id)) is not None
        and _may_still_be_met(slo)
        and one.known >= books.policy.known_from
    ]
    return max(found, key=lambda one: (one.miss, one.slo_id), default=None)


def _may_still_be_met(slo: SloBook) -> bool:
    """A Tier 1 promise that is neither kept nor broken; one of which a task has failed is not helped by room."""
    is_settled = slo.finished_us is not None or slo.state is SloState.MISSED
    return slo.tier == 1 and slo.open > 0 and not slo.broken and not is_settled


def _top(books: Books) -> int:
    """How far it goes: the longest ladder of a Tier 2 task that has not ended; without any Tier 3 is still held."""
    ladders = (len(b.plan.ladder) for b in books.tasks.values() if b.plan.tier == 2 and b.state not in ENDED)
    return max([1, *ladders])


def _waits_in_vain(books: Books) -> bool:
    """Whether Tier 1 tasks wait for room and lower tasks can give it to none, neither now nor once slack has run out.

    What does not fit the machine does not wait for room.
    """
    is_short = False
    for queue in books.queues:
        head = queue.head() if queue.tier == 1 else None
        if (
            head is None
            or books.room.find(queue.demand) is not None
            or not books.room.fits_empty(queue.demand)
        ):
            continue
        if books.ending and books.room.fits_without(queue.demand, books.stopping()):
            return False
        if victims_for(books, head[4], is_desperate=True):
            return False
        is_short = True
    return is_short


def _age(books: Books, forecast: ForecastMade) -> str:
    return format_duration(max(0, books.now_us - forecast.made_us) // SECOND_US * SECOND_US)


def is_by_rule(plan: TaskPlan, failures: int, mode: str) -> bool:
    """Whether a task is in this mode because of pressure or of the time, and not because its retries are used up."""
    return mode not in ("full", mode_after(plan, failures))
