"""Hands on an executor: make launches, run them to their end, look at what is left."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prometheus.core.demand import Demand
from prometheus.executors.contract import Executor, Fact, Failed, Launch, Succeeded
from prometheus.executors.local.executor import LocalExecutor

PATIENCE_US = 60_000_000  # no test waits so long unless it fails


@dataclass
class Hands:
    """Drives one executor as the orchestrator would: takes facts, acknowledges them, keeps them all."""

    executor: Executor
    folder: Path
    seen: list[Fact] = field(default_factory=list)

    def launch(self, target: str | tuple[str, ...], task: str = "", attempt: int = 1, **more: Any) -> Launch:
        task = task or str(target)
        given = Launch(
            task_id=task,
            run_id="night.2024-03-01",
            job=task,
            attempt=attempt,
            session=date(2024, 3, 1),
            market="US_EQ",
            mode="full",
            pin="pin",
            target=target,
            demand=Demand(),
            code_dir=self.folder,
        )
        return replace(given, **more)

    def start(self, target: str | tuple[str, ...], task: str = "", attempt: int = 1, **more: Any) -> Launch:
        launch = self.launch(target, task, attempt, **more)
        self.executor.start(launch)
        return launch

    def take(self, timeout_us: int = PATIENCE_US) -> list[Fact]:
        facts = list(self.executor.facts(timeout_us))
        self.executor.acknowledge(facts)
        self.seen += facts
        return facts

    def of(self, launch: Launch) -> list[Fact]:
        return [
            fact for fact in self.seen if (fact.task_id, fact.attempt) == (launch.task_id, launch.attempt)
        ]

    def until(self, launch: Launch, *kinds: type[Fact]) -> Any:
        """The first fact of these kinds about the attempt."""
        while True:
            for fact in self.of(launch):
                if isinstance(fact, kinds):
                    return fact
            assert self.take(), f"no {kinds} about {launch.task_id}; seen: {self.seen}"

    def end(self, launch: Launch) -> Any:
        return self.until(launch, Succeeded, Failed)

    def run(self, target: str | tuple[str, ...], task: str = "", attempt: int = 1, **more: Any) -> Any:
        return self.end(self.start(target, task, attempt, **more))

    def code(self, text: str, name: str = "jobs.py") -> None:
        (self.folder / name).write_text(text)

    def wait_for(self, path: Path) -> str:
        """What a running job has written to `path`; the executor is driven meanwhile."""
        for _ in range(2_000):
            if path.exists() and (text := path.read_text()).endswith("\n"):
                return text
            self.take(10_000)
        raise AssertionError(f"{path} was not written; seen: {self.seen}")


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


def dies(pid: int, seconds: float = 60.0) -> bool:
    """Wait for a process that is not our child to end; whether it did."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def ended() -> Callable[[int], bool]:
    return dies


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "code"
    path.mkdir()
    return path


@pytest.fixture
def make_local(folder: Path) -> Iterator[Callable[..., Hands]]:
    """Local executors with these arguments; whatever they started must be gone afterwards."""
    made: list[LocalExecutor] = []

    def make(**arguments: Any) -> Hands:
        executor = LocalExecutor(**arguments)
        made.append(executor)
        return Hands(executor, folder)

    yield make
    for executor in made:
        executor.close()
        assert executor.living() == frozenset()


@pytest.fixture
def local(make_local: Callable[..., Hands]) -> Hands:
    return make_local()
