"""`prometheus decisions`: a line for each engine, doubts in sight, and why an instrument is held or not."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prometheus.cli.decided import decided, doubts
from prometheus.cli.main import app
from prometheus.core.settings import load_settings
from prometheus.stores.decisions import Decision
from prometheus.stores.runtime import RuntimeDb

SESSION = date(2016, 6, 24)
ACTIONS: dict[str, dict[str, Any]] = {
    "regime": {"label": "stressed", "since": "2016-06-24", "probabilities": {"calm": 0.1, "stressed": 0.9}},
    "universe": {"core": ["AAA", "BBB"], "satellite": [], "turnover": None},
    "portfolio": {
        "target_session": "2016-06-27",
        "positions": 1,
        "invested": 0.03,
        "volatility": 0.1,
        "turnover": 0.02,
        "binding": [{"limit": "max_weight", "value": 0.03, "shadow_price": 0.01, "instruments": ["AAA"]}],
        "relaxed": [{"limit": "turnover", "declared": 0.01, "used": 0.02, "why": "it had to"}],
        "lacking": {"BBB": 0.004},
        "notes": ["no sector limits"],
        "degraded": ["prices: 3 rows stale"],
    },
    "my_own": {"mood": "sunny", "list": [1, 2]},
}


@pytest.fixture(autouse=True)
def _a_decided_session(own_home: Path) -> None:
    """Rows as the engines leave them, written by hand: what is tested is how they are told."""
    store = RuntimeDb(load_settings().runtime_url)
    night = {"as_of_date": SESSION, "market_id": "US_EQ"}
    with store.commit(store.claim("t", 1)) as connection:
        for engine, action in ACTIONS.items():
            config = store.record_config(connection, engine, {})
            refs = [
                {
                    "store": "historical",
                    "table": "prices_daily",
                    "date": "2016-06-24",
                    "rows": 7,
                    "digest": "0",
                }
            ]
            made = Decision(
                engine, "US_EQ.2016-06-24", SESSION, "US_EQ", config, refs, [], action, "run", engine
            )
            store.record_decision(connection, made)
        written = {"config_id": config, "run_id": "run"}
        members = [
            {"instrument_id": "AAA", "membership": "core", "reason": "rank 1 by traded dollars", **written},
            {"instrument_id": "BBB", "membership": "core", "reason": "rank 2 by traded dollars", **written},
            {"instrument_id": "CCC", "membership": "excluded", "reason": "no score", **written},
        ]
        store.replace(connection, "universes", {**night, "universe_id": "main"}, members)
        target = {"instrument_id": "AAA", "target_session": date(2016, 6, 27), "weight": 0.03, **written}
        store.replace(
            connection,
            "target_portfolios",
            {**night, "portfolio_id": "main"},
            [{**target, "previous_weight": 0.02, "expected_return": 0.0}],
        )
    store.close()


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, ["decisions", "--session", "2016-06-24", *words])


def test_each_engine_has_its_line_in_the_order_of_the_night_with_ids_inputs_and_doubts() -> None:
    said = ask()
    assert said.exit_code == 0
    heads = [line.partition(":")[0] for line in said.stdout.splitlines() if not line.startswith(" ")]
    assert heads == ["regime", "universe", "portfolio", "my_own"]
    assert "stressed since 2016-06-24 (stressed 0.90, calm 0.10)" in said.stdout
    assert "1 positions, 3.0% invested for 2016-06-27" in said.stdout
    for doubt in (
        "relaxed: turnover 0.01 to 0.02, it had to",
        "degraded: prices: 3 rows stale",
        "note: no sector limits",
    ):
        assert doubt in said.stdout
    for name in ("decision_id", "context_id US_EQ.2016-06-24", "as_of_date 2016-06-24", "config_id"):
        assert said.stdout.count(name) == len(ACTIONS)
    assert "input_refs prices_daily 2016-06-24 (7 rows)" in said.stdout
    assert 'my_own: {"mood": "sunny"}' in said.stdout


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("AAA", "AAA is held: 3.00% of capital, up from 2.00%; max_weight 3.00% keeps it from more"),
        (
            "BBB",
            "BBB is not held: it would have to be expected to return 0.40% more a month to be worth a place",
        ),
        ("CCC", "CCC is not held: it is not in the universe (no score)"),
    ],
)
def test_an_instrument_s_story_begins_with_the_answer_and_goes_through_the_night(
    name: str, answer: str
) -> None:
    said = ask("--instrument", name)
    assert said.exit_code == 0
    first, *steps = said.stdout.splitlines()
    assert first == answer
    assert [step.split()[0] for step in steps] == [
        "regime",
        "stability",
        "assessment",
        "universe",
        "portfolio",
    ]
    told = json.loads(ask("--instrument", name, "--json").stdout)
    assert told["answer"] == answer
    assert [step["engine"] for step in told["steps"]] == [step.split()[0] for step in steps]


def test_an_instrument_nobody_decided_about_is_wrong_use() -> None:
    said = ask("--instrument", "DDD")
    assert said.exit_code == 2
    assert "no decision of US_EQ on 2016-06-24 is about 'DDD'" in said.stderr


def test_an_engine_that_proposes_other_things_under_a_shipped_name_is_shown_plainly() -> None:
    assert decided("portfolio", {"mine": 1}) == '{"mine": 1}'
    assert doubts({"mine": 1}) == []
