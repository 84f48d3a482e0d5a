"""The same random turns to the ledger in memory and to one in SQL: whatever is asked, they answer alike.

The turns are plausible in form only: any order, any state, facts that are late, early, repeated or about nobody. A
ledger folds what it is told; whether it makes sense is the scheduler's business.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from prometheus.ledger.contract import LeaseLostError, Ledger, StaleRevisionError
from prometheus.ledger.memory import MemoryLedger
from prometheus.scheduler import decisions as d
from prometheus.scheduler import events as e
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState
from tests.ledger import records, shelves

NOBODY = "nobody.2016-06-24.x"


class TwoLedgers(RuleBasedStateMachine):
    """`self.oracle` in memory, `self.ledger` in SQL. Subclasses say where."""

    open: Callable[[], Ledger]

    def __init__(self) -> None:
        super().__init__()
        self.oracle: Ledger = MemoryLedger()
        self.plans: list[RunPlan] = []
        self.attempts: dict[str, int] = {}
        self.now_us = 1_000
        self.last: tuple[int, int, tuple[e.Event, ...], tuple[d.Decision, ...]] | None = None

    @initialize()
    def begin(self) -> None:
        self.ledger = type(self).open()
        self.epoch = self.ledger.acquire("tests", 1)
        assert self.oracle.acquire("tests", 1) == self.epoch

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            assert self.ledger.check() == self.oracle.check() == []
            assert self.ledger.load() == self.oracle.load()
            assert list(self.ledger.turns()) == list(self.oracle.turns())
            self.ledger.close()

    def some_task(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([task.task_id for plan in self.plans for task in plan.tasks]))

    def an_event(self, data: st.DataObject) -> e.Event:
        at_us = self.now_us + data.draw(st.integers(-3, 5))
        if not any(plan.tasks for plan in self.plans) or data.draw(st.integers(0, 9)) == 0:
            return self.another_event(data, at_us)
        task_id = data.draw(st.sampled_from([self.some_task(data), NOBODY]))
        attempt = max(1, self.attempts.get(task_id, 0) + data.draw(st.sampled_from([0, 0, 0, -1, 1])))
        text = data.draw(records.odd_texts)
        match data.draw(st.sampled_from(["started", "checkpointed", "succeeded", "failed", "asked"])):
            case "started":
                return e.AttemptStarted(at_us, task_id, attempt)
            case "checkpointed":
                return e.AttemptCheckpointed(at_us, task_id, attempt, text)
            case "succeeded":
                return e.AttemptSucceeded(at_us, task_id, attempt, text, 7, None)
            case "failed":
                failure = data.draw(st.sampled_from(e.Failure))
                return e.AttemptFailed(at_us, task_id, attempt, failure, text, text, None, 8)
            case _:
                return e.TaskAsked(at_us, task_id, data.draw(st.sampled_from(e.Verb)), text, "ann")

    def another_event(self, data: st.DataObject, at_us: int) -> e.Event:
        match data.draw(st.integers(0, 4)):
            case 0:
                return e.TimePassed(at_us)
            case 1:
                return e.CapacityChanged(at_us, data.draw(records.capacities))
            case 3:
                known = [slo.slo_id for plan in self.plans for slo in plan.slos]
                slo_id = data.draw(st.sampled_from([*known, "slo"]))
                said = e.SloForecast(slo_id, 0.25, at_us, None, None, ((NOBODY, 0.5),))
                return e.ForecastMade(at_us, at_us, data.draw(st.integers(1, 9)), (said,))
            case 2 if self.plans:
                return e.RunOpened(at_us, self.plans[0])  # again, which changes nothing
            case _:
                return e.RunOpened(at_us, self.a_new_plan(data))

    def a_new_plan(self, data: st.DataObject) -> RunPlan:
        number = len(self.plans)
        day = date(2016, 6, 24) + timedelta(days=data.draw(st.integers(0, 2)))
        jobs = data.draw(st.sampled_from(["", "a", "ba", "cab"]))
        plan = records.plan_of(
            data.draw(st.sampled_from("pq")) + str(number), day, jobs, data.draw(st.integers(0, 2))
        )
        self.plans.append(plan)
        return plan

    def a_decision(self, data: st.DataObject) -> d.Decision | None:
        at_us = self.now_us
        kind = data.draw(st.sampled_from(["set", "set", "start", "stop", "refuse", "close", "judge"]))
        plan = data.draw(st.sampled_from(self.plans))
        if kind == "close":
            return d.CloseRun(at_us, plan.run_id, data.draw(st.sampled_from(RunState)), "closed")
        if kind == "judge":
            if not plan.slos:
                return None
            slo_id = data.draw(st.sampled_from(plan.slos)).slo_id
            return d.JudgeSlo(at_us, slo_id, data.draw(st.sampled_from(SloState)), at_us, "judged")
        if not plan.tasks:
            return None
        task_id = data.draw(st.sampled_from(plan.tasks)).task_id
        match kind:
            case "set":
                not_before_us = data.draw(st.none() | st.just(at_us + 5))
                return d.SetTask(at_us, task_id, data.draw(st.sampled_from(TaskState)), "said", not_before_us)
            case "start":
                self.attempts[task_id] = attempt = self.attempts.get(task_id, 0) + data.draw(
                    st.integers(1, 2)
                )
                return d.StartAttempt(at_us, task_id, attempt, "laptop", (1,), "reduced", "it fits")
            case "stop":
                attempt = self.attempts.get(task_id, 1)
                return d.StopAttempt(at_us, task_id, attempt, data.draw(st.sampled_from(StopCause)), "stop")
            case _:
                return d.RefuseStart(at_us, task_id, "no room")

    @rule(data=st.data(), n_events=st.integers(0, 4), n_decisions=st.integers(0, 4))
    def commit(self, data: st.DataObject, n_events: int, n_decisions: int) -> None:
        self.now_us += data.draw(st.integers(0, 10))
        events = tuple(self.an_event(data) for _ in range(n_events))
        found = [self.a_decision(data) for _ in range(n_decisions)] if self.plans else []
        decisions = tuple(decision for decision in found if decision is not None)
        revision = self.oracle.revision() + 1
        self.last = (revision, self.now_us, events, decisions)
        self.oracle.commit(self.epoch, *self.last)
        self.ledger.commit(self.epoch, *self.last)

    @rule()
    def commit_again(self) -> None:
        if self.last is not None:
            self.ledger.commit(self.epoch, *self.last)
            self.oracle.commit(self.epoch, *self.last)

    @rule(step=st.sampled_from([-1, 0, 2]))
    def commit_out_of_turn(self, step: int) -> None:
        for ledger in (self.ledger, self.oracle):
            with pytest.raises(StaleRevisionError):
                ledger.commit(self.epoch, ledger.revision() + step, 1, (e.TimePassed(-1),), ())

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = type(self).open()
        self.last = None  # another leader's turn is not this one's to say again
        old, self.epoch = self.epoch, self.ledger.acquire("tests", 1)
        assert self.oracle.acquire("tests", 1) == self.epoch
        for ledger in (self.ledger, self.oracle):
            with pytest.raises(LeaseLostError):
                ledger.commit(old, ledger.revision() + 1, 1, (), ())

    @rule()
    def check(self) -> None:
        assert self.ledger.check() == self.oracle.check() == []

    @invariant()
    def they_answer_alike(self) -> None:
        if not hasattr(self, "ledger"):
            return
        assert self.ledger.revision() == self.oracle.revision()
        assert self.ledger.load() == self.oracle.load()
        assert self.ledger.runs(limit=3) == self.oracle.runs(limit=3)
        last = max(0, self.oracle.revision() - 2)
        assert list(self.ledger.turns(after=last)) == list(self.oracle.turns(after=last))
        for plan in self.plans[-1:]:
            assert self.ledger.runs(plan.pipeline) == self.oracle.runs(plan.pipeline)
            assert self.ledger.tasks(plan.run_id) == self.oracle.tasks(plan.run_id)
            assert self.ledger.slos(plan.run_id) == self.oracle.slos(plan.run_id)
            for task in plan.tasks:
                assert self.ledger.attempts(task.task_id) == self.oracle.attempts(task.task_id)


@pytest.mark.parametrize("kind", [kind for kind in shelves.KINDS if kind != "memory"])
def test_sql_and_memory_never_differ(kind: str, tmp_path: Path, postgres_folder: Path) -> None:
    folders: list[Path] = []

    class OnThisShelf(TwoLedgers):
        opener: shelves.Opener | None = None

        @staticmethod
        def open() -> Ledger:
            assert OnThisShelf.opener is not None
            return OnThisShelf.opener()

        def __init__(self) -> None:
            super().__init__()
            if kind == "sqlite":
                folders.append(Path(tempfile.mkdtemp(dir=tmp_path)))
                OnThisShelf.opener = shelves.in_sqlite(folders[-1])
            else:
                OnThisShelf.opener = shelves.in_postgres(postgres_folder)

        def teardown(self) -> None:
            super().teardown()
            while folders:
                shutil.rmtree(folders.pop())

    examples = settings().max_examples // (3 if kind == "sqlite" else 10)  # each is a database of its own
    run_state_machine_as_test(
        OnThisShelf,
        settings=settings(max_examples=examples, stateful_step_count=25),
    )
