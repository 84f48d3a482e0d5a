from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from prometheus.cli.main import app
from prometheus.cli.whatif_words import changed_warnings
from prometheus.core.demand import Bin, Capacity
from prometheus.orchestrator.simulation.workload import make_workload
from prometheus.orchestrator.tonight import of_workload
from prometheus.orchestrator.whatif.assuming import Sized, Without
from prometheus.orchestrator.whatif.comparing import compare

NIGHT = {
    "capacity": {"cpu": 1, "pools": {"db": 2}},
    "start": "2026-03-02T12:00:00Z",
    "horizon_s": 7200,
    "tasks": [
        {"id": "must", "tier": 1, "demand": {"cpu": 1}, "deadline_s": 90, "duration_s": 1, "history_s": [60]},
        {"id": "also", "tier": 1, "demand": {"cpu": 1}, "deadline_s": 90, "duration_s": 1, "history_s": [60]},
        {"id": "low", "tier": 3, "demand": {"cpu": 1}, "duration_s": 1, "history_s": [3600]},
    ],
}  # fmt: skip


@pytest.fixture
def workload(own_home: Path) -> Path:
    path = own_home / "night.json"
    path.write_text(json.dumps(NIGHT))
    return path


def whatif(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["whatif", *map(str, words)])


def words_of(path: Path) -> list[str]:
    root = ET.fromstring(path.read_text())
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_answer_begins_with_what_was_changed_and_has_both_sides(workload: Path) -> None:
    result = whatif("--workload", workload, "--cpu", "2", "--samples", "20")
    assert result.exit_code == 0, result.stderr
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == "night.json, from Mon 2 Mar 2026 12:00 UTC on"
    assert lines[1] == "  the machine has 2 cores instead of 1 core"
    (must,) = [line.split() for line in lines if line.startswith("must")]
    assert " ".join(must) == "must 1 12:01 100 % → 0 % 12:02 → 12:01 (-1 min) 12:02 → 12:01 (-1 min)"
    assert "20 nights drawn, seed 0" in result.stderr
    assert "durations are drawn from 1 past run of each task" in result.stderr


@pytest.mark.parametrize("name", ["new_york.decisions", "a.promise.of.many.letters.that.nobody.would.type"])
def test_the_table_fits_eighty_columns_unwrapped_and_has_tier_1_first(own_home: Path, name: str) -> None:
    late = {"demand": {"cpu": 1}, "duration_s": 1, "history_s": [5000, 5400], "deadline_s": 5200}
    tasks = [{**late, "id": "early", "tier": 2, "deadline_s": 5100}, {**late, "id": name, "tier": 1}]
    (own_home / "wide.json").write_text(json.dumps({**NIGHT, "capacity": {"cpu": 2}, "tasks": tasks}))
    words = ["whatif", "--workload", "wide.json", "--slower", "*=1.3", "--samples", "20"]
    lines = CliRunner().invoke(app, words, env={"COLUMNS": "80"}).stdout.splitlines()
    rule = next(place for place, line in enumerate(lines) if line.startswith("──"))
    assert all(len(line) <= 80 for line in lines[rule - 2 : rule + 3])
    assert [line.split()[0] for line in lines[rule - 2 : rule]] == ["promise", "UTC"]
    assert lines[rule + 1].startswith(name[:12])
    assert lines[rule + 1].split()[0][-1] in ("…", name[-1])
    assert lines[rule + 2].startswith("early")


def test_what_makes_no_difference_says_so(workload: Path) -> None:
    result = whatif("--workload", workload, "--pool", "db=7", "--samples", "10")
    assert "the pool 'db' has 7 instead of 2; no task of tonight asks for it" in result.stdout
    assert "It makes no difference: no promise ends at another instant in any of 10 nights." in result.stdout


def test_the_json_has_the_samples_behind_the_shares(workload: Path) -> None:
    result = whatif("--workload", workload, "--cpu", "2", "--samples", "20", "--json")
    told = json.loads(result.stdout)
    assert told["samples"] == 20
    assert told["changed"] == ["the machine has 2 cores instead of 1 core"]
    (must,) = [slo for slo in told["slos"] if slo["name"] == "must"]
    assert must["before"]["p_miss"] == 1
    assert must["after"]["p_miss"] == 0
    assert 0.1 < must["after"]["p_miss_high"] < 0.2
    assert must["newly_kept"] == 20
    assert must["p50_later_s"] == -60
    assert told["tier3_core_hours"] == {"before": 1.0, "after": 1.0}
    assert told["never_start"] == []


def test_the_picture_says_what_the_table_says(workload: Path, tmp_path: Path) -> None:
    svg = tmp_path / "whatif.svg"
    assert whatif("--workload", workload, "--cpu", "2", "--samples", "5", "--svg", svg).exit_code == 0
    words = words_of(svg)
    assert "the machine has 2 cores instead of 1 core" in words
    assert "was 100 %" in words


def test_a_sweep_names_the_smallest_size_and_draws_it(workload: Path, tmp_path: Path) -> None:
    svg = tmp_path / "sweep.svg"
    result = whatif("--workload", workload, "--sweep", "cpu=1..3", "--svg", svg)
    assert result.exit_code == 0, result.stderr
    assert "2 cores keep every promise in 99.5 % of the nights" in result.stdout
    assert "1 core (now)" in result.stdout
    assert "2 are enough" in words_of(svg)


@pytest.mark.parametrize("more", [("--cpu", "2"), ("--sweep", "cpu=1..2")])
def test_a_picture_is_as_wide_as_it_is_asked_to_be(
    workload: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    svg = tmp_path / "narrow.svg"
    asked = ["--workload", workload, *more, "--samples", "5"]
    assert whatif(*asked, "--svg", svg, "--width", "390").exit_code == 0
    assert ET.fromstring(svg.read_text()).get("width") == "390"
    for wrong, said in (
        (("--svg", svg, "--width", "300"), "320 to 10,000 pixels"),
        (("--width", "390"), "--svg"),
    ):
        refused = whatif(*asked, *wrong)
        assert refused.exit_code == 2
        assert said in refused.stderr
    told = json.loads(whatif("--workload", workload, "--sweep", "cpu=1..3", "--json").stdout)
    assert told["enough_down_to_tier"] == {"1": 2}
    assert [point["size"] for point in told["points"]] == [1, 2, 3]


def test_a_sweep_of_a_pool_and_of_memory_have_their_units(workload: Path) -> None:
    pool = json.loads(whatif("--workload", workload, "--sweep", "db=0..2", "--samples", "2", "--json").stdout)
    assert (pool["swept"], [point["size"] for point in pool["points"]]) == ("pool db", [0, 1, 2])
    memory = whatif("--workload", workload, "--sweep", "memory=1..9:4", "--samples", "2", "--json")
    assert [point["size"] for point in json.loads(memory.stdout)["points"]] == [1, 5, 9]


def test_a_change_of_something_else_goes_with_a_sweep(workload: Path) -> None:
    result = whatif("--workload", workload, "--sweep", "cpu=1..2", "--pool", "db=1", "--samples", "2")
    assert result.exit_code == 0, result.stderr


def test_a_promise_that_is_broken_as_often_on_the_largest_machine_is_said_to_be_so_far(
    own_home: Path,
) -> None:
    (task, *_) = NIGHT["tasks"]  # type: ignore[misc]  # of the night above
    long = {**NIGHT, "tasks": [{**task, "deadline_s": 30}]}
    (own_home / "long.json").write_text(json.dumps(long))
    few = whatif("--workload", "long.json", "--sweep", "cpu=1..3", "--samples", "20")
    assert "3 cores miss must as often as 2, as far as 20 nights tell" in few.stdout
    # One night in a hundred and twenty is less than 99.5 % by the samples alone: nothing is claimed of it.
    rare = {**NIGHT, "tasks": [{**task, "history_s": [60] * 119 + [120]}]}
    (own_home / "rare.json").write_text(json.dumps(rare))
    open_ = whatif("--workload", "rare.json", "--sweep", "cpu=1..2", "--samples", "100")
    assert "as often as" not in open_.stdout


def test_already_so_is_what_stays_so_and_what_is_cured_can_start() -> None:
    tasks = [
        {"id": name, "tier": 3, "demand": {"cpu": cores}, "duration_s": 1, "history_s": [60]}
        for name, cores in (("wide", 2), ("wider", 4))
    ]
    made = make_workload({**NIGHT, "capacity": {"cpu": 4}, "tasks": tasks})
    one_core = Capacity((Bin("machine", 1000, 1 << 30),))
    tonight = replace(of_workload(made, "night.json"), capacity=one_core)  # no file may be so
    found = compare(tonight, [Sized("cpu", 2000)], samples=1, seed=0)
    assert changed_warnings(found) == [
        "can start now: wide",
        "(already so) can never start: wider: it needs 4 cores (the most in one machine: 2)",
    ]
    gone = compare(tonight, [Without("wide")], samples=1, seed=0)
    assert [one.task.task_id for one in gone.never_before] == ["wide", "wider"]
    assert gone.can_start == ()  # it is not there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cpu", "0"), "--cpu: 0.0 is not a number of cores"),
        (("--cpu", "1e9"), "0.001 to 1,000,000"),
        (("--memory", "lots"), "--memory: 'lots' is not a memory size"),
        (("--gpu", "-1"), "--gpu is '-1'"),
        (("--pool", "db"), "--pool is 'db'"),
        (("--pool", "db=two"), "--pool db is 'two'"),
        (("--slower", "must"), "--slower is 'must'"),
        (("--slower", "must=0"), "--slower must: the factor is '0'"),
        (("--slower", "must=nan"), "--slower must: the factor is 'nan'"),
        (("--slower", "mist=2"), "did you mean 'must'?"),
        (("--close", "@12:00"), "--close is '@12:00'"),
        (("--close", "XHKG@25:00"), "--close is 'XHKG@25:00'"),
        (("--close", "XHKG@"), "--close is 'XHKG@'"),
        (("--close", "XHKG@noon"), "--close is 'XHKG@noon'"),
        (("--close", "XHKG@12:00"), "a workload follows no market"),
        (("--without-worker", "one"), "there is no worker 'one'"),
        (("--sweep", "cpu"), "--sweep is 'cpu'"),
        (("--sweep", "cpu=4..2"), "--sweep is 'cpu=4..2'"),
        (("--sweep", "cpu=0..2"), "--sweep is 'cpu=0..2'"),
        (("--sweep", "cpu=1..900"), "a larger step: cpu=1..900:15"),
        (("--sweep", "dbs=1..2"), "did you mean 'db'?"),
        (("--sweep", "cpu=1..3", "--cpu", "4"), "--cpu and --sweep both say how much there is of cpu"),
        (("--sweep", "memory=1..3", "--memory", "4GB"), "--memory and --sweep both say"),
        (("--sweep", "gpu=1..3", "--gpu", "1"), "--gpu and --sweep both say"),
        (("--sweep", "db=1..3", "--pool", "db=4"), "how much there is of the pool 'db'"),
        (("--samples", "0"), "--samples is 0"),
        (("--session", "2026-03-02"), "--workload is a whole night of its own"),
        (("us_eq_daily",), "--workload is a whole night of its own"),
    ],
)
def test_wrong_use_names_the_flag_its_value_and_what_is_allowed(
    workload: Path, words: tuple[str, ...], said: str
) -> None:
    result = whatif("--workload", workload, *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_shipped_pipeline_closes_early_and_nothing_is_recorded(own_home: Path) -> None:
    result = whatif("us_eq_daily", "--session", "2024-11-26", "--close", "XNYS@13:00", "--samples", "2")
    assert result.exit_code == 0, result.stderr
    assert "XNYS closes at 13:00 New York (18:00 UTC) instead of 16:00 New York (21:00 UTC)" in result.stdout
    assert "decision logs" in result.stdout
    assert not (own_home / ".prometheus" / "ledger.db").exists()


def test_a_session_that_is_none_is_refused_with_its_neighbours(own_home: Path) -> None:
    result = whatif("us_eq_daily", "--session", "2024-11-28")
    assert result.exit_code == 2
    assert "2024-11-28 is not a trading day of US_EQ" in result.stderr


def test_a_picture_that_cannot_be_written_is_told(workload: Path, tmp_path: Path) -> None:
    result = whatif("--workload", workload, "--samples", "1", "--svg", tmp_path / "none" / "x.svg")
    assert result.exit_code == 2
    assert "cannot be written: there is no folder" in result.stderr
    assert "nights played" not in result.stderr


def test_of_many_promises_each_tier_has_a_sentence_and_the_table_those_in_danger(own_home: Path) -> None:
    tasks = [
        {
            "id": f"p{n}",
            "tier": 1 + n % 2,
            "demand": {"cpu": 1},
            "deadline_s": 90,
            "duration_s": 1,
            "history_s": [60],
        }
        for n in range(40)
    ]
    (own_home / "many.json").write_text(json.dumps({**NIGHT, "capacity": {"cpu": 40}, "tasks": tasks}))
    result = whatif("--workload", "many.json", "--cpu", "20", "--samples", "2")
    assert "Tier 1: 20 promises; a night misses none of them" in result.stdout
    assert (
        "Tier 2: 20 promises; a night misses none → 20 of them; most in danger is p1: 100 %" in result.stdout
    )
    assert "and 16 more promises, less in danger and less changed; --json has all" in result.stdout
    assert sum(line.startswith("p") and "100 %" in line for line in result.stdout.splitlines()) == 20


def test_a_sweep_says_that_a_task_cannot_start_on_the_size_that_keeps_the_promises(own_home: Path) -> None:
    (must, _, low) = NIGHT["tasks"]  # type: ignore[misc]  # of the night above
    night = {**NIGHT, "capacity": {"cpu": 2}, "tasks": [must, {**low, "demand": {"cpu": 2}}]}
    (own_home / "unfit.json").write_text(json.dumps(night))
    svg = own_home / "unfit.svg"
    result = whatif("--workload", "unfit.json", "--sweep", "cpu=1..2", "--samples", "20", "--svg", svg)
    assert (
        "1 core (the smallest tried) keeps every promise in 99.5 % of the nights; not sure" in result.stdout
    )
    assert "; but 1 task cannot start" in " ".join(result.stdout.split())
    assert "1 of 1 is not resolved" in " ".join(result.stdout.split())
    assert any("1 may be enough" in word for word in words_of(svg))
