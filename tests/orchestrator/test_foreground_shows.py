"""What is seen of a run while it goes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from prometheus.core.settings import load_settings
from prometheus.orchestrator.foreground import Progress, RunRequest, run_pipeline
from prometheus.scheduler.states import TaskState


def test_the_last_change_before_a_long_wait_is_shown_during_it(tmp_path: Path) -> None:
    """`slow` ends only when the display has been seen to call it running; a dropped look would leave it `starting`."""
    (tmp_path / "shown.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom prometheus.pipelines import Pipeline\n"
        "p = Pipeline('shown', market='US_EQ')\n"
        "@p.job\ndef quick(task): pass\n"
        "@p.job(after=[quick], timeout='30s', retries=0)\ndef slow(task):\n"
        f"    while not Path({str(tmp_path / 'seen')!r}).exists():\n        time.sleep(0.02)\n"
    )
    settings = load_settings(tmp_path, {"PROMETHEUS_HOME": str(tmp_path / "home")})

    def observe(progress: Progress) -> None:
        if any(task.job == "slow" and task.state is TaskState.RUNNING for task in progress.tasks):
            (tmp_path / "seen").touch()

    report = run_pipeline(RunRequest(f"{tmp_path / 'shown.py'}:p", date(2016, 6, 24)), settings, observe)
    assert report.run.state == "succeeded", report.run.reason
