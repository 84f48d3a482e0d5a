"""What a worker is told about an attempt, and which workers can take it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from prometheus.executors.contract import Launch


def is_command(launch: Launch) -> bool:
    """Whether the job is any program, not a Python function."""
    return not isinstance(launch.target, str)


def threads_of(launch: Launch) -> int:
    """How many threads numeric libraries may start: whole cores of the demand, at least one."""
    return max(1, launch.demand.cpu_milli // 1000)


def key_of(launch: Launch) -> tuple[object, ...] | None:
    """What must be equal for two attempts to share a warm worker; None when an attempt needs a process of its own."""
    if is_command(launch) or launch.demand.gpu_milli or launch.memory_limit_mib is not None:
        return None
    return (
        launch.pin,
        launch.source_hash,
        launch.code_dir,
        threads_of(launch),
        tuple(sorted(launch.environment.items())),
        launch.directory,
        launch.devices,
    )


def order_of(launch: Launch, folder: Path | None) -> dict[str, Any]:
    """The message that makes a worker run `launch`. `folder` is where a command finds its files."""
    return {
        "kind": "run",
        "task_id": launch.task_id,
        "run_id": launch.run_id,
        "job": launch.job,
        "attempt": launch.attempt,
        "session": launch.session.isoformat(),
        "market": launch.market,
        "mode": launch.mode,
        "pin": launch.pin,
        "target": launch.target,
        "code_dir": _text(launch.code_dir),
        "source_hash": launch.source_hash,
        "params": launch.params,
        "resume": launch.resume,
        "outputs": dict(launch.outputs),
        "job_names": dict(launch.job_names),
        "environment": dict(launch.environment),
        "directory": _text(launch.directory),
        "overrides": launch.overrides,
        "known_at_us": launch.known_at_us,
        "devices": list(launch.devices),
        "threads": threads_of(launch),
        "command_environment": {} if folder is None else _command_environment(launch, folder),
    }


def write_inputs(launch: Launch, folder: Path) -> None:
    """Put what a command may read into its folder. Raises OSError."""
    folder.mkdir(mode=0o700)
    inputs = {
        "task": launch.task_id,
        "run": launch.run_id,
        "job": launch.job,
        "market": launch.market,
        "session": launch.session.isoformat(),
        "attempt": launch.attempt,
        "mode": launch.mode,
        "pin": launch.pin,
        "params": json.loads(launch.params),
        "outputs": {job: json.loads(text) for job, text in launch.outputs.items()},
        "resume": None if launch.resume is None else json.loads(launch.resume),
    }
    _inputs_path(folder).write_text(json.dumps(inputs, indent=1), encoding="utf-8")


def read_result(folder: Path, bytes_at_most: int) -> str:
    """The JSON text that a command left as its result, "null" if none. Raises ValueError."""
    path = _result_path(folder)
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            data = file.read(bytes_at_most + 1)
    except FileNotFoundError:
        return "null"
    except OSError as error:
        raise ValueError(f"its result file cannot be read: {error.strerror}") from None
    if len(data) > bytes_at_most:
        raise ValueError(
            f"its result file holds more than {bytes_at_most:,} bytes: write data to a store instead"
        )
    if not data.strip():
        return "null"
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
        return json.dumps(value, separators=(",", ":"), allow_nan=False)  # 1e999 reads as infinity
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its result file holds no JSON: {error}") from None


def _command_environment(launch: Launch, folder: Path) -> dict[str, str]:
    return {
        "PROMETHEUS_JOB_SESSION": launch.session.isoformat(),
        "PROMETHEUS_JOB_MARKET": launch.market,
        "PROMETHEUS_JOB_TASK": launch.task_id,
        "PROMETHEUS_JOB_ATTEMPT": str(launch.attempt),
        "PROMETHEUS_JOB_MODE": launch.mode,
        "PROMETHEUS_JOB_INPUTS": str(_inputs_path(folder)),
        "PROMETHEUS_JOB_RESULT": str(_result_path(folder)),
    }


def _inputs_path(folder: Path) -> Path:
    return folder / "inputs.json"


def _result_path(folder: Path) -> Path:
    return folder / "result.json"


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a command may have put a pipe there


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not allowed in JSON")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
