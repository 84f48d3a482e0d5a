"""Why is an instrument held or not: the story is what was recorded, for every instrument of a night."""

from __future__ import annotations

from typing import Any

import pytest

from prometheus.core.errors import UserError
from prometheus.engines.decision_log.story import story


def test_a_held_instrument_s_story_gives_weight_score_parts_and_what_keeps_it_from_more(
    one_night: Any,
) -> None:
    home, session, outputs = one_night
    bound = next(one for one in outputs["portfolio"]["binding"] if one["limit"] == "max_weight")
    name = bound["instruments"][0]
    told = story(home.runtime, session, "US_EQ", name)
    assert (
        told.answer == f"{name} is held: 8.00% of capital, newly bought; max_weight 8.00% keeps it from more"
    )
    steps = {step.engine: step for step in told.steps}
    assert list(steps) == ["regime", "stability", "assessment", "universe", "portfolio"]
    assert all(step.decision_id == outputs[step.engine]["decision_id"] for step in told.steps)
    score = steps["assessment"].values
    assert score is not None
    assert sum(score["contributions"].values()) == pytest.approx(score["score"], abs=1e-6)
    assert f"rank {score['rank']} of {score['of']}" in steps["assessment"].says
    assert steps["portfolio"].values["binding"] == [bound]  # type: ignore[index]  # it has decided


def test_one_outside_the_universe_is_told_with_the_universe_s_own_reason(one_night: Any) -> None:
    home, session, _ = one_night
    out = next(row for row in home.runtime.universe(session, "US_EQ") if row["membership"] == "excluded")
    told = story(home.runtime, session, "US_EQ", out["instrument_id"])
    assert told.answer == f"{out['instrument_id']} is not held: it is not in the universe ({out['reason']})"


def test_a_member_without_weight_is_told_what_it_lacks(one_night: Any) -> None:
    home, session, _ = one_night
    action = home.runtime.decisions(session, "US_EQ", "portfolio")[0]["proposed_action"]
    name, lacking = max(action["lacking"].items(), key=lambda one: one[1])
    assert lacking > 0
    told = story(home.runtime, session, "US_EQ", name)
    assert told.answer.endswith(
        f"it would have to be expected to return {lacking:.2%} more a month to be worth a place"
    )


def test_every_instrument_of_the_night_has_a_story_and_the_answer_agrees_with_the_targets(
    one_night: Any,
) -> None:
    home, session, _ = one_night
    held = {row["instrument_id"] for row in home.runtime.target_portfolio(session, "US_EQ") if row["weight"]}
    for row in home.runtime.universe(session, "US_EQ"):
        name = row["instrument_id"]
        assert (" is held: " in story(home.runtime, session, "US_EQ", name).answer) == (name in held)


def test_an_unknown_instrument_is_refused_with_its_nearest_neighbours(one_night: Any) -> None:
    home, session, _ = one_night
    with pytest.raises(UserError, match=r"no decision of US_EQ on .* is about 't3'.*perhaps T") as caught:
        story(home.runtime, session, "US_EQ", "t3")
    assert "60 instruments" in (caught.value.allowed or "")
