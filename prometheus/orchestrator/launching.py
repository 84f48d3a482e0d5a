"""What must an executor be told to run one attempt?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus.core.settings import Settings
from prometheus.executors.contract import NO_OVERRIDES, Launch
from prometheus.orchestrator.loading import LoadedPipeline
from prometheus.pipelines.defaults import parse_memory_mib
from prometheus.pipelines.model import JobSpec, function_names
from prometheus.scheduler.decisions import SetTask, StartAttempt
from prometheus.scheduler.events import AttemptCheckpointed, AttemptSucceeded, Event
from prometheus.scheduler.plan import RunPlan, TaskPlan
from prometheus.scheduler.snapshot import Snapshot
from prometheus.scheduler.states import DONE


@dataclass(frozen=True, slots=True)
class _Run:
    plan: RunPlan
    loaded: LoadedPipeline
    jobs: Mapping[str, JobSpec]
    job_names: Mapping[str, str]


@dataclass(slots=True)
class Launcher:
    """Turns orders into launches. Remembers what finished jobs returned and what running ones saved."""

    settings: Settings
    directory: Path
    book: str = NO_OVERRIDES  # the desk's calendar book as text; what every worker is to see
    _environment: Mapping[str, str] = field(init=False)
    _log_limit_bytes: int = field(init=False)
    _runs: dict[str, _Run] = field(default_factory=dict)
    _tasks: dict[str, TaskPlan] = field(default_factory=dict)
    _outputs: dict[str, str] = field(default_factory=dict)
    _checkpoints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._environment = self.settings.environment()
        self._log_limit_bytes = parse_memory_mib(self.settings.executor.log_limit) * 2**20

    def know(self, plan: RunPlan, loaded: LoadedPipeline) -> None:
        """From now on this run's tasks can be launched."""
        jobs = {job.name: job for job in loaded.spec.jobs}
        self._runs[plan.run_id] = _Run(plan, loaded, jobs, function_names(loaded.spec))
        self._tasks.update((task.task_id, task) for task in plan.tasks)

    def recall(self, snapshot: Snapshot) -> None:
        """Remember what the rows say of earlier attempts."""
        for row in snapshot.tasks:
            if row.output is not None:
                self._outputs[row.task_id] = row.output
            if row.checkpoint is not None and row.state not in DONE:
                self._checkpoints[row.task_id] = row.checkpoint

    def learn(self, event: Event) -> None:
        """Remember what a fact brings for later attempts."""
        if isinstance(event, AttemptSucceeded):
            self._outputs[event.task_id] = event.output
        elif isinstance(event, AttemptCheckpointed):
            self._checkpoints[event.task_id] = event.state

    def forget(self, decision: SetTask) -> None:
        """Drop what attempts saved of a task that is done, or was left out: a repair begins anew."""
        if decision.state in DONE:
            self._checkpoints.pop(decision.task_id, None)

    def launch(self, order: StartAttempt) -> Launch:
        """Everything that is needed to obey `order`."""
        task = self._tasks[order.task_id]
        run = self._runs[task.run_id]
        job = run.jobs[task.job]
        return Launch(
            task_id=task.task_id,
            run_id=task.run_id,
            job=task.job,
            attempt=order.attempt,
            session=run.plan.session,
            market=run.plan.market,
            mode=order.mode,
            pin=run.plan.pin,
            target=job.target,
            demand=task.demand,
            code_dir=run.loaded.code_dir,
            source_hash=run.loaded.source_hash,
            params=job.params,
            resume=self._checkpoints.get(task.task_id),
            outputs={
                self._tasks[upstream].job: self._outputs.get(upstream, "null")
                for upstream in task.after
                if upstream in self._tasks
            },
            job_names=run.job_names,
            environment=self._environment,
            # A command names files beside the pipeline's; a function is at home where the user stands.
            directory=self.directory if isinstance(job.target, str) else run.loaded.folder or self.directory,
            log_path=log_path(self.settings, task.run_id, task.job, order.attempt),
            log_limit_bytes=self._log_limit_bytes,
            memory_limit_mib=job.memory_limit_mib,
            known_at_us=run.plan.release_us,
            overrides=self.book,
            devices=order.devices,
        )


def log_path(settings: Settings, run_id: str, job: str, attempt: int) -> Path:
    """Where an attempt's output goes, if it writes any."""
    return settings.home / "logs" / run_id / f"{job}.{attempt}.log"
