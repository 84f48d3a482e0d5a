"""What a durable task costs in our scheduler, beside the floor in the same run.

The same three workloads as bench/floor.py, as no-op Python jobs, through the whole production path: the decision core,
the SQLite ledger (WAL, synchronous=FULL, one commit a turn), the local executor and its warm workers. The two are run
in turn, so that a slow minute of the machine slows both; only the ratio travels.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.floor import WORKLOADS, Workload, command_to_first_task, run_floor
from prometheus.core.settings import load_settings
from prometheus.orchestrator.foreground import Progress, RunRequest, run_pipeline

SESSION = date(2016, 6, 24)


def declare(folder: Path, workload: Workload) -> Path:
    """A user's pipeline file with one no-op job a task."""
    path = folder / "bench_pipeline.py"
    jobs = {name.replace(".", "_"): [a.replace(".", "_") for a in after] for name, after in workload.items()}
    lines = [
        "from prometheus.pipelines import Pipeline",
        "def noop(task): pass",
        "p = Pipeline('bench', market='US_EQ')",
        f"for name, after in {json.dumps(jobs)}.items():",
        "    p.add(noop, name=name, after=after, kind='features')",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def run_ours(workload: Workload) -> dict[str, float]:
    """Run the workload; tasks, seconds from the first order to the last end, tasks_per_s, hop_median_ms, hop_p95_ms.

    The hop is from the end of the task before to the start, both as the scheduler learnt them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = declare(folder, workload)
        settings = load_settings(folder, {"PROMETHEUS_HOME": str(folder / "home"), "PROMETHEUS_CPU": "2"})
        report = run_pipeline(RunRequest(f"{path}:p", SESSION), settings, _ignore)
        assert report.run.state == "succeeded", report.run.reason
        starts = {a.task_id: a.started_us or a.ordered_us for a in report.attempts}
        ends = {a.task_id: a.ended_us or 0 for a in report.attempts}
        seconds = (max(ends.values()) - min(a.ordered_us for a in report.attempts)) / 1e6
        hops = [
            (starts[task.task_id] - max(ends[i] for i in task.after)) / 1e3
            for task in report.run.plan.tasks
            if task.after
        ]
    found = {"tasks": len(workload), "seconds": seconds, "tasks_per_s": len(workload) / seconds}
    if hops:
        found["hop_median_ms"] = statistics.median(hops)
        found["hop_p95_ms"] = sorted(hops)[int(0.95 * (len(hops) - 1))]
    return found


def _ignore(progress: Progress) -> None:
    pass


def our_command_to_first_task() -> float:
    """Seconds from starting `prometheus run FILE` to the first line of its first job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.py").write_text(
            "import time\nfrom prometheus.pipelines import Pipeline\np = Pipeline('one', market='US_EQ')\n"
            "@p.job\ndef only(task):\n    return time.time_ns()\n"
        )
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        command = [
            sys.executable,
            "-m",
            "prometheus",
            "run",
            "one.py:p",
            "--session",
            SESSION.isoformat(),
            "--json",
        ]
        began = time.time_ns()
        subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
        ledger = folder / ".prometheus" / "replay" / f"one.{SESSION}.db"
        with sqlite3.connect(ledger) as db:
            ((output,),) = db.execute("SELECT output FROM tasks").fetchall()
    return (int(output) - began) / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a durable task costs, beside the floor.")
    parser.add_argument("--json", action="store_true", help="one object to stdout")
    parser.add_argument(
        "--repeat", type=int, default=5, help="pairs of runs of each workload; medians are shown"
    )
    chosen = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, make in WORKLOADS.items():
        pairs = [(run_ours(make()), run_floor(make())) for _ in range(chosen.repeat)]
        found[name] = {
            who: {key: statistics.median(pair[i][key] for pair in pairs) for key in pairs[0][i]}
            for i, who in enumerate(("ours", "floor"))
        }
        found[name]["ratio"] = {
            "tasks_per_s": statistics.median(
                ours["tasks_per_s"] / floor["tasks_per_s"] for ours, floor in pairs
            )
        }
    ours_first = statistics.median(our_command_to_first_task() for _ in range(chosen.repeat))
    floor_first = statistics.median(command_to_first_task() for _ in range(chosen.repeat))
    if chosen.json:
        first = {"ours": ours_first, "floor": floor_first}
        print(json.dumps({"workloads": found, "command_to_first_task_s": first}))
        return
    print(
        f"{'workload':9}{'tasks':>7}{'ours/s':>9}{'floor/s':>9}{'ratio':>7}   (goal 0.40 now, 0.60 with the daemon)"
    )
    for name, run in found.items():
        ours, floor = run["ours"]["tasks_per_s"], run["floor"]["tasks_per_s"]
        print(f"{name:9}{run['ours']['tasks']:7.0f}{ours:9.0f}{floor:9.0f}{run['ratio']['tasks_per_s']:7.2f}")
    ours_hop, floor_hop = found["W2"]["ours"], found["W2"]["floor"]  # the one workload without a queue
    print(
        f"hop, median / p95      ours {ours_hop['hop_median_ms']:.2f} / {ours_hop['hop_p95_ms']:.2f} ms"
        f"   floor {floor_hop['hop_median_ms']:.2f} / {floor_hop['hop_p95_ms']:.2f} ms"
    )
    print(f"command to first task  ours {ours_first:.3f} s   floor {floor_first:.3f} s")


if __name__ == "__main__":
    main()
