"""The core under any sequence of facts: a Hypothesis state machine with its own idea of what must hold.

After every turn the whole books are audited, the rows that the log gives rebuild a scheduler with an equal
fingerprint, and what was ordered is compared with an independent account of dependencies, releases and capacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from nights import machine, run_of, task

from prometheus.core.demand import Capacity, Demand
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import (
    Decision,
    RefuseStart,
    SetPressure,
    SetTask,
    StartAttempt,
    StopAttempt,
)
from prometheus.scheduler.events import (
    AttemptCheckpointed,
    AttemptFailed,
    AttemptStarted,
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
from prometheus.scheduler.plan import SloPlan, TaskPlan
from prometheus.scheduler.refusals import KINDS, kind_of
from prometheus.scheduler.states import DONE, ENDED, StopCause, TaskState

JOBS = tuple("abcdefgh")
MAX_RUNS = 4


@st.composite
def runs(draw: st.DrawFn, number: int) -> tuple[TaskPlan, ...]:
    """The tasks of one run: a random graph, some tasks waiting for tasks of any run, opened already, now, later or
    never: also in circles.
    """
    run = f"run{number}.2026-03-02"
    found: list[TaskPlan] = []
    for position in range(draw(st.integers(1, len(JOBS)))):
        after = draw(st.lists(st.sampled_from(JOBS[:position]), unique=True, max_size=3)) if position else []
        if draw(st.integers(0, 5)) == 0:
            after.append(f"run{draw(st.integers(0, MAX_RUNS))}.2026-03-02.{draw(st.sampled_from(JOBS))}")
        tier = draw(st.sampled_from((1, 1, 2, 3)))
        found.append(
            task(
                JOBS[position],
                *after,
                run=run,
                tier=tier,
                demand=Demand(
                    draw(st.sampled_from((500, 1000, 2000, 3000))),
                    draw(st.sampled_from((0, 512, 2048))),
                    0,
                    draw(st.sampled_from(((), (("db", 1),), (("db", 2),)))),
                ),
                release_us=draw(st.sampled_from((0, MINUTE_US, 30 * MINUTE_US))),
                deadline_us=draw(st.sampled_from((None, 20 * MINUTE_US, 90 * MINUTE_US))),
                timeout_us=draw(st.sampled_from((None, 10 * SECOND_US))),
                retries=draw(st.integers(0, 2)),
                backoff_us=draw(st.sampled_from((0, SECOND_US))),
                typical_us=draw(st.sampled_from((SECOND_US, 40 * MINUTE_US))),
                cautious_us=draw(st.sampled_from((2 * SECOND_US, 50 * MINUTE_US))),
                late_us=draw(st.sampled_from((3 * SECOND_US, 60 * MINUTE_US, 30 * 24 * 60 * MINUTE_US))),
                checkpoint_every_us=draw(st.sampled_from((None, MINUTE_US))),
                ladder=draw(st.sampled_from(((), ("skip",), ("reduced", "skip")))) if tier > 1 else (),
            )
        )
    return tuple(found)


def _difference(rebuilt: object, kept: object) -> object:
    if not isinstance(rebuilt, dict) or not isinstance(kept, dict):
        return rebuilt, kept
    keys = rebuilt.keys() | kept.keys()
    return {key: (rebuilt.get(key), kept.get(key)) for key in keys if rebuilt.get(key) != kept.get(key)}


def _without_refusals(decisions: Sequence[Decision]) -> list[Decision]:
    return [d for d in decisions if not isinstance(d, RefuseStart)]


def _kept_free(core: Scheduler) -> object:
    """What is made anew and no fingerprint has: when the plan was made, what it keeps of what, and the windows in order."""
    reservation = core._books.reservation
    planned = {name: bins for name, bins in reservation.planned.items() if bins}
    return reservation.made_us, planned, list(reservation.windows.items())


def _vector(plan: TaskPlan) -> tuple[int, int, int]:
    demand = plan.demand
    return demand.cpu_milli, demand.memory_mib, dict(demand.pools).get("db", 0)


class CoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = Scheduler(seed=7)
        self.ledger = MemoryLedger()
        self.epoch = self.ledger.acquire("test", 0)
        self.now_us = 0
        self.plans: dict[str, TaskPlan] = {}
        self.in_flight: dict[str, int] = {}
        self.state: dict[str, TaskState] = {}
        self.refusal: dict[str, str] = {}
        self.stopped_for: dict[str, str] = {}
        self.offered = machine()
        self.coming: list[tuple[int, int, int]] = []  # instant, cores, units of the pool
        self.opened = 0
        self.capacity = (0, 0, 0)
        self.pressure = 0

    def feed(self, *events: Event) -> list[Decision]:
        for event in events:
            if (
                isinstance(event, AttemptSucceeded | AttemptFailed)
                and self.in_flight.get(event.task_id) == event.attempt
            ):
                del self.in_flight[event.task_id]
        while self.coming and self.coming[0][0] <= self.now_us:
            _, cpu, db = self.coming.pop(0)
            self.capacity, self.offered = (cpu * 1000, 4096, db), machine(cpu, 4096, db=db)
        decisions = self.core.handle(events)
        self.ledger.commit(self.epoch, self.ledger.revision() + 1, self.core.now_us, events, decisions)
        for decision in decisions:
            self._account(decision)
        return decisions

    def _account(self, decision: Decision) -> None:
        assert decision.reason
        if isinstance(decision, SetTask):
            is_asked_for = decision.reason.startswith("retry by ")
            is_final = self.state.get(decision.task_id) in DONE and not is_asked_for
            assert not is_final, "what is done stays done, unless an operator has it repaired"
            self.state[decision.task_id] = decision.state
            self.refusal.pop(decision.task_id, None)
        elif isinstance(decision, StartAttempt):
            self.refusal.pop(decision.task_id, None)
            plan = self.plans[decision.task_id]
            assert decision.task_id not in self.in_flight
            assert all(self.state.get(i) in DONE for i in plan.after), "started before its upstream was done"
            assert plan.release_us <= decision.at_us, "started before its release"
            feeds_tier_1 = any(p.tier == 1 for p in self._downstream(decision.task_id))
            assert plan.tier < 3 or not self.pressure or feeds_tier_1, "Tier 3 started under pressure"
            self.in_flight[decision.task_id] = decision.attempt
            self.state[decision.task_id] = TaskState.STARTING
            for need, used, offered in zip(_vector(plan), self._used(), self.capacity, strict=True):
                assert need == 0 or used <= offered, f"{used} of {offered}"
        elif isinstance(decision, StopAttempt):
            assert self.in_flight.get(decision.task_id) == decision.attempt
            if decision.cause is StopCause.PREEMPTED:
                self.stopped_for[decision.task_id] = decision.reason
        elif isinstance(decision, SetPressure):
            self.pressure = decision.level
        elif isinstance(decision, RefuseStart):
            self.refusal[decision.task_id] = decision.reason
            assert kind_of(decision.reason) in {kind for kind, _ in KINDS}, decision.reason

    def _downstream(self, task_id: str) -> list[TaskPlan]:
        found = {task_id: self.plans[task_id]}
        for _ in self.plans:
            found |= {i: p for i, p in self.plans.items() if any(u in found for u in p.after)}
        return list(found.values())

    def _used(self) -> tuple[int, int, int]:
        vectors = [_vector(self.plans[i]) for i in self.in_flight]
        return sum(v[0] for v in vectors), sum(v[1] for v in vectors), sum(v[2] for v in vectors)

    def _set_capacity(self, cpu: int, db: int) -> None:
        self.capacity = (cpu * 1000, 4096, db)
        self.offered = machine(cpu, 4096, db=db)
        self.coming = []
        self.feed(CapacityChanged(self.now_us, self.offered))

    @initialize(cpu=st.integers(1, 4), db=st.integers(0, 2))
    def begin(self, cpu: int, db: int) -> None:
        self._set_capacity(cpu, db)

    @precondition(lambda self: self.opened < MAX_RUNS)
    @rule(data=st.data())
    def open_run(self, data: st.DataObject) -> None:
        tasks = data.draw(runs(self.opened))
        run = tasks[0].run_id
        slo = SloPlan(
            f"{run}.slo", run, "ready", tuple(t.task_id for t in tasks[:2]), self.now_us + 15 * MINUTE_US
        )
        self.opened += 1
        self.plans.update((t.task_id, t) for t in tasks)
        self.state.update((t.task_id, TaskState.WAITING) for t in tasks)
        share = data.draw(st.sampled_from((None, None, 0.1, 0.5)))
        self.feed(RunOpened(self.now_us, replace(run_of(*tasks, run=run, slos=(slo,)), share=share)))

    @precondition(lambda self: self.in_flight)
    @rule(
        data=st.data(),
        kind=st.sampled_from(("start", "succeed", "fail", "fail", "checkpoint", "both", "twice")),
    )
    def fact(self, data: st.DataObject, kind: str) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.in_flight)))
        attempt = self.in_flight[task_id]
        failure = data.draw(st.sampled_from(Failure))
        started = AttemptStarted(self.now_us, task_id, attempt)
        succeeded = AttemptSucceeded(self.now_us, task_id, attempt, '{"n":1}')
        failed = AttemptFailed(self.now_us, task_id, attempt, failure, "no luck")
        facts: dict[str, Sequence[Event]] = {
            "start": [started],
            "succeed": [succeeded],
            "fail": [failed],
            "checkpoint": [AttemptCheckpointed(self.now_us, task_id, attempt, "[1]")],
            "both": [started, succeeded],
            "twice": [failed, failed, succeeded],
        }
        self.feed(*facts[kind])

    @rule(task=st.sampled_from(JOBS), number=st.integers(0, MAX_RUNS), attempt=st.integers(0, 9))
    def stale_fact(self, task: str, number: int, attempt: int) -> None:
        task_id = f"run{number}.2026-03-02.{task}"
        if self.in_flight.get(task_id) == attempt:
            return
        before = self.core.fingerprint()
        facts = AttemptSucceeded(self.now_us, task_id, attempt), AttemptStarted(self.now_us, task_id, attempt)
        assert [d for d in self.feed(*facts) if not isinstance(d, RefuseStart)] == []
        assert self.core.fingerprint() == before

    @rule(seconds=st.sampled_from((0, 1, 11, 60, 1800)))
    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US
        self.feed(TimePassed(self.now_us))

    @rule()
    def time_passes_to_the_next_wakeup(self) -> None:
        wakeup_us = self.core.next_wakeup_us()
        if wakeup_us is not None:
            self.now_us = max(self.now_us, wakeup_us)
            self.feed(TimePassed(self.now_us))

    @rule(cpu=st.integers(1, 4), db=st.integers(0, 2))
    def capacity_changes(self, cpu: int, db: int) -> None:
        self._set_capacity(cpu, db)

    @rule(
        changes=st.lists(
            st.tuples(
                st.sampled_from((0, 1, 4 * 60, 11 * 60, 60 * 60)), st.integers(1, 4), st.integers(0, 2)
            ),
            max_size=3,
        )
    )
    def capacity_is_announced(self, changes: list[tuple[int, int, int]]) -> None:
        self.coming = sorted(
            ((self.now_us + s * SECOND_US, cpu, db) for s, cpu, db in changes), key=lambda one: one[0]
        )
        told = tuple((at_us, machine(cpu, 4096, db=db)) for at_us, cpu, db in self.coming)
        self.feed(CapacityChanged(self.now_us, self.offered, told))

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), verb=st.sampled_from(Verb))
    def operator_asks(self, data: st.DataObject, verb: Verb) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.plans)))
        self.feed(TaskAsked(self.now_us, task_id, verb, "why not", "ann"))

    @rule(
        number=st.integers(0, MAX_RUNS),
        miss=st.sampled_from((0.0, 0.04, 0.1, 0.3, 0.8, 1.0)),
        age=st.sampled_from((0, 0, 90, 1800)),
    )
    def forecast_arrives(self, number: int, miss: float, age: int) -> None:
        """Also of promises that are not there, or are settled."""
        said = SloForecast(f"run{number}.2026-03-02.slo", miss, None, None, None)
        before = self.pressure
        self.feed(ForecastMade(self.now_us, self.now_us - age * SECOND_US, 50, (said,)))
        assert self.pressure <= before + 1, "a forecast climbs one rung"
        if age == 1800 or miss == 0.1:
            assert self.pressure in (0, before), "it climbs nothing"

    @rule()
    def crash_and_rebuild(self) -> None:
        """What was kept must be equal; what is made anew, plan and windows, must then lead to the same decisions."""
        rebuilt = Scheduler.restore(self.ledger.load(), seed=7)
        theirs, ours = rebuilt.fingerprint(), self.core.fingerprint()
        for part, values in ours.items():
            assert theirs[part] == values, f"{part}: {_difference(theirs[part], values)}"
        told = tuple((at_us, machine(cpu, 4096, db=db)) for at_us, cpu, db in self.coming)
        again = CapacityChanged(self.now_us, self.offered, told)  # nothing new, and it has both plan anew
        went_on = _without_refusals(self.core.handle([again]))
        other, self.core = self.core, rebuilt
        assert _without_refusals(self.feed(again)) == went_on
        if rebuilt._books.reservation.made_us >= 0:  # somebody asked for the plan
            assert _kept_free(rebuilt) == _kept_free(other)

    @rule()
    def a_fork_goes_its_own_way(self) -> None:
        """What a fork is told does not reach the first, and a fork takes its place unnoticed."""
        before, kept_free = self.core.fingerprint(), _kept_free(self.core)
        other, self.core = self.core, self.core.fork()
        assert self.core.fingerprint() == before
        assert _kept_free(self.core) == kept_free
        later_us = self.now_us + 86_400 * SECOND_US
        other.handle([CapacityChanged(later_us, Capacity((), ())), TimePassed(later_us)])
        other.handle([CapacityChanged(later_us, self.offered)])
        assert self.core.fingerprint() == before
        assert _kept_free(self.core) == kept_free
        self.core.check_invariants(is_thorough=True)

    @invariant()
    def books_agree(self) -> None:
        self.core.check_invariants(is_thorough=True)
        assert self.core.in_flight == len(self.in_flight)
        assert self.ledger.check() == []

    @invariant()
    def no_room_lies_idle_while_tier_1_fits_and_lower_tiers_know_why_they_wait(self) -> None:
        ready = [self.plans[i] for i, state in self.state.items() if state is TaskState.READY]
        free = [c - u for c, u in zip(self.capacity, self._used(), strict=True)]
        for plan in ready:
            if plan.tier == min(p.tier for p in ready):
                short = [n > max(f, 0) for n, f in zip(_vector(plan), free, strict=True)]
                refusal = self.refusal.get(plan.task_id, "")
                is_kept = plan.tier > 1 and refusal.startswith("fits now, but")
                is_kept |= plan.tier == 3 and self.pressure > 0
                assert any(short) or is_kept, f"{plan.task_id} fits and was not started"

    @invariant()
    def nobody_but_lower_tiers_makes_room_and_only_for_a_tier_1_task_that_waits(self) -> None:
        for task_id, reason in self.stopped_for.items():
            assert self.plans[task_id].tier > 1, f"{task_id} was preempted"
            gets, _, why = reason.removeprefix("makes room for ").partition(", ")
            victim = self.plans[task_id]
            is_for_window = why == "whose window has begun"
            assert self.plans[gets].tier == (3 if is_for_window else 1), reason
            assert not is_for_window or (victim.tier == 3 and victim.checkpoint_every_us is not None), reason

    def teardown(self) -> None:
        """Left to itself, with room enough and jobs that succeed, everything comes to an end."""
        if not self.plans:
            return
        self._set_capacity(4, 2)
        for task_id in self.plans:
            self.feed(TaskAsked(self.now_us, task_id, Verb.RELEASE, "go on", "ann"))
        for _ in range(40 * len(self.plans)):
            wakeup_us = self.core.next_wakeup_us()
            if self.in_flight:
                self.feed(*[AttemptSucceeded(self.now_us, i, n) for i, n in list(self.in_flight.items())])
            elif wakeup_us is not None:
                self.now_us = max(self.now_us, wakeup_us)
                self.feed(TimePassed(self.now_us))
            else:
                break
        assert not self.in_flight
        for task_id, plan in self.plans.items():
            awaited = [i for i in plan.after if i not in self.plans]
            state = self.state[task_id]
            waits = state is TaskState.WAITING and (awaited or self._waits_upstream(plan))
            assert state in ENDED or waits, f"{task_id} is left {state}"

    def _waits_upstream(self, plan: TaskPlan) -> bool:
        return any(self.state.get(i) is TaskState.WAITING for i in plan.after)


TestCoreMachine = CoreMachine.TestCase


def test_a_rebuilt_scheduler_decides_like_the_one_that_went_on() -> None:
    """The machine compares fingerprints; this compares the decisions themselves, once, on a night with everything."""
    core, ledger = Scheduler(), MemoryLedger()
    epoch = ledger.acquire("test", 0)
    tasks = (
        task("a", retries=2),
        task("b", "a", timeout_us=SECOND_US),
        task("c", tier=3),
        task("d", "c", tier=2),
    )
    first: list[Event] = [CapacityChanged(0, machine(1)), RunOpened(0, run_of(*tasks))]
    ledger.commit(epoch, 1, 0, first, core.handle(first))
    then: list[Event] = [AttemptFailed(5, tasks[0].task_id, 1, Failure.ERROR, "no")]
    ledger.commit(epoch, 2, 5, then, core.handle(then))
    rebuilt = Scheduler.restore(ledger.load())
    for events in ([TimePassed(5 * MINUTE_US)], [AttemptSucceeded(6 * MINUTE_US, tasks[2].task_id, 1)]):
        ours, theirs = (
            [d for d in s.handle(events) if not isinstance(d, RefuseStart)] for s in (core, rebuilt)
        )
        assert ours == theirs
