"""What a job is when it does not say: the spec's job classes (3.1) and cost classes (5.1), tiers (5.4), as two tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from prometheus.core.errors import UserError
from prometheus.core.instants import HOUR_US, MINUTE_US, SECOND_US

Kind = Literal["ingestion", "features", "engine", "research", "monitoring"]
Cost = Literal["io", "cpu", "gpu"]
Missed = Literal["run", "skip", "latest"]

KINDS: tuple[Kind, ...] = get_args(Kind)
COSTS: tuple[Cost, ...] = get_args(Cost)
MISSED: tuple[Missed, ...] = get_args(Missed)
TIERS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class KindDefaults:
    """Rules of a job class."""

    cost: Cost
    tier: int
    retries: int
    backoff_us: int
    timeout_us: int
    typical_us: int  # until there is a history


@dataclass(frozen=True, slots=True)
class CostDefaults:
    """Demand of a cost class."""

    cpu: float  # cores
    memory: str
    gpu: float  # devices


KIND_DEFAULTS: Mapping[Kind, KindDefaults] = {
    # Vendors are late more often than they are wrong: try again, and wait a little longer.
    "ingestion": KindDefaults("io", 1, 3, 30 * SECOND_US, 30 * MINUTE_US, 2 * MINUTE_US),
    "features": KindDefaults("cpu", 1, 1, 10 * SECOND_US, HOUR_US, 2 * MINUTE_US),
    "engine": KindDefaults("cpu", 1, 1, 10 * SECOND_US, HOUR_US, 2 * MINUTE_US),
    "research": KindDefaults("cpu", 3, 0, 10 * SECOND_US, 12 * HOUR_US, 30 * MINUTE_US),
    "monitoring": KindDefaults("io", 2, 1, 10 * SECOND_US, 10 * MINUTE_US, MINUTE_US),
}

COST_DEFAULTS: Mapping[Cost, CostDefaults] = {
    "io": CostDefaults(cpu=0.5, memory="512MB", gpu=0),
    "cpu": CostDefaults(cpu=1, memory="512MB", gpu=0),
    "gpu": CostDefaults(cpu=1, memory="512MB", gpu=1),
}

_SIZE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([kmgt])i?b?\s*", re.IGNORECASE)
_MIB = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}


def parse_memory_mib(size: object) -> int:
    """MiB of "512MB" or "2GB", rounded up; 1 GB is 1024 MB, as memory is sold ("GiB" means the same).

    Raises `UserError` for anything else and for less than 1 MB.
    """
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    mib = -int(-float(match[1]) * _MIB[match[2].lower()] // 1) if match else 0
    if mib < 1:
        raise UserError(f"{size!r} is not a memory size", allowed='text such as "512MB" or "2GB", from 1MB')
    return mib


def parse_cpu_milli(cpu: object) -> int:
    """Milli-cores of a number of cores such as 2 or 0.5; `UserError` for anything else, zero included."""
    if isinstance(cpu, bool) or not isinstance(cpu, int | float) or not 0.001 <= cpu <= 1_000_000:
        raise UserError(f"{cpu!r} is not a number of cores", allowed="0.001 to 1,000,000, such as 0.5 or 2")
    return round(cpu * 1_000)


def parse_gpu_milli(gpu: object) -> int:
    """Milli-devices of a number of GPUs: a fraction of one device, or whole devices; `UserError` otherwise."""
    if (
        isinstance(gpu, bool)
        or not isinstance(gpu, int | float)
        or not 0 <= gpu <= 100_000
        or (gpu > 1 and gpu != int(gpu))
    ):
        raise UserError(f"{gpu!r} is not a number of GPUs", allowed="0 to 1, such as 0.5, or whole devices")
    return round(gpu * 1_000)


def kind_of(value: object) -> Kind:
    """`value` as a job class; `UserError` otherwise."""
    return cast(Kind, one_of("kind", value, KINDS))


def cost_of(value: object) -> Cost:
    """`value` as a cost class; `UserError` otherwise."""
    return cast(Cost, one_of("cost", value, COSTS))


def missed_of(value: object) -> Missed:
    """`value` as what becomes of missed runs; `UserError` otherwise."""
    return cast(Missed, one_of("missed", value, MISSED))


def one_of(what: str, value: object, allowed: tuple[str, ...]) -> str:
    """`value` if it is one of `allowed`, else `UserError` with the nearest one."""
    if isinstance(value, str) and value in allowed:
        return value
    raise UserError(
        f"{what} is {value!r}", allowed=", ".join(f'"{name}"' for name in allowed), hint=near(value, allowed)
    )


def near(value: object, names: tuple[str, ...] | list[str]) -> str | None:
    """A hint `did you mean ...?` for the name closest to `value`, or None; looks at no more than 500 names."""
    if not isinstance(value, str) or len(value) > 200:
        return None
    from difflib import get_close_matches

    close = get_close_matches(value, names[:500], n=1)
    return f"did you mean {close[0]!r}?" if close else None
