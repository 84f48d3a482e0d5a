"""The walk over every session: shared without a gap, and what other code had found is not taken for proof."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.time import TradingCalendar
from tools.proof import sessions as proof

FIRST, LAST = date(2012, 1, 3), date(2012, 12, 31)


@pytest.mark.parametrize("processes", [1, 2, 7])
def test_every_session_is_in_one_part(processes: int) -> None:
    days = TradingCalendar("US_EQ").sessions(FIRST, LAST)
    parts = proof.shares(FIRST, LAST, processes)
    assert len(parts) == processes
    walked = [day for first, last in parts for day in days if first <= day <= last]
    assert walked == list(days)


def test_changed_code_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = proof.place(tmp_path, FIRST, LAST, 2)
    assert proof.place(tmp_path, FIRST, LAST, 2) == before
    assert proof.place(tmp_path, FIRST, LAST, 3) != before
    monkeypatch.setattr(proof, "sources", lambda: "changed")
    assert proof.place(tmp_path, FIRST, LAST, 2) != before


def test_a_fault_of_a_session_is_in_the_table(tmp_path: Path) -> None:
    class Broken:
        def step(self, session: date) -> dict[str, Any]:
            raise ValueError(f"no portfolio on {session}")

    line = proof.judge(Broken(), FIRST)
    assert line["faults"] == ["ValueError: no portfolio on 2012-01-03"]
    (tmp_path / "part-0.jsonl").write_text(proof.json.dumps(line) + "\n", encoding="utf-8")
    told = proof.told(tmp_path, 1)
    assert "| 2012 | 1 | 1 |" in told
    assert "- 2012-01-03: ValueError: no portfolio on 2012-01-03" in told
