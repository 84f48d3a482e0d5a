"""Declaring: what the contract shows works as shown, and what is wrong is heard all at once."""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import DeclarationError, UserError
from prometheus.core.instants import HOUR_US, MINUTE_US, SECOND_US
from prometheus.pipelines import Pipeline, after_run, barrier, market, session, trading_day_of
from prometheus.pipelines.building import build
from prometheus.pipelines.defaults import parse_cpu_milli, parse_gpu_milli, parse_memory_mib
from prometheus.pipelines.model import FaultsError, PipelineSpec, function_names, params_of, slug_of

CONTRACT = """
from prometheus.pipelines import Pipeline, session, market, every, at, trading_day_of, after_run, barrier

prices = Pipeline("us_prices", market="US_EQ", start=session.close + "30min")    # no start: when a run is asked for

@prices.job(tier=1, kind="ingestion", timeout="20min", retries=3)                # three retries = four attempts
def fetch(task):              # task.session (date), .market, .name, .run_id, .attempt, .params, .mode, .resume
    return {"rows": 500}      # a small JSON value, kept; task.output(fetch) or task.output("fetch") downstream

@prices.job(after=[fetch], cpu=2, memory="2GB", pools={"db": 1}, params={"window": 60},
            checkpoint_every="15min", degrade=["reduced", "last_good", "skip"])
def returns(task):
    state = task.resume       # what the last task.checkpoint(state) of an earlier attempt saved, or None
    if task.mode == "reduced": ...

prices.add("mypkg.models:fit", name="fit_jp", params={"region": "JP"}, after=["returns"], tier=2, gpu=0.5)
prices.add(["Rscript", "risk.R"], name="risk", after=["returns"])                # any command
prices.slo("prices ready", jobs=["returns"], by="D+1 00:00 UTC")
prices.slo("quick", jobs=["returns"], within="60min")
prices.slo("before the open", jobs=["returns"], by=session.next.open - "60min")

late = Pipeline("jp_late", market="JP_EQ", start=market("XLON").open - "90min", missed="latest")
world = Pipeline("global_daily", market="GLOBAL",
                 start=barrier(["us_eq_daily", "eu_eq_daily", "jp_eq_daily"], quorum=2, cutoff="D+1 02:00 UTC"))
report = Pipeline("weekly", market="US_EQ", start=trading_day_of("week", -1).close + "4h")
review = Pipeline("review", market="US_EQ", start=after_run("us_eq_daily", session="previous"))
"""


def one(task: Any) -> None:
    return None


def two(task: Any) -> None:
    return None


@pytest.fixture
def contract() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "user_file"}
    exec(CONTRACT, names)
    return names


def faults_of(pipeline: Pipeline) -> list[str]:
    with pytest.raises(FaultsError) as caught:
        build(pipeline)
    return list(caught.value.faults)


def only_fault_of(**options: Any) -> str:
    """The one fault of a job declared with these options."""
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one, **options)
    faults = faults_of(pipeline)
    assert len(faults) == 1, faults
    return faults[0]


def test_the_contract_s_examples_work_as_written(contract: dict[str, Any]) -> None:
    spec = build(contract["prices"])
    fetch, returns, fit, risk = spec.jobs
    assert (spec.name, spec.market, spec.start, spec.missed) == (
        "us_prices",
        "US_EQ",
        session.close + "30min",
        "run",
    )
    assert (fetch.target, fetch.kind, fetch.tier, fetch.retries) == ("user_file:fetch", "ingestion", 1, 3)
    assert (fetch.timeout_us, fetch.demand.cpu_milli, fetch.memory_limit_mib) == (20 * MINUTE_US, 500, None)
    assert returns.after == ("fetch",)
    assert (returns.demand.cpu_milli, returns.demand.memory_mib, returns.memory_limit_mib) == (
        2000,
        2048,
        2048,
    )
    assert returns.demand.pools == (("db", 1),)
    assert params_of(returns) == {"window": 60}
    assert returns.checkpoint_every_us == 15 * MINUTE_US
    assert returns.degrade == ("reduced", "last_good", "skip")
    assert (fit.name, fit.target, fit.tier, fit.cost) == ("fit_jp", "mypkg.models:fit", 2, "gpu")
    assert fit.demand.gpu_milli == 500
    assert (risk.name, risk.target, risk.after) == ("risk", ("Rscript", "risk.R"), ("returns",))
    assert [(slo.name, slo.within_us) for slo in spec.slos] == [
        ("prices ready", None),
        ("quick", HOUR_US),
        ("before the open", None),
    ]
    assert contract["late"].start == market("XLON").open - "90min"
    assert contract["world"].start == barrier(
        ["us_eq_daily", "eu_eq_daily", "jp_eq_daily"], quorum=2, cutoff="D+1 02:00 UTC"
    )
    assert contract["report"].start == trading_day_of("week", -1).close + "4h"
    assert contract["review"].start == after_run("us_eq_daily", session="previous")


def test_decorators_return_the_function_unchanged(contract: dict[str, Any]) -> None:
    assert contract["fetch"](None) == {"rows": 500}
    pipeline = Pipeline("p", market="US_EQ")
    assert pipeline.job(one) is one
    assert pipeline.job(tier=2, name="again")(one) is one
    assert [job.name for job in build(pipeline).jobs] == ["one", "again"]


def test_what_is_added_gives_its_name_for_the_jobs_after_it() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    first = pipeline.add("pkg.mod:Steps.fit")
    pipeline.add(["true"], name="second", after=first)
    pipeline.add(one, after=["second", first, "second"])
    assert [job.after for job in build(pipeline).jobs] == [(), ("fit",), ("second", "fit")]


@pytest.mark.parametrize(
    ("kind", "cost", "tier", "retries"),
    [
        ("ingestion", "io", 1, 3),
        ("features", "cpu", 1, 1),
        ("engine", "cpu", 1, 1),
        ("research", "cpu", 3, 0),
        ("monitoring", "io", 2, 1),
        (None, "cpu", 1, 1),
    ],
)
def test_kind_gives_cost_tier_and_retries_and_a_job_may_override_each(
    kind: str | None, cost: str, tier: int, retries: int
) -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one, **({"kind": kind} if kind else {}))
    pipeline.add(
        two, kind=kind or "features", cost="gpu", tier=3, retries=0, backoff="1s", expect=timedelta(minutes=1)
    )
    plain, own = build(pipeline).jobs
    assert (plain.cost, plain.tier, plain.retries) == (cost, tier, retries)
    assert plain.demand.cpu_milli == (500 if cost == "io" else 1000)
    assert plain.demand.memory_mib == 512
    assert plain.memory_limit_mib is None
    assert (own.cost, own.tier, own.retries, own.demand.gpu_milli) == ("gpu", 3, 0, 1000)
    assert (own.backoff_us, own.typical_us) == (SECOND_US, MINUTE_US)


def test_a_spec_survives_json_and_hashes_by_content(contract: dict[str, Any]) -> None:
    for name in ("prices", "late", "world", "report", "review"):
        pipeline = contract[name]
        if not pipeline.declared_jobs:
            pipeline.add(one)
        spec = build(pipeline)
        again = PipelineSpec.from_json(json.loads(json.dumps(spec.to_json())))
        assert again == spec
        assert again.content_hash() == spec.content_hash()
    contract["prices"].add(["true"], name="more")
    assert (
        build(contract["prices"]).content_hash()
        != PipelineSpec.from_json(build(contract["late"]).to_json()).content_hash()
    )


def test_every_option_changes_the_hash() -> None:
    def spec_hash(**options: Any) -> str:
        pipeline = Pipeline("p", market="US_EQ")
        pipeline.add(two)
        pipeline.add(one, **options)
        return build(pipeline).content_hash()

    changes: list[dict[str, Any]] = [
        {"name": "x"},
        {"kind": "engine", "tier": 2},
        {"cost": "io", "cpu": 1},
        {"tier": 3},
        {"after": "two"},
        {"cpu": 2},
        {"memory": "512MB"},
        {"gpu": 0.5},
        {"pools": {"db": 1}},
        {"params": {"a": 1}},
        {"timeout": "5min"},
        {"retries": 5},
        {"backoff": "5min"},
        {"expect": "5min"},
        {"checkpoint_every": "5min"},
        {"degrade": ["skip"]},
    ]
    hashes = [spec_hash(), *(spec_hash(**change) for change in changes)]
    assert len(set(hashes)) == len(hashes)


def test_json_of_another_version_or_shape_is_refused() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one)
    good = build(pipeline).to_json()
    for bad in (
        {**good, "version": 2},
        {},
        None,
        [],
        {**good, "jobs": [{}]},
        {**good, "start": "x"},
        {**good, "missed": "?"},
    ):
        with pytest.raises(DeclarationError):
            PipelineSpec.from_json(bad)


def test_all_faults_are_listed_at_once() -> None:
    bad = Pipeline("bad name", market="", start="session.clos", missed="later", description=7)  # type: ignore[arg-type]
    bad.add(one, tier=7, kind="engin", timeout="x", cpus=2, after=["tow", "b"])  # type: ignore[call-arg]
    bad.add(two, after=[int], name="two")
    bad.add(
        [], name="b", after="one", params={"x": float("nan")}, memory="2 apples", degrade=["skip", "reduced"]
    )
    bad.slo("s", jobs=["zz"])
    faults = faults_of(bad)
    for expected in (
        "pipeline name 'bad name'",
        "'' is not a market id",
        "character 9: session has no 'clos'",
        "did you mean 'latest'?",
        "description is 7",
        "job 'one': 'cpus' is no option of a job",
        "did you mean 'cpu'?",
        "did you mean 'engine'?",
        "no job is named 'tow'; did you mean 'two'?",
        "tier is 7",
        "timeout: 'x' is not a duration",
        "the function int is not a job of this pipeline",
        "the command is empty",
        "'2 apples' is not a memory size",
        "params is not JSON",
        'nothing comes after "skip"',
        "SLO 's': no job is named 'zz'",
        "SLO 's': it needs one deadline",
        "one -> b -> one",
    ):
        assert sum(expected in fault for fault in faults) == 1, (expected, faults)
    assert len(faults) == 18  # two of the lines above are one fault
    with pytest.raises(FaultsError) as caught:
        build(bad)
    assert all(fault in str(caught.value) for fault in faults)


def test_faults_name_the_line_of_the_user_s_file() -> None:
    names: dict[str, Any] = {"__name__": "user_file"}
    exec(CONTRACT + "\n\nprices.add('nonsense', tier=0)\n", names)
    line = len(CONTRACT.splitlines()) + 3
    assert all(fault.startswith(f"line {line}") for fault in faults_of(names["prices"]))


class Model:
    def fit(self, task: Any) -> None: ...

    @classmethod
    def score(cls, task: Any) -> None: ...

    def __call__(self, task: Any) -> None: ...


async def waits(task: Any) -> None: ...


def yields(task: Any) -> Any:
    yield


def takes_nothing() -> None: ...


def takes_two(task: Any, other: Any) -> None: ...


def takes_more_by_default(task: Any, other: int = 1, *, third: int = 2) -> None: ...


def takes_anything(*args: Any, **kwargs: Any) -> None: ...


def nested() -> Any:
    def inner(task: Any) -> None: ...

    return inner


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (lambda task: None, "is a lambda"),
        (nested(), "defined inside another function"),
        (functools.partial(takes_two, other=1), "params="),
        (Model(), "cannot be a job"),
        (Model().fit, "method of an object"),
        (waits, "async"),
        (yields, "yields"),
        (takes_nothing, "one argument"),
        (takes_two, "one argument"),
        (7, "cannot be a job"),
        ("no function", "names no function"),
        ("Rscript risk.R", "a command is a list: ['Rscript', 'risk.R']"),
        ("../other.py:run", "names no function"),
        ("/etc/x.py:run", "names no function"),
        ("pkg:", "names no function"),
        ([], "empty"),
        (["", "x"], "no program"),
        (["sleep", 3], "str()"),
        (["a\0b"], "the word"),
    ],
)
def test_what_a_worker_could_not_run_is_refused(target: Any, complaint: str) -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(target, name="job")
    faults = faults_of(pipeline)
    assert len(faults) == 1, faults
    assert complaint in faults[0]


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (Model.score, f"{__name__}:Model.score"),
        (takes_more_by_default, f"{__name__}:takes_more_by_default"),
        (takes_anything, f"{__name__}:takes_anything"),
        ("steps/load.py:run", "steps/load.py:run"),
        ("étape.données:à_faire", "étape.données:à_faire"),
        (("sh", "-c", "true"), ("sh", "-c", "true")),
    ],
)
def test_what_a_worker_can_run_is_taken(target: Any, named: Any) -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(target, name="job")
    assert build(pipeline).jobs[0].target == named


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "two words"}, "name 'two words'"),
        ({"name": 7}, "name 7"),
        ({"kind": 3}, "kind is 3"),
        ({"cost": "ram"}, "cost is 'ram'"),
        ({"tier": 0}, "tier is 0"),
        ({"tier": True}, "tier is True"),
        ({"tier": "1"}, "tier is '1'"),
        ({"cpu": 0}, "0 is not a number of cores"),
        ({"cpu": -1}, "-1 is not"),
        ({"cpu": float("nan")}, "nan is not"),
        ({"cpu": True}, "True is not"),
        ({"memory": 512}, "512 is not a memory size"),
        ({"memory": "0GB"}, "'0GB' is not"),
        ({"memory": "-1GB"}, "'-1GB' is not"),
        ({"gpu": 1.5}, "1.5 is not a number of GPUs"),
        ({"gpu": float("inf")}, "inf is not"),
        ({"pools": ["db"]}, "pools is ['db']"),
        ({"pools": {"db": 0}}, "asked for 0 units"),
        ({"pools": {"my db": 1}}, "pool name 'my db'"),
        ({"params": [1]}, "params is [1]"),
        ({"params": {1: 2}}, "text keys"),
        ({"params": {"when": timedelta(1)}}, "not JSON"),
        ({"params": {"a": "x" * 70_000}}, "characters of JSON"),
        ({"timeout": "0s"}, "timeout is '0s'"),
        ({"timeout": "-5min"}, "not a duration"),
        ({"timeout": "31d"}, "at most 30d"),
        ({"timeout": float("inf")}, "not a duration"),
        ({"retries": -1}, "retries is -1"),
        ({"retries": 1.0}, "retries is 1.0"),
        ({"retries": 101}, "0 to 100"),
        ({"backoff": "2d"}, "at most 1d"),
        ({"expect": "soon"}, "expect: 'soon'"),
        ({"checkpoint_every": "0s"}, "checkpoint_every is '0s'"),
        ({"degrade": "skip"}, "degrade is 'skip'"),
        ({"degrade": ["a", "a"]}, "different words"),
        ({"degrade": ["full"]}, '"full"'),
        ({"degrade": [1]}, "mode name 1"),
        ({"after": 5}, "after is 5"),
        ({"after": [5]}, "5 is not a job"),
        ({"after": ["one"]}, "one -> one"),
        ({"atfer": []}, "did you mean 'after'?"),
    ],
)
def test_each_bad_option_is_one_fault_that_says_what_was_allowed(
    options: dict[str, Any], complaint: str
) -> None:
    assert complaint in only_fault_of(**options)


def test_names_and_functions_that_mean_several_jobs_are_faults() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one, name="a")
    pipeline.add(one, name="b")
    pipeline.add(two, after=[one])
    pipeline.add(two, name="a")
    pipeline.add(["true"])
    faults = faults_of(pipeline)
    assert len(faults) == 3
    assert any("one is the function of 2 jobs; allowed: a, b" in fault for fault in faults)
    assert any("a second job is named 'a'" in fault for fault in faults)
    assert any("this job has no name" in fault for fault in faults)


def test_a_pipeline_without_jobs_is_a_fault() -> None:
    assert "declares no job" in faults_of(Pipeline("p", market="US_EQ"))[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "", "within": "1h"}, "name cannot be used"),
        ({"name": "!!!", "within": "1h"}, "name cannot be used"),
        ({"name": 5, "within": "1h"}, "name cannot be used"),
        ({"name": "x" * 101, "within": "1h"}, "name cannot be used"),
        ({"name": "TWICE!", "within": "1h"}, "too much like that of the SLO 'twice'"),
        ({"name": "s", "within": "0s"}, "within is '0s'"),
        ({"name": "s", "within": "1h", "by": session.close}, "one deadline"),
        ({"name": "s", "by": session}, "take a moment of it: session.close"),
        ({"name": "s", "by": "tomorrow"}, "'tomorrow'"),
        ({"name": "s", "within": "1h", "jobs": []}, "about no job"),
        ({"name": "s", "within": "1h", "jobs": [two]}, "the function two is not a job"),
        ({"name": "s", "within": "1h", "jobs": 5}, "jobs is 5"),
    ],
)
def test_each_bad_promise_is_a_fault(arguments: dict[str, Any], complaint: str) -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one)
    pipeline.slo("twice", within="1h")
    pipeline.slo(**arguments)
    assert complaint in faults_of(pipeline)[0]


def test_a_promise_without_jobs_is_about_all_of_them() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one)
    pipeline.slo("all of it", within="1h")
    pipeline.add(two)
    assert build(pipeline).slos[0].jobs == ("one", "two")
    assert slug_of("All of it!") == "all-of-it"


def test_functions_are_found_by_their_qualified_name_unless_two_jobs_share_it() -> None:
    pipeline = Pipeline("p", market="US_EQ")
    pipeline.add(one, name="renamed")
    pipeline.add(two, name="a")
    pipeline.add(two, name="b")
    pipeline.add(["true"], name="c")
    assert function_names(build(pipeline)) == {"one": "renamed"}


@pytest.mark.parametrize(
    ("text", "mib"), [("512MB", 512), ("2GB", 2048), ("1.5 GiB", 1536), ("1t", 1_048_576), ("1025k", 2)]
)
def test_memory_sizes_are_binary_and_rounded_up(text: str, mib: int) -> None:
    assert parse_memory_mib(text) == mib


@given(st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.none(), st.booleans()))
def test_any_size_is_a_number_or_a_user_error(value: object) -> None:
    for parse in (parse_memory_mib, parse_cpu_milli, parse_gpu_milli):
        with suppress(UserError):  # any other error would come through
            assert parse(value) >= 0
