"""Names of runs, tasks and attempts.

A run is `pipeline.session` (`us_eq_daily.2016-06-24`), a task `run.job`, an attempt a number from 1. Ids are readable,
sort by session, and need no quoting in a URL, a shell or a file name.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from typing import Any, TypeAlias

from prometheus.core.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")

# A JSON value. The true type is recursive; spelling it out makes every reader cast and catches nothing.
Json: TypeAlias = Any


def check_name(kind: str, name: object) -> str:
    """`name` if it may name a pipeline or job, else `UserError`."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise UserError(
        f"{kind} name {name!r} cannot be used",
        allowed="a letter, then letters, digits, _ or -, at most 100 characters",
    )


def run_id_of(pipeline: str, session: date) -> str:
    """The id of a pipeline's run for a session."""
    return f"{pipeline}.{session.isoformat()}"


def task_id_of(run_id: str, job: str) -> str:
    """The id of a job's task in a run."""
    return f"{run_id}.{job}"


def canonical_json(value: object) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, no NaN (which raises ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def content_hash(value: object) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
