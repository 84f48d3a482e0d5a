from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.errors import StoreError, UserError
from prometheus.core.instants import MINUTE_US, SECOND_US
from prometheus.core.settings import Settings, load_settings
from prometheus.ledger.opening import open_ledger
from prometheus.orchestrator import answering
from prometheus.orchestrator.answering import Wish
from prometheus.orchestrator.blocking import Why
from prometheus.orchestrator.views import decisions_of, leader_of, ledger_urls, night_of, nights
from prometheus.scheduler.core import Scheduler
from prometheus.scheduler.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CapacityChanged,
    Event,
    Failure,
    RunOpened,
    TaskAsked,
    TimePassed,
    Verb,
)
from prometheus.scheduler.plan import RunPlan, SloPlan, TaskPlan
from prometheus.scheduler.states import RunState, TaskState

T0 = 1_466_800_200 * SECOND_US  # 2016-06-24 20:30 UTC
DAY = date(2016, 6, 24)


def plan(name: str = "mine", session: date = DAY, replayed: bool = True, **fields: object) -> RunPlan:
    """fetch -> returns -> risk, and fetch2 beside it; one core each."""
    run = f"{name}.{session}"

    def task(job: str, *after: str, **more: object) -> TaskPlan:
        values = {"release_us": T0, "backoff_us": MINUTE_US, "typical_us": 10 * SECOND_US} | fields | more
        return TaskPlan(
            f"{run}.{job}", run, job, 1, Demand(), tuple(f"{run}.{one}" for one in after), **values
        )  # type: ignore[arg-type]  # fields of the dataclass by name

    tasks = (task("fetch"), task("fetch2"), task("returns", "fetch"), task("risk", "returns"))
    return RunPlan(run, name, "US_EQ", session, "pin", T0, tasks, replayed=replayed)


def drive(url: str, made: RunPlan, *facts: Event, cores: int = 1, release: bool = True) -> None:
    """A ledger in which this run was opened on a machine of `cores` and these facts came in, one turn each."""
    ledger, scheduler = open_ledger(url), Scheduler()
    epoch = ledger.acquire("a test", T0)
    first: list[Event] = [
        CapacityChanged(T0, Capacity((Bin("local", 1_000 * cores, 9_000),))),
        RunOpened(T0, made),
    ]
    turns: list[Sequence[Event]] = [first, *([fact] for fact in facts)]
    for number, events in enumerate(turns, ledger.revision() + 1):
        decisions = scheduler.handle(events)
        ledger.commit(epoch, number, scheduler.now_us, events, decisions)
    if release:
        ledger.release(epoch)
    ledger.close()


@pytest.fixture
def settings(own_home: Path) -> Settings:
    return load_settings()


def replay(settings: Settings, made: RunPlan) -> str:
    return f"sqlite:///{settings.home / 'replay' / f'{made.run_id}.db'}"


def tid(job: str) -> str:
    return f"mine.{DAY}.{job}"


def why(settings: Settings, *words: str, now_us: int = T0) -> Why:
    return answering.why(settings, words, now_us)


def texts(answer: Why) -> str:
    return "\n".join(cause.text for cause in answer.causes)


def test_with_no_ledger_there_are_no_nights_and_none_is_made(settings: Settings) -> None:
    assert nights(settings) == []
    assert not settings.home.exists()


def test_a_ledger_that_was_named_but_is_not_there_is_an_error_that_names_it(own_home: Path) -> None:
    named = load_settings(flags={("ledger", "url"): f"sqlite:///{own_home}/no.db"})
    with pytest.raises(UserError, match=r"no\.db"):
        nights(named)


def test_nights_of_the_ledger_and_of_replays_come_together_newest_session_first(settings: Settings) -> None:
    drive(settings.ledger_url, plan("live", date(2016, 6, 27), replayed=False))
    for day in (23, 24):
        made = plan("mine", date(2016, 6, day))
        drive(replay(settings, made), made)
    found = [night.run.run_id for night in nights(settings)]
    assert found == ["live.2016-06-27", "mine.2016-06-24", "mine.2016-06-23"]
    assert len(nights(settings, 2)) == 2


def broken_replay(settings: Settings, run_id: str) -> Path:
    path = settings.home / "replay" / f"{run_id}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a ledger, by far")
    return path


def test_a_replay_that_cannot_be_read_is_left_out_with_its_name_and_what_to_do(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    drive(replay(settings, plan()), plan())
    path = broken_replay(settings, "other.2020-01-02")
    assert [night.run.run_id for night in nights(settings)] == [plan().run_id]
    assert night_of(settings, plan().run_id).run.run_id == plan().run_id
    assert why(settings, "fetch").task.task_id == tid("fetch")
    for said in ("other.2020-01-02", str(path), "--again"):
        assert said in caplog.text


def test_a_replay_that_is_asked_for_and_cannot_be_read_is_an_error(settings: Settings) -> None:
    drive(replay(settings, plan()), plan())
    broken_replay(settings, "other.2020-01-02")
    for ask in (
        lambda: night_of(settings, "other.2020-01-02"),
        lambda: why(settings, "other.2020-01-02", "fetch"),
        lambda: answering.why_slo(settings, "other.2020-01-02.slo", T0),
    ):
        with pytest.raises(StoreError, match=r"other\.2020-01-02"):
            ask()


def test_the_own_ledger_that_cannot_be_read_is_an_error(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / "ledger.db").write_text("not a ledger, by far")
    with pytest.raises(StoreError, match=r"ledger\.db"):
        nights(settings)


def test_a_named_ledger_is_asked_alone(settings: Settings, own_home: Path) -> None:
    drive(replay(settings, plan()), plan())
    url = f"sqlite:///{own_home}/own.db"
    drive(url, plan("other"))
    named = load_settings(flags={("ledger", "url"): url})
    assert ledger_urls(named) == [url]
    assert [night.run.run_id for night in nights(named)] == [f"other.{DAY}"]


def test_a_run_of_an_unknown_id_names_its_neighbours(settings: Settings) -> None:
    drive(settings.ledger_url, plan())
    with pytest.raises(UserError) as raised:
        night_of(settings, "mine.2016-06-25")
    assert "mine.2016-06-24" in str(raised.value.hint)


def test_an_unfinished_run_whose_leader_is_gone_is_abandoned(settings: Settings) -> None:
    drive(settings.ledger_url, plan())
    path = settings.home / "ledger.db.lock"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    note = {"owner": "prometheus run", "host": socket.gethostname(), "since": "now"}
    path.write_text(json.dumps(note | {"pid": gone.pid}))
    assert nights(settings)[0].is_abandoned
    path.write_text(json.dumps(note | {"pid": os.getpid()}))
    assert leader_of(settings.ledger_url) == "prometheus run"
    assert not nights(settings)[0].is_abandoned


def test_a_server_s_leader_cannot_be_told(settings: Settings) -> None:
    assert leader_of("postgresql+psycopg://desk@db/desk") == ""


@pytest.mark.parametrize("words", [(tid("returns"),), (f"mine.{DAY}", "returns"), ("returns",)])
def test_a_task_is_found_by_id_by_run_and_job_and_by_its_job_in_the_newest_run(
    settings: Settings, words: tuple[str, ...]
) -> None:
    drive(settings.ledger_url, plan("mine", date(2016, 6, 23)))
    drive(replay(settings, plan()), plan())
    assert why(settings, *words).task.task_id == tid("returns")


def test_a_misspelt_task_is_answered_with_the_nearest_ones(settings: Settings) -> None:
    drive(settings.ledger_url, plan())
    with pytest.raises(UserError) as raised:
        why(settings, "retruns")
    assert "returns" in str(raised.value.hint)


def test_a_waiting_task_names_those_before_it_and_further_up_whatever_holds_them(settings: Settings) -> None:
    drive(
        settings.ledger_url,
        plan(),
        AttemptStarted(T0, tid("fetch"), 1),
        TimePassed(T0 + SECOND_US),
        release=False,
    )
    answer = why(settings, "risk")
    kinds = {cause.kind: cause for cause in answer.causes}
    assert answer.task.state is TaskState.WAITING
    assert kinds["upstream"].task_id == tid("returns")
    assert kinds["root"].task_id == tid("fetch")
    assert "running" in kinds["root"].text


def test_the_expected_start_adds_the_usual_durations_before_it(settings: Settings) -> None:
    drive(settings.ledger_url, plan(), AttemptStarted(T0, tid("fetch"), 1))
    (settings.home / "ledger.db.lock").write_text(
        json.dumps({"owner": "me", "pid": os.getpid(), "host": socket.gethostname()})
    )
    answer = why(settings, "risk")
    assert answer.eta_us == T0 + 20 * SECOND_US


def test_a_ready_task_shows_the_scheduler_s_own_refusal(settings: Settings) -> None:
    drive(settings.ledger_url, plan(), AttemptStarted(T0, tid("fetch"), 1))
    answer = why(settings, "fetch2")
    refusal = answer.task.refusal
    assert answer.task.state is TaskState.READY
    assert refusal is not None
    assert refusal in texts(answer)


def test_a_task_before_its_release_says_when_that_is(settings: Settings) -> None:
    drive(settings.ledger_url, plan(release_us=T0 + MINUTE_US))
    answer = why(settings, "fetch")
    assert "2016-06-24T20:31:00Z" in texts(answer)


def test_a_task_that_backs_off_says_when_it_may_begin_again_and_why(settings: Settings) -> None:
    failed = AttemptFailed(T0 + SECOND_US, tid("fetch"), 1, Failure.ERROR, "OSError: vendor is late")
    drive(settings.ledger_url, plan(retries=3), AttemptStarted(T0, tid("fetch"), 1), failed)
    answer = why(settings, "fetch")
    retry = next(cause for cause in answer.causes if cause.kind == "retry")
    assert retry.at_us == answer.task.not_before_us
    assert "vendor is late" in retry.text


def test_a_held_task_says_who_holds_it(settings: Settings) -> None:
    drive(settings.ledger_url, plan(), TaskAsked(T0, tid("risk"), Verb.HOLD, "vendor restates", "ana"))
    answer = why(settings, "risk")
    assert "vendor restates" in texts(answer)
    assert answer.eta_us is None


def test_a_blocked_task_names_the_failed_one_and_the_command_to_go_on(settings: Settings) -> None:
    drive(
        settings.ledger_url,
        plan("us_eq_daily"),
        AttemptStarted(T0, f"us_eq_daily.{DAY}.fetch", 1),
        AttemptFailed(T0, f"us_eq_daily.{DAY}.fetch", 1, Failure.ERROR, "no file"),
        AttemptStarted(T0, f"us_eq_daily.{DAY}.fetch2", 1),
        AttemptSucceeded(T0 + SECOND_US, f"us_eq_daily.{DAY}.fetch2", 1),
    )
    assert nights(settings)[0].run.state is RunState.FAILED
    answer = answering.why(settings, ["risk"], T0, " --ledger x")
    assert answer.task.state is TaskState.BLOCKED
    assert "fetch is failed" in texts(answer)
    assert answer.commands == ("prometheus run us_eq_daily --session 2016-06-24 --ledger x",)
    assert answer.eta_us is None


def test_a_finished_task_has_nothing_before_it(settings: Settings) -> None:
    done = AttemptSucceeded(T0 + SECOND_US, tid("fetch"), 1)
    drive(settings.ledger_url, plan(), AttemptStarted(T0, tid("fetch"), 1), done)
    answer = why(settings, "fetch")
    assert answer.causes == ()
    assert answer.eta_us is None
    assert [row.attempt for row in answer.attempts] == [1]


def test_a_task_that_is_done_says_no_more_than_that_and_one_that_failed_why(settings: Settings) -> None:
    failed = AttemptFailed(T0, tid("fetch2"), 1, Failure.REFUSED, "no code")
    drive(settings.ledger_url, plan(), AttemptSucceeded(T0, tid("fetch"), 1), failed)
    assert why(settings, "fetch").headline == f"{tid('fetch')} is done"
    assert why(settings, "fetch2").headline.startswith(f"{tid('fetch2')} has failed: attempt 1: no code")


def test_a_promise_names_the_commands_that_go_on_with_its_tasks(settings: Settings) -> None:
    made = promised(plan("us_eq_daily", replayed=False), 10 * MINUTE_US)
    name = f"us_eq_daily.{DAY}"
    failed = [
        AttemptFailed(T0, f"{name}.{job}", 1, Failure.REFUSED, "no code") for job in ("fetch", "fetch2")
    ]
    drive(settings.ledger_url, made, *failed, cores=2)
    told = answering.why_slo(settings, "risk known", T0, " --ledger x")
    assert told.commands == ("prometheus run us_eq_daily --session 2016-06-24 --ledger x",)


def test_decisions_before_the_first_night_say_how_to_get_one(settings: Settings) -> None:
    with pytest.raises(UserError) as raised:
        decisions_of(settings, DAY)
    assert "prometheus run us_eq_daily --session 2016-06-24" in str(raised.value.hint)
    assert not settings.home.exists()


def led_by(settings: Settings, pid: int) -> None:
    (settings.home / "ledger.db.lock").write_text(
        json.dumps({"owner": "me", "pid": pid, "host": socket.gethostname()})
    )


def promised(made: RunPlan, within_us: int) -> RunPlan:
    slo = SloPlan(f"{made.run_id}.slo", made.run_id, "risk known", (f"{made.run_id}.risk",), T0 + within_us)
    return replace(made, slos=(slo,))


def test_a_run_that_goes_on_is_foreseen_from_its_rows_with_what_would_help(settings: Settings) -> None:
    """fetch2 is held and nobody needs it; risk needs returns, which is held: releasing that is the cure."""
    held = TaskAsked(T0, tid("returns"), Verb.HOLD, "vendor restates", "ana")
    made = promised(plan(replayed=False), 600 * MINUTE_US)
    drive(settings.ledger_url, made, AttemptStarted(T0, tid("fetch"), 1), held)
    led_by(settings, os.getpid())
    answer = answering.why(settings, ["risk"], T0 + SECOND_US, wish=Wish(20, with_cures=True))
    assert answer.forecast is not None
    assert [said.miss for said in answer.forecast.slos] == [1.0]
    assert [cure.words for cure in answer.ranked] == [f"release {tid('returns')}"]
    assert (answer.ranked[0].before, answer.ranked[0].after) == (1.0, 0.0)
    of_slo = answering.why_slo(settings, "risk known", T0 + SECOND_US, wish=Wish(20, with_cures=True))
    assert of_slo.ranked == answer.ranked


def test_what_failed_is_cured_by_a_retry(settings: Settings) -> None:
    made = promised(plan(replayed=False), 10 * MINUTE_US)
    failed = AttemptFailed(T0 + SECOND_US, tid("fetch"), 1, Failure.REFUSED, "no code")
    drive(settings.ledger_url, made, AttemptStarted(T0, tid("fetch"), 1), failed)
    led_by(settings, os.getpid())
    answer = answering.why(settings, ["risk"], T0 + 2 * SECOND_US, wish=Wish(20, with_cures=True))
    assert [cure.words for cure in answer.ranked] == [f"retry {tid('fetch')}"]


def test_what_is_not_in_full_says_who_reads_it_just_now_and_what_repairs_it_later(settings: Settings) -> None:
    """fetch was left out by its ladder; returns runs on what it gave."""
    made = plan("us_eq_daily", replayed=False, retries=0)
    made = replace(made, tasks=(replace(made.tasks[0], ladder=("skip",)), *made.tasks[1:]))
    name = f"us_eq_daily.{DAY}"
    facts = [
        AttemptStarted(T0, f"{name}.fetch", 1),
        AttemptFailed(T0, f"{name}.fetch", 1, Failure.ERROR, "no file"),
        AttemptStarted(T0, f"{name}.returns", 1),
    ]
    drive(settings.ledger_url, made, *facts, cores=2)
    led_by(settings, os.getpid())
    command = "prometheus run us_eq_daily --session 2016-06-24 --repair"
    cause = next(one for one in why(settings, "fetch").causes if one.kind == "repair")
    assert "is being read by returns: ask again when that has ended" in cause.text
    assert cause.text.endswith(f"once nobody works on the run any more: {command}")
    assert why(settings, "fetch").commands == ()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    led_by(settings, gone.pid)
    assert why(settings, "fetch").causes == ()
    assert why(settings, "fetch").commands == (command,)


def test_a_run_that_nobody_works_on_has_no_forecast_but_a_command(settings: Settings) -> None:
    drive(settings.ledger_url, plan("us_eq_daily", replayed=False))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    led_by(settings, gone.pid)
    answer = answering.why(settings, ["risk"], T0, wish=Wish(20, with_cures=True))
    assert (answer.forecast, answer.ranked) == (None, ())
    assert answer.commands == ("prometheus run us_eq_daily --session 2016-06-24",)
    assert answer.headline == f"us_eq_daily.{DAY}.risk is waiting"
    assert "further up, fetch was starting when its program ended" in texts(answer)
