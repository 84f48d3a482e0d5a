"""What is known of a promise: by its tasks, its deadline, and the latest forecast?"""

from __future__ import annotations

from prometheus.core.instants import SECOND_US, format_duration
from prometheus.scheduler.books import Books, SloBook
from prometheus.scheduler.decisions import JudgeSlo
from prometheus.scheduler.events import ForecastMade
from prometheus.scheduler.policies import Policy
from prometheus.scheduler.snapshot import Foreseen
from prometheus.scheduler.states import SloState

CAUSES_TOLD = 3
_WARNED = frozenset({SloState.AT_RISK, SloState.WILL_MISS})


def hear(books: Books, event: ForecastMade) -> None:
    """Take in a forecast: what it says of promises that are still open. Unknown ones are passed over."""
    for said in event.slos:
        slo = books.slos.get(said.slo_id)
        if slo is None or (slo.foreseen is not None and event.made_us < slo.foreseen.made_us):
            continue  # one that was made later has come before it
        if slo.foreseen is None or event.made_us > slo.foreseen.made_us:
            books.heard = event
        if slo.open and slo.finished_us is None and slo.state is not SloState.MISSED:
            slo.foreseen = Foreseen(event.made_us, event.samples, said)
            judge(books, slo)


def judge(books: Books, slo: SloBook) -> None:
    """Say what is now known of a promise, if that changed. Met at the deadline itself is met."""
    now_us, deadline_us = books.now_us, slo.plan.deadline_us
    if slo.finished_us is not None:
        return  # also while something that was degraded is run again in full
    if slo.open == 0:
        slo.finished_us = now_us
        books.alarms.drop("slo", slo.plan.slo_id)
        slo.state = SloState.MET if now_us <= deadline_us else SloState.MISSED
        reason = "all its tasks are done"
    elif slo.state is SloState.MISSED:
        return
    elif now_us > deadline_us:
        slo.state = SloState.MISSED
        reason = f"{slo.open} of {len(slo.plan.task_ids)} tasks were not done at the deadline"
    else:
        miss = None if slo.foreseen is None else slo.foreseen.said.miss
        state = SloState.WILL_MISS if slo.broken else how_it_looks(slo.state, miss, books.policy)
        if state is slo.state:
            return
        slo.state = state
        reason = _why(slo, now_us)
    books.decisions.append(JudgeSlo(now_us, slo.plan.slo_id, slo.state, slo.finished_us, reason))


def how_it_looks(before: SloState, miss: float | None, policy: Policy) -> SloState:
    """The state of an open promise of which no task is broken; `miss` is P(miss), None without a forecast.

    A warning is taken back only well under the threshold that raised it. Asking again with the answer as `before`
    answers the same.
    """
    if miss is None:
        return SloState.ON_TRACK
    if miss >= policy.will_miss_from or (before is SloState.WILL_MISS and miss >= policy.doubtful_under):
        return SloState.WILL_MISS
    if miss >= policy.at_risk_from or (before in _WARNED and miss >= policy.safe_under):
        return SloState.AT_RISK
    was_warned = before in _WARNED or before is SloState.RECOVERED
    return SloState.RECOVERED if was_warned else SloState.ON_TRACK


def _why(slo: SloBook, now_us: int) -> str:
    if slo.broken:
        return f"{slo.broken} of its tasks cannot be done"
    if slo.foreseen is None:
        return "what failed is to run again"
    made, said = slo.foreseen, slo.foreseen.said
    age = format_duration(max(0, now_us - made.made_us) // SECOND_US * SECOND_US)
    words = f"P(miss) {said.miss:.2f} by a forecast of {made.samples} samples, {age} old"
    if said.known < 1:
        words += f", in which the past of {said.known:.0%} of its tasks is known"
    if not said.critical or slo.state is SloState.RECOVERED:
        return words
    causes = ", ".join(f"{task_id} ({share:.0%})" for task_id, share in said.critical[:CAUSES_TOLD])
    return f"{words}; critical in it: {causes}"
