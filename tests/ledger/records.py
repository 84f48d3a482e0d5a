"""Records for the ledger's tests: a small run as one would plan it, and strategies that make every type of record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from hypothesis import strategies as st

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.scheduler.decisions import (
    CloseRun,
    Decision,
    JudgeSlo,
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
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.states import RunState, SloState, StopCause, TaskState

SMALL = Capacity((Bin("laptop", 2_000, 16_000),))
LAPTOP = Capacity((Bin("laptop", 8_000, 16_000, (1_000,)),), (("db", 4),))


def plan_of(
    pipeline: str = "night", day: date = date(2016, 6, 24), jobs: str = "cab", slos: int = 1
) -> RunPlan:
    """A chain of one-letter jobs; not in the order of their names, so that nobody passes by sorting."""
    run_id = f"{pipeline}.{day}"
    ids = [f"{run_id}.{job}" for job in jobs]
    return RunPlan(
        run_id=run_id,
        pipeline=pipeline,
        market="US_EQ",
        session=day,
        pin="0" * 64,
        release_us=1_000,
        tasks=tuple(
            TaskPlan(task_id, run_id, job, 1, Demand(), after=tuple(ids[:i][-1:]), ladder=("reduced", "skip"))
            for i, (task_id, job) in enumerate(zip(ids, jobs, strict=True))
        ),
        slos=tuple(
            SloPlan(f"{run_id}.slo{n}", run_id, f"slo {n}", tuple(ids), 9_000) for n in range(slos, 0, -1)
        ),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One turn before it is committed."""

    at_us: int
    events: tuple[Event, ...] = ()
    decisions: tuple[Decision, ...] = ()


def a_short_night(plan: RunPlan | None = None) -> list[Said]:
    """A run of three tasks: one succeeds, one fails once and is retried, one is cancelled; with strays in between."""
    plan = plan_of() if plan is None else plan
    c, a, b = (task.task_id for task in plan.tasks)
    slo = plan.slos[0].slo_id

    def ready(at_us: int, task_id: str) -> SetTask:
        return SetTask(at_us, task_id, TaskState.READY, "released, and all before it is done")

    def start(at_us: int, task_id: str, attempt: int) -> StartAttempt:
        return StartAttempt(
            at_us, task_id, attempt, "laptop", (0, 2), "full", "first in its queue, and it fits"
        )

    return [
        Said(
            1_000,
            (CapacityChanged(1_000, LAPTOP, ((9_000, SMALL),)), RunOpened(1_000, plan)),
            (ready(1_000, c), start(1_000, c, 1)),
        ),
        Said(
            1_010, (AttemptStarted(1_010, c, 1), RunOpened(1_010, plan), AttemptStarted(1_010, "nobody.x", 1))
        ),
        Said(1_020, (AttemptCheckpointed(1_020, c, 1, '{"done":1}'),)),
        Said(
            1_030,
            (AttemptSucceeded(1_030, c, 1, '{"rows":500}', 70, 90),),
            (
                SetTask(1_030, c, TaskState.SUCCEEDED, "done"),
                ready(1_030, a),
                RefuseStart(1_030, a, "no room"),
            ),
        ),
        Said(
            1_040,
            (
                TimePassed(1_040),
                ForecastMade(1_040, 1_035, 100, (SloForecast(slo, 0.25, 1_090, 1_200, None, ((a, 0.5),)),)),
            ),
            (
                SetPressure(1_040, 1, slo, 0.25, 1_035, "slo 1 is missed with P 0.25"),
                start(1_040, a, 1),
            ),
        ),
        Said(
            1_050,
            (
                AttemptStarted(1_050, a, 1),
                AttemptFailed(1_050, a, 1, Failure.ERROR, "ValueError: no", "line 1\nline 2", 5, 6),
                AttemptSucceeded(1_050, c, 1, '"late"'),
            ),
            (SetTask(1_050, a, TaskState.BACKING_OFF, "attempt 1: ValueError: no", 1_100),),
        ),
        Said(1_100, (TimePassed(1_100),), (ready(1_100, a), start(1_100, a, 2))),
        Said(
            1_110,
            (AttemptStarted(1_110, a, 2), AttemptSucceeded(1_120, a, 2)),
            (SetTask(1_120, a, TaskState.SUCCEEDED, "done"), ready(1_120, b), start(1_120, b, 1)),
        ),
        Said(
            1_130,
            (TaskAsked(1_130, b, Verb.CANCEL, "not tonight", "ann"),),
            (StopAttempt(1_130, b, 1, StopCause.CANCELLED, "cancel by ann: not tonight"),),
        ),
        Said(
            1_140,
            (AttemptStarted(1_140, b, 1), AttemptFailed(1_140, b, 1, Failure.CANCELLED, "stopped")),
            (
                SetTask(1_140, b, TaskState.CANCELLED, "cancel by ann: not tonight"),
                JudgeSlo(1_140, slo, SloState.WILL_MISS, None, "1 of its tasks cannot be done"),
                CloseRun(1_140, plan.run_id, RunState.CANCELLED, "cancelled: b"),
            ),
        ),
    ]


# Strategies. Text is any text, with NUL and half surrogate pairs where `odd` asks for them.

instants = st.integers(0, 4_102_444_800_000_000)
numbers = st.integers(1, 99)
ids = st.from_regex(r"[a-z]{1,3}\.[a-z]{1,3}", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
odd_texts = st.text(st.characters(), max_size=8)
counts = st.none() | st.integers(0, 2**53)
pools = st.lists(st.tuples(texts, numbers), max_size=2).map(tuple)
bins = st.builds(Bin, texts, numbers, numbers, st.lists(numbers, max_size=2).map(tuple))
capacities = st.builds(Capacity, st.lists(bins, max_size=2).map(tuple), pools)
comings = st.lists(st.tuples(instants, capacities), max_size=2).map(tuple)
demands = st.builds(Demand, numbers, numbers, numbers, pools)
some_ids = st.lists(ids, max_size=2).map(tuple)
tasks = st.builds(
    TaskPlan,
    ids,
    ids,
    texts,
    st.integers(1, 3),
    demands,
    some_ids,
    instants,
    counts,
    counts,
    numbers,
    instants,
    instants,
    instants,
    instants,
    counts,
    st.lists(texts, max_size=2).map(tuple),
)
slos = st.builds(SloPlan, ids, ids, texts, some_ids, instants)
plans = st.builds(
    RunPlan,
    ids,
    texts,
    texts,
    st.dates(),
    texts,
    instants,
    st.lists(tasks, max_size=2).map(tuple),
    st.lists(slos, max_size=2).map(tuple),
    st.booleans(),
    st.none() | st.floats(0.01, 1),
)


slo_forecasts = st.builds(
    SloForecast,
    ids,
    st.floats(0, 1),
    st.none() | instants,
    st.none() | instants,
    st.none() | instants,
    st.lists(st.tuples(ids, st.floats(0, 1)), max_size=2).map(tuple),
)


def events_of(text: st.SearchStrategy[str]) -> dict[type[Event], st.SearchStrategy[Event]]:
    """A strategy for each type of event, with `text` where people or programs write freely."""
    return {
        CapacityChanged: st.builds(CapacityChanged, instants, capacities, comings),
        RunOpened: st.builds(RunOpened, instants, plans),
        AttemptStarted: st.builds(AttemptStarted, instants, ids, numbers),
        AttemptCheckpointed: st.builds(AttemptCheckpointed, instants, ids, numbers, text),
        AttemptSucceeded: st.builds(AttemptSucceeded, instants, ids, numbers, text, counts, counts),
        AttemptFailed: st.builds(
            AttemptFailed, instants, ids, numbers, st.sampled_from(Failure), text, text, counts, counts
        ),
        TaskAsked: st.builds(TaskAsked, instants, ids, st.sampled_from(Verb), text, text),
        ForecastMade: st.builds(
            ForecastMade, instants, instants, numbers, st.lists(slo_forecasts, max_size=2).map(tuple)
        ),
        TimePassed: st.builds(TimePassed, instants),
    }


def decisions_of(text: st.SearchStrategy[str]) -> dict[type[Decision], st.SearchStrategy[Decision]]:
    """A strategy for each type of decision."""
    devices = st.lists(st.integers(0, 7), max_size=2).map(tuple)
    return {
        StartAttempt: st.builds(StartAttempt, instants, ids, numbers, text, devices, text, text),
        StopAttempt: st.builds(StopAttempt, instants, ids, numbers, st.sampled_from(StopCause), text),
        SetTask: st.builds(SetTask, instants, ids, st.sampled_from(TaskState), text, counts),
        RefuseStart: st.builds(RefuseStart, instants, ids, text),
        CloseRun: st.builds(CloseRun, instants, ids, st.sampled_from(RunState), text),
        JudgeSlo: st.builds(JudgeSlo, instants, ids, st.sampled_from(SloState), counts, text),
        SetPressure: st.builds(
            SetPressure, instants, st.integers(0, 3), ids, st.floats(0, 1), instants, text
        ),
    }
