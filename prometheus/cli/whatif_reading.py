"""What was typed for `prometheus whatif`, as assumptions: each fault names the flag, its value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from math import isfinite

from prometheus.core.errors import UserError
from prometheus.orchestrator.whatif.assuming import (
    Assumption,
    Gone,
    PoolSized,
    Resource,
    Sized,
    Slower,
    Without,
)
from prometheus.orchestrator.whatif.closing import Closes
from prometheus.orchestrator.whatif.sweeping import Swept, steps
from prometheus.pipelines.defaults import parse_cpu_milli, parse_memory_mib

MOST_SIZES = 64  # of one sweep
MOST_FACTOR = 1_000.0
MOST_UNITS = 1_000_000

_CLOSE = re.compile(r"(?:(?P<day>\d{4}-\d{2}-\d{2})T?)?(?:(?P<hour>\d{1,2}:\d{2})(?P<utc>Z)?)?")
_SWEEP = re.compile(r"(?P<what>[^=]+)=(?P<first>\d+)\.\.(?P<last>\d+)(?::(?P<step>\d+))?")
CLOSE_ALLOWED = "MARKET@HH:MM by its own clock, MARKET@HH:MMZ in UTC, MARKET@2026-12-24T12:00, or MARKET: it does not open"


def read_all(
    cpu: float | None,
    memory: str | None,
    gpu: int | None,
    pools: Sequence[str],
    slower: Sequence[str],
    closes: Sequence[str],
    workers: Sequence[str],
    without: Sequence[str],
) -> list[Assumption]:
    """The assumptions in the order in which they take effect: what runs, when, how long, on what."""
    found: list[Assumption] = [Without(what) for what in without]
    found += [_close(text) for text in closes]
    found += [_slower(text) for text in slower]
    found += [Gone(bin_id) for bin_id in workers]
    if cpu is not None:
        found.append(Sized("cpu", _sized("--cpu", parse_cpu_milli, cpu)))
    if memory is not None:
        found.append(Sized("memory", _sized("--memory", parse_memory_mib, memory)))
    if gpu is not None:
        found.append(Sized("gpu", _whole("--gpu", str(gpu), 1_000)))
    return found + [_pool(text) for text in pools]


def read_sweep(text: str) -> Swept:
    """`cpu=4..32`, `cpu=4..32:4`, `memory=16..128:16` (GB), `gpu=0..4`, or a pool: `db=1..8`."""
    match = _SWEEP.fullmatch(text.replace(" ", ""))
    if match is None:
        raise UserError(
            f"--sweep is {text!r}",
            allowed="WHAT=FIRST..LAST or WHAT=FIRST..LAST:STEP in whole numbers; WHAT is cpu, memory (GB), gpu or a pool",
            hint="cpu=4..32:2",
        )
    what, first, last = match["what"], int(match["first"]), int(match["last"])
    step = int(match["step"] or 1)
    least = 0 if what not in ("cpu", "memory") else 1
    if step < 1 or not least <= first <= last <= MOST_UNITS:
        raise UserError(
            f"--sweep is {text!r}",
            allowed=f"sizes from {least} to {MOST_UNITS:,} that rise, and a step of at least 1",
        )
    if (last - first) // step >= MOST_SIZES:
        raise UserError(
            f"--sweep {text} has {(last - first) // step + 1} sizes",
            allowed=f"at most {MOST_SIZES}",
            hint=f"a larger step: {what}={first}..{last}:{-(-(last - first) // (MOST_SIZES - 2))}",
        )
    sizes = steps(first, last, step)
    resource: Resource
    for resource, unit in (("cpu", 1_000), ("memory", 1_024), ("gpu", 1)):
        if what == resource:
            return Swept(resource, "", tuple(unit * size for size in sizes))
    return Swept(None, what, sizes)


def refuse_both(swept: Swept, assumptions: Sequence[Assumption]) -> None:
    """Raises `UserError` where a change says how large that is which the sweep varies."""
    for one in assumptions:
        match one:
            case Sized(what) if what == swept.what:
                flag, varied = f"--{what}", str(what)
            case PoolSized(pool) if swept.what is None and pool == swept.pool:
                flag, varied = f"--pool {pool}=...", f"the pool {pool!r}"
            case _:
                continue
        raise UserError(
            f"{flag} and --sweep both say how much there is of {varied}",
            allowed=f"one of the two; --sweep tries each of its {len(swept.sizes)} sizes",
            hint=f"leave {flag} out",
        )


def _sized(flag: str, parse: object, value: object) -> int:
    assert callable(parse), "a reader of one value"
    try:
        found = parse(value)
    except UserError as error:
        raise UserError(f"{flag}: {error.message}", allowed=error.allowed) from None
    assert isinstance(found, int), "readers of sizes give whole units"
    return found


def _pair(flag: str, text: str, example: str) -> tuple[str, str]:
    what, equals, value = text.rpartition("=")
    if not equals or not what.strip() or not value.strip():
        raise UserError(f"{flag} is {text!r}", allowed=f"a name, =, and a number: {example}")
    return what.strip(), value.strip()


def _whole(flag: str, text: str, most: int) -> int:
    if not text.isdecimal() or int(text) > most:
        raise UserError(f"{flag} is {text!r}", allowed=f"a whole number from 0 to {most:,}")
    return int(text)


def _pool(text: str) -> PoolSized:
    pool, units = _pair("--pool", text, "db=4")
    return PoolSized(pool, _whole(f"--pool {pool}", units, MOST_UNITS))


def _slower(text: str) -> Slower:
    what, factor = _pair("--slower", text, "features=1.5")
    try:
        times = float(factor)
    except ValueError:
        times = float("nan")
    if not isfinite(times) or not 1 / MOST_FACTOR <= times <= MOST_FACTOR:
        raise UserError(
            f"--slower {what}: the factor is {factor!r}",
            allowed=f"a number from {1 / MOST_FACTOR:g} to {MOST_FACTOR:,.0f}; under 1 is faster",
        )
    return Slower(what, times)


def _close(text: str) -> Closes:
    refused = UserError(f"--close is {text!r}", allowed=CLOSE_ALLOWED)
    market, has_more, more = text.strip().partition("@")
    match = _CLOSE.fullmatch(more)
    if not market or match is None or (has_more and not more):
        raise refused
    try:
        at = None if match["hour"] is None else time.fromisoformat(match["hour"].zfill(5))
        day = None if match["day"] is None else date.fromisoformat(match["day"])
    except ValueError:
        raise refused from None
    return Closes(market, at, match["utc"] is not None, day)
