"""What a new user may have wrong, one small question at a time; each answer carries its cure.

A check returns findings and does not raise for a sick machine. None of them changes anything that outlives it.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from prometheus.cli.own_name import is_known_by_name, own_command
from prometheus.core.demand import Capacity
from prometheus.core.instants import MINUTE_US, SECOND_US, from_us
from prometheus.core.settings import VARIABLES, Settings

State = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 35, 0)  # UPDATE ... RETURNING and safe WAL recovery; older ones are no longer mended
LEAST_MEMORY_MIB = 2_000  # one engine's demand, and the scheduler beside it
LEAST_FREE_MIB, EASY_FREE_MIB = 200, 2_000
LEAST_FILES = 256
HORIZON_DAYS = 60  # the daemon alarms below this, too
SELF_TEST_US = 20 * SECOND_US
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smbfs", "smb3", "fuse.sshfs", "9p", "afs")
DESK_LIBRARIES = (
    "numpy",
    "scipy",
    "polars",
    "deltalake",
    "sklearn",
    "hmmlearn",
    "cvxpy",
    "clarabel",
    "dataframely",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: what was looked at, how it stands, what was seen, what to do."""

    name: str
    state: State
    detail: str
    cure: str = ""


def all_checks(settings: Settings, now_us: int) -> Iterable[Callable[[], list[Finding]]]:
    """Every check in the order in which a person would ask; run one after the other."""
    return (
        check_python,
        check_libraries,
        check_command,
        lambda: check_variables(dict(os.environ)),
        lambda: check_clock(now_us),
        lambda: check_home(settings.home),
        lambda: check_disk(settings.home),
        check_temporary,
        check_sqlite,
        lambda: check_stores(settings),
        lambda: check_data(settings),
        lambda: check_machine(settings),
        lambda: check_calendars(settings, from_us(now_us).date()),
        lambda: check_executor(settings, now_us),
    )


def check_python() -> list[Finding]:
    """Old Pythons fail at import with an error that nobody understands."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return [Finding("python", "fail", version, "install Python 3.11 or newer")]
    return [Finding("python", "ok", f"{version} in {sys.prefix}")]


def check_libraries() -> list[Finding]:
    """The base install is light; the shipped night needs the [desk] libraries."""
    missing = [name for name in DESK_LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        detail = f"not installed: {', '.join(missing)}; us_eq_daily cannot run"
        return [Finding("desk libraries", "warn", detail, "pip install 'prometheus-desk[desk]'")]
    return [Finding("desk libraries", "ok", f"{len(DESK_LIBRARIES)} of {len(DESK_LIBRARIES)} found")]


def check_command(path: str | None = None) -> list[Finding]:
    """Debian's monitoring server is called `prometheus`, too."""
    found = shutil.which("prometheus", path=path)
    own = own_command()
    if found is None:
        cure = f"say {own}, or put its folder on PATH"
        return [Finding("command", "warn", "`prometheus` is not on PATH", cure)]
    if not is_known_by_name(path):
        cure = f"say `pdesk`, {own} or `python -m prometheus` instead"
        detail = f"`prometheus` on PATH is {found}: another program, or another installation"
        return [Finding("command", "warn", detail, cure)]
    return [Finding("command", "ok", found)]


def check_variables(environ: dict[str, str]) -> list[Finding]:
    """A misspelt variable is ignored without a word, because clusters inject their own."""
    found = []
    for name in sorted(environ):
        if name.startswith("PROMETHEUS_") and name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.85)
            if near:
                found.append(Finding("variables", "warn", f"{name} is ignored", f"did you mean {near[0]}?"))
    if environ.get("PYTHONDONTWRITEBYTECODE"):
        detail = "PYTHONDONTWRITEBYTECODE is set: every worker compiles every library anew"
        found.append(Finding("bytecode", "warn", detail, "unset it"))
    cores = os.cpu_count() or 1
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        value = environ.get(name, "")
        if value.isdigit() and int(value) > cores:
            detail = f"{name}={value} on {cores} cores"
            found.append(Finding("threads", "warn", detail, "unset it: each job gets what its demand says"))
    return found or [Finding("variables", "ok", "none misspelt")]


def check_clock(now_us: int) -> list[Finding]:
    """The scheduler compares the wall's clock with closes; a clock in the past starts nothing."""
    package = Path(__file__).parents[1]
    newest = max(path.stat().st_mtime for path in package.glob("*/*.py"))
    now = now_us / SECOND_US
    found = []
    if now + 10 * MINUTE_US / SECOND_US < newest:
        at = f"{from_us(now_us):%Y-%m-%d %H:%M}"
        found.append(
            Finding("clock", "fail", f"it is {at} UTC, before this program was installed", "set the clock")
        )
    try:
        from zoneinfo import ZoneInfo

        offset = from_us(now_us).astimezone(ZoneInfo("America/New_York")).utcoffset()
        local = from_us(now_us).astimezone()
        assert offset is not None
        hours = offset.total_seconds() / 3600
        detail = f"{from_us(now_us):%Y-%m-%d %H:%M} UTC, here {local:%H:%M %Z}, New York {hours:+.0f} h"
        found.append(Finding("time zones", "ok", detail))
    except KeyError:
        detail = "no time zone data"
        found.append(Finding("time zones", "fail", detail, "pip install tzdata"))
    return found


def check_home(home: Path) -> list[Finding]:
    """Ledgers, stores, logs and pictures live there; it is made by the first run."""
    place = _existing(home)
    if not place.is_dir():
        return [Finding("home", "fail", f"{place} is a file", "move it away, or set PROMETHEUS_HOME")]
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".prometheus-doctor-"):
            pass
    except OSError as error:
        cure = "correct its owner or permissions, or set PROMETHEUS_HOME"
        return [Finding("home", "fail", f"{place} cannot be written: {error.strerror}", cure)]
    kind = _file_system(place)
    if kind in NETWORK_FILE_SYSTEMS:
        cure = "set PROMETHEUS_HOME to a disk of this machine: SQLite needs working locks"
        return [Finding("home", "warn", f"{home} lies on a network drive ({kind})", cure)]
    return [Finding("home", "ok", str(home) if home.is_dir() else f"{home} (made by the first run)")]


def check_disk(home: Path) -> list[Finding]:
    """A full disk stops the ledger; nothing is lost, but nothing goes on."""
    place = _existing(home)
    free = shutil.disk_usage(place).free // 2**20
    detail = f"{free:,} MiB free on the disk of {place}"
    if free < LEAST_FREE_MIB:
        return [Finding("disk", "fail", detail, f"make room: at least {LEAST_FREE_MIB} MiB, better 2 GiB")]
    if free < EASY_FREE_MIB:
        return [Finding("disk", "warn", detail, "make room: the history takes about 1 GiB")]
    return [Finding("disk", "ok", detail)]


def check_temporary() -> list[Finding]:
    """Workers and the loader keep short-lived files there."""
    try:
        with tempfile.NamedTemporaryFile(prefix="prometheus-doctor-") as file:
            return [Finding("temporary files", "ok", str(Path(file.name).parent))]
    except OSError as error:
        cure = "set TMPDIR to a folder that can be written"
        return [Finding("temporary files", "fail", f"none can be made: {error}", cure)]


def check_sqlite() -> list[Finding]:
    """The library that Python was built with, not the command of that name."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(str(part) for part in OLDEST_SQLITE)
        return [Finding("sqlite", "warn", version, f"use a Python built with SQLite {oldest} or newer")]
    return [Finding("sqlite", "ok", version)]


def check_stores(settings: Settings) -> list[Finding]:
    """Ledger, runtime_db and historical_db, as `prometheus db health` sees them: one line each, and what is wrong."""
    from prometheus.stores.health import desk_health

    found: dict[str, Finding] = {}
    troubles: list[Finding] = []
    for check in desk_health(settings).checks:
        if check.state == "failed":
            cure = check.hint or "prometheus db health"
            troubles.append(Finding(check.store, "fail", f"{check.name}: {check.detail}", cure))
        elif check.state == "absent":
            first = "the first run that is no replay" if check.store == "ledger" else "the first run"
            found[check.store] = Finding(check.store, "ok", f"not made yet; {first} makes it")
        else:
            found.setdefault(check.store, Finding(check.store, "ok", "well"))
    ill = {trouble.name for trouble in troubles}
    return [finding for name, finding in found.items() if name not in ill] + troubles


def check_data(settings: Settings) -> list[Finding]:
    """The panel that the shipped night reads."""
    from prometheus.data_ingestion.reference import FILES, SDIST, reference_folder, sha256_of

    folder, mirror = reference_folder(settings.cache), settings.data_mirror
    bad = [
        name
        for name, digest in FILES.items()
        if (folder / name).is_file() and sha256_of(folder / name) != digest
    ]
    if bad:
        cure = "prometheus data fetch"
        return [Finding("reference data", "warn", f"damaged in {folder}: {', '.join(bad)}", cure)]
    if all((folder / name).is_file() for name in FILES):
        return [Finding("reference data", "ok", f"verified, in {folder}")]
    if mirror is not None:
        if (mirror / SDIST).is_file() or all((mirror / name).is_file() for name in FILES):
            return [Finding("reference data", "ok", f"will be taken from the mirror folder {mirror}")]
        cure = f"put {SDIST} or {', '.join(FILES)} there, or unset PROMETHEUS_DATA_MIRROR"
        return [Finding("reference data", "fail", f"the mirror folder {mirror} does not have it", cure)]
    cure = "prometheus data fetch (31 MB, needs network), or set PROMETHEUS_DATA_MIRROR"
    return [
        Finding("reference data", "warn", "not here yet; without it a night is synthetic, and says so", cure)
    ]


def check_machine(settings: Settings) -> list[Finding]:
    """What the scheduler believes it may use."""
    from prometheus.orchestrator.machine import capacity_of, memory_mib, usable_cores

    capacity = capacity_of(settings)
    offered = sum(one.cpu_milli for one in capacity.bins) / 1_000
    memory = sum(one.memory_mib for one in capacity.bins)
    pools = "".join(f", pool {name} {units}" for name, units in capacity.pools)
    found = [
        Finding("capacity", "ok", f"{offered:g} cores, {memory:,} MiB{pools}; limits of memory by sampling")
    ]
    if offered > usable_cores():
        detail = f"[resources] cpu is {offered:g}, the machine has {usable_cores()}"
        found.append(Finding("capacity", "warn", detail, "lower it: jobs will share cores and take longer"))
    if memory > memory_mib():
        detail = f"[resources] memory is {memory:,} MiB, the machine has {memory_mib():,}"
        found.append(Finding("capacity", "warn", detail, "lower it: the system may kill jobs"))
    if memory < LEAST_MEMORY_MIB:
        found.append(
            Finding("memory", "warn", f"{memory:,} MiB", "the engines want 1 GiB each: expect one at a time")
        )
    found += _check_changes(settings, capacity)
    files = _open_files()
    if files is not None and files < LEAST_FILES:
        found.append(Finding("open files", "warn", f"at most {files}", f"ulimit -n {LEAST_FILES * 4}"))
    return found


def _check_changes(settings: Settings, usual: Capacity) -> list[Finding]:
    """What `[[resources.changes]]` come to in the coming days."""
    from prometheus.core.errors import UserError
    from prometheus.core.time import TradingCalendar
    from prometheus.orchestrator.capacity import announce
    from prometheus.orchestrator.clock import LiveClock

    if not settings.resources.changes:
        return []
    try:
        now, coming = announce(settings.resources.changes, usual, LiveClock().now_us(), TradingCalendar)
    except UserError as error:
        return [Finding("capacity", "fail", str(error), error.hint or "correct it in prometheus.toml")]
    said = [f"now {_cores(now)}"]
    said += [f"from {from_us(at_us):%Y-%m-%d %H:%M} UTC {_cores(then)}" for at_us, then in coming[:3]]
    return [Finding("capacity", "ok", "changes: " + ", ".join(said))]


def _cores(capacity: Capacity) -> str:
    pools = "".join(f" and {units} of pool {name}" for name, units in capacity.pools)
    return f"{sum(one.cpu_milli for one in capacity.bins) / 1_000:g} cores{pools}"


def check_calendars(settings: Settings, today: date) -> list[Finding]:
    """Holidays must be published for the days ahead."""
    from prometheus.core.errors import UserError
    from prometheus.core.time import TradingCalendar

    found = []
    for market in dict.fromkeys(["US_EQ", *settings.markets]):
        try:
            through = TradingCalendar(market).verified_through
        except UserError as error:
            found.append(
                Finding("calendar", "fail", str(error), f"correct [markets.{market}] in prometheus.toml")
            )
            continue
        left = (through - today).days
        state: State = "fail" if left < 0 else "warn" if left < HORIZON_DAYS else "ok"
        cure = "" if state == "ok" else "upgrade prometheus-desk: newer releases carry newer holidays"
        found.append(Finding("calendar", state, f"{market} is known through {through} ({left} days)", cure))
    return found


def check_executor(settings: Settings, now_us: int) -> list[Finding]:
    """A worker is really started, and must report back."""
    if settings.executor.kind != "local":
        cure = 'set [executor] kind = "local"'
        return [Finding("executor", "fail", f"{settings.executor.kind!r} is not part of this release", cure)]
    from prometheus.core.demand import Demand
    from prometheus.executors.contract import Failed, Launch, Succeeded
    from prometheus.executors.local import LocalExecutor
    from prometheus.orchestrator.clock import monotonic_us

    begun = monotonic_us()
    executor = LocalExecutor()
    try:
        executor.start(
            Launch(
                task_id="doctor.self_test",
                run_id="doctor",
                job="self_test",
                attempt=1,
                session=from_us(now_us).date(),
                market="US_EQ",
                mode="full",
                pin="",
                target=(sys.executable, "-c", "pass"),
                demand=Demand(),
            )
        )
        while (left := SELF_TEST_US - (monotonic_us() - begun)) > 0:
            facts = executor.facts(left)
            executor.acknowledge(facts)
            for fact in facts:
                if isinstance(fact, Succeeded):
                    took = (monotonic_us() - begun) / 1_000
                    return [
                        Finding("workers", "ok", f"a worker started, worked and reported in {took:.0f} ms")
                    ]
                if isinstance(fact, Failed):
                    return [
                        Finding("workers", "fail", f"{fact.message} {fact.tail}".strip(), "see the message")
                    ]
        return [Finding("workers", "fail", "no worker reported within 20 s", "is the machine overloaded?")]
    except OSError as error:
        return [
            Finding("workers", "fail", f"none can be started: {error}", "check ulimit -u and free memory")
        ]
    finally:
        executor.close()


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _file_system(path: Path) -> str:
    """The type of the file system that holds `path`; empty if it cannot be told."""
    import psutil

    mounts = [(Path(part.mountpoint), part.fstype) for part in psutil.disk_partitions(all=True)]
    holding = [(len(place.parts), kind) for place, kind in mounts if path.resolve().is_relative_to(place)]
    return str(max(holding, default=(0, ""))[1])


def _open_files() -> int | None:
    """How many files this process may open."""
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
