"""The floor is a yardstick only if it does what it claims: every move durable, in an order that obeys the graph."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bench.floor import WORKLOADS, run_floor, w3_markets


def test_the_workloads_have_their_published_sizes() -> None:
    assert {name: len(make()) for name, make in WORKLOADS.items()} == {"W1": 1_000, "W2": 200, "W3": 1_260}


def test_every_move_of_every_task_is_on_disk_in_an_order_that_obeys_the_graph(tmp_path: Path) -> None:
    workload = w3_markets(markets=2, stages=4, wide=5)
    found = run_floor(workload, tmp_path / "floor.db")
    db = sqlite3.connect(tmp_path / "floor.db")
    try:
        moves = db.execute("SELECT task, state, rowid FROM moves ORDER BY rowid").fetchall()
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        db.close()
    at = {(task, state): row for task, state, row in moves}
    assert len(moves) == len(at) == 3 * len(workload) == 3 * found["tasks"]
    for task, after in workload.items():
        assert at[task, "ready"] < at[task, "started"] < at[task, "done"]
        assert all(at[parent, "done"] < at[task, "ready"] for parent in after)


def test_a_chain_hops_no_faster_than_its_throughput_allows() -> None:
    found = run_floor({f"t{i}": (f"t{i - 1}",) if i else () for i in range(20)})
    assert 0 < found["hop_median_ms"] <= found["hop_p95_ms"]
    assert found["hop_median_ms"] * found["tasks"] / 2 <= found["seconds"] * 1e3
    assert found["tasks_per_s"] == pytest.approx(found["tasks"] / found["seconds"])
