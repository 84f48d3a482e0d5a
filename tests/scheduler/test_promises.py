"""State, forecast, expected verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nights import RUN, machine, run_of, task, tid

from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import Decision, JudgeSlo
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    ForecastMade,
    RunOpened,
    SloForecast,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import SloPlan
from prometheus.scheduler.policies import RESERVING
from prometheus.scheduler.promises import how_it_looks
from prometheus.scheduler.states import SloState

SLO = SloPlan("s", RUN, "ready", (tid("b"),), 60 * MINUTE_US)


class Night:
    """A scheduler with one promise over two tasks, and the ledger of its turns."""

    def __init__(self) -> None:
        self.scheduler, self.ledger = Scheduler(), MemoryLedger()
        self.epoch = self.ledger.acquire("test", 0)
        plan = run_of(task("a"), task("b", "a"), slos=(SLO,))
        self.tell(CapacityChanged(0, machine()), RunOpened(0, plan))

    def tell(self, *events: Event) -> list[JudgeSlo]:
        decisions: list[Decision] = self.scheduler.handle(events)
        revision = self.ledger.revision() + 1
        self.ledger.commit(self.epoch, revision, self.scheduler.now_us, events, decisions)
        return [d for d in decisions if isinstance(d, JudgeSlo)]


def forecast(miss: float, at_us: int = 10 * SECOND_US, slo_id: str = "s") -> ForecastMade:
    said = SloForecast(slo_id, miss, None, None, None, ((tid("b"), 0.75), (tid("a"), 0.5)))
    return ForecastMade(at_us, at_us - 2 * SECOND_US, 200, (said,))


def test_a_forecast_that_misses_often_warns_with_p_its_causes_and_its_age() -> None:
    (warned,) = Night().tell(forecast(0.41))
    assert (warned.state, warned.finished_us) == (SloState.AT_RISK, None)
    assert warned.reason == (
        "P(miss) 0.41 by a forecast of 200 samples, 2s old; "
        f"critical in it: {tid('b')} (75%), {tid('a')} (50%)"
    )


@pytest.mark.parametrize(
    ("misses", "states"),
    [
        ((0.0, 0.19), []),
        ((0.2, 0.06, 0.2), [SloState.AT_RISK]),
        ((0.2, 0.04), [SloState.AT_RISK, SloState.RECOVERED]),
        ((0.2, 0.04, 0.1, 0.3), [SloState.AT_RISK, SloState.RECOVERED, SloState.AT_RISK]),
        ((0.95, 0.8, 0.7), [SloState.WILL_MISS, SloState.AT_RISK]),
        ((1.0, 0.0), [SloState.WILL_MISS, SloState.RECOVERED]),
    ],
)
def test_a_state_does_not_flicker_between_its_thresholds(
    misses: tuple[float, ...], states: list[SloState]
) -> None:
    night = Night()
    assert [d.state for miss in misses for d in night.tell(forecast(miss))] == states


def test_a_promise_that_is_settled_or_unknown_hears_no_forecast() -> None:
    night = Night()
    assert night.tell(forecast(1.0, slo_id="t")) == []
    night.tell(AttemptSucceeded(1, tid("a"), 1), AttemptSucceeded(2, tid("b"), 1))
    night.tell(AttemptSucceeded(3, tid("b"), 1))
    assert night.tell(forecast(1.0)) == []
    assert night.ledger.slos(RUN)[0].foreseen is None


def test_a_warned_promise_is_met_or_missed_by_the_clock_all_the_same() -> None:
    for end_us, state in ((60 * MINUTE_US, SloState.MET), (60 * MINUTE_US + 1, SloState.MISSED)):
        night = Night()
        night.tell(forecast(1.0))
        night.tell(AttemptSucceeded(20 * SECOND_US, tid("a"), 1))
        assert night.tell(AttemptSucceeded(end_us, tid("b"), 1))[-1].state is state


def test_what_failed_will_miss_whatever_the_forecast_says_and_a_retry_goes_back_to_the_forecast() -> None:
    night = Night()
    night.tell(forecast(0.3))
    failed = AttemptFailed(20 * SECOND_US, tid("a"), 1, Failure.REFUSED, "no code")
    assert [(d.state, d.reason) for d in night.tell(failed)] == [
        (SloState.WILL_MISS, "1 of its tasks cannot be done")
    ]
    assert night.tell(forecast(0.0, 25 * SECOND_US)) == []
    again = night.tell(TaskAsked(30 * SECOND_US, tid("a"), Verb.RETRY, "code is there", "ann"))
    assert [d.state for d in again] == [SloState.RECOVERED]


def test_a_rebuilt_scheduler_remembers_the_forecast_and_the_warning() -> None:
    night = Night()
    night.tell(forecast(0.3))
    rebuilt = Scheduler.restore(night.ledger.load())
    assert rebuilt.fingerprint() == night.scheduler.fingerprint()
    assert night.ledger.slos(RUN)[0].foreseen is not None
    assert rebuilt.handle([forecast(0.1, 20 * SECOND_US), TimePassed(20 * SECOND_US)]) == []


@given(st.sampled_from(SloState), st.none() | st.floats(0, 1))
def test_asking_again_answers_the_same(before: SloState, miss: float | None) -> None:
    once = how_it_looks(before, miss, RESERVING)
    assert how_it_looks(once, miss, RESERVING) is once
