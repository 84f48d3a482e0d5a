"""Tonight, an assumption, the expected answer: nights small enough to be worked out by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import pytest

from prometheus.core.demand import Bin, Capacity
from prometheus.core.errors import StoreError, UserError
from prometheus.core.instants import HOUR_US, SECOND_US, from_us, to_us
from prometheus.core.settings import Settings, load_settings
from prometheus.forecast.foresee import reached_by
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.calendars import install_desk_book
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.orchestrator.tonight import Tonight, of_workload, stage_of
from prometheus.orchestrator.whatif.assuming import (
    Gone,
    PoolSized,
    Sized,
    Slower,
    Without,
    assume,
    never,
)
from prometheus.orchestrator.whatif.closing import Closes
from prometheus.orchestrator.whatif.comparing import Comparison, compare
from prometheus.orchestrator.whatif.gathering import gather
from prometheus.orchestrator.whatif.sampling import Drawer
from prometheus.orchestrator.whatif.shares import Share, at_most
from prometheus.orchestrator.whatif.sweeping import NEEDED, Swept, Verdict, sweep, verdict_of
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt
from prometheus.scheduler.events import AttemptStarted, AttemptSucceeded, CapacityChanged, RunOpened
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import TaskState

MONDAY_NOON_US = 20_514 * 24 * HOUR_US + 12 * HOUR_US  # 2026-03-02


def night(*tasks: dict[str, object], **capacity: object) -> Tonight:
    """A workload's night; tasks take one core and a minute unless they say otherwise."""
    given = [{"tier": 1, "duration_s": 1, "demand": {"cpu": 1}, "history_s": [60], **task} for task in tasks]
    made = make_workload(
        {
            "capacity": capacity if "bins" in capacity else {"cpu": 1, **capacity},
            "start": "2026-03-02T12:00:00Z",
            "horizon_s": 9 * 3600,
            "tasks": given,
        }
    )
    return of_workload(made, "night.json")


def two_at_once() -> Tonight:
    """Two tasks of a minute, each due in 90 s, and one core: one of them is late."""
    return night({"id": "a", "deadline_s": 90}, {"id": "b", "deadline_s": 90})


def asked(tonight: Tonight, *assumptions: object, samples: int = 5) -> Comparison:
    return compare(tonight, list(assumptions), samples=samples, seed=0)  # type: ignore[arg-type]  # as given


def misses(found: Comparison) -> dict[str, tuple[float | None, float | None]]:
    return {
        row.promise.slo.name: (
            None if row.before is None else row.before.missed.value,
            None if row.after is None else row.after.missed.value,
        )
        for row in found.rows
    }


def test_a_second_core_keeps_the_promise_that_one_core_breaks() -> None:
    found = asked(two_at_once(), Sized("cpu", 2000))
    assert misses(found) == {"a": (0, 0), "b": (1, 0)}
    late = found.rows[1]
    assert (late.newly_kept, late.newly_missed, late.differing) == (5, 0, 5)
    assert late.p50_later_us == late.p90_later_us == -60 * SECOND_US
    assert found.words == ("the machine has 2 cores instead of 1 core",)
    assert not found.makes_no_difference


def test_what_changes_nothing_is_said_to_change_nothing() -> None:
    tonight = night({"id": "a", "deadline_s": 90})
    found = asked(tonight, Sized("cpu", 8000))
    assert found.makes_no_difference
    assert asked(tonight, Sized("cpu", 1000)).words == ("the machine has 1 core already: nothing changes",)


def test_what_no_task_asks_for_is_said_to_be_asked_for_by_none() -> None:
    tonight = night({"id": "a", "deadline_s": 90}, pools={"db": 1})
    assert asked(tonight, Sized("gpu", 2)).words == (
        "the machine has 2 GPUs instead of 0 GPUs; no task of tonight asks for a GPU",
    )
    for what, pool, name in (("gpu", "", "a GPU"), ("memory", "", "memory"), (None, "db", "the pool 'db'")):
        found = sweep(tonight, [], Swept(what, pool, (1, 2)), samples=2, seed=0)  # type: ignore[arg-type]  # as given
        assert found.words == (f"no task of tonight asks for {name}: every size is the same night",)
    using = night({"id": "a", "demand": {"cpu": 1, "gpu": 1}}, gpu=1)
    assert sweep(using, [], Swept("gpu", "", (1, 2)), samples=2, seed=0).words == ()


def test_without_an_assumption_it_is_a_forecast() -> None:
    found = asked(two_at_once())
    assert found.is_forecast
    assert misses(found) == {"a": (0, 0), "b": (1, 1)}


def test_slower_jobs_take_longer_and_the_scheduler_is_not_told() -> None:
    tonight = night({"id": "m0.feature.1", "deadline_s": 90})
    found = asked(tonight, Slower("m0.feature.*", 2.0))
    assert misses(found) == {"m0.feature.1": (0, 1)}
    assert found.rows[0].p50_later_us == 60 * SECOND_US
    (task,) = assume(tonight, [Slower("m0.feature.1", 2.0)]).tonight.tasks()
    assert task.typical_us == 60 * SECOND_US


def test_factors_on_the_same_task_multiply() -> None:
    tonight = night({"id": "a"}, {"id": "b"})
    both = assume(tonight, [Slower("a", 2.0), Slower("*", 1.5)]).tonight
    assert both.slower == {"a": 3.0, "b": 1.5}


def test_a_task_that_fits_no_worker_is_named_with_its_reason() -> None:
    tonight = night({"id": "wide", "demand": {"cpu": 4}, "deadline_s": 900}, cpu=8)
    found = asked(tonight, Sized("cpu", 2000))
    (one,) = found.never
    assert (one.task.task_id, one.reason) == ("wide", "it needs 4 cores (the most in one machine: 2)")
    assert misses(found) == {"wide": (0, 1)}
    assert found.never_before == ()


def test_a_change_of_the_machine_holds_for_what_it_becomes_later_too() -> None:
    later = (MONDAY_NOON_US + HOUR_US, Capacity((Bin("machine", 16_000, 1024),)))
    tonight = replace(night({"id": "a"}, cpu=8), announced=(later,))
    changed = assume(tonight, [Sized("cpu", 2000)]).tonight
    assert [one.bins[0].cpu_milli for one in (changed.capacity, changed.announced[0][1])] == [2000, 2000]


def test_a_machine_that_will_shrink_is_known_to_both_sides_and_an_unannounced_change_to_none() -> None:
    tonight = two_at_once()
    wider = replace(
        tonight, announced=((MONDAY_NOON_US + SECOND_US, Capacity((Bin("machine", 2000, 1 << 30),))),)
    )
    assert misses(asked(wider)) == {"a": (0, 0), "b": (0, 0)}
    assert misses(asked(wider, Sized("cpu", 1000))) == {"a": (0, 0), "b": (0, 1)}


def test_a_pool_that_shrinks_makes_its_users_wait() -> None:
    tonight = night(
        *({"id": name, "demand": {"cpu": 1, "pools": {"db": 1}}, "deadline_s": 90} for name in "ab"),
        cpu=2,
        pools={"db": 2},
    )
    found = asked(tonight, PoolSized("db", 1))
    assert misses(found) == {"a": (0, 0), "b": (0, 1)}
    with pytest.raises(UserError, match="there is no pool 'dbs'"):
        assume(tonight, [PoolSized("dbs", 1)])


def test_without_some_tasks_what_comes_after_does_not_wait_for_them() -> None:
    tonight = night({"id": "slow"}, {"id": "last", "after": ["slow"], "deadline_s": 90})
    found = asked(tonight, Without("slow"))
    assert misses(found) == {"last": (1, 0)}
    assert found.words == ("without the task slow (1 task); what comes after does not wait for it: last",)


def test_names_that_nothing_has_are_told_those_that_are_near() -> None:
    with pytest.raises(UserError) as caught:
        assume(two_at_once(), [Slower("aa", 2.0)])
    assert "nothing that is still to be done is called 'aa'" in str(caught.value)
    with pytest.raises(UserError, match="there is no worker 'other'"):
        assume(two_at_once(), [Gone("other")])
    with pytest.raises(UserError, match="a workload follows no market"):
        assume(two_at_once(), [Closes("XHKG", time(12))])


def test_the_same_numbers_are_the_same_nights_wherever_they_are_drawn() -> None:
    tonight = night({"id": "a", "history_s": [10, 20, 30], "deadline_s": 25})
    alone, shared = Drawer([stage_of(tonight)], 7), Drawer([stage_of(tonight)], 7)
    with alone, shared:
        alone.draw([(0, number) for number in range(24)], lambda drawn, wanted: None)
        shared._share([(0, 12, 12), (0, 0, 12)], 0, 24, lambda drawn, wanted: None)
    assert alone.seen == shared.seen
    assert alone.seen[0].samples == 24


def test_a_sweep_marks_the_smallest_size_that_keeps_each_promise() -> None:
    found = sweep(two_at_once(), [], Swept("cpu", "", (1000, 2000, 3000)), samples=600, seed=0)
    a, b = found.smallest
    assert (a.size, a.is_first, a.verdict) == (1000, True, Verdict.KEPT)
    assert (b.size, b.is_first, b.verdict) == (2000, False, Verdict.KEPT)
    assert found.enough == b
    assert found.present == 1000
    # More are drawn where there was doubt: not at one core, where the second is late in every night.
    assert [point.samples for point in found.points] == [600, 600, 100]
    told = found.as_json()
    assert told["enough_down_to_tier"] == {"1": 2}
    assert told["points"][0]["p_miss"]["slo.b"]["p"] == 1


def test_too_few_samples_resolve_nothing_and_say_so() -> None:
    found = sweep(two_at_once(), [], Swept("cpu", "", (1000, 2000)), samples=50, seed=0)
    assert [one.verdict for one in found.smallest] == [Verdict.OPEN, Verdict.OPEN]
    assert found.enough is not None
    assert found.enough.size == 2000


def test_a_promise_that_no_size_keeps_has_no_smallest() -> None:
    late = night({"id": "a", "deadline_s": 30})
    found = sweep(late, [], Swept("cpu", "", (1000, 2000)), samples=100, seed=0)
    assert found.smallest[0].size is None
    assert found.smallest[0].verdict is Verdict.BROKEN
    assert found.enough is None


def test_sizes_on_which_something_never_fits_are_marked() -> None:
    tonight = night({"id": "wide", "tier": 3, "demand": {"cpu": 2}}, {"id": "a", "deadline_s": 90}, cpu=2)
    found = sweep(tonight, [], Swept("cpu", "", (1000, 2000)), samples=2, seed=0)
    assert [[one.task.task_id for one in point.never] for point in found.points] == [["wide"], []]
    assert found.points[0].lower == 0
    assert found.points[1].lower == pytest.approx(2 / 60)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Share(0, NEEDED), Verdict.KEPT),
        (Share(0, NEEDED - 1), Verdict.OPEN),
        (Share(0, 539), Verdict.OPEN),  # Wilson's bound is content, the exact chance is 6.7 %
        (Share(1, 600), Verdict.OPEN),
        (Share(6, 600), Verdict.OPEN),  # 8.3 % at a true 0.5 %
        (Share(7, 600), Verdict.BROKEN),
        (Share(1, 1), Verdict.BROKEN),
        (Share(2, 100), Verdict.OPEN),
        (Share(3, 100), Verdict.BROKEN),
    ],
)
def test_a_verdict_is_given_only_when_it_is_95_per_cent_sure(missed: Share, expected: Verdict) -> None:
    assert verdict_of(missed) is expected


def test_the_interval_of_a_share_is_wilson_s() -> None:
    # Brown, Cai and DasGupta (2001): 0 of 20 and 10 of 20 at 95 %.
    assert Share(0, 20).interval() == pytest.approx((0, 0.1611), abs=1e-4)
    assert Share(10, 20).interval() == pytest.approx((0.2993, 0.7007), abs=1e-4)


def test_the_chance_of_so_few_is_the_binomial_one() -> None:
    assert at_most(0, 539, 0.005) == pytest.approx(0.995**539)
    assert at_most(1, 3, 0.5) == pytest.approx(0.5)
    assert at_most(-1, 3, 0.5) == 0
    assert at_most(3, 3, 0.5) == 1
    # A bound that is 95 % sure: just as many samples as are needed, and none fewer.
    assert at_most(0, NEEDED, 0.005) <= 0.05 < at_most(0, NEEDED - 1, 0.005)


def test_the_instant_that_a_share_reaches_counts_those_that_never_do() -> None:
    instants = [10, None, 20, 30]
    assert reached_by(instants, 0.5) == 20
    assert reached_by(instants, 0.75) == 30
    assert reached_by(instants, 0.9) is None


# Runs of pipelines.


@pytest.fixture
def desk(own_home: Path) -> Settings:
    return load_settings()


SESSION = date(2024, 11, 26)
AFTER_ALL_US = MONDAY_NOON_US


def replayed(desk: Settings, *names: str) -> Tonight:
    tonight = gather(desk, names or ("us_eq_daily",), SESSION, AFTER_ALL_US)
    return replace(tonight, capacity=Capacity((Bin("local", 4000, 64 * 1024),)))


def test_a_past_session_begins_at_its_first_release(desk: Settings) -> None:
    tonight = replayed(desk)
    assert f"{from_us(tonight.now_us):%Y-%m-%d %H:%M}" == "2024-11-26 21:30"
    assert [run.run_id for run in tonight.coming] == ["us_eq_daily.2024-11-26"]
    assert "a past session: as its replay would begin now" in tonight.notes
    assert any("as declared, for there is no history yet" in note for note in tonight.notes)


def test_a_broken_replay_of_another_night_is_left_out_and_that_of_this_night_is_an_error(
    desk: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = desk.home / "replay"
    folder.mkdir(parents=True)
    (folder / "us_eq_daily.2020-01-02.db").write_text("not a ledger, by far")
    assert [run.run_id for run in replayed(desk).runs()] == [f"us_eq_daily.{SESSION}"]
    assert "the replay us_eq_daily.2020-01-02 is left out" in caplog.text
    (folder / f"us_eq_daily.{SESSION}.db").write_text("not a ledger, by far")
    with pytest.raises(StoreError, match=f"us_eq_daily.{SESSION}.db"):
        replayed(desk)


def test_a_market_that_closes_early_releases_its_run_early(desk: Settings) -> None:
    tonight = replayed(desk)
    changed = assume(tonight, [Closes("US_EQ", time(13))])
    (run,) = changed.tonight.coming
    assert run.release_us == tonight.coming[0].release_us - 3 * HOUR_US
    assert changed.words[0] == (
        "XNYS closes at 13:00 New York (18:00 UTC) instead of 16:00 New York (21:00 UTC) on Tue 26 Nov 2024"
    )
    assert (
        "may start Tue 18:30 UTC (which is past: it starts now) instead of Tue 21:30 UTC" in changed.words[1]
    )
    assert tonight.book is not None
    assert not tonight.book.overrides


def test_a_coming_session_that_closes_early_is_done_early(desk: Settings) -> None:
    tonight = gather(desk, ("us_eq_daily",), None, MONDAY_NOON_US)
    found = asked(tonight, Closes("XNYS", time(13)), samples=2)
    assert not found.makes_no_difference
    assert {row.p50_later_us for row in found.rows} == {-3 * HOUR_US}


def test_an_hour_of_utc_is_one(desk: Settings) -> None:
    local = assume(replayed(desk), [Closes("XNYS", time(13))]).tonight
    utc = assume(replayed(desk), [Closes("XNYS", time(18), is_utc=True)]).tonight
    assert local.coming == utc.coming


def test_a_market_that_does_not_open_has_its_run_skipped(desk: Settings) -> None:
    found = compare(replayed(desk), [Closes("US_EQ", None)], samples=2, seed=0)
    assert "us_eq_daily.2024-11-26 is skipped: US_EQ has no session then" in found.words
    assert all(row.after is None and row.before is not None for row in found.rows)


def test_a_market_that_nothing_follows_changes_nothing_and_a_session_that_is_none_anyway(
    desk: Settings,
) -> None:
    tonight = replayed(desk)
    changed = assume(tonight, [Closes("XHKG", time(12))])
    assert changed.tonight == tonight
    assert changed.words == ("no run of tonight follows XHKG (they follow US_EQ): nothing changes",)
    (said,) = assume(tonight, [Closes("XNYS", None, day=date(2024, 11, 28))]).words
    assert said == "XNYS has no session on Thu 28 Nov 2024 anyway"


def test_a_market_cannot_close_before_it_opens(desk: Settings) -> None:
    with pytest.raises(UserError, match="would close before it opens"):
        assume(replayed(desk), [Closes("XNYS", time(9))])


def test_kinds_and_pipelines_are_names_too(desk: Settings) -> None:
    tonight = replayed(desk, "us_eq_daily", "us_eq_late")
    features = assume(tonight, [Slower("features", 1.5)]).tonight.slower
    assert len(features) == 8
    assert all(task_id.startswith("us_eq_daily.") for task_id in features)
    less = assume(tonight, [Without("us_eq_late")])
    assert [run.pipeline for run in less.tonight.runs()] == ["us_eq_daily"]
    with pytest.raises(UserError, match="--without features: that is no pipeline of tonight"):
        assume(tonight, [Without("features")])


def test_the_machine_is_what_the_settings_say_it_will_be(own_home: Path) -> None:
    (own_home / "prometheus.toml").write_text(
        '[resources]\ncpu = 8\n[[resources.changes]]\nfrom = "D 21:00 UTC"\nuntil = "D 23:00 UTC"\ncpu = 2\n'
    )
    tonight = gather(load_settings(), ("us_eq_daily",), None, MONDAY_NOON_US)
    assert tonight.capacity.bins[0].cpu_milli == 8000
    first_us, smaller = tonight.announced[0]
    assert (first_us, smaller.bins[0].cpu_milli) == (MONDAY_NOON_US + 9 * HOUR_US, 2000)


def test_without_names_it_is_what_starts_within_a_day(desk: Settings) -> None:
    at_us = to_us(from_us(MONDAY_NOON_US)) - 2 * HOUR_US
    tonight = gather(desk, (), None, at_us)
    assert tonight.now_us == at_us
    assert [run.run_id for run in tonight.coming][:2] == [
        "us_eq_preopen.2026-03-02",
        "us_eq_daily.2026-03-02",
    ]
    assert "weekly_research" not in {run.pipeline for run in tonight.coming}


def test_by_name_it_is_the_next_run_however_far(desk: Settings) -> None:
    tonight = gather(desk, ("weekly_research",), None, MONDAY_NOON_US)
    assert [run.run_id for run in tonight.coming] == ["weekly_research.2026-03-06"]


def begun(tonight: Tonight) -> Tonight:
    """The same night after its first starts, as a ledger would have it."""
    ledger = MemoryLedger()
    begin(tonight, ledger)
    return replace(tonight, coming=(), begun=ledger.load(), now_us=tonight.now_us + 30 * SECOND_US)


def begin(tonight: Tonight, ledger: Ledger) -> None:
    """Commit the turns in which a run is opened and its first attempts begin."""
    scheduler = Scheduler()
    (run,) = tonight.coming
    at_us = tonight.now_us
    epoch = ledger.acquire("test", at_us)
    events = [CapacityChanged(at_us, tonight.capacity), RunOpened(at_us, run)]
    decisions = scheduler.handle(events)
    ledger.commit(epoch, 1, at_us, events, decisions)
    started = [
        AttemptStarted(at_us, one.task_id, one.attempt) for one in decisions if isinstance(one, StartAttempt)
    ]
    ledger.commit(epoch, 2, at_us, started, scheduler.handle(started))
    ledger.release(epoch)


def test_an_unfinished_replay_is_found_and_taken_up_where_it_stands(desk: Settings) -> None:
    planned = replayed(desk)
    path = desk.home / "replay" / "us_eq_daily.2024-11-26.db"
    ledger = open_ledger(f"sqlite:///{path}")
    begin(planned, ledger)
    ledger.close()
    Path(f"{path}.lock").unlink()  # as if this process, which led it, were gone
    tonight = gather(desk, ("us_eq_daily",), SESSION, AFTER_ALL_US)
    assert tonight.coming == ()
    assert [run.run_id for run in tonight.runs()] == ["us_eq_daily.2024-11-26"]
    assert tonight.now_us == planned.now_us
    assert "us_eq_daily.2024-11-26 was left by its program: as if it were taken up now" in tonight.notes
    assert tonight.left_alone == {"us_eq_daily.2024-11-26"}
    assert {row.promise.slo.name for row in asked(tonight, samples=2).rows} == {
        "ingestion",
        "engines",
        "decision logs",
    }
    # Without a session it is the next run that is meant, and a replay of an old one is none of it.
    assert gather(desk, ("us_eq_daily",), None, AFTER_ALL_US).begun is None


def test_what_the_desk_s_own_ledger_has_begun_is_part_of_tonight(desk: Settings) -> None:
    at_us = MONDAY_NOON_US + 10 * HOUR_US  # 22:00 UTC, half an hour after the release
    planned = gather(desk, ("us_eq_daily",), None, at_us)
    ledger = open_ledger(desk.ledger_url)
    begin(replace(planned, now_us=at_us - 60 * SECOND_US), ledger)
    ledger.close()
    tonight = gather(desk, (), None, at_us)
    assert tonight.begun is not None
    assert [run.run_id for run in tonight.begun.runs] == ["us_eq_daily.2026-03-02"]
    assert "us_eq_daily.2026-03-02" not in {run.run_id for run in tonight.coming}
    assert tonight.now_us == at_us


def ended_replay(desk: Settings, session: date) -> None:
    """A replay in which every attempt that has begun has succeeded."""
    planned = gather(desk, ("us_eq_daily",), session, AFTER_ALL_US)
    url = f"sqlite:///{desk.home / 'replay' / f'us_eq_daily.{session}.db'}"
    ledger = open_ledger(url)
    begin(planned, ledger)
    epoch, snapshot = ledger.acquire("test", planned.now_us), ledger.load()
    done = [
        AttemptSucceeded(planned.now_us + 30 * SECOND_US, row.task_id, row.attempts)
        for row in snapshot.tasks
        if row.state is TaskState.RUNNING
    ]
    assert done
    decisions = Scheduler.restore(snapshot).handle(done)
    ledger.commit(epoch, ledger.revision() + 1, done[0].at_us, done, decisions)
    ledger.release(epoch)
    ledger.close()


def test_how_much_of_a_history_there_is_is_said(desk: Settings) -> None:
    said = []
    for session in (date(2024, 11, 20), date(2024, 11, 21), date(2024, 11, 22)):
        ended_replay(desk, session)
        (note,) = [one for one in replayed(desk).notes if one.startswith("durations")]
        said.append(note.partition("us_eq_daily")[0])
    assert said[0] == "durations as declared: 1 past run, and it takes 3; their spread is a guess: "
    assert said[1] == "durations as declared: 2 past runs, and it takes 3; their spread is a guess: "
    assert said[2].startswith("durations of 3 past runs, sessions 2024-11-20 to 2024-11-22")


_connected: list[str] = []
sys.addaudithook(lambda event, what: _connected.append(str(what[0])) if event == "sqlite3.connect" else None)


def test_each_ledger_is_opened_once_for_its_runs_and_for_its_history(desk: Settings) -> None:
    planned = replayed(desk)
    path = desk.home / "replay" / "us_eq_daily.2024-11-26.db"
    url = f"sqlite:///{path}"
    for one in (url, desk.ledger_url):
        ledger = open_ledger(one)
        begin(planned, ledger)
        ledger.close()
    _connected.clear()
    install_desk_book(desk)  # which reads the overrides in the own ledger
    for one in (url, desk.ledger_url):
        open_ledger(one, create=False).close()
    once = sorted(_connected)
    _connected.clear()
    gather(desk, (), None, AFTER_ALL_US)
    assert any(str(path) in one for one in once)
    assert sorted(_connected) == once


def test_an_unfinished_run_goes_on_from_where_it_stands() -> None:
    tonight = begun(night({"id": "a", "deadline_s": 90}, {"id": "b", "after": ["a"], "deadline_s": 100}))
    found = asked(tonight)
    assert misses(found) == {"a": (0, 0), "b": (1, 1)}
    ends = [row.after.p50_us for row in found.rows if row.after is not None]
    assert ends == [MONDAY_NOON_US + 60 * SECOND_US, MONDAY_NOON_US + 120 * SECOND_US]


def test_what_runs_on_a_worker_that_is_gone_begins_again_on_another() -> None:
    tonight = night(
        {"id": "a", "deadline_s": 80},
        bins=[{"id": "one", "cpu": 1}, {"id": "two", "cpu": 1}],
    )
    running = begun(tonight)
    (place,) = {row.bin_id for row in running.begun.attempts} if running.begun else set()
    found = asked(running, Gone(place))
    assert misses(found) == {"a": (0, 1)}
    assert found.rows[0].p50_later_us == 30 * SECOND_US
    assert "what runs there is lost and begins again: a" in found.words[0]
    assert found.rows[0].after is not None


def test_a_run_that_nobody_works_on_any_more_begins_its_attempts_again() -> None:
    tonight = begun(night({"id": "a", "deadline_s": 80}))
    left = replace(tonight, left_alone=frozenset({"night"}))
    assert misses(asked(tonight)) == {"a": (0, 0)}
    assert misses(asked(left)) == {"a": (1, 1)}


def test_a_run_that_has_begun_follows_the_close_too(desk: Settings) -> None:
    tonight = begun(replayed(desk, "us_eq_daily"))
    skipped = assume(tonight, [Closes("XNYS", None)])
    assert skipped.tonight.runs() == []
    plans: list[RunPlan] = assume(tonight, [Closes("XNYS", time(15))]).tonight.runs()
    assert plans[0].release_us == tonight.runs()[0].release_us - HOUR_US


def test_never_names_no_task_of_a_machine_that_holds_them_all() -> None:
    assert never(two_at_once()) == []
