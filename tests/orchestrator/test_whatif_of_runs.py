"""Whose night is it? Runs of pipelines, of ledgers and of replays, and what is assumed of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import pytest
from whatifs import MONDAY_NOON_US, asked, misses, night, two_at_once

from prometheus.core.demand import Bin, Capacity
from prometheus.core.errors import StoreError, UserError
from prometheus.core.instants import HOUR_US, SECOND_US, from_us, to_us
from prometheus.core.settings import Settings, load_settings
from prometheus.ledger.contract import Ledger
from prometheus.ledger.memory import MemoryLedger
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator.calendars import install_desk_book
from prometheus.orchestrator.tonight import Tonight
from prometheus.orchestrator.whatif.assuming import (
    Gone,
    Slower,
    Without,
    assume,
    never,
)
from prometheus.orchestrator.whatif.closing import Closes
from prometheus.orchestrator.whatif.comparing import compare
from prometheus.orchestrator.whatif.gathering import gather
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.decisions import StartAttempt
from prometheus.scheduler.events import AttemptStarted, AttemptSucceeded, CapacityChanged, RunOpened
from prometheus.scheduler.plan import RunPlan
from prometheus.scheduler.states import TaskState


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
